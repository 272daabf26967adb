// SPDX-License-Identifier: MIT
/* Finding glibc's malloc: files and memory made by hand, of every layout; broken ones. */
#include "libc_image.h"

#define RUN(name, minor)                              \
	static void name(struct libc *libc);          \
	static void run_##name(void **state)          \
	{                                             \
		struct libc libc;                     \
		(void)state;                          \
		libc_init(&libc, libc_layout(minor)); \
		name(&libc);                          \
		libc_deinit(&libc);                   \
	}                                             \
	static void name(struct libc *libc)

/* What must be found of a libc that is loaded once. */
static void assert_found(const struct libc *libc)
{
	assert_int_equal(libc->found.n, 1);
	const struct mw_glibc *found = &libc->found.items[0];
	assert_int_equal(found->main_arena, libc->main_arena);
	assert_int_equal(found->mp, libc->mp);
	assert_true(found->params.known);
	assert_int_equal(found->params.trim_threshold, 128 << 10);
	assert_true(found->params.dynamic);
	assert_false(found->searched);
}

static void each_layout(void (*test)(struct libc *libc))
{
	size_t n;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n);
	for (size_t i = 0; i < n; i++) {
		struct libc libc;
		libc_init(&libc, &layouts[i]);
		test(&libc);
		libc_deinit(&libc);
	}
}

static void one_with_banner(struct libc *libc)
{
	char version[16];
	libc_file(libc, LIBC_RELA, libc->layout->last);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_found(libc);
	snprintf(version, sizeof(version), "2.%u", libc->layout->last);
	assert_string_equal(libc->found.items[0].version, version);
	assert_ptr_equal(libc->found.items[0].layout, libc->layout);
	assert_int_equal(libc->n_arenas, 0); /* malloc was never used */
}

static void every_layout(void **state)
{
	(void)state;
	each_layout(one_with_banner);
}

/* What cannot be told then: where tcache's counters and links changed. */
static void one_without_banner(struct libc *libc)
{
	libc_file(libc, LIBC_RELA, 0);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_found(libc);
	const struct mw_glibc_layout *got = libc->found.items[0].layout;
	assert_memory_equal(&got->state, &libc->layout->state, sizeof(got->state));
	assert_int_equal(got->par.n_mmaps_max, libc->layout->par.n_mmaps_max);
	assert_int_equal(got->par.tcache_bins, libc->layout->par.tcache_bins);
	assert_int_equal(got->heap_info_len, libc->layout->heap_info_len);
	assert_string_equal(libc->found.items[0].version, got->versions);
}

static void no_banner(void **state)
{
	(void)state;
	each_layout(one_without_banner);
}

RUN(banner_that_lies, 27)
{
	libc_file(libc, LIBC_RELA, 17);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_found(libc);
	assert_string_equal(libc->found.items[0].layout->versions, "2.27-2.29");
}

RUN(newer_than_known, 43)
{
	libc_file(libc, LIBC_RELA, 60);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_found(libc);
	assert_string_equal(libc->found.items[0].version, "2.60");
	assert_int_equal(libc->found.items[0].layout->first, 43);
}

RUN(relr, 35)
{
	libc_file(libc, LIBC_RELR, 38);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6 (deleted)");
	libc_look(libc);
	assert_found(libc);
}

RUN(static_program, 35)
{
	libc_file(libc, LIBC_FIXED, 0);
	libc_load(libc, LIBC_BASE, "/bin/program");
	libc_look(libc);
	assert_found(libc);
}

RUN(dynamic_program, 35)
{
	Elf64_Phdr interp = { .p_type = PT_INTERP };
	libc_file(libc, LIBC_FIXED, 0);
	memcpy(libc->image.object + 64 + 2 * sizeof(interp), &interp, sizeof(interp));
	libc_load(libc, LIBC_BASE, "/bin/program");
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

RUN(loaded_twice, 35)
{
	libc_file(libc, LIBC_RELA, 36);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_load(libc, LIBC_BASE + 0x100000, "/lib/libc.so.6");
	libc_look(libc);
	assert_int_equal(libc->found.n, 2);
	assert_int_equal(libc->found.items[0].main_arena, LIBC_BASE + LIBC_ARENA);
	assert_int_equal(libc->found.items[1].main_arena, libc->main_arena);
}

RUN(read_not_loaded, 35)
{
	libc_file(libc, LIBC_RELA, 36);
	image_map(&libc->image, LIBC_BASE, 0x1000, "r--p", "/lib/libc.so.6");
	image_map(&libc->image, LIBC_BASE + 0x1000, 0x1000, "r--p", "/lib/libc.so.6");
	image_put(&libc->image, LIBC_BASE, libc->image.object, IMAGE_PAGE);
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

RUN(not_relocated_yet, 35)
{
	libc_file(libc, LIBC_RELA, 36);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_set(libc, libc->layout->state.next, 0);
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

/* A word that leads to where such a word would, but not into a malloc_state. */
RUN(only_the_distance, 35)
{
	libc_file(libc, LIBC_RELA, 36);
	libc->image.object[LIBC_DATA + LIBC_ARENA - LIBC_PAR + 0x100] = 1;
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

RUN(other_machine, 35)
{
	libc_file(libc, LIBC_RELA, 36);
	((Elf64_Ehdr *)libc->image.object)->e_machine = EM_AARCH64;
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
	assert_int_equal(libc->walk.gaps.n, 1);
}

/* The file says nothing: memory does, once malloc was used. */
static void one_scanned(struct libc *libc)
{
	libc_load(libc, LIBC_BASE, "/bin/program");
	libc_heap(libc);
	libc_top(libc);
	libc_set_par(libc, libc->layout->par.trim, 1 << 20);
	libc_look(libc);
	assert_int_equal(libc->found.n, 1);
	const struct mw_glibc *found = &libc->found.items[0];
	assert_true(found->searched);
	assert_int_equal(found->main_arena, libc->main_arena);
	assert_int_equal(found->mp, libc->mp);
	assert_memory_equal(&found->layout->state, &libc->layout->state,
			    sizeof(found->layout->state));
	assert_int_equal(found->params.trim_threshold, 1 << 20);
	assert_int_equal(libc->n_arenas, 1);
	assert_int_equal(libc->arenas[0].n_pieces, 1);
}

static void scanned(void **state)
{
	(void)state;
	each_layout(one_scanned);
}

RUN(scanned_but_unused, 35)
{
	libc_load(libc, LIBC_BASE, "/bin/program");
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

RUN(scanned_with_broken_bins, 35)
{
	libc_load(libc, LIBC_BASE, "/bin/program");
	libc_heap(libc);
	for (uint16_t i = 0; i < 10; i++)
		libc_set(libc, (uint16_t)(libc->layout->state.bins + 160 * i), 0x10);
	libc_look(libc);
	assert_int_equal(libc->found.n, 0);
}

/* Any byte of the file may be any other: it is found, or it is not. */
static void broken_files(void **state)
{
	uint64_t random = 88172645463325252U;
	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct libc libc;
		libc_init(&libc, libc_layout(35));
		libc_file(&libc, round % 2 ? LIBC_RELA : LIBC_RELR, 36);
		for (unsigned i = 0; i < 1 + round % 20; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* Where headers and tables are. */
			libc.image.object[random % 0x460] = (unsigned char)(random >> 40);
		}
		libc_load(&libc, LIBC_BASE, "/lib/libc.so.6");
		libc_look(&libc);
		libc_deinit(&libc);
	}
}

static void selection(void **state)
{
	(void)state;
	struct mw_glibc_facts facts = { .next = 0x870, .minor = 31 };
	assert_string_equal(mw_glibc_layout_select(&facts)->versions, "2.30-2.31");
	facts.chunk_len = 0x250;
	assert_string_equal(mw_glibc_layout_select(&facts)->versions, "2.27-2.29");
	facts = (struct mw_glibc_facts){ .next = 0x868, .attached = -1 };
	assert_string_equal(mw_glibc_layout_select(&facts)->versions, "2.17-2.22");
	facts = (struct mw_glibc_facts){ .next = 0x868, .attached = 1, .tcache = 1 };
	assert_string_equal(mw_glibc_layout_select(&facts)->versions, "2.26");
	facts = (struct mw_glibc_facts){ .next = 0x818, .chunk_len = 0x320 };
	assert_string_equal(mw_glibc_layout_select(&facts)->versions, "2.43-2.44");
	facts = (struct mw_glibc_facts){ .next = 0x818, .n_mmaps_max = 0x2c };
	assert_null(mw_glibc_layout_select(&facts));
}

int main(void)
{
	(void)image_at;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selection),
		cmocka_unit_test(every_layout),
		cmocka_unit_test(no_banner),
		cmocka_unit_test(run_banner_that_lies),
		cmocka_unit_test(run_newer_than_known),
		cmocka_unit_test(run_relr),
		cmocka_unit_test(run_static_program),
		cmocka_unit_test(run_dynamic_program),
		cmocka_unit_test(run_loaded_twice),
		cmocka_unit_test(run_read_not_loaded),
		cmocka_unit_test(run_not_relocated_yet),
		cmocka_unit_test(run_only_the_distance),
		cmocka_unit_test(run_other_machine),
		cmocka_unit_test(scanned),
		cmocka_unit_test(run_scanned_but_unused),
		cmocka_unit_test(run_scanned_with_broken_bins),
		cmocka_unit_test(broken_files),
	};
	return cmocka_run_group_tests_name("glibc_find", tests, NULL, NULL);
}
