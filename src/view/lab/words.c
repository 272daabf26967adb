// SPDX-License-Identifier: MIT
/* Answers, verdicts and counts in words. */
#include "view/lab/impl.h"

#include <inttypes.h>

bool mw_lab_value_words(struct mw_buf *text, const struct mw_lab_step *step,
			const struct mw_value *value)
{
	const char *unit = step->unit;
	switch (value->kind) {
	case MW_VALUE_TEXT:
		return mw_buf_printf(text, "%s", value->text);
	case MW_VALUE_NUMBER:
		if (value->number >= 0 && (uint64_t)value->number < step->n_choices)
			return mw_buf_printf(text, "%s", step->choices[value->number]);
		return mw_buf_printf(text, "%" PRId64 "%s%s", value->number,
				     *unit ? " " : "", unit);
	case MW_VALUE_UNKNOWN:
		break;
	}
	return mw_buf_printf(text, "?");
}

const char *mw_lab_verdict_key(enum mw_lab_verdict verdict)
{
	static const char *const keys[] = {
		[MW_LAB_HELD] = "held",
		[MW_LAB_BROKEN] = "broken",
		[MW_LAB_UNSEEN] = "unseen",
	};
	return keys[verdict];
}

const char *mw_lab_mark_key(enum mw_lab_mark mark)
{
	static const char *const keys[] = {
		[MW_LAB_NOT_ASKED] = NULL,      [MW_LAB_MISSING] = "missing",
		[MW_LAB_RIGHT] = "right",       [MW_LAB_WRONG] = "wrong",
		[MW_LAB_UNJUDGED] = "unjudged",
	};
	return keys[mark];
}

static void count_verdict(struct mw_lab_tally *tally, enum mw_lab_verdict verdict)
{
	tally->held += verdict == MW_LAB_HELD;
	tally->broken += verdict == MW_LAB_BROKEN;
	tally->unseen += verdict == MW_LAB_UNSEEN;
}

void mw_lab_count(struct mw_lab_tally *tally, const struct mw_lab_record *record)
{
	const struct mw_lab_turn *turn = record->turn;
	for (size_t i = 0; i < turn->n_facts; i++)
		count_verdict(tally, turn->facts[i].verdict);
	if (turn->step->expect)
		count_verdict(tally, turn->expected);
	tally->asked += record->mark != MW_LAB_NOT_ASKED;
	tally->right += record->mark == MW_LAB_RIGHT;
	tally->wrong += record->mark == MW_LAB_WRONG;
	tally->missing += record->mark == MW_LAB_MISSING;
	tally->unjudged += record->mark == MW_LAB_UNJUDGED;
}

bool mw_lab_score_words(struct mw_buf *text, const struct mw_lab_tally *tally,
			bool graded)
{
	size_t judged = tally->right + tally->wrong + (graded ? tally->missing : 0);
	return !judged ||
	       mw_buf_printf(text, "%zu of %zu %s right; ", tally->right, judged,
			     judged == 1 ? "prediction" : "predictions");
}

bool mw_lab_facts_words(struct mw_buf *text, const struct mw_lab_tally *tally)
{
	bool ok = mw_buf_printf(text, "%zu %s held", tally->held,
				tally->held == 1 ? "fact" : "facts");
	if (ok && tally->broken)
		ok = mw_buf_printf(text, ", %zu broken", tally->broken);
	else if (ok)
		ok = mw_buf_printf(text, ", none broken");
	if (ok && tally->unseen)
		ok = mw_buf_printf(text, ", %zu could not be seen here", tally->unseen);
	return ok;
}
