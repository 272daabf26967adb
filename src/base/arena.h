/* SPDX-License-Identifier: MIT */
/*
 * An arena: many small allocations with one owner, freed together. Memory is
 * zeroed and aligned for any type. A zeroed struct is an empty arena.
 */
#pragma once

#include <memwhy/err.h>
#include <stddef.h>

struct mw_arena_block;

struct mw_arena {
	struct mw_arena_block *blocks;
	size_t used, cap;  /* of the first block, bytes */
	size_t next_block; /* how long the next one will be; 0: none yet */
};

/* `len` zeroed bytes, or NULL when memory is short. */
void *mw_arena_alloc(struct mw_arena *arena, size_t len) MW_MUST_USE;

/* `n` zeroed items of `size` bytes, or NULL (also when n * size overflows). */
void *mw_arena_calloc(struct mw_arena *arena, size_t n, size_t size) MW_MUST_USE;

/* A NUL-terminated copy of `len` bytes, or NULL. */
char *mw_arena_strndup(struct mw_arena *arena, const char *bytes, size_t len) MW_MUST_USE;

/* A NUL-terminated copy of a string, or NULL. */
char *mw_arena_strdup(struct mw_arena *arena, const char *str) MW_MUST_USE;

/* Formatted text, or NULL. */
char *mw_arena_printf(struct mw_arena *arena, const char *fmt, ...)
	MW_PRINTF(2, 3) MW_MUST_USE;

/* Frees everything; the arena is empty and usable again. */
void mw_arena_deinit(struct mw_arena *arena);
