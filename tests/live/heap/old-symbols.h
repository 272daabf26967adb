/* SPDX-License-Identifier: MIT */
/*
 * glibc 2.34 moved these from libpthread and libdl into libc under a new version; the
 * first versions are still there. With them a program built here runs on 2.31 as well.
 */
#pragma once

#ifndef STATIC_PATTERN
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
__asm__(".symver dlsym,dlsym@GLIBC_2.2.5");
__asm__(".symver dlmopen,dlmopen@GLIBC_2.3.4");
#endif
