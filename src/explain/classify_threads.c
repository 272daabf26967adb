// SPDX-License-Identifier: MIT
/*
 * Thread stacks with their guards and thread-local storage, from descriptors that were
 * verified when the snapshot was taken. musl's threads have no robust list to start
 * from: one descriptor is found at the top of a guarded mapping, its list leads to all.
 */
#include "explain/claims.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* glibc's struct pthread is 0x900 bytes in 2.36; larger ones end within this, too. */
enum { TCB_LEN = 0x900, MAX_LOADER_HEAP = 64 * 1024 };
enum { MAX_MUSL_BLOCKS = 256, MAX_MODULES = 256 };

/*
 * musl 1.2, src/internal/pthread_impl.h. Above the descriptor lie 1024 bytes of
 * thread-specific data, unless a static program never makes a key.
 */
enum {
	MUSL_NEXT = 0x18,
	MUSL_TID = 0x30,
	MUSL_MAP_BASE = 0x48, /* map base, map size, stack, stack size, guard size */
	MUSL_WINDOW = 2048,
};

struct blocks {
	struct mw_classify *cx;
	const struct mw_thread **items; /* those with a stack, by address */
	const char **names;             /* of the items */
	size_t n;
	uint64_t page_size;
};

static const char *thread_name(struct mw_classify *cx, const struct mw_thread *thread)
{
	struct mw_arena *arena = mw_classify_arena(cx);
	if (!thread->comm[0])
		return mw_arena_printf(arena, "thread %d", (int)thread->tid);
	return mw_arena_printf(arena, "thread %d (%s)", (int)thread->tid, thread->comm);
}

/* True when mappings cover the range without a hole. */
static bool is_covered(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const struct mw_region *region = mw_snapshot_find(snap, start);
	for (; region && region->end < end; region++)
		if (region + 1 == regions + n || region[1].start != region->end)
			return false;
	return region != NULL;
}

/* Inaccessible mappings inside a stack: the JVM's yellow and red zones, and others'. */
static struct mw_err *claim_zones(struct mw_classify *cx, const struct mw_thread *thread,
				  struct mw_claim claim)
{
	size_t n;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const struct mw_region *region =
		mw_snapshot_find(snap, thread->stack + thread->guard_len);
	claim.class = MW_CLASS_GUARD;
	claim.evidence = "inaccessible pages inside a thread's stack";
	for (; region && region < regions + n && region->start < thread->end; region++) {
		if (region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC))
			continue;
		claim.start = region->start;
		claim.end = region->end < thread->end ? region->end : thread->end;
		struct mw_err *err = mw_claim(cx, &claim);
		if (err)
			return err;
	}
	return NULL;
}

/*
 * Where static TLS begins, below the thread pointer `tp` and not below `low`. glibc's
 * dynamic thread vector (tcbhead_t.dtv) holds the address of each module's part; those
 * of modules loaded later lie elsewhere. Without it, all objects' TLS together.
 */
static uint64_t tls_start(struct mw_classify *cx, uint64_t tp, uint64_t low)
{
	uint64_t dtv, n, tls_len = mw_classify_seen(cx)->tls_len, ret = tp;
	uint64_t slots[MAX_MODULES][2]; /* address, what to free */
	uint64_t all = tp - low > tls_len ? tp - tls_len : low;
	if (!mw_classify_seen(cx)->glibc || !mw_peek(cx, tp + 8, &dtv, sizeof(dtv)) ||
	    dtv < sizeof(slots[0]) || !mw_peek(cx, dtv - sizeof(slots[0]), &n, sizeof(n)))
		return all;
	if (!n || n > MAX_MODULES || !mw_peek(cx, dtv, slots, n * sizeof(slots[0])))
		return all;
	for (uint64_t i = 1; i < n; i++)
		if (slots[i][0] >= all && slots[i][0] < ret)
			ret = slots[i][0];
	return ret;
}

/* The block: stack, then static TLS and the TCB at its top, the guard at its bottom. */
static struct mw_err *claim_block(struct mw_classify *cx, const struct mw_thread *thread,
				  const char *name, const char *seen)
{
	uint64_t low = thread->stack + thread->guard_len;
	struct mw_claim claim = {
		.start = low,
		.end = thread->end,
		.class = MW_CLASS_STACK_THREAD,
		.confidence = MW_CERTAIN,
		.rank = MW_RANK_THREAD,
		.name = name,
		.evidence = seen,
		.tid = thread->tid,
	};
	struct mw_err *err = mw_claim(cx, &claim);
	if (!err)
		err = claim_zones(cx, thread, claim);
	if (err)
		return err;
	claim.class = MW_CLASS_TLS;
	claim.start = tls_start(cx, thread->tcb, low);
	claim.evidence = "from static TLS below the thread pointer to the block's end";
	err = mw_claim(cx, &claim);
	if (err || !thread->guard_len)
		return err;
	claim.class = MW_CLASS_GUARD;
	claim.start = thread->stack;
	claim.end = low;
	claim.evidence = "the guard size in the thread's descriptor";
	return mw_claim(cx, &claim);
}

/* The first thread's TLS lies in memory of its own: its stack is the process's. */
static struct mw_err *claim_main_tls(struct mw_classify *cx,
				     const struct mw_thread *thread)
{
	const struct mw_region *region =
		mw_snapshot_find(mw_classify_snapshot(cx), thread->tcb);
	uint64_t end;
	if (!region || (region->name[0] && strcmp(region->name, "[heap]")) ||
	    __builtin_add_overflow(thread->tcb, TCB_LEN, &end))
		return NULL;
	struct mw_claim claim = {
		.start = region->start,
		.end = region->end,
		.class = MW_CLASS_LOADER_DATA,
		.confidence = MW_LIKELY,
		.rank = MW_RANK_SHAPE,
		.name = "",
		.evidence = "the rest of the small mapping the loader made for TLS",
	};
	struct mw_err *err = NULL;
	if (!region->name[0] && region->end - region->start <= MAX_LOADER_HEAP)
		err = mw_claim(cx, &claim);
	claim.start = tls_start(cx, thread->tcb, region->start);
	claim.end = end < region->end ? end : region->end;
	claim.class = MW_CLASS_TLS;
	claim.confidence = MW_CERTAIN;
	claim.rank = MW_RANK_THREAD;
	claim.name = thread_name(cx, thread);
	claim.evidence = "from static TLS below the thread pointer to the TCB's end";
	claim.tid = thread->tid;
	if (err)
		return err;
	return claim.name ? mw_claim(cx, &claim) : mw_err_nomem();
}

static int by_stack(const void *a, const void *b)
{
	const struct mw_thread *x = *(const struct mw_thread *const *)a;
	const struct mw_thread *y = *(const struct mw_thread *const *)b;
	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

/* The thread whose block holds `addr`: its index, or n. */
static size_t block_of(const struct blocks *blocks, uint64_t addr)
{
	size_t lo = 0, hi = blocks->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (blocks->items[mid]->end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < blocks->n && blocks->items[lo]->stack <= addr ? lo : blocks->n;
}

/* Pages under MADV_GUARD_INSTALL: the kernel says so itself; glibc 2.42 uses it. */
static struct mw_err *claim_guard_runs(const struct blocks *blocks)
{
	size_t n;
	const struct mw_page_run *runs =
		mw_snapshot_runs(mw_classify_snapshot(blocks->cx), &n);
	for (size_t i = 0; i < n; i++) {
		if (!(runs[i].state & MW_PAGE_GUARD))
			continue;
		size_t owner = block_of(blocks, runs[i].start);
		struct mw_claim claim = {
			.start = runs[i].start,
			.end = runs[i].start + runs[i].n_pages * blocks->page_size,
			.class = MW_CLASS_GUARD,
			.confidence = MW_CERTAIN,
			.rank = MW_RANK_KERNEL,
			.name = owner < blocks->n ? blocks->names[owner] : "",
			.evidence =
				"guard pages by MADV_GUARD_INSTALL, from the page map",
			.tid = owner < blocks->n ? blocks->items[owner]->tid : 0,
		};
		struct mw_err *err = mw_claim(blocks->cx, &claim);
		if (err)
			return err;
	}
	return NULL;
}

/* Why stacks are unknown, when it is a matter of permission. */
static struct mw_err *note_denied(struct mw_classify *cx, const struct mw_thread *thread)
{
	uint64_t head;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	mw_auto_err err =
		mw_source_robust_list(mw_snapshot_source(snap),
				      mw_snapshot_process(snap)->pid, thread->tid, &head);
	if (!err || (err->code != MW_ERR_DENIED && err->code != MW_ERR_UNSUPPORTED))
		return NULL;
	return mw_classify_gap(cx, "thread stacks", err->msg,
			       err->code == MW_ERR_DENIED
				       ? "run memwhy as root, or as the process's user"
				       : "");
}

/* A musl descriptor is at `tp`: fills the thread's block. */
static bool read_musl(struct mw_classify *cx, uint64_t tp, struct mw_thread *ret,
		      uint64_t *next)
{
	uint64_t self, tid, map[5], end;
	if ((tp & 7) || !mw_peek(cx, tp, &self, 8) || self != tp ||
	    !mw_peek(cx, tp + MUSL_NEXT, next, 8) ||
	    !mw_peek(cx, tp + MUSL_TID, &tid, 8) ||
	    !mw_peek(cx, tp + MUSL_MAP_BASE, map, sizeof(map)))
		return false;
	*ret = (struct mw_thread){ .tid = (pid_t)(uint32_t)tid, .comm = "", .tcb = tp };
	if (__builtin_add_overflow(map[0], map[1], &end) || map[0] >= tp || tp >= end ||
	    map[4] >= map[1] || map[0] + map[4] >= tp ||
	    !is_covered(mw_classify_snapshot(cx), map[0], end))
		return true; /* the first thread: its block is not a mapping of its own */
	ret->stack = map[0];
	ret->end = end;
	ret->guard_len = map[4];
	ret->has_stack = true;
	return true;
}

/* Looks for a descriptor below the thread-specific data at the top of a mapping. */
static uint64_t find_musl(struct mw_classify *cx, const struct mw_region *region)
{
	uint64_t words[MUSL_WINDOW / 8], next;
	uint64_t low = region->end - MUSL_WINDOW;
	struct mw_thread thread;
	if (!mw_peek(cx, low, words, sizeof(words)))
		return 0;
	for (size_t i = 0; i < MUSL_WINDOW / 8; i++)
		if (words[i] == low + i * 8 &&
		    read_musl(cx, low + i * 8, &thread, &next) && thread.has_stack)
			return thread.tcb;
	return 0;
}

/* Follows the ring of descriptors from `first` and claims every block. */
static struct mw_err *claim_musl_ring(struct mw_classify *cx, uint64_t first)
{
	size_t n, left;
	const struct mw_thread *threads =
		mw_snapshot_threads(mw_classify_snapshot(cx), &n);
	uint64_t tp = first, next = 0;
	for (left = n + 1; left; left--, tp = next) {
		struct mw_thread thread;
		struct mw_err *err = NULL;
		if (!read_musl(cx, tp, &thread, &next))
			return NULL;
		for (size_t i = 0; i < n; i++)
			if (threads[i].tid == thread.tid)
				thread.comm = threads[i].comm;
		const char *name = thread.has_stack ? thread_name(cx, &thread) : "";
		if (!name)
			return mw_err_nomem();
		if (thread.has_stack)
			err = claim_block(cx, &thread, name,
					  "the block in musl's thread descriptor");
		if (err || next == first)
			return err;
	}
	return NULL;
}

static struct mw_err *classify_musl(struct mw_classify *cx)
{
	size_t n, tried = 0;
	unsigned rw = MW_PERM_READ | MW_PERM_WRITE;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 1; i < n && tried < MAX_MUSL_BLOCKS; i++) {
		if (regions[i].name[0] || (regions[i].perms & rw) != rw ||
		    regions[i - 1].end != regions[i].start ||
		    (regions[i - 1].perms & rw) ||
		    regions[i].end - regions[i].start < MUSL_WINDOW)
			continue;
		tried++;
		uint64_t tp = find_musl(cx, &regions[i]);
		if (tp)
			return claim_musl_ring(cx, tp);
	}
	return NULL;
}

static struct mw_err *classify_blocks(struct blocks *blocks)
{
	size_t n, n_blind = 0;
	struct mw_classify *cx = blocks->cx;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	pid_t pid = mw_snapshot_process(snap)->pid;
	for (size_t i = 0; i < n; i++) {
		struct mw_err *err = NULL;
		n_blind += !threads[i].tcb;
		if (threads[i].has_stack &&
		    is_covered(snap, threads[i].stack, threads[i].end))
			blocks->items[blocks->n++] = &threads[i];
		else if (threads[i].tcb && threads[i].tid == pid)
			err = claim_main_tls(cx, &threads[i]);
		if (err)
			return err;
	}
	qsort(blocks->items, blocks->n, sizeof(*blocks->items), by_stack);
	for (size_t i = 0; i < blocks->n; i++) {
		blocks->names[i] = thread_name(cx, blocks->items[i]);
		if (!blocks->names[i])
			return mw_err_nomem();
		struct mw_err *err = claim_block(cx, blocks->items[i], blocks->names[i],
						 "the block in the thread's descriptor");
		if (err)
			return err;
	}
	struct mw_err *err = claim_guard_runs(blocks);
	if (!err && n_blind)
		err = note_denied(cx, &threads[0]);
	if (!err && n_blind && n > 1 && mw_classify_seen(cx)->musl)
		err = classify_musl(cx);
	return err;
}

struct mw_err *mw_classify_threads(struct mw_classify *cx)
{
	size_t n;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	struct mw_arena *arena = mw_classify_arena(cx);
	struct blocks blocks = {
		.cx = cx,
		.page_size = mw_source_facts(mw_snapshot_source(snap))->page_size,
	};
	(void)mw_snapshot_threads(snap, &n);
	blocks.items = mw_arena_calloc(arena, n + 1, sizeof(*blocks.items));
	blocks.names = mw_arena_calloc(arena, n + 1, sizeof(*blocks.names));
	if (!blocks.items || !blocks.names)
		return mw_err_nomem();
	return classify_blocks(&blocks);
}
