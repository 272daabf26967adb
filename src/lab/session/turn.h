/* SPDX-License-Identifier: MIT */
/*
 * From what was told and seen to a turn: the question before a step, what of the past
 * must be worked out before it, and the answers after it. Runs no program.
 */
#pragma once

#include "lab/session/told.h"

/* What an expression was worth before the step. */
struct mw_past {
	const char *text;
	struct mw_value value;
};

struct mw_pasts {
	MW_VEC(struct mw_past);
};

/* A watched range before the step. */
struct mw_watched {
	bool known; /* its address was */
	pid_t pid;
	struct mw_lab_seen seen;
};

struct mw_stage {
	const struct mw_lab *lab;
	struct mw_source *src;
	struct mw_arena *arena; /* all results lie there */
	const struct mw_told *told;
	const char *lacks;                    /* the lab as a whole */
	struct mw_observation *before, *seen; /* `before` is NULL between two steps */
	struct mw_pasts pasts;
	struct mw_watched *watched; /* lab->n_watch of them */
};

/* What the claims that do not hold say, together; "" when all hold. */
struct mw_err *mw_stage_lacks(struct mw_stage *stage, const struct mw_lab_claims *needs,
			      const char **ret) MW_MUST_USE;

/* What is known while the program waits at a step's announcement: `seen`. */
struct mw_err *mw_stage_ask(struct mw_stage *stage, struct mw_lab_turn *turn) MW_MUST_USE;

/* Works out, in `before`, what will be asked of the past. */
struct mw_err *mw_stage_prepare(struct mw_stage *stage,
				const struct mw_lab_step *step) MW_MUST_USE;

/* After the step, in `seen`. */
struct mw_err *mw_stage_answer(struct mw_stage *stage,
			       struct mw_lab_turn *turn) MW_MUST_USE;

/* Frees what was seen. */
void mw_stage_deinit(struct mw_stage *stage);
