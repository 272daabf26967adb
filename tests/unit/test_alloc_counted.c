// SPDX-License-Identifier: MIT
/*
 * Runtimes whose own counters are believed, or that are only recognised; and what
 * looking for all of them costs where none is.
 */
#include "alloc_image.h"

static const uint64_t TEXT = 0x400000, VARS = 0x2000000, HEAP = 0x3000000;
static const uint64_t BASE = 0x7f0000000000;

/* --- V8 --------------------------------------------------------------------------- */

enum { V8_TO = 1 << 4, V8_FROM = 1 << 3, V8_CHUNK = 256 << 10, V8_LINKS = 33 };

static void put_chunk(struct alloc_world *world, uint64_t addr, uint64_t flags,
		      uint64_t allocated, uint64_t owner, uint64_t next, uint64_t prev)
{
	image_map(&world->image, addr, V8_CHUNK, "rw-p", "");
	PUT(world, addr, V8_CHUNK, flags, HEAP + 0x9000, addr + 0x1000, addr + V8_CHUNK,
	    allocated, 0, 0, owner);
	PUT(world, addr + V8_LINKS * 8, next, prev);
	PUT(world, addr + 62 * 8, 0);
}

/* Two pages of the new space in use, the second up to `top`; one empty; two old ones. */
static void put_v8(struct alloc_world *world)
{
	const uint64_t a = BASE, b = BASE + MIB, heap = HEAP + 0x9000;
	alloc_file(world, TEXT, 16 * MIB, "r-xp", 7, "/usr/bin/node");
	image_map(&world->image, HEAP, 0x10000, "rw-p", "[heap]");
	put_chunk(world, a, V8_TO, 0, HEAP + 0x100, b, 0);
	put_chunk(world, b, V8_TO, 0, HEAP + 0x100, 0, a);
	put_chunk(world, BASE + 2 * MIB, V8_FROM, 0, HEAP + 0x200, 0, 0);
	put_chunk(world, BASE + 3 * MIB, 4, 1000, HEAP + 0x300, 0, 0);
	put_chunk(world, BASE + 4 * MIB, 4, 2000, HEAP + 0x300, 0, 0);
	PUT(world, HEAP + 0x100 + 16, 1);
	PUT(world, HEAP + 0x200 + 16, 1);
	PUT(world, HEAP + 0x300 + 16, 2);
	PUT(world, heap - 0x1000, b + 0x1000, b + 0x1500, b + V8_CHUNK);
	PUT(world, heap, 1);
}

static const struct mw_heap_arena *arena_named(const struct mw_allocator *it,
					       const char *name)
{
	for (size_t i = 0; i < it->n_arenas; i++)
		if (!strcmp(it->arenas[i].name, name))
			return &it->arenas[i];
	fail_msg("no arena %s", name);
	return NULL;
}

ALLOC_TEST(v8_by_its_own_counters)
{
	put_v8(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "v8");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_COUNTED);
	assert_int_equal(it->system, 5 * V8_CHUNK);
	assert_int_equal(arena_named(it, "old")->live.bytes, 3000);
	/* The page before the current one is full. */
	assert_int_equal(arena_named(it, "new")->live.bytes, V8_CHUNK - 0x1000 + 0x500);
	assert_int_equal(arena_named(it, "new")->system, 3 * V8_CHUNK);
	assert_int_equal(world->heap->n_areas, 5);
}

ALLOC_TEST(v8_without_its_pointer_says_so)
{
	put_v8(world);
	PUT(world, HEAP + 0x8000, 0, 0, 0);
	alloc_take(world);
	assert_non_null(strstr(alloc_named(world, "v8")->note, "not found"));
}

ALLOC_TEST(v8_chunks_of_many_heaps_are_chance)
{
	put_v8(world);
	for (unsigned i = 0; i < 5; i++)
		PUT(world, BASE + i * MIB + 16, HEAP + i * 16);
	alloc_take(world);
	assert_int_equal(alloc_named(world, "v8")->depth, MW_HEAP_RECOGNISED);
}

ALLOC_TEST(v8_spoilt)
{
	put_v8(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- JVM -------------------------------------------------------------------------- */

static uint32_t put_entry(struct alloc_world *world, uint64_t base, uint32_t at,
			  const char *name, uint64_t value, const char *text)
{
	uint32_t name_len = (uint32_t)strlen(name) + 1,
		 data_at = (20 + name_len + 7) & ~7u;
	uint32_t len = data_at + (text ? 32 : 8);
	const uint32_t head[] = { len, 20, text ? 32 : 0, (uint32_t)(text ? 'B' : 'J'),
				  data_at };
	image_put(&world->image, base + at, head, sizeof(head));
	image_put(&world->image, base + at + 20, name, name_len);
	if (text)
		image_put(&world->image, base + at + data_at, text, strlen(text) + 1);
	else
		PUT(world, base + at + data_at, value);
	return at + len;
}

static void put_jvm(struct alloc_world *world)
{
	const uint64_t file = BASE;
	uint32_t at = 32;
	alloc_file(world, TEXT, 0x10000, "r-xp", 7, "/usr/lib/jvm/lib/server/libjvm.so");
	alloc_file(world, BASE, 0x2000, "rw-s", 8, "/tmp/hsperfdata_u/4242");
	at = put_entry(world, file, at, "java.rt.vmVersion", 0, "17.0.1");
	at = put_entry(world, file, at, "sun.gc.generation.0.space.0.name", 0, "eden");
	at = put_entry(world, file, at, "sun.gc.generation.0.space.0.used", 1000, NULL);
	at = put_entry(world, file, at, "sun.gc.generation.0.space.0.capacity", 4096,
		       NULL);
	at = put_entry(world, file, at, "sun.gc.metaspace.used", 300, NULL);
	at = put_entry(world, file, at, "sun.gc.metaspace.capacity", 400, NULL);
	at = put_entry(world, file, at, "sun.gc.generation.9.space.0.used", 7, NULL);
	const uint32_t head[] = { 0xc0c0feca, 0x01000201, at, 0, 0, 0, 32, 7 };
	image_put(&world->image, file, head, sizeof(head));
	PUT(world, file + 0x1000, 0);
}

ALLOC_TEST(jvm_by_its_own_counters)
{
	put_jvm(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "jvm");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_COUNTED);
	assert_string_equal(it->version, "17.0.1");
	assert_int_equal(it->n_arenas, 2);
	assert_int_equal(arena_named(it, "eden")->live.bytes, 1000);
	assert_int_equal(arena_named(it, "eden")->system, 4096);
	assert_int_equal(it->live.bytes, 1300);
	assert_int_equal(it->system, 4496);
}

ALLOC_TEST(jvm_counters_of_another_format)
{
	put_jvm(world);
	PUT(world, BASE, 0x0100030101000301);
	alloc_take(world);
	assert_int_equal(alloc_named(world, "jvm")->depth, MW_HEAP_RECOGNISED);
}

ALLOC_TEST(jvm_spoilt)
{
	put_jvm(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- Go --------------------------------------------------------------------------- */

static void put_go(struct alloc_world *world, const char *info, size_t len)
{
	struct image *image = &world->image;
	alloc_file(world, TEXT, 0x10000, "r-xp", 7, "/bin/program");
	image_elf(image, "x", 0, ".go.buildinfo");
	Elf64_Shdr *secs = (Elf64_Shdr *)(void *)(image->object + 0x500);
	secs[4].sh_type = SHT_PROGBITS;
	secs[4].sh_offset = 0xb00;
	secs[4].sh_size = 0x100;
	memcpy(image->object + 0xb00, "\xff Go buildinf:\x08\x02", 16);
	memcpy(image->object + 0xb20, info, len);
}

ALLOC_TEST(go_with_its_version)
{
	put_go(world, "\x08go1.19.8", 9);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "go");
	assert_non_null(it);
	assert_int_equal(it->depth, MW_HEAP_RECOGNISED);
	assert_string_equal(it->version, "go1.19.8");
}

ALLOC_TEST(go_with_a_version_that_is_none)
{
	put_go(world, "\x08\x1b[31mred!", 9);
	alloc_take(world);
	assert_string_equal(alloc_named(world, "go")->version, "");
	memcpy(world->image.object + 0xb20, "\xff", 1);
	alloc_take(world);
	assert_string_equal(alloc_named(world, "go")->version, "");
}

/* mspan of 1.19: the size of objects is its fourteenth word. */
static void put_span(struct alloc_world *world, uint64_t at, uint64_t start,
		     uint64_t pages, uint64_t len, unsigned used, unsigned state)
{
	PUT(world, at, 0, 0, 0, start, pages, 0, 0, 0, 0, 0, 0, 0, used | state << 24,
	    len, start + (len ? pages * 8192 / len * len : 0));
	PUT(world, at + 20 * 8, 1);
}

/* Eight spans: one large object, one of stacks, one dead, five of small objects. */
static void put_spans(struct alloc_world *world)
{
	const uint64_t heap = BASE, spans = HEAP + 0x1000;
	alloc_file(world, VARS, 0x1000, "rw-p", 7, "/bin/program");
	image_map(&world->image, HEAP, 0x10000, "rw-p", "");
	image_map(&world->image, BASE, 4 * MIB, "rw-p", "");
	PUT(world, VARS + 0x80, spans, 8, 16);
	for (unsigned i = 0; i < 8; i++) {
		PUT(world, spans + i * 8, HEAP + 0x2000 + i * 0x100);
		put_span(world, HEAP + 0x2000 + i * 0x100, heap + i * 0x10000, 1, 48, i,
			 1);
	}
	put_span(world, HEAP + 0x2500, heap + 0x50000, 3, 3 * 8192, 1, 1);
	PUT(world, HEAP + 0x2500 + 14 * 8, heap + 0x50000 + 20000);
	put_span(world, HEAP + 0x2600, heap + 0x60000, 4, 0, 0, 2);
	put_span(world, HEAP + 0x2700, heap + 0x70000, 4, 0, 0, 0);
}

ALLOC_TEST(go_by_its_spans)
{
	put_go(world, "\x08go1.19.8", 9);
	put_spans(world);
	alloc_take(world);
	const struct mw_allocator *it = alloc_named(world, "go");
	assert_int_equal(it->depth, MW_HEAP_COUNTED);
	assert_true(all_checks_hold(it));
	assert_int_equal(it->system, 4 * MIB);
	assert_int_equal(arena_named(it, "objects")->live.n, 0 + 1 + 2 + 3 + 4 + 1);
	assert_int_equal(arena_named(it, "objects")->live.bytes, 10 * 48 + 3 * 8192);
	assert_int_equal(arena_named(it, "stacks")->live.bytes, 4 * 8192);
	assert_int_equal(arena_named(it, "idle")->system, 4 * MIB - 12 * 8192);
}

ALLOC_TEST(go_spoilt)
{
	put_go(world, "\x08go1.19.8", 9);
	put_spans(world);
	alloc_spoil(world);
	alloc_storm(world, 4000);
}

/* --- nobody ------------------------------------------------------------------------ */

/* A process of many mappings: looking for allocators reads next to nothing of it. */
ALLOC_TEST(nobody_costs_nothing)
{
	alloc_file(world, TEXT, 0x100000, "r-xp", 7, "/bin/program");
	alloc_file(world, VARS, 0x1000, "rw-p", 7, "/bin/program");
	image_map(&world->image, HEAP, 0x10000, "rw-p", "[heap]");
	for (unsigned i = 0; i < 300; i++)
		image_map(&world->image, BASE + i * 64 * MIB, 33 * MIB, "rw-p", "");
	for (unsigned i = 0; i < 100; i++)
		for (unsigned k = 0; k < 2; k++)
			PUT(world, BASE + i * 64 * MIB + k * 2 * MIB, 1);
	world->max_reads = 300;
	alloc_take(world);
	assert_int_equal(world->heap->n_areas, 0);
	for (size_t i = 0; i < world->heap->n_allocators; i++)
		assert_string_equal(world->heap->allocators[i].name, "glibc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_v8_by_its_own_counters),
		cmocka_unit_test(run_v8_without_its_pointer_says_so),
		cmocka_unit_test(run_v8_chunks_of_many_heaps_are_chance),
		cmocka_unit_test(run_v8_spoilt),
		cmocka_unit_test(run_jvm_by_its_own_counters),
		cmocka_unit_test(run_jvm_counters_of_another_format),
		cmocka_unit_test(run_jvm_spoilt),
		cmocka_unit_test(run_go_with_its_version),
		cmocka_unit_test(run_go_with_a_version_that_is_none),
		cmocka_unit_test(run_go_by_its_spans),
		cmocka_unit_test(run_go_spoilt),
		cmocka_unit_test(run_nobody_costs_nothing),
	};
	return cmocka_run_group_tests_name("alloc_counted", tests, NULL, NULL);
}
