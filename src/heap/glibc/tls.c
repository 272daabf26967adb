// SPDX-License-Identifier: MIT
/*
 * Where a libc keeps `tcache` and `thread_arena` of a thread. Both are thread-local with
 * a fixed offset from the thread pointer (initial-exec TLS), the same in all threads; the
 * offset depends on which objects with TLS were loaded before the libc. So the values
 * are looked for: a word below the thread pointer that is the address of an arena, and
 * one that leads to a tcache structure.
 *
 * Sources: glibc malloc/malloc.c (tcache), malloc/arena.c (thread_arena),
 * elf/dl-tls.c and sysdeps/x86_64/nptl/tls.h (dtv).
 */
#include "heap/glibc/cached.h"

#include <string.h>

enum {
	NEAR = 4096,     /* bytes below the thread pointer, as a rule enough */
	FAR = 256 << 10, /* where the program has much thread-local data of its own */
	PIECE = 4096,
	DTV_ENTRY = 16,
	MAX_MODULES = 1024,
	MAX_STATIC = 1 << 30, /* bytes of thread-local data below a thread pointer */
	WORDS = PIECE / 8,
	RETRIES = 3,
	MAX_TRIES = 4096, /* structures looked into, in all */
};

/* What spoke for one offset. */
struct votes {
	unsigned arena, tcache, no_tcache;
	bool not_arena, not_tcache;
	uint64_t entries;
};

struct tls_search {
	struct mw_glibc_cache *cache;
	const uint64_t *pointers;
	size_t n;
	size_t tries;
	struct votes votes[WORDS];
	const struct mw_glibc_layout *layouts[WORDS];
};

static bool is_arena(const struct mw_glibc_cache *cache, uint64_t address)
{
	if (address == cache->libc->main_arena)
		return true;
	/* A thread's arena lies in its own first heap. */
	const struct mw_glibc_span *span = mw_glibc_span_of(cache, address);
	return span && cache->arenas[span->arena].address == address;
}

/* While the target runs, a list may be caught in a change, but not always the same. */
static bool verify(struct mw_glibc_cache *cache, uint64_t address, struct mw_tcache *ret,
		   const struct mw_glibc_layout **layout)
{
	unsigned times = cache->walk->opts->still ? 1 : RETRIES;
	for (unsigned i = 0; i < times; i++) {
		if (mw_glibc_tcache_verify(cache, address, ret, layout))
			return true;
		mw_link_reader_forget(&cache->reader);
	}
	return false;
}

/* A word of TLS is judged; zero says nothing: the thread did not use malloc yet. */
static void judge(struct tls_search *search, size_t i, uint64_t value)
{
	struct votes *votes = &search->votes[i];
	const struct mw_glibc_layout *layout;
	struct mw_tcache tcache;
	if (!value)
		return;
	if (is_arena(search->cache, value)) {
		votes->arena++;
		votes->not_tcache = true;
		return;
	}
	votes->not_arena = true;
	if (votes->not_tcache || (value & 15) || search->tries >= MAX_TRIES ||
	    !mw_glibc_span_of(search->cache, value))
		return;
	search->tries++;
	if (verify(search->cache, value, &tcache, &layout)) {
		votes->tcache++;
		votes->entries += tcache.n;
		search->layouts[i] = layout;
	} else {
		votes->no_tcache++;
	}
}

/* One piece of TLS of the sample, from `below` bytes under the thread pointers on. */
static void judge_piece(struct tls_search *search, uint64_t below)
{
	memset(search->votes, 0, sizeof(search->votes));
	for (size_t t = 0; t < search->n; t++) {
		uint64_t words[WORDS], start = search->pointers[t] - below;
		uint64_t end = start + PIECE;
		struct mw_memory *mem = &search->cache->walk->memory;
		/* The lowest page of a stack's end may not be there: then the rest is. */
		while (start < end && mw_memory_stretch(mem, start, start + 1) == start)
			start = mem->end;
		if (start >= end || !mw_memory_read(mem, start, words, end - start))
			continue;
		size_t skipped = WORDS - (size_t)(end - start) / 8;
		for (size_t i = skipped; i < WORDS; i++)
			judge(search, i, words[i - skipped]);
	}
}

/* Stacks lie below TLS and hold the same values by chance: the upper of two wins. */
static const struct votes *elect_arena(const struct tls_search *search)
{
	const struct votes *best = NULL;
	for (size_t i = WORDS; i-- > 0;) {
		const struct votes *votes = &search->votes[i];
		if (!votes->not_arena && votes->arena > (best ? best->arena : 0))
			best = votes;
	}
	return best;
}

/* At most a quarter may not be what the others are: caught in a change. */
static bool may_be_tcache(const struct votes *votes)
{
	return !votes->not_tcache && votes->tcache &&
	       votes->no_tcache <= votes->tcache / 4;
}

/* Of two that are alike, the one next to thread_arena: both are libc's. */
static bool is_better(const struct votes *a, const struct votes *b,
		      const struct votes *arena)
{
	if (!b || !may_be_tcache(a))
		return may_be_tcache(a);
	if (a->tcache != b->tcache)
		return a->tcache > b->tcache;
	return a->entries > b->entries ||
	       (a->entries == b->entries && arena && labs(a - arena) < labs(b - arena));
}

static const struct votes *elect_tcache(const struct tls_search *search,
					const struct votes *arena)
{
	const struct votes *best = NULL;
	for (size_t i = WORDS; i-- > 0;)
		if (is_better(&search->votes[i], best, arena))
			best = &search->votes[i];
	return best;
}

/* Takes the best offsets of the piece. */
static void elect(struct tls_search *search, uint64_t below)
{
	struct mw_glibc *libc = search->cache->libc;
	const struct votes *arena = elect_arena(search);
	const struct votes *tcache = elect_tcache(search, arena);
	if (arena && !libc->thread_arena_offset)
		libc->thread_arena_offset =
			(int32_t)(8 * (arena - search->votes)) - (int32_t)below;
	if (tcache && !libc->tcache_offset) {
		libc->tcache_offset =
			(int32_t)(8 * (tcache - search->votes)) - (int32_t)below;
		libc->layout = search->layouts[tcache - search->votes];
	}
}

static bool is_settled(const struct mw_glibc *libc)
{
	return libc->thread_arena_offset &&
	       (libc->tcache_offset || !libc->layout->tcache.n_bins);
}

static void try_piece(struct tls_search *search, uint64_t below)
{
	judge_piece(search, below);
	elect(search, below);
}

/*
 * A program with much thread-local data of its own has it between libc's and the thread
 * pointer. The dtv, which the thread pointer leads to, lists where the data of each
 * object begins: { size }, { generation }, { address, to free }, …
 */
static void try_modules(struct tls_search *search)
{
	struct mw_memory *mem = &search->cache->walk->memory;
	uint64_t pointer = search->n ? search->pointers[0] : 0, dtv, n, block;
	if (!pointer || !mw_memory_word(mem, pointer + 8, &dtv) ||
	    !mw_memory_word(mem, dtv - DTV_ENTRY, &n))
		return;
	for (uint64_t i = 1; i <= n && i <= MAX_MODULES; i++)
		if (mw_memory_word(mem, dtv + i * DTV_ENTRY, &block) && !(block & 7) &&
		    block < pointer - NEAR && pointer - block < MAX_STATIC &&
		    !is_settled(search->cache->libc))
			try_piece(search, pointer - block);
}

void mw_glibc_find_tls(struct mw_glibc_cache *cache, const uint64_t *pointers, size_t n)
{
	struct tls_search search = { .cache = cache, .pointers = pointers, .n = n };
	try_piece(&search, NEAR);
	if (!is_settled(cache->libc))
		try_modules(&search);
}
