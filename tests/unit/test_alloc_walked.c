// SPDX-License-Identifier: MIT
/*
 * Allocators that are walked block by block, on memory made by hand: what they hold is
 * found to the byte, what does not add up is unknown, and a structure that lies costs
 * neither memory nor time.
 */
#include "alloc_image.h"

static const uint64_t TEXT = 0x400000, VARS = 0x600000, HEAP = 0x1000000;
static const uint64_t BASE = 0x7f0000000000;

/* --- pymalloc -------------------------------------------------------------------- */

/* A pool of blocks of 64 bytes: n cut, `free` of them on its list. */
static void put_pool(struct alloc_world *world, uint64_t pool, unsigned arena, unsigned n,
		     unsigned n_free)
{
	uint64_t block = pool + 48, free = n_free ? block : 0;
	PUT(world, pool, n - n_free, free, 0, 0, (UINT64_C(3) << 32) | arena,
	    (UINT64_C(16320) << 32) | (48 + n * 64));
	for (unsigned i = 0; i < n; i++)
		PUT(world, block + i * 64, i + 1 < n_free ? block + (i + 1) * 64 : 0);
}

/* Two arenas, one of them not aligned to pools; the array of 16, 14 unused. */
static void put_python(struct alloc_world *world)
{
	uint64_t array = HEAP + 0x1000, a = BASE, b = BASE + 8 * MIB + 0x1000;
	alloc_file(world, TEXT, 0x1000, "r-xp", 7, "/usr/bin/python3.11");
	alloc_file(world, VARS, 0x1000, "rw-p", 7, "/usr/bin/python3.11");
	image_map(&world->image, HEAP, 0x10000, "rw-p", "[heap]");
	image_map(&world->image, BASE, MIB, "rw-p", "");
	image_map(&world->image, BASE + 8 * MIB, 2 * MIB, "rw-p", "");
	PUT(world, VARS + 0x100, HEAP + 0x2000, 5, array);
	PUT(world, array, a, a + 2 * 16384, (UINT64_C(64) << 32) | 62, 0, 0, 0);
	PUT(world, array + 48, b, b + 0x3000 + 2 * 16384, (UINT64_C(63) << 32) | 62, 0, 0,
	    array);
	for (unsigned i = 2; i < 16; i++)
		PUT(world, array + i * 48, 0, 0, 0, 0, i < 15 ? array + i * 48 + 48 : 0,
		    0);
	put_pool(world, a, 0, 100, 3);
	put_pool(world, a + 16384, 0, 255, 0);
	put_pool(world, b + 0x3000, 1, 5, 4);
	/* A pool that is free again. */
	PUT(world, b + 0x3000 + 16384, UINT64_C(0) << 32, 0, 0, 0,
	    (UINT64_C(3) << 32) | 1, 1);
}

ALLOC_TEST(pymalloc_to_the_block)
{
	put_python(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "pymalloc");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_WALKED);
	assert_string_equal(it->version, "3.11");
	assert_int_equal(it->live.n, 97 + 255 + 1);
	assert_int_equal(it->live.bytes, 64 * (97 + 255 + 1));
	assert_int_equal(it->system, 2 * MIB);
	assert_int_equal(it->unknown, 0);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->n_sizes, 1);
	assert_int_equal(it->sizes[0].size, 64);
	/* They lie in arenas, which are roots: nothing is fed. */
	assert_int_equal(world->fed.n, 0);
}

ALLOC_TEST(pymalloc_pool_that_does_not_add_up)
{
	put_python(world);
	PUT(world, BASE, 90); /* 97 are used */
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "pymalloc");
	assert_int_equal(it->unknown, 16384);
	assert_int_equal(it->live.n, 255 + 1);
	assert_false(all_checks_hold(it));
	assert_false(world->heap->settled);
}

ALLOC_TEST(pymalloc_inside_blocks_of_malloc_is_counted_once)
{
	put_python(world);
	alloc_take(world);
	size_t n = world->heap->n_areas;
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += world->heap->areas[i].end - world->heap->areas[i].start;
	assert_true(sum <= 2 * MIB + 0x10000);
}

ALLOC_TEST(pymalloc_spoilt)
{
	put_python(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- jemalloc --------------------------------------------------------------------- */

enum { JE_SLAB = 1 << 12, JE_DIRTY = 1 << 17, JE_CLASS = 20, JE_FREE = 28 };

/* An extent's record and its entries in the tree, for its first and last page. */
static void put_edata(struct alloc_world *world, uint64_t at, uint64_t bits,
		      uint64_t addr, uint64_t len, uint64_t leaf)
{
	uint64_t first = addr >> 12 & 0x3ffff, last = (addr + len - 1) >> 12 & 0x3ffff;
	PUT(world, at, bits, addr, len | 1, 0, 0);
	PUT(world, leaf + first * 8, at);
	PUT(world, leaf + last * 8, at);
}

/*
 * A base block with the leaf of the tree in it, a slab of 8 blocks of 512 bytes, 3 of
 * them free, a large block, dirty pages, and a stale record of the slab's place.
 */
static void put_jemalloc(struct alloc_world *world)
{
	const uint64_t data = BASE + 8 * MIB, edata = BASE + 0x1000;
	const uint64_t leaf = BASE + 2 * MIB, root = VARS + 0x1000;
	alloc_file(world, TEXT, 0x1000, "r-xp", 7, "/usr/lib/libjemalloc.so.2");
	alloc_file(world, VARS, 0x1000, "rw-p", 7, "/usr/lib/libjemalloc.so.2");
	image_map(&world->image, VARS + 0x1000, 2 * MIB, "rw-p", "");
	image_map(&world->image, BASE, 16 * MIB, "rw-p", "");
	PUT(world, root + (BASE >> 30) * 8, leaf);
	PUT(world, BASE, 6 * MIB, 0, 0xfff, BASE + 0x2000, 6 * MIB - 0x2000);
	/* Class 16 is 512 bytes. */
	put_edata(world, edata, 1 | JE_SLAB | 16 << JE_CLASS | UINT64_C(3) << JE_FREE,
		  data, 0x1000, leaf);
	PUT(world, edata + 64, 0x92 | UINT64_C(1) << 60); /* what is above 8 is stale */
	/* Class 41 is 40 KiB, and one page more to shift it in. */
	put_edata(world, edata + 128, 1 | UINT64_C(41) << JE_CLASS, data + 0x1000, 0xb000,
		  leaf);
	PUT(world, edata + 128 + 8, data + 0x1000 + 0x340);
	put_edata(world, edata + 256, 1 | JE_DIRTY | UINT64_C(232) << JE_CLASS,
		  data + 0xc000, 0x4000, leaf);
	PUT(world, edata + 384, 1 | 3 << JE_CLASS, data, 0x1001);
	for (unsigned i = 0; i < 4; i++)
		PUT(world, data + i * 0x1000, 1);
}

ALLOC_TEST(jemalloc_to_the_byte)
{
	put_jemalloc(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "jemalloc");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_WALKED);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->live.n, 5 + 1);
	assert_int_equal(it->live.bytes, 5 * 512 + 40 * KIB);
	assert_int_equal(it->free.bytes, 3 * 512 + 4 * 0x1000);
	assert_int_equal(it->system, 6 * MIB + 16 * 0x1000);
	/* Free blocks of the slab lie on one page with live ones. */
	assert_int_equal(it->free.pinned, 3 * 512);
	assert_int_equal(world->fed.n, it->live.n);
	assert_int_equal(world->fed.bytes, it->live.bytes);
	assert_non_null(strstr(it->note, "16.0 KiB dirty"));
}

ALLOC_TEST(jemalloc_slab_whose_bitmap_lies)
{
	put_jemalloc(world);
	PUT(world, BASE + 0x1000 + 64, 0x12);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "jemalloc");
	assert_int_equal(it->unknown, 0x1000);
	assert_int_equal(it->live.n, 1);
	assert_false(all_checks_hold(it));
}

/* tcache_t and its tcache_slow_t in a thread's variables, one bin with two blocks. */
static void put_cache(struct alloc_world *world)
{
	const uint64_t data = BASE + 8 * MIB, tcb = BASE + 32 * MIB + 0x2000;
	const uint64_t cache = tcb - 0xc00, slow = tcb - 0xe00, stack = tcb - 0x400;
	image_map(&world->image, BASE + 32 * MIB, 0x4000, "rw-p", "");
	world->heads[0] = tcb + 0x2e0;
	PUT(world, tcb, tcb, 0, tcb);
	PUT(world, tcb + 0x2d0, IMAGE_PID, 0, tcb + 0x2e0);
	PUT(world, slow, 0, 0, 0, 0, cache + 8, 0, 0, cache);
	PUT(world, cache, slow, stack, 0,
	    (stack & 0xffff) | (stack & 0xffff) << 16 | ((stack + 16) & 0xffff) << 32);
	PUT(world, stack, data, data + 1024);
}

ALLOC_TEST(jemalloc_cached_blocks_are_not_live)
{
	put_jemalloc(world);
	put_cache(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "jemalloc");
	assert_int_equal(it->tcache.n, 2);
	assert_int_equal(it->tcache.bytes, 1024);
	assert_int_equal(it->live.n, 3 + 1);
	assert_true(all_checks_hold(it));
}

ALLOC_TEST(jemalloc_spoilt)
{
	put_jemalloc(world);
	put_cache(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

ALLOC_TEST(jemalloc_that_was_never_used)
{
	alloc_file(world, TEXT, 0x1000, "r-xp", 7, "/usr/lib/libjemalloc.so.2");
	alloc_take(world);
	assert_int_equal(alloc_named(world, "jemalloc")->depth, MW_HEAP_RECOGNISED);
}

/* --- mimalloc --------------------------------------------------------------------- */

#define SECRET UINT64_C(0x2c57951d4fb010d2)

static void put_head(struct alloc_world *world, uint64_t segment, uint64_t used)
{
	PUT(world, segment + 208, used, segment ^ SECRET, 512, 1, 0, 512);
	PUT(world, segment + 264, 1, 0, 0, UINT64_C(65536) << 32);
}

static void put_slice(struct alloc_world *world, uint64_t segment, unsigned index,
		      unsigned count, unsigned len, unsigned capacity, unsigned used,
		      uint64_t free, uint64_t thread_free, uint64_t heap)
{
	PUT(world, segment + 264 + 80 * index, count,
	    (len < 65536 ? UINT64_C(64) : 1) << 32 | (uint64_t)capacity << 16, free,
	    (uint64_t)len << 32 | used, 0, thread_free, heap);
}

/*
 * A segment with a page of 64 blocks of 1008 bytes (5 cut, one on its own list, one freed
 * by another thread, one in the heap's list), one large block, and free slices; and one
 * that waits to be used again.
 */
static void put_mimalloc(struct alloc_world *world)
{
	const uint64_t a = 32 * MIB * 100, b = a + 32 * MIB, heap = BASE;
	const uint64_t blocks = a + 65536 + 384;
	alloc_file(world, TEXT, 0x10000, "r-xp", 7, "/usr/lib/libmimalloc.so.2.0");
	image_map(&world->image, a, 64 * MIB, "rw-p", "");
	image_map(&world->image, BASE, 0x1000, "rw-p", "");
	put_head(world, a, 2);
	put_slice(world, a, 1, 1, 1008, 5, 4, blocks, (blocks + 1008) | 2, heap);
	put_slice(world, a, 2, 10, 655360, 1, 1, 0, 0, heap);
	put_slice(world, a, 12, 500, 0, 0, 0, 0, 0, 0);
	PUT(world, blocks, 0);
	PUT(world, blocks + 1008, 0);
	PUT(world, blocks + 2016, 0);
	PUT(world, heap + 2840, blocks + 2016);
	put_head(world, b, 0);
}

ALLOC_TEST(mimalloc_to_the_byte)
{
	put_mimalloc(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "mimalloc");
	assert_non_null(it);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->unknown, 0);
	assert_int_equal(it->live.n, 2 + 1);
	assert_int_equal(it->live.bytes, 2 * 1008 + 655360);
	assert_int_equal(it->system, 64 * MIB);
	assert_int_equal(world->fed.n, 3);
}

ALLOC_TEST(mimalloc_list_that_is_a_circle)
{
	put_mimalloc(world);
	PUT(world, 32 * MIB * 100 + 65536 + 384, 32 * MIB * 100 + 65536 + 384);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "mimalloc");
	assert_int_equal(it->unknown, 65536);
	assert_int_equal(it->live.n, 1);
	assert_false(all_checks_hold(it));
}

ALLOC_TEST(mimalloc_spoilt)
{
	put_mimalloc(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- musl ------------------------------------------------------------------------- */

static void put_group(struct alloc_world *world, uint64_t slot, uint64_t mem,
		      unsigned available, unsigned freed, unsigned last, unsigned class,
		      uint64_t pages)
{
	PUT(world, slot, 0, 0, mem, (uint64_t)freed << 32 | available,
	    pages << 12 | class << 6 | 1 << 5 | last);
	PUT(world, mem, slot);
}

static void put_byte4(struct alloc_world *world, uint64_t addr, uint32_t value)
{
	image_put(&world->image, addr, &value, sizeof(value));
}

/*
 * A mapped group of slots of 1008 bytes (class 19): one free, one with a block of 1000
 * bytes, one whose block is shifted by 32 bytes and 900 long, and one that holds a group
 * of 7 slots of 128 bytes (class 7), of which two are used.
 */
static void put_musl(struct alloc_world *world)
{
	const uint64_t area = HEAP, group = BASE, first = group + 16, len = 1008;
	image_map(&world->image, TEXT, 0x10000, "r-xp", "/bin/program");
	image_map(&world->image, HEAP, 0x1000, "rw-p", "[heap]");
	image_map(&world->image, BASE, 0x2000, "rw-p", "");
	PUT(world, area, UINT64_C(0xc3dc310893a21306), 0, 2);
	PUT(world, area + 4000, 0);
	put_group(world, area + 24, group, 0, 1, 6, 19, 2);
	/* Headers: a zero byte, index and kind, offset. */
	put_byte4(world, first + len - 4, (1 | 4 << 5) << 8);
	put_byte4(world, first + 2 * len - 4, 7 << 13 | 2 << 16);
	put_byte4(world, first + 2 * len + 32 - 4, (2 | 5 << 5) << 8);
	put_byte4(world, first + 3 * len - 8, 1008 - 4 - 32 - 900);
	put_byte4(world, first + 3 * len - 4, (3 | 6 << 5) << 8);
	put_group(world, area + 64, first + 3 * len, 0x70, 0x0c, 6, 7, 0);
	put_byte4(world, first + 3 * len + 16 - 4, 0);
	put_byte4(world, first + 3 * len + 16 + 128 - 4, (1 | 1 << 5) << 8);
	for (unsigned i = 4; i < 7; i++)
		put_byte4(world, first + i * len - 4, i << 8);
}

ALLOC_TEST(musl_to_the_byte)
{
	put_musl(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "musl");
	assert_non_null(it);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->unknown, 0);
	/* Two of the outer group, two of the inner, three whole slots. */
	assert_int_equal(it->live.n, 2 + 2 + 3);
	assert_int_equal(it->live.bytes, 1000 + 900 + 124 + 123 + 3 * 1004);
	assert_int_equal(it->system, 0x2000 + 0x1000);
	assert_int_equal(world->fed.bytes, it->live.bytes);
}

ALLOC_TEST(musl_group_without_a_record)
{
	put_musl(world);
	PUT(world, HEAP + 64 + 16, 0);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "musl");
	assert_int_equal(it->live.n, 2 + 3);
	assert_int_equal(it->unknown, 1004);
	assert_false(all_checks_hold(it));
}

ALLOC_TEST(musl_spoilt)
{
	put_musl(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- tcmalloc --------------------------------------------------------------------- */

/* The two symbols that the library exports. */
static void put_symbols(struct image *image, uint64_t heads, uint64_t count)
{
	static const char names[] = "\0_ZN8tcmalloc11ThreadCache13thread_heaps_E\0"
				    "_ZN8tcmalloc11ThreadCache18thread_heap_count_E";
	image_elf(image, "x", 0, ".none");
	Elf64_Sym syms[3] = { 0 };
	for (unsigned i = 1; i < 3; i++) {
		syms[i].st_name = i == 1 ? 1 : 1 + 42;
		syms[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
		syms[i].st_shndx = 4;
		syms[i].st_value = i == 1 ? heads : count;
		syms[i].st_size = 8;
	}
	Elf64_Shdr *secs = (Elf64_Shdr *)(void *)(image->object + 0x500);
	secs[1].sh_size = sizeof(syms);
	secs[2].sh_size = sizeof(names);
	memcpy(image->object + 0x300, syms, sizeof(syms));
	memcpy(image->object + 0x200, names, sizeof(names));
}

static void put_span(struct alloc_world *world, uint64_t at, uint64_t leaf, uint64_t page,
		     uint64_t n, uint64_t objects, unsigned used, unsigned class,
		     unsigned location)
{
	PUT(world, at, page, n, 0, 0, objects, used | class << 16 | location << 24);
	for (uint64_t i = 0; i < n; i++)
		PUT(world, leaf + ((page + i) & 0x3ffff) * 8, at);
}

/*
 * [heap]: records, then a span of blocks of 4096 bytes (class 3: one free in the span,
 * one in the cache of a thread, one in the central cache, one live), a large block, free
 * pages.
 */
static void put_tcmalloc(struct alloc_world *world)
{
	const uint64_t spans = HEAP + 0x1000, data = HEAP + 4 * MIB, page = data >> 13;
	const uint64_t leaf = HEAP + 0x100000, cache = HEAP + 0x8000;
	const uint64_t root = VARS + 0x100000, central = VARS + 0x10000;
	alloc_file(world, TEXT, 0x1000, "r-xp", 7, "/usr/lib/libtcmalloc_minimal.so.4");
	alloc_file(world, VARS, 0x1000, "rw-p", 7, "/usr/lib/libtcmalloc_minimal.so.4");
	image_map(&world->image, VARS + 0x1000, 4 * MIB, "rw-p", "");
	image_map(&world->image, HEAP, 4 * MIB + 0x10000, "rw-p", "[heap]");
	put_symbols(&world->image, VARS - TEXT + 0x100, VARS - TEXT + 0x200);
	PUT(world, VARS + 0x100, cache);
	PUT(world, VARS + 0x200, 1);
	for (uint64_t i = 0; i < 4200 / 8; i++)
		PUT(world, cache + i * 8, 0);
	PUT(world, cache + 3 * 32, data, 1, 4, 4096);
	PUT(world, root + (page >> 18) * 8, leaf);
	/* The table is read a page at a time. */
	for (unsigned i = 0; i < 24; i++)
		PUT(world, central + i * 1216 + 8, i);
	PUT(world, central + 3 * 1216 + 128, data + 4096, data + 4096);
	PUT(world, central + 3 * 1216 + 128 + 64 * 16, 1);
	put_span(world, spans, leaf, page, 2, data + 8192, 3, 3, 0);
	put_span(world, spans + 48, leaf, page + 2, 3, 0, 1, 0, 0);
	put_span(world, spans + 96, leaf, page + 5, 3, 0, 0, 0, 1);
	PUT(world, data, 0);
	PUT(world, data + 4096, 0);
	PUT(world, data + 8192, 0);
	PUT(world, data + 12288, 1);
}

ALLOC_TEST(tcmalloc_to_the_byte)
{
	put_tcmalloc(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "tcmalloc");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_WALKED);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->live.n, 1 + 1);
	assert_int_equal(it->live.bytes, 4096 + 3 * 8192);
	assert_int_equal(it->tcache.n, 2);
	assert_int_equal(it->free.bytes, 3 * 4096 + 3 * 8192);
	assert_int_equal(it->system, 4 * MIB + 0x10000);
	assert_int_equal(world->fed.n, 2);
}

ALLOC_TEST(tcmalloc_spoilt)
{
	put_tcmalloc(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_pymalloc_to_the_block),
		cmocka_unit_test(run_pymalloc_pool_that_does_not_add_up),
		cmocka_unit_test(run_pymalloc_inside_blocks_of_malloc_is_counted_once),
		cmocka_unit_test(run_pymalloc_spoilt),
		cmocka_unit_test(run_jemalloc_to_the_byte),
		cmocka_unit_test(run_jemalloc_slab_whose_bitmap_lies),
		cmocka_unit_test(run_jemalloc_cached_blocks_are_not_live),
		cmocka_unit_test(run_jemalloc_spoilt),
		cmocka_unit_test(run_jemalloc_that_was_never_used),
		cmocka_unit_test(run_mimalloc_to_the_byte),
		cmocka_unit_test(run_mimalloc_list_that_is_a_circle),
		cmocka_unit_test(run_mimalloc_spoilt),
		cmocka_unit_test(run_musl_to_the_byte),
		cmocka_unit_test(run_musl_group_without_a_record),
		cmocka_unit_test(run_musl_spoilt),
		cmocka_unit_test(run_tcmalloc_to_the_byte),
		cmocka_unit_test(run_tcmalloc_spoilt),
	};
	return cmocka_run_group_tests_name("alloc_walked", tests, NULL, NULL);
}
