/* SPDX-License-Identifier: MIT */
/*
 * A lab: a program that does things to its memory step by step, and a description of
 * what the kernel must show after each (docs/labs/writing-a-lab.md). A session runs the
 * program, lets it take one step at a time, looks at it before and after through a
 * source, and computes what was asked.
 *
 * It knows no terminal: who asks for predictions and shows the answer is above.
 */
#pragma once

#include <memwhy/classify.h>

/* What an expression is worth. */
enum mw_value_kind { MW_VALUE_UNKNOWN, MW_VALUE_NUMBER, MW_VALUE_TEXT };
struct mw_value {
	enum mw_value_kind kind;
	int64_t number;
	const char *text; /* TEXT; of UNKNOWN why; else NULL */
};

struct mw_expr;

/* "EXPR | what it says". */
struct mw_lab_claim {
	const struct mw_expr *expr;
	const char *source; /* of the expression */
	const char *text;   /* with {EXPR} still in it */
};

struct mw_lab_claims {
	struct mw_lab_claim *items;
	size_t n;
};

struct mw_lab_step {
	const char *name;
	const char *note, *ask, *unit, *because; /* "" when there is none */
	const char **choices;
	size_t n_choices;
	const struct mw_expr *answer, *expect, *within; /* NULL when there is none */
	struct mw_lab_claims facts, needs;
};

/* A row of the table of what is watched. */
struct mw_lab_watch {
	const char *label;
	const struct mw_expr *at; /* a call at(ADDR[, LEN]), maybe of another process */
};

struct mw_lab {
	const char *name, *title, *topic, *question;
	const char *arguments, *copies; /* of its program: what they are; "": none */
	unsigned level;
	const char *dir;       /* where its program and sources lie */
	const char **variants; /* further programs, as in its file "build" */
	size_t n_variants;
	struct mw_lab_watch *watch;
	size_t n_watch;
	struct mw_lab_claims needs;
	const char **try;
	size_t n_try;
	struct mw_lab_step *steps;
	size_t n_steps;
};

/*
 * Reads a description. `dir` may be any folder with a file "steps". NOTFOUND; FORMAT
 * with the line's number. Freed by mw_lab_free().
 */
struct mw_err *mw_lab_open(const char *dir, struct mw_lab **ret) MW_MUST_USE;
void mw_lab_free(struct mw_lab *lab);

/* The same from the text of its steps file; `name` is for messages. */
struct mw_err *mw_lab_parse(const char *name, const char *text, size_t len,
			    struct mw_lab **ret) MW_MUST_USE;

/* One mapping that is watched, at one moment. */
struct mw_lab_seen {
	bool mapped;
	uint64_t start, end;
	const char *perms, *class, *title; /* of it; "" when not mapped */
	uint64_t rss; /* of the watched range; UINT64_MAX: not known */
	uint64_t len; /* of the watched range */
	/*
	 * One character a page of the range, at most 64 pages: '#' of this process alone,
	 * 's' shared, 'z' zero page, 'w' swapped, '.' nothing, '?' not known.
	 */
	const char *pages;
};

struct mw_lab_row {
	const char *label;
	pid_t pid;
	bool known_before; /* it was announced by then */
	struct mw_lab_seen before, after;
};

/* A bar of the step's plot, as the program measured it. */
struct mw_lab_bar {
	const char *label, *unit;
	int64_t number;
};

enum mw_lab_verdict { MW_LAB_HELD, MW_LAB_BROKEN, MW_LAB_UNSEEN };

struct mw_lab_fact {
	enum mw_lab_verdict verdict;
	const char *text;   /* in words, filled in */
	const char *source; /* the expression */
	const char *why;    /* BROKEN: the two sides; UNSEEN: what could not be known */
};

/* One step. Before it is done, only what comes first is filled. */
struct mw_lab_turn {
	const struct mw_lab_step *step;
	size_t number;          /* from 1 on; of lab->n_steps */
	const char *does;       /* as the program announced it */
	const char *note, *ask; /* filled in */
	const char *lacks;      /* what it would need and this machine has not; "" */
	/* After it. */
	struct mw_value answer, expect;
	int64_t within;
	enum mw_lab_verdict expected; /* whether the answer is the computed one */
	const struct mw_lab_fact *facts;
	size_t n_facts;
	const char *because; /* filled in */
	const struct mw_lab_row *rows;
	size_t n_rows;
	const char *const *says;
	size_t n_says;
	const struct mw_lab_bar *bars;
	size_t n_bars;
};

/* Whether one of its further programs has this name. */
bool mw_lab_has_variant(const struct mw_lab *lab, const char *name);

/* The path of its program; `variant` NULL: its own. The caller frees it. NULL: no memory.
 */
char *mw_lab_program(const struct mw_lab *lab, const char *variant);

struct mw_lab_opts {
	const char *variant; /* NULL: the lab's own program */
	char *const *args;   /* of the program, NULL at the end; may be NULL */
};

struct mw_lab_session;

/*
 * Starts the program, up to its first step. `src` is this machine. NOTFOUND when there is
 * none, FORMAT when it and the description do not fit, GONE when it ended early.
 */
struct mw_err *mw_lab_start(const struct mw_lab *lab, struct mw_source *src,
			    const struct mw_lab_opts *opts,
			    struct mw_lab_session **ret) MW_MUST_USE;

/* What comes next; NULL after the last step. Valid until the session ends. */
const struct mw_lab_turn *mw_lab_next(const struct mw_lab_session *session);

/* The program, to be looked at by others while it waits. */
pid_t mw_lab_pid(const struct mw_lab_session *session);

/* What the lab as a whole lacks here; "" when nothing. */
const char *mw_lab_lacks(const struct mw_lab_session *session);

/* Lets it take that step, looks at it, and fills the turn. Errors as of mw_lab_start().
 */
struct mw_err *mw_lab_go(struct mw_lab_session *session,
			 const struct mw_lab_turn **ret) MW_MUST_USE;

/* Ends the program and its children, puts back what it changed. NULL is fine. */
void mw_lab_end(struct mw_lab_session *session);

/*
 * Whether a prediction is right. `said` is what a person typed: a number with or without
 * its unit, a choice or its beginning. FORMAT when it can be neither.
 */
struct mw_err *mw_lab_judge(const struct mw_lab_turn *turn, const char *said,
			    bool *right) MW_MUST_USE;
