// SPDX-License-Identifier: MIT
/*
 * The main stack, what exec put at its top, and alternate signal stacks. No kernel
 * interface tells sigaltstack(2) areas, so they are only recognised where a blocked
 * thread's stack pointer is in one, or by their shape: small, writable, guarded below.
 */
#include "base/buf.h"
#include "base/num.h"
#include "explain/claims.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_SIGNAL_STACK = 64 * 1024,
	MIN_SIGNAL_STACK = 8 * 1024, /* SIGSTKSZ */
	MAX_ASKED_FOR = 8,           /* mappings that stack pointers are compared with */
	MAX_ASKED = 512,             /* threads whose stack pointer is looked at */
};

static const unsigned rw = MW_PERM_READ | MW_PERM_WRITE;
static const unsigned any = MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC;

/*
 * The kernel names only the mapping that holds the first stack pointer: when a program
 * changed permissions of a part of its stack, what lies directly below has no name.
 */
static struct mw_err *claim_main(struct mw_classify *cx)
{
	size_t n;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_process *process = mw_snapshot_process(snap);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const struct mw_region *top = mw_snapshot_find(snap, process->start_stack);
	if (!process->start_stack || !top || strncmp(top->name, "[stack", 6))
		return NULL;
	struct mw_claim claim = {
		.class = MW_CLASS_STACK_MAIN,
		.confidence = MW_LIKELY,
		.rank = MW_RANK_SHAPE,
		.name = top->name,
		.evidence = "adjoins [stack] from below",
		.tid = process->pid,
	};
	const struct mw_region *low = top;
	while (low > regions && low[-1].end == low->start && !low[-1].name[0] &&
	       (low[-1].perms & rw) == rw && top->end - low[-1].start < (1u << 30))
		low--;
	claim.start = low->start;
	claim.end = top->start;
	struct mw_err *err = mw_claim(cx, &claim);
	if (err || process->arg_start < top->start || process->arg_start >= top->end)
		return err;
	claim.start = process->arg_start;
	claim.end = top->end;
	claim.class = MW_CLASS_STACK_ARGS;
	claim.confidence = MW_CERTAIN;
	claim.rank = MW_RANK_KERNEL;
	claim.evidence = "from arg_start (stat field 48) to the top of the stack";
	return mw_claim(cx, &claim);
}

/* Private, writable, no name, small, and inaccessible pages right below. */
static bool has_shape(const struct mw_region *regions, size_t i)
{
	const struct mw_region *region = &regions[i];
	uint64_t len = region->end - region->start;
	if (!i || region->name[0] || region->perms != rw || len < MIN_SIGNAL_STACK ||
	    len > MAX_SIGNAL_STACK)
		return false;
	const struct mw_region *below = region - 1;
	return below->end == region->start && !(below->perms & any) && !below->name[0] &&
	       below->end - below->start <= MAX_SIGNAL_STACK;
}

/* A buffer between two guards may be anything; a stack needs none above. */
static bool is_open_above(const struct mw_region *regions, size_t n, size_t i)
{
	return i + 1 == n || regions[i + 1].start != regions[i].end ||
	       (regions[i + 1].perms & any);
}

static bool in_thread_block(const struct mw_snapshot *snap, uint64_t addr)
{
	size_t n;
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	for (size_t i = 0; i < n && i < MAX_ASKED; i++)
		if (threads[i].has_stack && addr >= threads[i].stack &&
		    addr < threads[i].end)
			return true;
	return false;
}

/*
 * The stack pointer of a blocked thread: the last but one word of its syscall file
 * ("nr arg1 … arg6 sp pc", or "-1 sp pc"); "running" has none.
 */
static bool stack_pointer(const struct mw_snapshot *snap, pid_t tid, uint64_t *ret)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(mw_snapshot_source(snap),
					      mw_snapshot_process(snap)->pid, tid,
					      MW_FILE_SYSCALL, &text);
	if (err)
		return false;
	const char *str = mw_buf_str(&text), *last = strrchr(str, ' ');
	if (!last)
		return false;
	const char *sp = memrchr(str, ' ', (size_t)(last - str));
	if (!sp || strncmp(sp, " 0x", 3))
		return false;
	sp += 3;
	return mw_take_hex(&sp, last, ret);
}

static struct mw_err *claim_signal(struct mw_classify *cx, const struct mw_region *region,
				   pid_t tid)
{
	struct mw_claim claim = {
		.start = region->start,
		.end = region->end,
		.class = MW_CLASS_STACK_SIGNAL,
		.confidence = tid ? MW_LIKELY : MW_GUESS,
		.rank = MW_RANK_SHAPE,
		.name = "",
		.evidence = tid ? "a thread's stack pointer is here, and a guard below"
				: "small, writable, guarded below: the shape of a "
				  "signal stack",
		.tid = tid,
	};
	struct mw_err *err = mw_claim(cx, &claim);
	if (err)
		return err;
	claim.class = MW_CLASS_GUARD;
	claim.confidence = MW_LIKELY;
	claim.start = region[-1].start;
	claim.end = region[-1].end;
	claim.evidence = "inaccessible pages right below a signal stack";
	return mw_claim(cx, &claim);
}

/* Threads blocked on a stack that is neither their own nor the process's. */
static struct mw_err *claim_in_use(struct mw_classify *cx)
{
	size_t n, n_regions;
	uint64_t sp;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n_regions);
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	for (size_t i = 0; i < n && i < MAX_ASKED; i++) {
		if (!stack_pointer(snap, threads[i].tid, &sp))
			continue;
		const struct mw_region *region = mw_snapshot_find(snap, sp);
		if (!region || !has_shape(regions, (size_t)(region - regions)) ||
		    in_thread_block(snap, sp))
			continue;
		struct mw_err *err = claim_signal(cx, region, threads[i].tid);
		if (err)
			return err;
	}
	return NULL;
}

struct mw_err *mw_classify_stack(struct mw_classify *cx)
{
	size_t n, n_threads, n_shapes = 0, n_open = 0;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	struct mw_err *err = claim_main(cx);
	(void)mw_snapshot_threads(snap, &n_threads);
	for (size_t i = 1; i < n; i++) {
		bool fits = has_shape(regions, i);
		n_shapes += fits;
		n_open += fits && is_open_above(regions, n, i);
	}
	/* A thread has one at most: where there are more, the shape means something else.
	 */
	for (size_t i = 1; i < n && !err && n_open && n_open <= 2 * n_threads; i++)
		if (has_shape(regions, i) && is_open_above(regions, n, i) &&
		    !in_thread_block(snap, regions[i].start))
			err = claim_signal(cx, &regions[i], 0);
	/* Goroutines have their stacks in the heap: nothing is to be learned there. */
	if (!err && n_shapes && !mw_classify_seen(cx)->go)
		err = claim_in_use(cx);
	return err;
}
