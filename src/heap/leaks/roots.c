// SPDX-License-Identifier: MIT
/*
 * What may lead to a block and is no block itself: registers, stacks as far as they are
 * in use, variables, every other page of the process that is its own, and what the
 * kernel keeps for it. Left out are: the heap between its live blocks, stacks below
 * their pointer, and the stacks that glibc keeps of threads that ended.
 *
 * A page that is still as its file has it was never written to, so no address of heap is
 * in it; one that was is read whatever its permissions are now: relocated data and
 * what a program protected are as good as variables.
 */
#include "heap/leaks/reach.h"

#include "model/stack_cache.h"

#include <stdlib.h>
#include <string.h>

enum {
	RED_ZONE = 128,     /* below the stack pointer: System V ABI, x86-64 */
	STATE_LEN = 0x898,  /* malloc_state, the longest */
	BINS_PREV_SIZE = 8, /* usable bytes of a block in the header of the next chunk */
};

struct range {
	uint64_t start, end;
};

struct ranges {
	MW_VEC(struct range);
};

struct rooting {
	struct mw_reach *reach;
	struct mw_memory *mem;
	const struct mw_registers_list *registers; /* or NULL */
	struct mw_words_in words;
	struct ranges not ;   /* ascending, not overlapping, once sorted */
	struct ranges states; /* malloc_state of every arena */
};

static struct mw_err *leave_out(struct rooting *rooting, uint64_t start, uint64_t end)
{
	if (start >= end)
		return NULL;
	return mw_vec_add(&rooting->not, (struct range){ start, end }) ? NULL
								       : mw_err_nomem();
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static void sort_ranges(struct ranges *ranges)
{
	size_t n = 0;
	if (!ranges->n)
		return;
	qsort(ranges->items, ranges->n, sizeof(*ranges->items), by_start);
	for (size_t i = 1; i < ranges->n; i++) {
		struct range *last = &ranges->items[n], *next = &ranges->items[i];
		if (next->start > last->end)
			ranges->items[++n] = *next;
		else if (next->end > last->end)
			last->end = next->end;
	}
	ranges->n = n + 1;
}

/* Which parts of the heap are pointers was decided when its blocks were read. */
static struct mw_err *leave_out_heap(struct rooting *rooting)
{
	const struct mw_block_map *map = &rooting->reach->map;
	struct mw_err *err = NULL;
	for (size_t i = 0; i < map->pieces.n && !err; i++)
		err = leave_out(rooting, map->pieces.items[i].start,
				map->pieces.items[i].end);
	return err;
}

/*
 * Of a kept stack only its vector of thread-local variables is still in use: the next
 * thread gets it.
 */
static struct mw_err *leave_out_cached(struct rooting *rooting)
{
	mw_auto_memory mem = { 0 };
	struct mw_cached_stacks stacks = { 0 };
	struct mw_err *err =
		mw_memory_init(&mem, rooting->reach->snap, MW_READ_STRUCT, 0);
	if (!err)
		err = mw_cached_stacks_find(&mem, &stacks);
	for (size_t i = 0; i < stacks.n && !err; i++) {
		const struct mw_cached_stack *stack = &stacks.items[i];
		mw_words_take(&rooting->words, MW_NO_BLOCK,
			      (const unsigned char *)&stack->dtv, sizeof(stack->dtv));
		err = leave_out(rooting, stack->start, stack->end);
	}
	mw_vec_deinit(&stacks);
	return err;
}

/* The snapshot lists them by id. */
static const struct mw_thread *find_thread(const struct mw_snapshot *snap, pid_t tid)
{
	size_t n;
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (threads[mid].tid < tid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && threads[lo].tid == tid ? &threads[lo] : NULL;
}

static bool has_guard(const struct mw_snapshot *snap, const struct mw_region *region)
{
	const struct mw_region *below =
		region->start ? mw_snapshot_find(snap, region->start - 1) : NULL;
	return below && !(below->perms & (MW_PERM_READ | MW_PERM_WRITE)) && !below->ino;
}

/*
 * Where the stack begins that `sp` points into; `sp` itself when that is not known, or
 * it points elsewhere (a signal stack, a coroutine's): then all of it counts.
 */
static uint64_t stack_bottom(const struct mw_snapshot *snap,
			     const struct mw_registers *registers)
{
	uint64_t sp = registers->sp;
	const struct mw_region *region = mw_snapshot_find(snap, sp);
	const struct mw_thread *thread = find_thread(snap, registers->tid);
	if (!region)
		return sp;
	if (thread && thread->has_stack && sp >= thread->stack && sp < thread->end)
		return thread->stack > region->start ? thread->stack : region->start;
	if (!strcmp(region->name, "[stack]"))
		return region->start;
	/* The descriptor lies above the stack, in one mapping with a guard below. */
	if (registers->tp > sp && registers->tp < region->end && !region->name[0] &&
	    has_guard(snap, region))
		return region->start;
	return sp;
}

static struct mw_err *take_registers(struct rooting *rooting)
{
	const struct mw_registers_list *list = rooting->registers;
	const struct mw_snapshot *snap = rooting->reach->snap;
	struct mw_err *err = NULL;
	if (!list || !list->n)
		rooting->reach->unsure = true;
	for (size_t i = 0; list && i < list->n && !err; i++) {
		const struct mw_registers *r = &list->items[i];
		size_t n = r->n < MW_REGISTER_WORDS ? r->n : MW_REGISTER_WORDS;
		mw_words_take(&rooting->words, MW_NO_BLOCK,
			      (const unsigned char *)r->words, n * sizeof(*r->words));
		uint64_t bottom = stack_bottom(snap, r);
		if (r->sp > bottom && r->sp - bottom > RED_ZONE)
			err = leave_out(rooting, bottom, (r->sp - RED_ZONE) & ~7ull);
	}
	return err;
}

/* What the kernel gives back to the process: epoll's data, values of timers. */
static struct mw_err *take_kept(struct rooting *rooting)
{
	const struct mw_snapshot *snap = rooting->reach->snap;
	struct mw_words words = { 0 };
	struct mw_err *err = mw_source_list_kept(mw_snapshot_source(snap),
						 mw_snapshot_process(snap)->pid, &words);
	if (!err)
		mw_words_take(&rooting->words, MW_NO_BLOCK,
			      (const unsigned char *)words.items,
			      words.n * sizeof(*words.items));
	free(words.items);
	if (!err || err->code == MW_ERR_NOMEM || err->code == MW_ERR_GONE)
		return err;
	struct mw_err *gap =
		mw_reach_gap(rooting->reach, "what epoll and timers keep", err->msg, "");
	mw_err_free(err);
	return gap;
}

/*
 * A bin links to the headers of free chunks. The first word of such a header belongs to
 * the block before it, which would look as if it were in use.
 */
static bool is_chunk_header(const struct mw_block_map *map, uint64_t word)
{
	uint32_t block = word % MW_GRANULE ? MW_NO_BLOCK : mw_block_find(map, word);
	return block != MW_NO_BLOCK && word == mw_block_addr(map, block) +
						       mw_block_len(map, block) -
						       BINS_PREV_SIZE;
}

static void take_state(struct rooting *rooting, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		if (!is_chunk_header(&rooting->reach->map, word))
			mw_words_take(&rooting->words, MW_NO_BLOCK, bytes + i, 8);
	}
}

/* Memory outside the heap; the parts that are bins of an arena by themselves. */
static void take_root(void *ctx, uint64_t addr, const unsigned char *bytes, size_t len)
{
	struct rooting *rooting = ctx;
	uint64_t pos = addr, end = addr + len;
	rooting->reach->root_bytes += len;
	for (size_t i = 0; i < rooting->states.n; i++) {
		const struct range *state = &rooting->states.items[i];
		uint64_t from = state->start > pos ? state->start : pos;
		uint64_t to = state->end < end ? state->end : end;
		if (from >= to)
			continue;
		mw_words_take(&rooting->words, MW_NO_BLOCK, bytes + (pos - addr),
			      from - pos);
		take_state(rooting, bytes + (from - addr), to - from);
		pos = to;
	}
	mw_words_take(&rooting->words, MW_NO_BLOCK, bytes + (pos - addr), end - pos);
}

/* The arenas' own structures; of those inside the heap nothing is read anyway. */
static struct mw_err *find_states(struct rooting *rooting)
{
	const struct mw_heap *heap = rooting->reach->heap;
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		for (size_t j = 0; j < a->n_arenas && !strcmp(a->name, "glibc"); j++) {
			uint64_t at = a->arenas[j].address & ~UINT64_C(7);
			struct range state = { at, at + STATE_LEN };
			if (a->arenas[j].main && at < UINT64_MAX - STATE_LEN &&
			    !mw_vec_add(&rooting->states, state))
				return mw_err_nomem();
		}
	}
	sort_ranges(&rooting->states);
	return NULL;
}

/* The parts of [start, end) that are not left out. */
static void read_range(struct rooting *rooting, uint64_t start, uint64_t end)
{
	struct mw_reach *reach = rooting->reach;
	size_t lo = 0, hi = rooting->not .n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (rooting->not .items[mid].end <= start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; start < end; lo++) {
		bool more = lo < rooting->not .n && rooting->not .items[lo].start < end;
		uint64_t stop = more ? rooting->not .items[lo].start : end;
		if (stop > start)
			reach->unread += mw_reach_read(rooting->mem, start, stop,
						       take_root, rooting);
		start = more ? rooting->not .items[lo].end : end;
	}
}

/* Without runs nobody knows which pages are a file's: all of what may be written to. */
static void read_region_whole(struct rooting *rooting, const struct mw_region *region)
{
	if ((region->perms & MW_PERM_WRITE) || (!region->ino && !region->name[0]))
		read_range(rooting, region->start, region->end);
}

static bool is_root(const struct mw_region *region, const struct mw_page_run *run)
{
	const unsigned no = MW_PAGE_ZERO | MW_PAGE_GUARD | MW_PAGE_NOT_RSS;
	if (!(run->state & MW_PAGE_PRESENT) || (run->state & no))
		return false;
	if (!(run->state & MW_PAGE_FILE))
		return true;
	return (region->perms & MW_PERM_SHARED) && (region->perms & MW_PERM_WRITE);
}

static void read_region(struct rooting *rooting, const struct mw_region *region,
			const struct mw_page_run *runs, uint64_t page)
{
	for (size_t i = 0; i < region->n_runs; i++) {
		const struct mw_page_run *run = &runs[region->first_run + i];
		if (is_root(region, run))
			read_range(rooting, run->start, run->start + run->n_pages * page);
	}
}

static void read_all(struct rooting *rooting)
{
	const struct mw_snapshot *snap = rooting->reach->snap;
	const uint64_t page = mw_source_facts(mw_snapshot_source(snap))->page_size;
	bool runs_known = mw_snapshot_totals(snap)->engine != MW_ENGINE_SMAPS;
	size_t n, n_runs;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const struct mw_page_run *runs = mw_snapshot_runs(snap, &n_runs);
	for (size_t i = 0; i < n && !rooting->words.err; i++) {
		if (!runs_known || regions[i].whole)
			read_region_whole(rooting, &regions[i]);
		else if (regions[i].first_run <= n_runs &&
			 regions[i].n_runs <= n_runs - regions[i].first_run)
			read_region(rooting, &regions[i], runs, page);
	}
}

static struct mw_err *take_all(struct rooting *rooting)
{
	struct mw_err *err = find_states(rooting);
	if (!err)
		err = leave_out_heap(rooting);
	if (!err)
		err = take_registers(rooting);
	if (!err)
		err = leave_out_cached(rooting);
	if (!err)
		err = take_kept(rooting);
	if (err)
		return err;
	sort_ranges(&rooting->not );
	read_all(rooting);
	return NULL;
}

struct mw_err *mw_reach_roots(struct mw_reach *reach, struct mw_memory *mem,
			      const struct mw_heap_opts *opts)
{
	struct rooting rooting = { .reach = reach,
				   .mem = mem,
				   .registers = opts->registers };
	mw_words_begin(&rooting.words, reach);
	struct mw_err *err = take_all(&rooting);
	struct mw_err *words_err = mw_words_end(&rooting.words);
	mw_vec_deinit(&rooting.not );
	mw_vec_deinit(&rooting.states);
	if (!err)
		return words_err;
	mw_err_free(words_err);
	return err;
}
