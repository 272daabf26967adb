// SPDX-License-Identifier: MIT
/*
 * Rules on a heap that was walked: is it a leak, or memory the allocator keeps, and what
 * would help. What a remedy gives back is said in bytes where the walk computed it, and
 * said to be unknown where only a trial can tell.
 */
#include "explain/impl.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

enum { DEFAULT_MMAP_THRESHOLD = 128 << 10, MIN_LEAKED = 10000 };

/* What glibc holds in all its arenas; several libcs in one process add up. */
struct glibc {
	size_t n, n_arenas, n_idle;        /* libcs; arenas of threads */
	uint64_t live, trimmable, pinned;  /* pinned: resident, like the next */
	uint64_t arena_kept, arena_pinned; /* of arenas of threads, resident */
	uint64_t arena_trimmable, arena_tops, arena_fixed;
	uint64_t tcache, n_cached, n_caches;
	uint64_t main_top;
	struct mw_blocks pinning, arena_pinning;
	const struct mw_allocator *first;
	const struct mw_heap_pin *worst_pin;
	bool sure; /* everything about it was verified */
};

static bool is_walked_glibc(const struct mw_allocator *a)
{
	return a->depth == MW_HEAP_WALKED && !strcmp(a->name, "glibc");
}

static void add_arena(struct glibc *sum, const struct mw_heap_arena *arena)
{
	if (arena->n_pins &&
	    (!sum->worst_pin || arena->pins[0].bytes > sum->worst_pin->bytes))
		sum->worst_pin = &arena->pins[0];
	sum->pinning.n += arena->pinning.n;
	sum->pinning.bytes += arena->pinning.bytes;
	if (arena->main) {
		sum->main_top += arena->top;
		return;
	}
	sum->n_arenas++;
	sum->n_idle += !arena->threads;
	sum->arena_kept += arena->free.resident;
	sum->arena_pinned += arena->free.pinned;
	sum->arena_trimmable += arena->free.trimmable;
	sum->arena_fixed += arena->free.untrimmable;
	sum->arena_tops += arena->top;
	sum->arena_pinning.n += arena->pinning.n;
	sum->arena_pinning.bytes += arena->pinning.bytes;
}

static struct glibc sum_glibc(const struct mw_explain *ex)
{
	const struct mw_heap *heap = ex->pub.heap;
	struct glibc sum = { .sure = heap && heap->settled };
	for (size_t i = 0; heap && i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		/* All of these rules speak of resident memory. */
		if (!is_walked_glibc(a) || a->free.resident == UINT64_MAX)
			continue;
		sum.first = sum.n++ ? sum.first : a;
		sum.live += a->live.bytes;
		sum.trimmable += a->free.trimmable;
		sum.pinned += a->free.pinned;
		sum.tcache += a->tcache.bytes;
		sum.n_cached += a->tcache.n;
		for (size_t k = 0; k < a->n_threads; k++)
			sum.n_caches += a->threads[k].cached.n != 0;
		for (size_t k = 0; k < a->n_arenas; k++)
			add_arena(&sum, &a->arenas[k]);
	}
	return sum;
}

bool mw_heap_told(const struct mw_explain *ex)
{
	const struct mw_heap *heap = ex->pub.heap;
	for (size_t i = 0; heap && i < heap->n_allocators; i++)
		if (is_walked_glibc(&heap->allocators[i]))
			return true;
	return false;
}

static enum mw_confidence how_sure(const struct glibc *sum)
{
	return sum->sure ? MW_CERTAIN : MW_LIKELY;
}

/* At least a MiB, and a twentieth of what is resident. */
static bool matters(const struct mw_explain *ex, uint64_t bytes)
{
	return mw_matters(ex, bytes, MIB, 20);
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static const struct mw_heap_size *largest_class(const struct mw_allocator *a)
{
	const struct mw_heap_size *ret = NULL;
	for (size_t i = 0; i < a->n_sizes; i++)
		if (!ret || a->sizes[i].live.bytes > ret->live.bytes)
			ret = &a->sizes[i];
	return ret;
}

/*
 * One look cannot tell a leak from a cache. But many blocks of one size, in a live heap
 * that is most of the process, is what a leak looks like.
 */
struct mw_err *mw_rule_leak_suspected(struct mw_explain *ex)
{
	const struct mw_heap *heap = ex->pub.heap;
	const struct mw_allocator *of = NULL;
	const struct mw_heap_size *worst = NULL;
	for (size_t i = 0; heap && i < heap->n_allocators; i++) {
		const struct mw_heap_size *size = largest_class(&heap->allocators[i]);
		/* What holds Python's objects is no secret that leaks could tell. */
		if (!size || !strcmp(heap->allocators[i].name, "pymalloc") ||
		    (worst && worst->live.bytes >= size->live.bytes))
			continue;
		worst = size;
		of = &heap->allocators[i];
	}
	if (!worst || worst->live.n < MIN_LEAKED ||
	    worst->live.bytes < of->live.bytes / 2 ||
	    !mw_matters(ex, worst->live.bytes, 16 * MIB, 4))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-leak-suspected",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s live blocks of %" PRIu64 " bytes or a little less "
				"make %s, %s of %s's live heap: a leak looks like "
				"that, and so does a large table. Those that nothing "
				"leads to any more are told by leaks; growth between "
				"two looks by its --diff.",
				mw_number(ex, worst->live.n), worst->size,
				mw_words(ex, worst->live.bytes),
				mw_percent(ex, worst->live.bytes, of->live.bytes),
				of->name),
			.evidence = mw_arena_printf(
				&ex->arena, "the size histogram of %s live blocks, %s",
				mw_number(ex, of->live.n), mw_depth_name(of->depth)),
			.next = mw_next(ex, "leaks", ""),
			.confidence = MW_GUESS,
			.bytes = worst->live.bytes,
		});
}

/* Arenas of threads keep most of what is kept: the cause that has a remedy. */
static bool arenas_matter(const struct mw_explain *ex, const struct glibc *sum)
{
	return sum->n_arenas >= 3 && mw_matters(ex, sum->arena_kept, MIB, 10) &&
	       sum->arena_kept / 2 >= (sum->trimmable + sum->pinned) / 4;
}

/* "14.0 MiB of it, 24.4 MiB in all": the main arena may have its part. */
static const char *trim_words(struct mw_explain *ex, const struct glibc *sum)
{
	const char *part = mw_words(ex, sum->arena_trimmable), *ret;
	if (sum->trimmable - sum->arena_trimmable < MIB)
		return part;
	ret = mw_arena_printf(&ex->arena, "%s of it, %s in all", part,
			      mw_words(ex, sum->trimmable));
	return ret ? ret : part;
}

/* Arenas outlive the threads they were made for. */
static const char *idle_words(struct mw_explain *ex, const struct glibc *sum)
{
	const char *ret = "";
	if (sum->n_idle)
		ret = mw_arena_printf(&ex->arena, " (%zu of them used by no thread now)",
				      sum->n_idle);
	return ret ? ret : "";
}

struct mw_err *mw_rule_heap_arenas(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	unsigned threads = mw_snapshot_process(ex->pub.snap)->n_threads;
	if (!arenas_matter(ex, &sum))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-arenas",
			.claim = mw_arena_printf(
				&ex->arena,
				"%zu malloc arenas for %u thread%s%s keep %s of freed "
				"heap. %s of it is pinned under %s live blocks; "
				"malloc_trim(0) would return %s (computed page by "
				"page). MALLOC_ARENA_MAX=2 limits the arenas from the "
				"next start on; what that saves is not known before it "
				"is tried.",
				sum.n_arenas, threads, plural(threads),
				idle_words(ex, &sum), mw_words(ex, sum.arena_kept),
				mw_words(ex, sum.arena_pinned),
				mw_number(ex, sum.arena_pinning.n), trim_words(ex, &sum)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"%zu arenas besides the main one, walked chunk by chunk; "
				"resident free bytes by page; status Threads %u",
				sum.n_arenas, threads),
			.next = mw_next(ex, "heap", "--arenas"),
			.confidence = how_sure(&sum),
			.bytes = sum.arena_kept,
		});
}

/* ", most of it under 3,000 blocks of 48 bytes" where one size stands out. */
static const char *worst_pin(struct mw_explain *ex, const struct glibc *sum)
{
	const struct mw_heap_pin *pin = sum->worst_pin;
	const char *ret = "";
	if (pin && pin->bytes >= sum->pinned / 4)
		ret = mw_arena_printf(
			&ex->arena, "; %s of it under %s block%s of %" PRIu64 " bytes",
			mw_words(ex, pin->bytes), mw_number(ex, pin->blocks),
			plural(pin->blocks), pin->size);
	return ret ? ret : "";
}

/*
 * Few blocks that hold much are fragmentation with a remedy; where the live blocks weigh
 * as much as the gaps between them, it is how malloc'ed memory looks.
 */
static const char *pinned_claim(struct mw_explain *ex, const struct glibc *sum)
{
	if (sum->pinning.bytes >= sum->pinned / 2)
		return mw_arena_printf(
			&ex->arena,
			"%s of freed heap lies in the gaps between live blocks, on the "
			"same pages, so no trim returns it%s. What is allocated next "
			"fills them.",
			mw_words(ex, sum->pinned), worst_pin(ex, sum));
	return mw_arena_printf(
		&ex->arena,
		"%s live block%s of %s in all pin %s of freed heap: they share its "
		"pages, so no trim returns it%s. It is used again by what is "
		"allocated next; only freeing these blocks, or allocating the "
		"long-lived ones elsewhere, gives it back. Whether another allocator "
		"keeps less is not known before it is tried.",
		mw_number(ex, sum->pinning.n), plural(sum->pinning.n),
		mw_words(ex, sum->pinning.bytes), mw_words(ex, sum->pinned),
		worst_pin(ex, sum));
}

/* Fragmentation: said of arenas already where these are the cause. */
struct mw_err *mw_rule_heap_pinned(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	if (!mw_matters(ex, sum.pinned, MIB, 10) ||
	    (arenas_matter(ex, &sum) && sum.arena_pinned >= sum.pinned / 2))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-pinned",
			.claim = pinned_claim(ex, &sum),
			.evidence = mw_arena_printf(
				&ex->arena,
				"free bytes on resident pages that hold live bytes too; "
				"the blocks on them are %s in all",
				mw_words(ex, sum.pinning.bytes)),
			.next = mw_next(ex, "heap", "--pins"),
			.confidence = how_sure(&sum),
			.bytes = sum.pinned,
		});
}

/*
 * glibc follows the size of freed mapped blocks: one of 8 MiB raises mmap_threshold to 8
 * MiB and trim_threshold to 16 MiB, up to 32 MiB and 64 MiB (malloc(3), mallopt(3)).
 */
static uint64_t threshold_keeps(const struct mw_explain *ex, const struct glibc *sum)
{
	const struct mw_malloc_params *p = sum->first ? &sum->first->params : NULL;
	uint64_t top = sum->main_top < sum->trimmable ? sum->main_top : sum->trimmable;
	if (!p || !p->known || !p->dynamic ||
	    p->mmap_threshold <= DEFAULT_MMAP_THRESHOLD ||
	    sum->main_top <= DEFAULT_MMAP_THRESHOLD || !matters(ex, top))
		return 0;
	return top;
}

struct mw_err *mw_rule_mmap_threshold(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	uint64_t top = threshold_keeps(ex, &sum);
	if (!top)
		return NULL;
	const struct mw_malloc_params *p = &sum.first->params;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-mmap-threshold",
			.claim = mw_arena_printf(
				&ex->arena,
				"The top of the heap keeps %s free: a freed block of "
				"%s raised glibc's mmap_threshold to its size and "
				"trim_threshold to %s. MALLOC_MMAP_THRESHOLD_=131072 in "
				"the environment pins both: then all but %s of it goes "
				"back by itself. malloc_trim(0) would return %s now.",
				mw_words(ex, top), mw_words(ex, p->mmap_threshold),
				mw_words(ex, p->trim_threshold),
				mw_words(ex, DEFAULT_MMAP_THRESHOLD),
				mw_words(ex, sum.trimmable)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"mp_: mmap_threshold %" PRIu64 ", trim_threshold %" PRIu64
				", dynamic; top of the main arena %" PRIu64 " bytes",
				p->mmap_threshold, p->trim_threshold, sum.main_top),
			.next = mw_next(ex, "heap", "-v"),
			.confidence = how_sure(&sum),
			.bytes = top,
		});
}

/* Said by the rules on arenas and on the threshold where those are the cause. */
struct mw_err *mw_rule_heap_trimmable(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	if (!matters(ex, sum.trimmable) || threshold_keeps(ex, &sum) ||
	    (arenas_matter(ex, &sum) && sum.arena_trimmable >= sum.trimmable / 2))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-trimmable",
			.claim = mw_arena_printf(
				&ex->arena,
				"malloc_trim(0), called in the process, would return %s "
				"now: whole free pages that free() alone does not give "
				"back.",
				mw_words(ex, sum.trimmable)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"computed page by page from free chunks and resident "
				"pages: %" PRIu64 " bytes",
				sum.trimmable),
			.next = mw_next(ex, "heap", "--arenas"),
			.confidence = how_sure(&sum),
			.bytes = sum.trimmable,
		});
}

struct mw_err *mw_rule_tcache(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	if (!matters(ex, sum.tcache))
		return NULL;
	const struct mw_malloc_params *p = &sum.first->params;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-tcache",
			.claim = mw_arena_printf(
				&ex->arena,
				"The caches of %s thread%s hold %s free blocks, %s, "
				"which no other thread can use and malloc_trim() leaves "
				"alone. GLIBC_TUNABLES=glibc.malloc.tcache_count "
				"bounds them (now %" PRIu64 " a size); what that returns "
				"is not known before it is tried.",
				mw_number(ex, sum.n_caches), plural(sum.n_caches),
				mw_number(ex, sum.n_cached), mw_words(ex, sum.tcache),
				p->tcache_count),
			.evidence = "the lists of every thread's tcache, block by block",
			.next = mw_next(ex, "heap", "--threads"),
			.confidence = how_sure(&sum),
			.bytes = sum.tcache,
		});
}

/* heap_trim() runs when a thread frees at its top; malloc_trim() never gets there. */
struct mw_err *mw_rule_thread_tops(struct mw_explain *ex)
{
	struct glibc sum = sum_glibc(ex);
	uint64_t tops =
		sum.arena_tops < sum.arena_fixed ? sum.arena_tops : sum.arena_fixed;
	if (!matters(ex, tops))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-thread-tops",
			.claim = mw_arena_printf(
				&ex->arena,
				"The free tops of %zu thread arena%s keep up to %s that "
				"malloc_trim() never returns: only a free() at the top "
				"does, above trim_threshold (%s). "
				"MALLOC_TRIM_THRESHOLD_=131072 pins that at its first "
				"value from the next start on; what it returns is not "
				"known before it is tried.",
				sum.n_arenas, plural(sum.n_arenas), mw_words(ex, tops),
				mw_words(ex, sum.first->params.trim_threshold)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"tops of arenas besides the main one: %" PRIu64
				" bytes; whole free resident pages there that trimming "
				"leaves: %" PRIu64,
				sum.arena_tops, sum.arena_fixed),
			.next = mw_next(ex, "heap", "--arenas"),
			.confidence = how_sure(&sum),
			.bytes = tops,
		});
}

/* Arenas of pymalloc, 256 KiB each or 1 MiB since 3.10, are given back only as a whole.
 */
struct mw_err *mw_rule_python_kept(struct mw_explain *ex)
{
	const struct mw_heap *heap = ex->pub.heap;
	const struct mw_allocator *a = NULL;
	for (size_t i = 0; heap && i < heap->n_allocators && !a; i++)
		if (!strcmp(heap->allocators[i].name, "pymalloc"))
			a = &heap->allocators[i];
	if (!a || a->depth != MW_HEAP_WALKED || a->free.resident == UINT64_MAX ||
	    !mw_matters(ex, a->free.resident, MIB, 10))
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "heap-python-kept",
			.claim = mw_arena_printf(
				&ex->arena,
				"Python keeps %s of freed objects: an arena of its "
				"allocator goes back only when no object lives in it, "
				"and %s live objects of %s in all are spread over them. "
				"New objects fill them, malloc_trim() does not reach "
				"them. Work in a child process leaves nothing behind; "
				"PYTHONMALLOC=malloc does without arenas from the next "
				"start on, and what that saves is not known before it is "
				"tried.",
				mw_words(ex, a->free.resident), mw_number(ex, a->live.n),
				mw_words(ex, a->live.bytes)),
			.evidence = mw_arena_printf(
				&ex->arena,
				"pools of %s %s, object by object: %" PRIu64
				" free bytes on resident pages",
				a->name, a->version, a->free.resident),
			.next = mw_next(ex, "heap", "--sizes"),
			.confidence = heap->settled ? MW_CERTAIN : MW_LIKELY,
			.bytes = a->free.resident,
		});
}
