// SPDX-License-Identifier: MIT
/*
 * The driver, the plain reading of regions, threads, stacks and glibc's heaps, on memory
 * made by hand: what must be recognised, what must not, and structures that lie.
 */
#include "world.h"

#include "explain/claims.h"

static void ground_is(const char *name, unsigned perms, enum mw_class class)
{
	struct mw_region region = {
		.start = BASE,
		.end = BASE + 64 * KIB,
		.name = name,
		.perms = perms,
		.deleted = strstr(name, " (deleted)") != NULL,
		.counts = { .have = MW_HAVE_RSS | MW_HAVE_KINDS | MW_HAVE_SWAP },
	};
	struct mw_claim claim = { .class = MW_CLASS_COUNT };
	mw_classify_ground(&region, &claim);
	if (claim.class != class)
		fail_msg("\"%s\" is %s, not %s", name, mw_class_key(claim.class),
			 mw_class_key(class));
	assert_true(claim.evidence && claim.evidence[0]);
	assert_ptr_equal(claim.name, name);
}

static void ground_names(void **state)
{
	(void)state;
	const unsigned r = MW_PERM_READ, rw = MW_PERM_READ | MW_PERM_WRITE;
	const unsigned shared = rw | MW_PERM_SHARED;
	ground_is("[heap]", rw, MW_CLASS_HEAP_BRK);
	ground_is("[heap]", 0, MW_CLASS_RESERVED);
	ground_is("[stack]", rw, MW_CLASS_STACK_MAIN);
	ground_is("[vvar_vclock]", r, MW_CLASS_VVAR);
	ground_is("[anon:glibc: malloc]", rw, MW_CLASS_NAMED);
	ground_is("[anon_shmem:x]", shared, MW_CLASS_NAMED);
	ground_is("[something new]", rw, MW_CLASS_UNKNOWN);
	ground_is("/memfd:x (deleted)", shared, MW_CLASS_SHM_MEMFD);
	ground_is("/SYSV00000000 (deleted)", shared, MW_CLASS_SHM_SYSV);
	ground_is("/dev/zero (deleted)", shared, MW_CLASS_SHM_ANON);
	ground_is("/dev/zero", rw, MW_CLASS_UNKNOWN);
	ground_is("/dev/zeroes", rw, MW_CLASS_DEVICE);
	ground_is("/dev/shm/sem.x", shared, MW_CLASS_SHM_POSIX);
	ground_is("/dev/shmx", shared, MW_CLASS_DEVICE);
	ground_is("/dev/dri/card0", shared, MW_CLASS_DEVICE);
	ground_is("anon_inode:[io_uring]", shared, MW_CLASS_IO_URING);
	ground_is("anon_inode:[perf_event]", shared, MW_CLASS_PERF);
	ground_is("anon_inode:bpf-map", shared, MW_CLASS_DEVICE);
	ground_is("/[aio] (deleted)", shared, MW_CLASS_AIO);
	ground_is("/secretmem (deleted)", shared, MW_CLASS_SECRETMEM);
	ground_is("/anon_hugepage (deleted)", rw, MW_CLASS_HUGETLB);
	ground_is("", rw, MW_CLASS_UNKNOWN);
	ground_is("", rw | MW_PERM_EXEC, MW_CLASS_JIT);
	ground_is("", 0, MW_CLASS_RESERVED);
}

static void ground_files(void **state)
{
	(void)state;
	const unsigned r = MW_PERM_READ;
	ground_is("/usr/lib/locale/locale-archive", r, MW_CLASS_FILE_LOCALE);
	ground_is("/usr/lib/locale/C.utf8/LC_CTYPE", r, MW_CLASS_FILE_LOCALE);
	ground_is("/usr/lib/gconv/gconv-modules.cache", r, MW_CLASS_FILE_GCONV);
	ground_is("/f/a.ttf", r, MW_CLASS_FILE_FONT);
	ground_is("/f/a.ttf (deleted)", r, MW_CLASS_FILE_FONT);
	ground_is("/ttf", r, MW_CLASS_FILE_OTHER);
	ground_is("/x.ttf/plain", r, MW_CLASS_FILE_OTHER);
	ground_is("/i/icudtl.dat", r, MW_CLASS_FILE_ICU);
	ground_is("/j/a.jar", r, MW_CLASS_FILE_JAR);
	ground_is("/jdk/lib/modules", r, MW_CLASS_FILE_JAR);
	ground_is("/jdk/modules", r, MW_CLASS_FILE_OTHER);
	ground_is("/jdk/classes.jsa", r, MW_CLASS_JVM_CDS);
	ground_is("/d/x.sqlite", r, MW_CLASS_FILE_DB);
	ground_is("/d/ (deleted)", r, MW_CLASS_FILE_OTHER);
	ground_is("/", r, MW_CLASS_FILE_OTHER);
}

static void keys(void **state)
{
	(void)state;
	for (int a = 0; a < MW_CLASS_COUNT; a++) {
		enum mw_class back = MW_CLASS_COUNT;
		assert_true(mw_class_title((enum mw_class)a)[0]);
		assert_true(mw_class_from_key(mw_class_key((enum mw_class)a), &back));
		assert_int_equal(back, a); /* so no two classes share a key */
	}
	enum mw_class none;
	assert_false(mw_class_from_key("", &none));
}

/* A thread descriptor of glibc's layout: where its stack fields are, differs. */
static void put_thread(struct world *world, uint64_t tp, unsigned tid, uint64_t block,
		       uint64_t len, uint64_t guard_len, unsigned at)
{
	IMAGE_WORDS(&world->image, tp, tp, 0, tp);
	IMAGE_WORDS(&world->image, tp + 0x2d0, tid);
	IMAGE_WORDS(&world->image, tp + at, block, len, guard_len);
	image_put(&world->image, tp + 0xa00, "", 1);
	world->tids[world->n_tids] = (pid_t)tid;
	world->heads[world->n_tids++] = tp + 0x2e0;
}

static const uint64_t BLOCK = 256 << 10, TP = (256 << 10) - 0x1900;

static void map_block(struct world *world)
{
	image_map(&world->image, BASE, 4 * KIB, "---p", "");
	image_map(&world->image, BASE + 4 * KIB, BLOCK - 4 * KIB, "rw-p", "");
}

TEST(thread_block)
{
	map_block(world);
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_GUARD, MW_CERTAIN);
	assert_segment(&world->image, BASE + 4 * KIB, MW_CLASS_STACK_THREAD, MW_CERTAIN);
	assert_segment(&world->image, BASE + TP, MW_CLASS_TLS, MW_CERTAIN);
	assert_segment(&world->image, BASE + BLOCK - 1, MW_CLASS_TLS, MW_CERTAIN);
	const struct mw_segment *seg = image_at(&world->image, BASE + 4 * KIB);
	assert_int_equal(seg->tid, 4243);
	assert_string_equal(seg->name, "thread 4243 (worker-4243)");
}

/* An object's 16 KiB of TLS, which the dtv says lie elsewhere: one page is enough. */
TEST(thread_local_storage_by_the_dtv)
{
	const uint64_t dtv = BASE + MIB, tls = BASE + TP - 64;
	const Elf64_Phdr segs[] = {
		{ PT_LOAD, PF_R | PF_X, 0, 0, 0, 0x1000, 0x1000, 0x1000 },
		{ PT_TLS, PF_R, 0, 0, 0, 0, 16 << 10, 16 },
	};
	image_elf(&world->image, "nothing", 0, ".nothing");
	memcpy(world->image.object + 64, segs, sizeof(segs));
	((Elf64_Ehdr *)world->image.object)->e_phnum = 2;
	map_block(world);
	image_map(&world->image, dtv, 4 * KIB, "rw-p", "");
	map_file(world, BASE + 4 * MIB, 0x1000, "r-xp", 0, 7, "/lib/libc.so.6");
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	IMAGE_WORDS(&world->image, BASE + TP + 8, dtv + 16);
	IMAGE_WORDS(&world->image, dtv, 3, 0, 1, 0, tls, 0, dtv + 256, 0);
	world_classify(world, MW_ENGINE_PAGES);
	const struct mw_segment *seg = image_at(&world->image, BASE + TP);
	assert_true(seg->class == MW_CLASS_TLS && seg->start == (tls & ~UINT64_C(4095)));
}

TEST(thread_block_at_an_unknown_offset)
{
	map_block(world);
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x6d8);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 4 * KIB, MW_CLASS_STACK_THREAD, MW_CERTAIN);
}

TEST(thread_of_another_tid)
{
	map_block(world);
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	world->tids[1] = 4244;
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 8 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(thread_that_does_not_point_at_itself)
{
	map_block(world);
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	IMAGE_WORDS(&world->image, BASE + TP + 16, BASE);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 8 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(thread_block_beyond_its_mapping)
{
	map_block(world);
	put_thread(world, BASE + TP, 4243, BASE, BLOCK + MIB, 4 * KIB, 0x690);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 8 * KIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(thread_zones_and_kernel_guards)
{
	image_map(&world->image, BASE, 16 * KIB, "---p", "");
	image_map(&world->image, BASE + 16 * KIB, BLOCK - 16 * KIB, "rw-p", "");
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	world->guard = BASE + 32 * KIB;
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 12 * KIB, MW_CLASS_GUARD, MW_CERTAIN);
	assert_segment(&world->image, BASE + 32 * KIB, MW_CLASS_GUARD, MW_CERTAIN);
	assert_int_equal(image_at(&world->image, BASE + 32 * KIB)->tid, 4243);
	assert_segment(&world->image, BASE + 36 * KIB, MW_CLASS_STACK_THREAD, MW_CERTAIN);
}

/* musl: self, …, next, …, tid, …, map base, map size, stack, stack size, guard size. */
static void put_musl(struct world *world, uint64_t tp, unsigned tid, uint64_t next,
		     uint64_t base)
{
	IMAGE_WORDS(&world->image, tp, tp, 0, 0, next);
	IMAGE_WORDS(&world->image, tp + 0x30, tid, 0, 0, base, 64 * KIB, 0, 0, 8 * KIB);
}

static void map_musl(struct world *world, uint64_t base)
{
	image_map(&world->image, base, 8 * KIB, "---p", "");
	image_map(&world->image, base + 8 * KIB, 56 * KIB, "rw-p", "");
}

TEST(musl_threads_by_their_ring)
{
	uint64_t a = BASE + 64 * KIB - 0x4c8, b = a + MIB;
	map_musl(world, BASE);
	map_musl(world, BASE + MIB);
	map_file(world, BASE + 4 * MIB, 4 * KIB, "r-xp", 0, 7, "/lib/ld-musl-x.so.1");
	world->unreadable = true;
	world->tids[world->n_tids++] = 50;
	world->tids[world->n_tids++] = 51;
	put_musl(world, a, 50, b, BASE);
	put_musl(world, b, 51, a, BASE + MIB);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_GUARD, MW_CERTAIN);
	assert_segment(&world->image, BASE + 8 * KIB, MW_CLASS_STACK_THREAD, MW_CERTAIN);
	assert_segment(&world->image, b, MW_CLASS_TLS, MW_CERTAIN);
	assert_int_equal(image_at(&world->image, b)->tid, 51);
}

static const uint64_t HEAP = 0x7f0004000000;

/* libc.so.6 by name: its file need not be readable for malloc to be glibc's. */
static void map_glibc(struct world *world)
{
	world->unreadable = true;
	map_file(world, 0x7fff00000000, 4 * KIB, "r-xp", 0, 7, "/lib/libc.so.6");
}

TEST(arena_and_its_reserve)
{
	image_map(&world->image, HEAP, 132 * KIB, "rw-p", "");
	image_map(&world->image, HEAP + 132 * KIB, 64 * MIB - 132 * KIB, "---p", "");
	map_glibc(world);
	IMAGE_WORDS(&world->image, HEAP, HEAP + 0x30, 0, 132 * KIB, 132 * KIB, 4096);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, HEAP, MW_CLASS_HEAP_ARENA, MW_CERTAIN);
	assert_segment(&world->image, HEAP + 132 * KIB, MW_CLASS_HEAP_ARENA_RESERVE,
		       MW_CERTAIN);
}

TEST(arena_of_two_heaps)
{
	uint64_t second = HEAP + 64 * MIB;
	image_map(&world->image, HEAP, 128 * MIB, "rw-p", "");
	map_glibc(world);
	IMAGE_WORDS(&world->image, HEAP, HEAP + 0x30, 0, 64 * MIB, 64 * MIB, 4096);
	IMAGE_WORDS(&world->image, second, HEAP + 0x30, HEAP, MIB, 64 * MIB, 4096);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, HEAP, MW_CLASS_HEAP_ARENA, MW_CERTAIN);
	assert_segment(&world->image, second, MW_CLASS_HEAP_ARENA, MW_CERTAIN);
}

TEST(alignment_is_no_arena)
{
	image_map(&world->image, HEAP, 64 * MIB, "rw-p", "");
	image_map(&world->image, HEAP + 128 * MIB, 64 * MIB, "rw-p", "");
	map_glibc(world);
	touch(world, HEAP);
	/* A second heap whose first one is not there. */
	IMAGE_WORDS(&world->image, HEAP + 128 * MIB, HEAP + 0x30, HEAP, MIB, MIB, 4096);
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, HEAP, MW_CLASS_UNKNOWN, MW_GUESS);
	assert_segment(&world->image, HEAP + 128 * MIB, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(mapped_blocks_in_one_mapping)
{
	uint64_t second = BASE + 132 * KIB, end = second + 200 * KIB;
	image_map(&world->image, BASE, MIB, "rw-p", "");
	map_glibc(world);
	IMAGE_WORDS(&world->image, BASE, 0, 132 * KIB | 2);
	IMAGE_WORDS(&world->image, second, 0, (200 * KIB - 16) | 2); /* 2.43 */
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_HEAP_MMAP, MW_LIKELY);
	assert_segment(&world->image, second, MW_CLASS_HEAP_MMAP, MW_LIKELY);
	assert_segment(&world->image, end, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(headers_that_are_no_blocks)
{
	static const uint64_t words[][2] = {
		{ 0, 132 << 10 },              /* not IS_MMAPPED */
		{ 0, (132 << 10) | 3 },        /* PREV_INUSE as well */
		{ 0, (132 << 10) + 0x20 + 2 }, /* no whole pages */
		{ 0, (2 << 20) | 2 },          /* longer than the mapping */
		{ 64, (132 << 10) | 2 },       /* something before it */
		{ 0, 2 },
	};
	const size_t n = sizeof(words) / sizeof(*words);
	for (size_t i = 0; i < n; i++) {
		image_map(&world->image, BASE + i * 2 * MIB, MIB, "rw-p", "");
		image_put_words(&world->image, BASE + i * 2 * MIB, words[i], 2);
	}
	map_glibc(world);
	world_classify(world, MW_ENGINE_PAGES);
	for (size_t i = 0; i < n; i++)
		assert_segment(&world->image, BASE + i * 2 * MIB, MW_CLASS_UNKNOWN,
			       MW_GUESS);
}

TEST(main_stack_and_arguments)
{
	image_map(&world->image, BASE, 64 * KIB, "rw-p", "");
	image_map(&world->image, BASE + 64 * KIB, 64 * KIB, "rw-p", "[stack]");
	world->start_stack = BASE + 120 * KIB + 16;
	world->arg_start = BASE + 124 * KIB + 100;
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_STACK_MAIN, MW_LIKELY);
	assert_segment(&world->image, BASE + 120 * KIB, MW_CLASS_STACK_MAIN, MW_CERTAIN);
	assert_segment(&world->image, BASE + 124 * KIB, MW_CLASS_STACK_ARGS, MW_CERTAIN);
}

TEST(signal_stack_in_use)
{
	image_map(&world->image, BASE, 4 * KIB, "---p", "");
	image_map(&world->image, BASE + 4 * KIB, 64 * KIB, "rw-p", "");
	image_map(&world->image, BASE + 68 * KIB, 4 * KIB, "---p", "");
	world->sp = "35 0x1 0x2 0x3 0x4 0x5 0x6 0x7f0000008000 0x401000\n";
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_GUARD, MW_LIKELY);
	assert_segment(&world->image, BASE + 4 * KIB, MW_CLASS_STACK_SIGNAL, MW_LIKELY);
}

TEST(guards_need_neighbours)
{
	image_map(&world->image, BASE, 4 * KIB, "---p", "");
	image_map(&world->image, BASE + MIB, 4 * KIB, "---p", "");
	image_map(&world->image, BASE + MIB + 4 * KIB, MIB, "rw-p", "");
	image_map(&world->image, BASE + 4 * MIB, MIB, "---p", "");
	image_map(&world->image, BASE + 5 * MIB, MIB, "rw-p", "");
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_RESERVED, MW_CERTAIN);
	assert_segment(&world->image, BASE + MIB, MW_CLASS_GUARD, MW_LIKELY);
	assert_segment(&world->image, BASE + 4 * MIB, MW_CLASS_RESERVED, MW_CERTAIN);
}

TEST(code_in_a_memfd)
{
	static const char *const name = "/memfd:x (deleted)";
	map_file(world, BASE, 64 * KIB, "rw-s", 0, 5, name);
	map_file(world, BASE + MIB, 64 * KIB, "rw-s", 0, 6, name);
	map_file(world, BASE + 2 * MIB, 64 * KIB, "r-xs", 0, 6, name);
	world->unreadable = true;
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_SHM_MEMFD, MW_CERTAIN);
	assert_segment(&world->image, BASE + MIB, MW_CLASS_JIT, MW_CERTAIN);
}

/* Without page runs, a region is one thing: what most of it is. */
TEST(one_segment_a_region_from_smaps)
{
	map_block(world);
	world->smaps = "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
		       "Size: 4 kB\nRss: 0 kB\nPss: 0 kB\n"
		       "7f0000001000-7f0000040000 rw-p 00000000 00:00 0 \n"
		       "Size: 252 kB\nRss: 8 kB\nPss: 8 kB\nAnonymous: 8 kB\n";
	put_thread(world, BASE + TP, 4243, BASE, BLOCK, 4 * KIB, 0x690);
	world_classify(world, MW_ENGINE_SMAPS);
	size_t n;
	(void)mw_layout_segments(world->image.layout, &n);
	assert_int_equal(n, 2);
	assert_segment(&world->image, BASE + TP, MW_CLASS_STACK_THREAD, MW_CERTAIN);
	assert_true(image_at(&world->image, BASE + TP)->counts.rss == 8 * KIB);
	(void)mw_layout_gaps(world->image.layout, &n);
	assert_true(n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ground_names),
		cmocka_unit_test(ground_files),
		cmocka_unit_test(keys),
		cmocka_unit_test(run_thread_block),
		cmocka_unit_test(run_thread_local_storage_by_the_dtv),
		cmocka_unit_test(run_thread_block_at_an_unknown_offset),
		cmocka_unit_test(run_thread_of_another_tid),
		cmocka_unit_test(run_thread_that_does_not_point_at_itself),
		cmocka_unit_test(run_thread_block_beyond_its_mapping),
		cmocka_unit_test(run_thread_zones_and_kernel_guards),
		cmocka_unit_test(run_musl_threads_by_their_ring),
		cmocka_unit_test(run_arena_and_its_reserve),
		cmocka_unit_test(run_arena_of_two_heaps),
		cmocka_unit_test(run_alignment_is_no_arena),
		cmocka_unit_test(run_mapped_blocks_in_one_mapping),
		cmocka_unit_test(run_headers_that_are_no_blocks),
		cmocka_unit_test(run_main_stack_and_arguments),
		cmocka_unit_test(run_signal_stack_in_use),
		cmocka_unit_test(run_guards_need_neighbours),
		cmocka_unit_test(run_code_in_a_memfd),
		cmocka_unit_test(run_one_segment_a_region_from_smaps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
