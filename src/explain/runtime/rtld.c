// SPDX-License-Identifier: MIT
/*
 * glibc's loader allocates before there is a malloc: from pages of its own (elf/dl-
 * minimal-malloc.c), which show as small nameless mappings between the libraries. What
 * it puts there are link_map records, their names and search lists. The records form a
 * list that starts at _r_debug, an exported symbol made for debuggers; each carries a
 * pointer to itself (l_real), and that is checked.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>

enum {
	PAGE = 4096,
	R_MAP = 8, /* struct r_debug */
	L_NEXT = 3,
	L_REAL = 5,      /* words of struct link_map */
	MAP_WORDS = 120, /* its length in no version is less */
	MAX_OBJECTS = 4096,
	MAX_REGION = 1 << 20, /* larger memory is not the loader's */
	SMALL_REGION = 64 << 10,
	GLOBAL_WORDS = 64, /* of _rtld_global: its first name space */
	UNIQUE_LEN = 32,   /* struct unique_sym */
	MAX_UNIQUE = 1 << 15,
};

static struct mw_err *claim(struct mw_classify *cx, uint64_t start, uint64_t end,
			    bool certain)
{
	return mw_claim(cx,
			&(struct mw_claim){
				.start = start,
				.end = end,
				.class = MW_CLASS_LOADER_DATA,
				.confidence = certain ? MW_CERTAIN : MW_LIKELY,
				.rank = MW_RANK_SHAPE,
				.name = "link maps",
				.evidence = certain ? "records of loaded objects, in the "
						      "loader's list (_r_debug)"
						    : "beside records of loaded "
						      "objects",
			});
}

/* Small nameless mappings only: [heap] and large ones are malloc's. */
static const struct mw_region *own_region(const struct mw_classify *cx, uint64_t addr)
{
	const struct mw_region *region = mw_snapshot_find(mw_classify_snapshot(cx), addr);
	return region && !region->name[0] && mw_rt_is_heapish(region) &&
			       region->end - region->start <= MAX_REGION
		       ? region
		       : NULL;
}

static struct mw_err *claim_pages(struct mw_classify *cx, uint64_t start, uint64_t end)
{
	const struct mw_region *region = own_region(cx, start);
	if (!region)
		return NULL;
	return claim(cx, start, end < region->end ? end : region->end, true);
}

/* A mapping as small as that was made for the loader as a whole. */
static struct mw_err *claim_rest(struct mw_classify *cx, uint64_t addr)
{
	const struct mw_region *region = own_region(cx, addr);
	if (!region || region->end - region->start > SMALL_REGION)
		return NULL;
	return claim(cx, region->start, region->end, false);
}

/* A record, and the names and lists that it points to. */
static struct mw_err *claim_record(struct mw_classify *cx, uint64_t addr,
				   const uint64_t word[MAP_WORDS])
{
	struct mw_err *err = claim_pages(cx, mw_alloc_down(addr, PAGE),
					 addr + MAP_WORDS * sizeof(*word));
	uint64_t last = 0;
	for (unsigned i = 0; i < MAP_WORDS && !err; i++) {
		uint64_t page = mw_alloc_down(le64toh(word[i]), PAGE);
		if (page && page != last)
			err = claim_pages(cx, page, page + PAGE);
		last = page;
	}
	return err;
}

/*
 * C++ libraries have symbols that must be one in a process (STB_GNU_UNIQUE): their hash
 * table is { entries, size, n_elements } in the name space, and grows before malloc is
 * there.
 */
static struct mw_err *claim_unique(struct mw_classify *cx, uint64_t global)
{
	uint64_t word[GLOBAL_WORDS];
	struct mw_err *err = NULL;
	if (!mw_peek(cx, global, word, sizeof(word)))
		return NULL;
	for (unsigned i = 0; i + 2 < GLOBAL_WORDS && !err; i++) {
		uint64_t table = le64toh(word[i]), size = le64toh(word[i + 1]);
		uint64_t n = le64toh(word[i + 2]);
		if (n && n <= size && size <= MAX_UNIQUE &&
		    mw_rt_in_heapish(cx, table, table + size * UNIQUE_LEN))
			err = claim_pages(cx, mw_alloc_down(table, PAGE),
					  table + size * UNIQUE_LEN);
	}
	return err;
}

static struct mw_err *claim_records(struct mw_classify *cx, uint64_t debug, bool rest)
{
	uint64_t addr, word[MAP_WORDS];
	struct mw_err *err = NULL;
	if (!mw_rt_word(cx, debug + R_MAP, &addr))
		return NULL;
	for (unsigned i = 0; addr && i < MAX_OBJECTS && !err; i++) {
		if (!mw_peek(cx, addr, word, sizeof(word)) ||
		    le64toh(word[L_REAL]) != addr)
			break;
		err = rest ? claim_rest(cx, addr) : claim_record(cx, addr, word);
		addr = le64toh(word[L_NEXT]);
	}
	return err;
}

struct mw_err *mw_classify_rtld(struct mw_classify *cx)
{
	const struct mw_region *text = mw_rt_object(cx, "ld-linux");
	mw_auto_alloc_elf file = { 0 };
	uint64_t addr;
	struct mw_err *err = NULL;
	if (!text || !mw_alloc_elf_open(mw_classify_snapshot(cx), text, &file))
		return NULL;
	/* What is certain comes last: of equal ranks the later claim is shown. */
	if (mw_alloc_elf_value(&file, "_r_debug", &addr)) {
		err = claim_records(cx, addr, true);
		if (!err)
			err = claim_records(cx, addr, false);
	}
	if (!err && mw_alloc_elf_value(&file, "_rtld_global", &addr))
		err = claim_unique(cx, addr);
	return err;
}
