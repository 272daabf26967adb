/* SPDX-License-Identifier: MIT */
/*
 * The memory of a process that uses glibc's malloc, made by hand after any layout: two
 * arenas, caches, free chunks, blocks with mappings. It is small, and sound until
 * somebody corrupts it.
 */
#pragma once

#include "heap/glibc/glibc.h"

#include <string.h>

enum { MADE_PAGE = 4096, MADE_PAGES = 16, MADE_TID = 4242 };

enum made_place { MADE_DATA, MADE_HEAP, MADE_ARENA, MADE_MAPPED, MADE_TLS, MADE_PLACES };

/* Where each place begins, how long it is. */
static const uint64_t made_start[MADE_PLACES] = {
	[MADE_DATA] = 0x7f1000000000,  [MADE_HEAP] = 0x555555000000,
	[MADE_ARENA] = 0x7f4000000000, [MADE_MAPPED] = 0x7f5000000000,
	[MADE_TLS] = 0x7f6000000000,
};
static const size_t made_pages[MADE_PLACES] = {
	[MADE_DATA] = 2,    [MADE_HEAP] = 16, [MADE_ARENA] = 8,
	[MADE_MAPPED] = 12, [MADE_TLS] = 2,
};

struct made_heap {
	const struct mw_glibc_layout *layout;
	unsigned char bytes[MADE_PLACES][MADE_PAGES * MADE_PAGE];
	bool absent[MADE_PLACES][MADE_PAGES];
	uint64_t main_arena, arena, thread_pointer;
	uint64_t pos;    /* the chunk in the making */
	bool prev_inuse; /* what its header will say */
	bool foreign;    /* somebody else calls sbrk(), too */
};

/* The bytes at an address, or NULL: nothing of it is there. */
static inline unsigned char *made_at(struct made_heap *made, uint64_t addr)
{
	for (int i = 0; i < MADE_PLACES; i++) {
		uint64_t off = addr - made_start[i];
		if (addr >= made_start[i] && off < made_pages[i] * MADE_PAGE)
			return made->absent[i][off / MADE_PAGE] ? NULL
								: made->bytes[i] + off;
	}
	return NULL;
}

static inline void made_put(struct made_heap *made, uint64_t addr, uint64_t value,
			    size_t len)
{
	memcpy(made_at(made, addr), &value, len);
}

static inline void made_word(struct made_heap *made, uint64_t addr, uint64_t value)
{
	made_put(made, addr, value, sizeof(value));
}

static inline uint64_t made_chunk(struct made_heap *made, uint64_t size, bool inuse)
{
	uint64_t chunk = made->pos;
	bool thread = chunk >= made_start[MADE_ARENA];
	made_word(made, chunk + 8,
		  size | (thread && inuse ? MW_NON_MAIN_ARENA : 0) |
			  (made->prev_inuse ? MW_PREV_INUSE : 0));
	made->pos += size;
	made->prev_inuse = inuse;
	if (!inuse)
		made_word(made, made->pos, size);
	return chunk;
}

/* A link of a tcache or fastbin list, stored at `where`. */
static inline uint64_t made_link(const struct made_heap *made, uint64_t where,
				 uint64_t next)
{
	return made->layout->safe_linking ? (where >> 12) ^ next : next;
}

/* Bins of an arena: all empty, but one chunk (or none) in the first. */
static inline void made_bins(struct made_heap *made, uint64_t state, uint64_t chunk)
{
	uint64_t bins = state + made->layout->state.bins;
	for (unsigned i = 0; i < MW_GLIBC_BINS; i++)
		made_word(made, bins + 8 * i, bins + 8 * (i & ~1u) - 16);
	if (!chunk)
		return;
	made_word(made, bins, chunk);
	made_word(made, bins + 8, chunk);
	made_word(made, chunk + 16, bins - 16);
	made_word(made, chunk + 24, bins - 16);
}

static inline void made_state(struct made_heap *made, uint64_t state, uint64_t next,
			      uint64_t top, uint64_t system_mem)
{
	const struct mw_state_layout *at = &made->layout->state;
	made_word(made, state + at->top, top);
	made_word(made, state + at->next, next);
	made_word(made, state + at->system_mem, system_mem);
	if (at->attached != UINT16_MAX)
		made_word(made, state + at->attached, 1);
}

/* A tcache structure with two entries of the smallest size; in a chunk of its own. */
static inline uint64_t made_tcache(struct made_heap *made)
{
	const struct mw_tcache_layout *tcache = &made->layout->tcache;
	if (!tcache->n_bins)
		return 0;
	uint64_t at = made_chunk(made, tcache->chunk_len[0], true) + 16;
	uint64_t a = made_chunk(made, 32, true) + 16, b = made_chunk(made, 32, true) + 16;
	unsigned full = made->layout->first >= 43 ? 16 : 7;
	for (unsigned i = 0; i < tcache->n_bins && tcache->counts_free; i++)
		made_put(made, at + (uint64_t)i * tcache->count_len, full,
			 tcache->count_len);
	made_put(made, at, tcache->counts_free ? full - 2 : 2, tcache->count_len);
	made_word(made, at + tcache->entries, a);
	made_word(made, a, made_link(made, a, b));
	made_word(made, b, made_link(made, b, 0));
	made_word(made, a + 8, at);
	made_word(made, b + 8, at);
	return at;
}

static inline uint64_t made_fastbin(struct made_heap *made, uint64_t state)
{
	uint64_t chunk = made_chunk(made, 48, true);
	if (made->layout->state.fastbins == UINT16_MAX)
		return 0;
	made_word(made, state + made->layout->state.fastbins + 8, chunk);
	made_word(made, chunk + 16, made_link(made, chunk + 16, 0));
	return chunk;
}

/* Chunks of every kind from `start` up to `end`; returns the top. */
static inline uint64_t made_chunks(struct made_heap *made, uint64_t state, uint64_t start,
				   uint64_t end, uint64_t *tcache)
{
	made->pos = start;
	made->prev_inuse = true;
	*tcache = made_tcache(made);
	made_chunk(made, 0x40, true);
	made_fastbin(made, state);
	for (unsigned i = 0; i < 60; i++)
		made_chunk(made, 0x20 + 0x10 * (i % 9), true);
	made_chunk(made, 0x1230, true);
	uint64_t bin = made_chunk(made, 0x2340, false);
	made_chunk(made, 0x30, true);
	if (made->foreign && start == made_start[MADE_HEAP]) {
		/* The fence posts end with a page: top did, before. */
		made_chunk(made, MADE_PAGE - 0x20 - made->pos % MADE_PAGE, true);
		made_word(made, made->pos + 8, 0x11);
		made_word(made, made->pos + 24, 0x11);
		made->pos += 0x20 + 0x500;
	}
	made_chunk(made, 0x810, true);
	made_bins(made, state, bin);
	return made_chunk(made, end - made->pos, true);
}

static inline void made_mp(struct made_heap *made, uint64_t mp)
{
	const struct mw_par_layout *at = &made->layout->par;
	for (unsigned i = 0; i < 3; i++)
		made_word(made, mp + 8 * i, 0x20000);
	made_word(made, mp + 24, 8);
	made_put(made, mp + at->n_mmaps, 2, 4);
	made_put(made, mp + at->n_mmaps_max, 65536, 4);
	made_word(made, mp + at->mmapped_mem, 9 * MADE_PAGE);
	made_word(made, mp + at->sbrk_base, made_start[MADE_HEAP]);
	if (at->tcache_bins == UINT16_MAX)
		return;
	made_word(made, mp + at->tcache_bins, 64);
	made_word(made, mp + at->tcache_max_bytes, 1032);
	made_word(made, mp + at->tcache_count, made->layout->first >= 43 ? 16 : 7);
}

/* One aligned block with a stale header before it, one plain. */
static inline void made_mapped(struct made_heap *made)
{
	uint64_t less = made->layout->mmapped_header ? 16 : 0;
	uint64_t at = made_start[MADE_MAPPED];
	made_word(made, at + 8, (4 * MADE_PAGE - less) | MW_IS_MMAPPED);
	made_word(made, at + MADE_PAGE - 16, MADE_PAGE - 16);
	made_word(made, at + MADE_PAGE - 8, (3 * MADE_PAGE + 16 - less) | MW_IS_MMAPPED);
	at += 7 * MADE_PAGE;
	made_word(made, at + 8, (5 * MADE_PAGE - less) | MW_IS_MMAPPED);
}

static inline void made_init(struct made_heap *made, const struct mw_glibc_layout *layout,
			     bool foreign)
{
	uint64_t heap = made_start[MADE_HEAP], info = made_start[MADE_ARENA];
	uint64_t heap_end = heap + made_pages[MADE_HEAP] * MADE_PAGE;
	uint64_t info_len = made_pages[MADE_ARENA] * MADE_PAGE;
	uint64_t tcache, other;
	memset(made, 0, sizeof(*made));
	made->layout = layout;
	made->foreign = foreign;
	made->main_arena = made_start[MADE_DATA] + 0x900;
	made->arena = info + layout->heap_info_len;
	made->thread_pointer = made_start[MADE_TLS] + MADE_PAGE + 0x700;
	made_mp(made, made_start[MADE_DATA] + 0x100);
	uint64_t top = made_chunks(made, made->main_arena, heap, heap_end, &tcache);
	made_state(made, made->main_arena, made->arena, top, heap_end - heap);
	made_word(made, info, made->arena);
	made_word(made, info + 16, info_len);
	made_word(made, info + 24, info_len);
	top = made_chunks(made, made->arena,
			  (made->arena + layout->state.size + 15) & ~UINT64_C(15),
			  info + info_len, &other);
	made_state(made, made->arena, made->main_arena, top, info_len);
	made_word(made, made->thread_pointer - 72, tcache);
	made_word(made, made->thread_pointer - 56, made->main_arena);
	made_mapped(made);
	made->absent[MADE_MAPPED][9] = true; /* a page that nothing touched */
}
