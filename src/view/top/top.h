/* SPDX-License-Identifier: MIT */
/*
 * The answer of `memwhy top`: processes, or groups of them, by what they cost; schema
 * memwhy.top/1. Columns and words are shared with the screen (tui/).
 */
#pragma once

#include "model/fleet/fleet.h"
#include "out/out.h"

struct mw_top_opts {
	const struct mw_fleet_opts *fleet;
	bool percent;   /* of the machine's memory, instead of bytes (text) */
	uint64_t total; /* the machine's memory; 0 unknown */
	const char
		*columns; /* their keys, with commas or blanks between; NULL: as usual */
};

/* USAGE when one of the columns is none; names all there are. */
struct mw_err *mw_top_check_columns(const struct mw_top_opts *opts) MW_MUST_USE;

/* One look. NOMEM. */
struct mw_err *mw_view_top(struct mw_out *out, const struct mw_fleet *fleet,
			   const struct mw_top_opts *opts) MW_MUST_USE;

/* "3d 4h", "12 min"; writes into `buf` and returns it. */
char *mw_top_age(uint64_t seconds, char buf[MW_UNITS_LEN]);

/* What the look cost, and what it left out: "smaps_rollup of 20 took 12 ms of 200 ms". */
struct mw_err *mw_top_cost(const struct mw_fleet *fleet, const struct mw_fleet_opts *opts,
			   struct mw_buf *text) MW_MUST_USE;
