// SPDX-License-Identifier: MIT
/* jemalloc's records: base blocks, the tree of pages, extents. */
#include "heap/alloc/jemalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	EDATA = 128,
	STATE_MAX = MW_JE_RETAINED,
	BLOCK_BUDGET = 1 << 17,
	MAX_EXTENTS = 1 << 26,
	ROOT_SHIFT = 30, /* 48 bits of address: two levels of 18 bits */
	LEAF_MASK = (1 << 18) - 1,
	MAX_SAMPLES = 64,
};

#define MAX_BLOCK_LEN (UINT64_C(1) << 40)
#define ADDRESS (((UINT64_C(1) << 47) - 1) & ~UINT64_C(127)) /* in a leaf's entry */

/* Classes: 8; 16, 32, 48, 64; then four to each doubling. */
uint64_t mw_je_class_len(unsigned class)
{
	if (class >= MW_JE_CLASSES)
		return 0;
	if (!class)
		return 8;
	unsigned group = (class - 1) / 4, step = (class - 1) % 4 + 1;
	return group ? (UINT64_C(64) << (group - 1)) + ((uint64_t)step << (group + 3))
		     : 16 * step;
}

/* base_block_t: size, next, then edata_t: e_bits, e_addr, e_bsize. */
bool mw_je_read_block(struct mw_heap_walk *walk, uint64_t addr, uint64_t room,
		      struct mw_je_block *ret)
{
	uint64_t word[5], end;
	if (!mw_memory_read(&walk->memory, addr, word, sizeof(word)))
		return false;
	if (!word[0] || (word[0] & (MW_JE_HUGE - 1)) || word[0] > MAX_BLOCK_LEN ||
	    word[0] > room || (word[1] & (MW_JE_HUGE - 1)) || word[3] <= addr ||
	    __builtin_add_overflow(word[3], word[4], &end) || end != addr + word[0])
		return false;
	*ret = (struct mw_je_block){ .start = addr, .end = end };
	return true;
}

static struct mw_err *find_blocks(struct mw_jemalloc *je)
{
	size_t n;
	unsigned budget = BLOCK_BUDGET;
	const struct mw_region *regions = mw_snapshot_regions(je->walk->snap, &n);
	for (size_t i = 0; i < n; i++) {
		uint64_t addr = mw_alloc_up(regions[i].start, MW_JE_HUGE);
		if (addr >= regions[i].end || !mw_alloc_is_heapish(&regions[i]))
			continue;
		for (; addr < regions[i].end && budget; addr += MW_JE_HUGE) {
			struct mw_je_block block;
			budget--;
			if (!mw_je_read_block(je->walk, addr, regions[i].end - addr,
					      &block))
				continue;
			if (!mw_vec_add(&je->blocks, block))
				return mw_err_nomem();
			addr = block.end - MW_JE_HUGE;
		}
	}
	return NULL;
}

/* edata_t: bits, address, size with a serial number in its low bits. */
static bool parse(struct mw_jemalloc *je, uint64_t at, const uint64_t *word,
		  struct mw_je_extent *ret)
{
	const uint64_t page = MW_JE_PAGE - 1;
	uint64_t bits = word[0], start = word[1] & ~page, len = word[2] & ~page, end;
	unsigned state = bits >> 17 & 7, class = bits >> 20 & 0xff;
	/* All ones in place of the arena: a base block's own. */
	if ((bits & 0xfff) == 0xfff || state > STATE_MAX || class > MW_JE_CLASSES ||
	    bits >> 45 || !start || !len || __builtin_add_overflow(start, len, &end) ||
	    end > UINT64_C(1) << 47 || !mw_alloc_in_heapish(je->walk->snap, start, end))
		return false;
	*ret = (struct mw_je_extent){
		.start = start,
		.end = end,
		.addr = word[1],
		.edata = at,
		.class = (uint16_t) class,
		.n_free = bits >> 28 & 0x3ff,
		.arena = bits & 0xfff,
		.state = (uint8_t)state,
		.slab = bits >> 12 & 1,
	};
	return true;
}

static struct mw_err *scan_page(struct mw_jemalloc *je, uint64_t page)
{
	size_t got;
	uint64_t words[MW_JE_PAGE / 8];
	const unsigned char *bytes =
		mw_memory_lend(&je->walk->window, page, sizeof(words), &got);
	if (!bytes)
		return NULL;
	memcpy(words, bytes, sizeof(words));
	for (unsigned i = 0; i < MW_JE_PAGE / 8; i += EDATA / 8) {
		struct mw_je_extent extent;
		if (parse(je, page + i * 8, &words[i], &extent) &&
		    je->extents.n < MAX_EXTENTS && !mw_vec_add(&je->extents, extent))
			return mw_err_nomem();
	}
	return NULL;
}

/* Base blocks are sparse: a leaf of the tree is 2 MiB, mostly never touched. */
static struct mw_err *scan_block(struct mw_jemalloc *je, const struct mw_je_block *block)
{
	struct mw_memory *memory = &je->walk->memory;
	struct mw_err *err = NULL;
	for (uint64_t page = block->start; page < block->end && !err;) {
		uint64_t upto = mw_memory_stretch(memory, page, block->end);
		for (; page < upto && !err; page += MW_JE_PAGE)
			err = scan_page(je, page);
		if (!err && page < block->end)
			page = memory->end > page ? mw_alloc_up(memory->end, MW_JE_PAGE)
						  : block->end;
	}
	return err;
}

static bool in_blocks(const struct mw_jemalloc *je, uint64_t addr)
{
	size_t lo = 0;
	for (size_t hi = je->blocks.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (je->blocks.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < je->blocks.n && je->blocks.items[lo].start <= addr;
}

/* One look into the tree; who asks upward reads each page of a leaf once. */
struct tree {
	uint64_t root, index, leaf;
};

/* What the tree says about the page of an address: the record of its extent. */
static uint64_t look_up(struct mw_jemalloc *je, struct tree *tree, uint64_t addr)
{
	uint64_t index = addr >> ROOT_SHIFT, entry;
	size_t got;
	if (!tree->leaf || tree->index != index) {
		tree->index = index;
		if (!mw_memory_word(&je->walk->memory, tree->root + index * 8,
				    &tree->leaf) ||
		    !in_blocks(je, tree->leaf))
			tree->leaf = 0;
	}
	if (!tree->leaf)
		return 0;
	const unsigned char *bytes = mw_memory_lend(
		&je->walk->window, tree->leaf + (addr >> 12 & LEAF_MASK) * 8, 8, &got);
	if (!bytes)
		return 0;
	memcpy(&entry, bytes, sizeof(entry));
	return entry & ADDRESS;
}

/* A pointer from the variables to a base block may be an entry of the tree's root. */
static bool try_word(void *ctx, uint64_t addr, uint64_t word)
{
	struct mw_jemalloc *je = ctx;
	size_t step = je->extents.n / MAX_SAMPLES + 1;
	if (!word || !in_blocks(je, word))
		return false;
	for (size_t i = 0; i < je->extents.n; i += step) {
		const struct mw_je_extent *extent = &je->extents.items[i];
		struct tree tree = { addr - (extent->start >> ROOT_SHIFT) * 8, 0, 0 };
		if (look_up(je, &tree, extent->start) != extent->edata)
			continue;
		je->root = tree.root;
		return true;
	}
	return false;
}

static void drop_stale(struct mw_jemalloc *je)
{
	size_t kept = 0;
	struct tree tree = { je->root, 0, 0 };
	for (size_t i = 0; i < je->extents.n; i++) {
		const struct mw_je_extent *extent = &je->extents.items[i];
		if (look_up(je, &tree, extent->start) == extent->edata &&
		    look_up(je, &tree, extent->end - MW_JE_PAGE) == extent->edata)
			je->extents.items[kept++] = *extent;
	}
	je->n_stale = je->extents.n - kept;
	je->extents.n = kept;
}

static int by_start(const void *a, const void *b)
{
	const struct mw_je_extent *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

struct mw_err *mw_je_find(struct mw_jemalloc *je)
{
	const struct mw_alloc_words words = { .ctx = je, .visit = try_word };
	struct mw_err *err = find_blocks(je);
	for (size_t i = 0; i < je->blocks.n && !err; i++)
		err = scan_block(je, &je->blocks.items[i]);
	if (err || !je->extents.n)
		return err;
	qsort(je->extents.items, je->extents.n, sizeof(*je->extents.items), by_start);
	if (je->text)
		mw_alloc_variables(je->walk, je->text, &words);
	if (je->root)
		drop_stale(je);
	return NULL;
}
