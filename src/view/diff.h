/* SPDX-License-Identifier: MIT */
/*
 * Two maps of one process compared, row by row: what came, went, grew and shrank.
 * Schema memwhy.map-diff/1. Addresses decide, not positions in a list: a new mapping
 * often merges into its neighbour and makes no new row.
 */
#pragma once

#include "view/map.h"

/*
 * Reads the rows of an earlier `memwhy map --json` from its text. Strings go into the
 * arena. FORMAT: not such an answer.
 */
struct mw_err *mw_map_rows_load(const char *json, size_t len, struct mw_arena *arena,
				struct mw_map_rows *ret) MW_MUST_USE;

/* Compares rows, both in address order and unfolded; `after` is of `process`. */
struct mw_err *mw_view_diff(struct mw_out *out, const struct mw_process *process,
			    const struct mw_map_rows *before,
			    const struct mw_map_rows *after) MW_MUST_USE;
