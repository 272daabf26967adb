/* SPDX-License-Identifier: MIT */
/*
 * What a program tells: lines of words between tabs, as labs/lab.h writes them. Nobody
 * vouches for them: they are bounded, and what is no such line is FORMAT.
 */
#pragma once

#include "base/vec.h"
#include "lab/observe.h"

struct mw_told_value {
	const char *name;
	struct mw_value value;
};

struct mw_told_values {
	MW_VEC(struct mw_told_value);
};

struct mw_told_says {
	MW_VEC(const char *);
};

struct mw_told_bars {
	MW_VEC(struct mw_lab_bar);
};

enum mw_told_kind {
	MW_TOLD_THING, /* kept: a value, a process, a line, a bar */
	MW_TOLD_UNDO,  /* waits until what it asks is known */
	MW_TOLD_STEP,  /* waits */
	MW_TOLD_END,   /* waits */
};

struct mw_told {
	struct mw_arena *arena; /* borrowed; all texts lie there */
	struct mw_told_values values;
	struct mw_lab_processes processes;
	struct mw_told_says says; /* since mw_told_forget(), as `bars` */
	struct mw_told_bars bars;
	size_t n_lines;
	const char *step, *does;       /* of the last STEP */
	const char *how, *path, *text; /* of the last UNDO */
};

/* Takes a line. */
struct mw_err *mw_told_line(struct mw_told *told, const char *line,
			    enum mw_told_kind *ret) MW_MUST_USE;

/* The value of that name; NULL when it was not told. */
const struct mw_value *mw_told_find(const struct mw_told *told, const char *name);

/* Says and bars were of a step that is over. */
void mw_told_forget(struct mw_told *told);

/* Frees the lists; the texts are the arena's. */
void mw_told_deinit(struct mw_told *told);
