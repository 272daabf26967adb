// SPDX-License-Identifier: MIT
/*
 * mimalloc 2.0 (include/mimalloc-types.h of 2.0.9): segments of 32 MiB, aligned to that,
 * or longer ones for one huge block. A segment begins with a cookie, its own address
 * exclusive-ored with a secret of the process, so that two segments prove each other,
 * and with an array of slices of 64 KiB. Slices that belong together are a span: free,
 * or a page of blocks of one size with three lists of free blocks in it. What another
 * thread freed of a full page waits in a list of the heap that owns the page.
 *
 * 1, 2.1 and 3 lay their records out otherwise: there nothing is counted.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEGMENT = 32 << 20,
	SLICE = 64 << 10,
	MAX_SLICES = 512,
	MAX_INFO = 64,
	HEAD_AT = 208, /* of the segment: used, cookie, slices, info slices, kind, … */
	SLICES_AT = 264,
	DELAYED_AT = 2840, /* of mi_heap_t: thread_delayed_free */
	BUDGET = 65536,
	PROBES = 64,         /* segments looked at where no library says mimalloc */
	MIN_TEXT = 64 << 10, /* mimalloc's code is more */
	MAX_CAPACITY = 1 << 16,
	MAX_DELAYED = 1 << 24,
	MAX_HEAPS = 4096,
};

#define MAX_SEGMENT_LEN (UINT64_C(1) << 44)
#define HUGE_BLOCK (UINT64_C(2) << 30) /* longer ones are as long as their page */

struct head {
	uint64_t n_used, cookie, n_slices, n_info, kind, n_entries;
};

/* mi_page_t, which is also a slice. */
struct slice {
	uint32_t count, offset;
	uint16_t flags, capacity, reserved, more_flags;
	uint64_t free;
	uint32_t n_used, block_len;
	uint64_t local_free, thread_free, heap;
	uint64_t next, prev, pad;
};

_Static_assert(sizeof(struct slice) == 80 && sizeof(struct head) == 48,
	       "as mimalloc-types.h has them");

struct segment {
	uint64_t start, len, secret;
};

struct addrs {
	MW_VEC(uint64_t);
};

struct mimalloc {
	struct mw_heap_walk *walk;
	const struct mw_region *text; /* NULL: no library */
	MW_VEC(struct segment);
	struct addrs heaps, delayed; /* ascending once gathered */
	struct mw_tally tally;
	struct slice slices[MAX_SLICES];
	bool free[MAX_CAPACITY]; /* of the page in work */
	uint64_t n_bad, n_other; /* pages, segments that do not add up */
};

static bool read_segment(struct mw_heap_walk *walk, uint64_t addr, struct segment *ret)
{
	struct head head;
	if (!mw_memory_read(&walk->memory, addr + HEAD_AT, &head, sizeof(head)))
		return false;
	uint64_t secret = head.cookie ^ addr;
	/* A secret has high bits; an address or a count in its place has none. */
	if (!(secret >> 48) || !head.n_slices ||
	    head.n_slices > MAX_SEGMENT_LEN / SLICE || !head.n_info ||
	    head.n_info > MAX_INFO || head.n_info > head.n_slices || head.kind > 1 ||
	    head.n_entries > MAX_SLICES || head.n_entries > head.n_slices ||
	    !mw_alloc_is_covered(walk->snap, addr, addr + head.n_slices * SLICE))
		return false;
	*ret = (struct segment){ addr, head.n_slices * SLICE, secret };
	return true;
}

static struct mw_err *find_segments(struct mimalloc *mi, unsigned budget)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(mi->walk->snap, &n);
	uint64_t above = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t addr = mw_alloc_up(regions[i].start, SEGMENT);
		if (addr >= regions[i].end || !mw_alloc_is_heapish(&regions[i]))
			continue;
		for (; addr < regions[i].end && budget; addr += SEGMENT) {
			struct segment segment;
			if (addr < above)
				continue;
			budget--;
			if (!read_segment(mi->walk, addr, &segment))
				continue;
			if (!mw_vec_add(mi, segment))
				return mw_err_nomem();
			above = addr + segment.len;
		}
	}
	return NULL;
}

static int by_secret(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	if (x->secret != y->secret)
		return x->secret < y->secret ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_start(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Keeps the largest family of segments of one secret; one alone only where the library
 * is loaded.
 */
static void keep_family(struct mimalloc *mi)
{
	size_t best = 0, best_n = 0;
	if (mi->n)
		qsort(mi->items, mi->n, sizeof(*mi->items), by_secret);
	for (size_t i = 0, k; i < mi->n; i = k) {
		for (k = i; k < mi->n && mi->items[k].secret == mi->items[i].secret; k++)
			;
		if (k - i > best_n) {
			best = i;
			best_n = k - i;
		}
	}
	if (best_n < 2 && !mi->text)
		best_n = 0;
	if (best_n)
		memmove(mi->items, mi->items + best, best_n * sizeof(*mi->items));
	mi->n = best_n;
	if (mi->n)
		qsort(mi->items, mi->n, sizeof(*mi->items), by_start);
}

static bool add_once(struct addrs *addrs, uint64_t addr)
{
	for (size_t i = addrs->n; i > 0; i--)
		if (addrs->items[i - 1] == addr)
			return true;
	return addrs->n >= MAX_HEAPS || mw_vec_add(addrs, addr);
}

/* Slices inside a span are never written: their pages may be absent, and are zeros. */
static void read_array(struct mimalloc *mi, uint64_t addr, unsigned char *to,
		       uint64_t len)
{
	uint64_t page = mi->walk->page_size;
	for (uint64_t n; len; addr += n, to += n, len -= n) {
		n = page - (addr & (page - 1));
		n = n < len ? n : len;
		if (!mw_memory_read(&mi->walk->memory, addr, to, n))
			memset(to, 0, n);
	}
}

/* Reads what is counted and the slices; false when they do not tile the segment. */
static bool read_slices(struct mimalloc *mi, const struct segment *segment,
			struct head *head)
{
	uint64_t i = 0;
	if (!mw_memory_read(&mi->walk->memory, segment->start + HEAD_AT, head,
			    sizeof(*head)) ||
	    !head->n_entries || head->n_entries > MAX_SLICES ||
	    head->n_slices * SLICE != segment->len || head->n_info > head->n_entries)
		return false;
	/* In the cache, for reuse: what its slices were does not matter. */
	if (!head->n_used)
		return true;
	read_array(mi, segment->start + SLICES_AT, (unsigned char *)mi->slices,
		   head->n_entries * sizeof(*mi->slices));
	while (i < head->n_entries) {
		const struct slice *slice = &mi->slices[i];
		if (!slice->count || slice->offset || slice->count > head->n_slices - i)
			return false;
		i += slice->count;
	}
	return mi->slices[0].count == head->n_info;
}

/* One list of what other threads freed, for every heap that owns a page. */
static struct mw_err *gather_heaps(struct mimalloc *mi)
{
	for (size_t s = 0; s < mi->n; s++) {
		struct head head;
		if (!read_slices(mi, &mi->items[s], &head) || !head.n_used)
			continue;
		for (uint64_t i = head.n_info; i < head.n_entries;
		     i += mi->slices[i].count)
			if (mi->slices[i].block_len && mi->slices[i].heap &&
			    !add_once(&mi->heaps, mi->slices[i].heap))
				return mw_err_nomem();
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* A hostile list may be a circle: a mark that moves on ever more rarely meets it. */
static struct mw_err *gather_list(struct mimalloc *mi, uint64_t block)
{
	uint64_t mark = 0;
	for (unsigned n = 1; block && block != mark && n < MAX_DELAYED; n++) {
		if (!mw_vec_add(&mi->delayed, block))
			return mw_err_nomem();
		if (!(n & (n - 1)))
			mark = block;
		if (!mw_memory_word(&mi->walk->memory, block, &block))
			break;
	}
	return NULL;
}

static struct mw_err *gather_delayed(struct mimalloc *mi)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < mi->heaps.n && !err; i++) {
		uint64_t block;
		if (mw_memory_word(&mi->walk->memory, mi->heaps.items[i] + DELAYED_AT,
				   &block))
			err = gather_list(mi, block);
	}
	if (mi->delayed.n)
		qsort(mi->delayed.items, mi->delayed.n, sizeof(*mi->delayed.items),
		      by_value);
	return err;
}

/* The page in work: where its blocks are. */
struct page {
	const struct slice *slice;
	uint64_t start, end; /* of the span */
	uint64_t blocks, len;
};

/* Follows one list of free blocks; false when it leaves the page or meets itself. */
static bool mark_list(struct mimalloc *mi, const struct page *page, uint64_t block,
		      uint64_t *n)
{
	size_t got;
	while (block) {
		uint64_t at = block - page->blocks;
		if (block < page->blocks || at % page->len ||
		    at / page->len >= page->slice->capacity || mi->free[at / page->len])
			return false;
		mi->free[at / page->len] = true;
		++*n;
		const unsigned char *bytes =
			mw_memory_lend(&mi->walk->window, block, 8, &got);
		if (!bytes)
			return false;
		memcpy(&block, bytes, sizeof(block));
	}
	return true;
}

/* Blocks that wait in a heap's list look used. */
static void mark_delayed(struct mimalloc *mi, const struct page *page)
{
	size_t lo = 0;
	uint64_t end = page->blocks + page->slice->capacity * page->len;
	for (size_t hi = mi->delayed.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (mi->delayed.items[mid] < page->blocks)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < mi->delayed.n && mi->delayed.items[lo] < end; lo++) {
		uint64_t at = mi->delayed.items[lo] - page->blocks;
		if (at % page->len == 0)
			mi->free[at / page->len] = true;
	}
}

static bool read_lists(struct mimalloc *mi, const struct page *page)
{
	const struct slice *slice = page->slice;
	uint64_t n_local = 0, n_thread = 0;
	size_t got;
	memset(mi->free, 0, slice->capacity);
	/* Links jump about in the page: read it at once where all of it is there. */
	if (slice->free || slice->local_free)
		mw_memory_lend(&mi->walk->window, page->start, page->end - page->start,
			       &got);
	if (!mark_list(mi, page, slice->free, &n_local) ||
	    !mark_list(mi, page, slice->local_free, &n_local) ||
	    !mark_list(mi, page, slice->thread_free & ~UINT64_C(3), &n_thread) ||
	    n_local + slice->n_used != slice->capacity || n_thread > slice->n_used)
		return false;
	mark_delayed(mi, page);
	return true;
}

static bool plan_page(const struct segment *segment, const struct slice *slice,
		      uint64_t index, struct page *page)
{
	uint64_t start = segment->start + index * SLICE, len = slice->block_len;
	uint64_t span = (uint64_t)slice->count * SLICE;
	/* The blocks of small pages do not begin where an OS page does. */
	uint64_t skip = len >= 8 && len <= 1024 ? 384 : 0;
	if (len >= HUGE_BLOCK)
		len = span;
	*page = (struct page){ slice, start, start + span, start + skip, len };
	return len >= 8 && slice->capacity <= slice->reserved && slice->reserved &&
	       slice->reserved <= (span - skip) / len;
}

static struct mw_err *walk_page(struct mimalloc *mi, const struct page *page)
{
	struct mw_tally *tally = &mi->tally;
	struct mw_err *err = NULL;
	uint64_t at = page->blocks;
	for (unsigned i = 0; i < page->slice->capacity && !err; i++, at += page->len) {
		if (mi->free[i])
			mw_tally_kept(tally, at, page->len);
		else
			err = mw_tally_live(tally, at, page->len);
	}
	/* Blocks never handed out; the last piece is too short for one. */
	uint64_t uncut =
		(uint64_t)(page->slice->reserved - page->slice->capacity) * page->len;
	mw_tally_part(tally, at, at + uncut, MW_PART_KEPT);
	return err;
}

static struct mw_err *walk_span(struct mimalloc *mi, const struct segment *segment,
				uint64_t index)
{
	const struct slice *slice = &mi->slices[index];
	struct page page;
	bool sane = plan_page(segment, slice, index, &page);
	if (!slice->block_len) {
		mw_tally_part(&mi->tally, page.start, page.end, MW_PART_KEPT);
		return NULL;
	}
	if (sane && read_lists(mi, &page))
		return walk_page(mi, &page);
	mi->n_bad++;
	mw_tally_part(&mi->tally, page.start, page.end, MW_PART_UNKNOWN);
	return NULL;
}

static struct mw_err *walk_segment(struct mimalloc *mi, const struct segment *segment)
{
	struct head head;
	uint64_t end = segment->start + segment->len;
	bool sane = read_slices(mi, segment, &head);
	mi->n_other += !sane;
	struct mw_err *err =
		mw_tally_open(&mi->tally, segment->start, end, 0, MW_PART_OVERHEAD);
	if (!sane && !err)
		mw_tally_part(&mi->tally, segment->start, end, MW_PART_UNKNOWN);
	else if (!head.n_used && !err)
		mw_tally_part(&mi->tally, segment->start + head.n_info * SLICE, end,
			      MW_PART_KEPT);
	else
		for (uint64_t i = head.n_info; i < head.n_entries && !err;
		     i += mi->slices[i].count)
			err = walk_span(mi, segment, i);
	return err ? err : mw_tally_close(&mi->tally);
}

static struct mw_err *report(struct mimalloc *mi)
{
	struct mw_tally *tally = &mi->tally;
	struct mw_err *err = gather_heaps(mi);
	if (!err)
		err = gather_delayed(mi);
	if (!err)
		err = mw_tally_init(tally, mi->walk, &mw_walker_mimalloc);
	tally->feed = true;
	for (size_t i = 0; i < mi->n && !err; i++)
		err = walk_segment(mi, &mi->items[i]);
	if (err)
		return err;
	tally->it.object = mi->text ? mi->text->name : "";
	tally->it.version = "2.0";
	tally->it.note = "blocks with their padding; a block that an aligned request "
			 "got is counted whole";
	mw_tally_check(tally, "segments whose slices do not tile them", 0, mi->n_other);
	mw_tally_check(tally, "pages whose lists do not add up", 0, mi->n_bad);
	return mw_tally_publish(tally);
}

static struct mw_err *run(struct mimalloc *mi)
{
	struct mw_err *err = find_segments(mi, mi->text ? BUDGET : PROBES);
	if (!err && !mi->text && mi->n > 1) {
		mi->n = 0;
		err = find_segments(mi, BUDGET);
	}
	if (err)
		return err;
	keep_family(mi);
	if (mi->n)
		return report(mi);
	return mi->text ? mw_alloc_recognised(mi->walk, &mw_walker_mimalloc, "",
					      mi->text->name,
					      "loaded; no segment of version 2.0 was "
					      "found")
			: NULL;
}

static struct mw_err *walk_mimalloc(struct mw_heap_walk *walk)
{
	const struct mw_region *text = mw_alloc_object(walk->snap, "libmimalloc");
	const struct mw_region *program = mw_alloc_program(walk->snap);
	if (!text && (!program || program->end - program->start < MIN_TEXT))
		return NULL;
	struct mimalloc *mi = calloc(1, sizeof(*mi));
	if (!mi)
		return mw_err_nomem();
	mi->walk = walk;
	mi->text = text;
	struct mw_err *err = run(mi);
	mw_tally_deinit(&mi->tally);
	mw_vec_deinit(mi);
	mw_vec_deinit(&mi->heaps);
	mw_vec_deinit(&mi->delayed);
	free(mi);
	return err;
}

const struct mw_walker mw_walker_mimalloc = { "mimalloc", walk_mimalloc };
