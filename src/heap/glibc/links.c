// SPDX-License-Identifier: MIT
/*
 * Reading links of lists; and where a walk goes on behind a page that cannot be read,
 * because it is swapped out or was not recorded: at the next chunk that glibc itself
 * knows by its address. That are the chunks in caches, those in bins, and top. What lies
 * before it stays unknown.
 */
#include "heap/glibc/cached.h"
#include "heap/glibc/walk.h"

#include <stdlib.h>
#include <string.h>

enum {
	SLOT = 4096,
	SLOTS = 1024,
	WINDOW = 64 << 10,
	FEW = 64, /* links that are read one by one */
};

struct mw_err *mw_link_reader_init(struct mw_link_reader *reader,
				   const struct mw_heap_walk *walk)
{
	*reader = (struct mw_link_reader){ 0 };
	struct mw_err *err =
		mw_memory_init(&reader->memory, walk->snap, MW_READ_CONTENTS, WINDOW);
	reader->memory.still = walk->opts->still;
	return err;
}

void mw_link_reader_deinit(struct mw_link_reader *reader)
{
	mw_memory_deinit(&reader->memory);
	free(reader->tags);
	free(reader->pages);
	*reader = (struct mw_link_reader){ 0 };
}

void mw_link_reader_forget(struct mw_link_reader *reader)
{
	reader->memory.window_len = 0;
	if (reader->tags)
		memset(reader->tags, 0, SLOTS * sizeof(*reader->tags));
}

static bool has_slots(struct mw_link_reader *reader)
{
	if (reader->pages || ++reader->n_reads < FEW)
		return reader->pages;
	reader->n_reads = 0; /* when memory is short, it may be there later */
	reader->tags = calloc(SLOTS, sizeof(*reader->tags));
	reader->pages = malloc((size_t)SLOTS * SLOT);
	if (reader->tags && reader->pages)
		return true;
	free(reader->tags);
	free(reader->pages);
	reader->tags = NULL;
	reader->pages = NULL;
	return false;
}

bool mw_link_read(struct mw_link_reader *reader, uint64_t addr, void *bytes, size_t len)
{
	uint64_t page = addr / SLOT, in_page = addr % SLOT;
	size_t slot = page % SLOTS, got;
	if (in_page + len > SLOT || !has_slots(reader))
		return mw_memory_read(&reader->memory, addr, bytes, len);
	unsigned char *held = reader->pages + slot * SLOT;
	if (reader->tags[slot] != page + 1) {
		const unsigned char *lent =
			mw_memory_lend(&reader->memory, page * SLOT, SLOT, &got);
		if (!lent)
			return false;
		memcpy(held, lent, SLOT);
		reader->tags[slot] = page + 1;
	}
	memcpy(bytes, held + in_page, len);
	return true;
}

/* --- anchors -------------------------------------------------------------------- */

/* More is not kept, and a list longer than that is not followed to its end. */
enum { MAX_ANCHORS = 1 << 20 };

struct bin {
	struct mw_glibc_anchors *anchors;
	struct mw_link_reader *reader;
	uint64_t header; /* as if it were a chunk */
	size_t step;     /* 0: along fd; 1: along bk */
};

/*
 * Follows the list of a bin from its header to where it ends, or cannot be read. A node
 * counts when the link back leads to the one before it.
 */
static bool follow(const struct bin *bin, uint64_t node)
{
	struct mw_glibc_anchors *anchors = bin->anchors;
	uint64_t before = bin->header, links[2];
	while (node != bin->header && node % 16 == 0 && anchors->n < MAX_ANCHORS) {
		if (!mw_link_read(bin->reader, node + MW_CHUNK_HEADER, links,
				  sizeof(links)) ||
		    links[1 - bin->step] != before)
			break;
		if (!mw_vec_add(anchors, node))
			return false;
		before = node;
		node = links[bin->step];
	}
	return true;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* The chunks in all bins of an arena; lists that break are read from both ends. */
static struct mw_err *collect(struct mw_glibc_walk *libc,
			      const struct mw_glibc_arena *arena)
{
	struct mw_glibc_anchors *anchors = &libc->anchors;
	const uint64_t bins = arena->address + libc->libc->layout->state.bins;
	struct mw_link_reader reader;
	struct mw_err *err = mw_link_reader_init(&reader, libc->walk);
	anchors->n = 0;
	anchors->of = arena;
	for (size_t i = 0; i < MW_GLIBC_BINS && !err; i++) {
		struct bin bin = { anchors, &reader,
				   bins + 8 * (i & ~(size_t)1) - MW_CHUNK_HEADER, i & 1 };
		if (!follow(&bin, arena->bins[i]))
			err = mw_err_nomem();
	}
	mw_link_reader_deinit(&reader);
	if (err)
		return err;
	if (anchors->n)
		qsort(anchors->items, anchors->n, sizeof(*anchors->items), by_address);
	return NULL;
}

/* The first one above `addr`; UINT64_MAX when there is none. */
static uint64_t in_bins(const struct mw_glibc_anchors *anchors, uint64_t addr)
{
	size_t lo = 0, hi = anchors->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (anchors->items[mid] <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < anchors->n ? anchors->items[lo] : UINT64_MAX;
}

/* The walk is told of cached chunks upward, so those before are behind it. */
static uint64_t in_caches(const struct mw_glibc_walk *libc, uint64_t addr)
{
	size_t lo = libc->next_cached, hi = libc->n_cached;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (libc->cached[mid].chunk <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < libc->n_cached ? libc->cached[lo].chunk : UINT64_MAX;
}

struct mw_err *mw_glibc_anchor(struct mw_glibc_walk *libc,
			       const struct mw_glibc_tally *tally,
			       const struct mw_glibc_piece *piece, uint64_t addr,
			       uint64_t *ret)
{
	const struct mw_glibc_arena *arena = tally->arena;
	if (libc->anchors.of != arena) {
		struct mw_err *err = collect(libc, arena);
		if (err)
			return err;
	}
	uint64_t in_bin = in_bins(&libc->anchors, addr), next = in_caches(libc, addr);
	if (in_bin < next)
		next = in_bin;
	if (piece->last && arena->top > addr && arena->top < next)
		next = arena->top;
	*ret = next < piece->end && next % 16 == 0 ? next : 0;
	return NULL;
}
