// SPDX-License-Identifier: MIT
/* From blocks to a report: sums, histogram, resident bytes by use, the sink. */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

static int by_start(const void *a, const void *b)
{
	const struct mw_heap_area *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

struct mw_err *mw_tally_init(struct mw_tally *tally, struct mw_heap_walk *walk,
			     const struct mw_walker *walker)
{
	const struct mw_heap_area_vec *areas = &walk->areas;
	memset(tally, 0, sizeof(*tally));
	tally->walk = walk;
	tally->it = (struct mw_allocator){
		.name = walker->name,
		.version = "",
		.object = "",
		.note = "",
		.depth = MW_HEAP_WALKED,
	};
	tally->has_runs = mw_snapshot_totals(walk->snap)->engine != MW_ENGINE_SMAPS;
	tally->sizes = calloc(MW_SIZE_CLASSES, sizeof(*tally->sizes));
	tally->others = calloc(areas->n ? areas->n : 1, sizeof(*tally->others));
	if (!tally->sizes || !tally->others)
		return mw_err_nomem();
	if (areas->n)
		memcpy(tally->others, areas->items, areas->n * sizeof(*areas->items));
	tally->n_others = areas->n;
	qsort(tally->others, tally->n_others, sizeof(*tally->others), by_start);
	return mw_memory_init(&tally->look, walk->snap, MW_READ_STRUCT, 0);
}

void mw_tally_deinit(struct mw_tally *tally)
{
	free(tally->sizes);
	free(tally->others);
	tally->sizes = NULL;
	tally->others = NULL;
	mw_memory_deinit(&tally->look);
}

/* True when another allocator has a part of [start, end). */
static bool is_taken(const struct mw_tally *tally, uint64_t start, uint64_t end)
{
	size_t lo = 0;
	for (size_t hi = tally->n_others; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (tally->others[mid].end <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < tally->n_others && tally->others[lo].start < end;
}

static void begin(struct mw_tally *tally, uint64_t start, uint64_t end, uint64_t arena,
		  enum mw_part rest)
{
	tally->area = (struct mw_heap_area){
		.start = start,
		.end = end,
		.kind = MW_AREA_OTHER,
		.allocator = tally->walk->allocators.n,
		.arena = arena,
		.split = tally->has_runs,
	};
	memset(tally->page, 0, sizeof(tally->page));
	tally->pos = start;
	tally->rest = rest;
	tally->open = true;
	tally->it.system += end - start;
}

struct mw_err *mw_tally_open(struct mw_tally *tally, uint64_t start, uint64_t end,
			     uint64_t arena, enum mw_part rest)
{
	const struct mw_block_sink *sink = tally->walk->opts->sink;
	begin(tally, start, end, arena, rest);
	tally->hidden = is_taken(tally, start, end);
	tally->it.nested |= tally->hidden;
	return sink && tally->feed && !tally->hidden ? sink->area(sink->ctx, &tally->area)
						     : NULL;
}

struct mw_err *mw_tally_open_inside(struct mw_tally *tally, uint64_t start, uint64_t end,
				    enum mw_part rest)
{
	begin(tally, start, end, 0, rest);
	tally->area.split = false;
	tally->hidden = true;
	return NULL;
}

static void count(struct mw_tally *tally, enum mw_use use, uint64_t bytes, bool exclusive)
{
	tally->area.resident[use] += bytes;
	if (exclusive)
		tally->area.exclusive[use] += bytes;
}

static const enum mw_use use_of[] = {
	[MW_PART_LIVE] = MW_USE_LIVE,
	[MW_PART_KEPT] = MW_USE_UNTRIMMABLE,
	[MW_PART_OVERHEAD] = MW_USE_OVERHEAD,
	[MW_PART_UNKNOWN] = MW_USE_UNKNOWN,
};

/* The page that ends at `end` is known: its kept bytes are pinned by any other. */
static void end_page(struct mw_tally *tally, uint64_t end)
{
	uint64_t addr = end - tally->walk->page_size;
	if (mw_memory_stretch(&tally->look, addr, end) == end) {
		for (unsigned i = 0; i < MW_PART_COUNT; i++) {
			bool whole = tally->page[i] == tally->walk->page_size;
			bool pinned = i == MW_PART_KEPT && !whole;
			count(tally, pinned ? MW_USE_PINNED : use_of[i], tally->page[i],
			      tally->look.exclusive);
		}
	}
	memset(tally->page, 0, sizeof(tally->page));
}

/* Where what is like the page at `addr` ends; what is not mapped is passed at once. */
static uint64_t stretch_end(struct mw_tally *tally, uint64_t addr, bool *there)
{
	size_t n, i = mw_alloc_first(tally->walk->snap, addr);
	const struct mw_region *regions = mw_snapshot_regions(tally->walk->snap, &n);
	*there = mw_memory_stretch(&tally->look, addr, addr + 1) > addr;
	if (*there || (i < n && regions[i].start <= addr))
		return tally->look.end;
	return i < n ? regions[i].start : UINT64_MAX;
}

/* Whole pages that are one thing. */
static void whole_pages(struct mw_tally *tally, uint64_t addr, uint64_t end,
			enum mw_part part)
{
	while (addr < end) {
		bool there;
		uint64_t upto = stretch_end(tally, addr, &there);
		upto = upto < end ? upto : end;
		if (upto <= addr)
			return;
		if (there)
			count(tally, use_of[part], upto - addr, tally->look.exclusive);
		addr = upto;
	}
}

/* Adds [pos, end), which is one thing, to the area. */
static void advance(struct mw_tally *tally, uint64_t end, enum mw_part part)
{
	uint64_t page = tally->walk->page_size, pos = tally->pos;
	tally->bytes[part] += end - pos;
	tally->pos = end;
	if (!tally->area.split)
		return;
	if (pos & (page - 1)) {
		uint64_t next = mw_alloc_up(pos, page), upto = end < next ? end : next;
		tally->page[part] += upto - pos;
		pos = upto;
		if (pos < next)
			return;
		end_page(tally, next);
	}
	if (mw_alloc_down(end, page) > pos) {
		whole_pages(tally, pos, mw_alloc_down(end, page), part);
		pos = mw_alloc_down(end, page);
	}
	tally->page[part] += end - pos;
}

void mw_tally_part(struct mw_tally *tally, uint64_t start, uint64_t end,
		   enum mw_part part)
{
	if (start > end || start < tally->pos || end > tally->area.end) {
		tally->overlaps++;
		start = start < tally->pos ? tally->pos : start;
		end = end > tally->area.end ? tally->area.end : end;
	}
	if (start >= end)
		return;
	if (start > tally->pos)
		advance(tally, start, tally->rest);
	advance(tally, end, part);
}

static struct mw_err *flush(struct mw_tally *tally)
{
	const struct mw_block_sink *sink = tally->walk->opts->sink;
	size_t n = tally->n_batch;
	tally->n_batch = 0;
	return n ? sink->blocks(sink->ctx, tally->batch, n) : NULL;
}

struct mw_err *mw_tally_live(struct mw_tally *tally, uint64_t addr, uint64_t len)
{
	struct mw_heap_size *size = &tally->sizes[mw_size_class(len)];
	if (addr < tally->pos || addr > tally->area.end || len > tally->area.end - addr) {
		tally->overlaps++;
		return NULL;
	}
	mw_tally_part(tally, addr, addr + len, MW_PART_LIVE);
	size->live.n++;
	size->live.bytes += len;
	tally->it.live.n++;
	tally->it.live.bytes += len;
	if (!tally->feed || !tally->walk->opts->sink || tally->hidden)
		return NULL;
	tally->batch[tally->n_batch++] = (struct mw_block){ addr, len };
	return tally->n_batch == MW_TALLY_BATCH ? flush(tally) : NULL;
}

void mw_tally_kept(struct mw_tally *tally, uint64_t addr, uint64_t len)
{
	struct mw_heap_size *size = &tally->sizes[mw_size_class(len)];
	mw_tally_part(tally, addr, addr + len, MW_PART_KEPT);
	size->kept.n++;
	size->kept.bytes += len;
}

struct mw_err *mw_tally_close(struct mw_tally *tally)
{
	struct mw_heap_walk *walk = tally->walk;
	if (tally->pos < tally->area.end)
		advance(tally, tally->area.end, tally->rest);
	tally->open = false;
	for (unsigned i = 0; i < MW_USE_COUNT; i++) {
		uint64_t bytes = tally->area.resident[i];
		bool kept = i == MW_USE_PINNED || i == MW_USE_UNTRIMMABLE;
		tally->it.free.resident += kept ? bytes : 0;
	}
	tally->it.free.pinned += tally->area.resident[MW_USE_PINNED];
	tally->it.free.untrimmable += tally->area.resident[MW_USE_UNTRIMMABLE];
	struct mw_err *err = flush(tally);
	if (!err && !tally->hidden && !mw_vec_add(&walk->areas, tally->area))
		err = mw_err_nomem();
	return err;
}

struct mw_err *mw_tally_area(struct mw_tally *tally, uint64_t start, uint64_t end)
{
	struct mw_heap_area area = {
		.start = start,
		.end = end,
		.kind = MW_AREA_OTHER,
		.allocator = tally->walk->allocators.n,
	};
	if (is_taken(tally, start, end)) {
		tally->it.nested = true;
		return NULL;
	}
	return mw_vec_add(&tally->walk->areas, area) ? NULL : mw_err_nomem();
}

void mw_tally_check(struct mw_tally *tally, const char *name, uint64_t expected,
		    uint64_t found)
{
	if (!name || tally->it.n_checks == MW_TALLY_CHECKS)
		return;
	tally->checks[tally->it.n_checks++] = (struct mw_check){
		.name = name,
		.ok = expected == found,
		.expected = expected,
		.found = found,
	};
}

/* Copies what is not empty of the histogram into the walk's arena. */
static bool keep_sizes(struct mw_tally *tally)
{
	struct mw_heap_size *kept =
		mw_arena_calloc(tally->walk->arena, MW_SIZE_CLASSES, sizeof(*kept));
	size_t n = 0;
	for (unsigned i = 0; i < MW_SIZE_CLASSES && kept; i++) {
		if (!tally->sizes[i].live.n && !tally->sizes[i].kept.n)
			continue;
		kept[n] = tally->sizes[i];
		kept[n++].size = mw_size_class_max(i);
	}
	tally->it.sizes = kept;
	tally->it.n_sizes = n;
	return kept;
}

struct mw_err *mw_tally_publish(struct mw_tally *tally)
{
	struct mw_heap_walk *walk = tally->walk;
	struct mw_allocator *it = &tally->it;
	if (it->depth == MW_HEAP_WALKED) {
		mw_tally_check(tally, "no two parts overlap", 0, tally->overlaps);
		it->overhead = tally->bytes[MW_PART_OVERHEAD];
		it->unknown = tally->bytes[MW_PART_UNKNOWN];
		it->free.bytes = tally->bytes[MW_PART_KEPT];
	}
	struct mw_check *checks =
		mw_arena_calloc(walk->arena, it->n_checks + 1, sizeof(*checks));
	if (!checks || !keep_sizes(tally))
		return mw_err_nomem();
	memcpy(checks, tally->checks, it->n_checks * sizeof(*checks));
	it->checks = checks;
	return mw_vec_add(&walk->allocators, *it) ? NULL : mw_err_nomem();
}

struct mw_err *mw_alloc_recognised(struct mw_heap_walk *walk,
				   const struct mw_walker *walker, const char *version,
				   const char *object, const char *note)
{
	struct mw_allocator it = {
		.name = walker->name,
		.version = version,
		.object = object,
		.depth = MW_HEAP_RECOGNISED,
		.note = note,
	};
	return mw_vec_add(&walk->allocators, it) ? NULL : mw_err_nomem();
}
