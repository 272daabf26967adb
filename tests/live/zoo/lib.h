/* SPDX-License-Identifier: MIT */
/* A shared library with one large object in each of its parts. */
#pragma once

#include <stddef.h>

enum { ZOO_OBJECT_LEN = 64 * 1024 };

/* A place in the library (or in the executable) and what is there. */
struct zoo_part {
	const char *part; /* "text", "rodata", … */
	const void *start;
	size_t len;
};

enum { ZOO_N_PARTS = 5 };

/* Fills in the library's parts, in the order text, rodata, relro, data, bss. */
void zoo_lib_parts(struct zoo_part parts[ZOO_N_PARTS]);
