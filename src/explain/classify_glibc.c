// SPDX-License-Identifier: MIT
/*
 * glibc's malloc seen from outside: arenas of threads, and blocks with a mapping of
 * their own. An address that is a multiple of 64 MiB proves nothing (a thread's stack
 * may begin there): the heap_info at it must agree with the mappings.
 *
 * Layouts, glibc malloc/arena.c: heap_info is { ar_ptr, prev, size, mprotect_size } up
 * to 2.34, with the page size as a fifth word since 2.35. A mapped chunk begins with
 * { prev_size = 0, size | IS_MMAPPED }; size is that of the mapping up to 2.42, and 16
 * bytes less from 2.43 on.
 */
#include "explain/claims.h"

#include <inttypes.h>
#include <string.h>

enum {
	INFO_WORDS = 4,
	MAX_STATE_OFFSET = 0x100, /* malloc_state follows heap_info directly */
	IS_MMAPPED = 2,
	FLAG_BITS = 7,
	MAX_MISSES = 1024,  /* headers looked for in vain, in the whole process */
	MAX_BLOCKS = 65536, /* headers read in the whole process */
	MAX_TRIES = 16,     /* starts tried in one region */
	MAX_ALIGNED = 4096, /* multiples of 64 MiB tried in one region: 256 GiB */
};

static const uint64_t HEAP_MAX = UINT64_C(64) << 20;
static const uint64_t MIN_BLOCK = UINT64_C(128) << 10; /* the default M_MMAP_THRESHOLD */
static const unsigned rw = MW_PERM_READ | MW_PERM_WRITE;

struct walk {
	struct mw_classify *cx;
	const struct mw_snapshot *snap;
	const struct mw_region *regions;
	size_t n_regions;
	uint64_t page_size;
	size_t n_misses, n_blocks;
};

static bool is_heap_like(const struct mw_region *region)
{
	return (!region->name[0] || !strncmp(region->name, "[anon:", 6)) &&
	       (region->perms & (rw | MW_PERM_SHARED)) == rw;
}

/* The end of readable and writable memory from `addr` on, up to `limit`. */
static uint64_t rw_end(const struct walk *walk, const struct mw_region *region,
		       uint64_t limit)
{
	uint64_t end = region->end;
	for (; end < limit && region + 1 < walk->regions + walk->n_regions &&
	       region[1].start == end && is_heap_like(&region[1]);
	     region++)
		end = region[1].end;
	return end < limit ? end : limit;
}

/* What heap_info's own words must satisfy, whatever arena it belongs to. */
static bool plausible_info(const struct walk *walk, const uint64_t info[INFO_WORDS])
{
	uint64_t mask = walk->page_size - 1;
	return info[0] && !(info[0] & 7) && info[2] && info[2] <= info[3] &&
	       info[3] <= HEAP_MAX && !(info[3] & mask) && !(info[2] & 15) &&
	       (!info[1] || !(info[1] & (HEAP_MAX - 1)));
}

static bool read_info(const struct walk *walk, uint64_t addr, uint64_t info[INFO_WORDS])
{
	return mw_peek(walk->cx, addr, info, INFO_WORDS * sizeof(*info)) &&
	       plausible_info(walk, info);
}

/* An arena's first heap holds its malloc_state; the others lead to it through prev. */
static bool verify_info(const struct walk *walk, uint64_t addr,
			const uint64_t info[INFO_WORDS])
{
	uint64_t other[INFO_WORDS], first = info[0] & ~(HEAP_MAX - 1);
	if (first == addr)
		return !info[1] && info[0] - addr < MAX_STATE_OFFSET &&
		       info[0] - addr >= INFO_WORDS * sizeof(*info);
	return info[1] && info[1] != addr && read_info(walk, first, other) &&
	       other[0] == info[0] && read_info(walk, info[1], other) &&
	       other[0] == info[0];
}

static struct mw_err *claim_arena(struct walk *walk, uint64_t addr,
				  const uint64_t info[INFO_WORDS], uint64_t end)
{
	struct mw_arena *arena = mw_classify_arena(walk->cx);
	struct mw_claim claim = {
		.start = addr,
		.end = end,
		.class = MW_CLASS_HEAP_ARENA,
		.confidence = end - addr == info[3] ? MW_CERTAIN : MW_LIKELY,
		.rank = MW_RANK_HEADER,
		.name = mw_arena_printf(arena, "arena 0x%" PRIx64, info[0]),
		.evidence = mw_arena_printf(arena,
					    "heap_info at 0x%" PRIx64 ": arena 0x%" PRIx64
					    ", %" PRIu64 " KiB in use of %" PRIu64
					    " KiB made writable",
					    addr, info[0], info[2] >> 10, info[3] >> 10),
	};
	if (!claim.name || !claim.evidence)
		return mw_err_nomem();
	struct mw_err *err = mw_claim(walk->cx, &claim);
	const struct mw_region *rest = mw_snapshot_find(walk->snap, end);
	if (err || !rest || (rest->perms & rw) || rest->name[0] || end == addr + HEAP_MAX)
		return err;
	claim.start = end;
	claim.end = rest->end < addr + HEAP_MAX ? rest->end : addr + HEAP_MAX;
	claim.class = MW_CLASS_HEAP_ARENA_RESERVE;
	return mw_claim(walk->cx, &claim);
}

/* Every multiple of 64 MiB in the region; *end: where the last arena found ends. */
static struct mw_err *find_arenas(struct walk *walk, const struct mw_region *region,
				  uint64_t *end)
{
	uint64_t addr, info[INFO_WORDS];
	size_t left = MAX_ALIGNED;
	if (__builtin_add_overflow(region->start, HEAP_MAX - 1, &addr))
		return NULL;
	for (addr &= ~(HEAP_MAX - 1); addr < region->end && left;
	     addr += HEAP_MAX, left--) {
		if (!read_info(walk, addr, info) || !verify_info(walk, addr, info))
			continue;
		*end = rw_end(walk, region, addr + HEAP_MAX);
		struct mw_err *err = claim_arena(walk, addr, info, *end);
		if (err)
			return err;
	}
	return NULL;
}

/* The length of a mapped chunk at `addr`, 0 when there is none. */
static uint64_t block_len(struct walk *walk, uint64_t addr, uint64_t end)
{
	uint64_t words[2], len;
	if (end - addr < MIN_BLOCK || walk->n_misses >= MAX_MISSES ||
	    walk->n_blocks >= MAX_BLOCKS)
		return 0;
	walk->n_blocks++;
	walk->n_misses++;
	if (!mw_peek(walk->cx, addr, words, sizeof(words)))
		return 0;
	/* 2.43 marks huge-page mappings in prev_size bit 0; aligned blocks use the rest.
	 */
	if (words[0] > 1 || (words[1] & FLAG_BITS) != IS_MMAPPED)
		return 0;
	len = words[1] & ~(uint64_t)FLAG_BITS;
	if ((len + 16) % walk->page_size == 0)
		len += 16;
	if (len % walk->page_size || len < MIN_BLOCK || len > end - addr)
		return 0;
	walk->n_misses--;
	return len;
}

/* Blocks that follow one another from `addr` on make one claim. Returns where they end.
 */
static struct mw_err *claim_blocks(struct walk *walk, uint64_t addr, uint64_t end,
				   uint64_t *ret)
{
	size_t n = 0;
	uint64_t pos = addr, len;
	for (; pos < end && (len = block_len(walk, pos, end)); pos += len)
		n++;
	*ret = pos;
	if (!n)
		return NULL;
	struct mw_claim claim = {
		.start = addr,
		.end = pos,
		.class = MW_CLASS_HEAP_MMAP,
		.confidence = MW_LIKELY,
		.rank = MW_RANK_HEADER,
		.name = "",
		.evidence = mw_arena_printf(mw_classify_arena(walk->cx),
					    "%zu malloc chunk header%s (IS_MMAPPED) from "
					    "0x%" PRIx64 " on",
					    n, n == 1 ? "" : "s", addr),
	};
	return claim.evidence ? mw_claim(walk->cx, &claim) : mw_err_nomem();
}

/*
 * Mapped blocks merge with what lies above them, and what lies below merges with them.
 * A block's first page is always present, so besides the region's start only starts of
 * page runs can begin one.
 */
static struct mw_err *find_blocks(struct walk *walk, const struct mw_region *region,
				  uint64_t from)
{
	size_t n_runs, tries = MAX_TRIES;
	const struct mw_page_run *runs = mw_snapshot_runs(walk->snap, &n_runs);
	uint64_t pos = from;
	struct mw_err *err = claim_blocks(walk, from, region->end, &pos);
	if (!region->n_runs || region->first_run > n_runs ||
	    region->n_runs > n_runs - region->first_run)
		return err;
	runs += region->first_run;
	for (size_t i = 0; i < region->n_runs && !err && tries; i++) {
		if (runs[i].start < pos || runs[i].start == from)
			continue;
		tries--;
		err = claim_blocks(walk, runs[i].start, region->end, &pos);
	}
	return err;
}

/* The end of the thread block that begins or lies in the region's low end. */
static uint64_t above_stack(const struct walk *walk, const struct mw_region *region)
{
	size_t n;
	const struct mw_thread *threads = mw_snapshot_threads(walk->snap, &n);
	for (size_t i = 0; i < n; i++)
		if (threads[i].has_stack && threads[i].stack <= region->start &&
		    threads[i].end > region->start)
			return threads[i].end < region->end ? threads[i].end
							    : region->end;
	return region->start;
}

static struct mw_err *classify_region(struct walk *walk, const struct mw_region *region)
{
	uint64_t arena_end = 0;
	if (!is_heap_like(region))
		return NULL;
	struct mw_err *err = find_arenas(walk, region, &arena_end);
	if (err || region->end - region->start < MIN_BLOCK)
		return err;
	uint64_t from = above_stack(walk, region);
	if (arena_end > from)
		from = arena_end;
	return from < region->end ? find_blocks(walk, region, from) : NULL;
}

struct mw_err *mw_classify_glibc(struct mw_classify *cx)
{
	struct walk walk = { .cx = cx, .snap = mw_classify_snapshot(cx) };
	walk.regions = mw_snapshot_regions(walk.snap, &walk.n_regions);
	walk.page_size = mw_source_facts(mw_snapshot_source(walk.snap))->page_size;
	if (!mw_classify_seen(cx)->glibc || !walk.page_size)
		return NULL;
	for (size_t i = 0; i < walk.n_regions; i++) {
		struct mw_err *err = classify_region(&walk, &walk.regions[i]);
		if (err)
			return err;
	}
	if (walk.n_misses < MAX_MISSES && walk.n_blocks < MAX_BLOCKS)
		return NULL;
	return mw_classify_gap(cx, "malloc blocks with their own mapping",
			       "too many places to look at: some stay unknown", "");
}
