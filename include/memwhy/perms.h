/* SPDX-License-Identifier: MIT */
/*
 * The permissions of a mapping, as bits: the four letters of a line of maps.
 */
#pragma once

enum {
	MW_PERM_READ = 1 << 0,
	MW_PERM_WRITE = 1 << 1,
	MW_PERM_EXEC = 1 << 2,
	MW_PERM_SHARED = 1 << 3, /* MAP_SHARED */
};
