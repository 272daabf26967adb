// SPDX-License-Identifier: MIT
/* Identities that must hold between what was walked and what glibc itself counts. */
#include "heap/glibc/walk.h"

/* Fingerprints are shown as numbers that every reader of JSON can hold. */
#define EXACT_MASK ((UINT64_C(1) << 53) - 1)

enum { PER_ARENA = 3, OF_ALL = 6 };

struct list {
	struct mw_check *items;
	size_t n;
};

static void add(struct list *list, const char *name, uint64_t expected, uint64_t found)
{
	list->items[list->n++] = (struct mw_check){
		.name = name,
		.ok = expected == found,
		.expected = expected,
		.found = found,
	};
}

/* Headers of bins are nodes of the same circular lists as free chunks. */
static void add_bin_headers(const struct mw_glibc_arena *arena, uint64_t sums[3])
{
	const uint64_t base = arena->address;
	for (size_t i = 0; i < MW_GLIBC_BINS; i += 2) {
		/* A header is addressed as if it were a chunk: 16 bytes before fd. */
		uint64_t node = base + 8 * i - 16;
		sums[0] += mw_glibc_mix(node);
		sums[1] += mw_glibc_mix(arena->bins[i]);
		sums[2] += mw_glibc_mix(arena->bins[i + 1]);
	}
}

static bool check_arena(struct mw_heap_walk *walk, const struct mw_glibc *libc,
			const struct mw_glibc_tally *tally, struct list *list)
{
	const struct mw_glibc_arena *arena = tally->arena;
	const unsigned long long addr = arena->address;
	const char *chunks = mw_arena_printf(
		walk->arena, "arena 0x%llx: chunks%s sum to system_mem", addr,
		tally->foreign ? " and memory that another caller of sbrk() has" : "");
	const char *lists = mw_arena_printf(
		walk->arena, "arena 0x%llx: lists of bins equal the linear walk", addr);
	const char *feet = mw_arena_printf(
		walk->arena, "arena 0x%llx: free chunks repeat their size behind them",
		addr);
	if (!chunks || !lists || !feet)
		return false;
	struct mw_glibc_arena shifted = *arena;
	shifted.address += libc->layout->state.bins;
	uint64_t sums[3] = { tally->nodes, tally->forward, tally->backward };
	add_bin_headers(&shifted, sums);
	add(list, chunks, arena->system_mem, tally->walked + tally->foreign);
	add(list, lists, sums[0] & EXACT_MASK,
	    (sums[1] != sums[0] ? sums[1] : sums[2]) & EXACT_MASK);
	add(list, feet, tally->bins.n, tally->n_footed);
	return true;
}

static void check_cached(const struct mw_glibc_walk *libc, struct list *list)
{
	uint64_t listed[3] = { 0 };
	for (size_t i = 0; i < libc->n_cached; i++)
		if (libc->cached[i].kind <= MW_CACHED_STRUCT)
			listed[libc->cached[i].kind]++;
	add(list, "fastbins: entries are chunks that were met", listed[MW_CACHED_FAST],
	    libc->met[MW_CACHED_FAST]);
	add(list, "tcache: entries are chunks that were met", listed[MW_CACHED_TCACHE],
	    libc->met[MW_CACHED_TCACHE]);
	add(list, "tcache: its counters equal its lists", libc->libc->tcache_counted,
	    libc->libc->tcache_listed);
}

static void check_mmapped(const struct mw_glibc_walk *libc, const struct mw_allocator *it,
			  struct list *list)
{
	const struct mw_malloc_params *params = &libc->libc->params;
	if (!libc->libc->mp)
		return;
	add(list, "mmapped blocks: as many as mp_.n_mmaps", params->n_mmaps,
	    it->mmapped.n);
	/* 2.43 adds 16 bytes too many with every mremap() of such a block. */
	uint64_t off = params->mmapped_mem - libc->mapped;
	if (libc->libc->layout->mmapped_header && off && off % 16 == 0 &&
	    off <= UINT64_C(16) << 20)
		add(list,
		    "mmapped blocks: sum to mp_.mmapped_mem less 16 bytes per mremap()",
		    params->mmapped_mem - off, libc->mapped);
	else
		add(list, "mmapped blocks: sum to mp_.mmapped_mem", params->mmapped_mem,
		    libc->mapped);
}

struct mw_err *mw_glibc_check(const struct mw_glibc_walk *libc, struct mw_allocator *ret)
{
	struct mw_heap_walk *walk = libc->walk;
	struct list list = { 0 };
	list.items = mw_arena_calloc(walk->arena, libc->n_tallies * PER_ARENA + OF_ALL,
				     sizeof(*list.items));
	if (!list.items)
		return mw_err_nomem();
	for (size_t i = 0; i < libc->n_tallies; i++)
		if (!check_arena(walk, libc->libc, &libc->tallies[i], &list))
			return mw_err_nomem();
	check_cached(libc, &list);
	check_mmapped(libc, ret, &list);
	if (libc->split)
		add(&list, "resident bytes of the heap, page by page, sum to its Rss",
		    libc->rss, libc->attributed);
	ret->checks = list.items;
	ret->n_checks = list.n;
	return NULL;
}
