// SPDX-License-Identifier: MIT
/* What account and rules say things with: gaps, findings, quantities in words. */
#include "explain/impl.h"

#include "base/units.h"
#include "model/access.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

const char *mw_number(struct mw_explain *ex, uint64_t n)
{
	char digits[24];
	char *ret = mw_arena_alloc(&ex->arena, 32), *to = ret;
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	if (!ret || len <= 0)
		return "?";
	for (int i = 0; i < len; i++) {
		*to++ = digits[i];
		if ((len - i) % 3 == 1 && i + 1 < len)
			*to++ = ',';
	}
	return ret;
}

const char *mw_next(struct mw_explain *ex, const char *verb, const char *options)
{
	const struct mw_snapshot *snap = ex->pub.snap;
	return mw_advice_command(mw_snapshot_source(snap), &ex->arena, verb,
				 mw_snapshot_process(snap)->pid, options);
}

bool mw_matters(const struct mw_explain *ex, uint64_t bytes, uint64_t floor,
		uint64_t part)
{
	return bytes >= floor && bytes >= ex->pub.account.rss / part;
}

struct mw_err *mw_find(struct mw_explain *ex, struct mw_finding finding)
{
	if (!finding.claim || !finding.evidence || !finding.next ||
	    !mw_vec_add(&ex->findings, finding))
		return mw_err_nomem();
	return NULL;
}
