/* SPDX-License-Identifier: MIT */
/*
 * Typed growing arrays: `struct mw_foo_vec { MW_VEC(struct mw_foo); }` has the
 * members `items`, `n` and `cap`. A zeroed struct is an empty vector.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define MW_VEC(type) \
	type *items; \
	size_t n;    \
	size_t cap

/* Grows *items so that one more of `size` bytes fits. False when memory is short. */
static inline bool mw_vec_grow(void **items, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	size_t want = *cap ? *cap * 2 : 16, len;
	if (want < *cap || __builtin_mul_overflow(want, size, &len))
		return false;
	void *grown = realloc(*items, len);
	if (!grown)
		return false;
	*items = grown;
	*cap = want;
	return true;
}

/* Appends a value; false when memory is short (the vector is then unchanged). */
#define mw_vec_add(vec, ...)                                        \
	(mw_vec_grow((void **)&(vec)->items, (vec)->n, &(vec)->cap, \
		     sizeof(*(vec)->items))                         \
		 ? ((vec)->items[(vec)->n++] = (__VA_ARGS__), true) \
		 : false)

/* Frees the items; the vector is empty and usable again. */
#define mw_vec_deinit(vec)                 \
	do {                               \
		free((vec)->items);        \
		(vec)->items = NULL;       \
		(vec)->n = (vec)->cap = 0; \
	} while (0)
