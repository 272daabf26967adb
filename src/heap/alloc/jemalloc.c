// SPDX-License-Identifier: MIT
/* The walker of jemalloc: every extent, every region of every slab. */
#include "heap/alloc/jemalloc.h"

#include "base/units.h"

#include <stdlib.h>
#include <string.h>

enum {
	PROBES = 8,           /* at either end of a region */
	MAX_PROBED = 64,      /* regions */
	MIN_TEXT = 128 << 10, /* jemalloc's code is 300 KiB and more */
	SLAB_DATA = 64,       /* of edata_t: the bitmap */
};

struct extents {
	uint64_t bytes[MW_JE_RETAINED + 1];
};

struct run {
	struct mw_jemalloc je;
	struct mw_tally tally;
	struct extents all;
	size_t next_cached, next_stack;
	uint64_t n_bad; /* slabs whose bitmap and counter disagree */
};

/* Blocks are met upward, and so are the cached ones. */
static bool is_cached(struct run *run, uint64_t addr)
{
	const struct mw_je_addr_vec *cached = &run->je.cached;
	while (run->next_cached < cached->n && cached->items[run->next_cached] < addr)
		run->next_cached++;
	return run->next_cached < cached->n && cached->items[run->next_cached] == addr;
}

/* The stacks of a thread's cache lie in a block that jemalloc allocated for itself. */
static bool is_own(struct run *run, uint64_t addr, uint64_t len)
{
	const struct mw_je_addr_vec *stacks = &run->je.stacks;
	while (run->next_stack < stacks->n && stacks->items[run->next_stack] < addr)
		run->next_stack++;
	return run->next_stack < stacks->n && stacks->items[run->next_stack] - addr < len;
}

static struct mw_err *tell_block(struct run *run, uint64_t addr, uint64_t len)
{
	struct mw_tally *tally = &run->tally;
	if (is_own(run, addr, len)) {
		mw_tally_part(tally, addr, addr + len, MW_PART_OVERHEAD);
		return NULL;
	}
	if (!is_cached(run, addr))
		return mw_tally_live(tally, addr, len);
	tally->it.tcache.n++;
	tally->it.tcache.bytes += len;
	mw_tally_kept(tally, addr, len);
	return NULL;
}

/* A set bit is a free region; bits for regions that a slab does not have are stale. */
static bool read_bitmap(struct run *run, const struct mw_je_extent *slab, uint64_t n,
			uint64_t bitmap[MW_JE_BITMAP_WORDS])
{
	uint64_t len = (n + 63) / 64 * 8;
	unsigned n_free = 0;
	if (!n || n > 64 * MW_JE_BITMAP_WORDS ||
	    !mw_memory_read(&run->je.walk->memory, slab->edata + SLAB_DATA, bitmap, len))
		return false;
	if (n % 64)
		bitmap[n / 64] &= (UINT64_C(1) << (n % 64)) - 1;
	for (unsigned i = 0; i < len / 8; i++)
		n_free += (unsigned)__builtin_popcountll(bitmap[i]);
	return n_free == slab->n_free;
}

static struct mw_err *walk_slab(struct run *run, const struct mw_je_extent *slab)
{
	uint64_t bitmap[MW_JE_BITMAP_WORDS], len = mw_je_class_len(slab->class);
	uint64_t n = len ? (slab->end - slab->start) / len : 0;
	struct mw_err *err = NULL;
	if (!read_bitmap(run, slab, n, bitmap)) {
		run->n_bad++;
		mw_tally_part(&run->tally, slab->start, slab->end, MW_PART_UNKNOWN);
		return NULL;
	}
	for (unsigned i = 0; i < n && !err; i++) {
		uint64_t addr = slab->start + i * len;
		if (bitmap[i / 64] >> (i % 64) & 1)
			mw_tally_kept(&run->tally, addr, len);
		else
			err = tell_block(run, addr, len);
	}
	return err;
}

static struct mw_err *walk_extent(struct run *run, const struct mw_je_extent *extent)
{
	uint64_t len = mw_je_class_len(extent->class);
	run->all.bytes[extent->state] += extent->end - extent->start;
	if (extent->state != MW_JE_ACTIVE) {
		mw_tally_part(&run->tally, extent->start, extent->end, MW_PART_KEPT);
		return NULL;
	}
	if (extent->slab)
		return walk_slab(run, extent);
	if (!len || len > extent->end - extent->addr) {
		run->n_bad++;
		mw_tally_part(&run->tally, extent->start, extent->end, MW_PART_UNKNOWN);
		return NULL;
	}
	/* The page that blocks are shifted in is the rest: overhead. */
	return tell_block(run, extent->addr, len);
}

/* The next piece upward: an extent or a base block. */
static bool next_piece(const struct mw_jemalloc *je, size_t block, size_t extent,
		       struct mw_je_block *ret)
{
	const struct mw_je_block *b =
		block < je->blocks.n ? &je->blocks.items[block] : NULL;
	const struct mw_je_extent *e =
		extent < je->extents.n ? &je->extents.items[extent] : NULL;
	if (b && (!e || b->start <= e->start))
		*ret = *b;
	else if (e)
		*ret = (struct mw_je_block){ e->start, e->end };
	return b || e;
}

/* Pieces that follow each other without a hole are one area. */
static uint64_t area_end(const struct mw_jemalloc *je, size_t block, size_t extent,
			 uint64_t end)
{
	struct mw_je_block piece;
	while (next_piece(je, block, extent, &piece) && piece.start <= end) {
		if (piece.end > end)
			end = piece.end;
		if (block < je->blocks.n && je->blocks.items[block].start == piece.start)
			block++;
		else
			extent++;
	}
	return end;
}

static struct mw_err *walk_pieces(struct run *run)
{
	struct mw_jemalloc *je = &run->je;
	struct mw_tally *tally = &run->tally;
	struct mw_je_block piece;
	struct mw_err *err = NULL;
	for (size_t b = 0, e = 0; !err && next_piece(je, b, e, &piece);) {
		if (!tally->open)
			err = mw_tally_open(tally, piece.start,
					    area_end(je, b, e, piece.end), 0,
					    MW_PART_OVERHEAD);
		if (err)
			break;
		if (b < je->blocks.n && je->blocks.items[b].start == piece.start)
			b++;
		else
			err = walk_extent(run, &je->extents.items[e++]);
		bool more = next_piece(je, b, e, &piece);
		if (!err && (!more || piece.start >= tally->area.end))
			err = mw_tally_close(tally);
	}
	return err;
}

static const char *tell(struct run *run)
{
	char text[3][MW_UNITS_LEN];
	const uint64_t *bytes = run->all.bytes;
	for (unsigned i = 0; i < 3; i++)
		mw_units_bytes(bytes[MW_JE_DIRTY + i], MW_UNIT_AUTO, text[i]);
	return mw_arena_printf(run->je.walk->arena,
			       "free extents: %s dirty, %s muzzy, %s retained%s%s",
			       text[0], text[1], text[2],
			       run->je.n_caches ? ""
						: "; caches of threads not found, "
						  "what they hold counts as live",
			       run->je.root ? ""
					    : "; the tree of pages was not found, "
					      "stale records may be among them");
}

static struct mw_err *report(struct run *run)
{
	struct mw_jemalloc *je = &run->je;
	struct mw_tally *tally = &run->tally;
	struct mw_err *err = mw_tally_init(tally, je->walk, &mw_walker_jemalloc);
	tally->feed = je->root;
	if (!err)
		err = walk_pieces(run);
	if (err)
		return err;
	tally->it.object = je->text ? je->text->name : "";
	tally->it.version = "5.3";
	tally->it.note = tell(run);
	if (!tally->it.note)
		return mw_err_nomem();
	mw_tally_check(tally, "slabs whose bitmap and free count differ", 0, run->n_bad);
	mw_tally_check(tally, "cached blocks lie in slabs or large extents", je->cached.n,
		       tally->it.tcache.n);
	return mw_tally_publish(tally);
}

/* The first block is made before any extent, and mappings grow downward: look at ends. */
static bool probe_region(struct mw_heap_walk *walk, const struct mw_region *region)
{
	struct mw_je_block block;
	uint64_t first = mw_alloc_up(region->start, MW_JE_HUGE);
	uint64_t n = first < region->end ? (region->end - 1 - first) / MW_JE_HUGE + 1 : 0;
	for (uint64_t i = 0; i < n && i < PROBES; i++) {
		uint64_t low = first + i * MW_JE_HUGE;
		uint64_t high = first + (n - 1 - i) * MW_JE_HUGE;
		if (mw_je_read_block(walk, high, region->end - high, &block) ||
		    mw_je_read_block(walk, low, region->end - low, &block))
			return true;
	}
	return false;
}

/* jemalloc inside a program: only its first block shows it. */
static bool probe(struct mw_heap_walk *walk)
{
	size_t n;
	unsigned left = MAX_PROBED;
	const struct mw_region *regions = mw_snapshot_regions(walk->snap, &n);
	const struct mw_region *program = mw_alloc_program(walk->snap);
	if (!program || program->end - program->start < MIN_TEXT)
		return false;
	for (size_t i = 0; i < n && left; i++) {
		if (!mw_alloc_is_heapish(&regions[i]) ||
		    regions[i].end - regions[i].start < MW_JE_HUGE)
			continue;
		left--;
		if (probe_region(walk, &regions[i]))
			return true;
	}
	return false;
}

static struct mw_err *run_all(struct run *run)
{
	struct mw_jemalloc *je = &run->je;
	struct mw_err *err = mw_je_find(je);
	if (!err && !je->extents.n)
		return !je->text ? NULL
				 : mw_alloc_recognised(
					   je->walk, &mw_walker_jemalloc, "",
					   je->text->name,
					   je->blocks.n ? "its records are not those of "
							  "5.3"
							: "loaded, and never used");
	if (!err)
		err = mw_je_find_cached(je);
	return err ? err : report(run);
}

static struct mw_err *walk_jemalloc(struct mw_heap_walk *walk)
{
	const struct mw_region *text = mw_alloc_object(walk->snap, "libjemalloc");
	if (!text && !probe(walk))
		return NULL;
	struct run *run = calloc(1, sizeof(*run));
	if (!run)
		return mw_err_nomem();
	run->je.walk = walk;
	run->je.text = text ? text : mw_alloc_program(walk->snap);
	struct mw_err *err = run_all(run);
	mw_tally_deinit(&run->tally);
	mw_vec_deinit(&run->je.blocks);
	mw_vec_deinit(&run->je.extents);
	mw_vec_deinit(&run->je.cached);
	mw_vec_deinit(&run->je.stacks);
	free(run);
	return err;
}

const struct mw_walker mw_walker_jemalloc = { "jemalloc", walk_jemalloc };
