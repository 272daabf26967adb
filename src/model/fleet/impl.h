/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#pragma once

#include "base/buf.h"
#include "model/fleet/fleet.h"

/* Bits of mw_fleet_row.have. */
enum {
	MW_FLEET_STAT = 1 << 0,
	MW_FLEET_STATUS = 1 << 1,
	MW_FLEET_COMMAND = 1 << 2,
	MW_FLEET_CGROUP = 1 << 3,
	MW_FLEET_WALKED = 1 << 4, /* smaps_rollup, or smaps */
	MW_FLEET_DENIED = 1 << 5,
	MW_FLEET_GONE = 1 << 6,
};

struct mw_fleet_user {
	uint64_t uid;
	const char *name;
};

struct mw_fleet_users {
	MW_VEC(struct mw_fleet_user);
};

/* A look under way. */
struct mw_fleet_look {
	struct mw_source *src;
	const struct mw_fleet_opts *opts;
	const struct mw_fleet *before;
	struct mw_fleet *fleet;
	struct mw_buf text; /* of the file read last */
	struct mw_fleet_users users;
	bool users_read;
	uint64_t now_ticks; /* since boot; 0: the clock stands */
};

uint64_t mw_fleet_clock_ns(int clock); /* CLOCK_MONOTONIC, … */

/* Reads what `want` (MW_FLEET_STAT | …) asks and was not read yet. NOMEM only. */
struct mw_err *mw_fleet_read(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     unsigned want) MW_MUST_USE;

/* Rss and whether there is memory at all. NOMEM only. */
struct mw_err *mw_fleet_read_statm(struct mw_fleet_look *look,
				   struct mw_fleet_row *row) MW_MUST_USE;

/* Reads a file into look->text. *ok: it is there; why not is counted. NOMEM only. */
struct mw_err *mw_fleet_text(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     enum mw_file file, bool *ok) MW_MUST_USE;

/* Takes an error over: a process that is gone, or refused, is no failure. NOMEM only. */
struct mw_err *mw_fleet_note(struct mw_fleet_look *look, struct mw_fleet_row *row,
			     struct mw_err *err) MW_MUST_USE;

/*
 * Reads smaps_rollup of `row`, unless the budget is spent: it then counts as late.
 * NOMEM only.
 */
struct mw_err *mw_fleet_walk(struct mw_fleet_look *look,
			     struct mw_fleet_row *row) MW_MUST_USE;

/* True when no time is left for page tables. */
bool mw_fleet_spent(const struct mw_fleet_look *look);

/* The name of a user, or the number; lives as long as the fleet. NULL: no memory. */
const char *mw_fleet_user_name(struct mw_fleet_look *look, uint64_t uid);

/* Orders rows by opts->key; unknown values come last, the larger Rss first. */
void mw_fleet_sort(struct mw_fleet_row *rows, size_t n, const struct mw_fleet_opts *opts);

/* The value a key sorts by, larger first; false when it is not known. */
bool mw_fleet_value(const struct mw_fleet_row *row, enum mw_fleet_key key, uint64_t *ret);

/* Adds `row` to the sums of `to`. */
void mw_fleet_add(struct mw_fleet_row *to, const struct mw_fleet_row *row);

/* A row without anything known. */
void mw_fleet_row_init(struct mw_fleet_row *row);

/* Fills fleet->rows with groups of fleet->all. NOMEM. */
struct mw_err *mw_fleet_group(struct mw_fleet_look *look) MW_MUST_USE;

/* Fills fleet->rows with mapped files. NOMEM. */
struct mw_err *mw_fleet_files(struct mw_fleet_look *look) MW_MUST_USE;

/* Puts children below their parents; rows are in order otherwise. NOMEM. */
struct mw_err *mw_fleet_tree(struct mw_fleet_row *rows, size_t n) MW_MUST_USE;

/* Rows found by name. A zeroed one is empty. */
struct mw_fleet_index {
	uint32_t *slots; /* row number + 1 */
	size_t cap;
};

/* The row called `name` (copied), made if it is new. NULL: no memory. */
struct mw_fleet_row *mw_fleet_index_get(struct mw_fleet_index *index,
					struct mw_fleet *fleet, const char *name,
					size_t len);
void mw_fleet_index_deinit(struct mw_fleet_index *index);
