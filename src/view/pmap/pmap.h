/* SPDX-License-Identifier: MIT */
/*
 * The tables of procps-ng's pmap(1), to the byte, from one reading of maps or smaps.
 * Where that pmap is wrong the right figure stands here; docs/pmap.md names each place.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "out/out.h"
#include "procfs/maps.h"
#include <memwhy/source.h>

enum mw_pmap_mode {
	MW_PMAP_SHORT,
	MW_PMAP_DEVICE,   /* -d */
	MW_PMAP_EXTENDED, /* -x */
	MW_PMAP_DETAIL,   /* -X, -XX, -c, -C: columns named like the keys of smaps */
};

/* Which columns a detailed table has. */
struct mw_pmap_fields {
	bool all;     /* -XX */
	bool listed;  /* by a configuration file: `names`, and nothing else */
	char **names; /* in the arena of whoever made them */
	size_t n_names;
};

struct mw_pmap_opts {
	enum mw_pmap_mode mode;
	bool quiet, paths, kernel_names;
	bool utf8; /* the locale's; for the process's own words */
	bool ranged;
	uint64_t low, high; /* inclusive */
	struct mw_pmap_fields fields;
};

/*
 * One process; *n_rows: its mappings, also those out of the range. DENIED (what could be
 * said of it was written), NOTFOUND, GONE, NOMEM, FORMAT.
 */
struct mw_err *mw_pmap_show(struct mw_out *out, struct mw_source *src, pid_t pid,
			    const struct mw_pmap_opts *opts, size_t *n_rows) MW_MUST_USE;

/* --- Between the files of this folder --- */

/* What the rows of all modes are made with. */
struct mw_pmap_job {
	struct mw_out *out;
	struct mw_source *src;
	pid_t pid;
	const struct mw_pmap_opts *opts;
	uint64_t start_stack;
	size_t n_rows;
	struct mw_buf text; /* of the rows, written out now and then */
};

/* Writes what was gathered; `much`: only when it pays. NOMEM never fails it. */
void mw_pmap_flush(struct mw_pmap_job *job, bool much);

/*
 * Appends what a process calls itself: valid text of the locale as it is, but nothing
 * that would steer a terminal. False when memory is short.
 */
bool mw_pmap_add_safe(struct mw_buf *text, const char *name, size_t len, bool utf8);

/* Appends the mapping's name as -x and the like have it. False when memory is short. */
bool mw_pmap_add_name(struct mw_pmap_job *job, const struct mw_maps_line *map);

/* The rows and sums of the modes that print as they read. */
struct mw_err *mw_pmap_rows(struct mw_pmap_job *job) MW_MUST_USE;

/* The table of -X and its kin. */
struct mw_err *mw_pmap_detail(struct mw_pmap_job *job) MW_MUST_USE;
