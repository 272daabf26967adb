// SPDX-License-Identifier: MIT
/* Rules on segments and pages. */
#include "explain/impl.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static int pid_of(const struct mw_explain *ex)
{
	return mw_snapshot_process(ex->pub.snap)->pid;
}

/* How far down a stack was ever touched: from its top to its lowest resident page. */
static uint64_t high_water(const struct mw_explain *ex, const struct mw_segment *seg)
{
	size_t n_regions, n_runs;
	const struct mw_region *region =
		&mw_snapshot_regions(ex->pub.snap, &n_regions)[seg->region];
	const struct mw_page_run *runs = mw_snapshot_runs(ex->pub.snap, &n_runs);
	for (size_t i = region->first_run; i < region->first_run + region->n_runs; i++) {
		const struct mw_page_run *run = &runs[i];
		uint64_t page =
			mw_source_facts(mw_snapshot_source(ex->pub.snap))->page_size;
		if (run->start + run->n_pages * page <= seg->start ||
		    !(run->state & (MW_PAGE_PRESENT | MW_PAGE_SWAPPED)))
			continue;
		return run->start >= seg->end    ? 0
		       : run->start < seg->start ? seg->end - seg->start
						 : seg->end - run->start;
	}
	return 0;
}

struct stacks {
	size_t n;
	uint64_t size, rss, deepest;
	const struct mw_segment *worst;
};

static void sum_stacks(const struct mw_explain *ex, struct stacks *sum)
{
	size_t n;
	const struct mw_segment *segs = mw_layout_segments(ex->layout, &n);
	for (size_t i = 0; i < n; i++) {
		if (segs[i].class != MW_CLASS_STACK_THREAD)
			continue;
		uint64_t depth = high_water(ex, &segs[i]);
		sum->n++;
		sum->size += segs[i].end - segs[i].start;
		sum->rss += segs[i].counts.rss;
		if (depth > sum->deepest || !sum->worst) {
			sum->deepest = depth;
			sum->worst = &segs[i];
		}
	}
}

struct mw_err *mw_rule_thread_stacks(struct mw_explain *ex)
{
	struct stacks s = { 0 };
	sum_stacks(ex, &s);
	if (s.n < 2 || (!mw_matters(ex, s.rss, MIB, 20) && s.n < 64))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "thread-stacks",
			.claim = mw_arena_printf(
				&ex->arena,
				"%zu thread stacks reserve %s and hold %s; the deepest "
				"ever used %s.",
				s.n, mw_words(ex, s.size), mw_words(ex, s.rss),
				mw_words(ex, s.deepest)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"stack blocks from the thread descriptors; high "
				"water is the lowest touched page (%s)",
				s.worst->name),
			.next = mw_next(ex, "map", "--class stack.thread"),
			.confidence = MW_CERTAIN,
			.bytes = s.rss,
		});
}

/*
 * The first heap of an arena holds the arena itself right behind its heap_info, so its
 * first word points a few dozen bytes on; further heaps of the arena point elsewhere.
 */
static bool is_first_heap(const struct mw_explain *ex, const struct mw_segment *seg)
{
	uint64_t ar_ptr = 0;
	size_t got = 0;
	mw_auto_err err = mw_source_read_memory(mw_snapshot_source(ex->pub.snap),
						pid_of(ex), seg->start, &ar_ptr,
						sizeof(ar_ptr), MW_READ_STRUCT, &got);
	return !err && got == sizeof(ar_ptr) && ar_ptr > seg->start &&
	       ar_ptr - seg->start <= 64;
}

/* Eight arenas a core is glibc's limit: more arenas than threads means threads ended. */
struct mw_err *mw_rule_arenas(struct mw_explain *ex)
{
	size_t n, heaps = 0, arenas = 0;
	uint64_t rss = 0;
	const struct mw_segment *segs = mw_layout_segments(ex->layout, &n);
	unsigned threads = mw_snapshot_process(ex->pub.snap)->n_threads;
	/* Who has walked the heap says more of them: rules/heap.c. */
	if (mw_heap_told(ex))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (segs[i].class != MW_CLASS_HEAP_ARENA)
			continue;
		heaps++;
		rss += segs[i].counts.rss;
		arenas += is_first_heap(ex, &segs[i]);
	}
	if (arenas < 4 || arenas < 2 * (size_t)threads || !mw_matters(ex, rss, MIB, 20))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "arenas",
			.claim = mw_arena_printf(
				&ex->arena,
				"glibc keeps %zu malloc arenas with %s for %u threads: "
				"they were made "
				"for more threads than there are now, and are never "
				"given back.",
				arenas, mw_words(ex, rss), threads),
			.evidence = mw_arena_printf(
				&ex->arena,
				"%zu heaps with a verified heap_info, %zu of them "
				"the first of their arena; status Threads %u",
				heaps, arenas, threads),
			.next = mw_next(ex, "map", "--class heap.arena"),
			.confidence = MW_CERTAIN,
			.bytes = rss,
		});
}

static bool is_program_or_file(const struct mw_segment *seg)
{
	return (seg->class >= MW_CLASS_EXE_TEXT && seg->class <= MW_CLASS_LOADER_BSS) ||
	       (seg->class >= MW_CLASS_FILE_LOCALE && seg->class <= MW_CLASS_FILE_OTHER);
}

struct mw_err *mw_rule_deleted(struct mw_explain *ex)
{
	size_t n, n_regions, files = 0;
	uint64_t rss = 0, largest = 0;
	const char *last = "", *worst = "";
	const struct mw_segment *segs = mw_layout_segments(ex->layout, &n);
	const struct mw_region *regions = mw_snapshot_regions(ex->pub.snap, &n_regions);
	for (size_t i = 0; i < n; i++) {
		const struct mw_region *region = &regions[segs[i].region];
		if (!region->deleted || !region->ino || !is_program_or_file(&segs[i]))
			continue;
		files += strcmp(last, region->name) != 0;
		last = region->name;
		rss += segs[i].counts.rss;
		if (segs[i].counts.rss >= largest) {
			largest = segs[i].counts.rss;
			worst = region->name;
		}
	}
	if (!files)
		return NULL;
	return mw_find(
		ex, (struct mw_finding){
			    .id = "deleted-files",
			    .claim = mw_arena_printf(
				    &ex->arena,
				    "%zu mapped %s no longer there (upgraded or removed "
				    "under the "
				    "process); their %s cannot be shared with processes "
				    "started since. "
				    "A restart takes the new ones.",
				    files, files == 1 ? "file is" : "files are",
				    mw_words(ex, rss)),
			    .evidence = mw_arena_printf(
				    &ex->arena, "maps names them (deleted), such as %s",
				    worst),
			    .next = mw_next(ex, "map", "--class lib"),
			    .confidence = MW_CERTAIN,
			    .bytes = rss,
		    });
}

struct mw_err *mw_rule_cow(struct mw_explain *ex)
{
	if (!mw_matters(ex, ex->cow, MIB, 50))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "cow-files",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s of code, constants and mapped files was written "
				"to, so each "
				"process that did so has its own copy.",
				mw_words(ex, ex->cow)),
			.evidence = "anonymous pages inside private file mappings (text "
				    "relocations, "
				    "patched code, MAP_PRIVATE data)",
			.next = mw_next(ex, "map", "--sort private"),
			.confidence = MW_CERTAIN,
			.bytes = ex->cow,
		});
}

struct mw_err *mw_rule_file_cache(struct mw_explain *ex)
{
	const struct mw_counts *sum = &mw_snapshot_totals(ex->pub.snap)->sum;
	if (!(sum->have & MW_HAVE_KINDS) || !mw_matters(ex, sum->file, 16 * MIB, 3))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "file-cache",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s of its Rss (%s) is page cache of mapped files: the "
				"kernel drops "
				"clean pages of it when memory is short, so it is no "
				"leak.",
				mw_words(ex, sum->file),
				mw_percent(ex, sum->file, ex->pub.account.rss)),
			.evidence = mw_arena_printf(
				&ex->arena, "RssFile by page states: %" PRIu64 " KiB",
				sum->file >> 10),
			.next = mw_next(ex, "map", "--sort rss"),
			.confidence = MW_CERTAIN,
			.bytes = sum->file,
		});
}

struct huge_sample {
	uint64_t bytes;   /* in huge pages, all of them */
	uint64_t sampled; /* bytes looked at */
	uint64_t zero;    /* of those, zero */
	size_t n_pages;   /* looked at */
	struct mw_err *err;
};

enum { SAMPLES = 256, PAGES_A_RUN = 16 };

/* Looks at evenly spread 4 KiB pages of one run of huge pages. */
static void sample_run(const struct mw_explain *ex, const struct mw_page_run *run,
		       uint64_t page, struct huge_sample *sample)
{
	uint32_t step = run->n_pages / PAGES_A_RUN ? run->n_pages / PAGES_A_RUN : 1;
	sample->bytes += run->n_pages * page;
	for (uint32_t i = step / 2; i < run->n_pages && sample->n_pages < SAMPLES;
	     i += step) {
		uint64_t zero = 0;
		struct mw_err *err =
			mw_source_zero_bytes(mw_snapshot_source(ex->pub.snap), pid_of(ex),
					     run->start + i * page, &zero);
		if (err) {
			mw_err_free(sample->err);
			sample->err = err;
			return;
		}
		sample->sampled += page;
		sample->zero += zero;
		sample->n_pages++;
	}
}

static bool is_anon_huge(const struct mw_page_run *run)
{
	unsigned no = MW_PAGE_ZERO | MW_PAGE_FILE | MW_PAGE_NOT_RSS;
	return (run->state & MW_PAGE_HUGE) && (run->state & MW_PAGE_PRESENT) &&
	       !(run->state & no);
}

static struct mw_err *sampling_failed(struct mw_explain *ex, struct mw_err *err)
{
	if (err->code == MW_ERR_NOMEM)
		return err;
	struct mw_err *gap = mw_explain_gap(ex, "contents of huge pages", err->msg, "");
	mw_err_free(err);
	return gap;
}

/* Mostly zero: more than half of the sampled bytes, and enough of them sampled. */
struct mw_err *mw_rule_huge_zero(struct mw_explain *ex)
{
	size_t n;
	struct huge_sample s = { 0 };
	uint64_t page = mw_source_facts(mw_snapshot_source(ex->pub.snap))->page_size;
	const struct mw_page_run *runs = mw_snapshot_runs(ex->pub.snap, &n);
	for (size_t i = 0; i < n && !s.err; i++)
		if (is_anon_huge(&runs[i]))
			sample_run(ex, &runs[i], page, &s);
	if (s.err)
		return sampling_failed(ex, s.err);
	if (s.n_pages < PAGES_A_RUN / 2 || s.zero < s.sampled / 2 ||
	    !mw_matters(ex, s.bytes, 4 * MIB, 50))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "huge-zero",
			.claim = mw_arena_printf(
				&ex->arena,
				"Transparent huge pages hold %s, but %s of what was "
				"sampled is zero "
				"bytes: the program touched little of them, huge pages "
				"made the rest "
				"resident.",
				mw_words(ex, s.bytes), mw_percent(ex, s.zero, s.sampled)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"%zu pages sampled, spread evenly; PMD mapped by "
				"PAGEMAP_SCAN",
				s.n_pages),
			.next = mw_next(ex, "map", "--sort rss"),
			.confidence = MW_LIKELY,
			.bytes = s.bytes,
		});
}

struct mw_err *mw_rule_unexplained(struct mw_explain *ex)
{
	uint64_t rest = ex->pub.account.rest;
	if (!mw_matters(ex, rest, MIB, 20))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "unexplained",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s (%s) is anonymous memory that nothing here could "
				"name: no known allocator, runtime, stack or file.",
				mw_words(ex, rest),
				mw_percent(ex, rest, ex->pub.account.rss)),
			.evidence = "segments of class unknown, each with what was seen",
			.next = mw_next(ex, "map", "--class unknown"),
			.confidence = MW_CERTAIN,
			.bytes = rest,
		});
}
