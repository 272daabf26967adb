/* SPDX-License-Identifier: MIT */
/*
 * What the linear walk over glibc's chunks keeps, between chunks.c (which chunk is what),
 * pages.c (what resident pages hold, and who keeps them from being given back),
 * mmapped.c and check.c. Nothing here outlives a walk but what glibc.c copies out.
 *
 * Of the bytes of a page, a chunk at p of size s counts as [p + 8, p + s + 8): the word
 * at p is the last usable word of the chunk before, when that one is in use.
 */
#pragma once

#include "heap/glibc/glibc.h"

enum {
	MW_GLIBC_PAGE = 4096,  /* of x86-64; chunks are walked page by page */
	MW_GLIBC_BATCH = 1024, /* live blocks kept for the sink */
	MW_GLIBC_PER_PAGE = MW_GLIBC_PAGE / MW_CHUNK_MIN + 2, /* that touch one page */
	MW_GLIBC_MAX_MMAPPED = 65536,
};

/* Live blocks of one size class that share pages with kept bytes. */
struct mw_glibc_pin {
	uint64_t blocks, usable, bytes, sample;
};

/* One arena while it is walked. */
struct mw_glibc_tally {
	const struct mw_glibc_arena *arena;
	struct mw_blocks live, tcache, fast, bins;
	uint64_t top, overhead, foreign;
	uint64_t walked; /* bytes of chunks and headers: the sum of these */
	/* Free chunks as nodes of lists: sums of mixed addresses. */
	uint64_t nodes, forward, backward;
	uint64_t n_footed; /* free chunks whose size is repeated behind them */
	uint64_t resident[MW_USE_COUNT]; /* as in mw_heap_area */
	struct mw_glibc_pin *pins;       /* MW_SIZE_CLASSES of them, or NULL: none yet */
	uint64_t last_pin;               /* the block that was counted last */
	uint64_t stopped; /* where a walk first ended early, or left out; 0: nowhere */
	bool split;       /* `resident` is known */
};

/* Chunks in the bins of an arena, ascending: where a walk may go on. */
struct mw_glibc_anchors {
	MW_VEC(uint64_t);
	const struct mw_glibc_arena *of; /* NULL: none was collected yet */
};

/* One libc while it is walked. */
struct mw_glibc_walk {
	struct mw_heap_walk *walk;
	const struct mw_glibc *libc;
	const struct mw_cached *cached; /* ascending, with UINT64_MAX behind the last */
	size_t n_cached, next_cached;
	uint64_t met[3]; /* cached chunks that were met, by kind */
	struct mw_glibc_tally *tallies;
	size_t n_tallies;
	struct mw_blocks live[MW_SIZE_CLASSES], kept[MW_SIZE_CLASSES];
	struct mw_blocks mmapped;
	uint64_t mapped;          /* bytes of the mappings of single blocks */
	uint64_t attributed, rss; /* of all areas: as we count it, as the snapshot does */
	bool split;               /* some area's resident bytes are known */
	struct mw_glibc_pages *pages; /* the ledger */
	size_t n_pin_tables;
	struct mw_glibc_anchors anchors;
};

/* Frees what a walk holds; the tallies themselves are not its own. */
void mw_glibc_walk_deinit(struct mw_glibc_walk *libc);

/* Which pages the snapshot saw resident, asked upward. */
struct mw_glibc_residency {
	const struct mw_page_run *runs;
	size_t n, next;
	uint64_t start, end; /* the stretch looked up last, and its state */
	bool resident, exclusive;
};

/* What a range of bytes is, to the ledger of pages. */
enum mw_glibc_bytes {
	MW_BYTES_LIVE, /* with the size words of live chunks */
	MW_BYTES_KEPT,
	MW_BYTES_OVERHEAD,
	MW_BYTES_UNKNOWN,
	MW_BYTES_COUNT,
};

/*
 * The ledger: ranges come in without holes, ascending. One page is open, with the live
 * blocks that touch it; it is closed when a range reaches beyond it.
 */
struct mw_glibc_pages {
	struct mw_glibc_walk *libc;
	struct mw_glibc_tally *tally;
	struct mw_heap_area area;           /* gets the sums */
	struct mw_glibc_residency at, back; /* for what is open, for what was passed */
	uint64_t page;
	uint64_t bytes[MW_BYTES_COUNT]; /* of the open page; LIVE is what is left */
	size_t n, first, sent; /* of blocks: all, the first on the page, told the sink */
	struct mw_block blocks[MW_GLIBC_BATCH + MW_GLIBC_PER_PAGE];
};

/*
 * Opens the ledger of an area, which the sink is told of. One is open at a time; it is
 * the walk's, and ends with mw_glibc_walk_deinit(). NOMEM, or the sink's error.
 */
struct mw_err *mw_glibc_pages_begin(struct mw_glibc_walk *libc,
				    struct mw_glibc_tally *tally,
				    const struct mw_heap_area *area,
				    struct mw_glibc_pages **ret) MW_MUST_USE;

/* Closes it: writes the area's sums to where it was reported. The sink's error. */
struct mw_err *mw_glibc_pages_end(struct mw_glibc_pages *pages, size_t index) MW_MUST_USE;

/* The next range; live blocks that begin in it are in `blocks` already. NOMEM. */
struct mw_err *mw_glibc_pages_add(struct mw_glibc_pages *pages, uint64_t start,
				  uint64_t end, enum mw_glibc_bytes what) MW_MUST_USE;

/* Whole pages among what was passed that malloc_trim(0) would give back. */
void mw_glibc_pages_trim(struct mw_glibc_pages *pages, uint64_t start, uint64_t end);

/* Tells the sink the blocks that are complete, when there are many. */
struct mw_err *mw_glibc_pages_flush(struct mw_glibc_pages *pages) MW_MUST_USE;

/* The largest pins of an arena, in the walk's arena. NOMEM. */
struct mw_err *mw_glibc_pins_report(struct mw_heap_walk *walk,
				    const struct mw_glibc_tally *tally,
				    struct mw_heap_arena *ret) MW_MUST_USE;

/* Walks one piece, and reports its area. NOMEM, or the sink's error. */
struct mw_err *mw_glibc_walk_piece(struct mw_glibc_walk *libc,
				   struct mw_glibc_tally *tally,
				   const struct mw_glibc_piece *piece) MW_MUST_USE;

/*
 * The first chunk above `addr` in this piece that glibc has the address of: one in a
 * cache or a bin, or top. 0 when there is none. NOMEM.
 */
struct mw_err *mw_glibc_anchor(struct mw_glibc_walk *libc,
			       const struct mw_glibc_tally *tally,
			       const struct mw_glibc_piece *piece, uint64_t addr,
			       uint64_t *ret) MW_MUST_USE;

/* Adds what the caches of threads hold whose thread pointer is not known. NOMEM. */
struct mw_err *mw_glibc_find_lost(struct mw_heap_walk *walk, struct mw_glibc *libc,
				  const struct mw_glibc_arena *arenas, size_t n_arenas,
				  struct mw_cached_vec *cached) MW_MUST_USE;

/* A block with its own mapping [start, end). */
struct mw_glibc_mmapped {
	uint64_t start, end, block;
};
struct mw_glibc_mmapped_vec {
	MW_VEC(struct mw_glibc_mmapped);
};

/*
 * Finds the blocks with mappings of their own, `n` of them and `bytes` in all by the
 * count of mp_, ascending. Ranges of the arenas are left out. NOMEM.
 */
struct mw_err *mw_glibc_find_mmapped(struct mw_heap_walk *walk,
				     const struct mw_glibc *libc,
				     const struct mw_glibc_arena *arenas, size_t n_arenas,
				     struct mw_glibc_mmapped_vec *ret) MW_MUST_USE;

/* Counts one such block, and reports its area. NOMEM, or the sink's error. */
struct mw_err *mw_glibc_walk_mmapped(struct mw_glibc_walk *libc,
				     const struct mw_glibc_mmapped *block) MW_MUST_USE;

/* Identities that must hold, in the walk's arena. NOMEM. */
struct mw_err *mw_glibc_check(const struct mw_glibc_walk *libc,
			      struct mw_allocator *ret) MW_MUST_USE;

/* A 64-bit mix of an address, for sums that tell multisets apart. */
static inline uint64_t mw_glibc_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}
