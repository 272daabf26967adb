// SPDX-License-Identifier: MIT
/*
 * Blocks with a mapping of their own. Nothing lists them: mp_ only counts. Each begins
 * with a header that says how long the mapping is, and neighbours merge into one region;
 * so headers are looked for where a mapping may begin, ever more places until the count
 * is reached: where regions begin and where a found block ends, where pages begin to be
 * resident, on every resident page.
 *
 * Source: sysmalloc_mmap(), _int_memalign(), mremap_chunk() in glibc malloc/malloc.c.
 */
#include "heap/glibc/walk.h"

#include <string.h>

enum {
	PAGE = MW_GLIBC_PAGE,
	MAX_TRIES = 1 << 20, /* places, in one search */
	MAX_READS = 1 << 19, /* in all searches of one libc: half a second */
	MMAP_HP = 1,         /* in prev_size: explicit huge pages (2.43) */
};

/* How closely a region is searched. */
enum effort { BY_REGION, BY_RUN, BY_PAGE };

struct search {
	struct mw_heap_walk *walk;
	const struct mw_glibc *libc;
	struct mw_glibc_piece *pieces; /* of arenas, ascending */
	size_t n_pieces;
	enum effort effort;
	size_t left, reads; /* places still to be tried, reads still allowed */
	uint64_t bytes;
	struct mw_glibc_mmapped_vec *ret;
};

/* A header as it was read; false unless it is one of a mapped chunk. */
static bool decode(const struct search *search, const uint64_t words[2], uint64_t *offset,
		   uint64_t *len)
{
	const struct mw_glibc_layout *layout = search->libc->layout;
	if ((words[1] & 15) != MW_IS_MMAPPED)
		return false;
	*offset = words[0] & ~(uint64_t)(layout->mmapped_header ? MMAP_HP : 0);
	*len = words[1] & ~(uint64_t)MW_CHUNK_FLAGS;
	if (layout->mmapped_header)
		*len += MW_CHUNK_HEADER;
	return true;
}

/* Whether these words are a header `offset` bytes into the mapping at `start`. */
static bool fits(const struct search *search, const uint64_t words[2], uint64_t start,
		 uint64_t offset, uint64_t limit, struct mw_glibc_mmapped *ret)
{
	uint64_t said, len, chunk = start + offset;
	if (!decode(search, words, &said, &len) || said != offset || len < MW_CHUNK_MIN ||
	    len > limit - chunk || (chunk + len) % PAGE)
		return false;
	*ret = (struct mw_glibc_mmapped){ start, chunk + len, chunk + MW_CHUNK_HEADER };
	return true;
}

static bool read_words(struct search *search, uint64_t addr, uint64_t *words, size_t n)
{
	if (!search->reads)
		return false;
	search->reads--;
	return mw_memory_read(&search->walk->memory, addr, words, n * sizeof(*words));
}

/*
 * An aligned block lies further inside, and the header that malloc wrote first is still
 * at the start of the mapping; it is stale, even in its length when the block grew.
 * `limit` ends what may be mapped, `inner` the mapping as it was at first.
 */
static bool aligned_block(struct search *search, uint64_t start, uint64_t inner,
			  uint64_t limit, struct mw_glibc_mmapped *ret)
{
	uint64_t page[PAGE / 8], words[2], tried = 0;
	if (!read_words(search, start, page, PAGE / 8))
		return false;
	/* Alignment 32, and one more so that a chunk fits before it; then 64, … */
	if (fits(search, page + 48 / 8, start, 48, limit, ret))
		return true;
	for (unsigned shift = 6; shift < 12; shift++) {
		uint64_t offset = (UINT64_C(1) << shift) - MW_CHUNK_HEADER;
		if (fits(search, page + offset / 8, start, offset, limit, ret))
			return true;
	}
	for (unsigned shift = 12; shift < 46; shift++) {
		uint64_t unit = UINT64_C(1) << shift;
		uint64_t mem = (start + MW_CHUNK_HEADER + unit - 1) & ~(unit - 1);
		if (mem >= inner)
			break;
		if (mem != tried && read_words(search, mem - MW_CHUNK_HEADER, words, 2) &&
		    fits(search, words, start, mem - MW_CHUNK_HEADER - start, limit, ret))
			return true;
		tried = mem;
	}
	return false;
}

static bool block_at(struct search *search, uint64_t start, uint64_t limit,
		     struct mw_glibc_mmapped *ret)
{
	uint64_t words[2], offset, len;
	if (!read_words(search, start, words, 2) ||
	    !decode(search, words, &offset, &len) || offset)
		return false;
	uint64_t inner = len < limit - start ? start + len : limit;
	return aligned_block(search, start, inner, limit, ret) ||
	       fits(search, words, start, 0, limit, ret);
}

/* Where the next page begins that is resident while the one before is not. */
static uint64_t next_run(const struct search *search, uint64_t addr, uint64_t limit,
			 bool inside)
{
	size_t lo = 0, n;
	const struct mw_page_run *runs = mw_snapshot_runs(search->walk->snap, &n);
	size_t hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (runs[mid].start + runs[mid].n_pages * (uint64_t)PAGE <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < n; lo++) {
		if (!(runs[lo].state & MW_PAGE_PRESENT))
			continue;
		if (inside && runs[lo].start <= addr)
			return addr;
		if (runs[lo].start >= addr)
			break;
	}
	return lo < n && runs[lo].start < limit ? runs[lo].start : limit;
}

static uint64_t next_place(const struct search *search, uint64_t addr, uint64_t limit)
{
	const struct mw_region *region = mw_snapshot_find(search->walk->snap, addr);
	uint64_t end = region && region->end < limit ? region->end : limit;
	if (search->effort == BY_REGION)
		return end;
	/* Without runs nobody knows which pages are there before they are asked for. */
	if (search->effort == BY_PAGE && region &&
	    (region->whole ||
	     mw_snapshot_totals(search->walk->snap)->engine == MW_ENGINE_SMAPS))
		return addr + PAGE < end ? addr + PAGE : end;
	return next_run(search, addr + PAGE, end, search->effort == BY_PAGE);
}

/* The end of the arena's piece that holds `addr`, or 0. */
static uint64_t inside_piece(const struct search *search, uint64_t addr)
{
	size_t lo = 0, hi = search->n_pieces;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (search->pieces[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == search->n_pieces || search->pieces[lo].start > addr)
		return 0;
	return (search->pieces[lo].end + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

/* Regions without a hole between them: blocks of several may be one, and one in two. */
static struct mw_err *search_stretch(struct search *search, uint64_t start,
				     uint64_t limit)
{
	struct mw_glibc_mmapped block;
	while (start < limit && search->left && search->ret->n < MW_GLIBC_MAX_MMAPPED) {
		uint64_t behind = inside_piece(search, start);
		search->left--;
		if (behind) {
			start = behind;
			continue;
		}
		if (!block_at(search, start, limit, &block)) {
			start = next_place(search, start, limit);
			continue;
		}
		if (!mw_vec_add(search->ret, block))
			return mw_err_nomem();
		search->bytes += block.end - block.start;
		start = block.end;
	}
	return NULL;
}

static struct mw_err *search_all(struct search *search)
{
	size_t n, next;
	const struct mw_region *regions = mw_snapshot_regions(search->walk->snap, &n);
	struct mw_err *err = NULL;
	search->left = MAX_TRIES;
	search->ret->n = 0;
	search->bytes = 0;
	for (size_t i = 0; i < n && !err; i = next) {
		next = i + 1;
		if (!mw_glibc_may_map(&regions[i]))
			continue;
		while (next < n && regions[next].start == regions[next - 1].end &&
		       mw_glibc_may_map(&regions[next]))
			next++;
		err = search_stretch(search, regions[i].start, regions[next - 1].end);
	}
	return err;
}

static int by_start(const void *a, const void *b)
{
	const struct mw_glibc_piece *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static bool collect_pieces(struct search *search, const struct mw_glibc_arena *arenas,
			   size_t n_arenas)
{
	size_t n = 0;
	for (size_t i = 0; i < n_arenas; i++)
		n += arenas[i].n_pieces;
	search->pieces = calloc(n ? n : 1, sizeof(*search->pieces));
	if (!search->pieces)
		return false;
	for (size_t i = 0; i < n_arenas; i++)
		for (size_t j = 0; j < arenas[i].n_pieces; j++)
			search->pieces[search->n_pieces++] = arenas[i].pieces[j];
	qsort(search->pieces, n, sizeof(*search->pieces), by_start);
	return true;
}

struct mw_err *mw_glibc_find_mmapped(struct mw_heap_walk *walk,
				     const struct mw_glibc *libc,
				     const struct mw_glibc_arena *arenas, size_t n_arenas,
				     struct mw_glibc_mmapped_vec *ret)
{
	const struct mw_malloc_params *params = &libc->params;
	struct search search = {
		.walk = walk, .libc = libc, .reads = MAX_READS, .ret = ret
	};
	struct mw_err *err = NULL;
	if (!libc->mp || !params->n_mmaps)
		return NULL;
	if (!collect_pieces(&search, arenas, n_arenas))
		return mw_err_nomem();
	for (int effort = BY_REGION; effort <= BY_PAGE && !err; effort++) {
		search.effort = (enum effort)effort;
		err = search_all(&search);
		if (ret->n >= params->n_mmaps)
			break;
	}
	free(search.pieces);
	return err;
}

struct mw_err *mw_glibc_walk_mmapped(struct mw_glibc_walk *libc,
				     const struct mw_glibc_mmapped *block)
{
	const struct mw_heap_area area = {
		.start = block->start,
		.end = block->end,
		.kind = MW_AREA_MMAPPED,
		.allocator = libc->walk->allocators.n,
	};
	/* As memsize() counts, the header of such a chunk takes 8 bytes more since 2.43.
	 */
	uint64_t rest = libc->libc->layout->mmapped_header ? 8 : 0;
	uint64_t usable = block->end - block->block - rest;
	struct mw_blocks *class = &libc->live[mw_size_class(usable)];
	size_t index = libc->walk->areas.n;
	struct mw_glibc_pages *pages;
	struct mw_err *err = mw_glibc_pages_begin(libc, NULL, &area, &pages);
	if (err)
		return err;
	err = mw_glibc_pages_add(pages, block->start, block->block, MW_BYTES_OVERHEAD);
	/* Its header is counted: the ledger need not look for one. */
	pages->blocks[pages->n++] = (struct mw_block){ block->block, usable };
	pages->first = pages->n;
	if (!err)
		err = mw_glibc_pages_add(pages, block->block, block->end - rest,
					 MW_BYTES_LIVE);
	if (!err)
		err = mw_glibc_pages_add(pages, block->end - rest, block->end,
					 MW_BYTES_OVERHEAD);
	if (!err)
		err = mw_glibc_pages_end(pages, index);
	libc->mapped += block->end - block->start;
	libc->mmapped.n++;
	libc->mmapped.bytes += usable;
	class->n++;
	class->bytes += usable;
	return err;
}
