/* SPDX-License-Identifier: MIT */
/*
 * `memwhy leaks`: blocks that nothing leads to (schema memwhy.leaks/1), and what grew
 * since an earlier answer (memwhy.leaks-diff/1).
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include "view/view.h"
#include <memwhy/leaks.h>

struct mw_leaks_answer {
	const struct mw_leaks *leaks;
	const struct mw_snapshot *snap; /* whose it is */
	struct mw_view_stop stop;
	struct mw_gap_list gaps; /* of how it was looked at */
	const char *unread;      /* why there is nothing to look through; or NULL */
	bool contents;
	bool count_possible; /* what is only possible counts as leaked */
	bool all;            /* every group, also for people */
};

/* Blocks that count as leaked, as the answer says it. */
struct mw_blocks mw_leaks_counted(const struct mw_leaks_answer *answer);

/* The answer of `memwhy leaks`. */
struct mw_err *mw_view_leaks(struct mw_out *out,
			     const struct mw_leaks_answer *answer) MW_MUST_USE;

/* Blocks of one size and symbol, leaked ones or all live ones. */
struct mw_leaks_row {
	uint64_t size;
	const char *symbol;
	struct mw_blocks blocks;
};

struct mw_leaks_rows {
	MW_VEC(struct mw_leaks_row);
};

/* An earlier answer: whose, and its groups. */
struct mw_leaks_earlier {
	int64_t pid;
	const char *name, *boot_id;
	uint64_t start_ticks;
	struct mw_blocks live, leaked;
	struct mw_leaks_rows live_groups, leaked_groups;
};

/*
 * Reads an earlier `memwhy leaks --json` from its text; strings go into the arena.
 * FORMAT: not such an answer.
 */
struct mw_err *mw_leaks_earlier_load(const char *json, size_t len, struct mw_arena *arena,
				     struct mw_leaks_earlier *ret) MW_MUST_USE;
void mw_leaks_earlier_deinit(struct mw_leaks_earlier *earlier);

/* What grew and shrank between the two, the largest growth first. */
struct mw_err *mw_view_leaks_diff(struct mw_out *out,
				  const struct mw_leaks_earlier *before,
				  const struct mw_leaks_answer *after) MW_MUST_USE;

/* "3.2 MiB in 20,000 blocks" */
bool mw_view_blocks_words(struct mw_buf *text, const struct mw_blocks *blocks);

/* What both answers end with: limits, the stop. */
void mw_view_leaks_limits(struct mw_out *out, const struct mw_leaks_answer *answer);
