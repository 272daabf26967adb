// SPDX-License-Identifier: MIT
/* Counting bytes from page runs. */
#include "model/impl.h"

void mw_counts_add(struct mw_counts *a, const struct mw_counts *b)
{
	a->rss += b->rss;
	a->anon += b->anon;
	a->file += b->file;
	a->shmem += b->shmem;
	a->uss += b->uss;
	a->pss_q12 += b->pss_q12;
	a->swap += b->swap;
	a->huge += b->huge;
	a->hugetlb += b->hugetlb;
	a->have &= b->have;
}

/*
 * The kernel adds (page << 12) / map count per page (fs/proc/task_mmu.c, PSS_SHIFT);
 * the same division here makes the sums equal to smaps_rollup to the unit.
 */
static void count_resident(struct mw_counts *counts, const struct mw_page_run *run,
			   uint64_t n, uint64_t page, bool shmem)
{
	uint64_t len = n * page;
	counts->rss += len;
	if (!(run->state & MW_PAGE_FILE))
		counts->anon += len;
	else if (shmem)
		counts->shmem += len;
	else
		counts->file += len;
	if (run->state & MW_PAGE_HUGE)
		counts->huge += len;
	if (run->state & MW_PAGE_EXCLUSIVE) {
		counts->uss += len;
		counts->pss_q12 += len << 12;
	} else if (run->map_count) {
		counts->pss_q12 += n * ((page << 12) / run->map_count);
	} else {
		counts->have &= ~(unsigned)MW_HAVE_PSS;
	}
}

static void count_run(struct mw_counts *counts, const struct mw_page_run *run, uint64_t n,
		      uint64_t page, bool shmem)
{
	if (run->state & MW_PAGE_SWAPPED)
		counts->swap += n * page;
	if (!(run->state & MW_PAGE_PRESENT) || (run->state & MW_PAGE_ZERO))
		return;
	if (!(run->state & MW_PAGE_NOT_RSS))
		count_resident(counts, run, n, page, shmem);
	else if (run->state & MW_PAGE_HUGE)
		counts->hugetlb += n * page;
}

size_t mw_region_run(const struct mw_snapshot *snap, const struct mw_region *region,
		     uint64_t addr)
{
	uint64_t page = mw_source_facts(snap->src)->page_size;
	size_t lo = region->first_run, hi = lo + region->n_runs;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct mw_page_run *run = &snap->runs.items[mid];
		if (run->start + run->n_pages * page <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct mw_counts count_runs(const struct mw_snapshot *snap,
				   const struct mw_region *region, uint64_t start,
				   uint64_t end)
{
	uint64_t page = mw_source_facts(snap->src)->page_size;
	struct mw_counts counts = { .have = MW_HAVE_RSS | MW_HAVE_KINDS | MW_HAVE_USS |
					    MW_HAVE_PSS | MW_HAVE_SWAP | MW_HAVE_HUGE |
					    MW_HAVE_HUGETLB };
	size_t stop = region->first_run + region->n_runs;
	for (size_t i = mw_region_run(snap, region, start); i < stop; i++) {
		const struct mw_page_run *run = &snap->runs.items[i];
		uint64_t run_end = run->start + run->n_pages * page;
		if (run->start >= end)
			break;
		uint64_t from = run->start > start ? run->start : start;
		uint64_t to = run_end < end ? run_end : end;
		count_run(&counts, run, (to - from) / page, page, region->shmem);
	}
	return counts;
}

/*
 * Without map counts the region's Pss from smaps is Σ exclusive + share of the rest.
 * A part that holds all of the region's shared pages, or none, has one possible answer.
 */
static void infer_pss(struct mw_counts *part, const struct mw_counts *whole)
{
	uint64_t shared = part->rss - part->uss, all_shared = whole->rss - whole->uss;
	uint64_t of_shared = whole->pss_q12 - (whole->uss << 12);
	if ((part->have & MW_HAVE_PSS) || !(whole->have & MW_HAVE_PSS) ||
	    whole->pss_q12 < whole->uss << 12)
		return;
	if (shared && shared != all_shared)
		return;
	part->pss_q12 = (part->uss << 12) + (shared ? of_shared : 0);
	part->have |= MW_HAVE_PSS;
}

struct mw_counts mw_snapshot_count(const struct mw_snapshot *snap,
				   const struct mw_region *region, uint64_t start,
				   uint64_t end)
{
	if (start < region->start)
		start = region->start;
	if (end > region->end)
		end = region->end;
	if (start == region->start && end == region->end && region->counts.have)
		return region->counts;
	/* What was dumped of a core is no word on what was resident. */
	if (!snap->has_runs || region->whole || mw_source_facts(snap->src)->core)
		return (struct mw_counts){ 0 };
	struct mw_counts part = count_runs(snap, region, start, end);
	infer_pss(&part, &region->counts);
	return part;
}
