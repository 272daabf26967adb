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

/* The segments under one area. */
struct ground {
	enum mw_cause cause;
	uint64_t rss, uss, covered;
	bool has_uss, one_cause;
};

static void add_under(const struct pass *pass, const struct mw_segment *seg,
		      uint64_t start, uint64_t end, struct ground *ret)
{
	struct mw_counts counts = seg->counts;
	if (start > seg->start || end < seg->end) {
		start = start > seg->start ? start : seg->start;
		end = end < seg->end ? end : seg->end;
		counts = mw_snapshot_count(pass->ex->pub.snap,
					   &pass->regions[seg->region], start, end);
	} else {
		start = seg->start;
		end = seg->end;
	}
	ret->covered += end - start;
	ret->rss += counts.rss;
	ret->uss += counts.uss;
	ret->has_uss &= !!(counts.have & MW_HAVE_USS);
	ret->one_cause &= mw_cause_of(seg->class) == ret->cause;
}

static bool find_ground(struct pass *pass, const struct mw_heap_area *area,
			struct ground *ret)
{
	while (pass->next < pass->n_segs && pass->segs[pass->next].end <= area->start)
		pass->next++;
	if (pass->next == pass->n_segs)
		return false;
	*ret = (struct ground){ .cause = mw_cause_of(pass->segs[pass->next].class),
				.has_uss = true,
				.one_cause = true };
	for (size_t i = pass->next; i < pass->n_segs && pass->segs[i].start < area->end;
	     i++)
		add_under(pass, &pass->segs[i], area->start, area->end, ret);
	return ret->one_cause && ret->covered == area->end - area->start;
}

static uint64_t sum(const uint64_t bytes[MW_USE_COUNT])
{
	uint64_t ret = 0;
	for (unsigned i = 0; i < MW_USE_COUNT; i++)
		if (__builtin_add_overflow(ret, bytes[i], &ret))
			return UINT64_MAX;
	return ret;
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
		if (sum(area->resident) == ground.rss &&
		    (!ground.has_uss || sum(area->exclusive) == ground.uss))
			move_area(area, &ground, buckets);
	}
	/* What is left of it was not walked, or not understood. */
	if (buckets[CAUSE_HEAP_LIVE].bytes)
		buckets[CAUSE_HEAP].title = "heap, not told apart";
	if (buckets[CAUSE_PYTHON_KEPT].bytes)
		buckets[CAUSE_PYTHON].title = "Python objects, live";
}
