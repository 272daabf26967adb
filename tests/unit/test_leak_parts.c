// SPDX-License-Identifier: MIT
/* Which block an address is in, pointers between blocks, marking, owning, rules. */
#include "heap/leaks/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t BASE = 0x7f0000000000;
static const uint64_t KIB = 1 << 10;
static const uint64_t MIB = 1 << 20;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static struct mw_reach *reach_new(void)
{
	struct mw_reach *reach = calloc(1, sizeof(*reach));
	assert_non_null(reach);
	assert_null(mw_block_map_init(&reach->map));
	return reach;
}

static void area(struct mw_reach *reach, uint64_t start, uint64_t end)
{
	assert_null(mw_block_map_area(&reach->map, start, end));
}

static void block(struct mw_reach *reach, uint64_t addr, uint64_t len)
{
	struct mw_block one = { addr, len };
	assert_null(mw_block_map_add(&reach->map, &one, 1));
}

static void finish(struct mw_reach *reach)
{
	assert_null(mw_block_map_finish(&reach->map));
	assert_null(mw_edges_init(&reach->edges, reach->map.n));
	reach->rooted = mw_bits_new(reach->map.n);
	assert_non_null(reach->rooted);
}

/* `n` blocks of 24 bytes, one after the other: their numbers are their places. */
static struct mw_reach *row_of(uint32_t n)
{
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + ((uint64_t)n * 32 + 4095) / 4096 * 4096);
	for (uint32_t i = 0; i < n; i++)
		block(reach, BASE + i * UINT64_C(32), 24);
	finish(reach);
	return reach;
}

static void edge(struct mw_reach *reach, uint32_t from, uint32_t to)
{
	assert_null(mw_edges_add(&reach->edges, from, to));
}

/* Marks and owns; the losses are the caller's. */
static struct mw_losses judge(struct mw_reach *reach)
{
	struct mw_losses losses = { 0 };
	mw_edges_finish(&reach->edges);
	assert_null(mw_reach_mark(reach, &losses));
	assert_null(mw_reach_own(reach, &losses));
	return losses;
}

static uint32_t at(const struct mw_reach *reach, uint64_t addr)
{
	return mw_block_find(&reach->map, addr);
}

static void addresses_in_and_around_a_block(void **state)
{
	(void)state;
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + 4096);
	block(reach, BASE + 0x10, 0x28); /* ends in the header of the next */
	block(reach, BASE + 0x40, 0x18);
	block(reach, BASE + 0xff0, 0x10); /* ends with the page */
	finish(reach);
	assert_int_equal(at(reach, BASE), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 0xf), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 0x10), 0);
	assert_int_equal(at(reach, BASE + 0x11), 0);
	assert_int_equal(at(reach, BASE + 0x37), 0);
	assert_int_equal(at(reach, BASE + 0x38), 0);
	assert_int_equal(at(reach, BASE + 0x39), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 0x40), 1);
	assert_int_equal(at(reach, BASE + 0x58), 1);
	assert_int_equal(at(reach, BASE + 0x60), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 0xfff), 2);
	assert_int_equal(at(reach, BASE + 0x1000), MW_NO_BLOCK);
	assert_int_equal(at(reach, UINT64_MAX), MW_NO_BLOCK);
	assert_int_equal(mw_block_starting(&reach->map, BASE + 0x40), 1);
	assert_int_equal(mw_block_starting(&reach->map, BASE + 0x48), MW_NO_BLOCK);
	assert_int_equal(mw_block_starting(&reach->map, BASE + 0x50), MW_NO_BLOCK);
	mw_reach_free(reach);
}

static void blocks_larger_than_tiles(void **state)
{
	(void)state;
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + 64 * MIB);
	block(reach, BASE + 0x10, 5 * MIB);
	block(reach, BASE + 5 * MIB + 0x40, 100);
	block(reach, BASE + 8 * MIB + 0x10, 40 * MIB);
	finish(reach);
	assert_int_equal(at(reach, BASE + 3 * MIB), 0);
	assert_int_equal(at(reach, BASE + 5 * MIB), 0);
	assert_int_equal(at(reach, BASE + 5 * MIB + 0x11), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 5 * MIB + 0x50), 1);
	assert_int_equal(at(reach, BASE + 6 * MIB), MW_NO_BLOCK);
	assert_int_equal(at(reach, BASE + 30 * MIB), 2);
	assert_int_equal(at(reach, BASE + 49 * MIB), MW_NO_BLOCK);
	assert_true(mw_block_len(&reach->map, 2) == 40 * MIB);
	mw_reach_free(reach);
}

/* A terabyte that was asked for and never touched costs next to nothing here. */
static void a_block_of_a_terabyte(void **state)
{
	(void)state;
	const uint64_t tib = UINT64_C(1) << 40;
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + tib + 4096);
	block(reach, BASE + 0x10, tib);
	finish(reach);
	assert_int_equal(at(reach, BASE + tib / 2), 0);
	assert_int_equal(reach->map.tiles.n, 1);
	mw_reach_free(reach);
}

static void areas_in_any_order(void **state)
{
	(void)state;
	struct mw_reach *reach = reach_new();
	struct mw_block_cursor cursor = { 0 };
	struct mw_block found;
	const uint64_t starts[] = { 6 * MIB, 2 * MIB, 9 * MIB, 0, 4 * MIB + 64 * KIB };
	for (size_t i = 0; i < 5; i++) {
		area(reach, BASE + starts[i], BASE + starts[i] + 128 * KIB);
		block(reach, BASE + starts[i] + 0x10, 100 * KIB + i);
		block(reach, BASE + starts[i] + 120 * KIB, 8 + i);
	}
	area(reach, BASE + 12 * MIB, BASE + 13 * MIB); /* without blocks */
	finish(reach);
	const unsigned order[] = { 3, 1, 4, 0, 2 };
	for (uint32_t i = 0; i < 5; i++) {
		uint64_t start = BASE + starts[order[i]];
		assert_int_equal(at(reach, start + 50 * KIB), 2 * i);
		assert_int_equal(mw_block_len(&reach->map, 2 * i), 100 * KIB + order[i]);
		assert_int_equal(at(reach, start + 120 * KIB), 2 * i + 1);
		assert_true(mw_block_addr(&reach->map, 2 * i) == start + 0x10);
		assert_true(mw_block_addr(&reach->map, 2 * i + 1) == start + 120 * KIB);
		assert_true(mw_block_next(&reach->map, &cursor, &found));
		assert_true(found.addr == start + 0x10 &&
			    found.len == 100 * KIB + order[i]);
		assert_true(mw_block_next(&reach->map, &cursor, &found));
		assert_true(found.addr == start + 120 * KIB && found.len == 8 + order[i]);
	}
	assert_false(mw_block_next(&reach->map, &cursor, &found));
	mw_reach_free(reach);
}

/* What an allocator says of a hostile heap: nothing is believed, nothing breaks. */
static void blocks_that_cannot_be(void **state)
{
	(void)state;
	struct mw_reach *reach = reach_new();
	block(reach, BASE, 16); /* before any area */
	area(reach, BASE, BASE + 4096);
	block(reach, BASE - 16, 16);            /* before it */
	block(reach, BASE + 0x100, 0x40);       /* good */
	block(reach, BASE + 0x120, 0x40);       /* overlaps */
	block(reach, BASE + 0x80, 0x10);        /* not ascending */
	block(reach, BASE + 0xff0, 0x20);       /* reaches out */
	block(reach, BASE + 0xf00, UINT64_MAX); /* wraps around */
	area(reach, BASE + 2048, BASE + 8192);  /* overlaps: passed over */
	block(reach, BASE + 4096, 64);
	area(reach, BASE + 8192, BASE + 8192); /* empty */
	area(reach, UINT64_C(1) << 48, (UINT64_C(1) << 48) + 4096);
	block(reach, UINT64_C(1) << 48, 64);
	finish(reach);
	assert_int_equal(reach->map.n, 1);
	assert_int_equal(reach->map.n_refused, 5);
	assert_int_equal(at(reach, BASE + 0x120), 0);
	mw_reach_free(reach);
}

static void blocks_of_eight_bytes(void **state)
{
	(void)state;
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + 4096);
	for (uint64_t i = 0; i < 5; i++)
		block(reach, BASE + 8 + 8 * i, 8);
	finish(reach);
	assert_int_equal(reach->map.bytes, 40);
	assert_int_equal(at(reach, BASE + 8), 0);
	assert_int_equal(at(reach, BASE + 0x18), at(reach, BASE + 0x10));
	assert_int_not_equal(at(reach, BASE + 0x20), at(reach, BASE + 0x10));
	assert_int_equal(reach->map.n_refused, 0);
	mw_reach_free(reach);
}

/* The same answers as going through all blocks gives. */
static void lookups_as_by_searching(void **state)
{
	(void)state;
	enum { N = 400 };
	static struct mw_block blocks[N];
	uint64_t seed = 88172645463325252, pos = BASE;
	struct mw_reach *reach = reach_new();
	area(reach, BASE, BASE + 512 * MIB);
	for (size_t i = 0; i < N; i++) {
		uint64_t kind = next_random(&seed) % 8;
		uint64_t len = next_random(&seed) % (kind == 0  ? 3 * MIB
						     : kind < 3 ? 3 * KIB
								: 200);
		pos += next_random(&seed) % 4 ? 16 : 16 * (next_random(&seed) % 5000);
		blocks[i] = (struct mw_block){ pos, len };
		block(reach, pos, len);
		pos = (pos + len + 16) & ~UINT64_C(15);
	}
	finish(reach);
	assert_int_equal(reach->map.n, N);
	for (size_t i = 0; i < 200000; i++) {
		uint64_t addr = BASE + next_random(&seed) % (pos - BASE + 4096);
		uint32_t want = MW_NO_BLOCK;
		for (uint32_t k = 0; k < N && blocks[k].addr <= addr; k++)
			if (addr < blocks[k].addr + blocks[k].len ||
			    addr == blocks[k].addr ||
			    (addr == blocks[k].addr + blocks[k].len && addr % 4096))
				want = k;
		assert_int_equal(at(reach, addr), want);
		i += 99 * (want == MW_NO_BLOCK); /* most of it is nothing */
	}
	for (uint32_t k = 0; k < N; k++)
		assert_true(mw_block_addr(&reach->map, k) == blocks[k].addr);
	mw_reach_free(reach);
}

static void edges_of_every_count(void **state)
{
	(void)state;
	enum { N = 700 };
	uint64_t seed = 1;
	static size_t counts[N];
	struct mw_reach *reach = row_of(N);
	for (uint32_t i = 0; i < N; i++) {
		counts[i] = next_random(&seed) % 3 ? next_random(&seed) % 4
						   : next_random(&seed) % 600;
		if (i < 4)
			counts[i] = 253 + i; /* where a byte ends */
		for (uint32_t k = 0; k < counts[i]; k++) {
			edge(reach, i, (i + k) % N);
			edge(reach, i, (i + k) % N); /* again: counts once */
		}
	}
	mw_edges_finish(&reach->edges);
	for (uint32_t i = 0; i < N; i++) {
		size_t n;
		const uint32_t *to = mw_edges_of(&reach->edges, i, &n);
		assert_int_equal(n, counts[i]);
		for (uint32_t k = 0; k < n; k++)
			assert_int_equal(to[k], (i + k) % N);
	}
	mw_reach_free(reach);
}

static void a_chain_of_a_million(void **state)
{
	(void)state;
	enum { N = 1000000 };
	for (int upward = 0; upward < 2; upward++) {
		struct mw_reach *reach = row_of(N);
		for (uint32_t i = 0; i < N; i++)
			if (i != (upward ? N - 1 : 0))
				edge(reach, i, upward ? i + 1 : i - 1);
		mw_bit_set(reach->rooted, upward ? 10 : N - 11);
		struct mw_losses losses = judge(reach);
		assert_int_equal(losses.lost.n, 10);
		assert_int_equal(losses.direct.n, 1);
		assert_int_equal(losses.direct.items[0].owned.n, 9);
		assert_int_equal(losses.direct.items[0].owned.bytes, 9 * 24);
		assert_true(mw_lost_is_direct(&losses, upward ? 0 : 9));
		mw_losses_deinit(&losses);
		mw_reach_free(reach);
	}
}

/* One block leads to more than the stack of a search holds; some of them lead on. */
static void a_fan_of_a_million(void **state)
{
	(void)state;
	enum { N = 1000000 };
	struct mw_reach *reach = row_of(N);
	for (uint32_t i = 1; i < N / 2; i++)
		edge(reach, 0, N / 2 + i);
	for (uint32_t i = 1; i < N / 2; i++)
		edge(reach, N / 2 + i, i);
	mw_bit_set(reach->rooted, 0);
	struct mw_losses losses = judge(reach);
	assert_int_equal(losses.lost.n, 1);
	assert_int_equal(losses.lost.items[0].block, N / 2);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

/* What a plain search with a queue finds, on graphs of every density. */
static void marked_as_by_searching(void **state)
{
	(void)state;
	enum { N = 3000 };
	uint64_t seed = 42;
	for (unsigned round = 0; round < 20; round++) {
		struct mw_reach *reach = row_of(N);
		static uint32_t queue[N], to[N][4];
		static bool seen[N];
		size_t n = 0, n_seen = 0;
		memset(seen, 0, sizeof(seen));
		for (uint32_t i = 0; i < N; i++)
			for (uint32_t k = 0; k < 4; k++) {
				to[i][k] = (uint32_t)(next_random(&seed) % N);
				if (next_random(&seed) % 20 > round)
					to[i][k] = i;
				edge(reach, i, to[i][k]);
			}
		for (unsigned i = 0; i <= round; i++) {
			uint32_t root = (uint32_t)(next_random(&seed) % N);
			mw_bit_set(reach->rooted, root);
			if (!seen[root])
				queue[n++] = root;
			seen[root] = true;
		}
		for (; n_seen < n; n_seen++)
			for (uint32_t k = 0; k < 4; k++) {
				uint32_t next = to[queue[n_seen]][k];
				if (!seen[next])
					queue[n++] = next;
				seen[next] = true;
			}
		struct mw_losses losses = judge(reach);
		assert_int_equal(losses.lost.n, N - n);
		uint64_t owned = 0, direct = 0;
		for (size_t i = 0; i < losses.lost.n; i++) {
			assert_false(seen[losses.lost.items[i].block]);
			if (!mw_lost_is_direct(&losses, i))
				continue;
			direct++;
			owned += losses.direct.items[losses.lost.items[i].owner].owned.n;
		}
		/* Each lost block is direct, or owned by just one that is. */
		assert_int_equal(direct + owned, losses.lost.n);
		mw_losses_deinit(&losses);
		mw_reach_free(reach);
	}
}

static const struct mw_direct *owner_of(const struct mw_losses *losses, size_t i)
{
	return &losses->direct.items[losses->lost.items[i].owner];
}

static void circles_keep_one(void **state)
{
	(void)state;
	struct mw_reach *reach = row_of(12);
	/* 0 -> 1 -> 2 -> 0; 3 -> 3; 4 -> 5, and 5 <-> 6; 8 -> 7 <-> 8 from 10 <-> 11 */
	edge(reach, 0, 1);
	edge(reach, 1, 2);
	edge(reach, 2, 0);
	edge(reach, 4, 5);
	edge(reach, 5, 6);
	edge(reach, 6, 5);
	edge(reach, 7, 8);
	edge(reach, 8, 7);
	edge(reach, 10, 11);
	edge(reach, 11, 7);
	edge(reach, 11, 10);
	mw_bit_set(reach->rooted, 9);
	struct mw_losses losses = judge(reach);
	assert_int_equal(losses.lost.n, 11);
	assert_true(mw_lost_is_direct(&losses, 0));
	assert_int_equal(owner_of(&losses, 2)->owned.n, 2);
	assert_true(mw_lost_is_direct(&losses, 3));
	assert_int_equal(owner_of(&losses, 3)->owned.n, 0);
	assert_true(mw_lost_is_direct(&losses, 4));
	assert_int_equal(owner_of(&losses, 6)->owned.n, 2);
	/* The circle of 7 and 8 came first, and turned out to hang on that of 10 and 11.
	 */
	assert_false(mw_lost_is_direct(&losses, 7));
	assert_false(mw_lost_is_direct(&losses, 8));
	assert_true(mw_lost_is_direct(&losses, 9));
	assert_int_equal(owner_of(&losses, 7)->owned.n, 3);
	assert_int_equal(owner_of(&losses, 8)->owned.n, 3);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

static void hints_make_possible(void **state)
{
	(void)state;
	struct mw_reach *reach = row_of(8);
	/* A root hints at 0, which leads to 1; reached 2 hints at 3; lost 4 hints at 5;
	 * possible 1 hints at 6; 7 leads to 6. */
	edge(reach, 0, 1);
	assert_null(mw_edges_hint(&reach->edges, 1, 6));
	assert_null(mw_edges_hint(&reach->edges, 2, 3));
	assert_null(mw_edges_hint(&reach->edges, 4, 5));
	edge(reach, 7, 6);
	mw_bit_set(reach->edges.hinted, 0);
	mw_bit_set(reach->rooted, 2);
	struct mw_losses losses = judge(reach);
	const bool want[] = { true, true, true, false, false, true, false };
	assert_int_equal(losses.lost.n, 7);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(losses.lost.items[i].possible, want[i]);
	assert_int_equal(owner_of(&losses, 0)->owned.n, 1);
	/* What is lost for good does not own what may be in use. */
	assert_int_equal(owner_of(&losses, 6)->owned.n, 0);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

/* A heap full of boxed values: that there was a hint is kept, not from where. */
static void hints_without_end(void **state)
{
	(void)state;
	enum { N = 100000 };
	struct mw_reach *reach = row_of(N);
	for (uint32_t i = 0; i < N; i++)
		for (uint32_t k = 0; k < 10; k++)
			assert_null(mw_edges_hint(&reach->edges, i, (i * 7 + k) % N));
	assert_true(reach->edges.hints.n < N);
	struct mw_losses losses = judge(reach);
	size_t possible = 0;
	for (size_t i = 0; i < losses.lost.n; i++)
		possible += losses.lost.items[i].possible;
	assert_int_equal(losses.lost.n, N);
	assert_true(possible > N / 2);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

static void words_that_are_pointers(void **state)
{
	(void)state;
	unsigned char bytes[96] = { 0 };
	struct mw_words_in in;
	struct mw_reach *reach = row_of(16);
	uint64_t plain = BASE + 32, inside = BASE + 64 + 3, end = BASE + 96 + 24;
	uint64_t tagged = (BASE + 4 * 32) | UINT64_C(0xfff8) << 48;
	uint64_t odd = BASE + 5 * 32, inside_tagged = (BASE + 6 * 32 + 8) | 1ull << 60;
	uint64_t near = BASE + 16 * MIB, last = BASE + 7 * 32;
	memcpy(bytes, &plain, 8);
	memcpy(bytes + 8, &inside, 8);
	memcpy(bytes + 16, &end, 8);
	memcpy(bytes + 24, &tagged, 8);
	memcpy(bytes + 37, &odd, 8);
	memcpy(bytes + 56, &inside_tagged, 8);
	memcpy(bytes + 64, &near, 8);
	memcpy(bytes + 83, &last, 8); /* the last bytes of an odd number of words */
	mw_words_begin(&in, reach);
	mw_words_take(&in, MW_NO_BLOCK, bytes, 96);
	assert_null(mw_words_end(&in));
	assert_true(reach->rooted[0] == (1 << 1 | 1 << 2 | 1 << 3));
	assert_true(reach->edges.hinted[0] == (1 << 4 | 1 << 5 | 1 << 7));
	mw_reach_free(reach);
}

/* At every place and of every length, an address is found where it lies whole. */
static void hints_at_every_place(void **state)
{
	(void)state;
	struct mw_reach *reach = row_of(4);
	uint64_t addr = BASE + 32;
	for (size_t len = 8; len <= 72; len += 8) {
		for (size_t place = 0; place + 8 <= len; place++) {
			unsigned char *bytes = calloc(1, len);
			struct mw_words_in in;
			assert_non_null(bytes);
			memcpy(bytes + place, &addr, 8);
			reach->rooted[0] = reach->edges.hinted[0] = 0;
			mw_words_begin(&in, reach);
			mw_words_take(&in, MW_NO_BLOCK, bytes, len);
			assert_null(mw_words_end(&in));
			assert_int_equal(reach->rooted[0], place % 8 ? 0 : 2);
			assert_int_equal(reach->edges.hinted[0], place % 8 ? 2 : 0);
			free(bytes);
		}
	}
	mw_reach_free(reach);
}

static void plain_symbols(void **state)
{
	(void)state;
	struct mw_arena arena = { 0 };
	static const char *const pairs[][2] = {
		{ "_ZTV4Node", "vtable for Node" },
		{ "_ZTVN3foo3barE", "vtable for foo::bar" },
		{ "_ZTIN12_GLOBAL__N_13barE", "typeinfo for (anonymous namespace)::bar" },
		{ "_ZTVSt9exception", "vtable for std::exception" },
		{ "_ZNSt6thread5startEv", "std::thread::start" },
		{ "_ZN3foo3barC1Ev", "foo::bar::bar" },
		{ "_ZN3foo3barD0Ev", "foo::bar::~bar" },
		{ "_ZNK3foo3barEv", "foo::bar" },
		{ "_Z4workPv", "work" },
		{ "_ZTVSt6vectorIiSaIiEE", "_ZTVSt6vectorIiSaIiEE" },
		{ "_ZTV", "_ZTV" },
		{ "_ZTV99Node", "_ZTV99Node" },
		{ "_ZTV0", "_ZTV0" },
		{ "_ZNE", "_ZNE" },
		{ "_ZN3fooC1", "_ZN3fooC1" },
		{ "PyDict_Type", "PyDict_Type" },
		{ "", "" },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_string_equal(mw_symbol_plain(&arena, pairs[i][0]), pairs[i][1]);
	mw_arena_deinit(&arena);
}

static void suppressions(void **state)
{
	(void)state;
	struct mw_heap_arena arenas[] = { { .address = 0x1000, .main = true },
					  { .address = 0x2000 } };
	struct mw_allocator glibc = { .name = "glibc", .arenas = arenas, .n_arenas = 2 };
	struct mw_heap heap = { .allocators = &glibc, .n_allocators = 1 };
	struct mw_leak_group groups[] = {
		{ .size = 104,
		  .arena = 0x1000,
		  .symbol = "vtable for A",
		  .object = "/a" },
		{ .size = 24, .arena = 0x2000, .symbol = "", .object = "" },
		{ .size = 1 << 20, .arena = 0, .symbol = "", .object = "" },
		{ .size = 72, .arena = 0x1000, .symbol = "x", .object = "/usr/lib/y.so" },
	};
	const char *const *unused;
	size_t n_unused;
	struct mw_arena arena = { 0 };
	const char *text = "# all of one kind\n\n"
			   "symbol=vtable for A size=104\n"
			   "  arena=mmapped  \r\n"
			   "size=2? arena=main\n"
			   "\tobject=*/y.so";
	assert_null(
		mw_leaks_suppress(text, groups, 4, &heap, &arena, &unused, &n_unused));
	assert_true(groups[0].suppressed && !groups[1].suppressed &&
		    groups[2].suppressed && groups[3].suppressed);
	assert_int_equal(n_unused, 1);
	assert_string_equal(unused[0], "size=2? arena=main");
	mw_arena_deinit(&arena);
}

static void rules_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = { "foo", "size",    "size=1\nsymbols=2",
					   "=x",  "size =3", "\x1b[31m" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mw_err *err = mw_leaks_check_rules(bad[i]);
		assert_non_null(err);
		assert_int_equal(err->code, MW_ERR_USAGE);
		mw_err_free(err);
	}
	assert_null(mw_leaks_check_rules(""));
	assert_null(mw_leaks_check_rules("# size\nsize=\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_in_and_around_a_block),
		cmocka_unit_test(blocks_larger_than_tiles),
		cmocka_unit_test(a_block_of_a_terabyte),
		cmocka_unit_test(areas_in_any_order),
		cmocka_unit_test(blocks_that_cannot_be),
		cmocka_unit_test(blocks_of_eight_bytes),
		cmocka_unit_test(lookups_as_by_searching),
		cmocka_unit_test(edges_of_every_count),
		cmocka_unit_test(a_chain_of_a_million),
		cmocka_unit_test(a_fan_of_a_million),
		cmocka_unit_test(marked_as_by_searching),
		cmocka_unit_test(circles_keep_one),
		cmocka_unit_test(hints_make_possible),
		cmocka_unit_test(hints_without_end),
		cmocka_unit_test(words_that_are_pointers),
		cmocka_unit_test(hints_at_every_place),
		cmocka_unit_test(plain_symbols),
		cmocka_unit_test(suppressions),
		cmocka_unit_test(rules_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
