/* SPDX-License-Identifier: MIT */
/*
 * What labs about malloc need to know of glibc's: numbers of its manual, and whether
 * somebody has set it up differently.
 */
#pragma once

#include "lab.h"
#include <malloc.h>

enum {
	HEAP_HEADER = 2 * sizeof(size_t), /* before each block; the last word its size */
	HEAP_LEAST = 4 * sizeof(size_t),  /* of the free rest at the end of the heap */
	HEAP_PAD =
		128 << 10, /* M_TOP_PAD, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD: mallopt(3) */
};

/* Whether the environment changes what malloc does, or who it is. */
LAB_API int heap_is_tuned(void)
{
	static const char *const names[] = {
		"GLIBC_TUNABLES",         "LD_PRELOAD",       "MALLOC_TOP_PAD_",
		"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);
		if (value && *value)
			return 1;
	}
	return 0;
}

/* Where the heap ends when what is free from `block` to its end is given back. */
LAB_API uintptr_t heap_end_after(const void *block, size_t pad, size_t page)
{
	uintptr_t top = (uintptr_t)block - HEAP_HEADER + HEAP_LEAST + 1 + pad;
	return (top + page - 1) / page * page;
}
