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

/*
 * Makes sure that one more item of `size` bytes fits behind `n` of them; returns the
 * items, which may have moved, or NULL when memory is short (they then stay as they are).
 */
static inline void *mw_vec_grow(void *items, size_t n, size_t *cap, size_t size)
{
	if (items && n < *cap)
		return items;
	size_t want = *cap ? *cap * 2 : 16, len;
	if (want < *cap || __builtin_mul_overflow(want, size, &len))
		return NULL;
	void *grown = realloc(items, len);
	if (grown)
		*cap = want;
	return grown;
}

/* Appends a value; false when memory is short (the vector is then unchanged). */
#define mw_vec_add(vec, ...)                                                      \
	({                                                                        \
		void *mw_grown = mw_vec_grow((vec)->items, (vec)->n, &(vec)->cap, \
					     sizeof(*(vec)->items));              \
		if (mw_grown) {                                                   \
			(vec)->items = mw_grown;                                  \
			(vec)->items[(vec)->n++] = (__VA_ARGS__);                 \
		}                                                                 \
		mw_grown != NULL;                                                 \
	})

/* Frees the items; the vector is empty and usable again. */
#define mw_vec_deinit(vec)                 \
	do {                               \
		free((vec)->items);        \
		(vec)->items = NULL;       \
		(vec)->n = (vec)->cap = 0; \
	} while (0)
