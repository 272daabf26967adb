// SPDX-License-Identifier: MIT
/*
 * Takes a snapshot: who, which mappings, which pages, which threads; and looks again at
 * the end whether it is still the same process and how far its size moved meanwhile.
 */
#include "base/clock.h"
#include "base/num.h"
#include "base/units.h"
#include "model/noscan.h"
#include "model/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Reading smaps_rollup of a process up to this size takes the kernel some 2.5 ms. */
#define CHEAP_ROLLUP (UINT64_C(256) << 20)

/* Less memory than this freed lazily is no finding (explain/rules/totals.c). */
#define LEAST_LAZYFREE (UINT64_C(1) << 20)

static bool may_use_smaps(const struct mw_err *err)
{
	return err->code == MW_ERR_DENIED || err->code == MW_ERR_UNSUPPORTED;
}

/* Asked because only smaps counts such pages; few machines have any. */
static bool shmem_may_be_swapped(struct mw_snapshot *snap)
{
	mw_auto_buf text = { 0 };
	bool any = false;
	for (size_t i = 0; !any && i < snap->regions.n; i++)
		any = snap->regions.items[i].shmem;
	if (!any)
		return false;
	mw_auto_err err = mw_source_read_text(snap->src, 0, 0, MW_FILE_MEMINFO, &text);
	const char *total = strstr(mw_buf_str(&text), "SwapTotal:");
	const char *free = strstr(mw_buf_str(&text), "SwapFree:");
	return !err && total && free &&
	       strtoull(total + 10, NULL, 10) != strtoull(free + 9, NULL, 10);
}

/* hugetlbfs pages are told apart by smaps' flags alone; few processes have any. */
static bool has_hugetlb(const struct mw_snapshot *snap)
{
	return snap->process.hugetlb != MW_UNKNOWN && snap->process.hugetlb > 0;
}

static void count_regions(struct mw_snapshot *snap)
{
	for (size_t i = 0; i < snap->regions.n; i++) {
		struct mw_region *region = &snap->regions.items[i];
		region->counts = (struct mw_counts){ 0 };
		region->counts =
			mw_snapshot_count(snap, region, region->start, region->end);
	}
}

/* Pages and counters of all regions, with PAGEMAP_SCAN or without. */
static struct mw_err *walk_pages(struct mw_snapshot *snap,
				 const struct mw_snapshot_opts *opts,
				 struct mw_walk *walk)
{
	struct mw_err *err = mw_walk_end(walk, NULL);
	if (err && err->code == MW_ERR_UNSUPPORTED) {
		mw_err_free(err);
		err = mw_noscan_prepare(snap);
		if (!err)
			err = mw_walk_begin(snap, opts, &walk);
		if (!err)
			err = mw_walk_end(walk, NULL);
	}
	if (err)
		return err;
	snap->has_runs = true;
	count_regions(snap);
	return snap->noscan ? mw_noscan_settle(snap) : NULL;
}

/* What no core knows, and what this one has lost. */
static struct mw_err *note_core(struct mw_snapshot *snap)
{
	uint64_t lost = mw_source_facts(snap->src)->core_lost;
	char words[MW_UNITS_LEN], why[MW_UNITS_LEN + 64];
	struct mw_err *err = mw_gap_add(
		snap, "what was resident",
		"a core file has what was dumped, and no word on residency", "");
	if (err || !lost)
		return err;
	snprintf(why, sizeof(why), "the core file was cut short: %s of memory are gone",
		 mw_units_bytes(lost, MW_UNIT_AUTO, words));
	return mw_gap_add(snap, "all that was dumped", why, "");
}

/* Regions by maps, pages by pagemap; columns of smaps on top where asked for. */
static struct mw_err *engine_pages(struct mw_snapshot *snap,
				   const struct mw_snapshot_opts *opts)
{
	struct mw_walk *walk;
	struct mw_err *err = mw_walk_begin(snap, opts, &walk);
	bool columns = opts->want & MW_WANT_SMAPS;
	if (err)
		return err;
	err = mw_regions_read(snap, walk);
	if (!err && has_hugetlb(snap)) {
		err = mw_smaps_read(snap, false);
		columns = false;
	}
	err = err ? mw_walk_end(walk, err) : walk_pages(snap, opts, walk);
	if (err)
		return err;
	if (mw_source_facts(snap->src)->core)
		return note_core(snap);
	bool pss = true;
	for (size_t i = 0; pss && i < snap->regions.n; i++)
		pss = snap->regions.items[i].counts.have & MW_HAVE_PSS;
	if (snap->noscan) { /* all of smaps has been read */
		if (opts->want & MW_WANT_PSS)
			mw_noscan_take_pss(snap);
		return NULL;
	}
	if (columns || (!pss && (opts->want & MW_WANT_PSS)) || shmem_may_be_swapped(snap))
		err = mw_smaps_read(snap, false);
	return err;
}

static void forget_pages(struct mw_snapshot *snap)
{
	snap->has_runs = false;
	snap->runs.n = 0;
	for (size_t i = 0; i < snap->regions.n; i++)
		snap->regions.items[i].n_runs = 0;
}

static struct mw_err *engine_smaps(struct mw_snapshot *snap)
{
	forget_pages(snap);
	snap->totals.engine = MW_ENGINE_SMAPS;
	struct mw_err *err = mw_smaps_read(snap, true);
	if (err && may_use_smaps(err) && snap->regions.n == 0) {
		err = mw_gap_from_err(snap, err, "resident pages of each region", "");
		if (!err)
			err = mw_regions_read(snap, NULL);
	}
	return err;
}

/* Where even maps are denied there are no regions: the totals of status remain. */
static struct mw_err *read_memory(struct mw_snapshot *snap,
				  const struct mw_snapshot_opts *opts)
{
	struct mw_err *err = NULL;
	bool smaps = opts->engine == MW_ENGINE_SMAPS;
	snap->totals.engine = MW_ENGINE_PAGES;
	if (!smaps)
		err = engine_pages(snap, opts);
	if (err && may_use_smaps(err) && opts->engine == MW_ENGINE_AUTO &&
	    snap->regions.n) {
		err = mw_gap_from_err(snap, err, "page states", "");
		smaps = true;
	}
	if (!err && smaps)
		err = engine_smaps(snap);
	if (err)
		err = mw_gap_from_err(snap, err, "mappings", "");
	return err;
}

static struct mw_err *read_totals(struct mw_snapshot *snap,
				  const struct mw_snapshot_opts *opts)
{
	struct mw_totals *totals = &snap->totals;
	totals->sum.have = ~0U;
	for (size_t i = 0; i < snap->regions.n; i++)
		mw_counts_add(&totals->sum, &snap->regions.items[i].counts);
	if (!snap->regions.n)
		totals->sum.have = 0;
	if (mw_source_facts(snap->src)->core)
		return NULL;
	/* Where Pss is known, what may be freed lazily is all that rollup adds. */
	unsigned enough = MW_HAVE_PSS | MW_HAVE_USS | MW_HAVE_KINDS;
	bool known = (totals->sum.have & enough) == enough &&
		     totals->sum.anon < LEAST_LAZYFREE;
	bool cheap = (totals->rss_before <= CHEAP_ROLLUP && !known) ||
		     !(totals->sum.have & MW_HAVE_PSS);
	if (!(opts->want & MW_WANT_ROLLUP) &&
	    !((opts->want & MW_WANT_CHEAP_ROLLUP) && cheap))
		return NULL;
	struct mw_err *err = mw_rollup_read(snap);
	return err ? mw_gap_from_err(snap, err, "totals of smaps_rollup", "") : NULL;
}

static struct mw_err *read_threads(struct mw_snapshot *snap)
{
	return mw_threads_read(snap->src, &snap->process, &snap->arena, &snap->threads,
			       &snap->n_threads);
}

/* What has no user memory says why; reading on would only find nothing. */
static const char *memoryless(const struct mw_process *process)
{
	if (process->kthread)
		return "a kernel thread has no user memory";
	if (process->state == 'Z' || process->state == 'X')
		return "it is a zombie: its memory is already gone, its parent has not "
		       "collected its exit status";
	if (process->vm_size == MW_UNKNOWN)
		return "it has no address space: it is exiting";
	return NULL;
}

static struct mw_err *fill(struct mw_snapshot *snap, pid_t pid,
			   const struct mw_snapshot_opts *opts)
{
	struct mw_totals *totals = &snap->totals;
	struct mw_err *err = mw_process_read(snap, pid);
	if (err)
		return err;
	const char *why = memoryless(&snap->process);
	if (why)
		return mw_gap_add(snap, "mappings", why, "");
	totals->rss_before = snap->process.vm_rss;
	uint64_t start = mw_now_ns();
	if ((err = read_memory(snap, opts)) || (err = read_totals(snap, opts)))
		return err;
	totals->walk_ns = mw_now_ns() - start;
	if (snap->regions.n && (opts->want & MW_WANT_THREADS))
		err = read_threads(snap);
	return err ? err : mw_process_recheck(snap, &totals->rss_after);
}

struct mw_err *mw_snapshot_take(struct mw_source *src, pid_t pid,
				const struct mw_snapshot_opts *opts,
				struct mw_snapshot **ret)
{
	struct mw_snapshot *snap = calloc(1, sizeof(*snap));
	if (!snap)
		return mw_err_nomem();
	snap->src = src;
	snap->columns = opts->want & MW_WANT_SMAPS;
	mw_source_forget_refusals(src);
	memset(&snap->totals, 0xff, sizeof(snap->totals)); /* all unknown */
	snap->totals.sum = (struct mw_counts){ 0 };
	snap->totals.engine = MW_ENGINE_AUTO;
	snap->totals.walk_ns = 0;
	struct mw_err *err = fill(snap, pid, opts);
	if (err)
		mw_snapshot_free(snap);
	else
		*ret = snap;
	return err;
}

void mw_snapshot_free(struct mw_snapshot *snap)
{
	if (!snap)
		return;
	mw_vec_deinit(&snap->regions);
	mw_vec_deinit(&snap->runs);
	mw_vec_deinit(&snap->gaps);
	mw_buf_deinit(&snap->mountinfo);
	mw_arena_deinit(&snap->arena);
	free(snap);
}

struct mw_source *mw_snapshot_source(const struct mw_snapshot *snap)
{
	return snap->src;
}

const struct mw_process *mw_snapshot_process(const struct mw_snapshot *snap)
{
	return &snap->process;
}

const struct mw_totals *mw_snapshot_totals(const struct mw_snapshot *snap)
{
	return &snap->totals;
}

const struct mw_region *mw_snapshot_regions(const struct mw_snapshot *snap, size_t *n)
{
	*n = snap->regions.n;
	return snap->regions.items;
}

const struct mw_page_run *mw_snapshot_runs(const struct mw_snapshot *snap, size_t *n)
{
	*n = snap->runs.n;
	return snap->runs.items;
}

const struct mw_thread *mw_snapshot_threads(const struct mw_snapshot *snap, size_t *n)
{
	*n = snap->n_threads;
	return snap->threads;
}

const struct mw_gap *mw_snapshot_gaps(const struct mw_snapshot *snap, size_t *n)
{
	*n = snap->gaps.n;
	return snap->gaps.items;
}

const struct mw_region *mw_snapshot_find(const struct mw_snapshot *snap, uint64_t addr)
{
	size_t lo = 0, hi = snap->regions.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (snap->regions.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == snap->regions.n || snap->regions.items[lo].start > addr)
		return NULL;
	return &snap->regions.items[lo];
}
