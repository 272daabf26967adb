// SPDX-License-Identifier: MIT
/* Runs every walker over a snapshot and joins what they report. */
#include "heap/heap.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 512 << 10, MAX_GAPS = 64 };

/* What comes later may lie in blocks of what comes first. */
static const struct mw_walker *const walkers[] = {
	&mw_walker_glibc,    &mw_walker_jemalloc,
	&mw_walker_tcmalloc, &mw_walker_mimalloc,
	&mw_walker_musl,     &mw_walker_pymalloc,
	&mw_walker_v8,       &mw_walker_jvm,
	&mw_walker_go,       NULL, /* ends the list */
};

/* A heap and what it is made with; the public struct comes first. */
struct heap {
	struct mw_heap pub;
	struct mw_arena arena;
	struct mw_heap_walk walk;
};

struct mw_err *mw_heap_gap(struct mw_heap_walk *walk, const char *what, const char *why,
			   const char *remedy)
{
	struct mw_gap gap = {
		.what = mw_arena_strdup(walk->arena, what),
		.why = mw_arena_strdup(walk->arena, why),
		.remedy = mw_arena_strdup(walk->arena, remedy),
	};
	if (walk->gaps.n >= MAX_GAPS)
		return NULL;
	if (!gap.what || !gap.why || !gap.remedy || !mw_vec_add(&walk->gaps, gap))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_heap_area_add(struct mw_heap_walk *walk,
				const struct mw_heap_area *area)
{
	const struct mw_block_sink *sink = walk->opts->sink;
	if (!mw_vec_add(&walk->areas, *area))
		return mw_err_nomem();
	return sink ? sink->area(sink->ctx, area) : NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct mw_heap_area *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static bool all_ok(const struct mw_allocator_vec *allocators)
{
	for (size_t i = 0; i < allocators->n; i++)
		for (size_t j = 0; j < allocators->items[i].n_checks; j++)
			if (!allocators->items[i].checks[j].ok)
				return false;
	return true;
}

/* A core says what was dumped, and smaps sums whole mappings: neither knows pages. */
static void forget_residency(struct mw_heap_walk *walk)
{
	for (size_t i = 0; i < walk->allocators.n; i++) {
		struct mw_kept *kept = &walk->allocators.items[i].free;
		kept->resident = kept->trimmable = UINT64_MAX;
		kept->pinned = kept->untrimmable = UINT64_MAX;
	}
	for (size_t i = 0; i < walk->areas.n; i++) {
		struct mw_heap_area *area = &walk->areas.items[i];
		area->split = false;
		memset(area->resident, 0, sizeof(area->resident));
		memset(area->exclusive, 0, sizeof(area->exclusive));
	}
}

static bool knows_pages(const struct mw_snapshot *snap)
{
	return mw_snapshot_totals(snap)->engine != MW_ENGINE_SMAPS &&
	       !mw_source_facts(mw_snapshot_source(snap))->core;
}

static void publish(struct heap *heap)
{
	struct mw_heap_walk *walk = &heap->walk;
	if (!knows_pages(walk->snap))
		forget_residency(walk);
	if (walk->areas.n)
		qsort(walk->areas.items, walk->areas.n, sizeof(*walk->areas.items),
		      by_start);
	heap->pub.snap = walk->snap;
	heap->pub.allocators = walk->allocators.items;
	heap->pub.n_allocators = walk->allocators.n;
	heap->pub.areas = walk->areas.items;
	heap->pub.n_areas = walk->areas.n;
	heap->pub.gaps = walk->gaps.items;
	heap->pub.n_gaps = walk->gaps.n;
	heap->pub.settled = all_ok(&walk->allocators);
	heap->pub.locked = walk->locked;
}

/* Where nothing was found, it may be in what nobody read. */
static struct mw_err *note_swapped(struct mw_heap_walk *walk)
{
	uint64_t swapped = mw_snapshot_process(walk->snap)->vm_swap;
	if (walk->allocators.n || swapped == UINT64_MAX || !swapped)
		return NULL;
	const char *why = mw_arena_printf(walk->arena,
					  "%llu bytes of the process are swapped out: "
					  "reading them would bring them back",
					  (unsigned long long)swapped);
	return why ? mw_heap_gap(walk, "allocators", why, "") : mw_err_nomem();
}

static struct mw_err *walk_all(struct mw_heap_walk *walk)
{
	struct mw_err *err = mw_memory_init(&walk->memory, walk->snap, MW_READ_STRUCT, 0);
	if (!err)
		err = mw_memory_init(&walk->window, walk->snap, MW_READ_CONTENTS, WINDOW);
	walk->memory.still = walk->window.still = walk->opts->still;
	for (size_t i = 0; !err && walkers[i]; i++)
		err = walkers[i]->walk(walk);
	if (!err)
		err = note_swapped(walk);
	mw_memory_deinit(&walk->memory);
	mw_memory_deinit(&walk->window);
	return err;
}

struct mw_err *mw_heap_take(const struct mw_snapshot *snap,
			    const struct mw_heap_opts *opts, struct mw_heap **ret)
{
	struct heap *heap = calloc(1, sizeof(*heap));
	if (!heap)
		return mw_err_nomem();
	heap->walk = (struct mw_heap_walk){
		.snap = snap,
		.opts = opts,
		.page_size = mw_source_facts(mw_snapshot_source(snap))->page_size,
		.arena = &heap->arena,
	};
	struct mw_err *err = walk_all(&heap->walk);
	publish(heap);
	if (err)
		mw_heap_free(&heap->pub);
	else
		*ret = &heap->pub;
	return err;
}

void mw_heap_free(struct mw_heap *pub)
{
	struct heap *heap = (struct heap *)pub;
	if (!heap)
		return;
	mw_vec_deinit(&heap->walk.allocators);
	mw_vec_deinit(&heap->walk.areas);
	mw_vec_deinit(&heap->walk.gaps);
	mw_arena_deinit(&heap->arena);
	free(heap);
}
