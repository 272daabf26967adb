/* SPDX-License-Identifier: MIT */
/*
 * The inside of a snapshot, shared by the files of this folder only. A snapshot is
 * built by snapshot.c in this order: process, regions, pages or smaps, threads, totals.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "procfs/maps.h"
#include <memwhy/snapshot.h>

#define MW_UNKNOWN UINT64_MAX

struct mw_region_vec {
	MW_VEC(struct mw_region);
};
struct mw_run_vec {
	MW_VEC(struct mw_page_run);
};
struct mw_gap_vec {
	MW_VEC(struct mw_gap);
};

struct mw_snapshot {
	struct mw_arena arena;
	struct mw_source *src;
	struct mw_process process;
	struct mw_totals totals;
	struct mw_region_vec regions;
	struct mw_run_vec runs;
	struct mw_gap_vec gaps;
	struct mw_thread *threads;
	size_t n_threads;
	bool has_runs;           /* the page engine filled `runs` */
	bool columns;            /* MW_WANT_SMAPS */
	struct mw_buf mountinfo; /* read when first asked for */
	bool mountinfo_read;
	struct mw_counts *noscan; /* smaps' counters, where PAGEMAP_SCAN is missing */
};

/* Notes a gap; the strings are copied. NOMEM only. */
struct mw_err *mw_gap_add(struct mw_snapshot *snap, const char *what, const char *why,
			  const char *remedy) MW_MUST_USE;

/*
 * Turns a denied or unsupported reading into a gap and frees the error; any other
 * error comes back unchanged.
 */
struct mw_err *mw_gap_from_err(struct mw_snapshot *snap, struct mw_err *err,
			       const char *what, const char *remedy) MW_MUST_USE;

/* Fills snap->process. NOTFOUND or GONE when there is no such process. */
struct mw_err *mw_process_read(struct mw_snapshot *snap, pid_t pid) MW_MUST_USE;

/* GONE when the pid names another process by now, or none. Also reads VmRSS again. */
struct mw_err *mw_process_recheck(struct mw_snapshot *snap, uint64_t *vm_rss) MW_MUST_USE;

/* Fills snap->regions from maps. `walk` (or NULL) is fed as they come. */
struct mw_walk;
struct mw_err *mw_regions_read(struct mw_snapshot *snap,
			       struct mw_walk *walk) MW_MUST_USE;

/* Appends one mapping, without counters. */
struct mw_err *mw_region_add(struct mw_snapshot *snap,
			     const struct mw_maps_line *line) MW_MUST_USE;

/*
 * The page engine: fills runs and the counters of all regions. It begins before there
 * are regions, is told of new ones (and may read their pages at once, in threads), and
 * ends with an answer: UNSUPPORTED or DENIED when this kernel or user cannot tell zero
 * pages or page states, `err` when something failed meanwhile. Every begin needs an end.
 */
struct mw_err *mw_walk_begin(struct mw_snapshot *snap,
			     const struct mw_snapshot_opts *opts,
			     struct mw_walk **ret) MW_MUST_USE;
/* Says that regions were added; what fails is told at the end. */
void mw_walk_feed(struct mw_walk *walk);
/* Reads what is left and makes the runs; frees the walk in any case. */
struct mw_err *mw_walk_end(struct mw_walk *walk, struct mw_err *err) MW_MUST_USE;

/*
 * One pass over smaps. With `counts`, it makes regions and their counters (engine
 * smaps); without, it adds columns and Pss to the regions that are there.
 */
struct mw_err *mw_smaps_read(struct mw_snapshot *snap, bool counts) MW_MUST_USE;

/* Reads smaps_rollup into the totals. */
struct mw_err *mw_rollup_read(struct mw_snapshot *snap) MW_MUST_USE;
