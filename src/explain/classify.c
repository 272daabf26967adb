// SPDX-License-Identifier: MIT
/*
 * The driver: runs the classifiers, then lays their claims over the regions in one
 * sweep. Segments are whole pages, because counters are: a claim that begins or ends
 * inside a page takes the whole page, and rank decides between two that share one.
 */
#include "base/vec.h"
#include "explain/claims.h"
#include "model/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* More unknown segments than this keep their short evidence: it costs an arena string. */
enum { MAX_DESCRIBED = 2000, MAX_GAPS = 64, MAX_GUARD_PAGES = 16 };

struct item {
	struct mw_claim claim;
	size_t seq; /* order of arrival */
};

struct items {
	MW_VEC(struct item);
};

struct segments {
	MW_VEC(struct mw_segment);
};

struct gaps {
	MW_VEC(struct mw_gap);
};

struct mw_layout {
	struct mw_arena arena;
	struct segments segments;
	struct gaps gaps;
};

struct mw_classify {
	const struct mw_snapshot *snap;
	const struct mw_heap *heap;
	struct mw_layout *layout;
	struct mw_seen seen;
	struct items items;
	struct mw_memory memory;
	uint64_t page_size;
	bool split; /* regions may be split: the snapshot knows their pages */
};

static const char nameless[] = "";

/* Later ones may rely on what earlier ones found out (struct mw_seen). */
static mw_classifier_fn *const classifiers[] = {
	mw_classify_elf,   mw_classify_threads,    mw_classify_stack, mw_classify_glibc,
	mw_classify_memfd, mw_classify_allocators, mw_classify_jvm,   mw_classify_v8,
	mw_classify_go,    mw_classify_python,     mw_classify_heap,
};

const struct mw_snapshot *mw_classify_snapshot(const struct mw_classify *cx)
{
	return cx->snap;
}

const struct mw_heap *mw_classify_walked(const struct mw_classify *cx)
{
	return cx->heap;
}

struct mw_arena *mw_classify_arena(struct mw_classify *cx)
{
	return &cx->layout->arena;
}

struct mw_seen *mw_classify_seen(struct mw_classify *cx)
{
	return &cx->seen;
}

struct mw_err *mw_claim(struct mw_classify *cx, const struct mw_claim *claim)
{
	uint64_t mask = cx->page_size - 1;
	struct item item = { .claim = *claim, .seq = cx->items.n };
	item.claim.start &= ~mask;
	if (__builtin_add_overflow(item.claim.end, mask, &item.claim.end))
		item.claim.end = UINT64_MAX;
	item.claim.end &= ~mask;
	if (item.claim.start >= item.claim.end)
		return NULL;
	/* One address for "no name", so that such pieces can be joined. */
	if (!item.claim.name)
		item.claim.name = nameless;
	return mw_vec_add(&cx->items, item) ? NULL : mw_err_nomem();
}

struct mw_err *mw_classify_gap(struct mw_classify *cx, const char *what, const char *why,
			       const char *remedy)
{
	struct gaps *gaps = &cx->layout->gaps;
	for (size_t i = 0; i < gaps->n; i++)
		if (!strcmp(gaps->items[i].what, what) &&
		    !strcmp(gaps->items[i].why, why))
			return NULL;
	if (gaps->n >= MAX_GAPS)
		return NULL;
	struct mw_arena *arena = &cx->layout->arena;
	struct mw_gap gap = {
		.what = mw_arena_strdup(arena, what),
		.why = mw_arena_strdup(arena, why),
		.remedy = mw_arena_strdup(arena, remedy),
	};
	if (!gap.what || !gap.why || !gap.remedy || !mw_vec_add(gaps, gap))
		return mw_err_nomem();
	return NULL;
}

/*
 * Exactly the bytes asked for and no page around them: what is read here is kept in
 * recordings, and a block header's page is full of the program's own data.
 */
bool mw_peek(struct mw_classify *cx, uint64_t addr, void *bytes, size_t len)
{
	return mw_memory_read(&cx->memory, addr, bytes, len);
}

static int by_start(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->claim.start != y->claim.start)
		return x->claim.start < y->claim.start ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Claims that cover the sweep's position, as a binary heap: the winner is on top. */
struct sweep {
	struct mw_classify *cx;
	const struct item **heap;
	size_t n_heap, next; /* next: first item not yet in the heap */
	size_t first;        /* first segment of the current region */
};

static bool beats(const struct item *a, const struct item *b)
{
	if (a->claim.rank != b->claim.rank)
		return a->claim.rank > b->claim.rank;
	return a->seq > b->seq;
}

static void heap_push(struct sweep *sweep, const struct item *item)
{
	size_t i = sweep->n_heap++;
	for (; i > 0 && beats(item, sweep->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sweep->heap[i] = sweep->heap[(i - 1) / 2];
	sweep->heap[i] = item;
}

static void heap_pop(struct sweep *sweep)
{
	const struct item *last = sweep->heap[--sweep->n_heap];
	size_t i = 0, child;
	for (; (child = 2 * i + 1) < sweep->n_heap; i = child) {
		if (child + 1 < sweep->n_heap &&
		    beats(sweep->heap[child + 1], sweep->heap[child]))
			child++;
		if (!beats(sweep->heap[child], last))
			break;
		sweep->heap[i] = sweep->heap[child];
	}
	sweep->heap[i] = last;
}

/* The best claim at `pos`, or NULL; *end shrinks to where that may change. */
static const struct mw_claim *claim_at(struct sweep *sweep, uint64_t pos, uint64_t *end)
{
	const struct items *items = &sweep->cx->items;
	for (; sweep->next < items->n && items->items[sweep->next].claim.start <= pos;
	     sweep->next++)
		if (items->items[sweep->next].claim.end > pos)
			heap_push(sweep, &items->items[sweep->next]);
	while (sweep->n_heap && sweep->heap[0]->claim.end <= pos)
		heap_pop(sweep);
	if (sweep->next < items->n && items->items[sweep->next].claim.start < *end)
		*end = items->items[sweep->next].claim.start;
	if (!sweep->n_heap)
		return NULL;
	if (sweep->heap[0]->claim.end < *end)
		*end = sweep->heap[0]->claim.end;
	return &sweep->heap[0]->claim;
}

static bool same_thing(const struct mw_segment *seg, const struct mw_claim *claim)
{
	return seg->class == claim->class && seg->confidence == claim->confidence &&
	       seg->tid == claim->tid && seg->name == claim->name &&
	       seg->evidence == claim->evidence;
}

/* Appends [start, end) to the region's segments, or grows the last one. */
static struct mw_err *add_piece(struct sweep *sweep, size_t region,
				const struct mw_claim *claim, uint64_t start,
				uint64_t end)
{
	struct segments *segs = &sweep->cx->layout->segments;
	if (segs->n > sweep->first && same_thing(&segs->items[segs->n - 1], claim)) {
		segs->items[segs->n - 1].end = end;
		return NULL;
	}
	struct mw_segment seg = {
		.start = start,
		.end = end,
		.region = region,
		.class = claim->class,
		.confidence = claim->confidence,
		.name = claim->name ? claim->name : nameless,
		.evidence = claim->evidence ? claim->evidence : "",
		.tid = claim->tid,
	};
	return mw_vec_add(segs, seg) ? NULL : mw_err_nomem();
}

/* A few inaccessible pages right beside memory in use are there to catch overruns. */
static void ground_guard(const struct mw_classify *cx, size_t i, struct mw_claim *ground)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(cx->snap, &n);
	const struct mw_region *region = &regions[i];
	unsigned rw = MW_PERM_READ | MW_PERM_WRITE;
	if ((region->perms & (rw | MW_PERM_EXEC)) || (region->perms & MW_PERM_SHARED) ||
	    (ground->class != MW_CLASS_RESERVED && ground->class != MW_CLASS_UNKNOWN) ||
	    region->end - region->start > MAX_GUARD_PAGES * cx->page_size)
		return;
	bool above = i + 1 < n && regions[i + 1].start == region->end &&
		     (regions[i + 1].perms & rw) == rw;
	bool below = i > 0 && regions[i - 1].end == region->start &&
		     (regions[i - 1].perms & rw) == rw;
	if (!above && !below)
		return;
	ground->class = MW_CLASS_GUARD;
	ground->confidence = MW_LIKELY;
	ground->evidence = above ? "a few inaccessible pages right below writable memory"
				 : "a few inaccessible pages right above writable memory";
}

/*
 * Without page runs a part of a region has no counters: the class that covers most of
 * the region stands for all of it.
 */
static void keep_largest(struct sweep *sweep, const struct mw_region *region)
{
	struct segments *segs = &sweep->cx->layout->segments;
	uint64_t covered[MW_CLASS_COUNT] = { 0 };
	size_t best = sweep->first;
	for (size_t i = sweep->first; i < segs->n; i++)
		covered[segs->items[i].class] +=
			segs->items[i].end - segs->items[i].start;
	for (size_t i = sweep->first + 1; i < segs->n; i++)
		if (covered[segs->items[i].class] > covered[segs->items[best].class])
			best = i;
	struct mw_segment *seg = &segs->items[sweep->first];
	*seg = segs->items[best];
	seg->start = region->start;
	seg->end = region->end;
	segs->n = sweep->first + 1;
}

static void count_pieces(struct sweep *sweep, const struct mw_region *region)
{
	struct segments *segs = &sweep->cx->layout->segments;
	if (segs->n == sweep->first + 1) {
		segs->items[sweep->first].counts = region->counts;
		return;
	}
	for (size_t i = sweep->first; i < segs->n; i++) {
		struct mw_segment *seg = &segs->items[i];
		seg->counts =
			mw_snapshot_count(sweep->cx->snap, region, seg->start, seg->end);
	}
}

/* No core keeps the kernel's names: its source gives them by where mappings lie. */
static void ground_core(const struct mw_classify *cx, struct mw_claim *ground)
{
	if (!mw_source_facts(mw_snapshot_source(cx->snap))->core ||
	    ground->name[0] != '[')
		return;
	ground->confidence = MW_LIKELY;
	ground->evidence = "by where it lies: a core keeps no names";
}

static struct mw_err *sweep_region(struct sweep *sweep, size_t i)
{
	size_t n;
	const struct mw_region *region = &mw_snapshot_regions(sweep->cx->snap, &n)[i];
	struct mw_claim ground;
	mw_classify_ground(region, &ground);
	ground_core(sweep->cx, &ground);
	ground_guard(sweep->cx, i, &ground);
	sweep->first = sweep->cx->layout->segments.n;
	for (uint64_t pos = region->start, end; pos < region->end; pos = end) {
		end = region->end;
		const struct mw_claim *claim = claim_at(sweep, pos, &end);
		/* "The rest is the runtime's" says less than a region's own name. */
		if (!claim || (claim->rank <= MW_RANK_RUNTIME_GUESS &&
			       ground.class != MW_CLASS_UNKNOWN))
			claim = &ground;
		struct mw_err *err = add_piece(sweep, i, claim, pos, end);
		if (err)
			return err;
	}
	if (sweep->cx->layout->segments.n == sweep->first)
		return NULL;
	if (!sweep->cx->split || region->whole)
		keep_largest(sweep, region);
	count_pieces(sweep, region);
	return NULL;
}

static struct mw_err *sweep_all(struct mw_classify *cx)
{
	size_t n;
	struct sweep sweep = { .cx = cx };
	struct mw_err *err = NULL;
	(void)mw_snapshot_regions(cx->snap, &n);
	if (cx->items.n) {
		qsort(cx->items.items, cx->items.n, sizeof(struct item), by_start);
		sweep.heap = calloc(cx->items.n, sizeof(struct item *));
		if (!sweep.heap)
			return mw_err_nomem();
	}
	for (size_t i = 0; i < n && !err; i++)
		err = sweep_region(&sweep, i);
	free(sweep.heap);
	return err;
}

/* What stays unknown says where it lies: that is what a person would look at first. */
static struct mw_err *describe_unknown(struct mw_classify *cx)
{
	struct segments *segs = &cx->layout->segments;
	size_t n_unknown = 0;
	for (size_t i = 0; i < segs->n; i++)
		n_unknown += segs->items[i].class == MW_CLASS_UNKNOWN;
	if (n_unknown > MAX_DESCRIBED)
		return NULL;
	for (size_t i = 0; i < segs->n; i++) {
		struct mw_segment *seg = &segs->items[i];
		if (seg->class != MW_CLASS_UNKNOWN)
			continue;
		const char *below =
			i ? mw_class_title(segs->items[i - 1].class) : "the bottom";
		const char *above = i + 1 < segs->n
					    ? mw_class_title(segs->items[i + 1].class)
					    : "the top";
		seg->evidence = mw_arena_printf(
			&cx->layout->arena, "%s, %" PRIu64 " KiB, between %s and %s",
			seg->evidence, (seg->end - seg->start) >> 10, below, above);
		if (!seg->evidence)
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *classify(struct mw_classify *cx)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < sizeof(classifiers) / sizeof(*classifiers) && !err; i++)
		err = classifiers[i](cx);
	if (!err && !cx->split)
		err = mw_classify_gap(cx, "parts of regions",
				      "smaps counts whole mappings, not their pages", "");
	if (!err)
		err = sweep_all(cx);
	return err ? err : describe_unknown(cx);
}

/* Whatever could not be read weakens classes; which kind of reading failed is said. */
static struct mw_err *note_refusals(struct mw_classify *cx)
{
	size_t n;
	const struct mw_refusal *refusals =
		mw_source_refusals(mw_snapshot_source(cx->snap), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < n; i++)
		err = mw_classify_gap(cx, refusals[i].what, refusals[i].why, "");
	return err;
}

struct mw_err *mw_classify(const struct mw_snapshot *snap, const struct mw_heap *heap,
			   struct mw_layout **ret)
{
	size_t n_regions;
	(void)mw_snapshot_regions(snap, &n_regions);
	struct mw_classify cx = {
		.snap = snap,
		.heap = heap,
		.layout = calloc(1, sizeof(struct mw_layout)),
		.page_size = mw_source_facts(mw_snapshot_source(snap))->page_size,
		.split = mw_snapshot_totals(snap)->engine != MW_ENGINE_SMAPS,
	};
	if (!cx.layout)
		return mw_err_nomem();
	if (!cx.page_size || (cx.page_size & (cx.page_size - 1)))
		cx.page_size = 4096;
	struct mw_err *err = mw_memory_init(&cx.memory, snap, MW_READ_STRUCT, 0);
	if (!err && n_regions)
		err = classify(&cx);
	if (!err && n_regions)
		err = note_refusals(&cx);
	mw_vec_deinit(&cx.items);
	if (err) {
		mw_layout_free(cx.layout);
		return err;
	}
	*ret = cx.layout;
	return NULL;
}

void mw_layout_free(struct mw_layout *layout)
{
	if (!layout)
		return;
	mw_vec_deinit(&layout->segments);
	mw_vec_deinit(&layout->gaps);
	mw_arena_deinit(&layout->arena);
	free(layout);
}

const struct mw_segment *mw_layout_segments(const struct mw_layout *layout, size_t *n)
{
	*n = layout->segments.n;
	return layout->segments.items;
}

const struct mw_gap *mw_layout_gaps(const struct mw_layout *layout, size_t *n)
{
	*n = layout->gaps.n;
	return layout->gaps.items;
}

size_t mw_layout_from(const struct mw_layout *layout, uint64_t addr)
{
	size_t lo = 0, hi = layout->segments.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (layout->segments.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
