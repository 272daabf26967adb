// SPDX-License-Identifier: MIT
/* Stacks of threads that ended, kept by glibc for those that come. */
#include "explain/runtime/runtime.h"

#include "model/stack_cache.h"

static struct mw_err *claim_stack(struct mw_classify *cx,
				  const struct mw_cached_stack *stack)
{
	return mw_claim(cx,
			&(struct mw_claim){
				.start = stack->stack,
				.end = stack->end,
				.class = MW_CLASS_STACK_THREAD,
				.confidence = MW_CERTAIN,
				.rank = MW_RANK_HEADER,
				.name = "kept for reuse: its thread has ended",
				.evidence = "a pthread descriptor at its top names this "
					    "block; its tid is cleared",
			});
}

struct mw_err *mw_classify_stack_cache(struct mw_classify *cx)
{
	mw_auto_memory mem = { 0 };
	struct mw_cached_stacks stacks = { 0 };
	struct mw_err *err =
		mw_memory_init(&mem, mw_classify_snapshot(cx), MW_READ_STRUCT, 0);
	if (!err)
		err = mw_cached_stacks_find(&mem, &stacks);
	for (size_t i = 0; i < stacks.n && !err; i++)
		err = claim_stack(cx, &stacks.items[i]);
	mw_vec_deinit(&stacks);
	return err;
}
