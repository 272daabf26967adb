// SPDX-License-Identifier: MIT
/* Looks at the processes of a lab, and reads the rest when it is asked for. */
#include "lab/seen.h"
#include "procfs/status.h"
#include "symbols/object.h"

#include <stdlib.h>
#include <string.h>

/* A heap that moves while it is read is read again; who runs on and on never settles. */
enum { HEAP_TRIES = 3 };

/* What cannot be read is no failure of the observation: its text is kept. */
static struct mw_err *pass_over(struct mw_observation *seen, struct mw_err *err,
				const char **why)
{
	mw_auto_err owned = err;
	if (err->code == MW_ERR_NOMEM) {
		owned = NULL;
		return err;
	}
	*why = mw_arena_strdup(&seen->arena, err->msg);
	return *why ? NULL : mw_err_nomem();
}

static struct mw_err *set_ended(struct mw_observation *seen, struct mw_seen *of)
{
	mw_snapshot_free(of->snap);
	of->snap = NULL;
	of->ended = mw_arena_printf(&seen->arena, "%s (%d) has ended",
				    of->name[0] ? of->name : "the program", (int)of->pid);
	return of->ended ? NULL : mw_err_nomem();
}

static struct mw_err *read_stat(struct mw_observation *seen, struct mw_seen *of)
{
	mw_auto_buf text = { 0 };
	struct mw_stat stat;
	struct mw_err *err =
		mw_source_read_text(seen->src, of->pid, 0, MW_FILE_STAT, &text);
	if (err)
		return err;
	if (!mw_stat_parse(mw_buf_str(&text), text.len, &stat))
		return mw_err_new(MW_ERR_FORMAT, 0, NULL, "stat of process %d is broken",
				  (int)of->pid);
	of->ppid = (pid_t)stat.ppid;
	of->min_flt = stat.min_flt;
	of->maj_flt = stat.maj_flt;
	of->counter_pages = stat.rss_pages;
	return NULL;
}

static const char *why_no_mappings(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_gap *gaps = mw_snapshot_gaps(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(gaps[i].what, "mappings"))
			return gaps[i].why;
	return "it has no mappings";
}

/* A snapshot without mappings: it is on its way out, or says why. */
static struct mw_err *look_closer(struct mw_observation *seen, struct mw_seen *of)
{
	const struct mw_process *process = mw_snapshot_process(of->snap);
	size_t n_regions;
	(void)mw_snapshot_regions(of->snap, &n_regions);
	bool dead = process->state == 'Z' || process->state == 'X' ||
		    (process->vm_size == UINT64_MAX && !process->kthread);
	if (n_regions)
		return NULL;
	if (dead)
		return set_ended(seen, of);
	of->blind = why_no_mappings(of->snap);
	return NULL;
}

static struct mw_err *look_at(struct mw_observation *seen, struct mw_seen *of)
{
	/* No columns of smaps: without frames they would cost page runs. */
	const struct mw_snapshot_opts opts = {
		.want = MW_WANT_THREADS | MW_WANT_FRAMES | MW_WANT_ROLLUP,
	};
	struct mw_err *err = mw_snapshot_take(seen->src, of->pid, &opts, &of->snap);
	if (!err)
		err = read_stat(seen, of);
	if (!err)
		return look_closer(seen, of);
	if (err->code == MW_ERR_GONE || err->code == MW_ERR_NOTFOUND) {
		mw_err_free(err);
		return set_ended(seen, of);
	}
	mw_snapshot_free(of->snap);
	of->snap = NULL;
	return pass_over(seen, err, &of->ended);
}

/* What could not be read of the machine is not known; want of memory is an error. */
static struct mw_err *only_nomem(struct mw_err *err)
{
	if (!err || err->code == MW_ERR_NOMEM)
		return err;
	mw_err_free(err);
	return NULL;
}

static struct mw_err *read_machine(struct mw_observation *seen)
{
	bool scan = false;
	struct mw_err *err =
		only_nomem(mw_source_probe(seen->src, MW_FEATURE_PAGEMAP_SCAN, &scan));
	seen->no_scan = !scan;
	if (!err)
		err = only_nomem(mw_source_read_text(seen->src, 0, 0, MW_FILE_MEMINFO,
						     &seen->meminfo));
	if (!err)
		err = only_nomem(mw_source_read_text(seen->src, 0, 0, MW_FILE_VMSTAT,
						     &seen->vmstat));
	return err;
}

static struct mw_err *fill(struct mw_observation *seen,
			   const struct mw_lab_processes *processes)
{
	struct mw_err *err = NULL;
	seen->items = mw_arena_calloc(&seen->arena, processes->n, sizeof(*seen->items));
	if (!seen->items && processes->n)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < processes->n; i++) {
		struct mw_seen *of = &seen->items[seen->n++];
		of->pid = processes->items[i].pid;
		of->name = mw_arena_strdup(&seen->arena, processes->items[i].name);
		err = of->name ? look_at(seen, of) : mw_err_nomem();
	}
	return err ? err : read_machine(seen);
}

struct mw_err *mw_observe(struct mw_source *src, const struct mw_lab_processes *processes,
			  struct mw_observation **ret)
{
	struct mw_observation *seen = calloc(1, sizeof(*seen));
	if (!seen)
		return mw_err_nomem();
	seen->src = src;
	seen->page = mw_source_facts(src)->page_size;
	struct mw_err *err = fill(seen, processes);
	if (err)
		mw_observation_free(seen);
	else
		*ret = seen;
	return err;
}

/* Classes are wanted of what was there before, and read the process: now or never. */
void mw_observation_close(struct mw_observation *seen)
{
	for (size_t i = 0; !seen->closed && i < seen->n; i++)
		mw_err_free(mw_seen_classify(seen, &seen->items[i]));
	seen->closed = true;
}

void mw_observation_free(struct mw_observation *seen)
{
	if (!seen)
		return;
	for (size_t i = 0; i < seen->n; i++) {
		mw_layout_free(seen->items[i].layout);
		mw_heap_free(seen->items[i].heap);
		mw_snapshot_free(seen->items[i].snap);
	}
	mw_buf_deinit(&seen->meminfo);
	mw_buf_deinit(&seen->vmstat);
	mw_arena_deinit(&seen->arena);
	free(seen);
}

struct mw_seen *mw_seen_first(struct mw_observation *seen, const char *name,
			      const char **why)
{
	*why = NULL;
	for (size_t i = 0; i < seen->n; i++) {
		struct mw_seen *of = &seen->items[i];
		if (strcmp(of->name, name) != 0)
			continue;
		if (!of->ended)
			return of;
		if (!*why)
			*why = of->ended;
	}
	if (!*why)
		*why = "there is no such process yet";
	return NULL;
}

/* Why nothing more can be read of it; NULL when it can. */
static const char *shut(const struct mw_observation *seen, const struct mw_seen *of)
{
	if (of->ended)
		return of->ended;
	if (of->blind)
		return of->blind;
	return seen->closed ? "it was not looked at before the process went on" : NULL;
}

struct mw_err *mw_seen_classify(struct mw_observation *seen, struct mw_seen *of)
{
	if (of->layout || of->no_layout)
		return NULL;
	if ((of->no_layout = shut(seen, of)))
		return NULL;
	struct mw_err *err = mw_classify(of->snap, NULL, &of->layout);
	return err ? pass_over(seen, err, &of->no_layout) : NULL;
}

bool mw_seen_class(const struct mw_seen *of, uint64_t addr, enum mw_class *ret)
{
	size_t n, i = mw_layout_from(of->layout, addr);
	const struct mw_segment *segments = mw_layout_segments(of->layout, &n);
	if (i >= n || segments[i].start > addr)
		return false;
	*ret = segments[i].class;
	return true;
}

/*
 * The program waits until it is told to go on, and so do the children it told to do
 * something. Others that it started, servers maybe, run.
 */
static bool stands_still(const struct mw_observation *seen, const struct mw_seen *of)
{
	const struct mw_process *process = mw_snapshot_process(of->snap);
	if (!of->name[0])
		return true;
	for (size_t i = 0; i < seen->n; i++)
		if (!seen->items[i].name[0] && seen->items[i].pid == of->ppid)
			return process->n_threads == 1 && process->state == 'S';
	return false;
}

static const char *failed_check(const struct mw_heap *heap)
{
	for (size_t i = 0; i < heap->n_allocators; i++)
		for (size_t k = 0; k < heap->allocators[i].n_checks; k++)
			if (!heap->allocators[i].checks[k].ok)
				return heap->allocators[i].checks[k].name;
	return "a check";
}

struct mw_err *mw_seen_walk(struct mw_observation *seen, struct mw_seen *of)
{
	if (of->heap || of->no_heap)
		return NULL;
	if ((of->no_heap = shut(seen, of)))
		return NULL;
	const struct mw_heap_opts opts = { .still = stands_still(seen, of) };
	struct mw_err *err = NULL;
	for (int i = 0; !err && i < HEAP_TRIES; i++) {
		mw_heap_free(of->heap);
		of->heap = NULL;
		err = mw_heap_take(of->snap, &opts, &of->heap);
		if (!err && of->heap->settled)
			return NULL;
	}
	if (err)
		return pass_over(seen, err, &of->no_heap);
	of->no_heap = mw_arena_printf(&seen->arena, "the heap does not add up: %s",
				      failed_check(of->heap));
	return of->no_heap ? NULL : mw_err_nomem();
}

/* The lowest mapping of the program's file. */
static const struct mw_region *find_program(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const char *exe = mw_snapshot_process(snap)->exe;
	for (size_t i = 0; i < n; i++)
		if (regions[i].ino && exe[0] && !strcmp(regions[i].name, exe))
			return &regions[i];
	return NULL;
}

static struct mw_err *add_up(const struct mw_snapshot *snap,
			     const struct mw_region *region, struct mw_sizes *ret)
{
	struct mw_object_reader reader;
	struct mw_listing listing = { 0 };
	struct mw_elf *elf;
	mw_object_reader_init(&reader, snap, region);
	struct mw_err *err = mw_elf_open(mw_object_read, &reader, &elf);
	if (err)
		return err;
	err = mw_listing_make(elf, &listing);
	if (!err)
		*ret = mw_sizes_of(&listing);
	mw_listing_deinit(&listing);
	mw_elf_free(elf);
	return err;
}

struct mw_err *mw_seen_size(struct mw_observation *seen, struct mw_seen *of)
{
	if (of->sizes || of->no_sizes)
		return NULL;
	if ((of->no_sizes = shut(seen, of)))
		return NULL;
	const struct mw_region *region = find_program(of->snap);
	struct mw_sizes *sizes = mw_arena_alloc(&seen->arena, sizeof(*sizes));
	if (!sizes)
		return mw_err_nomem();
	if (!region) {
		of->no_sizes = "it maps no program file";
		return NULL;
	}
	struct mw_err *err = add_up(of->snap, region, sizes);
	if (err)
		return pass_over(seen, err, &of->no_sizes);
	of->sizes = sizes;
	return NULL;
}
