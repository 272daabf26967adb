/* SPDX-License-Identifier: MIT */
/*
 * jemalloc 5.3 from outside. Its own records lie in base blocks, aligned to 2 MiB, that
 * begin with their length, the next block, and an extent of what is unused: that extent
 * ends where the block ends, which proves the block. In them lie the extents of the
 * heap (edata_t, 128 bytes apart) and the leaves of the tree that maps pages to extents:
 * an extent that the tree does not name is a stale one, kept for reuse.
 *
 *   jemalloc_find.c    base blocks, the tree, extents
 *   jemalloc_cache.c   blocks in the caches of threads
 *   jemalloc.c         the walker
 *
 * Sources: include/jemalloc/internal/{edata,base,rtree,cache_bin,tcache,sc}.h of 5.3.0.
 */
#pragma once

#include "heap/alloc/alloc.h"

enum {
	MW_JE_HUGE = 2 << 20,
	MW_JE_PAGE = 4096,
	MW_JE_BITMAP_WORDS = 8, /* 512 regions at most in a slab */
	MW_JE_CLASSES = 232,    /* SC_NSIZES of 64-bit machines with 4 KiB pages */
};

enum mw_je_state { MW_JE_ACTIVE, MW_JE_DIRTY, MW_JE_MUZZY, MW_JE_RETAINED };

struct mw_je_block {
	uint64_t start, end;
};
struct mw_je_block_vec {
	MW_VEC(struct mw_je_block);
};

struct mw_je_extent {
	uint64_t start, end; /* whole pages */
	uint64_t addr;       /* of the block of a large one: inside its first page */
	uint64_t edata;      /* where its record is */
	uint16_t class, n_free, arena;
	uint8_t state;
	bool slab;
};
struct mw_je_extent_vec {
	MW_VEC(struct mw_je_extent);
};

struct mw_je_addr_vec {
	MW_VEC(uint64_t);
};

struct mw_jemalloc {
	struct mw_heap_walk *walk;
	const struct mw_region *text;    /* the object it is in; NULL: not known */
	struct mw_je_block_vec blocks;   /* ascending */
	struct mw_je_extent_vec extents; /* ascending; those the tree names */
	uint64_t n_stale;                /* records that it does not name */
	uint64_t root;                   /* of the tree; 0: not found */
	struct mw_je_addr_vec cached;    /* ascending */
	struct mw_je_addr_vec stacks;    /* where caches keep them; ascending */
	unsigned n_caches;
};

/* Usable bytes of a block of a size class. */
uint64_t mw_je_class_len(unsigned class);

/* True when a base block is at `addr`, whose region ends `room` bytes on. */
bool mw_je_read_block(struct mw_heap_walk *walk, uint64_t addr, uint64_t room,
		      struct mw_je_block *ret);

/* Fills blocks, root and extents. NOMEM. */
struct mw_err *mw_je_find(struct mw_jemalloc *je) MW_MUST_USE;

/* Fills `cached` and `stacks`. NOMEM. */
struct mw_err *mw_je_find_cached(struct mw_jemalloc *je) MW_MUST_USE;
