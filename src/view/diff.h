/* SPDX-License-Identifier: MIT */
/*
 * Two maps of one process compared, row by row: what came, went, grew and shrank.
 * Schema memwhy.map-diff/1. Addresses decide, not positions in a list: a new mapping
 * often merges into its neighbour and makes no new row.
 */
#pragma once

#include "view/map.h"

/* An earlier look: whose, and its rows. An earlier answer may not tell all of who. */
struct mw_map_earlier {
	int64_t pid; /* 0: not told */
	const char *name;
	const char *boot_id;  /* "": not told */
	uint64_t start_ticks; /* 0: not told */
	struct mw_map_rows rows;
};

/*
 * Reads an earlier `memwhy map --json` from its text; of the rows those of `class`, or
 * all (NULL). Strings go into the arena. FORMAT: not such an answer.
 */
struct mw_err *mw_map_earlier_load(const char *json, size_t len, const char *class,
				   struct mw_arena *arena,
				   struct mw_map_earlier *ret) MW_MUST_USE;

/* Compares rows, both in address order and unfolded. */
struct mw_err *mw_view_diff(struct mw_out *out, const struct mw_map_earlier *before,
			    const struct mw_map_answer *after) MW_MUST_USE;
