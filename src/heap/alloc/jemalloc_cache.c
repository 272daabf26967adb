// SPDX-License-Identifier: MIT
/*
 * jemalloc's caches of threads: a block in one looks in use. A cache lies in the thread's
 * variables, below its thread pointer, and proves itself by three pointers: tcache_t
 * begins with one to its tcache_slow_t, which points back to it, and to its bins.
 */
#include "heap/alloc/jemalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	TLS_LEN = 64 << 10,   /* below the thread pointer that are searched */
	MAX_BINS = 76,        /* up to 8 MiB, TCACHE_MAXCLASS_LIMIT */
	MAX_CACHED = 1 << 13, /* in one bin: 16 bits of bytes */
	/* Words of tcache_slow_t: link 2, descriptor's link 2, bins, …; the last: tcache.
	 */
	SLOW_BINS = 4,
	SLOW_WORDS = 40,
	PAGE_WORDS = MW_JE_PAGE / 8,
};

/* cache_bin_t: stack_head, tstats, low 16 bits of low water, full and empty. */
struct bin {
	uint64_t head, n_requests;
	uint16_t low_water, full, empty, pad;
};

_Static_assert(sizeof(struct bin) == 24, "as cache_bin.h has it");

static struct mw_err *read_bin(struct mw_jemalloc *je, const struct bin *bin)
{
	uint64_t words[256];
	uint16_t len = (uint16_t)(bin->empty - (uint16_t)bin->head);
	unsigned left = len / 8;
	uint64_t at = bin->head;
	if ((len & 7) || left > MAX_CACHED || (bin->head & 7))
		return NULL;
	while (left) {
		unsigned n = left < 256 ? left : 256;
		if (!mw_memory_read(&je->walk->memory, at, words, n * 8))
			return NULL;
		for (unsigned i = 0; i < n; i++)
			if (!mw_vec_add(&je->cached, words[i]))
				return mw_err_nomem();
		at += n * 8;
		left -= n;
	}
	return NULL;
}

static bool proves(struct mw_jemalloc *je, uint64_t cache, uint64_t slow)
{
	uint64_t words[SLOW_WORDS];
	struct mw_memory *memory = &je->walk->memory;
	if (!mw_memory_read(memory, slow, words, sizeof(words)) ||
	    words[SLOW_BINS] != cache + 8)
		return false;
	for (unsigned i = SLOW_BINS + 1; i < SLOW_WORDS; i++)
		if (words[i] == cache)
			return true;
	return false;
}

/* The stacks of the bins lie one behind the other: where one ends the next begins. */
static struct mw_err *read_cache(struct mw_jemalloc *je, uint64_t cache)
{
	struct bin bin;
	uint16_t last = 0;
	struct mw_err *err = NULL;
	je->n_caches++;
	for (unsigned i = 0; i < MAX_BINS && !err; i++) {
		uint64_t at = cache + 8 + i * sizeof(bin);
		if (!mw_memory_read(&je->walk->memory, at, &bin, sizeof(bin)) ||
		    !bin.head || (i && bin.full != last))
			break;
		if (!mw_vec_add(&je->stacks, bin.head))
			return mw_err_nomem();
		err = read_bin(je, &bin);
		last = bin.empty;
	}
	return err;
}

/* A tcache_t and its tcache_slow_t lie in one struct, less than a page apart. */
static struct mw_err *search_page(struct mw_jemalloc *je, uint64_t page)
{
	uint64_t words[PAGE_WORDS];
	if (!mw_memory_read(&je->walk->memory, page, words, sizeof(words)))
		return NULL;
	for (unsigned i = 0; i < PAGE_WORDS; i++) {
		uint64_t at = page + i * 8, off = words[i] - at;
		if ((words[i] & 7) || (off + MW_JE_PAGE >= 2 * MW_JE_PAGE) ||
		    !proves(je, at, words[i]))
			continue;
		return read_cache(je, at);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

struct mw_err *mw_je_find_cached(struct mw_jemalloc *je)
{
	size_t n;
	struct mw_err *err = NULL;
	const struct mw_thread *threads = mw_snapshot_threads(je->walk->snap, &n);
	for (size_t i = 0; i < n && !err; i++) {
		unsigned before = je->n_caches;
		uint64_t page = mw_alloc_down(threads[i].tcb, MW_JE_PAGE);
		uint64_t low = page > TLS_LEN ? page - TLS_LEN : 0;
		for (; page && page >= low && je->n_caches == before && !err;
		     page -= MW_JE_PAGE)
			err = search_page(je, page);
	}
	if (je->cached.n)
		qsort(je->cached.items, je->cached.n, sizeof(*je->cached.items),
		      by_value);
	if (je->stacks.n)
		qsort(je->stacks.items, je->stacks.n, sizeof(*je->stacks.items),
		      by_value);
	return err;
}
