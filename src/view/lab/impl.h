/* SPDX-License-Identifier: MIT */
/* What the files of this folder share. */
#pragma once

#include "base/buf.h"
#include "view/lab/lab.h"

/* An answer in words: a choice, a text, a number with its unit. False: no memory. */
bool mw_lab_value_words(struct mw_buf *text, const struct mw_lab_step *step,
			const struct mw_value *value) MW_MUST_USE;

/* "held", "broken", "unseen". */
const char *mw_lab_verdict_key(enum mw_lab_verdict verdict);

/* "right", "wrong", "missing", …; NULL where nothing was asked. */
const char *mw_lab_mark_key(enum mw_lab_mark mark);

/* What is watched, before and after: a table for people, another for machines. NOMEM. */
struct mw_err *mw_lab_watched(struct mw_lab_view *view,
			      const struct mw_lab_turn *turn) MW_MUST_USE;

/* A paragraph; nothing where the text is empty. */
static inline void mw_lab_point(struct mw_out *out, enum mw_emphasis emphasis,
				const char *word, const char *text)
{
	if (*text)
		mw_out_point(out, emphasis, word, text);
}
