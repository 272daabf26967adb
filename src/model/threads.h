/* SPDX-License-Identifier: MIT */
/*
 * The threads of a process and where their stacks lie, learned without stopping it:
 * get_robust_list(2) tells an address inside the C library's thread descriptor, whether
 * the thread runs or sleeps, and the descriptor names its stack block. Nothing is
 * believed that does not verify: the descriptor must point at itself and hold the tid.
 * Where registers are known (a stopped process, a core), their thread pointer serves too.
 *
 * Layouts: glibc nptl/descr.h (x86-64, 2.5 and later; the stack fields moved over time
 * and are searched for), musl 1.2 src/internal/pthread_impl.h. A thread of another C
 * library, or one that never set a robust list (Go, musl until its first robust mutex),
 * is listed without a stack.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/snapshot.h>

/*
 * Lists the threads of a process, by tid. *ret is in the arena. Threads that end
 * meanwhile are left out; what is denied stays unknown. Fails as mw_source_list() does,
 * or NOMEM.
 */
struct mw_err *mw_threads_read(struct mw_source *src, const struct mw_process *process,
			       struct mw_arena *arena, struct mw_thread **ret,
			       size_t *n) MW_MUST_USE;
