// SPDX-License-Identifier: MIT
/*
 * The page engine, first half: which page ranges are worth reading, and reading them
 * from pagemap, on several threads where that pays. Those begin while maps is still
 * being read, which for 60,000 mappings takes as long as half of their pages.
 *
 * A word of pagemap costs the kernel about 28 ns, PAGEMAP_SCAN about 11 ns a present
 * page and next to nothing for absent ones (measured, docs/performance.md). So dense
 * address space is read at once, and a scan comes first only where most of it is
 * reserved but empty (Chromium: 1.4 TiB reserved, 118 MiB resident).
 */
#include "model/pages/walk.h"
#include "model/noscan.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	CHUNK_PAGES = 16384, /* of one read: 128 KiB of words, and 64 MiB of target */
	BRIDGE_PAGES = 32,   /* reading this many absent pages is cheaper than a call */
	SMALL_PAGES = 1024,  /* a region this small is not worth a scan */
	MAX_JOBS = 4,
};

/* Resident bytes from which threads pay, and from which a target may notice the walk. */
#define PARALLEL_FROM (UINT64_C(512) << 20)
#define GENTLE_FROM (UINT64_C(16) << 20)

struct mw_walk {
	struct mw_snapshot *snap;
	struct mw_reading reading;
	unsigned jobs;
	bool frames;
	bool dense;         /* every region is read as a whole */
	size_t n_fed;       /* regions that were planned */
	struct mw_err *err; /* of planning */
	pthread_t threads[MAX_JOBS];
	unsigned n_threads;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t more;
	struct {
		MW_VEC(struct mw_chunk *);
	} chunks;
	size_t n_ready; /* these grow no more */
	size_t next;    /* the one to take */
	bool complete;  /* none will come */
};

/* The last chunk may grow until the next one begins; then a thread may have it. */
static void publish(struct mw_walk *walk, bool complete)
{
	pthread_mutex_lock(&walk->lock);
	walk->n_ready = walk->chunks.n;
	walk->complete = complete;
	pthread_cond_broadcast(&walk->more);
	pthread_mutex_unlock(&walk->lock);
}

static struct mw_err *begin_chunk(struct mw_walk *walk, uint64_t start, size_t n_pages)
{
	struct mw_span span = { start, start + n_pages * walk->reading.page };
	struct mw_chunk *chunk = calloc(1, sizeof(*chunk));
	publish(walk, false);
	if (!chunk || !mw_vec_add(&chunk->spans, span)) {
		free(chunk);
		return mw_err_nomem();
	}
	chunk->start = start;
	chunk->n_pages = n_pages;
	pthread_mutex_lock(&walk->lock);
	bool ok = mw_vec_add(&walk->chunks, chunk);
	pthread_mutex_unlock(&walk->lock);
	if (ok)
		return NULL; /* cppcheck-suppress memleak ; walk->chunks holds it */
	mw_vec_deinit(&chunk->spans);
	free(chunk);
	return mw_err_nomem();
}

/* Extends the last chunk, or begins new ones. */
static struct mw_err *plan_range(struct mw_walk *walk, uint64_t start, uint64_t end)
{
	uint64_t page = walk->reading.page;
	if (walk->chunks.n > walk->n_ready) {
		struct mw_chunk *last = walk->chunks.items[walk->chunks.n - 1];
		uint64_t last_end = last->start + last->n_pages * page;
		uint64_t grown = (end - last->start) / page;
		if (start - last_end <= BRIDGE_PAGES * page && grown <= CHUNK_PAGES) {
			last->n_pages = grown;
			return mw_vec_add(&last->spans, (struct mw_span){ start, end })
				       ? NULL
				       : mw_err_nomem();
		}
	}
	struct mw_err *err = NULL;
	while (!err && start < end) {
		uint64_t n = (end - start) / page;
		/* Cut at round addresses: no huge page then lies in two chunks. */
		uint64_t room = CHUNK_PAGES - start / page % CHUNK_PAGES;
		if (n > room)
			n = room;
		err = begin_chunk(walk, start, n);
		start += n * page;
	}
	return err;
}

static struct mw_err *plan_sparse(struct mw_walk *walk, const struct mw_region *region)
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
	uint64_t size = snap->process.vm_size, rss = snap->totals.rss_before;
	return size != MW_UNKNOWN && rss != MW_UNKNOWN && size / 5 * 4 <= rss;
}

/* Plans the regions that were added since the last time. */
static struct mw_err *plan(struct mw_walk *walk)
{
	struct mw_snapshot *snap = walk->snap;
	struct mw_err *err = NULL;
	for (; !err && walk->n_fed < snap->regions.n; walk->n_fed++) {
		const struct mw_region *region = &snap->regions.items[walk->n_fed];
		uint64_t n = (region->end - region->start) / walk->reading.page;
		if (!is_walkable(region) ||
		    (snap->noscan && !mw_noscan_wants(snap, walk->n_fed)))
			continue;
		if (walk->dense || snap->noscan || n <= SMALL_PAGES)
			err = plan_range(walk, region->start, region->end);
		else
			err = plan_sparse(walk, region);
	}
	return err;
}

/* The next chunk, waiting for one as long as more may come; NULL at the end. */
static struct mw_chunk *take_chunk(struct mw_walk *walk)
{
	struct mw_chunk *ret = NULL;
	pthread_mutex_lock(&walk->lock);
	while (walk->next == walk->n_ready && !walk->complete)
		pthread_cond_wait(&walk->more, &walk->lock);
	if (walk->next < walk->n_ready)
		ret = walk->chunks.items[walk->next++];
	pthread_mutex_unlock(&walk->lock);
	return ret;
}

static void *work(void *arg)
{
	struct mw_walk *walk = arg;
	struct mw_word_vec words = { 0 };
	struct mw_chunk *chunk;
	while ((chunk = take_chunk(walk))) {
		chunk->err = mw_chunk_read(&walk->reading, chunk, &words);
		if (chunk->err)
			break;
	}
	mw_vec_deinit(&words);
	return NULL;
}

/* What was not begun is not worth beginning. */
static void skip_rest(struct mw_walk *walk)
{
	pthread_mutex_lock(&walk->lock);
	walk->next = walk->chunks.n;
	pthread_mutex_unlock(&walk->lock);
}

static unsigned jobs_wanted(const struct mw_walk *walk, unsigned asked)
{
	uint64_t rss = walk->snap->totals.rss_before;
	if (walk->reading.gentle || !mw_source_facts(walk->snap->src)->parallel)
		return 1;
	if (!asked && rss != MW_UNKNOWN && rss >= PARALLEL_FROM) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);
		asked = cpus > 1 ? (unsigned)cpus : 1;
	}
	if (!asked)
		return 1;
	return asked > MAX_JOBS ? MAX_JOBS : asked;
}

/* A thread that cannot be had is no failure: this one does the work then. */
static void start_threads(struct mw_walk *walk)
{
	while (walk->n_threads + 1 < walk->jobs &&
	       pthread_create(&walk->threads[walk->n_threads], NULL, work, walk) == 0)
		walk->n_threads++;
}

/* Sleeps last as short as they say: 50 us longer is the default. Returns what was. */
static int timer_slack(int ns)
{
	int before = prctl(PR_GET_TIMERSLACK);
	if (ns > 0)
		(void)prctl(PR_SET_TIMERSLACK, (unsigned long)ns);
	return before;
}

/* Takes part in the work until all is done. */
static void finish(struct mw_walk *walk)
{
	int slack = walk->reading.gentle ? timer_slack(1) : 0;
	publish(walk, true);
	if (walk->chunks.n > 1)
		start_threads(walk);
	work(walk);
	while (walk->n_threads)
		pthread_join(walk->threads[--walk->n_threads], NULL);
	if (walk->reading.gentle)
		(void)timer_slack(slack);
}

/* All pieces in address order; the first error of any chunk wins, the others go. */
static struct mw_err *gather(struct mw_walk *walk, struct mw_piece_vec *pieces)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < walk->chunks.n; i++) {
		struct mw_chunk *chunk = walk->chunks.items[i];
		if (chunk->err && !err)
			err = chunk->err;
		else
			mw_err_free(chunk->err);
		for (size_t k = 0; !err && k < chunk->pieces.n; k++)
			if (!mw_vec_add(pieces, chunk->pieces.items[k]))
				err = mw_err_nomem();
		mw_vec_deinit(&chunk->pieces);
		mw_vec_deinit(&chunk->spans);
		free(chunk);
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

struct mw_err *mw_walk_begin(struct mw_snapshot *snap,
			     const struct mw_snapshot_opts *opts, struct mw_walk **ret)
{
	const struct mw_facts *facts = mw_source_facts(snap->src);
	struct mw_walk *walk = calloc(1, sizeof(*walk));
	if (!walk)
		return mw_err_nomem();
	walk->snap = snap;
	walk->reading = (struct mw_reading){
		.src = snap->src,
		.pid = snap->process.pid,
		.page = facts->page_size,
		.gentle = opts->gentle && facts->live &&
			  snap->totals.rss_before >= GENTLE_FROM,
	};
	walk->frames = opts->want & (MW_WANT_FRAMES | MW_WANT_PSS);
	walk->jobs = jobs_wanted(walk, opts->jobs);
	walk->dense = is_dense(snap);
	pthread_mutex_init(&walk->lock, NULL);
	pthread_cond_init(&walk->more, NULL);
	*ret = walk;
	return NULL;
}

/*
 * Only where planning asks the source nothing: it is in the middle of giving maps then.
 */
void mw_walk_feed(struct mw_walk *walk)
{
	if (walk->err || walk->jobs < 2 || !walk->dense || walk->snap->noscan ||
	    !mw_source_facts(walk->snap->src)->live)
		return;
	walk->err = plan(walk);
	if (!walk->n_threads && walk->n_ready)
		start_threads(walk);
}

struct mw_err *mw_walk_end(struct mw_walk *walk, struct mw_err *err)
{
	struct mw_piece_vec pieces = { 0 };
	if (!err && !walk->err)
		walk->err = plan(walk);
	if (!err) {
		err = walk->err;
		walk->err = NULL;
	}
	mw_err_free(walk->err);
	if (err)
		skip_rest(walk);
	finish(walk);
	struct mw_err *err2 = gather(walk, &pieces);
	if (!err)
		err = err2;
	else
		mw_err_free(err2);
	if (!err)
		err = refine(walk->snap, &pieces, walk->frames);
	mw_vec_deinit(&pieces);
	pthread_cond_destroy(&walk->more);
	pthread_mutex_destroy(&walk->lock);
	free(walk);
	return err;
}
