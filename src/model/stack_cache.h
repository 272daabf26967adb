/* SPDX-License-Identifier: MIT */
/*
 * glibc keeps the stacks of threads that ended, 40 MiB of them at most
 * (nptl/allocatestack.c, stack_cache), for those that come. No thread leads to them any
 * more; but their descriptor is still at the top: it points to itself, and names the
 * whole block.
 */
#pragma once

#include "base/vec.h"
#include "model/memory.h"

struct mw_cached_stack {
	uint64_t start; /* of the block: its guard */
	uint64_t stack; /* of what is readable */
	uint64_t end;
	uint64_t tcb; /* the descriptor */
	uint64_t dtv; /* what it names as its vector of thread-local variables */
};

struct mw_cached_stacks {
	MW_VEC(struct mw_cached_stack);
};

/*
 * Appends the kept stacks of a process, ascending. The snapshot must have threads. What
 * cannot be read is not found. NOMEM.
 */
struct mw_err *mw_cached_stacks_find(struct mw_memory *mem,
				     struct mw_cached_stacks *ret) MW_MUST_USE;
