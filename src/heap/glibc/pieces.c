// SPDX-License-Identifier: MIT
/*
 * Where the chunks of a main arena lie. As a rule they are one piece from mp_.sbrk_base
 * to the end of top. Two things break that. Someone else may call sbrk() too: glibc then
 * closes its old top with two fence posts (chunks of 16 bytes) and goes on behind the
 * foreign memory, which it counts as its own. And sbrk() may fail: then malloc takes
 * mappings of at least 1 MiB, sets NONCONTIGUOUS, and nothing tells where they are.
 *
 * Source: sysmalloc() and sysmalloc_mmap_fallback() in glibc malloc/malloc.c.
 */
#include "heap/glibc/arenas.h"

#include <string.h>

enum {
	FENCE = 16, /* bytes of a fence post */
	MIN_FENCES = 2,
	MAX_FENCES = 3,
	CHAIN = 64,           /* chunks in a row that are no accident */
	MAX_TRIES = 1 << 20,  /* pages where a piece may begin */
	MAX_STEPS = 1 << 25,  /* chunks followed that led to nothing */
	MAX_PLACES = 1 << 24, /* places where one may begin behind a fence: 256 MiB */
	WINDOW = 64 << 10,
};

static const uint64_t ALIGN_MASK = 15;
static const uint64_t PAGE_MASK = 4095; /* of x86-64 */

static uint64_t align_up(uint64_t addr)
{
	return (addr + ALIGN_MASK) & ~ALIGN_MASK;
}

/* How a run of chunks ended. */
enum chain_end { CHAIN_BROKEN, CHAIN_FENCE, CHAIN_TOP, CHAIN_GOES_ON };

/* One header, through a window: chains are followed upward. */
static bool header(struct mw_memory *window, uint64_t chunk, uint64_t *size,
		   uint64_t *flags)
{
	size_t len;
	uint64_t word;
	const unsigned char *bytes = mw_memory_lend(window, chunk + 8, 8, &len);
	if (!bytes)
		return false;
	memcpy(&word, bytes, sizeof(word));
	*flags = word & MW_CHUNK_FLAGS;
	*size = word & ~(uint64_t)MW_CHUNK_FLAGS;
	return true;
}

/*
 * Follows chunks from `chunk` on for at most *left steps, up to fence posts or to top.
 * The posts end with a page; they are two, or three where the old top was so small that
 * nothing else was left of it. Chunks of the main arena have neither of the other flags.
 */
static enum chain_end follow(struct mw_memory *window, uint64_t chunk, uint64_t top,
			     uint64_t limit, size_t *left, uint64_t *end)
{
	uint64_t size, flags;
	unsigned fences = 0;
	for (size_t n = 0; *left && chunk < limit; n++, --*left) {
		if (!header(window, chunk, &size, &flags) ||
		    (flags & (MW_IS_MMAPPED | MW_NON_MAIN_ARENA)) || (size & 15) ||
		    (n == 0 && !(flags & MW_PREV_INUSE)) || size < FENCE ||
		    size > limit - chunk || (fences && size != FENCE))
			return CHAIN_BROKEN;
		*end = chunk + size;
		if (chunk == top)
			return CHAIN_TOP;
		fences += size == FENCE;
		if (fences >= MIN_FENCES && !(*end & PAGE_MASK))
			return CHAIN_FENCE;
		if (fences > MAX_FENCES)
			return CHAIN_BROKEN;
		chunk += size;
	}
	return chunk < limit ? CHAIN_GOES_ON : CHAIN_BROKEN;
}

/* How far from `start` on every address is mapped, and writable; `end` at most. */
static uint64_t mapped_until(const struct mw_heap_walk *walk, uint64_t start,
			     uint64_t end)
{
	uint64_t at = start;
	while (at < end) {
		const struct mw_region *region = mw_snapshot_find(walk->snap, at);
		if (!region || !(region->perms & MW_PERM_WRITE))
			return at;
		at = region->end;
	}
	return end;
}

/*
 * The length of top; 0: not known. A thread that is caught in malloc() most often waits
 * there for the page of the new top's header, which is not written yet; and what ran on
 * since malloc_state was read may have a block there. Then the end of top is where
 * glibc's own counts say.
 */
static uint64_t top_size(struct mw_heap_walk *walk, const struct mw_glibc *libc,
			 const struct mw_glibc_arena *arena)
{
	uint64_t flags, size = mw_glibc_chunk_size(&walk->memory, arena->top, &flags);
	uint64_t end;
	if ((size && walk->opts->still) || !libc->sbrk_base ||
	    __builtin_add_overflow(libc->sbrk_base, arena->system_mem, &end) ||
	    (end & PAGE_MASK) || end <= arena->top)
		return size;
	return end - arena->top;
}

/*
 * One piece up to the end of top. Where it begins is mp_.sbrk_base; without a known
 * malloc_par system_mem says the same, foreign memory included. Of a program that runs
 * and got more since its mappings were listed, it is what was mapped then.
 */
static struct mw_err *contiguous(struct mw_heap_walk *walk, const struct mw_glibc *libc,
				 const struct mw_glibc_arena *arena,
				 struct mw_glibc_piece_vec *ret, bool *whole)
{
	uint64_t size = top_size(walk, libc, arena);
	uint64_t base[2] = { libc->sbrk_base }, end;
	*whole = false;
	if (!size || __builtin_add_overflow(arena->top, size, &end) ||
	    __builtin_sub_overflow(end, arena->system_mem, &base[1]))
		return NULL;
	for (int i = 0; i < 2; i++) {
		struct mw_glibc_piece piece = { base[i], end, align_up(base[i]), true };
		if (!base[i] || base[i] > arena->top)
			continue;
		piece.end = mapped_until(walk, base[i], end);
		piece.last = arena->top < piece.end;
		*whole = piece.end == end;
		if (*whole || (!walk->opts->still && piece.end > piece.first))
			return mw_vec_add(ret, piece) ? NULL : mw_err_nomem();
	}
	return NULL;
}

/* A search for mappings that serve a main arena. */
struct hunt {
	struct mw_heap_walk *walk;
	const struct mw_glibc_arena *arena;
	struct mw_glibc_piece_vec *ret;
	struct mw_memory reader;
	uint64_t base, sum;                     /* where it began; what was found */
	const struct mw_glibc_piece_vec *taken; /* by other arenas, ascending */
	size_t left;                            /* places still to be tried */
	size_t steps;                           /* and chunks to be followed in vain */
};

bool mw_glibc_may_map(const struct mw_region *region)
{
	const unsigned want = MW_PERM_READ | MW_PERM_WRITE;
	bool huge = !strncmp(region->name, "/anon_hugepage", 14);
	return (region->perms & (want | MW_PERM_SHARED)) == want &&
	       (!region->name[0] || huge || !strncmp(region->name, "[anon:", 6));
}

/* What sbrk() gave belongs to the arena that began there, if to any. */
static bool may_serve(const struct hunt *hunt, const struct mw_region *region)
{
	return mw_glibc_may_map(region) ||
	       (hunt->base >= region->start && hunt->base < region->end &&
		!strcmp(region->name, "[heap]"));
}

/* A piece at `start`: chunks in a row to a page's end. 0 when there is none. */
static uint64_t piece_end(struct hunt *hunt, uint64_t start, uint64_t limit, bool *last)
{
	uint64_t end, top = hunt->arena->top;
	size_t left = hunt->steps;
	enum chain_end how = follow(&hunt->reader, start, top, limit, &left, &end);
	*last = how == CHAIN_TOP;
	if (how != CHAIN_TOP && how != CHAIN_FENCE) {
		hunt->steps = left;
		return 0;
	}
	return end & (hunt->walk->page_size - 1) ? 0 : end;
}

/* Where a block with its own mapping at `start` ends; the next page when it is none. */
static uint64_t behind_mapped(struct hunt *hunt, uint64_t start, uint64_t limit)
{
	const uint64_t page = hunt->walk->page_size;
	uint64_t size, flags;
	bool mapped = header(&hunt->reader, start, &size, &flags) &&
		      flags == MW_IS_MMAPPED && size >= page && size < limit - start;
	return start + (mapped ? (size + page - 1) & ~(page - 1) : page);
}

/* The end of the other arena's piece that holds `addr`; 0 when none does. */
static uint64_t taken_until(const struct hunt *hunt, uint64_t addr)
{
	size_t lo = 0, hi = hunt->taken->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (hunt->taken->items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < hunt->taken->n && hunt->taken->items[lo].start <= addr
		       ? hunt->taken->items[lo].end
		       : 0;
}

/* The next page that is there and may be a piece's; `to` when there is none. */
static uint64_t next_page(struct hunt *hunt, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t end = taken_until(hunt, from);
		if (!end && mw_memory_stretch(&hunt->reader, from, from + 1) != from)
			break;
		from = end ? (end + PAGE_MASK) & ~PAGE_MASK : hunt->reader.end;
	}
	return from < to ? from : to;
}

/* Every page of [from, to): memory that is mapped alike. */
static struct mw_err *hunt_in(struct hunt *hunt, uint64_t from, uint64_t to)
{
	while ((from = next_page(hunt, from, to)) < to && hunt->left && hunt->steps &&
	       hunt->sum < hunt->arena->system_mem) {
		struct mw_glibc_piece piece = { .start = from, .first = from };
		hunt->left--;
		piece.end = piece_end(hunt, from, to, &piece.last);
		if (!piece.end) {
			from = behind_mapped(hunt, from, to);
			continue;
		}
		if (!mw_vec_add(hunt->ret, piece))
			return mw_err_nomem();
		hunt->sum += piece.end - piece.start;
		from = piece.end;
	}
	return NULL;
}

static bool is_in(uint64_t addr, uint64_t start, uint64_t end)
{
	return addr >= start && addr < end;
}

/*
 * Mappings that follow each other may hold one piece: madvise() splits them. `near`:
 * those that hold what is known of the heap, else all the others.
 */
static struct mw_err *hunt_all(struct hunt *hunt, bool near)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(hunt->walk->snap, &n);
	struct mw_err *err = NULL;
	for (size_t i = 0, next; i < n && !err; i = next) {
		next = i + 1;
		if (!may_serve(hunt, &regions[i]))
			continue;
		while (next < n && may_serve(hunt, &regions[next]) &&
		       regions[next].start == regions[next - 1].end)
			next++;
		uint64_t start = regions[i].start, end = regions[next - 1].end;
		if (near == (is_in(hunt->arena->top, start, end) ||
			     is_in(hunt->base, start, end)))
			err = hunt_in(hunt, start, end);
	}
	return err;
}

/* The piece that was begun with sbrk(), if any, does not begin with a page. */
static struct mw_err *hunt_base(struct hunt *hunt)
{
	const uint64_t base = hunt->base;
	const uint64_t page = hunt->walk->page_size;
	const struct mw_region *region = mw_snapshot_find(hunt->walk->snap, base);
	struct mw_glibc_piece piece = { .start = base, .first = align_up(base) };
	if (!base || !region || !(base & (page - 1)))
		return NULL;
	piece.end = piece_end(hunt, piece.first, region->end, &piece.last);
	if (!piece.end)
		return NULL;
	hunt->sum += piece.end - piece.start;
	return mw_vec_add(hunt->ret, piece) ? NULL : mw_err_nomem();
}

static struct mw_err *scattered(struct mw_heap_walk *walk, const struct mw_glibc *libc,
				const struct mw_glibc_arena *arena,
				const struct mw_glibc_piece_vec *taken,
				struct mw_glibc_piece_vec *ret, bool *whole)
{
	struct hunt hunt = { walk,
			     arena,
			     ret,
			     .base = libc->sbrk_base,
			     .taken = taken,
			     .left = MAX_TRIES,
			     .steps = MAX_STEPS };
	struct mw_err *err =
		mw_memory_init(&hunt.reader, walk->snap, MW_READ_CONTENTS, WINDOW);
	hunt.reader.still = walk->opts->still;
	if (!err)
		err = hunt_base(&hunt);
	if (!err)
		err = hunt_all(&hunt, true);
	if (!err)
		err = hunt_all(&hunt, false);
	*whole = hunt.sum == arena->system_mem;
	mw_memory_deinit(&hunt.reader);
	return err;
}

struct mw_err *mw_glibc_main_pieces(struct mw_heap_walk *walk,
				    const struct mw_glibc *libc,
				    const struct mw_glibc_arena *arena,
				    const struct mw_glibc_piece_vec *taken,
				    struct mw_glibc_piece_vec *ret, bool *whole)
{
	return arena->noncontiguous ? scattered(walk, libc, arena, taken, ret, whole)
				    : contiguous(walk, libc, arena, ret, whole);
}

/* Whether a run of chunks begins here that is long enough, or ends as one must. */
static bool begins_chain(struct mw_memory *reader, uint64_t chunk, uint64_t top,
			 uint64_t limit)
{
	uint64_t end;
	size_t left = CHAIN;
	return follow(reader, chunk, top, limit, &left, &end) != CHAIN_BROKEN;
}

uint64_t mw_glibc_behind_fence(struct mw_heap_walk *walk,
			       const struct mw_glibc_arena *arena, uint64_t end,
			       uint64_t limit)
{
	mw_auto_memory reader = { 0 }, ahead = { 0 };
	mw_auto_err err = mw_memory_init(&reader, walk->snap, MW_READ_CONTENTS, WINDOW);
	mw_auto_err err2 =
		err ? NULL : mw_memory_init(&ahead, walk->snap, MW_READ_CONTENTS, WINDOW);
	if (err || err2)
		return 0;
	reader.still = ahead.still = walk->opts->still;
	size_t left = MAX_PLACES;
	if (end & (walk->page_size - 1))
		return 0; /* sysmalloc() asserts that top ended with a page */
	for (uint64_t at = end; at < limit && left; left--) {
		uint64_t size, flags;
		if (mw_memory_stretch(&reader, at, at + 1) == at) {
			at = reader.end;
			continue;
		}
		if (header(&reader, at, &size, &flags) && flags == MW_PREV_INUSE &&
		    size >= MW_CHUNK_MIN && begins_chain(&ahead, at, arena->top, limit))
			return at;
		at += MW_CHUNK_HEADER;
	}
	return 0;
}
