// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "symbols/sizes.h"

#include <string.h>

struct image {
	const uint8_t *bytes;
	size_t len;
};

static struct mw_err *read_image(void *arg, uint64_t off, void *bytes, size_t len,
				 size_t *got)
{
	const struct image *image = arg;
	size_t left = off < image->len ? image->len - (size_t)off : 0;
	*got = len < left ? len : left;
	memcpy(bytes, image->bytes + image->len - left, *got);
	return NULL;
}

static void check_symbols(struct mw_elf *elf)
{
	static const char *const names[] = { "main", "_start", "a", "" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t value = 0;
		mw_err_free(mw_elf_symbol_value(elf, names[i], &value));
	}
	for (uint64_t addr = 0; addr < 0x4000; addr += 0x3ff) {
		const char *name = NULL;
		uint64_t offset = UINT64_MAX;
		struct mw_err *err = mw_elf_symbol_at(elf, addr, &name, &offset);
		if (err)
			FUZZ_CHECK(!name);
		else
			FUZZ_CHECK(*name && offset <= addr);
		mw_err_free(err);
	}
}

static void check_sections(struct mw_elf *elf)
{
	const struct mw_elf_section *sections = NULL, *found = NULL;
	size_t n = 0, names_len = 0;
	struct mw_err *err = mw_elf_sections(elf, &sections, &n);
	mw_err_free(err);
	if (err)
		return;
	for (size_t i = 0; i < n; i++)
		names_len += strlen(sections[i].name);
	if (n && names_len) {
		mw_err_free(mw_elf_find_section(elf, sections[n - 1].name, &found));
		FUZZ_CHECK(found && !strcmp(found->name, sections[n - 1].name));
	}
}

static void check_listing(struct mw_elf *elf)
{
	struct mw_listing listing = { 0 };
	uint64_t common = 0;
	struct mw_err *err = mw_listing_make(elf, &listing);
	if (!err)
		(void)mw_sizes_of(&listing);
	mw_err_free(err);
	mw_listing_deinit(&listing);
	mw_err_free(mw_elf_common_bytes(elf, &common));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct image image = { bytes, len };
	struct mw_elf *elf = NULL;
	char hex[129];
	struct mw_err *err = mw_elf_open(read_image, &image, &elf);
	mw_err_free(err);
	if (err)
		return 0;
	size_t n = 0;
	const struct mw_elf_segment *segments = mw_elf_segments(elf, &n);
	FUZZ_CHECK(n * 32 <= len);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(mw_elf_is64(elf) || segments[i].vaddr <= UINT32_MAX);
	err = mw_elf_build_id(elf, hex);
	if (!err)
		FUZZ_CHECK(strlen(hex) % 2 == 0);
	mw_err_free(err);
	check_sections(elf);
	check_symbols(elf);
	check_listing(elf);
	mw_elf_free(elf);
	return 0;
}
