// SPDX-License-Identifier: MIT
/*
 * The heap's part of the account. A walk says of every area which of its resident bytes
 * are live, and which the allocator only keeps. They are moved from the bucket of the
 * area's segments, so the account conserves whatever the walk says; and an area whose
 * resident bytes are not those that the segments have stays whole.
 */
#include "explain/account.h"

/* What is moved from and to which buckets. */
static const struct {
	enum mw_cause whole;
	enum mw_cause of[MW_USE_COUNT];
} moves[] = {
	{ CAUSE_HEAP,
	  { [MW_USE_LIVE] = CAUSE_HEAP_LIVE,
	    [MW_USE_TRIMMABLE] = CAUSE_HEAP_TRIMMABLE,
	    [MW_USE_PINNED] = CAUSE_HEAP_KEPT,
	    [MW_USE_UNTRIMMABLE] = CAUSE_HEAP_KEPT,
	    [MW_USE_OVERHEAD] = CAUSE_HEAP_OVERHEAD,
	    [MW_USE_UNKNOWN] = CAUSE_HEAP } },
	{ CAUSE_PYTHON,
	  { [MW_USE_LIVE] = CAUSE_PYTHON,
	    [MW_USE_TRIMMABLE] = CAUSE_PYTHON_KEPT,
	    [MW_USE_PINNED] = CAUSE_PYTHON_KEPT,
	    [MW_USE_UNTRIMMABLE] = CAUSE_PYTHON_KEPT,
	    [MW_USE_OVERHEAD] = CAUSE_PYTHON,
	    [MW_USE_UNKNOWN] = CAUSE_PYTHON } },
};

/* Segments and areas both ascend: one pass over both. */
struct pass {
	const struct mw_explain *ex;
	const struct mw_region *regions;
	const struct mw_segment *segs;
	size_t n_segs, next; /* the first that ends after the area's start */
};

/*
 * The segments under one area. Some may be another's: a stack that the program put into
 * a block, thread-local storage that a static program keeps below its heap.
 */
struct ground {
	enum mw_cause cause; /* CAUSE_REST: none that is divided */
	uint64_t rss, uss, covered;
	uint64_t other_rss, other_uss; /* of other causes, part of the above */
	bool has_uss;
};

static bool is_divided(enum mw_cause cause)
{
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].whole == cause)
			return true;
	return false;
}

static void add_under(const struct pass *pass, const struct mw_segment *seg,
		      uint64_t start, uint64_t end, struct ground *ret)
{
	struct mw_counts counts = seg->counts;
	enum mw_cause cause = mw_cause_of(seg->class);
	if (start > seg->start || end < seg->end) {
		start = start > seg->start ? start : seg->start;
		end = end < seg->end ? end : seg->end;
		counts = mw_snapshot_count(pass->ex->pub.snap,
					   &pass->regions[seg->region], start, end);
	} else {
		start = seg->start;
		end = seg->end;
	}
	if (ret->cause == CAUSE_REST && is_divided(cause))
		ret->cause = cause;
	ret->covered += end - start;
	ret->rss += counts.rss;
	ret->uss += counts.uss;
	ret->other_rss += cause == ret->cause ? 0 : counts.rss;
	ret->other_uss += cause == ret->cause ? 0 : counts.uss;
	ret->has_uss &= !!(counts.have & MW_HAVE_USS);
}

static bool find_ground(struct pass *pass, const struct mw_heap_area *area,
			struct ground *ret)
{
	while (pass->next < pass->n_segs && pass->segs[pass->next].end <= area->start)
		pass->next++;
	*ret = (struct ground){ .cause = CAUSE_REST, .has_uss = true };
	for (size_t i = pass->next; i < pass->n_segs && pass->segs[i].start < area->end;
	     i++)
		add_under(pass, &pass->segs[i], area->start, area->end, ret);
	return ret->cause != CAUSE_REST && ret->covered == area->end - area->start;
}

static uint64_t sum(const uint64_t bytes[MW_USE_COUNT])
{
	uint64_t ret = 0;
	for (unsigned i = 0; i < MW_USE_COUNT; i++)
		if (__builtin_add_overflow(ret, bytes[i], &ret))
			return UINT64_MAX;
	return ret;
}

/* Beside the heap's chunks it was not understood; inside of blocks it is live to malloc.
 */
static void take_out(uint64_t bytes[MW_USE_COUNT], uint64_t other)
{
	static const enum mw_use order[MW_USE_COUNT] = {
		MW_USE_UNKNOWN, MW_USE_LIVE,        MW_USE_OVERHEAD,
		MW_USE_PINNED,  MW_USE_UNTRIMMABLE, MW_USE_TRIMMABLE,
	};
	for (unsigned i = 0; i < MW_USE_COUNT; i++) {
		uint64_t part = bytes[order[i]] < other ? bytes[order[i]] : other;
		bytes[order[i]] -= part;
		other -= part;
	}
}

/* The area less what is another's, where that agrees with its pages. */
static bool own_part(const struct mw_heap_area *area, const struct ground *ground,
		     struct mw_heap_area *ret)
{
	*ret = *area;
	if (sum(area->resident) != ground->rss ||
	    (ground->has_uss && sum(area->exclusive) != ground->uss))
		return false;
	take_out(ret->resident, ground->other_rss);
	take_out(ret->exclusive, ground->other_uss);
	for (unsigned i = 0; ground->has_uss && i < MW_USE_COUNT; i++)
		if (ret->exclusive[i] > ret->resident[i])
			return false;
	return true;
}

static void move_bytes(struct mw_bucket *from, struct mw_bucket *to, uint64_t bytes,
		       uint64_t exclusive, bool known)
{
	from->bytes -= bytes;
	to->bytes += bytes;
	if (!known || from->private_bytes == MW_UNKNOWN ||
	    to->private_bytes == MW_UNKNOWN) {
		to->private_bytes = MW_UNKNOWN;
		return;
	}
	from->private_bytes -= exclusive;
	to->private_bytes += exclusive;
}

static void move_area(const struct mw_heap_area *area, const struct ground *ground,
		      struct mw_bucket *buckets)
{
	for (size_t k = 0; k < sizeof(moves) / sizeof(moves[0]); k++) {
		if (moves[k].whole != ground->cause)
			continue;
		for (unsigned use = 0; use < MW_USE_COUNT; use++) {
			enum mw_cause to = moves[k].of[use];
			if (to == ground->cause || !area->resident[use])
				continue;
			move_bytes(&buckets[ground->cause], &buckets[to],
				   area->resident[use], area->exclusive[use],
				   ground->has_uss);
			buckets[to].n++;
		}
	}
}

void mw_account_walked(const struct mw_explain *ex, struct mw_bucket *buckets)
{
	const struct mw_heap *heap = ex->pub.heap;
	size_t n_regions;
	struct pass pass = { .ex = ex };
	struct ground ground;
	struct mw_heap_area own;
	uint64_t end = 0;
	if (!heap)
		return;
	pass.regions = mw_snapshot_regions(ex->pub.snap, &n_regions);
	pass.segs = mw_layout_segments(ex->layout, &pass.n_segs);
	for (size_t i = 0; i < heap->n_areas; i++) {
		const struct mw_heap_area *area = &heap->areas[i];
		/* Two walkers that both believe a hostile heap may not count it twice. */
		if (!area->split || area->start < end ||
		    !find_ground(&pass, area, &ground))
			continue;
		end = area->end;
		if (own_part(area, &ground, &own))
			move_area(&own, &ground, buckets);
	}
	/* What is left of it was not walked, or not understood. */
	if (buckets[CAUSE_HEAP_LIVE].bytes)
		buckets[CAUSE_HEAP].title = "heap, not told apart";
	if (buckets[CAUSE_PYTHON_KEPT].bytes)
		buckets[CAUSE_PYTHON].title = "Python objects, live";
}
