// SPDX-License-Identifier: MIT
#include "model/noscan.h"

#include "model/pages/walk.h"

#include <stdio.h>

/* A region larger than this (64 GiB of words take half a second) is left to smaps. */
enum { MOST_PAGES = 1 << 24 };

struct mw_err *mw_noscan_prepare(struct mw_snapshot *snap)
{
	size_t n = snap->regions.n;
	snap->has_runs = false;
	struct mw_err *err = mw_smaps_read(snap, false);
	if (err)
		return err;
	snap->noscan = mw_arena_calloc(&snap->arena, n, sizeof(*snap->noscan));
	if (!snap->noscan)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++)
		snap->noscan[i] = snap->regions.items[i].counts;
	return NULL;
}

bool mw_noscan_wants(const struct mw_snapshot *snap, size_t region)
{
	const struct mw_counts *c = &snap->noscan[region];
	const struct mw_region *r = &snap->regions.items[region];
	uint64_t page = mw_source_facts(snap->src)->page_size;
	return (c->rss || c->swap || c->hugetlb || !c->have) &&
	       (r->end - r->start) / page <= MOST_PAGES;
}

/* The pieces of one region, and how many of their pages are what. */
struct share {
	struct mw_piece *pieces;
	size_t n;
	uint64_t present, ambiguous; /* pages */
};

static struct share take_share(const struct mw_region *region,
			       struct mw_piece_vec *pieces, size_t *at)
{
	while (*at < pieces->n && pieces->items[*at].start < region->start)
		(*at)++;
	struct share ret = { .pieces = pieces->n ? pieces->items + *at : NULL };
	for (; *at < pieces->n && pieces->items[*at].start < region->end; (*at)++) {
		const struct mw_piece *piece = &pieces->items[*at];
		bool counts = (piece->state & MW_PAGE_PRESENT) &&
			      !(piece->state & MW_PAGE_NOT_RSS);
		ret.present += counts ? piece->n_pages : 0;
		ret.ambiguous += mw_piece_is_ambiguous(piece) ? piece->n_pages : 0;
		ret.n++;
	}
	return ret;
}

/* Zero pages are one frame mapped many times: such pieces are one page long. */
static bool is_zero_frame(const struct mw_piece *piece, uint64_t pfn)
{
	return mw_piece_is_ambiguous(piece) && piece->n_pages == 1 && piece->pfn == pfn;
}

/* The frame that exactly `n` of the share's pieces map; 0: none, or frames are hidden. */
static uint64_t zero_frame(const struct share *share, uint64_t n)
{
	for (size_t i = 0; i + n <= share->n; i++) {
		uint64_t pfn = share->pieces[i].pfn, times = 0;
		if (!pfn || n < 2 || !is_zero_frame(&share->pieces[i], pfn))
			continue;
		for (size_t k = i; k < share->n; k++)
			times += is_zero_frame(&share->pieces[k], pfn);
		if (times == n)
			return pfn;
		/* Another frame of this region would have to be tried from its first use.
		 */
		if (times > 1)
			return 0;
	}
	return 0;
}

/* What is present beyond Rss are zero pages: all that could be, or one frame's pages. */
static void mark_share(struct share *share, uint64_t n_zero)
{
	uint64_t pfn = n_zero == share->ambiguous ? 0 : zero_frame(share, n_zero);
	if (n_zero != share->ambiguous && !pfn)
		return;
	for (size_t i = 0; i < share->n; i++)
		if (pfn ? is_zero_frame(&share->pieces[i], pfn)
			: mw_piece_is_ambiguous(&share->pieces[i]))
			share->pieces[i].state |= MW_PAGE_ZERO;
}

void mw_noscan_mark_zero(struct mw_snapshot *snap, struct mw_piece_vec *pieces)
{
	uint64_t page = mw_source_facts(snap->src)->page_size;
	size_t at = 0;
	for (size_t i = 0; i < snap->regions.n; i++) {
		struct share share = take_share(&snap->regions.items[i], pieces, &at);
		uint64_t rss = snap->noscan[i].rss / page;
		if (share.ambiguous && share.present > rss)
			mark_share(&share, share.present - rss);
	}
}

/* Pages that are present, and may be zero pages or copies of a forked parent. */
static bool has_ambiguous(const struct mw_snapshot *snap, const struct mw_region *region)
{
	unsigned mask = MW_PAGE_PRESENT | MW_PAGE_FILE | MW_PAGE_EXCLUSIVE |
			MW_PAGE_ZERO | MW_PAGE_NOT_RSS;
	const struct mw_page_run *runs = snap->runs.items + region->first_run;
	for (size_t i = 0; i < region->n_runs; i++)
		if ((runs[i].state & mask) == MW_PAGE_PRESENT)
			return true;
	return false;
}

/*
 * Whether a region's pages leave a doubt that smaps' counters do not. Where every page
 * is what it seems, another Rss is that of another moment: the target runs.
 */
static bool in_doubt(const struct mw_snapshot *snap, const struct mw_region *region,
		     const struct mw_counts *c)
{
	if (region->counts.swap != c->swap)
		return true;
	if (region->counts.rss == c->rss)
		return (c->have & MW_HAVE_KINDS) && region->counts.anon != c->anon;
	return !region->n_runs || has_ambiguous(snap, region);
}

/* Takes what only smaps knows; returns whether Rss was doubtful. */
static bool settle_region(const struct mw_snapshot *snap, struct mw_region *region,
			  const struct mw_counts *c)
{
	bool rss = region->counts.rss != c->rss;
	if (in_doubt(snap, region, c)) {
		region->whole = true;
		region->n_runs = 0;
		region->counts = *c;
		return rss;
	}
	region->counts.huge = c->huge;
	return false;
}

void mw_noscan_take_pss(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->regions.n; i++) {
		struct mw_counts *counts = &snap->regions.items[i].counts;
		if (counts->have & MW_HAVE_PSS)
			continue;
		counts->pss_q12 = snap->noscan[i].pss_q12;
		counts->have |= snap->noscan[i].have & MW_HAVE_PSS;
	}
}

static struct mw_err *note(struct mw_snapshot *snap, const char *what, size_t n)
{
	char text[80];
	if (!n)
		return NULL;
	snprintf(text, sizeof(text), "%s of %zu region%s", what, n, n == 1 ? "" : "s");
	return mw_gap_add(snap, text, "this kernel has no PAGEMAP_SCAN (Linux 6.7)", "");
}

struct mw_err *mw_noscan_settle(struct mw_snapshot *snap)
{
	size_t n_whole = 0, n_huge = 0;
	for (size_t i = 0; i < snap->regions.n; i++) {
		const struct mw_counts *c = &snap->noscan[i];
		if (!c->have)
			continue;
		n_whole += settle_region(snap, &snap->regions.items[i], c);
		n_huge += c->huge > 0;
	}
	struct mw_err *err = note(snap, "which pages are zero pages", n_whole);
	return err ? err : note(snap, "which pages are huge", n_huge);
}
