// SPDX-License-Identifier: MIT
/* All that is read while the target stands still. */
#include "heap/leaks/reach.h"

#include "base/units.h"

#include <stdio.h>
#include <string.h>

enum { WINDOW = 1 << 20 };

struct mw_err *mw_reach_gap(struct mw_reach *reach, const char *what, const char *why,
			    const char *remedy)
{
	struct mw_gap gap = {
		.what = mw_arena_strdup(&reach->arena, what),
		.why = mw_arena_strdup(&reach->arena, why),
		.remedy = mw_arena_strdup(&reach->arena, remedy),
	};
	if (!gap.what || !gap.why || !gap.remedy || !mw_vec_add(&reach->gaps, gap))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *on_area(void *ctx, const struct mw_heap_area *area)
{
	struct mw_reach *reach = ctx;
	if (area->allocator < 64)
		reach->fed |= UINT64_C(1) << area->allocator;
	return mw_block_map_area(&reach->map, area->start, area->end);
}

static struct mw_err *on_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	return mw_block_map_add(&((struct mw_reach *)ctx)->map, blocks, n);
}

/* Pages that were swapped out are not brought back to be read. */
static uint64_t swapped_bytes(const struct mw_snapshot *snap)
{
	size_t n;
	uint64_t sum = 0;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if ((regions[i].counts.have & MW_HAVE_SWAP) &&
		    (!(regions[i].perms & MW_PERM_SHARED) ||
		     (regions[i].perms & MW_PERM_WRITE)))
			sum += regions[i].counts.swap;
	return sum;
}

static struct mw_err *bytes_gap(struct mw_reach *reach, uint64_t bytes, const char *what,
				const char *why)
{
	char words[MW_UNITS_LEN], text[160];
	if (!bytes)
		return NULL;
	reach->unsure = true;
	snprintf(text, sizeof(text), "%s of %s",
		 mw_units_bytes(bytes, MW_UNIT_AUTO, words), what);
	return mw_reach_gap(reach, text, why, "");
}

static uint64_t unknown_bytes(const struct mw_heap *heap)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < heap->n_allocators; i++)
		if (!heap->allocators[i].nested)
			sum += heap->allocators[i].unknown;
	return sum;
}

/* Where blocks were looked for, and where not. */
static struct mw_err *note_allocators(struct mw_reach *reach)
{
	const struct mw_heap *heap = reach->heap;
	struct mw_err *err = NULL;
	char what[128];
	if (!reach->map.n)
		return mw_reach_gap(reach, "leaks",
				    "no heap was found here whose blocks can be walked",
				    "");
	for (size_t i = 0; i < heap->n_allocators && !err; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		if (i < 64 && (reach->fed >> i & 1))
			continue;
		snprintf(what, sizeof(what), "leaks in the heap of %s", a->name);
		err = mw_reach_gap(reach, what,
				   "they are not looked for there: its memory counts as "
				   "in use, and all it points to",
				   "");
	}
	return err;
}

/* An allocator none of whose sums is off: what it calls live is live. */
static bool is_sound(const struct mw_allocator *a, size_t *n_failed)
{
	bool sound = true;
	for (size_t i = 0; i < a->n_checks; i++) {
		if (a->checks[i].ok)
			continue;
		/* A mapped block that was not found is searched for pointers all the
		 * same. */
		sound = sound && !strncmp(a->checks[i].name, "mmapped", 7);
		++*n_failed;
	}
	return sound;
}

static struct mw_err *note_checks(struct mw_reach *reach)
{
	const struct mw_heap *heap = reach->heap;
	size_t n_failed = 0;
	char what[64];
	for (size_t i = 0; i < heap->n_allocators; i++)
		if (!is_sound(&heap->allocators[i], &n_failed))
			reach->unsure = true;
	if (!n_failed)
		return NULL;
	snprintf(what, sizeof(what), "%zu sum%s of the heap", n_failed,
		 n_failed == 1 ? "" : "s");
	return mw_reach_gap(reach, what,
			    "not what it must be: which blocks are live is not sure "
			    "(memwhy heap --checks)",
			    "");
}

static struct mw_err *note_gaps(struct mw_reach *reach, const struct mw_heap_opts *opts)
{
	struct mw_err *err = note_allocators(reach);
	if (err || !reach->map.n)
		return err;
	if (!opts->still)
		err = mw_reach_gap(reach, "certainty",
				   "the target ran while it was read: a block that moved "
				   "meanwhile looks leaked",
				   "");
	else if (!err && (!opts->registers || !opts->registers->n))
		err = mw_reach_gap(reach, "registers",
				   "not known: a block that only a register leads to "
				   "looks leaked",
				   "");
	if (!err)
		err = note_checks(reach);
	if (!err)
		err = bytes_gap(reach, reach->unread, "memory",
				"could not be read: blocks that it leads to look leaked");
	if (!err)
		err = bytes_gap(reach, swapped_bytes(reach->snap), "memory",
				"swapped out, and not brought back to be read: blocks "
				"that it leads to look leaked");
	if (!err)
		err = bytes_gap(reach, unknown_bytes(reach->heap), "heap",
				"not understood, so not read: blocks that it leads to "
				"look leaked");
	return err;
}

static struct mw_err *walk(struct mw_reach *reach, const struct mw_heap_opts *opts)
{
	struct mw_block_sink sink = { reach, on_area, on_blocks };
	struct mw_heap_opts own = *opts;
	own.sink = &sink;
	struct mw_err *err = mw_block_map_init(&reach->map);
	if (!err)
		err = mw_heap_take(reach->snap, &own, &reach->heap);
	if (!err)
		err = mw_block_map_finish(&reach->map);
	return err;
}

/* How often structures of the target could not be read until now. */
static size_t n_refused(const struct mw_snapshot *snap)
{
	size_t n, sum = 0;
	const struct mw_refusal *refusals =
		mw_source_refusals(mw_snapshot_source(snap), &n);
	for (size_t i = 0; i < n; i++)
		if (strstr(refusals[i].what, "memory"))
			sum += refusals[i].n;
	return sum;
}

static struct mw_err *gather(struct mw_reach *reach, const struct mw_heap_opts *opts)
{
	mw_auto_memory mem = { 0 };
	struct mw_err *err = mw_memory_init(&mem, reach->snap, MW_READ_CONTENTS, WINDOW);
	size_t refused = n_refused(reach->snap);
	mem.still = opts->still;
	reach->unsure = !opts->still;
	if (!err)
		err = mw_kinds_init(&reach->kinds, reach->snap);
	if (!err)
		err = walk(reach, opts);
	if (!err)
		err = mw_edges_init(&reach->edges, reach->map.n);
	if (!err && !(reach->rooted = mw_bits_new(reach->map.n)))
		err = mw_err_nomem();
	if (!err && reach->map.n)
		err = mw_reach_contents(reach, &mem);
	if (!err && reach->map.n)
		err = mw_reach_roots(reach, &mem, opts);
	reach->unsure = reach->unsure || n_refused(reach->snap) != refused;
	return err ? err : note_gaps(reach, opts);
}

struct mw_err *mw_reach_gather(const struct mw_snapshot *snap,
			       const struct mw_leaks_opts *opts, struct mw_reach **ret)
{
	struct mw_reach *reach = calloc(1, sizeof(*reach));
	if (!reach)
		return mw_err_nomem();
	reach->snap = snap;
	struct mw_err *err = gather(reach, &opts->heap);
	if (err)
		mw_reach_free(reach);
	else
		*ret = reach;
	return err;
}

const struct mw_heap *mw_reach_heap(const struct mw_reach *reach)
{
	return reach->heap;
}

void mw_reach_free(struct mw_reach *reach)
{
	if (!reach)
		return;
	mw_block_map_deinit(&reach->map);
	mw_edges_deinit(&reach->edges);
	mw_kinds_deinit(&reach->kinds);
	mw_vec_deinit(&reach->gaps);
	free(reach->rooted);
	mw_heap_free(reach->heap);
	mw_arena_deinit(&reach->arena);
	free(reach);
}
