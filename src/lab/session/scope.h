/* SPDX-License-Identifier: MIT */
/* Where the expressions of a step are evaluated: now, or before the step. */
#pragma once

#include "lab/session/turn.h"

struct mw_view {
	struct mw_stage *stage;
	struct mw_observation *seen;
	bool past;   /* there is no past of the past */
	bool probed; /* set when the kernel was asked */
};

/* The scope borrows the view. */
struct mw_scope mw_view_scope(struct mw_view *view);

/* In `seen` of the stage. */
struct mw_err *mw_stage_eval(struct mw_stage *stage, const struct mw_expr *expr,
			     struct mw_value *ret) MW_MUST_USE;
struct mw_err *mw_stage_fill(struct mw_stage *stage, const char *text,
			     const char **ret) MW_MUST_USE;

/* Works out the past of an expression (may be NULL), and of those in a text. */
struct mw_err *mw_stage_past(struct mw_stage *stage,
			     const struct mw_expr *expr) MW_MUST_USE;
struct mw_err *mw_stage_past_in(struct mw_stage *stage, const char *text) MW_MUST_USE;
