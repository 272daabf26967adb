/* SPDX-License-Identifier: MIT */
/*
 * gperftools' tcmalloc (2.8 to 2.10) from outside. Memory from brk is cut into spans of
 * pages of 8 KiB, each free or one large block or full of small blocks of one class.
 * A table of two levels maps pages to spans. Free small blocks wait in their span, in
 * chains of the central cache, or in the cache of a thread.
 *
 *   tcmalloc_find.c    the table of pages, the caches
 *   tcmalloc.c         the walker
 *
 * The library exports ThreadCache::thread_heaps_; from its lists the sizes of classes
 * are known and, by blocks in them, the table is recognised among the variables.
 * Sources: src/{span,pagemap,central_freelist,thread_cache}.h of 2.10.
 */
#pragma once

#include "heap/alloc/alloc.h"

enum {
	MW_TC_PAGE_SHIFT = 13,
	MW_TC_CLASSES = 128,
	MW_TC_LEAF_BITS = 18,
	MW_TC_ROOT_BITS = 17,
};

enum mw_tc_location { MW_TC_IN_USE, MW_TC_NORMAL, MW_TC_RETURNED };

/* tcmalloc::Span. */
struct mw_tc_span {
	uint64_t start, n_pages, next, prev, objects;
	uint16_t n_used;
	uint8_t class, flags; /* flags: location in the low two bits */
	uint32_t pad;
};

struct mw_tc_addr_vec {
	MW_VEC(uint64_t);
};

struct mw_tcmalloc {
	struct mw_heap_walk *walk;
	const struct mw_region *text;
	uint64_t len_of[MW_TC_CLASSES];  /* 0: no such class */
	uint64_t root;                   /* of the table of pages; 0: not found */
	uint64_t central;                /* the central cache; 0: not found */
	struct mw_tc_addr_vec cached;    /* in the end ascending */
	uint64_t n_caches, n_claimed;    /* threads' caches: found; as it counts */
	uint64_t samples[MW_TC_CLASSES]; /* a cached block of each class, or 0 */
	bool broken;                     /* a list did not end */
};

/* Reads the caches of threads: sizes of classes, cached blocks. NOMEM. */
struct mw_err *mw_tc_read_threads(struct mw_tcmalloc *tc, uint64_t heads,
				  uint64_t count) MW_MUST_USE;

/* Finds the table and the central cache among the library's variables. */
void mw_tc_find(struct mw_tcmalloc *tc);

/* Adds what the central cache holds to `cached`, and sorts. NOMEM. */
struct mw_err *mw_tc_read_central(struct mw_tcmalloc *tc) MW_MUST_USE;

/* The span of a page by the table; false when there is none, or it is not one. */
bool mw_tc_span_of(struct mw_tcmalloc *tc, uint64_t root, uint64_t page,
		   struct mw_tc_span *ret);
