// SPDX-License-Identifier: MIT
/* The walker of gperftools' tcmalloc: every span, every block in it. */
#include "heap/alloc/tcmalloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 1 << MW_TC_PAGE_SHIFT,
	MAX_BLOCKS = 1 << 16, /* refcount has 16 bits */
	LEAF_LEN = 1 << MW_TC_LEAF_BITS,
	ROOT_LEN = 1 << MW_TC_ROOT_BITS,
	CHUNK = 512, /* entries of the table read at once */
};

struct run {
	struct mw_tcmalloc tc;
	struct mw_tally tally;
	MW_VEC(struct mw_tc_span); /* ascending */
	size_t next_cached;
	uint64_t n_cached_seen, n_bad;
	uint64_t above;        /* the first page behind the last span */
	bool free[MAX_BLOCKS]; /* of the span in work */
};

/* Appends the spans that begin in [from, from + n) of a leaf. */
static struct mw_err *read_entries(struct run *run, uint64_t first_page, unsigned from,
				   const uint64_t *entries)
{
	for (unsigned i = 0; i < CHUNK; i++) {
		uint64_t page = first_page + from + i;
		struct mw_tc_span span;
		if (!entries[i] || page < run->above ||
		    !mw_tc_span_of(&run->tc, run->tc.root, page, &span) ||
		    span.start != page)
			continue;
		run->above = page + span.n_pages;
		if (!mw_vec_add(run, span))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *read_leaf(struct run *run, uint64_t leaf, uint64_t first_page)
{
	uint64_t entries[CHUNK];
	struct mw_err *err = NULL;
	for (unsigned i = 0; i < LEAF_LEN && !err; i += CHUNK)
		if (mw_memory_read(&run->tc.walk->memory, leaf + i * 8, entries,
				   sizeof(entries)))
			err = read_entries(run, first_page, i, entries);
	return err;
}

static struct mw_err *read_table(struct run *run)
{
	uint64_t leaves[CHUNK];
	struct mw_err *err = NULL;
	for (uint64_t i = 0; i < ROOT_LEN && !err; i += CHUNK) {
		if (!mw_memory_read(&run->tc.walk->memory, run->tc.root + i * 8, leaves,
				    sizeof(leaves)))
			continue;
		for (unsigned k = 0; k < CHUNK && !err; k++)
			if (leaves[k])
				err = read_leaf(run, leaves[k], (i + k) * LEAF_LEN);
	}
	return err;
}

/* Marks the blocks that wait in their span. */
static bool read_free(struct run *run, const struct mw_tc_span *span, uint64_t start,
		      uint64_t len, uint64_t n)
{
	uint64_t block = span->objects, n_free = 0;
	size_t got;
	memset(run->free, 0, n);
	while (block) {
		uint64_t at = block - start;
		if (block < start || at % len || at / len >= n || run->free[at / len])
			return false;
		run->free[at / len] = true;
		n_free++;
		const unsigned char *bytes =
			mw_memory_lend(&run->tc.walk->window, block, 8, &got);
		if (!bytes)
			return false;
		memcpy(&block, bytes, sizeof(block));
	}
	return n_free + span->n_used == n;
}

/* Blocks are met upward, and so are the cached ones. */
static bool is_cached(struct run *run, uint64_t addr)
{
	const struct mw_tc_addr_vec *cached = &run->tc.cached;
	while (run->next_cached < cached->n && cached->items[run->next_cached] < addr)
		run->next_cached++;
	return run->next_cached < cached->n && cached->items[run->next_cached] == addr;
}

static struct mw_err *walk_blocks(struct run *run, uint64_t start, uint64_t len,
				  uint64_t n)
{
	struct mw_tally *tally = &run->tally;
	struct mw_err *err = NULL;
	for (uint64_t i = 0, at = start; i < n && !err; i++, at += len) {
		bool cached = !run->free[i] && is_cached(run, at);
		if (cached) {
			tally->it.tcache.n++;
			tally->it.tcache.bytes += len;
		}
		if (cached || run->free[i])
			mw_tally_kept(tally, at, len);
		else
			err = mw_tally_live(tally, at, len);
	}
	return err;
}

static struct mw_err *walk_span(struct run *run, const struct mw_tc_span *span)
{
	struct mw_tally *tally = &run->tally;
	uint64_t start = span->start * PAGE, end = start + span->n_pages * PAGE;
	if ((span->flags & 3) != MW_TC_IN_USE) {
		mw_tally_part(tally, start, end, MW_PART_KEPT);
		return NULL;
	}
	if (!span->class)
		return mw_tally_live(tally, start, end - start);
	uint64_t len = span->class < MW_TC_CLASSES ? run->tc.len_of[span->class] : 0;
	uint64_t n = len ? (end - start) / len : 0;
	if (n && n <= MAX_BLOCKS && read_free(run, span, start, len, n))
		return walk_blocks(run, start, len, n);
	run->n_bad++;
	mw_tally_part(tally, start, end, MW_PART_UNKNOWN);
	return NULL;
}

/* Spans that follow each other are one area. */
static struct mw_err *walk_spans(struct run *run)
{
	struct mw_err *err = NULL;
	for (size_t i = 0, k; i < run->n && !err; i = k) {
		uint64_t next = run->items[i].start;
		for (k = i; k < run->n && run->items[k].start == next; k++)
			next += run->items[k].n_pages;
		err = mw_tally_open(&run->tally, run->items[i].start * PAGE, next * PAGE,
				    0, MW_PART_OVERHEAD);
		for (size_t s = i; s < k && !err; s++)
			err = walk_span(run, &run->items[s]);
		if (!err)
			err = mw_tally_close(&run->tally);
	}
	return err;
}

/* What of [heap] is in no span: its own records. */
static struct mw_err *walk_brk(struct run *run, const struct mw_region *brk)
{
	uint64_t page = run->tc.walk->page_size, at = brk->start;
	struct mw_err *err = NULL;
	run->tally.feed = false;
	for (size_t i = 0; i <= run->n && at < brk->end && !err; i++) {
		uint64_t start = brk->end, end = brk->end;
		if (i < run->n) {
			start = run->items[i].start * PAGE;
			end = start + run->items[i].n_pages * PAGE;
		}
		if (end <= at)
			continue;
		start = mw_alloc_down(start < brk->end ? start : brk->end, page);
		if (start > at)
			err = mw_tally_open(&run->tally, at, start, 0, MW_PART_OVERHEAD);
		if (start > at && !err)
			err = mw_tally_close(&run->tally);
		at = end;
	}
	return err;
}

static const struct mw_region *find_brk(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(regions[i].name, "[heap]"))
			return &regions[i];
	return NULL;
}

static struct mw_err *report(struct run *run)
{
	struct mw_tally *tally = &run->tally;
	const struct mw_tcmalloc *tc = &run->tc;
	const struct mw_region *brk = find_brk(tc->walk->snap);
	struct mw_err *err = mw_tally_init(tally, tc->walk, &mw_walker_tcmalloc);
	tally->feed = true;
	if (!err)
		err = walk_spans(run);
	if (!err && brk)
		err = walk_brk(run, brk);
	if (err)
		return err;
	tally->it.object = tc->text->name;
	tally->it.note = "gperftools; tcache counts the central cache too";
	mw_tally_check(tally, "spans whose free list does not add up", 0, run->n_bad);
	mw_tally_check(tally, "cached blocks lie in spans", tc->cached.n,
		       tally->it.tcache.n);
	mw_tally_check(tally, "caches of threads", tc->n_claimed, tc->n_caches);
	mw_tally_check(tally, "lists that do not end", 0, tc->broken);
	return mw_tally_publish(tally);
}

static struct mw_err *run_all(struct run *run, struct mw_alloc_elf *elf)
{
	uint64_t heads, count;
	struct mw_tcmalloc *tc = &run->tc;
	struct mw_err *err = NULL;
	if (mw_alloc_elf_value(elf, "_ZN8tcmalloc11ThreadCache13thread_heaps_E",
			       &heads) &&
	    mw_alloc_elf_value(elf, "_ZN8tcmalloc11ThreadCache18thread_heap_count_E",
			       &count))
		err = mw_tc_read_threads(tc, heads, count);
	if (!err)
		mw_tc_find(tc);
	if (!err && (!tc->root || !tc->central))
		return mw_alloc_recognised(tc->walk, &mw_walker_tcmalloc, "",
					   tc->text->name,
					   "its table of pages or its caches were not "
					   "found: another version, or never used");
	if (!err)
		err = mw_tc_read_central(tc);
	if (!err)
		err = read_table(run);
	return err ? err : report(run);
}

static struct mw_err *walk_tcmalloc(struct mw_heap_walk *walk)
{
	mw_auto_alloc_elf elf = { 0 };
	const struct mw_region *text = mw_alloc_object(walk->snap, "libtcmalloc");
	if (!text)
		return NULL;
	if (!mw_alloc_elf_open(walk->snap, text, &elf))
		return mw_alloc_recognised(walk, &mw_walker_tcmalloc, "", text->name,
					   "its file could not be read");
	struct run *run = calloc(1, sizeof(*run));
	if (!run)
		return mw_err_nomem();
	run->tc.walk = walk;
	run->tc.text = text;
	struct mw_err *err = run_all(run, &elf);
	mw_tally_deinit(&run->tally);
	mw_vec_deinit(&run->tc.cached);
	mw_vec_deinit(run);
	free(run);
	return err;
}

const struct mw_walker mw_walker_tcmalloc = { "tcmalloc", walk_tcmalloc };
