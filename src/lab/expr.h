/* SPDX-License-Identifier: MIT */
/*
 * The expressions of steps files: whole numbers and texts, operators, names, calls. What
 * names and calls mean is asked of a scope. Grammar: docs/labs/writing-a-lab.md.
 * Unknown values make unknown what is computed from them; overflow and division by zero
 * are unknown too. Bounded: depth and length of hostile input.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/lab.h>

/* What an expression is evaluated in. `process` is "" for the lab's own. */
struct mw_scope {
	void *ctx;
	struct mw_arena *arena; /* texts made on the way */
	/* Their errors are for what ends a session (NOMEM); all else is an unknown. */
	struct mw_err *(*name)(const struct mw_scope *scope, const char *name,
			       struct mw_value *ret);
	struct mw_err *(*call)(const struct mw_scope *scope, const char *process,
			       const char *func, const struct mw_value *args, size_t n,
			       struct mw_value *ret);
	/* What `inner` was worth before the step; `text` is its source. */
	struct mw_err *(*was)(const struct mw_scope *scope, const struct mw_expr *inner,
			      const char *text, struct mw_value *ret);
};

/* FORMAT with what is wrong and where. The text must live as long as the expression. */
struct mw_err *mw_expr_parse(struct mw_arena *arena, const char *text,
			     const struct mw_expr **ret) MW_MUST_USE;

/* What it is worth in a scope; errors are the scope's own. */
struct mw_err *mw_expr_eval(const struct mw_expr *expr, const struct mw_scope *scope,
			    struct mw_value *ret) MW_MUST_USE;

/*
 * Calls `fn` with what stands inside every was() and grew(), so that it can be worked out
 * before the step; the second does so for every {EXPR} of a text.
 */
typedef struct mw_err *mw_past_fn(void *ctx, const struct mw_expr *inner,
				  const char *text);
struct mw_err *mw_expr_each_past(const struct mw_expr *expr, mw_past_fn *fn,
				 void *ctx) MW_MUST_USE;
struct mw_err *mw_expr_each_past_in(struct mw_arena *arena, const char *text,
				    mw_past_fn *fn, void *ctx) MW_MUST_USE;

/*
 * When it is a comparison: its two sides. Else *left is the whole and *right unknown. Of
 * an `and`, the first part that does not hold. For telling why a fact is broken.
 */
struct mw_err *mw_expr_sides(const struct mw_expr *expr, const struct mw_scope *scope,
			     struct mw_value *left, struct mw_value *right) MW_MUST_USE;

/*
 * When it is a call: its process ("" for the own), name, and values of its arguments,
 * of which some may be unknown. Else FORMAT.
 */
struct mw_err *mw_expr_call(const struct mw_expr *expr, const struct mw_scope *scope,
			    const char **process, const char **func,
			    struct mw_value *args, size_t *n) MW_MUST_USE;
enum { MW_EXPR_ARGS = 4 };

/*
 * Replaces every {EXPR} of a text by its value: numbers in digits, unknowns as "?". With
 * {about EXPR} a "≈" comes before what is known. "{{" is a brace. FORMAT when one does
 * not parse.
 */
struct mw_err *mw_expr_fill(const char *text, const struct mw_scope *scope,
			    const char **ret) MW_MUST_USE;

/* What an expression asks its scope for: a name, or a call. */
struct mw_expr_use {
	const char *process, *name; /* process: of calls */
	bool is_call;
	size_t n_args;
};
typedef struct mw_err *mw_use_fn(void *ctx, const struct mw_expr_use *use);

/* Calls `fn` for each; the second for those of every {EXPR} of a text, or FORMAT. */
struct mw_err *mw_expr_each_use(const struct mw_expr *expr, mw_use_fn *fn,
				void *ctx) MW_MUST_USE;
struct mw_err *mw_expr_each_use_in(struct mw_arena *arena, const char *text,
				   mw_use_fn *fn, void *ctx) MW_MUST_USE;

static inline struct mw_value mw_value_number(int64_t number)
{
	return (struct mw_value){ .kind = MW_VALUE_NUMBER, .number = number };
}
static inline struct mw_value mw_value_text(const char *text)
{
	return (struct mw_value){ .kind = MW_VALUE_TEXT, .text = text };
}
static inline struct mw_value mw_value_unknown(const char *why)
{
	return (struct mw_value){ .kind = MW_VALUE_UNKNOWN, .text = why };
}
