/* SPDX-License-Identifier: MIT */
/*
 * Views: results become fields and typed tables of the writer. A view decides what is
 * shown and in which order, never how it looks.
 */
#pragma once

#include "out/out.h"
#include <memwhy/explain.h>

/* How the target was held while it was looked at. */
struct mw_view_stop {
	bool asked;
	uint64_t held_ns; /* in all */
	bool cut;
	unsigned n; /* stops; more than one: it was looked at again */
	uint64_t longest_ns;
	bool forked; /* a copy was looked at */
};

/* Gaps of one origin. */
struct mw_gap_list {
	const struct mw_gap *items;
	size_t n;
};

/* The answer of `memwhy PID`; schema memwhy.why/1. `gaps`: of the look, besides its own.
 */
struct mw_err *mw_view_why(struct mw_out *out, const struct mw_explanation *ex,
			   const struct mw_gap_list *gaps,
			   const struct mw_view_stop *stop, bool verbose) MW_MUST_USE;

/* What snapshot and layout could not see. */
struct mw_gap_list mw_snapshot_gap_list(const struct mw_snapshot *snap);
struct mw_gap_list mw_layout_gap_list(const struct mw_layout *layout);

/*
 * Lists of gaps as one: `limits` in JSON, a table for people if there are any. A stop
 * that ended by itself is one more: the rest was read of a running process.
 */
void mw_view_gaps(struct mw_out *out, const struct mw_gap_list *lists, size_t n_lists,
		  const struct mw_view_stop *stop);

/* 1/10000 of the whole; something is never told as nothing. */
uint64_t mw_view_share(uint64_t part, uint64_t whole);

/* The object `process` of every schema: {pid, name, start_time}. */
void mw_view_process(struct mw_out *out, const struct mw_process *process);

/* Says, for people and machines, how long the target stood still. */
void mw_view_stopped(struct mw_out *out, const struct mw_view_stop *stop);

/* What the target changed by while it was read; silent when nothing moved. */
void mw_view_drift(struct mw_out *out, const struct mw_totals *totals);
