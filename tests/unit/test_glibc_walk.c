// SPDX-License-Identifier: MIT
/*
 * The linear walk of glibc's heap over memory made by hand: what each chunk counts as,
 * what trimming would give back, who holds pages, and where a walk ends.
 */
#include "image.h"

#include "heap/glibc/walk.h"

static const uint64_t ARENA = 0x7f0000000c60; /* in no mapping: nothing reads it */
static const uint64_t HEAP = 0x555555000000;
static const uint64_t K4 = 4096;

enum { MAX_SEEN = 4096 };

/* A piece in the making, and what the walk tells of it. */
struct bench {
	struct image image;
	struct mw_heap_walk walk;
	struct mw_heap_opts opts;
	struct mw_block_sink sink;
	struct mw_arena arena;
	struct mw_glibc libc;
	struct mw_glibc_arena state;
	struct mw_glibc_piece piece;
	struct mw_cached_vec cached;
	struct mw_glibc_tally tally;
	struct mw_glibc_walk glibc;
	uint64_t pos;    /* where the next chunk goes */
	bool prev_inuse; /* what its header will say */
	uint64_t absent; /* a page that is not there */
	size_t n_areas, n_seen;
	struct mw_block seen[MAX_SEEN];
};

static struct mw_err *on_area(void *ctx, const struct mw_heap_area *area)
{
	struct bench *bench = ctx;
	assert_int_equal(area->start % K4, 0);
	bench->n_areas++;
	return NULL;
}

static struct mw_err *on_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	struct bench *bench = ctx;
	for (size_t i = 0; i < n; i++) {
		assert_true(bench->n_seen < MAX_SEEN);
		if (bench->n_seen)
			assert_true(blocks[i].addr > bench->seen[bench->n_seen - 1].addr);
		bench->seen[bench->n_seen++] = blocks[i];
	}
	return NULL;
}

static struct bench *bench_new(bool main, uint64_t start)
{
	size_t n;
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	image_init(&bench->image);
	bench->libc.layout = &mw_glibc_layouts(&n)[0];
	bench->state = (struct mw_glibc_arena){ .address = ARENA, .main = main };
	bench->piece = (struct mw_glibc_piece){ start, 0, start, true };
	bench->pos = start;
	bench->prev_inuse = true;
	bench->absent = UINT64_MAX;
	return bench;
}

static void put(struct bench *bench, uint64_t addr, uint64_t word)
{
	if ((addr & ~(K4 - 1)) != bench->absent)
		IMAGE_WORDS(&bench->image, addr, word);
}

/* All pages of the piece that are not absent become resident, in order. */
static void touch(struct bench *bench, uint64_t start, uint64_t end)
{
	for (uint64_t page = start & ~(K4 - 1); page < end; page += K4)
		put(bench, page, 0);
}

static uint64_t add(struct bench *bench, uint64_t size, bool inuse)
{
	uint64_t chunk = bench->pos;
	unsigned flags = bench->state.main ? 0 : MW_NON_MAIN_ARENA;
	put(bench, chunk + 8,
	    size | (inuse ? flags : 0) | (bench->prev_inuse ? MW_PREV_INUSE : 0));
	bench->pos += size;
	bench->prev_inuse = inuse;
	if (!inuse)
		put(bench, bench->pos, size);
	return chunk;
}

static uint64_t add_live(struct bench *bench, uint64_t size)
{
	return add(bench, size, true);
}

/* A free chunk in a list of its own; the lists of the arena are left alone. */
static uint64_t add_bin(struct bench *bench, uint64_t size)
{
	uint64_t chunk = add(bench, size, false);
	put(bench, chunk + 16, chunk);
	put(bench, chunk + 24, chunk);
	return chunk;
}

static uint64_t add_cached(struct bench *bench, uint64_t size, enum mw_cached_kind kind)
{
	uint64_t chunk = add(bench, size, true);
	assert_true(mw_vec_add(&bench->cached, (struct mw_cached){ chunk, kind }));
	return chunk;
}

/* Ends the piece with its top. */
static uint64_t add_top(struct bench *bench, uint64_t size)
{
	bench->state.top = add(bench, size, true);
	return bench->state.top;
}

static void open_walk(struct bench *bench)
{
	struct mw_snapshot_opts opts = { .engine = MW_ENGINE_PAGES };
	assert_null(mw_snapshot_take(&bench->image.src, IMAGE_PID, &opts,
				     &bench->image.snap));
	bench->sink = (struct mw_block_sink){ bench, on_area, on_blocks };
	bench->opts = (struct mw_heap_opts){ .still = true, .sink = &bench->sink };
	bench->walk = (struct mw_heap_walk){ .snap = bench->image.snap,
					     .opts = &bench->opts,
					     .page_size = K4,
					     .arena = &bench->arena };
	assert_null(mw_memory_init(&bench->walk.memory, bench->image.snap, MW_READ_STRUCT,
				   0));
	assert_null(mw_memory_init(&bench->walk.window, bench->image.snap,
				   MW_READ_CONTENTS, 64 << 10));
	bench->tally.arena = &bench->state;
	bench->glibc = (struct mw_glibc_walk){ .walk = &bench->walk,
					       .libc = &bench->libc,
					       .cached = bench->cached.items,
					       .n_cached = bench->cached.n,
					       .tallies = &bench->tally,
					       .n_tallies = 1 };
}

/* Walks what was made; everything is resident but the absent page. */
static void walk(struct bench *bench, const char *name)
{
	struct mw_glibc_tally *tally = &bench->tally;
	bench->piece.end = bench->pos;
	image_map(&bench->image, bench->piece.start & ~(K4 - 1),
		  ((bench->pos + K4 - 1) & ~(K4 - 1)) - (bench->piece.start & ~(K4 - 1)),
		  "rw-p", name);
	open_walk(bench);
	assert_null(mw_glibc_walk_piece(&bench->glibc, tally, &bench->piece));
	tally->walked = tally->live.bytes + tally->tcache.bytes + tally->fast.bytes +
			tally->bins.bytes + tally->top + tally->overhead;
	assert_int_equal(bench->image.n_faults, 0);
	assert_int_equal(bench->n_seen, tally->live.n);
	assert_int_equal(bench->glibc.attributed, bench->glibc.rss);
}

static void bench_end(struct bench *bench)
{
	mw_memory_deinit(&bench->walk.memory);
	mw_memory_deinit(&bench->walk.window);
	mw_vec_deinit(&bench->walk.areas);
	mw_vec_deinit(&bench->cached);
	mw_glibc_walk_deinit(&bench->glibc);
	image_deinit(&bench->image);
	mw_arena_deinit(&bench->arena);
	free(bench);
}

static uint64_t area_use(const struct bench *bench, enum mw_use use)
{
	assert_int_equal(bench->walk.areas.n, 1);
	assert_true(bench->walk.areas.items[0].split);
	return bench->walk.areas.items[0].resident[use];
}

static void test_kinds(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	const struct mw_glibc_tally *tally = &bench->tally;
	(void)state;
	touch(bench, HEAP, HEAP + 3 * K4);
	add_cached(bench, 0x290, MW_CACHED_STRUCT);
	uint64_t first = add_live(bench, 0x40);
	add_cached(bench, 0x20, MW_CACHED_TCACHE);
	add_live(bench, 0x110);
	uint64_t bin = add_bin(bench, 0x90);
	add_live(bench, 0x30);
	add_cached(bench, 0x50, MW_CACHED_FAST);
	add_live(bench, 2 * K4);
	add_top(bench, HEAP + 3 * K4 - bench->pos);
	walk(bench, "[heap]");
	assert_int_equal(tally->live.n, 4);
	assert_int_equal(tally->live.bytes, 0x38 + 0x108 + 0x28 + 2 * K4 - 8);
	assert_int_equal(tally->tcache.n, 1);
	assert_int_equal(tally->tcache.bytes, 0x20);
	assert_int_equal(tally->fast.bytes, 0x50);
	assert_int_equal(tally->bins.bytes, 0x90);
	assert_int_equal(tally->overhead, 0x290 + 4 * 8);
	assert_int_equal(tally->walked, 3 * K4);
	assert_int_equal(tally->stopped, 0);
	assert_int_equal(tally->n_footed, 1);
	assert_true(tally->nodes == mw_glibc_mix(bin) && tally->forward == tally->nodes &&
		    tally->backward == tally->nodes);
	assert_int_equal(bench->seen[0].addr, first + 16);
	assert_int_equal(bench->seen[0].len, 0x38);
	assert_int_equal(bench->glibc.live[mw_size_class(0x28)].n, 1);
	assert_int_equal(bench->glibc.live[mw_size_class(2 * K4 - 8)].bytes, 2 * K4 - 8);
	assert_int_equal(bench->glibc.kept[mw_size_class(0x88)].n, 1);
	assert_int_equal(bench->glibc.met[MW_CACHED_TCACHE], 1);
	/* The first word belongs to no chunk, the last word of top to none behind it. */
	assert_int_equal(area_use(bench, MW_USE_LIVE), tally->live.bytes);
	assert_int_equal(area_use(bench, MW_USE_OVERHEAD), tally->overhead + 8);
	assert_int_equal(area_use(bench, MW_USE_PINNED),
			 0x20 + 0x50 + 0x90 + tally->top - 8);
	bench_end(bench);
}

/* What trimming gives back is whole pages of runs of free and fast chunks. */
static void test_trim(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	touch(bench, HEAP, HEAP + 24 * K4);
	add_live(bench, K4 - 0x30);
	/* Behind 0x30 bytes of header three pages are whole. */
	add_bin(bench, 3 * K4 + 0x40);
	add_live(bench, K4 - 0x30);
	/* Here 0x30 bytes reach into the next page, and the fast chunk makes the one
	 * behind it whole; a cached block is a wall. */
	add_bin(bench, 2 * K4 + 0x10);
	add_cached(bench, 0x70, MW_CACHED_FAST);
	add_cached(bench, 4 * K4 - 0x80, MW_CACHED_TCACHE);
	add_live(bench, 0x30);
	add_top(bench, HEAP + 24 * K4 - bench->pos);
	walk(bench, "[heap]");
	uint64_t top = (bench->tally.top - 33) & ~(K4 - 1);
	assert_int_equal(area_use(bench, MW_USE_TRIMMABLE), 3 * K4 + K4 + top);
	/* The cached block's own whole pages are not given back. */
	assert_true(area_use(bench, MW_USE_UNTRIMMABLE) >= 2 * K4);
	bench_end(bench);
}

/* A top that is not at the end of the data segment stays, and so does a thread's. */
static void test_tops_that_stay(void **state)
{
	(void)state;
	for (int main = 0; main < 2; main++) {
		struct bench *bench = bench_new(main, HEAP);
		touch(bench, HEAP, HEAP + 8 * K4);
		add_live(bench, 0x50);
		add_top(bench, 8 * K4 - 0x50);
		walk(bench, main ? "" : "[heap]");
		assert_int_equal(area_use(bench, MW_USE_TRIMMABLE), 0);
		assert_int_equal(area_use(bench, MW_USE_UNTRIMMABLE), 7 * K4);
		bench_end(bench);
	}
}

static void test_pins(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	struct mw_heap_arena arena = { 0 };
	(void)state;
	touch(bench, HEAP, HEAP + 4 * K4);
	uint64_t small = add_live(bench, 0x20);
	add_bin(bench, 0x400);
	add_live(bench, 0x20);
	/* Reaches into the next page and holds both: one block, the bytes of two pages.
	 */
	uint64_t large = add_live(bench, K4);
	add_bin(bench, K4);
	add_live(bench, HEAP + 4 * K4 - 0x100 - bench->pos);
	add_top(bench, 0x100);
	walk(bench, "");
	assert_null(mw_glibc_pins_report(&bench->walk, &bench->tally, &arena));
	assert_int_equal(arena.pinning.n, 4);
	assert_int_equal(arena.pinning.bytes, bench->tally.live.bytes);
	uint64_t pinned = 0;
	const struct mw_heap_pin *pin = NULL, *big = NULL;
	for (size_t i = 0; i < arena.n_pins; i++) {
		pinned += arena.pins[i].bytes;
		if (arena.pins[i].size == 32)
			pin = &arena.pins[i];
		if (arena.pins[i].sample == large + 16)
			big = &arena.pins[i];
		assert_true(i == 0 || arena.pins[i].bytes <= arena.pins[i - 1].bytes);
	}
	assert_int_equal(pinned, area_use(bench, MW_USE_PINNED));
	assert_non_null(pin);
	assert_non_null(big);
	assert_int_equal(pin->blocks, 2);
	assert_int_equal(pin->sample, small + 16);
	assert_int_equal(pin->bytes, 0x400 / 3 * 2 + 0x400 % 3);
	assert_int_equal(big->blocks, 1);
	bench_end(bench);
}

/* Walks a heap whose third chunk has the header `word`; what is behind is unknown. */
static void walk_broken(uint64_t word)
{
	struct bench *bench = bench_new(true, HEAP);
	touch(bench, HEAP, HEAP + 4 * K4);
	add_live(bench, 0x40);
	add_live(bench, 0x60);
	uint64_t broken = add_live(bench, 0x80);
	add_live(bench, 0x100);
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	put(bench, broken + 8, word);
	walk(bench, "[heap]");
	/* Whether the chunk before is in use would stand in the broken header. */
	assert_int_equal(bench->tally.live.n, 1);
	assert_int_equal(bench->tally.stopped, HEAP + 0x40 + 8);
	assert_int_equal(area_use(bench, MW_USE_UNKNOWN), 4 * K4 - 0x48);
	assert_int_equal(bench->tally.walked, 0x40);
	bench_end(bench);
}

static void test_broken(void **state)
{
	static const uint64_t words[] = { 0,        1,      0x10,       0x89,
					  0x83,     0x18,   0x40000001, UINT64_MAX,
					  0x21 + 8, ~15ull, 1ull << 63, 1ull << 47 | 1 };
	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		walk_broken(words[i]);
}

static void test_absent_page(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	bench->absent = HEAP + K4;
	touch(bench, HEAP, HEAP + 4 * K4);
	add_live(bench, K4 - 0x100);
	add_live(bench, 0x200); /* its end is on the absent page */
	add_live(bench, K4);
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	walk(bench, "[heap]");
	assert_int_equal(bench->tally.live.n, 1);
	assert_true(bench->tally.stopped);
	/* All is unknown up to top, whose address is known. */
	assert_int_equal(bench->tally.resident[MW_USE_UNKNOWN], 0x100 - 8 + 0x100 + 8);
	assert_int_equal(bench->tally.top, 2 * K4 - 0x100);
	bench_end(bench);
}

/* A heap whose second page is absent; where what is behind it begins. */
static struct bench *torn(void)
{
	struct bench *bench = bench_new(true, HEAP);
	bench->absent = HEAP + K4;
	touch(bench, HEAP, HEAP + 4 * K4);
	add_live(bench, K4 - 0x100);
	add_live(bench, 0x200);
	add_live(bench, K4 - 0x100);
	assert_int_equal(bench->pos, HEAP + 2 * K4);
	return bench;
}

/* Ends it with a live block and top, walks it; only what is up to `known` is unknown. */
static void walk_torn(struct bench *bench, uint64_t known, size_t n_live)
{
	add_live(bench, 0x80);
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	walk(bench, "[heap]");
	assert_int_equal(bench->tally.live.n, n_live);
	assert_int_equal(bench->tally.stopped, HEAP + K4 - 0x100 + 8);
	assert_int_equal(bench->tally.resident[MW_USE_UNKNOWN],
			 0x100 - 8 + known + 8 - (HEAP + 2 * K4));
	assert_int_equal(bench->tally.walked, K4 - 0x100 + (HEAP + 4 * K4 - known));
	bench_end(bench);
}

/* Behind an absent page the walk goes on at the next chunk in a cache. */
static void test_resume_at_cached(void **state)
{
	struct bench *bench = torn();
	(void)state;
	add_live(bench, 0x40); /* nothing leads to it */
	walk_torn(bench, add_cached(bench, 0x60, MW_CACHED_TCACHE), 2);
}

/* Or in a bin, if its links are those of a list; else at top. */
static void resume_at_bin(bool linked)
{
	struct bench *bench = torn();
	uint64_t bins = ARENA + bench->libc.layout->state.bins;
	add_live(bench, 0x40);
	uint64_t chunk = add(bench, 0x100, false), known = linked ? chunk : 0;
	for (size_t i = 0; i < MW_GLIBC_BINS; i++)
		bench->state.bins[i] = bins + 8 * (i & ~1ull) - 16;
	bench->state.bins[4] = bench->state.bins[5] = chunk;
	put(bench, chunk + 16, bins + 8 * 4 - 16);
	put(bench, chunk + 24, linked ? bins + 8 * 4 - 16 : HEAP);
	if (!linked)
		put(bench, chunk + 16, HEAP);
	walk_torn(bench, linked ? known : bench->pos + 0x80, linked ? 2 : 1);
}

static void test_resume_at_bin(void **state)
{
	(void)state;
	resume_at_bin(true);
	resume_at_bin(false);
}

/* Top's own header is absent: where it lies and ends is known all the same. */
static void test_resume_at_absent_top(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	bench->absent = HEAP + K4;
	touch(bench, HEAP, HEAP + 4 * K4);
	add_live(bench, K4 - 0x100);
	add_live(bench, 0x200);
	add_live(bench, 0x200);
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	walk(bench, "[heap]");
	assert_int_equal(bench->tally.live.n, 1);
	assert_int_equal(bench->tally.top, 3 * K4 - 0x300);
	assert_int_equal(bench->tally.resident[MW_USE_UNKNOWN], 0x100 - 8);
	bench_end(bench);
}

/* The header of a new top, which a thread is just waiting for the page of. */
static void test_unwritten_top(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	bench->absent = HEAP + K4;
	touch(bench, HEAP, HEAP + K4);
	add_live(bench, K4 - 0x100);
	add_live(bench, 0x110); /* its end is on the absent page, and top begins there */
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	walk(bench, "[heap]");
	assert_int_equal(bench->tally.live.n, 2);
	assert_int_equal(bench->tally.stopped, 0);
	assert_int_equal(bench->tally.top, 3 * K4 - 0x10);
	assert_int_equal(bench->tally.walked, 4 * K4);
	assert_int_equal(area_use(bench, MW_USE_UNKNOWN), 0);
	bench_end(bench);
}

/* An absent page inside a chunk is nothing: it is not read. */
static void test_hole_in_chunk(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	bench->absent = HEAP + K4;
	touch(bench, HEAP, HEAP + 4 * K4);
	add_live(bench, K4 - 0x100);
	add_bin(bench, 2 * K4);
	add_live(bench, 0x40);
	add_top(bench, HEAP + 4 * K4 - bench->pos);
	walk(bench, "");
	assert_int_equal(bench->tally.stopped, 0);
	assert_int_equal(bench->tally.walked, 4 * K4);
	assert_int_equal(bench->tally.bins.n, 1);
	/* One of its pages is not there, the other two are shared with live blocks. */
	assert_int_equal(area_use(bench, MW_USE_TRIMMABLE), 0);
	bench_end(bench);
}

/* A full heap of a thread: fence posts, and a rest too small for a free chunk. */
static void test_fences(void **state)
{
	(void)state;
	for (int rest = 0; rest < 2; rest++) {
		struct bench *bench = bench_new(false, HEAP + 0x30);
		bench->piece.start = HEAP;
		bench->piece.last = false;
		touch(bench, HEAP, HEAP + 2 * K4);
		uint64_t size = HEAP + 2 * K4 - (rest ? 0x30 : 0x20) - bench->pos;
		add_live(bench, size);
		put(bench, bench->pos + 8, (rest ? 0x20 : 0x10) | MW_PREV_INUSE);
		bench->pos += rest ? 0x20 : 0x10;
		put(bench, bench->pos + 8, MW_PREV_INUSE);
		bench->pos = HEAP + 2 * K4;
		walk(bench, "");
		assert_int_equal(bench->tally.live.n, 1);
		assert_int_equal(bench->tally.live.bytes, size - 8);
		assert_int_equal(bench->tally.walked, 2 * K4);
		assert_int_equal(bench->tally.stopped, 0);
		bench_end(bench);
	}
}

/* More blocks than are kept at once reach the sink, all of them once. */
static void test_many(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	(void)state;
	touch(bench, HEAP, HEAP + 26 * K4);
	for (int i = 0; i < 3000; i++)
		add_live(bench, 0x20 + 0x10 * (i % 2));
	add_top(bench, HEAP + 32 * K4 - bench->pos);
	walk(bench, "");
	assert_int_equal(bench->tally.live.n, 3000);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(bench->seen[i].addr,
				 HEAP + 16 + (uint64_t)(i / 2) * 0x50 + (i % 2) * 0x20);
	bench_end(bench);
}

/* Whether a check of that name holds. */
static bool holds(const struct mw_allocator *it, const char *part)
{
	for (size_t i = 0; i < it->n_checks; i++)
		if (strstr(it->checks[i].name, part))
			return it->checks[i].ok;
	fail_msg("no check on %s", part);
	return false;
}

static void check_lists(uint64_t bk, bool good)
{
	struct bench *bench = bench_new(true, HEAP);
	struct mw_allocator it = { .name = "" };
	uint64_t bins = ARENA + bench->libc.layout->state.bins;
	touch(bench, HEAP, HEAP + K4);
	add_live(bench, 0x40);
	uint64_t chunk = add(bench, 0x100, false);
	/* Every bin is empty but the first. */
	for (size_t i = 0; i < MW_GLIBC_BINS; i++)
		bench->state.bins[i] = bins + 8 * (i & ~1ull) - 16;
	bench->state.bins[0] = bench->state.bins[1] = chunk;
	put(bench, chunk + 16, bins - 16);
	put(bench, chunk + 24, bk ? bk : bins - 16);
	add_live(bench, 0x40);
	add_top(bench, HEAP + K4 - bench->pos);
	bench->state.system_mem = K4;
	walk(bench, "[heap]");
	assert_null(mw_glibc_check(&bench->glibc, &it));
	assert_true(holds(&it, "sum to system_mem"));
	assert_int_equal(holds(&it, "lists of bins"), good);
	assert_true(holds(&it, "repeat their size"));
	bench_end(bench);
}

static void test_lists(void **state)
{
	(void)state;
	check_lists(0, true);
	check_lists(HEAP, false);
}

/* A header of a block with its own mapping. */
static void put_mapped(struct bench *bench, uint64_t start, uint64_t offset, uint64_t len)
{
	IMAGE_WORDS(&bench->image, start + offset, offset,
		    (len - offset) | MW_IS_MMAPPED);
}

static void test_mmapped(void **state)
{
	struct bench *bench = bench_new(true, HEAP);
	struct mw_glibc_mmapped_vec found = { 0 };
	const uint64_t base = 0x7f1000000000;
	(void)state;
	/* Two beside each other, the second aligned to a page; a stale header before. */
	image_map(&bench->image, base, 20 * K4, "rw-p", "");
	put_mapped(bench, base, 0, 4 * K4);
	IMAGE_WORDS(&bench->image, base + 4 * K4, 0, 9 * K4 | MW_IS_MMAPPED);
	put_mapped(bench, base + 4 * K4, K4 - 16, 16 * K4);
	/* One in the middle of a region, after pages that are not there. */
	image_map(&bench->image, base + 64 * K4, 16 * K4, "rw-p", "");
	put_mapped(bench, base + 72 * K4, 0, 3 * K4);
	/* What only looks so: longer than its mapping, with other flags, not writable. */
	image_map(&bench->image, base + 128 * K4, K4, "rw-p", "");
	put_mapped(bench, base + 128 * K4, 0, 2 * K4);
	image_map(&bench->image, base + 192 * K4, K4, "r--p", "");
	put_mapped(bench, base + 192 * K4, 0, K4);
	open_walk(bench);
	bench->libc.mp = 1;
	bench->libc.params.n_mmaps = 3;
	assert_null(mw_glibc_find_mmapped(&bench->walk, &bench->libc, NULL, 0, &found));
	assert_int_equal(found.n, 3);
	assert_int_equal(found.items[0].block, base + 16);
	assert_int_equal(found.items[1].start, base + 4 * K4);
	assert_int_equal(found.items[1].end, base + 20 * K4);
	assert_int_equal(found.items[1].block, base + 5 * K4);
	assert_int_equal(found.items[2].start, base + 72 * K4);
	for (size_t i = 0; i < found.n; i++)
		assert_null(mw_glibc_walk_mmapped(&bench->glibc, &found.items[i]));
	assert_int_equal(bench->glibc.mapped, 23 * K4);
	assert_int_equal(bench->glibc.mmapped.n, 3);
	assert_int_equal(bench->glibc.mmapped.bytes, 23 * K4 - 16 - K4 - 16);
	assert_int_equal(bench->n_seen, 3);
	assert_int_equal(bench->glibc.attributed, bench->glibc.rss);
	assert_int_equal(bench->image.n_faults, 0);
	mw_vec_deinit(&found);
	bench_end(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_tops_that_stay),
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_absent_page),
		cmocka_unit_test(test_resume_at_cached),
		cmocka_unit_test(test_resume_at_bin),
		cmocka_unit_test(test_resume_at_absent_top),
		cmocka_unit_test(test_unwritten_top),
		cmocka_unit_test(test_hole_in_chunk),
		cmocka_unit_test(test_fences),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_mmapped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
