// SPDX-License-Identifier: MIT
/* Ranges of pages in an observation: counted, and one by one for the watched strip. */
#include "lab/seen.h"
#include "procfs/pagebits.h"

#include <string.h>

enum { STRIP_PAGES = 64 };

/* Words of pagemap that are read for a question, where there are no runs. */
enum { MOST_WORDS = 1 << 16 };

struct mw_seen_range mw_seen_mapping(const struct mw_seen *of, uint64_t addr)
{
	const struct mw_region *region = mw_snapshot_find(of->snap, addr);
	if (!region)
		return (struct mw_seen_range){ 0 };
	return (struct mw_seen_range){ region->start, region->end };
}

struct mw_seen_range mw_seen_pages(const struct mw_observation *seen, uint64_t addr,
				   uint64_t len)
{
	uint64_t mask = seen->page - 1, end;
	if (__builtin_add_overflow(addr, len, &end) ||
	    __builtin_add_overflow(end, mask, &end))
		end = UINT64_MAX;
	return (struct mw_seen_range){ addr & ~mask, len ? end & ~mask : addr & ~mask };
}

void mw_seen_each(const struct mw_seen *of, struct mw_seen_range range,
		  void (*fn)(void *ctx, const struct mw_region *region,
			     struct mw_seen_range part),
		  void *ctx)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(of->snap, &n);
	for (size_t i = 0; i < n && regions[i].start < range.end; i++) {
		struct mw_seen_range part = range;
		if (part.start < regions[i].start)
			part.start = regions[i].start;
		if (part.end > regions[i].end)
			part.end = regions[i].end;
		if (part.start < part.end)
			fn(ctx, &regions[i], part);
	}
}

struct counting {
	const struct mw_snapshot *snap;
	struct mw_counts sum;
};

/* Where PAGEMAP_SCAN is missing, which pages are huge is known of whole regions alone. */
static void count_part(void *ctx, const struct mw_region *region,
		       struct mw_seen_range part)
{
	struct counting *counting = ctx;
	struct mw_counts c =
		mw_snapshot_count(counting->snap, region, part.start, part.end);
	bool whole = part.start == region->start && part.end == region->end;
	if (!whole && !c.huge && region->counts.huge)
		c.have &= ~(unsigned)MW_HAVE_HUGE;
	mw_counts_add(&counting->sum, &c);
}

struct mw_counts mw_seen_count(const struct mw_seen *of, struct mw_seen_range range)
{
	struct counting counting = { .snap = of->snap, .sum = { .have = ~0U } };
	mw_seen_each(of, range, count_part, &counting);
	return counting.sum;
}

/* What the runs of a region leave open. */
enum trust {
	TRUST_RUNS,
	TRUST_WORDS, /* it was not walked: without Rss, present pages are zero pages */
	TRUST_NONE,
};

static enum trust trust_of(const struct mw_observation *seen, const struct mw_seen *of,
			   const struct mw_region *region)
{
	if (mw_snapshot_totals(of->snap)->engine != MW_ENGINE_PAGES || region->whole)
		return TRUST_NONE;
	if (region->start >= UINT64_C(1) << 63)
		return TRUST_RUNS;
	if (!(region->counts.have & MW_HAVE_RSS)) /* reading it failed */
		return TRUST_NONE;
	if (!seen->no_scan || region->n_runs || region->counts.rss)
		return TRUST_RUNS;
	return seen->closed ? TRUST_NONE : TRUST_WORDS;
}

/* The first run of the region that ends above an address; NULL when none does. */
static const struct mw_page_run *run_at(const struct mw_seen *of,
					const struct mw_region *region, uint64_t addr)
{
	size_t n, i = mw_region_run(of->snap, region, addr);
	const struct mw_page_run *runs = mw_snapshot_runs(of->snap, &n);
	return i < region->first_run + region->n_runs ? &runs[i] : NULL;
}

static bool read_words(struct mw_observation *seen, const struct mw_seen *of,
		       struct mw_seen_range range, uint64_t *n_present)
{
	uint64_t words[512], n = (range.end - range.start) / seen->page;
	*n_present = 0;
	if (n > MOST_WORDS)
		return false;
	for (uint64_t at = range.start; n; at += 512 * seen->page) {
		size_t some = n < 512 ? n : 512;
		mw_auto_err err =
			mw_source_read_pagemap(seen->src, of->pid, at, some, words);
		if (err)
			return false;
		for (size_t i = 0; i < some; i++)
			*n_present += (words[i] & MW_PM_PRESENT) != 0;
		n -= some;
	}
	return true;
}

struct zeros {
	struct mw_observation *seen;
	const struct mw_seen *of;
	uint64_t bytes;
	bool known;
};

/* The overlap of a run with a range. */
static uint64_t overlap(const struct mw_page_run *run, struct mw_seen_range part,
			uint64_t page)
{
	uint64_t end = run->start + run->n_pages * page;
	uint64_t from = run->start > part.start ? run->start : part.start;
	uint64_t to = end < part.end ? end : part.end;
	return from < to ? to - from : 0;
}

static void zeros_in_runs(struct zeros *zeros, const struct mw_region *region,
			  struct mw_seen_range part)
{
	size_t n;
	const struct mw_page_run *all = mw_snapshot_runs(zeros->of->snap, &n);
	const struct mw_page_run *stop = all + region->first_run + region->n_runs;
	const struct mw_page_run *run = run_at(zeros->of, region, part.start);
	for (; run && run < stop && run->start < part.end; run++)
		if ((run->state & MW_PAGE_PRESENT) && (run->state & MW_PAGE_ZERO))
			zeros->bytes += overlap(run, part, zeros->seen->page);
}

static void zeros_of(void *ctx, const struct mw_region *region, struct mw_seen_range part)
{
	struct zeros *zeros = ctx;
	uint64_t n_present;
	switch (trust_of(zeros->seen, zeros->of, region)) {
	case TRUST_RUNS:
		zeros_in_runs(zeros, region, part);
		break;
	case TRUST_WORDS:
		if (read_words(zeros->seen, zeros->of, part, &n_present))
			zeros->bytes += n_present * zeros->seen->page;
		else
			zeros->known = false;
		break;
	case TRUST_NONE:
		zeros->known = false;
	}
}

bool mw_seen_zero(struct mw_observation *seen, const struct mw_seen *of,
		  struct mw_seen_range range, uint64_t *ret)
{
	struct zeros zeros = { .seen = seen, .of = of, .known = true };
	mw_seen_each(of, range, zeros_of, &zeros);
	*ret = zeros.bytes;
	return zeros.known;
}

bool mw_seen_state(struct mw_observation *seen, const struct mw_seen *of, uint64_t addr,
		   unsigned *ret)
{
	const struct mw_region *region = mw_snapshot_find(of->snap, addr);
	struct mw_seen_range page = mw_seen_pages(seen, addr, 1);
	uint64_t present = 0;
	*ret = 0;
	if (!region)
		return true;
	enum trust trust = trust_of(seen, of, region);
	if (trust == TRUST_NONE ||
	    (trust == TRUST_WORDS && !read_words(seen, of, page, &present)))
		return false;
	const struct mw_page_run *run = run_at(of, region, addr);
	if (run && run->start <= addr)
		*ret = run->state;
	else if (present)
		*ret = MW_PAGE_PRESENT | MW_PAGE_ZERO;
	return true;
}

static char letter_of(unsigned state)
{
	if (state & MW_PAGE_SWAPPED)
		return 'w';
	if (!(state & MW_PAGE_PRESENT))
		return '.';
	if (state & MW_PAGE_ZERO)
		return 'z';
	return state & MW_PAGE_EXCLUSIVE ? '#' : 's';
}

static const char *strip(struct mw_observation *seen, const struct mw_seen *of,
			 struct mw_seen_range range, struct mw_arena *arena)
{
	uint64_t n = (range.end - range.start) / seen->page;
	if (n > STRIP_PAGES)
		n = STRIP_PAGES;
	char *ret = mw_arena_alloc(arena, n + 1);
	for (uint64_t i = 0; ret && i < n; i++) {
		unsigned state;
		bool known =
			mw_seen_state(seen, of, range.start + i * seen->page, &state);
		ret[i] = known ? letter_of(state) : '?';
	}
	return ret;
}

static struct mw_err *tell_region(const struct mw_seen *of, uint64_t addr,
				  struct mw_arena *arena, struct mw_lab_seen *ret)
{
	const struct mw_region *region = mw_snapshot_find(of->snap, addr);
	enum mw_class class;
	if (!region)
		return NULL;
	ret->mapped = true;
	ret->start = region->start;
	ret->end = region->end;
	ret->perms = mw_lab_perms(arena, region->perms);
	if (of->layout && mw_seen_class(of, addr, &class)) {
		ret->class = mw_class_key(class);
		ret->title = mw_class_title(class);
	}
	return ret->perms ? NULL : mw_err_nomem();
}

struct mw_err *mw_lab_look(struct mw_observation *seen, struct mw_arena *arena,
			   const char *process, uint64_t addr, uint64_t len, pid_t *pid,
			   struct mw_lab_seen *ret)
{
	const char *why;
	struct mw_seen *of = mw_seen_first(seen, process, &why);
	*ret = (struct mw_lab_seen){ .perms = "", .class = "", .title = "", .pages = "" };
	ret->rss = UINT64_MAX;
	ret->len = len;
	*pid = of ? of->pid : 0;
	if (!of || of->blind)
		return NULL;
	struct mw_err *err = mw_seen_classify(seen, of);
	if (!err)
		err = tell_region(of, addr, arena, ret);
	if (err)
		return err;
	struct mw_seen_range range =
		len ? mw_seen_pages(seen, addr, len) : mw_seen_mapping(of, addr);
	struct mw_counts counts = mw_seen_count(of, range);
	ret->len = len ? len : range.end - range.start;
	if (counts.have & MW_HAVE_RSS)
		ret->rss = counts.rss;
	ret->pages = strip(seen, of, range, arena);
	return ret->pages ? NULL : mw_err_nomem();
}
