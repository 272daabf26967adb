// SPDX-License-Identifier: MIT
/*
 * Allocators and language runtimes, on memory made by hand: what must be recognised,
 * what must not, and structures that try to lead a reader astray.
 */
#include "image.h"

static const uint64_t BASE = 0x200000000000;
static const uint64_t MIB = 1 << 20;
static const uint64_t KIB = 1 << 10;

#define RUN(test)                              \
	static void test(struct image *image); \
	static void run_##test(void **state)   \
	{                                      \
		(void)state;                   \
		struct image image;            \
		image_init(&image);            \
		test(&image);                  \
		image_deinit(&image);          \
	}                                      \
	static void test(struct image *image)

/* V8: size, flags, heap, area_start, area_end. */
static void put_chunk(struct image *image, uint64_t addr, uint64_t heap)
{
	image_map(image, addr, 256 * KIB, "rw-p", "");
	IMAGE_WORDS(image, addr, 256 * KIB, 4, heap, addr + 0x1148, addr + 256 * KIB);
}

RUN(v8_chunks_that_share_a_heap)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	put_chunk(image, BASE, 0x5000);
	put_chunk(image, BASE + MIB, 0x5000);
	put_chunk(image, BASE + 2 * MIB, 0x6000);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_V8_HEAP, MW_CERTAIN);
	assert_segment(image, BASE + MIB + 0x3f000, MW_CLASS_V8_HEAP, MW_CERTAIN);
	assert_segment(image, BASE + 2 * MIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(v8_area_outside_its_chunk)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	for (unsigned i = 0; i < 3; i++) {
		uint64_t addr = BASE + i * MIB;
		image_map(image, addr, 256 * KIB, "rw-p", "");
		IMAGE_WORDS(image, addr, 256 * KIB, 4, 0x5000, addr + 0x1000,
			    addr + 257 * KIB);
	}
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(v8_needs_a_big_program)
{
	image_map(image, 0x400000, MIB, "r-xp", "/bin/program");
	put_chunk(image, BASE, 0x5000);
	put_chunk(image, BASE + MIB, 0x5000);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* A 4 GiB cage: chunks begin with flags and an index. */
static void put_cage(struct image *image, uint64_t third)
{
	const uint64_t index[] = { 0, 1, third, 9, 12 };
	uint64_t at = BASE;
	for (unsigned i = 0; i < 5; i++, at += MIB) {
		image_map(image, at, 256 * KIB, "rw-p", "");
		IMAGE_WORDS(image, at, 4, index[i], 0x1234567812345678);
		if (i < 4)
			image_map(image, at + 256 * KIB, 768 * KIB, "---p", "");
	}
	at -= 768 * KIB;
	image_map(image, at, (UINT64_C(4) << 30) - (at - BASE), "---p", "");
}

RUN(v8_cage_with_rising_indices)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	put_cage(image, 5);
	image_classify(image);
	assert_segment(image, BASE + MIB, MW_CLASS_V8_HEAP, MW_CERTAIN);
}

RUN(v8_cage_with_falling_indices)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	put_cage(image, 0);
	image_classify(image);
	assert_segment(image, BASE + MIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* WebAssembly memory lies in 10 GiB of nothing; less may be anything. */
static void put_wasm(struct image *image, uint64_t above)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	put_chunk(image, BASE, 0x5000);
	put_chunk(image, BASE + MIB, 0x5000);
	image_map(image, 2 * BASE, UINT64_C(2) << 30, "---p", "");
	image_map(image, 2 * BASE + (UINT64_C(2) << 30), MIB, "rw-p", "");
	image_map(image, 2 * BASE + (UINT64_C(2) << 30) + MIB, above, "---p", "");
}

RUN(v8_wasm_memory)
{
	put_wasm(image, (UINT64_C(8) << 30) - MIB);
	image_classify(image);
	assert_segment(image, 2 * BASE + (UINT64_C(2) << 30), MW_CLASS_V8_HEAP,
		       MW_LIKELY);
}

RUN(v8_wasm_memory_with_too_little_around)
{
	put_wasm(image, UINT64_C(4) << 30);
	image_classify(image);
	assert_segment(image, 2 * BASE + (UINT64_C(2) << 30), MW_CLASS_UNKNOWN, MW_GUESS);
}

/* jemalloc: a base block whose unused part ends `end` bytes in, and one extent. */
static void put_jemalloc(struct image *image, uint64_t end, uint64_t extent)
{
	image_map(image, BASE, 8 * MIB, "rw-p", "");
	IMAGE_WORDS(image, BASE, 2 * MIB, 0, 0xe80afff, BASE + 0x10000, end - 0x10000);
	IMAGE_WORDS(image, BASE + 0x1000, UINT64_C(1) << 44 | 5 << 20 | 0x2000,
		    extent + 0x40, 0x4000 + 7);
}

RUN(jemalloc_block_and_extent)
{
	put_jemalloc(image, 2 * MIB, BASE + 4 * MIB);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_HEAP_JEMALLOC, MW_CERTAIN);
	assert_segment(image, BASE + 4 * MIB, MW_CLASS_HEAP_JEMALLOC, MW_CERTAIN);
	assert_segment(image, BASE + 4 * MIB + 0x3000, MW_CLASS_HEAP_JEMALLOC,
		       MW_CERTAIN);
	assert_segment(image, BASE + 4 * MIB + 0x4000, MW_CLASS_HEAP_JEMALLOC, MW_GUESS);
}

RUN(jemalloc_block_that_does_not_add_up)
{
	put_jemalloc(image, 2 * MIB - 8, BASE + 4 * MIB);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(jemalloc_extent_outside_the_heap)
{
	put_jemalloc(image, 2 * MIB, BASE + 8 * MIB - 0x1000);
	image_map(image, BASE + 16 * MIB, MIB, "rw-p", "");
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_HEAP_JEMALLOC, MW_CERTAIN);
	assert_segment(image, BASE + 8 * MIB - 0x1000, MW_CLASS_HEAP_JEMALLOC, MW_GUESS);
}

/* mimalloc: cookie, slices, info slices, at some place of the header. */
static void put_segment(struct image *image, uint64_t addr, uint64_t secret,
			uint64_t slices)
{
	IMAGE_WORDS(image, addr + 0xd8, addr ^ secret, slices, 1);
}

RUN(mimalloc_segments_that_share_a_secret)
{
	image_map(image, BASE, 128 * MIB, "rw-p", "");
	put_segment(image, BASE, 0x2c57951d4fb010d2, 512);
	put_segment(image, BASE + 32 * MIB, 0x2c57951d4fb010d2, 512);
	put_segment(image, BASE + 64 * MIB, 0x1111951d4fb010d2, 512);
	image_classify(image);
	assert_segment(image, BASE + 63 * MIB, MW_CLASS_HEAP_MIMALLOC, MW_CERTAIN);
	assert_segment(image, BASE + 64 * MIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(mimalloc_segment_longer_than_its_mapping)
{
	image_map(image, BASE, 64 * MIB, "rw-p", "");
	put_segment(image, BASE, 0x2c57951d4fb010d2, 512);
	put_segment(image, BASE + 32 * MIB, 0x2c57951d4fb010d2, UINT64_MAX / 2);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* musl: an area with one slot, and the group it describes. */
static void put_area(struct image *image, uint64_t addr, uint64_t next, uint64_t group,
		     uint64_t back)
{
	IMAGE_WORDS(image, addr, 0xc3dc310893a21306, next, 1, 0, 0, group, 0,
		    2 << 12 | 15 << 6);
	IMAGE_WORDS(image, group, back);
}

RUN(musl_groups_that_point_back)
{
	uint64_t heap = 0x5000000, slot = heap + 24;
	image_map(image, heap, 64 * KIB, "rw-p", "[heap]");
	image_map(image, BASE, MIB, "rw-p", "");
	/* The list of areas is a circle. */
	put_area(image, heap, heap + 0x1000, BASE, slot);
	put_area(image, heap + 0x1000, heap, BASE + 0x4000, slot + 0x1000);
	image_classify(image);
	assert_segment(image, heap + 0x1000, MW_CLASS_HEAP_MUSL, MW_CERTAIN);
	assert_segment(image, BASE + 0x1000, MW_CLASS_HEAP_MUSL, MW_CERTAIN);
	assert_segment(image, BASE + 0x5000, MW_CLASS_HEAP_MUSL, MW_CERTAIN);
	assert_segment(image, BASE + 0x6000, MW_CLASS_HEAP_MUSL, MW_LIKELY);
}

RUN(musl_group_of_another)
{
	uint64_t heap = 0x5000000;
	image_map(image, heap, 64 * KIB, "rw-p", "[heap]");
	image_map(image, BASE, MIB, "rw-p", "");
	put_area(image, heap, 0, BASE, heap + 64);
	image_classify(image);
	assert_segment(image, heap, MW_CLASS_HEAP_BRK, MW_CERTAIN);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* CPython 3.10 and later: pools of 16 KiB. */
static void put_pool(struct image *image, uint64_t addr, uint32_t arena, uint32_t class,
		     uint32_t max_next)
{
	uint32_t block = (class + 1) * 16;
	const uint32_t tail[4] = { arena, class, 48 + block, max_next };
	IMAGE_WORDS(image, addr, 3, addr + 64, 0, 0);
	image_put(image, addr + 32, tail, sizeof(tail));
}

RUN(python_pools)
{
	image_map(image, 0x400000, MIB, "r-xp", "/usr/bin/python3.11");
	image_map(image, BASE, 4 * MIB, "rw-p", "");
	put_pool(image, BASE, 0, 3, 16384 - 64);
	put_pool(image, BASE + 16 * KIB, 0, 7, 16384 - 128);
	put_pool(image, BASE + MIB, 1, 0, 16384 - 16);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_PYTHON_ARENA, MW_CERTAIN);
	assert_segment(image, BASE + 512 * KIB, MW_CLASS_PYTHON_ARENA, MW_CERTAIN);
	assert_segment(image, BASE + MIB, MW_CLASS_PYTHON_ARENA, MW_LIKELY);
	assert_segment(image, BASE + 2 * MIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(python_pool_that_contradicts_itself)
{
	image_map(image, 0x400000, MIB, "r-xp", "/usr/bin/python3.11");
	image_map(image, BASE, MIB, "rw-p", "");
	put_pool(image, BASE, 0, 3, 16384 - 80);
	put_pool(image, BASE + 16 * KIB, 0, 99, 16384 - 1600);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* Go: a variable of the program points to the table of arenas. */
static void put_go(struct image *image, uint64_t arena, uint64_t meta)
{
	uint64_t data = 0x401000, table = BASE;
	image_elf_with(image, "main", 0, ".go.buildinfo", ".bss");
	image_map(image, 0x400000, 4 * KIB, "r-xp", "/bin/program");
	image_map(image, data, 4 * KIB, "rw-p", "/bin/program");
	image_map(image, 0xc000000000, 4 * MIB, "rw-p", "");
	image_map(image, 0xc000400000, 60 * MIB, "---p", "");
	image_map(image, table, 32 * MIB, "rw-p", "");
	image_map(image, table + 64 * MIB, MIB, "rw-p", "");
	/* The first word looks like the table too, but nothing is there. */
	IMAGE_WORDS(image, data + 0x100, table + 0x1000, table);
	IMAGE_WORDS(image, 0xc000000000, 1);
	IMAGE_WORDS(image, table + ((arena + (UINT64_C(1) << 47)) >> 26) * 8, meta);
	IMAGE_WORDS(image, table + 64 * MIB, 1);
}

RUN(go_arenas_from_the_runtime_table)
{
	put_go(image, 0xc000000000, BASE + 64 * MIB);
	image_classify(image);
	assert_segment(image, 0xc000000000, MW_CLASS_GO_HEAP, MW_CERTAIN);
	assert_segment(image, 0xc000400000, MW_CLASS_RESERVED, MW_CERTAIN);
	assert_segment(image, BASE + 64 * MIB, MW_CLASS_GO_RUNTIME, MW_LIKELY);
}

RUN(go_table_with_an_arena_that_is_not_there)
{
	put_go(image, 0xd000000000, BASE + 64 * MIB);
	image_classify(image);
	assert_segment(image, 0xc000000000, MW_CLASS_GO_RUNTIME, MW_LIKELY);
}

RUN(go_table_with_metadata_that_is_not_there)
{
	put_go(image, 0xc000000000, BASE + 80 * MIB);
	image_classify(image);
	assert_segment(image, 0xc000000000, MW_CLASS_GO_RUNTIME, MW_LIKELY);
}

/* The JVM: a table of fields, as long as its entries are. */
struct vm {
	struct image *image;
	uint64_t table, strings;
};

static const uint64_t VM = 0x7f0000000000;

static uint64_t put_string(struct vm *vm, const char *text)
{
	uint64_t addr = vm->strings;
	image_put(vm->image, addr, text, strlen(text) + 1);
	vm->strings += 64;
	return addr;
}

static void put_field(struct vm *vm, const char *type, const char *field, bool is_static,
		      uint64_t value)
{
	uint64_t type_name = put_string(vm, type), field_name = put_string(vm, field);
	IMAGE_WORDS(vm->image, vm->table, type_name, field_name, 0, is_static,
		    is_static ? 0 : value, is_static ? value : 0);
	vm->table += 48;
}

/* libjvm.so: code, then variables; the table at VM + 0x1100, statics from 0x1800. */
static void put_jvm(struct image *image, uint64_t heap_start, uint64_t heap_words)
{
	struct vm vm = { image, VM + 0x1100, VM + 0x2000 };
	image_elf(image, "gHotSpotVMStructs", 0x1000, ".none");
	image_map(image, 0xf0000000, 64 * MIB, "rw-p", "");
	image_map(image, 0xf4000000, 192 * MIB, "---p", "");
	image_map(image, BASE, 16 * MIB, "rw-p", "");
	image_map(image, VM, 4 * KIB, "r-xp", "/usr/lib/jvm/libjvm.so");
	image_map(image, VM + 0x1000, 12 * KIB, "rw-p", "/usr/lib/jvm/libjvm.so");
	IMAGE_WORDS(image, VM + 0x1000, VM + 0x1100);
	put_field(&vm, "Universe", "_collectedHeap", true, VM + 0x1800);
	put_field(&vm, "CollectedHeap", "_reserved", false, 0x20);
	put_field(&vm, "MemRegion", "_start", false, 0);
	put_field(&vm, "MemRegion", "_word_size", false, 8);
	put_field(&vm, "ClassLoaderDataGraph", "_head", true, VM + 0x1808);
	put_field(&vm, "ClassLoaderData", "_klasses", false, 8);
	put_field(&vm, "ClassLoaderData", "_next", false, 16);
	put_field(&vm, "Klass", "_next_link", false, 0);
	put_field(&vm, "InstanceKlass", "_constants", false, 8);
	put_field(&vm, "Abstract_VM_Version", "_vm_major_version", true, VM + 0x1810);
	IMAGE_WORDS(image, VM + 0x1800, VM + 0x1900, VM + 0x1a00, 17);
	IMAGE_WORDS(image, VM + 0x1920, heap_start, heap_words);
	/* Loaders and classes both in circles. */
	IMAGE_WORDS(image, VM + 0x1a00, 0, BASE, VM + 0x1a00);
	IMAGE_WORDS(image, BASE, BASE + 0x100, BASE + 8 * MIB);
	IMAGE_WORDS(image, BASE + 0x100, BASE, BASE + 8 * MIB);
}

RUN(jvm_heap_and_metaspace)
{
	put_jvm(image, 0xf0000000, 32 * MIB);
	image_classify(image);
	assert_segment(image, 0xf0000000, MW_CLASS_JVM_HEAP, MW_CERTAIN);
	assert_segment(image, 0xf3fff000, MW_CLASS_JVM_HEAP, MW_CERTAIN);
	assert_segment(image, 0xf4000000, MW_CLASS_RESERVED, MW_CERTAIN);
	assert_segment(image, BASE, MW_CLASS_JVM_METASPACE, MW_CERTAIN);
	assert_segment(image, BASE + 8 * MIB, MW_CLASS_JVM_METASPACE, MW_CERTAIN);
	assert_segment(image, BASE + 4 * MIB, MW_CLASS_JVM_OTHER, MW_LIKELY);
}

RUN(jvm_heap_that_wraps_around)
{
	put_jvm(image, 0xf0000000, UINT64_MAX / 8);
	image_classify(image);
	assert_segment(image, 0xf0000000, MW_CLASS_JVM_OTHER, MW_LIKELY);
}

RUN(jvm_table_without_end)
{
	put_jvm(image, 0xf0000000, 32 * MIB);
	/* The table runs on through the strings to the end of the mapping. */
	for (uint64_t at = VM + 0x3000; at < VM + 0x4000; at += 8)
		IMAGE_WORDS(image, at, at);
	image_classify(image);
	assert_segment(image, 0xf0000000, MW_CLASS_JVM_HEAP, MW_CERTAIN);
}

RUN(jvm_whose_table_is_not_there)
{
	image_elf(image, "gHotSpotVMStructs", 0x9000, ".none");
	image_map(image, BASE, MIB, "rw-p", "");
	image_map(image, VM, 4 * KIB, "r-xp", "/usr/lib/jvm/libjvm.so");
	image_classify(image);
	size_t n;
	const struct mw_gap *gaps = mw_layout_gaps(image->layout, &n);
	assert_int_equal(n, 1);
	assert_string_equal(gaps[0].what, "parts of the JVM");
	assert_segment(image, BASE, MW_CLASS_JVM_OTHER, MW_LIKELY);
}

/* A stack with its guard, and a descriptor of glibc at its top. */
static void put_stack(struct image *image, uint64_t block, uint64_t tid)
{
	uint64_t tp = BASE + MIB - 0x940;
	image_map(image, BASE, 4 * KIB, "---p", "");
	image_map(image, BASE + 4 * KIB, MIB - 4 * KIB, "rw-p", "");
	IMAGE_WORDS(image, tp, tp, 0, tp);
	IMAGE_WORDS(image, tp + 0x2d0, tid);
	IMAGE_WORDS(image, tp + 0x690, block, MIB);
}

RUN(stack_of_a_thread_that_has_ended)
{
	put_stack(image, BASE, 0);
	image_classify(image);
	assert_segment(image, BASE + 4 * KIB, MW_CLASS_STACK_THREAD, MW_CERTAIN);
}

RUN(stack_of_a_thread_that_lives)
{
	put_stack(image, BASE, 77);
	image_classify(image);
	assert_segment(image, BASE + 4 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

RUN(stack_that_names_another_block)
{
	put_stack(image, BASE + 4 * KIB, 0);
	image_classify(image);
	assert_segment(image, BASE + 4 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* PartitionAlloc: a super page, and its metadata elsewhere. */
static void put_partition(struct image *image, uint64_t bucket)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	image_map(image, 0x1400000, 64 * KIB, "rw-p", "/bin/program");
	image_map(image, BASE, 16 * KIB, "---p", "");
	image_map(image, BASE + 16 * KIB, MIB, "rw-p", "");
	for (unsigned i = 0; i < 2; i++) {
		uint64_t meta = 2 * BASE + i * 2 * MIB;
		image_map(image, meta - 4 * KIB, 4 * KIB, "---p", "");
		image_map(image, meta, 4 * KIB, "rw-p", "");
		image_map(image, meta + 4 * KIB, 4 * KIB, "---p", "");
		IMAGE_WORDS(image, meta, 0x1400080, 0, 0, 0, BASE + 0x8000, 0, bucket);
	}
}

RUN(partition_super_pages)
{
	put_partition(image, 0x1400480);
	image_classify(image);
	assert_segment(image, BASE + 16 * KIB, MW_CLASS_HEAP_PARTITION, MW_CERTAIN);
	assert_segment(image, 2 * BASE, MW_CLASS_HEAP_PARTITION, MW_CERTAIN);
}

RUN(partition_bucket_outside_its_root)
{
	put_partition(image, 0x1400040);
	image_classify(image);
	assert_segment(image, BASE + 16 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
	assert_segment(image, 2 * BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* Metadata alone, as other programs' pages may look, say nothing. */
RUN(partition_without_super_pages)
{
	image_map(image, 0x400000, 16 * MIB, "r-xp", "/bin/program");
	image_map(image, 0x1400000, 64 * KIB, "rw-p", "/bin/program");
	image_map(image, BASE - 4 * KIB, 4 * KIB, "---p", "");
	image_map(image, BASE, 4 * KIB, "rw-p", "");
	image_map(image, BASE + 4 * KIB, 4 * KIB, "---p", "");
	IMAGE_WORDS(image, BASE, 0x1400080, 0, 0, 0, 0, 0, 0x1400480);
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_UNKNOWN, MW_GUESS);
}

/* tcmalloc takes [heap]; a name that merely begins alike is no library. */
RUN(tcmalloc_takes_brk)
{
	image_map(image, 0x5000000, 64 * KIB, "rw-p", "[heap]");
	image_map(image, BASE, MIB, "rw-p", "");
	image_map(image, VM, 4 * KIB, "r-xp", "/usr/lib/libtcmalloc.so.4");
	image_classify(image);
	assert_segment(image, 0x5000000, MW_CLASS_HEAP_TCMALLOC, MW_LIKELY);
	assert_segment(image, BASE, MW_CLASS_HEAP_TCMALLOC, MW_LIKELY);
}

RUN(tcmalloc_spans_at_the_start_of_brk)
{
	uint64_t heap = 0x5000000;
	image_map(image, heap, MIB, "rw-p", "[heap]");
	image_map(image, VM, 4 * KIB, "r-xp", "/usr/lib/libtcmalloc.so.4");
	for (unsigned i = 0; i < 8; i++)
		IMAGE_WORDS(image, heap + 0x60 + i * 48, (heap >> 13) + 2 * i, 2,
			    heap + 0x60, 0, 0, 0x10001);
	image_classify(image);
	assert_segment(image, heap, MW_CLASS_HEAP_TCMALLOC, MW_CERTAIN);
}

RUN(names_given_by_the_runtime)
{
	image_map(image, BASE, MIB, "rw-p", "[anon:tcmalloc_region_NORMAL]");
	image_map(image, BASE + 2 * MIB, MIB, "rw-p", "[anon:other]");
	image_classify(image);
	assert_segment(image, BASE, MW_CLASS_HEAP_TCMALLOC, MW_CERTAIN);
	assert_segment(image, BASE + 2 * MIB, MW_CLASS_NAMED, MW_CERTAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_v8_chunks_that_share_a_heap),
		cmocka_unit_test(run_v8_area_outside_its_chunk),
		cmocka_unit_test(run_v8_needs_a_big_program),
		cmocka_unit_test(run_v8_cage_with_rising_indices),
		cmocka_unit_test(run_v8_cage_with_falling_indices),
		cmocka_unit_test(run_v8_wasm_memory),
		cmocka_unit_test(run_v8_wasm_memory_with_too_little_around),
		cmocka_unit_test(run_jemalloc_block_and_extent),
		cmocka_unit_test(run_jemalloc_block_that_does_not_add_up),
		cmocka_unit_test(run_jemalloc_extent_outside_the_heap),
		cmocka_unit_test(run_mimalloc_segments_that_share_a_secret),
		cmocka_unit_test(run_mimalloc_segment_longer_than_its_mapping),
		cmocka_unit_test(run_musl_groups_that_point_back),
		cmocka_unit_test(run_musl_group_of_another),
		cmocka_unit_test(run_python_pools),
		cmocka_unit_test(run_python_pool_that_contradicts_itself),
		cmocka_unit_test(run_go_arenas_from_the_runtime_table),
		cmocka_unit_test(run_go_table_with_an_arena_that_is_not_there),
		cmocka_unit_test(run_go_table_with_metadata_that_is_not_there),
		cmocka_unit_test(run_jvm_heap_and_metaspace),
		cmocka_unit_test(run_jvm_heap_that_wraps_around),
		cmocka_unit_test(run_jvm_table_without_end),
		cmocka_unit_test(run_jvm_whose_table_is_not_there),
		cmocka_unit_test(run_stack_of_a_thread_that_has_ended),
		cmocka_unit_test(run_stack_of_a_thread_that_lives),
		cmocka_unit_test(run_stack_that_names_another_block),
		cmocka_unit_test(run_partition_super_pages),
		cmocka_unit_test(run_partition_bucket_outside_its_root),
		cmocka_unit_test(run_partition_without_super_pages),
		cmocka_unit_test(run_tcmalloc_takes_brk),
		cmocka_unit_test(run_tcmalloc_spans_at_the_start_of_brk),
		cmocka_unit_test(run_names_given_by_the_runtime),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
