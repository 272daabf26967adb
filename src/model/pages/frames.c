// SPDX-License-Identifier: MIT
/* From pieces to runs: map counts of shared frames, and joining equal neighbours. */
#include "model/access.h"
#include "model/pages/walk.h"

#include <stdlib.h>
#include <string.h>

/* A frame's count costs the kernel 68 ns, a call for one frame 300 ns. */
enum {
	PFN_BRIDGE = 3,   /* frames read in vain rather than by another call */
	PFN_BATCH = 8192, /* of one call */
};

/* A piece with frames, and where its pages' counts stand in one common array. */
struct frames {
	uint64_t pfn;
	uint32_t n;
	size_t at;
};

struct frames_vec {
	MW_VEC(struct frames);
};

static int by_pfn(const void *a, const void *b)
{
	const struct frames *fa = a, *fb = b;
	return fa->pfn < fb->pfn ? -1 : fa->pfn > fb->pfn;
}

static bool needs_count(const struct mw_piece *piece)
{
	unsigned none = MW_PAGE_EXCLUSIVE | MW_PAGE_ZERO | MW_PAGE_NOT_RSS;
	return piece->pfn && (piece->state & MW_PAGE_PRESENT) && !(piece->state & none);
}

static uint16_t clamp16(uint64_t count)
{
	return count > UINT16_MAX ? UINT16_MAX : (uint16_t)count;
}

/* The end of the frames that one read from items[i] on can cover; *next: after them. */
static uint64_t batch_end(const struct frames_vec *frames, size_t i, size_t *next)
{
	uint64_t start = frames->items[i].pfn, end = start + frames->items[i].n;
	for (i++; i < frames->n; i++) {
		const struct frames *f = &frames->items[i];
		uint64_t f_end = f->pfn + f->n;
		if (f->pfn > end + PFN_BRIDGE || f_end - start > PFN_BATCH)
			break;
		if (f_end > end)
			end = f_end;
	}
	*next = i;
	return end;
}

/* Reads [start, end) in batches and hands each item in [i, stop) its counts. */
static struct mw_err *read_batch(struct mw_source *src, const struct frames_vec *frames,
				 size_t i, size_t stop, uint64_t end, uint16_t *counts)
{
	uint64_t words[PFN_BATCH], start = frames->items[i].pfn;
	for (; start < end; start += PFN_BATCH) {
		uint64_t n = end - start < PFN_BATCH ? end - start : PFN_BATCH;
		struct mw_err *err =
			mw_source_read_kpage(src, MW_KPAGE_COUNT, start, n, words);
		if (err)
			return err;
		for (size_t k = i; k < stop; k++) {
			const struct frames *f = &frames->items[k];
			uint64_t from = f->pfn > start ? f->pfn : start;
			uint64_t to =
				f->pfn + f->n < start + n ? f->pfn + f->n : start + n;
			for (uint64_t pfn = from; pfn < to; pfn++)
				counts[f->at + (pfn - f->pfn)] =
					clamp16(words[pfn - start]);
		}
	}
	return NULL;
}

/* Reads the map counts of all shared frames; *ret is the common array (or NULL). */
static struct mw_err *read_counts(struct mw_source *src,
				  const struct mw_piece_vec *pieces, uint16_t **ret)
{
	struct frames_vec frames = { 0 };
	struct mw_err *err = NULL;
	uint16_t *counts = NULL;
	size_t at = 0;
	for (size_t i = 0; !err && i < pieces->n; i++) {
		const struct mw_piece *piece = &pieces->items[i];
		if (!needs_count(piece))
			continue;
		if (!mw_vec_add(&frames,
				(struct frames){ piece->pfn, piece->n_pages, at }))
			err = mw_err_nomem();
		at += piece->n_pages;
	}
	if (!err && at && !(counts = calloc(at, sizeof(*counts))))
		err = mw_err_nomem();
	if (!err && frames.n)
		qsort(frames.items, frames.n, sizeof(*frames.items), by_pfn);
	for (size_t i = 0, next; !err && i < frames.n; i = next) {
		uint64_t end = batch_end(&frames, i, &next);
		err = read_batch(src, &frames, i, next, end, counts);
	}
	mw_vec_deinit(&frames);
	if (err)
		free(counts);
	else
		*ret = counts;
	return err;
}

/* Appends pages to the runs, growing the last run when nothing but its end differs. */
static bool add_run(struct mw_run_vec *runs, size_t first, const struct mw_page_run *run,
		    uint64_t page)
{
	if (runs->n > first) {
		struct mw_page_run *last = &runs->items[runs->n - 1];
		if (last->start + last->n_pages * page == run->start &&
		    last->state == run->state && last->map_count == run->map_count &&
		    run->n_pages <= UINT32_MAX - last->n_pages) {
			last->n_pages += run->n_pages;
			return true;
		}
	}
	return mw_vec_add(runs, *run);
}

/* One piece becomes a run for each stretch of equal map counts. */
static bool add_piece(struct mw_run_vec *runs, size_t first, const struct mw_piece *piece,
		      const uint16_t *counts, uint64_t page)
{
	uint32_t i = 0;
	while (i < piece->n_pages) {
		uint32_t n = counts ? 1 : piece->n_pages;
		while (counts && i + n < piece->n_pages && counts[i + n] == counts[i])
			n++;
		struct mw_page_run run = {
			.start = piece->start + i * page,
			.n_pages = n,
			.state = piece->state,
			.map_count = counts ? counts[i] : 0,
		};
		if (!add_run(runs, first, &run, page))
			return false;
		i += n;
	}
	return true;
}

/*
 * A shared mapping has no anonymous pages. Before Linux 6.11 pagemap does not say so of
 * huge pages of shared memory.
 */
static uint16_t file_bit(const struct mw_region *region, unsigned state)
{
	unsigned mask = MW_PAGE_PRESENT | MW_PAGE_ZERO | MW_PAGE_NOT_RSS;
	bool shared = region->perms & MW_PERM_SHARED;
	return shared && (state & mask) == MW_PAGE_PRESENT ? MW_PAGE_FILE : 0;
}

static struct mw_err *emit(struct mw_snapshot *snap, const struct mw_piece_vec *pieces,
			   const uint16_t *counts)
{
	uint64_t page = mw_source_facts(snap->src)->page_size;
	size_t i = 0, at = 0;
	for (size_t r = 0; r < snap->regions.n; r++) {
		struct mw_region *region = &snap->regions.items[r];
		region->first_run = snap->runs.n;
		for (; i < pieces->n && pieces->items[i].start < region->end; i++) {
			struct mw_piece piece = pieces->items[i];
			bool counted = counts && needs_count(&piece);
			piece.state |= file_bit(region, piece.state);
			if (!add_piece(&snap->runs, region->first_run, &piece,
				       counted ? counts + at : NULL, page))
				return mw_err_nomem();
			at += counted ? piece.n_pages : 0;
		}
		region->n_runs = snap->runs.n - region->first_run;
	}
	return NULL;
}

/* Without privilege pagemap shows frame number 0 for every page. */
static bool any_hidden(const struct mw_piece_vec *pieces)
{
	unsigned mask =
		MW_PAGE_PRESENT | MW_PAGE_EXCLUSIVE | MW_PAGE_ZERO | MW_PAGE_NOT_RSS;
	for (size_t i = 0; i < pieces->n; i++)
		if ((pieces->items[i].state & mask) == MW_PAGE_PRESENT &&
		    !pieces->items[i].pfn)
			return true;
	return false;
}

static struct mw_err *note_hidden(struct mw_snapshot *snap, const char *why)
{
	const char *remedy = mw_advice_access(snap->src, &snap->arena, snap->process.pid);
	if (!remedy)
		return mw_err_nomem();
	return mw_gap_add(snap, "proportional share of each region by page frames", why,
			  remedy);
}

struct mw_err *mw_runs_make(struct mw_snapshot *snap, const struct mw_piece_vec *pieces,
			    bool frames)
{
	uint16_t *counts = NULL;
	struct mw_err *err = NULL;
	if (frames && any_hidden(pieces)) {
		err = note_hidden(snap,
				  "pagemap hides page frame numbers from this user");
	} else if (frames) {
		err = read_counts(snap->src, pieces, &counts);
		if (err &&
		    (err->code == MW_ERR_DENIED || err->code == MW_ERR_UNSUPPORTED)) {
			struct mw_err *gap = note_hidden(snap, err->msg);
			mw_err_free(err);
			err = gap;
		}
	}
	if (!err)
		err = emit(snap, pieces, counts);
	free(counts);
	return err;
}
