/* SPDX-License-Identifier: MIT */
/*
 * What arenas.c (malloc_state, heaps of threads) and pieces.c (the main arena) share.
 */
#pragma once

#include "heap/glibc/glibc.h"

struct mw_glibc_piece_vec {
	MW_VEC(struct mw_glibc_piece);
};

/* The size of a chunk without its flags, 0 when the header cannot be read. */
uint64_t mw_glibc_chunk_size(struct mw_memory *mem, uint64_t chunk, uint64_t *flags);

/*
 * Appends the pieces of a main arena in use; *whole: all of them. `taken`: pieces of the
 * other arenas, ascending. NOMEM.
 */
struct mw_err *mw_glibc_main_pieces(struct mw_heap_walk *walk,
				    const struct mw_glibc *libc,
				    const struct mw_glibc_arena *arena,
				    const struct mw_glibc_piece_vec *taken,
				    struct mw_glibc_piece_vec *ret,
				    bool *whole) MW_MUST_USE;
