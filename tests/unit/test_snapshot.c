// SPDX-License-Identifier: MIT
/*
 * Snapshots of a made-up process whose every page is known: what the engines count,
 * which of them is used, and what becomes of each trap of the kernel's files.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"
#include "procfs/pagebits.h"
#include <memwhy/explain.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PID = 7, PAGE = 4096 };

#define EXCLUSIVE (MW_PM_PRESENT | MW_PM_EXCLUSIVE)
#define SHARED MW_PM_PRESENT
#define FILE_SHARED (MW_PM_PRESENT | MW_PM_FILE)
#define KIB(n) ((uint64_t)(n) << 10)

/* Pages in one state. */
struct pages {
	uint64_t start;
	size_t n;
	uint64_t word; /* the first page's; a frame number rises by one a page */
	uint64_t categories;
	uint64_t map_count;
};

struct world {
	struct mw_source base;
	const char *maps, *smaps, *rollup, *status, *meminfo, *max_map_count;
	const char *stat, *stat_later; /* read first, and from the second time on */
	const struct pages *pages;
	size_t n_pages;
	bool no_scan, no_frames, maps_denied, smaps_denied;
	const char *rollup_later; /* from the second time on */
	unsigned n_stat, n_rollup;
	uint64_t words_read; /* of pagemap */
};

static struct world *world_of(struct mw_source *src)
{
	return (struct world *)src;
}

static struct mw_err *denied(const char *what)
{
	return mw_err_new(MW_ERR_DENIED, 13, what, "%s: Permission denied", what);
}

static const char *text_of(struct world *w, enum mw_file file)
{
	switch (file) {
	case MW_FILE_MAPS:
		return w->maps;
	case MW_FILE_SMAPS:
		return w->smaps;
	case MW_FILE_SMAPS_ROLLUP:
		return w->n_rollup++ && w->rollup_later ? w->rollup_later : w->rollup;
	case MW_FILE_STATUS:
		return w->status;
	case MW_FILE_STAT:
		return w->n_stat++ && w->stat_later ? w->stat_later : w->stat;
	case MW_FILE_MEMINFO:
		return w->meminfo;
	case MW_FILE_MAX_MAP_COUNT:
		return w->max_map_count;
	default:
		return NULL;
	}
}

static struct mw_err *read_text(struct mw_source *src, pid_t pid, pid_t tid,
				enum mw_file file, struct mw_buf *out)
{
	struct world *w = world_of(src);
	const char *text = tid || (pid && pid != PID) ? NULL : text_of(w, file);
	if ((file == MW_FILE_MAPS && w->maps_denied) ||
	    ((file == MW_FILE_SMAPS || file == MW_FILE_SMAPS_ROLLUP) && w->smaps_denied))
		return denied(mw_file_name(file));
	if (!text)
		return mw_err_new(MW_ERR_NOTFOUND, 2, "", "no %s", mw_file_name(file));
	return mw_buf_add(out, text, strlen(text)) ? NULL : mw_err_nomem();
}

static struct mw_err *read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				   size_t n, uint64_t *ret)
{
	struct world *w = world_of(src);
	(void)pid;
	w->words_read += n;
	memset(ret, 0, n * sizeof(*ret));
	for (size_t i = 0; i < w->n_pages; i++)
		for (size_t k = 0; k < w->pages[i].n; k++) {
			uint64_t at = w->pages[i].start + k * PAGE;
			uint64_t word = w->pages[i].word;
			if (word & MW_PM_PFN_MASK)
				word = w->no_frames ? word & ~MW_PM_PFN_MASK : word + k;
			if (at >= addr && (at - addr) / PAGE < n)
				ret[(at - addr) / PAGE] = word;
		}
	return NULL;
}

static struct mw_err *scan(struct mw_source *src, pid_t pid, uint64_t start, uint64_t end,
			   struct mw_page_ranges *out)
{
	struct world *w = world_of(src);
	(void)pid;
	if (w->no_scan)
		return mw_err_new(MW_ERR_UNSUPPORTED, 25, "", "no PAGEMAP_SCAN");
	for (size_t i = 0; i < w->n_pages; i++) {
		const struct pages *p = &w->pages[i];
		uint64_t p_end = p->start + p->n * PAGE;
		uint64_t from = p->start > start ? p->start : start;
		uint64_t to = p_end < end ? p_end : end;
		uint64_t categories = p->categories ? p->categories : MW_SCAN_PRESENT;
		if (from < to &&
		    !mw_vec_add(out, (struct mw_page_range){ from, to, categories }))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *read_kpage(struct mw_source *src, enum mw_kpage which, uint64_t pfn,
				 size_t n, uint64_t *ret)
{
	struct world *w = world_of(src);
	assert_int_equal(which, MW_KPAGE_COUNT);
	memset(ret, 0, n * sizeof(*ret));
	for (size_t i = 0; i < w->n_pages; i++) {
		uint64_t first = w->pages[i].word & MW_PM_PFN_MASK;
		for (size_t k = 0; first && k < w->pages[i].n; k++)
			if (first + k >= pfn && first + k < pfn + n)
				ret[first + k - pfn] = w->pages[i].map_count;
	}
	return NULL;
}

static void close_world(struct mw_source *src)
{
	(void)src;
}

static const struct mw_source_ops ops = {
	.name = "made-up",
	.close = close_world,
	.read_text = read_text,
	.scan = scan,
	.read_pagemap = read_pagemap,
	.read_kpage = read_kpage,
};

#define STAT_OF(start, vsize, stack)                                                 \
	"7 (made up) S 1 7 7 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 " start " " vsize \
	" 0 0 0 0 " stack " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
#define STAT(start) STAT_OF(start, "1024000", "4096")
#define STATUS(rss)                                                                      \
	"Name:\tmade up\nUid:\t1\t1\t1\t1\nThreads:\t1\nNSpid:\t7\nVmSize:\t  1000 kB\n" \
	"VmRSS:\t  " rss " kB\nRssAnon:\t  " rss " kB\nRssFile:\t  0 kB\n"               \
	"RssShmem:\t  0 kB\nVmPTE:\t  40 kB\nVmSwap:\t  0 kB\nHugetlbPages:\t  0 kB\n"

static struct world make_world(const char *maps, const struct pages *pages, size_t n)
{
	struct world w = { .base = { .ops = &ops },
			   .maps = maps,
			   .stat = STAT("500"),
			   .status = STATUS("8"),
			   .pages = pages,
			   .n_pages = n };
	w.base.facts =
		(struct mw_facts){ .page_size = PAGE, .clock_ticks = 100, .release = "" };
	return w;
}

static struct mw_snapshot *take(struct world *w, unsigned want)
{
	struct mw_snapshot_opts opts = { .want = want };
	struct mw_snapshot *snap = NULL;
	struct mw_err *err = mw_snapshot_take(&w->base, PID, &opts, &snap);
	if (err)
		fail_msg("%s", err->msg);
	return snap;
}

static const struct mw_counts *counts_of(const struct mw_snapshot *snap, size_t i)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	assert_in_range(i, 0, n - 1);
	return &regions[i].counts;
}

static const struct mw_gap *find_gap(const struct mw_snapshot *snap, const char *what)
{
	size_t n;
	const struct mw_gap *gaps = mw_snapshot_gaps(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (strstr(gaps[i].what, what))
			return &gaps[i];
	return NULL;
}

static bool has_gap(const struct mw_snapshot *snap, const char *what)
{
	return find_gap(snap, what) != NULL;
}

static bool finds(struct world *w, unsigned want, const char *id);

#define ONE_REGION "10000-20000 rw-p 00000000 00:00 0 \n"

/* pagemap shows the zero page as present; Rss does not contain it. */
static void zero_page_is_not_resident(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 2, EXCLUSIVE, 0, 0 },
		{ 0x12000, 3, SHARED, MW_SCAN_PRESENT | MW_SCAN_PFNZERO, 0 },
	};
	struct world w = make_world(ONE_REGION, pages, 2);
	mw_auto_snapshot snap = take(&w, 0);
	size_t n;
	(void)state;
	assert_int_equal(counts_of(snap, 0)->rss, 2 * PAGE);
	assert_int_equal(counts_of(snap, 0)->uss, 2 * PAGE);
	assert_true(mw_snapshot_runs(snap, &n)[1].state & MW_PAGE_ZERO);
}

/* A run of ambiguous pages may be zero pages in part: the run is cut there. */
static void zero_pages_inside_a_run(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 2, SHARED, MW_SCAN_PRESENT, 0 },
		{ 0x12000, 1, SHARED, MW_SCAN_PRESENT | MW_SCAN_PFNZERO, 0 },
		{ 0x13000, 2, SHARED, MW_SCAN_PRESENT, 0 },
	};
	struct world w = make_world(ONE_REGION, pages, 3);
	mw_auto_snapshot snap = take(&w, 0);
	(void)state;
	assert_int_equal(counts_of(snap, 0)->rss, 4 * PAGE);
	assert_int_equal(counts_of(snap, 0)->uss, 0);
}

/* A guard marker carries pagemap's swap bit and is no swap entry. */
static void guard_is_not_swap(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 1, MW_PM_SWAP, MW_SCAN_SWAPPED, 0 },
		{ 0x11000, 2, MW_PM_SWAP | MW_PM_GUARD, MW_SCAN_GUARD, 0 },
	};
	struct world w = make_world(ONE_REGION, pages, 2);
	mw_auto_snapshot snap = take(&w, 0);
	(void)state;
	assert_int_equal(counts_of(snap, 0)->swap, PAGE);
	assert_int_equal(counts_of(snap, 0)->rss, 0);
}

/* The kernel divides each page by its map count; so do we, and sums stay exact. */
static void pss_by_frames(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 1, EXCLUSIVE | 100, 0, 1 },
		{ 0x11000, 3, SHARED | 200, 0, 3 },
		{ 0x14000, 2, FILE_SHARED | 900, 0, 7 },
	};
	struct world w = make_world(ONE_REGION, pages, 3);
	mw_auto_snapshot snap = take(&w, MW_WANT_FRAMES);
	const struct mw_counts *c = counts_of(snap, 0);
	uint64_t page = (uint64_t)PAGE << 12;
	(void)state;
	assert_true(c->have & MW_HAVE_PSS);
	assert_int_equal(c->pss_q12, page + 3 * (page / 3) + 2 * (page / 7));
	assert_int_equal(c->anon, 4 * PAGE);
	assert_int_equal(c->file, 2 * PAGE);
	assert_int_equal(c->uss, PAGE);
}

#define SMAPS_HEAD "Size: 64 kB\nKernelPageSize: 4 kB\nMMUPageSize: 4 kB\n"

/* Hidden frames: Pss of the region comes from smaps, and of parts where it must be so. */
static void pss_without_frames(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 2, EXCLUSIVE | 100, 0, 1 },
		{ 0x18000, 2, SHARED | 200, 0, 2 },
	};
	struct world w = make_world(ONE_REGION, pages, 2);
	size_t n;
	(void)state;
	w.no_frames = true;
	w.smaps = ONE_REGION SMAPS_HEAD
		"Rss: 16 kB\nPss: 12 kB\nPrivate_Clean: 0 kB\n"
		"Private_Dirty: 8 kB\nAnonymous: 16 kB\nSwap: 0 kB\n";
	mw_auto_snapshot snap = take(&w, MW_WANT_PSS);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_true(has_gap(snap, "proportional"));
	assert_int_equal(mw_counts_pss(&region->counts), KIB(12));
	struct mw_counts low = mw_snapshot_count(snap, region, 0x10000, 0x18000);
	struct mw_counts high = mw_snapshot_count(snap, region, 0x18000, 0x20000);
	struct mw_counts part = mw_snapshot_count(snap, region, 0x18000, 0x19000);
	assert_int_equal(mw_counts_pss(&low), KIB(8));
	assert_int_equal(mw_counts_pss(&high), KIB(4));
	assert_false(part.have & MW_HAVE_PSS);
}

/* Nobody pays for smaps who only asked for frames. */
static void frames_only_reads_no_smaps(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, SHARED | 100, 0, 2 } };
	struct world w = make_world(ONE_REGION, pages, 1);
	(void)state;
	w.no_frames = true;
	w.smaps_denied = true;
	mw_auto_snapshot snap = take(&w, MW_WANT_FRAMES);
	assert_int_equal(counts_of(snap, 0)->rss, 2 * PAGE);
	assert_false(counts_of(snap, 0)->have & MW_HAVE_PSS);
	assert_false(has_gap(snap, "smaps"));
}

/* A terabyte that is reserved and nearly empty is scanned, not read word by word. */
static void reserved_space_is_not_read(void **state)
{
	static const struct pages pages[] = { { 0x500000000000, 5, EXCLUSIVE, 0, 0 } };
	struct world w = make_world("400000000000-600000000000 rw-p 00000000 00:00 0 \n",
				    pages, 1);
	mw_auto_snapshot snap = take(&w, 0);
	(void)state;
	assert_int_equal(counts_of(snap, 0)->rss, 5 * PAGE);
	assert_in_range(w.words_read, 5, 64);
}

/* Linux 6.1 leaves mappings out of smaps_rollup while the target maps memory. */
static void rollup_that_skips(void **state)
{
	static const struct pages pages[] = { { 0x10000, 3, EXCLUSIVE, 0, 0 } };
	struct world w = make_world(ONE_REGION, pages, 1);
	(void)state;
	w.rollup = "10000-20000 ---p 00000000 00:00 0 [rollup]\nRss: 4 kB\nPss: 4 kB\n";
	w.rollup_later =
		"10000-20000 ---p 00000000 00:00 0 [rollup]\nRss: 12 kB\nPss: 9 kB\n";
	mw_auto_snapshot snap = take(&w, MW_WANT_ROLLUP);
	assert_int_equal(mw_snapshot_totals(snap)->rollup_rss, 3 * PAGE);
	assert_int_equal(mw_snapshot_totals(snap)->rollup_pss, KIB(9));
	assert_int_equal(w.n_rollup, 2);
}

#define SMAPS(rss, dirty)                                                               \
	ONE_REGION SMAPS_HEAD "Rss: " rss " kB\nPss: " rss " kB\nPrivate_Clean: 0 kB\n" \
			      "Private_Dirty: " dirty " kB\nAnonymous: " rss            \
			      " kB\nSwap: 0 kB\n"

/* Without PAGEMAP_SCAN smaps tells how many pages are zero pages: here, all that may be.
 */
static void old_kernel_all_ambiguous(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, EXCLUSIVE, 0, 0 },
					      { 0x18000, 3, SHARED, 0, 0 } };
	struct world w = make_world(ONE_REGION, pages, 2);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = SMAPS("8", "8");
	mw_auto_snapshot snap = take(&w, 0);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_int_equal(mw_snapshot_totals(snap)->engine, MW_ENGINE_PAGES);
	assert_int_equal(region->counts.rss, 2 * PAGE);
	assert_false(region->whole);
	assert_int_equal(mw_snapshot_count(snap, region, 0x10000, 0x11000).rss, PAGE);
	assert_int_equal(mw_snapshot_count(snap, region, 0x18000, 0x1b000).rss, 0);
}

/* With frames shown, the zero page is the one that is mapped again and again. */
static void old_kernel_by_frame(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 1, SHARED | 77, 0, 2 }, { 0x11000, 1, SHARED | 5, 0, 0 },
		{ 0x12000, 1, SHARED | 5, 0, 0 },  { 0x13000, 1, SHARED | 78, 0, 2 },
		{ 0x18000, 1, SHARED | 5, 0, 0 },
	};
	struct world w = make_world(ONE_REGION, pages, 5);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = SMAPS("8", "0");
	mw_auto_snapshot snap = take(&w, 0);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_false(region->whole);
	assert_int_equal(mw_snapshot_count(snap, region, 0x10000, 0x12000).rss, PAGE);
	assert_int_equal(mw_snapshot_count(snap, region, 0x13000, 0x20000).rss, PAGE);
}

/* Where neither tells, the region keeps smaps' counters in one piece, and says so. */
static void old_kernel_in_doubt(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, SHARED, 0, 0 } };
	struct world w = make_world(ONE_REGION, pages, 1);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = SMAPS("4", "4");
	mw_auto_snapshot snap = take(&w, 0);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_true(region->whole);
	assert_int_equal(region->counts.rss, PAGE);
	assert_int_equal(region->counts.uss, PAGE);
	assert_int_equal(mw_snapshot_count(snap, region, 0x10000, 0x11000).have, 0);
	assert_true(has_gap(snap, "zero pages of 1 region"));
	assert_false(finds(&w, 0, "unexplained"));
}

/* A page that may be a zero page: only then is PAGEMAP_SCAN missed. */
#define OTHER_REGION "30000-31000 r--p 00000000 00:00 0 \n"
#define OTHER_PAGE                           \
	{                                    \
		0x30000, 1, SHARED | 7, 0, 2 \
	}
#define OTHER_SMAPS \
	OTHER_REGION SMAPS_HEAD "Rss: 4 kB\nPss: 2 kB\nAnonymous: 4 kB\nSwap: 0 kB\n"

/* A running target: where no page can be a zero page, another Rss is of another moment.
 */
static void old_kernel_moved(void **state)
{
	static const struct pages pages[] = { { 0x10000, 3, EXCLUSIVE, 0, 0 },
					      OTHER_PAGE };
	struct world w = make_world(ONE_REGION OTHER_REGION, pages, 2);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = SMAPS("8", "8") OTHER_SMAPS;
	mw_auto_snapshot snap = take(&w, 0);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_false(region->whole);
	assert_int_equal(region->counts.rss, 3 * PAGE);
	assert_non_null(region->smaps);
	assert_false(has_gap(snap, "zero pages"));
}

#define ZERO_REGION "10000-20000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n"

/* Huge pages of shared memory look anonymous in the page maps of Linux before 6.11. */
static void old_kernel_huge_shmem(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, EXCLUSIVE, 0, 0 },
					      { 0x12000, 2, SHARED, 0, 0 } };
	struct world w = make_world(ZERO_REGION, pages, 2);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = ZERO_REGION SMAPS_HEAD "Rss: 16 kB\nPss: 12 kB\nPrivate_Dirty: 8 kB\n"
					 "Anonymous: 0 kB\nSwap: 0 kB\n";
	mw_auto_snapshot snap = take(&w, MW_WANT_PSS);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_false(region->whole);
	assert_int_equal(region->counts.anon, 0);
	assert_int_equal(region->counts.shmem, 4 * PAGE);
	assert_int_equal(mw_snapshot_runs(snap, &n)[0].state & MW_PAGE_FILE,
			 MW_PAGE_FILE);
	assert_int_equal(mw_counts_pss(&region->counts), KIB(12));
}

/* In a private mapping of a file they may be either: smaps tells, for all of it. */
static void old_kernel_huge_file(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, EXCLUSIVE, 0, 0 },
					      OTHER_PAGE };
	struct world w = make_world(
		"10000-20000 r--p 00000000 08:01 5 /data\n" OTHER_REGION, pages, 2);
	size_t n;
	(void)state;
	w.no_scan = true;
	w.smaps = "10000-20000 r--p 00000000 08:01 5 /data\n" SMAPS_HEAD
		  "Rss: 8 kB\nPss: 8 kB\nPrivate_Clean: 8 kB\nAnonymous: 0 kB\n"
		  "Swap: 0 kB\n" OTHER_SMAPS;
	mw_auto_snapshot snap = take(&w, 0);
	const struct mw_region *region = mw_snapshot_regions(snap, &n);
	assert_int_equal(region->counts.anon, 0);
	assert_int_equal(region->counts.file, 2 * PAGE);
	assert_true(region->whole);
	assert_false(has_gap(snap, "zero pages"));
}

/* hugetlbfs pages are present, and outside Rss. */
static void hugetlb_is_outside(void **state)
{
	static const struct pages pages[] = { { 0x200000, 512, EXCLUSIVE, 0, 0 } };
	struct world w = make_world(
		"200000-400000 rw-p 00000000 00:0f 9 /memfd:h (deleted)\n", pages, 1);
	(void)state;
	w.status =
		"VmSize:\t 9 kB\nVmRSS:\t 0 kB\nHugetlbPages:\t 2048 kB\nThreads:\t1\n";
	w.smaps =
		"200000-400000 rw-p 00000000 00:0f 9 /memfd:h (deleted)\n" SMAPS_HEAD
		"Rss: 0 kB\nPss: 0 kB\nPrivate_Hugetlb: 2048 kB\nVmFlags: rd wr mr ht \n";
	mw_auto_snapshot snap = take(&w, 0);
	assert_int_equal(counts_of(snap, 0)->rss, 0);
	assert_int_equal(counts_of(snap, 0)->hugetlb, KIB(2048));
}

/* vvar and device pages are present, neither file nor exclusive, and no zero pages. */
static void odd_mappings_are_outside(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, SHARED, 0, 0 },
					      { 0x20000, 1, SHARED, 0, 0 } };
	struct world w =
		make_world("10000-12000 r--p 00000000 00:00 0 [vvar]\n"
			   "20000-21000 rw-s 00000000 00:0e 5 anon_inode:[perf_event]\n",
			   pages, 2);
	mw_auto_snapshot snap = take(&w, 0);
	(void)state;
	assert_int_equal(counts_of(snap, 0)->rss, 0);
	assert_int_equal(counts_of(snap, 1)->rss, 0);
}

/* Swapped shared memory is not in the page table: with swap in use, smaps counts. */
static void swapped_shmem_needs_smaps(void **state)
{
	static const struct pages pages[] = { { 0x10000, 1, EXCLUSIVE | MW_PM_FILE, 0,
						0 } };
	struct world w = make_world(ZERO_REGION, pages, 1);
	(void)state;
	w.smaps = ZERO_REGION SMAPS_HEAD
		"Rss: 4 kB\nPss: 4 kB\nPrivate_Dirty: 4 kB\nAnonymous: 0 kB\n"
		"Swap: 32 kB\n";
	w.meminfo = "SwapTotal: 1000 kB\nSwapFree: 1000 kB\n";
	mw_auto_snapshot quiet = take(&w, 0);
	assert_int_equal(mw_snapshot_totals(quiet)->engine, MW_ENGINE_PAGES);
	assert_int_equal(counts_of(quiet, 0)->shmem, PAGE);
	w.meminfo = "SwapTotal: 1000 kB\nSwapFree: 900 kB\n";
	mw_auto_snapshot busy = take(&w, 0);
	assert_int_equal(mw_snapshot_totals(busy)->engine, MW_ENGINE_PAGES);
	assert_int_equal(counts_of(busy, 0)->swap, KIB(32));
	assert_int_equal(counts_of(busy, 0)->shmem, PAGE);
}

/* Without PAGEMAP_SCAN smaps is read anyway; counters that are right are no gap. */
static void old_kernel_swapped_shmem(void **state)
{
	static const struct pages pages[] = {
		{ 0x10000, 1, EXCLUSIVE | MW_PM_FILE, 0, 0 }, OTHER_PAGE
	};
	struct world w = make_world(ZERO_REGION OTHER_REGION, pages, 2);
	(void)state;
	w.no_scan = true;
	w.smaps = ZERO_REGION SMAPS_HEAD
		"Rss: 4 kB\nPss: 4 kB\nPrivate_Dirty: 4 kB\nAnonymous: 0 kB\n"
		"Swap: 32 kB\n" OTHER_SMAPS;
	mw_auto_snapshot snap = take(&w, 0);
	assert_int_equal(counts_of(snap, 0)->swap, KIB(32));
	assert_int_equal(counts_of(snap, 0)->shmem, PAGE);
	assert_false(has_gap(snap, "zero pages"));
}

/* Denied is never zero: no regions, a gap with its remedy, status' totals. */
static void denied_is_a_gap(void **state)
{
	struct world w = make_world(ONE_REGION, NULL, 0);
	size_t n;
	(void)state;
	w.maps_denied = w.smaps_denied = true;
	mw_auto_snapshot snap = take(&w, MW_WANT_FRAMES | MW_WANT_CHEAP_ROLLUP);
	mw_snapshot_regions(snap, &n);
	assert_int_equal(n, 0);
	assert_int_equal(mw_snapshot_totals(snap)->sum.have, 0);
	assert_int_equal(mw_snapshot_process(snap)->vm_rss, KIB(8));
	assert_true(has_gap(snap, "mappings"));
	assert_string_equal(find_gap(snap, "mappings")->remedy, "sudo memwhy 7");
}

static void reused_pid_is_gone(void **state)
{
	struct world w = make_world(ONE_REGION, NULL, 0);
	struct mw_snapshot_opts opts = { 0 };
	struct mw_snapshot *snap = NULL;
	(void)state;
	w.stat_later = STAT("501");
	mw_auto_err err = mw_snapshot_take(&w.base, PID, &opts, &snap);
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_GONE);
	assert_null(snap);
}

/* Its files read as empty from then on: that is no small process. */
static void memory_given_up_is_gone(void **state)
{
	struct world w = make_world(ONE_REGION, NULL, 0);
	struct mw_snapshot_opts opts = { 0 };
	struct mw_snapshot *snap = NULL;
	(void)state;
	w.stat_later = STAT_OF("500", "0", "0");
	mw_auto_err err = mw_snapshot_take(&w.base, PID, &opts, &snap);
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_GONE);
	assert_null(snap);
}

static void another_program_is_gone(void **state)
{
	struct world w = make_world(ONE_REGION, NULL, 0);
	struct mw_snapshot_opts opts = { 0 };
	struct mw_snapshot *snap = NULL;
	(void)state;
	w.stat_later = STAT_OF("500", "1024000", "8192");
	mw_auto_err err = mw_snapshot_take(&w.base, PID, &opts, &snap);
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_GONE);
	assert_null(snap);
}

static void zombie_has_no_memory(void **state)
{
	struct world w = make_world("", NULL, 0);
	(void)state;
	w.stat = "7 (gone) Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 500 0 0 0 0 0 0 0 0"
		 " 0 0 0 0"
		 " 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
	w.status = "Name:\tgone\nState:\tZ (zombie)\nThreads:\t1\n";
	mw_auto_snapshot snap = take(&w, 0);
	assert_true(has_gap(snap, "mappings"));
	assert_non_null(strstr(find_gap(snap, "mappings")->why, "zombie"));
}

/* --- rules: each with the figure that makes it speak, and one that does not --- */

static bool finds(struct world *w, unsigned want, const char *id)
{
	mw_auto_snapshot snap = take(w, want);
	mw_auto_explanation ex = NULL;
	bool found = false;
	assert_null(mw_explain(snap, NULL, &ex));
	uint64_t sum = ex->account.rest;
	for (size_t i = 0; i < ex->account.n_buckets; i++)
		sum += ex->account.buckets[i].bytes;
	assert_int_equal(sum, ex->account.rss);
	for (size_t i = 0; i < ex->n_findings; i++) {
		found |= !strcmp(ex->findings[i].id, id);
		assert_true(strlen(ex->findings[i].claim) > 20);
		assert_true(strlen(ex->findings[i].evidence) > 5);
	}
	return found;
}

#define VM "Uid:\t1\t1\t1\t1\nThreads:\t1\nVmSize:\t 90000 kB\nVmRSS:\t 8 kB\n"

static void rules_on_status(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, EXCLUSIVE, 0, 0 } };
	static const struct {
		const char *id, *speaks, *silent;
	} rules[] = {
		{ "page-tables", VM "VmPTE:\t 2048 kB\n", VM "VmPTE:\t 40 kB\n" },
		{ "locked", VM "VmLck:\t 4 kB\n", VM "VmLck:\t 0 kB\n" },
		{ "peak", VM "VmHWM:\t 90000 kB\n", VM "VmHWM:\t 8 kB\n" },
		{ "swap", VM "VmSwap:\t 2048 kB\n", VM "VmSwap:\t 4 kB\n" },
		{ "vsz", "Threads:\t1\nVmSize:\t 9000000 kB\nVmRSS:\t 8 kB\n", VM },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct world w = make_world(ONE_REGION, pages, 1);
		w.status = rules[i].speaks;
		assert_true(finds(&w, 0, rules[i].id));
		w.n_stat = 0;
		w.status = rules[i].silent;
		assert_false(finds(&w, 0, rules[i].id));
	}
}

#define ROLLUP "10000-20000 ---p 00000000 00:00 0 [rollup]\nRss: 8 kB\n"

static void rule_lazyfree(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, EXCLUSIVE, 0, 0 } };
	struct world w = make_world(ONE_REGION, pages, 1);
	(void)state;
	w.rollup = ROLLUP "LazyFree: 4096 kB\n";
	assert_true(finds(&w, MW_WANT_ROLLUP, "lazyfree"));
	w.rollup = ROLLUP "LazyFree: 0 kB\n";
	assert_false(finds(&w, MW_WANT_ROLLUP, "lazyfree"));
}

/* Many mappings against the machine's own limit. */
static void rule_map_count(void **state)
{
	mw_auto_buf maps = { 0 };
	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		assert_true(mw_buf_printf(&maps, "%x000-%x000 rw-p 00000000 00:00 0 \n",
					  16 + 2 * i, 17 + 2 * i));
	struct world w = make_world(mw_buf_str(&maps), NULL, 0);
	w.max_map_count = "2100\n";
	assert_true(finds(&w, 0, "map-count"));
	w.max_map_count = "65530\n";
	assert_false(finds(&w, 0, "map-count"));
}

/* A deleted library under the process; a memfd always reads "(deleted)" and is none. */
static void rule_deleted(void **state)
{
	static const struct pages pages[] = { { 0x10000, 2, FILE_SHARED, 0, 0 } };
	struct world w = make_world(
		"10000-20000 r--p 00000000 08:01 5 /lib/x.so (deleted)\n", pages, 1);
	(void)state;
	assert_true(finds(&w, 0, "deleted-files"));
	struct world memfd = make_world(
		"10000-20000 rw-s 00000000 00:01 5 /memfd:x (deleted)\n", pages, 1);
	assert_false(finds(&memfd, 0, "deleted-files"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_page_is_not_resident),
		cmocka_unit_test(zero_pages_inside_a_run),
		cmocka_unit_test(guard_is_not_swap),
		cmocka_unit_test(pss_by_frames),
		cmocka_unit_test(pss_without_frames),
		cmocka_unit_test(frames_only_reads_no_smaps),
		cmocka_unit_test(reserved_space_is_not_read),
		cmocka_unit_test(old_kernel_all_ambiguous),
		cmocka_unit_test(old_kernel_by_frame),
		cmocka_unit_test(old_kernel_in_doubt),
		cmocka_unit_test(rollup_that_skips),
		cmocka_unit_test(old_kernel_moved),
		cmocka_unit_test(old_kernel_huge_shmem),
		cmocka_unit_test(old_kernel_huge_file),
		cmocka_unit_test(hugetlb_is_outside),
		cmocka_unit_test(odd_mappings_are_outside),
		cmocka_unit_test(swapped_shmem_needs_smaps),
		cmocka_unit_test(old_kernel_swapped_shmem),
		cmocka_unit_test(denied_is_a_gap),
		cmocka_unit_test(reused_pid_is_gone),
		cmocka_unit_test(memory_given_up_is_gone),
		cmocka_unit_test(another_program_is_gone),
		cmocka_unit_test(zombie_has_no_memory),
		cmocka_unit_test(rules_on_status),
		cmocka_unit_test(rule_lazyfree),
		cmocka_unit_test(rule_map_count),
		cmocka_unit_test(rule_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
