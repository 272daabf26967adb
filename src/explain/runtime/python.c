// SPDX-License-Identifier: MIT
/*
 * CPython's small-object allocator (Objects/obmalloc.c). Arenas are plain mappings:
 * 256 KiB cut into pools of 4 KiB up to 3.9, 1 MiB cut into pools of 16 KiB from 3.10.
 * A pool begins with a 48-byte header that checks itself: the size class gives the size
 * of a block, maxnextoffset must be the pool's length less one block, nextoffset must
 * lie on a block, and all pools of an arena carry its index.
 *
 * Blocks are 16 bytes apart since 3.7 on 64-bit machines, 8 before. The free-threaded
 * build has no pools: it uses mimalloc.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum {
	HEADER_LEN = 48,
	POOL_OLD = 4 << 10,
	ARENA_OLD = 256 << 10,
	POOL_NEW = 16 << 10,
	ARENA_NEW = 1 << 20,
	MAX_CLASS = 64,
	MAX_ARENAS = 1 << 20,
	PATIENCE = 8192,  /* pages without a pool before a region is given up */
	BUDGET = 1 << 18, /* headers looked at */
	STEPS = 1 << 20,  /* places passed */
	STACK_LEN = 16 << 10,
	MIN_BLOCK = 128 << 10, /* M_MMAP_THRESHOLD to begin with */
};

struct pool_header {
	uint32_t n_used, pad;
	uint64_t free_block, next, prev;
	uint32_t arena, class, next_offset, max_next_offset;
};

struct scan {
	struct mw_classify *cx;
	uint64_t pool_len, arena_len;
	unsigned budget;
	unsigned steps; /* left: absent pages are cheap, a terabyte of them is not */
	struct mw_claim open; /* the claim that grows; end 0: none */
};

/* True when the header fits blocks of this size. */
static bool fits(const struct scan *scan, uint64_t addr, const struct pool_header *pool,
		 uint32_t block)
{
	uint64_t free_block = le64toh(pool->free_block);
	uint32_t offset = le32toh(pool->next_offset);
	return le32toh(pool->max_next_offset) == scan->pool_len - block &&
	       offset >= HEADER_LEN + block && offset <= scan->pool_len &&
	       (offset - HEADER_LEN) % block == 0 &&
	       le32toh(pool->n_used) <= (scan->pool_len - HEADER_LEN) / block &&
	       (!free_block ||
		(free_block >= addr + HEADER_LEN && free_block < addr + scan->pool_len));
}

/* Reads the header of a pool at `addr`. */
static bool read_pool(struct scan *scan, uint64_t addr, uint32_t *arena)
{
	struct pool_header pool;
	if (!scan->budget || !mw_peek(scan->cx, addr, &pool, sizeof(pool)))
		return false;
	scan->budget--;
	uint32_t class = le32toh(pool.class);
	*arena = le32toh(pool.arena);
	return class < MAX_CLASS && *arena < MAX_ARENAS &&
	       (fits(scan, addr, &pool, (class + 1) * 16) ||
		fits(scan, addr, &pool, (class + 1) * 8));
}

/*
 * `first` is the lowest pool of an arena; pools are taken from below and stay. Every
 * eighth is looked at. An arena whose start is not a multiple of a pool's length has one
 * pool less, and what follows may be another's: the last one must show itself.
 */
static uint64_t arena_end(struct scan *scan, uint64_t first, uint64_t limit,
			  uint32_t arena, unsigned *n_pools)
{
	uint64_t end = first + scan->arena_len - scan->pool_len, at;
	uint32_t other;
	*n_pools = 1;
	for (at = first + scan->pool_len; at < end && at<limit; at += *n_pools> 1
						  ? 4 * scan->pool_len
						  : scan->pool_len) {
		if (!read_pool(scan, at, &other))
			break;
		if (other != arena)
			return at;
		++*n_pools;
	}
	if (end < limit && read_pool(scan, end, &other) && other == arena)
		end += scan->pool_len;
	return end < limit ? end : limit;
}

static struct mw_err *flush(struct scan *scan)
{
	struct mw_claim claim = scan->open;
	scan->open.end = 0;
	return claim.end ? mw_claim(scan->cx, &claim) : NULL;
}

/* Arenas follow each other: one claim for a run of them. */
static struct mw_err *claim(struct scan *scan, uint64_t start, uint64_t end,
			    enum mw_confidence confidence)
{
	/* Between arenas lies at most what rounding to pools leaves unused. */
	if (scan->open.end && scan->open.confidence == confidence &&
	    start - scan->open.end <= scan->pool_len) {
		scan->open.end = end;
		return NULL;
	}
	struct mw_err *err = flush(scan);
	scan->open = (struct mw_claim){
		.start = start,
		.end = end,
		.class = MW_CLASS_PYTHON_ARENA,
		.confidence = confidence,
		.rank = MW_RANK_HEADER,
		.evidence = "pymalloc pools, by their headers' size class, offsets and "
			    "arena index",
	};
	return err;
}

/*
 * Since 3.11 Python frames lie in chunks of 16 KiB, got like arenas: the previous chunk,
 * the length, the number of words in use.
 */
static bool is_frames(const struct scan *scan, const uint64_t word[3])
{
	uint64_t prev = le64toh(word[0]);
	return scan->pool_len == POOL_NEW && le64toh(word[1]) == STACK_LEN &&
	       le64toh(word[2]) <= STACK_LEN / 8 &&
	       (!prev ||
		(!(prev & 4095) && mw_rt_in_heapish(scan->cx, prev, prev + STACK_LEN)));
}

/* A block that malloc mapped on its own: { 0, length | IS_MMAPPED }. */
static bool is_block(const uint64_t word[3])
{
	return !word[0] && (le64toh(word[1]) & 4095) == 2 &&
	       le64toh(word[1]) >= MIN_BLOCK;
}

/*
 * What stands between arenas, where nobody else looks for it: frames, and blocks of
 * malloc. *len stays 0 when there is neither.
 */
static struct mw_err *claim_other(struct scan *scan, uint64_t addr, uint64_t limit,
				  uint64_t *len)
{
	uint64_t word[3];
	if (addr >= limit || !mw_peek(scan->cx, addr, word, sizeof(word)))
		return NULL;
	bool frames = is_frames(scan, word);
	uint64_t size = frames ? STACK_LEN : is_block(word) ? le64toh(word[1]) - 2 : 0;
	if (!size || size > limit - addr)
		return NULL;
	*len = size;
	return mw_claim(
		scan->cx,
		&(struct mw_claim){
			.start = addr,
			.end = addr + size,
			.class = frames ? MW_CLASS_PYTHON_ARENA : MW_CLASS_HEAP_MMAP,
			.confidence = MW_LIKELY,
			.rank = MW_RANK_SHAPE,
			.name = frames ? "frames" : NULL,
			.evidence = frames ? "begins like a chunk of the interpreter's "
					     "frame stack"
					   : "a malloc chunk header (IS_MMAPPED) beside "
					     "Python's arenas",
		});
}

/*
 * No pool at `addr`: *next is where to go on. Right behind an arena every page is tried,
 * because arenas end where a page ends, not where a pool would.
 */
static struct mw_err *claim_gap(struct scan *scan, uint64_t addr, uint64_t limit,
				bool behind_arena, uint64_t *next)
{
	struct mw_err *err = NULL;
	uint64_t len = 0, end = addr + (behind_arena ? scan->pool_len : 4096);
	*next = addr + scan->pool_len;
	for (uint64_t at = addr; at < end && !err; at += len ? len : 4096) {
		len = 0;
		err = claim_other(scan, at, limit, &len);
		if (!len)
			continue;
		/* Such blocks follow each other, too. */
		*next = mw_alloc_up(at + len, scan->pool_len);
		end = at + len + scan->pool_len;
	}
	return err;
}

/* New mappings lie below older ones: blocks and frames in a row before any arena. */
static struct mw_err *claim_row(struct scan *scan, const struct mw_region *region,
				uint64_t *end)
{
	struct mw_err *err = NULL;
	uint64_t len = 1;
	for (*end = region->start; !err && len; *end += len) {
		len = 0;
		err = claim_other(scan, *end, region->end, &len);
	}
	return err;
}

static struct mw_err *scan_region(struct scan *scan, const struct mw_region *region)
{
	uint64_t addr;
	unsigned n_pools, misses = 0;
	uint32_t arena;
	struct mw_err *err = claim_row(scan, region, &addr);
	addr = mw_alloc_up(addr, scan->pool_len);
	for (uint64_t last = addr; addr < region->end && misses < PATIENCE && !err;) {
		if (!scan->steps)
			break;
		scan->steps--;
		unsigned budget = scan->budget;
		if (!read_pool(scan, addr, &arena)) {
			/* An absent page costs nothing, so it tries nobody's patience. */
			misses += scan->budget != budget;
			err = claim_gap(scan, addr, region->end, addr == last, &addr);
			continue;
		}
		uint64_t end = arena_end(scan, addr, region->end, arena, &n_pools);
		/* A young arena has one pool only: one header alone may be chance. */
		err = claim(scan, addr, end, n_pools > 1 ? MW_CERTAIN : MW_LIKELY);
		last = addr = end;
		misses = 0;
	}
	struct mw_err *last_err = err ? NULL : flush(scan);
	return err ? err : last_err;
}

/* "python3.11", "libpython3.9.so.1.0": 3.10 changed the pools. */
static bool has_new_pools(const struct mw_region *text)
{
	const char *name = strrchr(text->name, '/');
	const char *dot = name ? strstr(name, "python3.") : NULL;
	if (!dot)
		return false;
	char *end;
	long minor = strtol(dot + strlen("python3."), &end, 10);
	return minor >= 10;
}

struct mw_err *mw_classify_python(struct mw_classify *cx)
{
	const struct mw_region *text = mw_rt_object(cx, "libpython");
	if (!text)
		text = mw_rt_object(cx, "python");
	if (!text)
		return NULL;
	size_t n;
	bool found = false, modern = has_new_pools(text);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct scan scan = {
		.cx = cx,
		.pool_len = modern ? POOL_NEW : POOL_OLD,
		.arena_len = modern ? ARENA_NEW : ARENA_OLD,
		.budget = BUDGET,
		.steps = STEPS,
	};
	mw_classify_seen(cx)->python = true;
	struct mw_err *err =
		mw_rt_claim_named(cx, "cpython:", MW_CLASS_PYTHON_ARENA, &found);
	for (size_t i = 0; i < n && !err; i++)
		if (mw_rt_is_heapish(&regions[i]))
			err = scan_region(&scan, &regions[i]);
	return err;
}
