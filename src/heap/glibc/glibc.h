/* SPDX-License-Identifier: MIT */
/*
 * glibc's malloc (x86-64, 2.17 to 2.44), seen from outside. The parts, in the order a
 * walk uses them:
 *
 *   layout.c    where fields lie, by version
 *   find.c      main_arena and mp_ of every libc in the process: from the file's
 *               relocations (static.c), else by what bins look like (scan.c)
 *   arenas.c    malloc_state of all arenas, their contiguous pieces (pieces.c)
 *   cached.c    what looks in use and is not: tcache and fastbin entries; where the
 *               thread-local words lie (tls.c), reading links (links.c)
 *   chunks.c    the linear walk over a piece, chunk by chunk; the hot loop
 *   pages.c     resident bytes by use, what trimming would give back, who pins what
 *   mmapped.c   blocks with a mapping of their own
 *   check.c     identities that must hold
 *   glibc.c     the walker: all of it in order, and the report
 *
 * Sources: glibc malloc/malloc.c, malloc/arena.c, malloc/malloc-internal.h of the
 * versions named in layout.c.
 */
#pragma once

#include "heap/heap.h"

enum {
	MW_GLIBC_BINS = 254, /* words of malloc_state.bins */
	MW_GLIBC_FASTBINS = 10,
	MW_CHUNK_HEADER = 16, /* prev_size, size */
	MW_CHUNK_MIN = 32,
	MW_CHUNK_FLAGS = 7,
	MW_PREV_INUSE = 1,
	MW_IS_MMAPPED = 2,
	MW_NON_MAIN_ARENA = 4,
};

/* Offsets of struct malloc_state; UINT16_MAX: there is no such field. */
struct mw_state_layout {
	uint16_t fastbins, top, bins, next, next_free, attached, system_mem, size;
};

/* Offsets of struct malloc_par. */
struct mw_par_layout {
	uint16_t trim, top_pad, mmap_threshold, arena_max, thp_pagesize, hp_pagesize,
		n_mmaps, n_mmaps_max, no_dyn, mmapped_mem, sbrk_base, tcache_bins,
		tcache_max_bytes, tcache_count, size;
};

/* What else changed between versions. */
struct mw_tcache_layout {
	uint16_t chunk_len[2]; /* smallest and largest size of the chunk that holds the
				  structure: a rest too small for a chunk stays with it */
	uint16_t n_bins;
	uint16_t count_len; /* bytes of one counter: 1 or 2 */
	bool counts_free;   /* counters say how many slots are left (2.42) */
	uint16_t entries;   /* offset of the list heads in the structure */
};

static inline bool mw_tcache_chunk_fits(const struct mw_tcache_layout *layout,
					uint64_t len)
{
	return len >= layout->chunk_len[0] && len <= layout->chunk_len[1] && len != 0;
}

struct mw_glibc_layout {
	const char *versions; /* "2.27-2.29": which this is the layout of */
	uint8_t first, last;  /* the same as minor versions */
	struct mw_state_layout state;
	struct mw_par_layout par;
	struct mw_tcache_layout tcache;
	bool safe_linking;   /* 2.32: fastbin and tcache links are protected */
	bool mmapped_header; /* 2.43: a mapped chunk's size leaves its header out */
	uint16_t heap_info_len;
};

/* What tells layouts apart; 0: not known. */
struct mw_glibc_facts {
	uint16_t next;        /* offset of malloc_state.next */
	int attached;         /* malloc_state.attached_threads is there: 1 yes, -1 no */
	uint16_t n_mmaps_max; /* its offset in malloc_par */
	int tcache;           /* malloc_par has tcache's words: 1 yes, -1 no */
	unsigned minor;       /* of the version in the banner */
	uint16_t chunk_len;   /* of a chunk that holds a tcache structure */
};

/* The layout that agrees with the facts and best with the banner; NULL: none. */
const struct mw_glibc_layout *mw_glibc_layout_select(const struct mw_glibc_facts *facts);

/* All layouts, oldest first. */
const struct mw_glibc_layout *mw_glibc_layouts(size_t *n);

/* One libc. */
struct mw_glibc {
	const struct mw_glibc_layout *layout;
	uint64_t main_arena;
	uint64_t mp; /* 0: not found */
	/* From its banner: "2.36"; without one, "" and then its layout's: "2.35-2.41". */
	const char *version;
	const char *object;
	bool searched; /* found by what it looks like, not by relocations */
	struct mw_malloc_params params;
	uint64_t sbrk_base;
	uint64_t heap_max; /* a thread heap's size and alignment */
	/* Of thread-local variables, from the thread pointer; 0: not known. These and
	 * what follows is known after mw_glibc_cached(). */
	int32_t tcache_offset, thread_arena_offset;
	/* Threads whose thread pointer is not known: their tcache structures must be
	 * found among the chunks, with mw_glibc_cached_candidate(). */
	size_t n_lost_threads;
	/* Entries that tcache counters tell of, and those that the lists hold. */
	uint64_t tcache_counted, tcache_listed;
	size_t n_broken_lists; /* left behind where a link made no sense */
	struct mw_glibc_facts facts;
};

struct mw_glibc_vec {
	MW_VEC(struct mw_glibc);
};

/* Appends every glibc malloc of the process, used or not. NOMEM, GONE. */
struct mw_err *mw_glibc_find(struct mw_heap_walk *walk,
			     struct mw_glibc_vec *ret) MW_MUST_USE;

/* Whether the region is what malloc maps: anonymous, also of huge pages. */
bool mw_glibc_may_map(const struct mw_region *region);

/* A contiguous piece of an arena: chunks from `first` to `end`. */
struct mw_glibc_piece {
	uint64_t start, end; /* with heap_info, malloc_state in front */
	uint64_t first;      /* the first chunk */
	bool last;           /* ends with the arena's top */
};

struct mw_glibc_arena {
	uint64_t address;
	bool main, locked, noncontiguous;
	unsigned attached;
	uint64_t top, system_mem;
	uint64_t fastbins[MW_GLIBC_FASTBINS];
	uint64_t bins[MW_GLIBC_BINS];
	struct mw_glibc_piece *pieces;
	size_t n_pieces;
	bool broken; /* its pieces could not all be found */
};

/*
 * In the middle of a main arena's piece, behind two chunks of 16 bytes (fence posts)
 * that end at `end`, lies memory that someone else has from sbrk(); glibc counts it in
 * system_mem. Returns the first chunk behind it; 0 when none was found up to `limit`.
 */
uint64_t mw_glibc_behind_fence(struct mw_heap_walk *walk,
			       const struct mw_glibc_arena *arena, uint64_t end,
			       uint64_t limit);

/*
 * Reads malloc_state of main_arena and of all it links to, and finds their pieces.
 * *ret is in the walk's arena. What does not verify becomes a gap. NOMEM, GONE.
 */
struct mw_err *mw_glibc_arenas(struct mw_heap_walk *walk, const struct mw_glibc *libc,
			       struct mw_glibc_arena **ret, size_t *n) MW_MUST_USE;

/* A chunk that looks in use and is not. */
enum mw_cached_kind { MW_CACHED_TCACHE, MW_CACHED_FAST, MW_CACHED_STRUCT };
struct mw_cached {
	uint64_t chunk; /* address of its header */
	uint64_t kind;
};
struct mw_cached_vec {
	MW_VEC(struct mw_cached);
};

/*
 * Appends the cached chunks of all threads and arenas, sorted by address, and the chunks
 * that hold tcache structures. `threads` says who owns which. NOMEM, GONE.
 */
struct mw_err *mw_glibc_cached(struct mw_heap_walk *walk, struct mw_glibc *libc,
			       const struct mw_glibc_arena *arenas, size_t n_arenas,
			       struct mw_cached_vec *ret, struct mw_heap_thread **threads,
			       size_t *n_threads) MW_MUST_USE;

/*
 * Where n_lost_threads is not 0: tries a chunk that looks live and has one of the sizes
 * that mw_tcache_chunk_fits() takes. If it holds a tcache structure that is not in `ret`
 * yet, appends it and its entries, sorts `ret` again, and adds to *found the entries.
 */
struct mw_err *mw_glibc_cached_candidate(struct mw_heap_walk *walk, struct mw_glibc *libc,
					 const struct mw_glibc_arena *arenas,
					 size_t n_arenas, uint64_t chunk,
					 struct mw_cached_vec *ret,
					 struct mw_blocks *found) MW_MUST_USE;
