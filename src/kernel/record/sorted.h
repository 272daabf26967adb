/* SPDX-License-Identifier: MIT */
/*
 * Vectors of base/vec.h kept sorted: find a place, insert there.
 */
#pragma once

#include "base/vec.h"

#include <string.h>

/* The first index of a sorted vector for which `less`, an expression of i, is false. */
#define mw_lower_bound(vec, less)                         \
	({                                                \
		size_t lo_ = 0, hi_ = (vec)->n;           \
		while (lo_ < hi_) {                       \
			size_t i = lo_ + (hi_ - lo_) / 2; \
			if (less)                         \
				lo_ = i + 1;              \
			else                              \
				hi_ = i;                  \
		}                                         \
		lo_;                                      \
	})

/* Inserts an item (an lvalue) before index i; false when memory is short. */
#define mw_vec_insert(vec, i, item)                                                      \
	(mw_vec_add(vec, item) ? (memmove((vec)->items + (i) + 1, (vec)->items + (i),    \
					  ((vec)->n - 1 - (i)) * sizeof(*(vec)->items)), \
				  (vec)->items[i] = (item), true)                        \
			       : false)
