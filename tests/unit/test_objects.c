// SPDX-License-Identifier: MIT
/*
 * ELF objects: which of their parts lies where, told by headers, by permissions where
 * the file cannot be read, and not at all where the headers lie.
 */
#include "world.h"

/* Text, constants, data with RELRO and bss: 4 KiB of file each, 8 KiB of bss. */
static void put_object(struct world *world)
{
	const Elf64_Phdr segs[] = {
		{ PT_LOAD, PF_R, 0, 0, 0, 0x1000, 0x1000, 0x1000 },
		{ PT_LOAD, PF_R | PF_X, 0x1000, 0x1000, 0, 0x1000, 0x1000, 0x1000 },
		{ PT_LOAD, PF_R | PF_W, 0x2e00, 0x3e00, 0, 0x1300, 0x4200, 0x1000 },
		{ PT_GNU_RELRO, PF_R, 0x2e00, 0x3e00, 0, 0x200, 0x200, 1 },
	};
	image_elf(&world->image, "nothing", 0, ".nothing");
	memcpy(world->image.object + 64, segs, sizeof(segs));
	((Elf64_Ehdr *)world->image.object)->e_phnum = 4;
}

/* The object above, loaded at `base`; the loader made its first data page read-only. */
static void map_object(struct world *world, uint64_t base, const char *name)
{
	map_file(world, base, 0x1000, "r--p", 0, 7, name);
	map_file(world, base + 0x1000, 0x1000, "r-xp", 0x1000, 7, name);
	map_file(world, base + 0x2000, 0x1000, "---p", 0x2000, 7, name);
	map_file(world, base + 0x3000, 0x1000, "r--p", 0x2000, 7, name);
	map_file(world, base + 0x4000, 0x2000, "rw-p", 0x3000, 7, name);
	image_map(&world->image, base + 0x6000, 0x10000, "rw-p", "");
}

static void check_object(struct world *world, uint64_t base, enum mw_class text)
{
	struct image *image = &world->image;
	assert_segment(image, base, text + 1, MW_CERTAIN);
	assert_segment(image, base + 0x1000, text, MW_CERTAIN);
	assert_segment(image, base + 0x2000, MW_CLASS_RESERVED, MW_CERTAIN);
	assert_segment(image, base + 0x3000, text + 2, MW_CERTAIN);
	assert_segment(image, base + 0x4000, text + 3, MW_CERTAIN);
	/* The last page of the file holds 0x100 bytes of data, and bss. */
	assert_segment(image, base + 0x5000, text + 4, MW_CERTAIN);
	assert_segment(image, base + 0x7000, text + 4, MW_CERTAIN);
	assert_segment(image, base + 0x8000, MW_CLASS_UNKNOWN, MW_GUESS);
}

TEST(parts_of_a_library_loaded_twice)
{
	put_object(world);
	map_object(world, BASE, "/lib/libx.so (deleted)");
	map_object(world, BASE + MIB, "/lib/libx.so (deleted)");
	world_classify(world, MW_ENGINE_PAGES);
	check_object(world, BASE, MW_CLASS_LIB_TEXT);
	check_object(world, BASE + MIB, MW_CLASS_LIB_TEXT);
}

TEST(program_and_loader_by_the_kernels_word)
{
	put_object(world);
	map_object(world, BASE, "/some/where");
	world->phdr = BASE + 64;
	world_classify(world, MW_ENGINE_PAGES);
	check_object(world, BASE, MW_CLASS_EXE_TEXT);
	mw_layout_free(world->image.layout);
	mw_snapshot_free(world->image.snap);
	world->phdr = 0;
	world->base = BASE;
	world_classify(world, MW_ENGINE_PAGES);
	check_object(world, BASE, MW_CLASS_LOADER_TEXT);
}

TEST(objects_that_cannot_be_read)
{
	size_t n;
	world->unreadable = true;
	map_object(world, BASE, "/lib/libx.so");
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_LIB_RODATA, MW_LIKELY);
	assert_segment(&world->image, BASE + 0x1000, MW_CLASS_LIB_TEXT, MW_LIKELY);
	assert_segment(&world->image, BASE + 0x4000, MW_CLASS_LIB_DATA, MW_LIKELY);
	const struct mw_gap *gaps = mw_layout_gaps(world->image.layout, &n);
	assert_true(n > 0);
	assert_string_equal(gaps[0].what, "/lib/libx.so");
	assert_string_equal(gaps[0].why, "not for you");
}

TEST(files_that_are_no_objects)
{
	memset(world->image.object, 'x', IMAGE_PAGE);
	map_file(world, BASE, 0x1000, "r-xp", 0, 7, "/lib/program.dll");
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE, MW_CLASS_FILE_OTHER, MW_CERTAIN);
}

TEST(headers_that_claim_the_world)
{
	const Elf64_Phdr huge = { PT_LOAD, PF_R | PF_X,    0,          0,
				  0,       UINT64_MAX / 2, UINT64_MAX, 0x1000 };
	put_object(world);
	memcpy(world->image.object + 64, &huge, sizeof(huge));
	map_object(world, BASE, "/lib/libx.so");
	image_map(&world->image, BASE + MIB, MIB, "rw-p", "");
	world_classify(world, MW_ENGINE_PAGES);
	assert_segment(&world->image, BASE + 0x4000, MW_CLASS_LIB_DATA, MW_CERTAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_parts_of_a_library_loaded_twice),
		cmocka_unit_test(run_program_and_loader_by_the_kernels_word),
		cmocka_unit_test(run_objects_that_cannot_be_read),
		cmocka_unit_test(run_files_that_are_no_objects),
		cmocka_unit_test(run_headers_that_claim_the_world),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
