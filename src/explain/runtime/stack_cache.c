// SPDX-License-Identifier: MIT
/*
 * glibc keeps the stacks of threads that ended, 40 MiB of them at most
 * (nptl/allocatestack .c, stack_cache), for those that come. No thread leads to them any
 * more; but their descriptor is still at the top: it points to itself, and names the
 * whole block.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>

enum {
	MIN_STACK = 16 << 10, /* PTHREAD_STACK_MIN */
	MAX_PLACES = 4,
	USUAL_PLACE = 0x940,
	TP_WORDS = 0x700 / 8, /* of the descriptor: the block's place is in them */
	SELF = 2,             /* tcbhead_t: tcb, dtv, self */
	TID = 0x2d0 / 8,      /* the kernel clears it when the thread ends */
	MAX_TRIES = 4096,
};

/* stackblock and stackblock_size, side by side: from the guard to the top. */
static bool names_block(const uint64_t word[TP_WORDS], uint64_t start, uint64_t end)
{
	if ((uint32_t)le64toh(word[TID]))
		return false;
	for (unsigned i = SELF + 1; i + 1 < TP_WORDS; i++)
		if (le64toh(word[i]) == start && le64toh(word[i + 1]) == end - start)
			return true;
	return false;
}

/* How far below the end of its block a descriptor is: the same for every thread. */
struct places {
	uint64_t below[MAX_PLACES];
	unsigned n;
};

static void add_place(struct places *places, uint64_t below)
{
	for (unsigned i = 0; i < places->n; i++)
		if (places->below[i] == below)
			return;
	if (places->n < MAX_PLACES)
		places->below[places->n++] = below;
}

/* Where living threads have theirs; without any, where glibc 2.34 to 2.36 puts it. */
static struct places find_places(const struct mw_classify *cx)
{
	size_t n;
	struct places places = { 0 };
	const struct mw_thread *threads =
		mw_snapshot_threads(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++)
		if (threads[i].has_stack && threads[i].tcb > threads[i].stack &&
		    threads[i].tcb < threads[i].end)
			add_place(&places, threads[i].end - threads[i].tcb);
	if (!places.n)
		add_place(&places, USUAL_PLACE);
	return places;
}

/* Whether a descriptor at the block's top names the block [start, end). */
static bool has_descriptor(struct mw_classify *cx, const struct places *places,
			   uint64_t start, uint64_t end)
{
	uint64_t word[TP_WORDS];
	for (unsigned i = 0; i < places->n; i++) {
		uint64_t tp = end - places->below[i];
		if (places->below[i] < end - start &&
		    mw_peek(cx, tp, word, sizeof(word)) && le64toh(word[0]) == tp &&
		    le64toh(word[SELF]) == tp && names_block(word, start, end))
			return true;
	}
	return false;
}

static bool may_be_stack(const struct mw_region *regions, size_t i)
{
	const struct mw_region *guard = &regions[i - 1], *stack = &regions[i];
	return !stack->name[0] && mw_rt_is_heapish(stack) &&
	       stack->end - stack->start >= MIN_STACK && guard->end == stack->start &&
	       mw_rt_is_anon(guard) && !(guard->perms & MW_PERM_READ);
}

static struct mw_err *claim_stack(struct mw_classify *cx, const struct mw_region *stack)
{
	return mw_claim(cx,
			&(struct mw_claim){
				.start = stack->start,
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
	size_t n;
	unsigned tries = MAX_TRIES;
	const struct places places = find_places(cx);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 1; i < n && tries && !err; i++) {
		uint64_t start = regions[i - 1].start, end = regions[i].end;
		if (!may_be_stack(regions, i))
			continue;
		tries--;
		if (has_descriptor(cx, &places, start, end))
			err = claim_stack(cx, &regions[i]);
	}
	return err;
}
