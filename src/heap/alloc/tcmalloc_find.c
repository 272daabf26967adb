// SPDX-License-Identifier: MIT
/* tcmalloc's caches, and the table of pages. */
#include "heap/alloc/tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	MAX_THREADS = 1 << 16,
	MAX_CACHED = 1 << 26, /* all together */
	MAX_CHAIN = 1 << 13,  /* blocks in a slot of the central cache */
	NEXT_AT_MIN = 4120,   /* ThreadCache::next_, prev_, by version */
	NEXT_AT_MAX = 4168,
	SLOTS = 64,           /* of a list of the central cache */
	CENTRAL_LEN = 1216,   /* from one list of the central cache to the next */
	CENTRAL_CLASS_AT = 8, /* CentralFreeList::size_class_ */
	CENTRAL_SLOTS_AT = 128,
	CENTRAL_USED_AT = CENTRAL_SLOTS_AT + SLOTS * 16,
	CENTRAL_PROVED = 16, /* lists in a row that name their class */
};

/* ThreadCache::FreeList. */
struct list {
	uint64_t head;
	uint32_t n, low_water, max, overages;
	int32_t len;
	uint32_t pad;
};

_Static_assert(sizeof(struct list) == 32 && sizeof(struct mw_tc_span) == 48,
	       "as thread_cache.h and span.h have them");

/* Appends `n` blocks of a chain; one that ends early or goes on is broken. */
static struct mw_err *read_chain(struct mw_tcmalloc *tc, uint64_t block, uint64_t n)
{
	size_t got;
	for (; n && block && tc->cached.n < MAX_CACHED; n--) {
		const unsigned char *bytes =
			mw_memory_lend(&tc->walk->window, block, 8, &got);
		if (!bytes)
			break;
		if (!mw_vec_add(&tc->cached, block))
			return mw_err_nomem();
		memcpy(&block, bytes, sizeof(block));
	}
	tc->broken |= n != 0;
	return NULL;
}

static struct mw_err *read_lists(struct mw_tcmalloc *tc, const struct list *lists)
{
	struct mw_err *err = NULL;
	for (unsigned i = 0; i < MW_TC_CLASSES && !err; i++) {
		if (lists[i].len <= 0 || !lists[i].max)
			continue;
		tc->len_of[i] = (uint64_t)lists[i].len;
		if (lists[i].head)
			tc->samples[i] = lists[i].head;
		err = read_chain(tc, lists[i].head, lists[i].n);
	}
	return err;
}

/*
 * The next cache of the list. Each names the one before it, so a list that turns back
 * is seen.
 */
static bool read_links(struct mw_tcmalloc *tc, uint64_t cache, unsigned at,
		       uint64_t before, uint64_t *next)
{
	uint64_t links[2];
	if (!mw_memory_read(&tc->walk->memory, cache + at, links, sizeof(links)) ||
	    links[1] != before)
		return false;
	*next = links[0];
	return true;
}

/* Where the links are: where as many caches hang together as the library counts. */
static unsigned find_links(struct mw_tcmalloc *tc, uint64_t first)
{
	for (unsigned at = NEXT_AT_MIN; at <= NEXT_AT_MAX; at += 8) {
		uint64_t cache = first, before = 0, next, n = 0;
		while (cache && n <= tc->n_claimed &&
		       read_links(tc, cache, at, before, &next)) {
			before = cache;
			cache = next;
			n++;
		}
		if (!cache && n == tc->n_claimed)
			return at;
	}
	return 0;
}

struct mw_err *mw_tc_read_threads(struct mw_tcmalloc *tc, uint64_t heads, uint64_t count)
{
	struct list lists[MW_TC_CLASSES];
	uint64_t cache = 0, before = 0;
	uint32_t n = 0;
	struct mw_err *err = NULL;
	struct mw_memory *memory = &tc->walk->memory;
	if (!mw_memory_word(memory, heads, &cache) ||
	    !mw_memory_read(memory, count, &n, sizeof(n)) || n > MAX_THREADS)
		return NULL;
	tc->n_claimed = n;
	unsigned at = find_links(tc, cache);
	for (uint64_t next; at && cache && !err; before = cache, cache = next) {
		if (!read_links(tc, cache, at, before, &next) ||
		    !mw_memory_read(memory, cache, lists, sizeof(lists)) ||
		    tc->n_caches == n)
			break;
		tc->n_caches++;
		err = read_lists(tc, lists);
	}
	return err;
}

bool mw_tc_span_of(struct mw_tcmalloc *tc, uint64_t root, uint64_t page,
		   struct mw_tc_span *ret)
{
	uint64_t leaf, span, end;
	struct mw_memory *memory = &tc->walk->memory;
	return mw_memory_word(memory, root + (page >> MW_TC_LEAF_BITS) * 8, &leaf) &&
	       leaf &&
	       mw_memory_word(memory, leaf + (page & ((1 << MW_TC_LEAF_BITS) - 1)) * 8,
			      &span) &&
	       span && mw_memory_read(memory, span, ret, sizeof(*ret)) &&
	       !__builtin_add_overflow(ret->start, ret->n_pages, &end) &&
	       ret->start <= page && page < end &&
	       end >> (MW_TC_LEAF_BITS + MW_TC_ROOT_BITS) == 0 &&
	       mw_alloc_is_covered(tc->walk->snap, ret->start << MW_TC_PAGE_SHIFT,
				   end << MW_TC_PAGE_SHIFT);
}

/* The root, if this word is the entry of a cached block's page: its span says so. */
static bool try_root(struct mw_tcmalloc *tc, uint64_t addr)
{
	struct mw_tc_span span;
	unsigned n = 0;
	uint64_t root = 0;
	for (unsigned class = 0; class < MW_TC_CLASSES && n < 2; class ++) {
		uint64_t page = tc->samples[class] >> MW_TC_PAGE_SHIFT;
		if (!page)
			continue;
		if (!root)
			root = addr - (page >> MW_TC_LEAF_BITS) * 8;
		if (!mw_tc_span_of(tc, root, page, &span) || span.class != class)
			return false;
		n++;
	}
	if (n)
		tc->root = root;
	return n;
}

static bool try_central(struct mw_tcmalloc *tc, uint64_t addr)
{
	uint64_t class;
	for (unsigned i = 2; i < CENTRAL_PROVED; i++)
		if (!mw_memory_word(&tc->walk->memory, addr + (i - 1) * CENTRAL_LEN,
				    &class) ||
		    class != i)
			return false;
	tc->central = addr - CENTRAL_LEN - CENTRAL_CLASS_AT;
	return true;
}

static bool try_word(void *ctx, uint64_t addr, uint64_t word)
{
	struct mw_tcmalloc *tc = ctx;
	if (!tc->root && !(word & 7) &&
	    mw_alloc_in_heapish(tc->walk->snap, word, word + 8))
		try_root(tc, addr);
	else if (!tc->central && word == 1)
		try_central(tc, addr);
	return tc->root && tc->central;
}

void mw_tc_find(struct mw_tcmalloc *tc)
{
	const struct mw_alloc_words words = { .ctx = tc, .visit = try_word };
	mw_alloc_variables(tc->walk, tc->text, &words);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* A slot is a chain from its first to its last block. */
static struct mw_err *read_until(struct mw_tcmalloc *tc, uint64_t block, uint64_t last)
{
	struct mw_err *err = NULL;
	for (unsigned n = 0; !err && n < MAX_CHAIN; n++) {
		uint64_t next;
		err = read_chain(tc, block, 1);
		if (err || block == last ||
		    !mw_memory_word(&tc->walk->memory, block, &next))
			return err;
		block = next;
	}
	tc->broken = true;
	return err;
}

static struct mw_err *read_slots(struct mw_tcmalloc *tc, uint64_t list)
{
	uint64_t slots[SLOTS][2];
	uint32_t n;
	struct mw_err *err = NULL;
	struct mw_memory *memory = &tc->walk->memory;
	if (!mw_memory_read(memory, list + CENTRAL_USED_AT, &n, sizeof(n)) || n > SLOTS ||
	    !mw_memory_read(memory, list + CENTRAL_SLOTS_AT, slots, sizeof(slots))) {
		tc->broken = true;
		return NULL;
	}
	for (uint32_t i = 0; i < n && !err; i++)
		err = read_until(tc, slots[i][0], slots[i][1]);
	return err;
}

struct mw_err *mw_tc_read_central(struct mw_tcmalloc *tc)
{
	struct mw_err *err = NULL;
	for (unsigned i = 1; i < MW_TC_CLASSES && tc->central && !err; i++)
		if (tc->len_of[i])
			err = read_slots(tc, tc->central + i * CENTRAL_LEN);
	if (tc->cached.n)
		qsort(tc->cached.items, tc->cached.n, sizeof(*tc->cached.items),
		      by_value);
	return err;
}
