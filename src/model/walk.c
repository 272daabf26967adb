// SPDX-License-Identifier: MIT
/*
 * The page engine, first half: which page ranges are worth reading, and reading them
 * from pagemap, on several threads where that pays.
 *
 * A word of pagemap costs the kernel about 28 ns, PAGEMAP_SCAN about 11 ns a present
 * page and next to nothing for absent ones (measured, docs/performance.md). So dense
 * address space is read at once, and a scan comes first only where most of it is
 * reserved but empty (Chromium: 1.4 TiB reserved, 118 MiB resident).
 */
#include "model/noscan.h"
#include "procfs/pagebits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
	CHUNK_PAGES = 16384, /* of one read: 128 KiB of words, and 64 MiB of target */
	BRIDGE_PAGES = 32,   /* reading this many absent pages is cheaper than a call */
	SMALL_PAGES = 1024,  /* a region this small is not worth a scan */
	GENTLE_PAGES = 256,  /* reading this many is worth a pause */
	MAX_JOBS = 4,
};

/* Resident bytes from which threads pay, and from which a target may notice the walk. */
#define PARALLEL_FROM (UINT64_C(512) << 20)
#define GENTLE_FROM (UINT64_C(16) << 20)

struct chunk {
	uint64_t start;
	size_t n_pages;
	struct mw_piece_vec pieces;
	struct mw_err *err;
};

struct walk {
	struct mw_snapshot *snap;
	uint64_t page; /* size */
	bool gentle;
	struct {
		MW_VEC(struct chunk);
	} chunks;
	atomic_size_t next; /* the chunk to take */
};

/* Extends the last chunk, or begins new ones. */
static struct mw_err *plan_range(struct walk *walk, uint64_t start, uint64_t end)
{
	struct chunk *last =
		walk->chunks.n ? &walk->chunks.items[walk->chunks.n - 1] : NULL;
	if (last) {
		uint64_t last_end = last->start + last->n_pages * walk->page;
		uint64_t grown = (end - last->start) / walk->page;
		if (start - last_end <= BRIDGE_PAGES * walk->page &&
		    grown <= CHUNK_PAGES) {
			last->n_pages = grown;
			return NULL;
		}
	}
	while (start < end) {
		uint64_t n = (end - start) / walk->page;
		/* Cut at round addresses: no huge page then lies in two chunks. */
		uint64_t room = CHUNK_PAGES - start / walk->page % CHUNK_PAGES;
		if (n > room)
			n = room;
		if (!mw_vec_add(&walk->chunks,
				(struct chunk){ .start = start, .n_pages = n }))
			return mw_err_nomem();
		start += n * walk->page;
	}
	return NULL;
}

static struct mw_err *plan_sparse(struct walk *walk, const struct mw_region *region)
{
	struct mw_page_ranges found = { 0 };
	struct mw_err *err = mw_source_scan(walk->snap->src, walk->snap->process.pid,
					    region->start, region->end, &found);
	for (size_t i = 0; !err && i < found.n; i++)
		err = plan_range(walk, found.items[i].start, found.items[i].end);
	mw_vec_deinit(&found);
	return err;
}

/* [vsyscall] lies outside user page tables. */
static bool is_walkable(const struct mw_region *region)
{
	return region->start < UINT64_C(1) << 63;
}

/* True when reading all words costs little more than reading those that matter. */
static bool is_dense(const struct mw_snapshot *snap)
{
	uint64_t size = 0;
	for (size_t i = 0; i < snap->regions.n; i++)
		if (is_walkable(&snap->regions.items[i]))
			size += snap->regions.items[i].end - snap->regions.items[i].start;
	uint64_t rss = snap->totals.rss_before;
	return rss != MW_UNKNOWN && size / 5 * 4 <= rss;
}

static struct mw_err *plan(struct walk *walk)
{
	struct mw_snapshot *snap = walk->snap;
	bool dense = is_dense(snap);
	for (size_t i = 0; i < snap->regions.n; i++) {
		const struct mw_region *region = &snap->regions.items[i];
		uint64_t n = (region->end - region->start) / walk->page;
		struct mw_err *err = NULL;
		if (!is_walkable(region) || (snap->noscan && !mw_noscan_wants(snap, i)))
			continue;
		if (dense || snap->noscan || n <= SMALL_PAGES)
			err = plan_range(walk, region->start, region->end);
		else
			err = plan_sparse(walk, region);
		if (err)
			return err;
	}
	return NULL;
}

static uint16_t state_of(uint64_t word)
{
	uint16_t state = 0;
	if (word & MW_PM_PRESENT)
		state |= MW_PAGE_PRESENT;
	if (word & MW_PM_GUARD)
		state |= MW_PAGE_GUARD; /* a marker: its swap bit is no swap entry */
	else if (word & MW_PM_SWAP)
		state |= MW_PAGE_SWAPPED;
	if (word & MW_PM_FILE)
		state |= MW_PAGE_FILE;
	if (word & MW_PM_EXCLUSIVE)
		state |= MW_PAGE_EXCLUSIVE;
	if (word & MW_PM_SOFT_DIRTY)
		state |= MW_PAGE_SOFT_DIRTY;
	if (word & MW_PM_UFFD_WP)
		state |= MW_PAGE_UFFD_WP;
	return state;
}

#define STATE_BITS                                                                 \
	(MW_PM_PRESENT | MW_PM_GUARD | MW_PM_SWAP | MW_PM_FILE | MW_PM_EXCLUSIVE | \
	 MW_PM_SOFT_DIRTY | MW_PM_UFFD_WP)
#define SEEN_BITS (MW_PM_PRESENT | MW_PM_SWAP | MW_PM_GUARD)

/* How many of the n words from w on look like the first, with rising frames if asked. */
static size_t run_length(const uint64_t *w, size_t n, bool frames)
{
	uint64_t want = w[0] & STATE_BITS, pfn = w[0] & MW_PM_PFN_MASK;
	size_t i = 1;
	if (!frames) {
		while (i < n && (w[i] & STATE_BITS) == want)
			i++;
		return i;
	}
	while (i < n && (w[i] & STATE_BITS) == want && (w[i] & MW_PM_PFN_MASK) == pfn + i)
		i++;
	return i;
}

/*
 * False when no huge page-table entry can map any of these words: it would cover frames
 * in a row from a round address and a round frame on. Hidden frames prove nothing.
 */
static bool maybe_huge(const struct chunk *chunk, const uint64_t *words, size_t i,
		       size_t n, uint64_t page)
{
	size_t least = mw_least_huge(page), end = i + n;
	if (n < least)
		return false;
	i += (least - (chunk->start / page + i) % least) % least;
	for (; i + least <= end; i += least) {
		uint64_t pfn = words[i] & MW_PM_PFN_MASK;
		uint64_t last = words[i + least - 1] & MW_PM_PFN_MASK;
		if (!pfn || (pfn % least == 0 && last == pfn + least - 1))
			return true;
	}
	return false;
}

/* The first region that ends after addr. */
static size_t region_from(const struct mw_snapshot *snap, uint64_t addr)
{
	size_t lo = 0, hi = snap->regions.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (snap->regions.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Cuts one region's share of the words into pieces. */
static bool cut_words(struct chunk *chunk, const uint64_t *words, size_t i, size_t limit,
		      uint64_t page)
{
	while (i < limit) {
		if (!(words[i] & SEEN_BITS)) {
			i++;
			continue;
		}
		bool frames = (words[i] & MW_PM_PRESENT) &&
			      !(words[i] & MW_PM_EXCLUSIVE) &&
			      (words[i] & MW_PM_PFN_MASK);
		size_t n = run_length(words + i, limit - i, frames);
		if (!mw_vec_add(
			    &chunk->pieces,
			    (struct mw_piece){
				    .start = chunk->start + i * page,
				    .pfn = frames ? words[i] & MW_PM_PFN_MASK : 0,
				    .n_pages = (uint32_t)n,
				    .state = state_of(words[i]),
				    .maybe_huge = maybe_huge(chunk, words, i, n, page),
			    }))
			return false;
		i += n;
	}
	return true;
}

/*
 * The kernel takes the target's mmap lock for each page table it reads, some 15 us. A
 * reader that comes back at once takes it before the writer it has just woken: the
 * target's mmap() then waits until the lock is handed over by force, 4 ms and more. A
 * sleep of a few microseconds lets it through (measured, docs/performance.md).
 */
static void give_way(void)
{
	static const struct timespec moment = { .tv_nsec = 1 };
	(void)nanosleep(&moment, NULL);
}

/* Sleeps last as short as they say: 50 us longer is the default. Returns what was. */
static int timer_slack(int ns)
{
	int before = prctl(PR_GET_TIMERSLACK);
	if (ns > 0)
		(void)prctl(PR_SET_TIMERSLACK, (unsigned long)ns);
	return before;
}

/* Reads a chunk's words; gently means one page table at a time. */
static struct mw_err *read_words(const struct walk *walk, const struct chunk *chunk,
				 uint64_t *words)
{
	const struct mw_snapshot *snap = walk->snap;
	uint64_t table = walk->page * (walk->page / sizeof(*words)); /* bytes it maps */
	size_t done = 0;
	while (done < chunk->n_pages) {
		uint64_t at = chunk->start + done * walk->page;
		size_t n = chunk->n_pages - done;
		size_t to_table_end = (size_t)((table - at % table) / walk->page);
		if (walk->gentle && n > to_table_end)
			n = to_table_end;
		struct mw_err *err = mw_source_read_pagemap(snap->src, snap->process.pid,
							    at, n, words + done);
		if (err)
			return err;
		done += n;
		/* A few pages here and there are over before anybody waits. */
		if (walk->gentle && n >= GENTLE_PAGES)
			give_way();
	}
	return NULL;
}

static struct mw_err *read_chunk(struct walk *walk, struct chunk *chunk, uint64_t *words)
{
	const struct mw_snapshot *snap = walk->snap;
	uint64_t end = chunk->start + chunk->n_pages * walk->page;
	struct mw_err *err = read_words(walk, chunk, words);
	if (err)
		return err;
	for (size_t r = region_from(snap, chunk->start); r < snap->regions.n; r++) {
		const struct mw_region *region = &snap->regions.items[r];
		if (region->start >= end)
			break;
		uint64_t from =
			region->start > chunk->start ? region->start : chunk->start;
		uint64_t to = region->end < end ? region->end : end;
		if (!cut_words(chunk, words, (from - chunk->start) / walk->page,
			       (to - chunk->start) / walk->page, walk->page))
			return mw_err_nomem();
	}
	return NULL;
}

static size_t longest_chunk(const struct walk *walk)
{
	size_t ret = 0;
	for (size_t i = 0; i < walk->chunks.n; i++)
		if (walk->chunks.items[i].n_pages > ret)
			ret = walk->chunks.items[i].n_pages;
	return ret;
}

static void *work(void *arg)
{
	struct walk *walk = arg;
	uint64_t *words = malloc((longest_chunk(walk) + 1) * sizeof(*words));
	size_t i;
	while ((i = atomic_fetch_add(&walk->next, 1)) < walk->chunks.n) {
		struct chunk *chunk = &walk->chunks.items[i];
		chunk->err = words ? read_chunk(walk, chunk, words) : mw_err_nomem();
		if (chunk->err)
			break;
	}
	free(words);
	return NULL;
}

static unsigned jobs_wanted(const struct walk *walk, unsigned asked)
{
	const struct mw_totals *totals = &walk->snap->totals;
	unsigned jobs = asked;
	if (walk->gentle || !mw_source_facts(walk->snap->src)->parallel)
		return 1;
	if (!asked && totals->rss_before != MW_UNKNOWN &&
	    totals->rss_before >= PARALLEL_FROM) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);
		jobs = cpus > 1 ? (unsigned)cpus : 1;
	}
	if (!jobs)
		return 1;
	if (jobs > walk->chunks.n)
		jobs = (unsigned)walk->chunks.n;
	return jobs > MAX_JOBS ? MAX_JOBS : jobs;
}

/* A thread that cannot be had is no failure: this one does the work then. */
static void run_workers(struct walk *walk, unsigned jobs)
{
	pthread_t threads[MAX_JOBS];
	unsigned n = 0;
	while (n + 1 < jobs && pthread_create(&threads[n], NULL, work, walk) == 0)
		n++;
	work(walk);
	while (n)
		pthread_join(threads[--n], NULL);
}

/* All pieces in address order; the first error of any chunk wins, the others go. */
static struct mw_err *gather(struct walk *walk, struct mw_piece_vec *pieces)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < walk->chunks.n; i++) {
		struct chunk *chunk = &walk->chunks.items[i];
		if (chunk->err && !err)
			err = chunk->err;
		else
			mw_err_free(chunk->err);
		for (size_t k = 0; !err && k < chunk->pieces.n; k++)
			if (!mw_vec_add(pieces, chunk->pieces.items[k]))
				err = mw_err_nomem();
		mw_vec_deinit(&chunk->pieces);
	}
	mw_vec_deinit(&walk->chunks);
	return err;
}

static struct mw_err *refine(struct mw_snapshot *snap, struct mw_piece_vec *pieces,
			     bool frames)
{
	mw_mark_not_rss(snap, pieces);
	struct mw_err *err = mw_mark_zero(snap, pieces);
	if (!err)
		err = mw_mark_huge(snap, pieces);
	if (!err)
		err = mw_runs_make(snap, pieces, frames);
	return err;
}

struct mw_err *mw_pages_walk(struct mw_snapshot *snap,
			     const struct mw_snapshot_opts *opts)
{
	const struct mw_facts *facts = mw_source_facts(snap->src);
	struct walk walk = { .snap = snap,
			     .page = facts->page_size,
			     .gentle = opts->gentle && facts->live &&
				       snap->totals.rss_before >= GENTLE_FROM };
	struct mw_piece_vec pieces = { 0 };
	struct mw_err *err = plan(&walk);
	int slack = walk.gentle ? timer_slack(1) : 0;
	if (!err)
		run_workers(&walk, jobs_wanted(&walk, opts->jobs));
	if (walk.gentle)
		(void)timer_slack(slack);
	struct mw_err *err2 = gather(&walk, &pieces);
	if (!err)
		err = err2;
	else
		mw_err_free(err2);
	if (!err)
		err = refine(snap, &pieces, opts->want & (MW_WANT_FRAMES | MW_WANT_PSS));
	mw_vec_deinit(&pieces);
	return err;
}
