// SPDX-License-Identifier: MIT
/*
 * V8: its heap is made of chunks aligned to 256 KiB.
 *
 * Up to V8 11 (node 20) a chunk begins with its size, flags, the Heap it belongs to,
 * and the area its objects lie in; one Heap owns many chunks, so two that name the same
 * one prove each other. Read-only chunks name none. With pointer compression (Chromium)
 * everything lies in a cage aligned to 4 GiB, and newer chunks begin with flags and an
 * index into a table kept elsewhere: the indices rise with the addresses.
 *
 * Oilpan, the collector of Chromium's C++ objects, is part of V8: pages of 128 KiB that
 * begin with a pointer to their heap and one to their space.
 */
#include "base/vec.h"
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

enum {
	CHUNK = 256 << 10,
	OILPAN_PAGE = 128 << 10,
	TABLE_SEGMENT = 64 << 10,
	HEADER_MAX = 64 << 10, /* area_start lies this near, guard pages included */
	BUDGET = 65536,        /* headers looked at */
	PATIENCE = 64,         /* addresses of a region without one before giving up */
	MAX_CHUNKS = 65536,
};

#define CAGE (UINT64_C(4) << 30)
#define OILPAN_CAGE_MAX (UINT64_C(64) << 30)
#define WASM_BELOW (UINT64_C(2) << 30)
#define WASM_ABOVE (UINT64_C(8) << 30)
#define MAX_CHUNK_LEN (UINT64_C(4) << 30)

struct chunk {
	uint64_t start, end, heap;
};

struct scan {
	struct mw_classify *cx;
	MW_VEC(struct chunk);
	unsigned budget;
};

static bool accessible(const struct mw_region *region)
{
	return mw_rt_is_anon(region) && (region->perms & MW_PERM_READ);
}

/* MemoryChunk up to V8 11: size, flags, heap, area_start, area_end. */
static bool read_chunk(struct mw_classify *cx, uint64_t addr, struct chunk *ret)
{
	uint64_t word[5];
	if (!mw_peek(cx, addr, word, sizeof(word)))
		return false;
	uint64_t len = le64toh(word[0]), heap = le64toh(word[2]);
	uint64_t area = le64toh(word[3]), area_end = le64toh(word[4]);
	if (!len || (len & 4095) || len > MAX_CHUNK_LEN || (heap & 7) ||
	    le64toh(word[1]) >> 32 || area <= addr || area - addr > HEADER_MAX ||
	    area >= area_end || area_end - addr > len)
		return false;
	*ret = (struct chunk){ .start = addr, .end = addr + len, .heap = heap };
	return true;
}

static struct mw_err *scan_region(struct scan *scan, const struct mw_region *region)
{
	unsigned misses = 0;
	uint64_t addr = mw_alloc_up(region->start, CHUNK), next;
	for (; addr < region->end && scan->budget && misses < PATIENCE; addr = next) {
		struct chunk chunk;
		next = addr + CHUNK;
		scan->budget--;
		if (!read_chunk(scan->cx, addr, &chunk)) {
			misses++;
			continue;
		}
		misses = 0;
		next = mw_alloc_up(chunk.end, CHUNK);
		if (scan->n >= MAX_CHUNKS)
			return NULL;
		if (!mw_vec_add(scan, chunk))
			return mw_err_nomem();
	}
	return NULL;
}

static int by_heap(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;
	return x->heap < y->heap ? -1 : x->heap > y->heap;
}

/* A chunk of code has its header apart: only the executable part is code. */
static struct mw_err *claim_chunk(struct mw_classify *cx, const struct chunk *chunk,
				  enum mw_confidence confidence, const char *evidence)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = mw_rt_first(cx, chunk->start);
	     i < n && regions[i].start < chunk->end && !err; i++) {
		const struct mw_region *region = &regions[i];
		bool code = region->perms & MW_PERM_EXEC;
		if (!accessible(region))
			continue;
		struct mw_claim claim = {
			.start = chunk->start > region->start ? chunk->start
							      : region->start,
			.end = chunk->end < region->end ? chunk->end : region->end,
			.class = code ? MW_CLASS_V8_CODE : MW_CLASS_V8_HEAP,
			.confidence = confidence,
			.rank = MW_RANK_HEADER,
			.evidence = evidence,
		};
		err = mw_claim(cx, &claim);
	}
	return err;
}

/* Chunks that name the same heap; a read-only chunk counts once V8 is proved. */
static struct mw_err *claim_chunks(struct scan *scan)
{
	struct mw_err *err = NULL;
	bool proved = false;
	qsort(scan->items, scan->n, sizeof(*scan->items), by_heap);
	for (size_t i = scan->n; i > 0 && !err;) {
		size_t end = i;
		uint64_t heap = scan->items[i - 1].heap;
		while (i > 0 && scan->items[i - 1].heap == heap)
			i--;
		/* Heap 0 sorts first, so it is met last. */
		if (heap ? end - i < 2 : !proved)
			continue;
		proved = true;
		for (size_t k = i; k < end && !err; k++)
			err = claim_chunk(scan->cx, &scan->items[k], MW_CERTAIN,
					  heap ? "a V8 chunk header whose Heap other "
						 "chunks name too"
					       : "a read-only V8 chunk header");
	}
	if (proved)
		mw_classify_seen(scan->cx)->v8 = true;
	return err;
}

static struct mw_err *find_chunks(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct scan scan = { .cx = cx, .budget = BUDGET };
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++)
		if (accessible(&regions[i]))
			err = scan_region(&scan, &regions[i]);
	if (!err && scan.n)
		err = claim_chunks(&scan);
	mw_vec_deinit(&scan);
	return err;
}

/* Regions that follow each other without a hole, all anonymous. */
struct span {
	size_t first, end; /* region indices */
};

static struct span span_at(const struct mw_region *regions, size_t n, size_t i)
{
	struct span span = { .first = i, .end = i + 1 };
	while (span.end < n && regions[span.end].start == regions[span.end - 1].end &&
	       mw_rt_is_anon(&regions[span.end]))
		span.end++;
	return span;
}

/* MemoryChunk since V8 12 with a cage: flags, index of its metadata. */
static bool read_index(struct mw_classify *cx, uint64_t addr, uint32_t *ret)
{
	uint64_t flags;
	uint32_t index[2];
	if (!mw_rt_word(cx, addr, &flags) || flags >> 20 ||
	    !mw_peek(cx, addr + 8, index, sizeof(index)))
		return false;
	*ret = le32toh(index[0]);
	return *ret < 1u << 20;
}

/* How many chunks of a cage have rising indices; one that falls disproves it. */
static unsigned count_indices(struct mw_classify *cx, const struct mw_region *regions,
			      struct span span, uint64_t cage)
{
	unsigned n = 0, budget = PATIENCE;
	uint32_t last = 0, index;
	for (size_t i = span.first; i < span.end && regions[i].start < cage + CAGE; i++) {
		if (!accessible(&regions[i]) || !budget)
			continue;
		/* The first chunk of a region; those behind it may be parts of it. */
		uint64_t addr = mw_alloc_up(regions[i].start, CHUNK);
		if (addr >= regions[i].end || !read_index(cx, addr, &index))
			continue;
		budget--;
		if (n && index <= last)
			return 0;
		last = index;
		n++;
	}
	return n;
}

/* Trusted objects and code lie outside the cage, in chunks of the same make. */
static struct mw_err *claim_side(struct mw_classify *cx, const struct mw_region *region)
{
	uint64_t flags;
	uint32_t index;
	bool code = region->perms & MW_PERM_EXEC;
	if (!accessible(region) || (region->start & (CHUNK - 1)) ||
	    !(region->perms & MW_PERM_WRITE) || !mw_rt_word(cx, region->start, &flags) ||
	    !flags || !read_index(cx, region->start, &index) || !index)
		return NULL;
	return mw_rt_claim(cx,
			   &(struct mw_claim){
				   .start = region->start,
				   .end = region->end,
				   .class = code ? MW_CLASS_V8_CODE : MW_CLASS_V8_HEAP,
				   .confidence = MW_LIKELY,
				   .rank = MW_RANK_SHAPE,
				   .evidence = "begins like a V8 chunk, in a process "
					       "with a V8 cage",
			   });
}

/*
 * The sandbox keeps pointers that leave the cage in tables: segments of 64 KiB in a
 * reservation, and below the first of them one that is read-only.
 */
static uint64_t table_end(const struct mw_region *regions, size_t n, size_t i)
{
	const struct mw_region *first = &regions[i], *rest = first + 1;
	uint64_t end = first->end;
	if (end - first->start != TABLE_SEGMENT || !mw_rt_is_anon(first) ||
	    (first->perms & (MW_PERM_READ | MW_PERM_WRITE)) != MW_PERM_READ)
		return 0;
	if (i + 1 < n && rest->start == end && mw_rt_is_heapish(rest) &&
	    !((rest->end - rest->start) & (TABLE_SEGMENT - 1)))
		end = (rest++)->end;
	return rest < regions + n && rest->start == end && mw_rt_is_anon(rest) &&
			       !(rest->perms & MW_PERM_READ)
		       ? end
		       : 0;
}

static struct mw_err *find_tables(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t end = table_end(regions, n, i);
		if (end)
			err = mw_rt_claim(
				cx, &(struct mw_claim){
					    .start = regions[i].start,
					    .end = end,
					    .class = MW_CLASS_V8_HEAP,
					    .confidence = MW_LIKELY,
					    .rank = MW_RANK_SHAPE,
					    .name = "V8 pointer table",
					    .evidence = "64 KiB segments behind a "
							"read-only one, in a process "
							"with a V8 cage",
				    });
	}
	return err;
}

static struct mw_err *find_cages(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	bool caged = false;
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t start = regions[i].start;
		if ((start & (CAGE - 1)) || !mw_rt_is_anon(&regions[i]))
			continue;
		struct span span = span_at(regions, n, i);
		if (regions[span.end - 1].end < start + CAGE ||
		    count_indices(cx, regions, span, start) < 4)
			continue;
		caged = mw_classify_seen(cx)->v8 = true;
		struct chunk cage = { .start = start, .end = start + CAGE };
		err = claim_chunk(cx, &cage, MW_CERTAIN,
				  "in a 4 GiB cage of V8 chunks whose indices rise");
	}
	for (size_t i = 0; i < n && caged && !err; i++)
		err = claim_side(cx, &regions[i]);
	return err || !caged ? err : find_tables(cx);
}

/* NormalPage and LargePage of cppgc: their heap, their space; both C++ objects. */
static bool read_page(struct mw_classify *cx, uint64_t addr, uint64_t *heap)
{
	uint64_t space;
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	if (!mw_rt_word(cx, addr, heap) || !mw_rt_word(cx, addr + 8, &space) ||
	    (*heap & 7) || (space & 7))
		return false;
	const struct mw_region *a = mw_snapshot_find(snap, *heap);
	const struct mw_region *b = mw_snapshot_find(snap, space);
	return a && b && (a->perms & MW_PERM_WRITE) && (b->perms & MW_PERM_WRITE);
}

/* How many pages at the starts of the span's regions name one heap. */
static unsigned count_pages(struct mw_classify *cx, const struct mw_region *regions,
			    struct span span)
{
	unsigned n = 0, budget = PATIENCE;
	uint64_t first = 0, heap;
	for (size_t i = span.first; i < span.end; i++) {
		uint64_t addr = regions[i].start;
		if (!mw_rt_is_heapish(&regions[i]) || (addr & (OILPAN_PAGE - 1)))
			continue;
		for (; addr < regions[i].end && budget; addr += OILPAN_PAGE, budget--) {
			if (!read_page(cx, addr, &heap))
				continue;
			if (!n)
				first = heap;
			n += heap == first;
		}
	}
	return n;
}

static struct mw_err *find_oilpan(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t start = regions[i].start;
		if ((start & (CAGE - 1)) || !mw_rt_is_anon(&regions[i]))
			continue;
		struct span span = span_at(regions, n, i);
		uint64_t end = regions[span.end - 1].end;
		i = span.end - 1;
		if (end - start < CAGE || end - start > OILPAN_CAGE_MAX ||
		    count_pages(cx, regions, span) < 4)
			continue;
		err = mw_rt_claim(cx, &(struct mw_claim){
					      .start = start,
					      .end = end,
					      .class = MW_CLASS_V8_HEAP,
					      .confidence = MW_CERTAIN,
					      .rank = MW_RANK_SHAPE,
					      .name = "Oilpan (C++ objects)",
					      .evidence = "128 KiB pages that name one "
							  "heap, in their own cage",
				      });
	}
	return err;
}

/*
 * WebAssembly memory: so much inaccessible space around it that no 32-bit index leaves
 * it, 2 GiB below and 8 GiB from its start on.
 */
static struct mw_err *find_wasm(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 1; i + 1 < n && !err; i++) {
		const struct mw_region *below = &regions[i - 1], *memory = &regions[i];
		const struct mw_region *above = &regions[i + 1];
		if (!mw_rt_is_heapish(memory) || below->end != memory->start ||
		    above->start != memory->end || (below->perms & MW_PERM_READ) ||
		    (above->perms & MW_PERM_READ) ||
		    below->end - below->start < WASM_BELOW ||
		    above->end - memory->start < WASM_ABOVE)
			continue;
		err = mw_rt_claim(cx, &(struct mw_claim){
					      .start = memory->start,
					      .end = memory->end,
					      .class = MW_CLASS_V8_HEAP,
					      .confidence = MW_LIKELY,
					      .rank = MW_RANK_SHAPE,
					      .name = "WebAssembly memory",
					      .evidence = "2 GiB of guard below, 8 GiB "
							  "from its start on, in a "
							  "process with V8",
				      });
	}
	return err;
}

struct mw_err *mw_classify_v8(struct mw_classify *cx)
{
	if (!mw_rt_has_big_program(cx))
		return NULL;
	struct mw_err *err = find_chunks(cx);
	if (!err)
		err = find_cages(cx);
	if (err || !mw_classify_seen(cx)->v8)
		return err;
	err = find_oilpan(cx);
	return err ? err : find_wasm(cx);
}
