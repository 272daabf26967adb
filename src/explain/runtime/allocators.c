// SPDX-License-Identifier: MIT
/* Memory that libc gets for itself, and the allocators that replace malloc. */
#include "explain/runtime/runtime.h"

struct mw_err *mw_classify_allocators(struct mw_classify *cx)
{
	static mw_classifier_fn *const list[] = {
		mw_classify_rtld,      mw_classify_stack_cache, mw_classify_tcmalloc,
		mw_classify_musl,      mw_classify_jemalloc,    mw_classify_mimalloc,
		mw_classify_partition,
	};
	struct mw_err *err = NULL;
	for (size_t i = 0; i < sizeof(list) / sizeof(*list) && !err; i++)
		err = list[i](cx);
	return err;
}
