// SPDX-License-Identifier: MIT
/* What could not be seen, noted beside what could. */
#include "model/impl.h"

#include "model/access.h"

struct mw_err *mw_gap_add(struct mw_snapshot *snap, const char *what, const char *why,
			  const char *remedy)
{
	struct mw_gap gap = {
		.what = mw_arena_strdup(&snap->arena, what),
		.why = mw_arena_strdup(&snap->arena, why),
		.remedy = mw_arena_strdup(&snap->arena, remedy),
	};
	if (!gap.what || !gap.why || !gap.remedy || !mw_vec_add(&snap->gaps, gap))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_gap_from_err(struct mw_snapshot *snap, struct mw_err *err,
			       const char *what, const char *remedy)
{
	if (err->code == MW_ERR_GONE || err->code == MW_ERR_NOMEM)
		return err;
	if (!remedy[0] && err->code == MW_ERR_DENIED) {
		remedy = mw_advice_access(snap->src, &snap->arena, snap->process.pid);
		remedy = remedy ? remedy : "";
	}
	struct mw_err *ret = mw_gap_add(snap, what, err->msg, remedy);
	mw_err_free(err);
	return ret;
}
