// SPDX-License-Identifier: MIT
/*
 * The page engine, second half: what pagemap's words do not tell. Zero pages and huge
 * pages are found by PAGEMAP_SCAN, where there can be any; map counts by kpagecount, for
 * the frames that are not exclusive.
 */
#include "base/num.h"
#include "model/noscan.h"
#include "model/pages/walk.h"
#include "procfs/pagebits.h"

#include <stdio.h>
#include <string.h>

/* Two pieces this near are asked about in one scan. */
#define SCAN_BRIDGE (UINT64_C(1) << 20)

static uint64_t page_size(const struct mw_snapshot *snap)
{
	return mw_source_facts(snap->src)->page_size;
}

static uint64_t piece_end(const struct mw_piece *piece, uint64_t page)
{
	return piece->start + piece->n_pages * page;
}

/* Adds `bits` to the pages of pieces inside the ranges (both rising), cutting pieces. */
static struct mw_err *overlay(struct mw_piece_vec *pieces,
			      const struct mw_page_ranges *ranges, uint64_t page,
			      uint16_t bits)
{
	struct mw_piece_vec out = { 0 };
	size_t r = 0;
	for (size_t i = 0; i < pieces->n; i++) {
		struct mw_piece piece = pieces->items[i];
		uint64_t end = piece_end(&piece, page);
		while (piece.start < end) {
			while (r < ranges->n && ranges->items[r].end <= piece.start)
				r++;
			uint64_t cut = end;
			struct mw_piece part = piece;
			if (r < ranges->n && ranges->items[r].start < end) {
				bool inside = ranges->items[r].start <= piece.start;
				cut = inside ? ranges->items[r].end
					     : ranges->items[r].start;
				cut = cut < end ? cut : end;
				part.state |= inside ? bits : 0;
			}
			part.n_pages = (uint32_t)((cut - piece.start) / page);
			if (!part.n_pages || !mw_vec_add(&out, part)) {
				mw_vec_deinit(&out);
				return mw_err_nomem();
			}
			piece.pfn += piece.pfn ? part.n_pages : 0;
			piece.start = cut;
		}
	}
	mw_vec_deinit(pieces);
	*pieces = out;
	return NULL;
}

bool mw_piece_is_ambiguous(const struct mw_piece *piece)
{
	unsigned mask =
		MW_PAGE_PRESENT | MW_PAGE_FILE | MW_PAGE_EXCLUSIVE | MW_PAGE_NOT_RSS;
	return (piece->state & mask) == MW_PAGE_PRESENT;
}

/*
 * Mappings whose pages are no process memory: the vvar pages, device memory and perf
 * rings (VM_PFNMAP). Only there do ambiguous pages occur without being zero pages or
 * copies of a forked parent. Pages with a struct page behind them (io_uring's rings)
 * carry the file bit and do count.
 */
static bool is_odd_name(const char *name)
{
	if (!strncmp(name, "[vvar", 5) || !strncmp(name, "anon_inode:", 11))
		return true;
	return !strncmp(name, "/dev/", 5) && strncmp(name, "/dev/shm/", 9) &&
	       strncmp(name, "/dev/zero", 9);
}

/*
 * hugetlbfs pages are present in pagemap and outside Rss. Anonymous ones have a name
 * of their own; for others smaps' "ht" decides, which was read if there are any.
 */
static bool is_hugetlb(const struct mw_region *region)
{
	if (region->smaps && mw_smaps_has_flag(region->smaps, "ht"))
		return true;
	return !strncmp(region->name, "/anon_hugepage", 14);
}

void mw_mark_not_rss(struct mw_snapshot *snap, struct mw_piece_vec *pieces)
{
	uint64_t page = page_size(snap);
	size_t i = 0;
	for (size_t r = 0; r < snap->regions.n; r++) {
		const struct mw_region *region = &snap->regions.items[r];
		bool huge = is_hugetlb(region);
		if (!huge && !(region->name[0] && is_odd_name(region->name)))
			continue;
		while (i < pieces->n &&
		       piece_end(&pieces->items[i], page) <= region->start)
			i++;
		for (; i < pieces->n && pieces->items[i].start < region->end; i++)
			if (huge)
				pieces->items[i].state |= MW_PAGE_NOT_RSS | MW_PAGE_HUGE;
			else if (mw_piece_is_ambiguous(&pieces->items[i]))
				pieces->items[i].state |= MW_PAGE_NOT_RSS;
	}
}

static bool add_range(struct mw_page_ranges *out, uint64_t start, uint64_t end)
{
	return mw_vec_add(out, (struct mw_page_range){ .start = start, .end = end });
}

/* Appends those parts of [start, end) that a scan says are in `category`. */
static struct mw_err *scan_for(struct mw_snapshot *snap, uint64_t start, uint64_t end,
			       uint64_t category, struct mw_page_ranges *out)
{
	struct mw_page_ranges found = { 0 };
	struct mw_err *err =
		mw_source_scan(snap->src, snap->process.pid, start, end, &found);
	for (size_t i = 0; !err && i < found.n; i++)
		if ((found.items[i].categories & category) &&
		    !add_range(out, found.items[i].start, found.items[i].end))
			err = mw_err_nomem();
	mw_vec_deinit(&found);
	return err;
}

struct mw_err *mw_mark_zero(struct mw_snapshot *snap, struct mw_piece_vec *pieces)
{
	uint64_t page = page_size(snap);
	struct mw_page_ranges zero = { 0 };
	struct mw_err *err = NULL;
	if (snap->noscan) {
		mw_noscan_mark_zero(snap, pieces);
		return NULL;
	}
	for (size_t i = 0; !err && i < pieces->n; i++) {
		if (!mw_piece_is_ambiguous(&pieces->items[i]))
			continue;
		uint64_t start = pieces->items[i].start;
		uint64_t end = piece_end(&pieces->items[i], page);
		while (i + 1 < pieces->n &&
		       mw_piece_is_ambiguous(&pieces->items[i + 1]) &&
		       pieces->items[i + 1].start - end <= SCAN_BRIDGE)
			end = piece_end(&pieces->items[++i], page);
		err = scan_for(snap, start, end, MW_SCAN_PFNZERO, &zero);
	}
	if (!err && zero.n)
		err = overlay(pieces, &zero, page, MW_PAGE_ZERO);
	mw_vec_deinit(&zero);
	return err;
}

/* The size of a huge page-table entry, 0 when the kernel has none switched on. */
static uint64_t huge_size(struct mw_snapshot *snap)
{
	mw_auto_buf mode = { 0 }, size = { 0 };
	mw_auto_err err =
		mw_source_read_text(snap->src, 0, 0, MW_FILE_THP_ENABLED, &mode);
	if (err || strstr(mw_buf_str(&mode), "[never]"))
		return 0;
	mw_auto_err err2 = mw_source_read_text(snap->src, 0, 0, MW_FILE_THP_SIZE, &size);
	const char *pos = mw_buf_str(&size);
	uint64_t ret;
	if (err2 || !mw_take_dec(&pos, pos + size.len, &ret) || ret < page_size(snap) ||
	    (ret & (ret - 1)))
		return 0;
	return ret;
}

/*
 * A huge entry maps an aligned block completely, so the block's first page tells for
 * all of it. Only blocks a single piece covers are asked about: pages of one huge page
 * share their state.
 */
static struct mw_err *find_huge(struct mw_snapshot *snap, const struct mw_piece *piece,
				uint64_t size, struct mw_page_ranges *out)
{
	uint64_t page = page_size(snap), end = piece_end(piece, page);
	uint64_t block = (piece->start + size - 1) & ~(size - 1);
	struct mw_err *err = NULL;
	for (; !err && block + size <= end; block += size) {
		size_t n = out->n;
		err = scan_for(snap, block, block + page, MW_SCAN_HUGE, out);
		if (!err && out->n > n)
			out->items[n].end = block + size;
	}
	return err;
}

struct mw_err *mw_mark_huge(struct mw_snapshot *snap, struct mw_piece_vec *pieces)
{
	struct mw_page_ranges huge = { 0 };
	uint64_t page = page_size(snap), size = 0;
	struct mw_err *err = NULL;
	bool asked = false;
	for (size_t i = 0; !err && !snap->noscan && i < pieces->n; i++) {
		const struct mw_piece *piece = &pieces->items[i];
		if (!piece->maybe_huge || !(piece->state & MW_PAGE_PRESENT) ||
		    (piece->state & (MW_PAGE_NOT_RSS | MW_PAGE_ZERO)) ||
		    piece->n_pages < size / page)
			continue;
		if (!asked)
			size = huge_size(snap);
		asked = true;
		if (!size)
			break;
		err = find_huge(snap, piece, size, &huge);
	}
	if (!err && huge.n)
		err = overlay(pieces, &huge, page, MW_PAGE_HUGE);
	mw_vec_deinit(&huge);
	return err;
}
