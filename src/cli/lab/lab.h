/* SPDX-License-Identifier: MIT */
/* What the files of `memwhy lab` share. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "view/lab/lab.h"

/* Labs that were found, by topic and level. */
struct mw_labs {
	MW_VEC(struct mw_lab *);
	bool broken; /* some could not be read, and it was told */
};

/*
 * All labs: in the folders of $MEMWHY_LABS, then in `labs` beside this program or, where
 * there is none, in the installed place. Of two with one name the first counts.
 */
struct mw_err *mw_labs_find(struct mw_labs *ret) MW_MUST_USE;
void mw_labs_deinit(struct mw_labs *labs);

/* The one of this name; with a "/" in it a folder. USAGE when there is none. */
struct mw_err *mw_labs_open(const char *name, struct mw_lab **ret) MW_MUST_USE;

/* Predictions, from a file. */
struct mw_answer {
	const char *step, *said; /* as written: "STEP" or "LAB.STEP" */
	size_t line;
	bool used;
};
struct mw_answers {
	MW_VEC(struct mw_answer);
	const char *path;
	struct mw_arena arena;
};

/* USAGE: a line that is none. */
struct mw_err *mw_answers_read(const char *path, struct mw_answers *ret) MW_MUST_USE;
void mw_answers_deinit(struct mw_answers *answers);

/* What is said of a step; NULL: nothing. `whole`: the lab's name stands before it. */
const char *mw_answers_of(struct mw_answers *answers, const char *lab, const char *step,
			  bool whole);

/* USAGE when one is of no step that was asked for. */
struct mw_err *mw_answers_check(const struct mw_answers *answers) MW_MUST_USE;

enum mw_lab_mode {
	MW_LAB_ASK,   /* predictions are asked for on the terminal */
	MW_LAB_AUTO,  /* nobody is asked */
	MW_LAB_GRADE, /* predictions come from a file */
};

/* How a lab is run. */
struct mw_lab_wish {
	enum mw_lab_mode mode;
	size_t only;                /* the step that is shown; 0: all */
	struct mw_answers *answers; /* GRADE */
	bool all;                   /* it is one of many */
	struct mw_lab_opts program;
};

/*
 * Runs one. `out` NULL: silently. Untouched on failure: *tally, but what was shown was.
 */
struct mw_err *mw_lab_run(struct mw_cli *cli, const struct mw_lab *lab,
			  const struct mw_lab_wish *wish, struct mw_out *out,
			  struct mw_lab_tally *tally) MW_MUST_USE;

/* True when something in it is a finding: a broken fact, or a bad mark. */
bool mw_lab_is_finding(const struct mw_lab_tally *tally, enum mw_lab_mode mode);

/* Runs all of them, then shows what came out. */
struct mw_err *mw_lab_run_all(struct mw_cli *cli, const struct mw_labs *labs,
			      const struct mw_lab_wish *wish) MW_MUST_USE;

/*
 * A line from standard input, asked for by `prompt`; false at its end. Valid until the
 * next one.
 */
bool mw_lab_prompt(const struct mw_cli *cli, const char *prompt, struct mw_buf *line);

/* Becomes the program, on this terminal. Returns only on failure. */
struct mw_err *mw_lab_become(const struct mw_lab *lab,
			     const struct mw_lab_opts *program) MW_MUST_USE;

/* Prints a file of its folder. */
struct mw_err *mw_lab_print(const struct mw_lab *lab, const char *name) MW_MUST_USE;
