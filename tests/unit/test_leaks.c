// SPDX-License-Identifier: MIT
/* What leads to a block, in a process made by hand: every kind of root, and of what is
 * none; first words; judging. */
#include "world.h"

#include "heap/leaks/reach.h"

enum { N_BLOCKS = 16, BLOCK_LEN = 56 };

/* The heap of these processes: blocks of 64 bytes with their headers. */
#define HEAP (BASE + 64 * MIB)
#define BLOCK(i) (HEAP + 16 + (uint64_t)(i)*64)

static struct mw_registers_list registers;
static uint64_t kept[4];
static size_t n_kept;

static struct mw_err *list_kept(struct mw_source *src, pid_t pid, struct mw_words *out)
{
	(void)src, (void)pid;
	out->items = calloc(4, sizeof(*out->items));
	if (!out->items)
		return mw_err_nomem();
	memcpy(out->items, kept, n_kept * sizeof(*kept));
	out->n = n_kept;
	out->cap = 4;
	return NULL;
}

/* Its own mapping, all of it there. */
static void make_heap(struct world *world)
{
	image_map(&world->image, HEAP, 4096, "rw-p", "");
	touch(world, HEAP + 4095);
}

static struct mw_reach *gather(struct world *world, bool still)
{
	struct image *image = &world->image;
	struct mw_snapshot_opts opts = { .engine = MW_ENGINE_PAGES,
					 .want = MW_WANT_THREADS };
	static struct mw_source_ops ops;
	struct mw_heap_opts heap_opts = { .still = still, .registers = &registers };
	struct mw_reach *reach = calloc(1, sizeof(*reach));
	mw_auto_memory mem = { 0 };
	ops = *image->src.ops;
	ops.list_kept = list_kept;
	image->src.ops = &ops;
	assert_non_null(reach);
	assert_null(mw_snapshot_take(&image->src, IMAGE_PID, &opts, &image->snap));
	reach->snap = image->snap;
	assert_null(mw_memory_init(&mem, image->snap, MW_READ_CONTENTS, 1 << 16));
	assert_null(mw_kinds_init(&reach->kinds, image->snap));
	assert_null(mw_heap_take(image->snap, &heap_opts, &reach->heap));
	assert_null(mw_block_map_init(&reach->map));
	assert_null(mw_block_map_area(&reach->map, HEAP, HEAP + 4096));
	for (uint64_t i = 0; i < N_BLOCKS; i++) {
		struct mw_block block = { BLOCK(i), BLOCK_LEN };
		assert_null(mw_block_map_add(&reach->map, &block, 1));
	}
	assert_null(mw_block_map_finish(&reach->map));
	assert_null(mw_edges_init(&reach->edges, N_BLOCKS));
	reach->rooted = mw_bits_new(N_BLOCKS);
	assert_non_null(reach->rooted);
	assert_null(mw_reach_contents(reach, &mem));
	assert_null(mw_reach_roots(reach, &mem, &heap_opts));
	assert_int_equal(image->n_faults, 0);
	free(registers.items);
	registers = (struct mw_registers_list){ 0 };
	n_kept = 0;
	return reach;
}

/* Bits of the blocks that something outside the heap leads to. */
static uint64_t rooted(struct world *world)
{
	struct mw_reach *reach = gather(world, true);
	uint64_t ret = reach->rooted[0];
	mw_reach_free(reach);
	return ret;
}

static void put(struct world *world, uint64_t addr, uint64_t word)
{
	image_put_words(&world->image, addr, &word, 1);
}

static void add_thread(pid_t tid, uint64_t sp, uint64_t tp, uint64_t word)
{
	registers.items =
		realloc(registers.items, (registers.n + 1) * sizeof(*registers.items));
	assert_non_null(registers.items);
	registers.items[registers.n++] = (struct mw_registers){
		.tid = tid, .sp = sp, .tp = tp, .n = 1, .words = { word }
	};
}

TEST(registers_and_what_the_kernel_keeps)
{
	make_heap(world);
	add_thread(IMAGE_PID, 0, 0, BLOCK(1));
	add_thread(IMAGE_PID + 1, 0, 0, BLOCK(2) + 8);
	kept[0] = BLOCK(4);
	n_kept = 1;
	assert_int_equal(rooted(world), 1 << 1 | 1 << 2 | 1 << 4);
}

TEST(a_stack_below_its_pointer_is_no_root)
{
	const uint64_t stack = BASE + 128 * MIB, sp = stack + 0x8000;
	make_heap(world);
	image_map(&world->image, stack, 64 * KIB, "rw-p", "[stack]");
	put(world, sp - 512, BLOCK(1));
	put(world, sp - 136, BLOCK(2));
	put(world, sp - 128, BLOCK(3)); /* the red zone */
	put(world, sp + 8, BLOCK(4));
	put(world, stack + 64 * KIB - 8, BLOCK(5));
	add_thread(IMAGE_PID, sp, 0, 0);
	assert_int_equal(rooted(world), 1 << 3 | 1 << 4 | 1 << 5);
}

TEST(without_registers_a_whole_stack_counts)
{
	const uint64_t stack = BASE + 128 * MIB;
	make_heap(world);
	image_map(&world->image, stack, 64 * KIB, "rw-p", "[stack]");
	put(world, stack + 512, BLOCK(1));
	struct mw_reach *reach = gather(world, true);
	assert_int_equal(reach->rooted[0], 1 << 1);
	assert_true(reach->unsure);
	mw_reach_free(reach);
}

/* A thread whose block is not known, but there is a guard, and its pointer above. */
TEST(a_stack_by_its_guard_and_thread_pointer)
{
	const uint64_t stack = BASE + 128 * MIB, end = stack + 64 * KIB;
	const uint64_t sp = end - 0x2000;
	make_heap(world);
	image_map(&world->image, stack - 4096, 4096, "---p", "");
	image_map(&world->image, stack, 64 * KIB, "rw-p", "");
	put(world, sp - 4096, BLOCK(1));
	put(world, sp, BLOCK(2));
	add_thread(IMAGE_PID, sp, end - 0x940, 0);
	assert_int_equal(rooted(world), 1 << 2);
}

/* Any mapping that a stack pointer is in need not be a stack: a coroutine's, a signal's.
 */
TEST(other_memory_with_a_stack_pointer_in_it_counts_whole)
{
	const uint64_t stack = BASE + 128 * MIB;
	make_heap(world);
	image_map(&world->image, stack, 64 * KIB, "rw-p", "");
	put(world, stack + 64, BLOCK(1));
	add_thread(IMAGE_PID, stack + 0x8000, stack + MIB, 0);
	assert_int_equal(rooted(world), 1 << 1);
}

TEST(the_stack_of_a_thread_that_ended)
{
	const uint64_t start = BASE + 128 * MIB, end = start + 4096 + 64 * KIB;
	const uint64_t tp = end - 0x940;
	make_heap(world);
	image_map(&world->image, start, 4096, "---p", "");
	image_map(&world->image, start + 4096, 64 * KIB, "rw-p", "");
	put(world, end - 0x3000, BLOCK(1));
	put(world, tp, tp);
	put(world, tp + 8, BLOCK(2) + 16); /* its dtv is handed on */
	put(world, tp + 16, tp);
	put(world, tp + 0x690, start);
	put(world, tp + 0x698, end - start);
	put(world, tp + 0x700, BLOCK(3)); /* what its function returned */
	assert_int_equal(rooted(world), 1 << 2);
}

TEST(memory_of_every_kind)
{
	const uint64_t at = BASE + 128 * MIB;
	make_heap(world);
	image_map(&world->image, at, 4096, "rw-p", "/lib/x.so");        /* .data */
	image_map(&world->image, at + 4096, 4096, "r--p", "/lib/x.so"); /* RELRO */
	image_map(&world->image, at + 8192, 4096, "rw-s", "/dev/shm/x");
	image_map(&world->image, at + 12288, 4096, "r-xp", "");
	image_map(&world->image, at + 16384, 4096, "---p", "");
	for (unsigned i = 0; i < 5; i++)
		put(world, at + 4096 * i + 40, BLOCK(i));
	assert_int_equal(rooted(world), 0x1f);
}

/* Values between blocks, behind them, and in no heap; words that are not whole. */
TEST(what_is_no_pointer)
{
	const uint64_t at = BASE + 128 * MIB;
	make_heap(world);
	image_map(&world->image, at, 4096, "rw-p", "");
	put(world, at, BLOCK(1) - 1);
	put(world, at + 8, BLOCK(N_BLOCKS) + 8);
	put(world, at + 16, HEAP);
	put(world, at + 24, HEAP + 4096);
	put(world, at + 32, ~BLOCK(2));
	put(world, at + 41, BLOCK(3));
	assert_int_equal(rooted(world), 0);
}

TEST(from_block_to_block)
{
	const uint64_t at = BASE + 128 * MIB;
	make_heap(world);
	image_map(&world->image, at, 4096, "rw-p", "");
	put(world, at, BLOCK(0));
	put(world, BLOCK(0) + 8, BLOCK(1) + 3);
	put(world, BLOCK(1) + 48, BLOCK(2) + BLOCK_LEN); /* one past its end */
	put(world, BLOCK(2) - 8, BLOCK(5));              /* a header: no pointer */
	put(world, BLOCK(3), BLOCK(4));
	put(world, BLOCK(4), BLOCK(3));
	struct mw_reach *reach = gather(world, true);
	struct mw_losses losses = { 0 };
	assert_int_equal(reach->edges.targets.n, 4);
	assert_null(mw_reach_mark(reach, &losses));
	assert_int_equal(reach->rooted[0], 7);
	assert_int_equal(losses.lost.n, N_BLOCKS - 3);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

static struct mw_leaks *judge(struct mw_reach *reach, bool contents,
			      const char *suppressions)
{
	struct mw_leaks *leaks = NULL;
	struct mw_leaks_opts opts = { .heap = { .still = true },
				      .contents = contents,
				      .suppressions = suppressions };
	assert_null(mw_reach_judge(reach, &opts, &leaks));
	return leaks;
}

/* Two objects that begin with the same vtable, one with another word; all else is used.
 */
TEST(groups_by_first_words)
{
	const uint64_t at = BASE + 128 * MIB, object = BASE + 192 * MIB;
	make_heap(world);
	image_map(&world->image, at, 4096, "rw-p", "");
	map_file(world, object, 4096, "r--p", 0, 99, "/lib/x.so");
	image_elf(&world->image, "_ZTVN3app4NodeE", 0x100, ".data.rel.ro");
	for (unsigned i = 0; i < N_BLOCKS; i++)
		if (i != 3 && i != 5 && i != 7 && i != 8)
			put(world, at + i * 8, BLOCK(i));
	put(world, BLOCK(3), object + 0x100);
	put(world, BLOCK(5) + 8, object + 0x100);
	put(world, BLOCK(7), 0x4141414141414141);
	put(world, BLOCK(7) + 8, BLOCK(8));
	add_thread(IMAGE_PID, 0, 0, 0);
	struct mw_reach *reach = gather(world, true);
	struct mw_leaks *leaks = judge(reach, true, "symbol=vtable for *");
	assert_int_equal(leaks->leaked.n, 2);
	assert_int_equal(leaks->leaked.bytes, 2 * BLOCK_LEN);
	assert_int_equal(leaks->suppressed.n, 2);
	assert_int_equal(leaks->direct.n, 1);
	assert_int_equal(leaks->indirect.n, 1);
	assert_int_equal(leaks->n_groups, 3);
	const struct mw_leak_group *g = leaks->groups;
	assert_true(g[0].direct && g[0].sample == BLOCK(3) && g[0].suppressed);
	assert_string_equal(g[0].symbol, "vtable for app::Node");
	assert_string_equal(g[0].object, "/lib/x.so");
	assert_true(g[1].direct && g[1].sample == BLOCK(7));
	assert_int_equal(g[1].owned.n, 1);
	assert_int_equal(g[1].confidence, MW_LEAK_LIKELY);
	assert_int_equal(g[1].head_len, BLOCK_LEN);
	assert_memory_equal(g[1].head, "AAAAAAAA", 8);
	assert_true(!g[2].direct && g[2].sample == BLOCK(8));
	/* The same two kinds among all that lives. */
	assert_int_equal(leaks->n_live_groups, 2);
	assert_string_equal(leaks->live_groups[1].symbol, "vtable for app::Node");
	assert_int_equal(leaks->live_groups[1].blocks.n, 2);
	assert_int_equal(leaks->live_groups[0].blocks.n, N_BLOCKS - 2);
	assert_true(leaks->n_blind > 0);
	mw_leaks_free(leaks);
}

TEST(no_contents_where_none_are_wanted)
{
	make_heap(world);
	put(world, BLOCK(7), 0x4141414141414141);
	add_thread(IMAGE_PID, 0, 0, 0);
	struct mw_leaks *leaks = judge(gather(world, true), false, NULL);
	for (size_t i = 0; i < leaks->n_groups; i++)
		assert_int_equal(leaks->groups[i].head_len, 0);
	assert_int_equal(leaks->leaked.n, N_BLOCKS);
	mw_leaks_free(leaks);
}

/* Of a process that ran meanwhile nothing is more than possible. */
TEST(a_running_process_only_possibly_leaks)
{
	make_heap(world);
	struct mw_leaks *leaks = judge(gather(world, false), false, NULL);
	assert_int_equal(leaks->leaked.n, 0);
	assert_int_equal(leaks->possible.n, N_BLOCKS);
	mw_leaks_free(leaks);
}

/* The whole way where there is no heap at all: an answer, and a gap. */
TEST(a_process_without_a_heap)
{
	struct mw_snapshot_opts snap_opts = { .engine = MW_ENGINE_PAGES,
					      .want = MW_WANT_THREADS };
	struct mw_leaks_opts opts = { .heap = { .still = true } };
	struct mw_reach *reach = NULL;
	make_heap(world);
	assert_null(mw_snapshot_take(&world->image.src, IMAGE_PID, &snap_opts,
				     &world->image.snap));
	assert_null(mw_reach_gather(world->image.snap, &opts, &reach));
	struct mw_leaks *leaks = judge(reach, true, NULL);
	assert_int_equal(leaks->live.n, 0);
	assert_int_equal(leaks->leaked.n, 0);
	bool told = false;
	for (size_t i = 0; i < leaks->n_gaps; i++)
		told = told || !strcmp(leaks->gaps[i].what, "leaks");
	assert_true(told);
	mw_leaks_free(leaks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_registers_and_what_the_kernel_keeps),
		cmocka_unit_test(run_a_stack_below_its_pointer_is_no_root),
		cmocka_unit_test(run_without_registers_a_whole_stack_counts),
		cmocka_unit_test(run_a_stack_by_its_guard_and_thread_pointer),
		cmocka_unit_test(
			run_other_memory_with_a_stack_pointer_in_it_counts_whole),
		cmocka_unit_test(run_the_stack_of_a_thread_that_ended),
		cmocka_unit_test(run_memory_of_every_kind),
		cmocka_unit_test(run_what_is_no_pointer),
		cmocka_unit_test(run_from_block_to_block),
		cmocka_unit_test(run_groups_by_first_words),
		cmocka_unit_test(run_no_contents_where_none_are_wanted),
		cmocka_unit_test(run_a_running_process_only_possibly_leaks),
		cmocka_unit_test(run_a_process_without_a_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
