// SPDX-License-Identifier: MIT
/*
 * tcmalloc: gperftools' (a library; it takes memory from brk, so [heap] is its, not
 * glibc's) and Google's newer one (inside the program; it names its regions).
 */
#include "explain/runtime/runtime.h"

#include <string.h>

static struct mw_err *claim_brk(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		if (strcmp(regions[i].name, "[heap]") != 0)
			continue;
		err = mw_claim(cx, &(struct mw_claim){
					   .start = regions[i].start,
					   .end = regions[i].end,
					   .class = MW_CLASS_HEAP_TCMALLOC,
					   .confidence = MW_LIKELY,
					   .rank = MW_RANK_HEADER,
					   .name = regions[i].name,
					   .evidence = "[heap] of a process with "
						       "libtcmalloc, which allocates by "
						       "brk",
				   });
	}
	return err;
}

struct mw_err *mw_classify_tcmalloc(struct mw_classify *cx)
{
	bool named = false;
	struct mw_err *err =
		mw_rt_claim_named(cx, "tcmalloc", MW_CLASS_HEAP_TCMALLOC, &named);
	bool loaded = mw_rt_object(cx, "libtcmalloc");
	if (err || (!named && !loaded))
		return err;
	mw_classify_seen(cx)->tcmalloc = true;
	if (!loaded)
		return NULL;
	err = mw_rt_claim_rest(cx, MW_CLASS_HEAP_TCMALLOC, MW_LIKELY,
			       "libtcmalloc is loaded and nothing else claims it");
	return err ? err : claim_brk(cx);
}
