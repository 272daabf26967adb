/* SPDX-License-Identifier: MIT */
/*
 * What `memwhy lab` shows: a lab step by step, schema memwhy.lab/1; and many labs, listed
 * or run, schema memwhy.labs/1. What is said to people while a lab runs and the object
 * for machines come from the same calls, in the order below.
 */
#pragma once

#include "out/out.h"
#include <memwhy/lab.h>

/* What became of a question. */
enum mw_lab_mark {
	MW_LAB_NOT_ASKED, /* the step has none, or lacks something here */
	MW_LAB_MISSING,   /* there was no prediction */
	MW_LAB_RIGHT,
	MW_LAB_WRONG,
	MW_LAB_UNJUDGED, /* the kernel's answer could not be seen */
};

/* A step that was taken, and what was said before it. */
struct mw_lab_record {
	const struct mw_lab_turn *turn;
	const char *said; /* "" when there was no prediction */
	enum mw_lab_mark mark;
};

/* Counts. An answer that was computed beforehand is a fact like the others. */
struct mw_lab_tally {
	size_t held, broken, unseen;
	size_t asked, right, wrong, missing, unjudged;
};

/* Adds a step. */
void mw_lab_count(struct mw_lab_tally *tally, const struct mw_lab_record *record);

struct mw_buf;
/* "5 of 7 predictions right; ", or nothing when none was made. False without memory. */
bool mw_lab_score_words(struct mw_buf *text, const struct mw_lab_tally *tally,
			bool graded);

/* "19 facts held, none broken, 2 could not be seen"; the same. */
bool mw_lab_facts_words(struct mw_buf *text, const struct mw_lab_tally *tally);

struct mw_lab_view {
	struct mw_out *out;
	const struct mw_lab *lab;
	const char *variant; /* NULL: the lab's own program */
	bool graded;         /* a missing prediction is a wrong one */
	unsigned explained;  /* signs of pages that were explained; 0 at first */
	const char *lacks;   /* what was said once for all steps; NULL at first */
};

/* Who it is, before the first step. `lacks`: as of mw_lab_lacks(). */
struct mw_err *mw_view_lab_begin(struct mw_lab_view *view, pid_t pid,
				 const char *lacks) MW_MUST_USE;

/* What comes next and what is asked, for people alone. NOMEM. */
struct mw_err *mw_view_lab_ahead(struct mw_lab_view *view,
				 const struct mw_lab_turn *turn) MW_MUST_USE;

/* What the kernel answered. NOMEM. */
struct mw_err *mw_view_lab_done(struct mw_lab_view *view,
				const struct mw_lab_record *record) MW_MUST_USE;

/* What came out; the rows of CSV and NDJSON are the steps. NOMEM. */
struct mw_err *mw_view_lab_end(struct mw_lab_view *view,
			       const struct mw_lab_record *records, size_t n,
			       const struct mw_lab_tally *tally) MW_MUST_USE;

/* One of many labs. */
struct mw_lab_entry {
	const struct mw_lab *lab;
	struct mw_lab_tally tally;
	const char *failed; /* why it did not run to its end; "" when it did */
};

/* What is told of them: what there is, what came out, and which predictions were right.
 */
enum mw_labs_told { MW_LABS_LISTED, MW_LABS_RAN, MW_LABS_GRADED };

/* All of them. */
struct mw_err *mw_view_labs(struct mw_out *out, const struct mw_lab_entry *entries,
			    size_t n, enum mw_labs_told told) MW_MUST_USE;
