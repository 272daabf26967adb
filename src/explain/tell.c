// SPDX-License-Identifier: MIT
/* What account and rules say things with: gaps, findings, quantities in words. */
#include "explain/impl.h"

#include "base/units.h"

struct mw_err *mw_explain_gap(struct mw_explain *ex, const char *what, const char *why,
			      const char *remedy)
{
	struct mw_gap gap = {
		.what = mw_arena_strdup(&ex->arena, what),
		.why = mw_arena_strdup(&ex->arena, why),
		.remedy = mw_arena_strdup(&ex->arena, remedy),
	};
	if (!gap.what || !gap.why || !gap.remedy || !mw_vec_add(&ex->gaps, gap))
		return mw_err_nomem();
	return NULL;
}

const char *mw_words(struct mw_explain *ex, uint64_t bytes)
{
	char buf[MW_UNITS_LEN];
	const char *ret =
		mw_arena_strdup(&ex->arena, mw_units_bytes(bytes, MW_UNIT_AUTO, buf));
	return ret ? ret : "?";
}

const char *mw_percent(struct mw_explain *ex, uint64_t part, uint64_t whole)
{
	unsigned percent = whole ? (unsigned)((part * 100.0) / (double)whole + 0.5) : 0;
	const char *ret =
		percent || !part ? mw_arena_printf(&ex->arena, "%u %%", percent) : "<1 %";
	return ret ? ret : "?";
}

struct mw_err *mw_find(struct mw_explain *ex, struct mw_finding finding)
{
	if (!finding.claim || !finding.evidence || !finding.next ||
	    !mw_vec_add(&ex->findings, finding))
		return mw_err_nomem();
	return NULL;
}
