// SPDX-License-Identifier: MIT
#include "model/stack_cache.h"

#include <endian.h>
#include <string.h>

enum {
	MIN_STACK = 16 << 10, /* PTHREAD_STACK_MIN */
	MAX_PLACES = 4,
	USUAL_PLACE = 0x940,
	TP_WORDS = 0x700 / 8, /* of the descriptor: the block's place is in them */
	DTV = 1,              /* tcbhead_t: tcb, dtv, self */
	SELF = 2,
	TID = 0x2d0 / 8, /* the kernel clears it when the thread ends */
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
static struct places find_places(const struct mw_snapshot *snap)
{
	size_t n;
	struct places places = { 0 };
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (threads[i].has_stack && threads[i].tcb > threads[i].stack &&
		    threads[i].tcb < threads[i].end)
			add_place(&places, threads[i].end - threads[i].tcb);
	if (!places.n)
		add_place(&places, USUAL_PLACE);
	return places;
}

/* Whether a descriptor at the block's top names the block [start, end). */
static bool has_descriptor(struct mw_memory *mem, const struct places *places,
			   struct mw_cached_stack *stack)
{
	uint64_t word[TP_WORDS];
	for (unsigned i = 0; i < places->n; i++) {
		uint64_t tp = stack->end - places->below[i];
		if (places->below[i] < stack->end - stack->start &&
		    mw_memory_read(mem, tp, word, sizeof(word)) &&
		    le64toh(word[0]) == tp && le64toh(word[SELF]) == tp &&
		    names_block(word, stack->start, stack->end)) {
			stack->tcb = tp;
			stack->dtv = le64toh(word[DTV]);
			return true;
		}
	}
	return false;
}

static bool is_anon(const struct mw_region *region)
{
	return !(region->perms & MW_PERM_SHARED) && !region->ino &&
	       (!region->name[0] || !strncmp(region->name, "[anon:", 6));
}

static bool may_be_stack(const struct mw_region *guard, const struct mw_region *stack)
{
	const unsigned rw = MW_PERM_READ | MW_PERM_WRITE;
	return !stack->name[0] && is_anon(stack) &&
	       (stack->perms & (rw | MW_PERM_EXEC)) == rw &&
	       stack->end - stack->start >= MIN_STACK && guard->end == stack->start &&
	       is_anon(guard) && !(guard->perms & MW_PERM_READ);
}

struct mw_err *mw_cached_stacks_find(struct mw_memory *mem, struct mw_cached_stacks *ret)
{
	size_t n;
	unsigned tries = MAX_TRIES;
	const struct places places = find_places(mem->snap);
	const struct mw_region *regions = mw_snapshot_regions(mem->snap, &n);
	for (size_t i = 1; i < n && tries; i++) {
		if (!may_be_stack(&regions[i - 1], &regions[i]))
			continue;
		struct mw_cached_stack stack = { .start = regions[i - 1].start,
						 .stack = regions[i].start,
						 .end = regions[i].end };
		tries--;
		if (has_descriptor(mem, &places, &stack) && !mw_vec_add(ret, stack))
			return mw_err_nomem();
	}
	return NULL;
}
