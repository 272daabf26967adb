// SPDX-License-Identifier: MIT
/*
 * jemalloc 5. Its own data lie in base blocks, aligned to 2 MiB, that begin with their
 * length, the next block, and an extent of what is unused: that extent must end where
 * the block ends, which proves the block. In the blocks are the extents of the heap
 * (edata, 128 bytes apart in 5.3): address and length of every slab and every large
 * allocation, so the heap is known page by page.
 *
 * 5.0 to 5.2 have another extent; there the blocks are proved and the rest is likely.
 */
#include "base/vec.h"
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <stdlib.h>

enum {
	HUGE = 2 << 20,
	PAGE = 4096,
	EDATA = 128,
	EDATA_ARENA = 0xfff, /* low bits of e_bits; all ones: a base's own */
	EDATA_STATE_MAX = 5,
	EDATA_CLASS_MAX = 232, /* SC_NSIZES of 64-bit machines with 4 KiB pages */
	BLOCK_BUDGET = 65536,
	MIN_TEXT = 128 << 10, /* jemalloc's code is 300 KiB and more */
	EDATA_PAGES = 65536,  /* pages of base blocks read */
};

#define MAX_BLOCK_LEN (UINT64_C(1) << 40)

struct range {
	uint64_t start, end;
};

struct ranges {
	MW_VEC(struct range);
};

/* base_block_t: size, next, then edata_t: e_bits, e_addr, e_bsize. */
static bool read_block(struct mw_classify *cx, uint64_t addr, uint64_t room,
		       struct range *ret)
{
	uint64_t word[5], end;
	if (!mw_peek(cx, addr, word, sizeof(word)))
		return false;
	uint64_t len = le64toh(word[0]), next = le64toh(word[1]);
	uint64_t unused = le64toh(word[3]);
	if (!len || (len & (HUGE - 1)) || len > MAX_BLOCK_LEN || len > room ||
	    (next & (HUGE - 1)) || unused <= addr ||
	    __builtin_add_overflow(unused, le64toh(word[4]), &end) || end != addr + len)
		return false;
	*ret = (struct range){ .start = addr, .end = end };
	return true;
}

static struct mw_err *find_blocks(struct mw_classify *cx, struct ranges *out)
{
	size_t n;
	unsigned budget = BLOCK_BUDGET;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++) {
		uint64_t addr = mw_alloc_up(regions[i].start, HUGE);
		if (addr >= regions[i].end || !mw_rt_is_heapish(&regions[i]))
			continue;
		for (; addr < regions[i].end && budget; addr += HUGE) {
			struct range block;
			budget--;
			if (!read_block(cx, addr, regions[i].end - addr, &block))
				continue;
			if (!mw_vec_add(out, block))
				return mw_err_nomem();
			addr = block.end - HUGE;
		}
	}
	return NULL;
}

/* edata_t of 5.3: bits, address (inside its page), size with a serial number below. */
static bool read_edata(const struct mw_classify *cx, const uint64_t *word,
		       struct range *ret)
{
	uint64_t bits = le64toh(word[0]),
		 start = le64toh(word[1]) & ~(uint64_t)(PAGE - 1);
	uint64_t len = le64toh(word[2]) & ~(uint64_t)(PAGE - 1), end;
	if ((bits & EDATA_ARENA) == EDATA_ARENA || (bits >> 17 & 7) > EDATA_STATE_MAX ||
	    (bits >> 20 & 0xff) > EDATA_CLASS_MAX || bits >> 45 || !start || !len ||
	    __builtin_add_overflow(start, len, &end) || !mw_rt_in_heapish(cx, start, end))
		return false;
	*ret = (struct range){ .start = start, .end = end };
	return true;
}

static struct mw_err *scan_block(struct mw_classify *cx, const struct range *block,
				 unsigned *budget, struct ranges *out)
{
	uint64_t words[PAGE / 8];
	for (uint64_t page = block->start; page < block->end && *budget; page += PAGE) {
		if (!mw_peek(cx, page, words, sizeof(words)))
			continue;
		--*budget;
		for (unsigned i = 0; i < PAGE / 8; i += EDATA / 8) {
			struct range extent;
			if (read_edata(cx, &words[i], &extent) &&
			    !mw_vec_add(out, extent))
				return mw_err_nomem();
		}
	}
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Overlapping and adjacent ranges become one claim. */
static struct mw_err *claim_ranges(struct mw_classify *cx, struct ranges *ranges,
				   const char *evidence)
{
	struct mw_err *err = NULL;
	if (ranges->n)
		qsort(ranges->items, ranges->n, sizeof(*ranges->items), by_start);
	for (size_t i = 0, k; i < ranges->n && !err; i = k) {
		uint64_t end = ranges->items[i].end;
		for (k = i + 1; k < ranges->n && ranges->items[k].start <= end; k++)
			if (ranges->items[k].end > end)
				end = ranges->items[k].end;
		err = mw_rt_claim(cx, &(struct mw_claim){
					      .start = ranges->items[i].start,
					      .end = end,
					      .class = MW_CLASS_HEAP_JEMALLOC,
					      .confidence = MW_CERTAIN,
					      .rank = MW_RANK_HEADER,
					      .evidence = evidence,
				      });
	}
	return err;
}

static struct mw_err *claim_extents(struct mw_classify *cx, const struct ranges *blocks)
{
	struct ranges extents = { 0 };
	unsigned budget = EDATA_PAGES;
	struct mw_err *err = NULL;
	for (size_t i = 0; i < blocks->n && !err; i++)
		err = scan_block(cx, &blocks->items[i], &budget, &extents);
	if (!err)
		err = claim_ranges(cx, &extents, "an extent in jemalloc's own records");
	mw_vec_deinit(&extents);
	return err;
}

struct mw_err *mw_classify_jemalloc(struct mw_classify *cx)
{
	struct ranges blocks = { 0 };
	bool loaded = mw_rt_object(cx, "libjemalloc"), named = false;
	struct mw_err *err =
		mw_rt_claim_named(cx, "jemalloc", MW_CLASS_HEAP_JEMALLOC, &named);
	if (!err && mw_rt_has_room(cx, MIN_TEXT))
		err = find_blocks(cx, &blocks);
	if (!err && (loaded || named || blocks.n)) {
		mw_classify_seen(cx)->jemalloc = true;
		err = mw_rt_claim_rest(cx, MW_CLASS_HEAP_JEMALLOC,
				       loaded ? MW_LIKELY : MW_GUESS,
				       "jemalloc is in this process and nothing else "
				       "claims it");
	}
	/* Extents first: of equal ranks the later claim is shown. */
	if (!err && blocks.n)
		err = claim_extents(cx, &blocks);
	if (!err)
		err = claim_ranges(cx, &blocks,
				   "a base block of jemalloc: its own records");
	mw_vec_deinit(&blocks);
	return err;
}
