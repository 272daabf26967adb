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
	MAX_HULLS = 32,
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

/* Of one region: from the lowest page that is surely the loader's to the highest. */
struct hull {
	const struct mw_region *region;
	uint64_t start, end;
};

struct rtld {
	struct mw_classify *cx;
	bool gather; /* only notes where it would claim */
	struct hull hulls[MAX_HULLS];
	size_t n_hulls;
};

static void extend_hull(struct rtld *rtld, const struct mw_region *region, uint64_t start,
			uint64_t end)
{
	size_t i = 0;
	while (i < rtld->n_hulls && rtld->hulls[i].region != region)
		i++;
	struct hull *hull = &rtld->hulls[i];
	if (i == MAX_HULLS)
		return;
	if (i == rtld->n_hulls) {
		*hull = (struct hull){ region, start, end };
		rtld->n_hulls++;
	}
	hull->start = start < hull->start ? start : hull->start;
	hull->end = end > hull->end ? end : hull->end;
}

static struct mw_err *claim_pages(struct rtld *rtld, uint64_t start, uint64_t end)
{
	const struct mw_region *region = own_region(rtld->cx, start);
	if (!region)
		return NULL;
	end = mw_alloc_up(end, PAGE);
	end = end < region->end ? end : region->end;
	if (!rtld->gather)
		return claim(rtld->cx, start, end, true);
	extend_hull(rtld, region, start, end);
	return NULL;
}

/*
 * What lies between is the loader's as well: it takes pages one after the other, and at
 * most one more than it uses. Not the whole region: the kernel merges it with what the
 * program maps beside it.
 */
static struct mw_err *claim_hulls(struct rtld *rtld)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < rtld->n_hulls && !err; i++) {
		const struct hull *hull = &rtld->hulls[i];
		uint64_t end = hull->end + PAGE;
		if (end > hull->region->end)
			end = hull->region->end;
		err = claim(rtld->cx, hull->start, end, false);
	}
	return err;
}

/* A record, and the names and lists that it points to. */
static struct mw_err *claim_record(struct rtld *rtld, uint64_t addr,
				   const uint64_t word[MAP_WORDS])
{
	struct mw_err *err = claim_pages(rtld, mw_alloc_down(addr, PAGE),
					 addr + MAP_WORDS * sizeof(*word));
	uint64_t last = 0;
	for (unsigned i = 0; i < MAP_WORDS && !err; i++) {
		uint64_t page = mw_alloc_down(le64toh(word[i]), PAGE);
		if (page && page != last)
			err = claim_pages(rtld, page, page + PAGE);
		last = page;
	}
	return err;
}

/*
 * C++ libraries have symbols that must be one in a process (STB_GNU_UNIQUE): their hash
 * table is { entries, size, n_elements } in the name space, and grows before malloc is
 * there.
 */
static struct mw_err *claim_unique(struct rtld *rtld, uint64_t global)
{
	uint64_t word[GLOBAL_WORDS];
	struct mw_err *err = NULL;
	if (!mw_peek(rtld->cx, global, word, sizeof(word)))
		return NULL;
	for (unsigned i = 0; i + 2 < GLOBAL_WORDS && !err; i++) {
		uint64_t table = le64toh(word[i]), size = le64toh(word[i + 1]);
		uint64_t n = le64toh(word[i + 2]);
		if (n && n <= size && size <= MAX_UNIQUE &&
		    mw_rt_in_heapish(rtld->cx, table, table + size * UNIQUE_LEN))
			err = claim_pages(rtld, mw_alloc_down(table, PAGE),
					  table + size * UNIQUE_LEN);
	}
	return err;
}

static struct mw_err *claim_records(struct rtld *rtld, uint64_t debug)
{
	uint64_t addr, word[MAP_WORDS];
	struct mw_err *err = NULL;
	if (!mw_rt_word(rtld->cx, debug + R_MAP, &addr))
		return NULL;
	for (unsigned i = 0; addr && i < MAX_OBJECTS && !err; i++) {
		if (!mw_peek(rtld->cx, addr, word, sizeof(word)) ||
		    le64toh(word[L_REAL]) != addr)
			break;
		err = claim_record(rtld, addr, word);
		addr = le64toh(word[L_NEXT]);
	}
	return err;
}

struct mw_err *mw_classify_rtld(struct mw_classify *cx)
{
	const struct mw_region *text = mw_rt_object(cx, "ld-linux");
	mw_auto_alloc_elf file = { 0 };
	struct rtld rtld = { .cx = cx, .gather = true };
	uint64_t debug, global;
	struct mw_err *err = NULL;
	if (!text || !mw_alloc_elf_open(mw_classify_snapshot(cx), text, &file))
		return NULL;
	bool has_debug = mw_alloc_elf_value(&file, "_r_debug", &debug);
	bool has_global = mw_alloc_elf_value(&file, "_rtld_global", &global);
	/* What is certain comes last: of equal ranks the later claim is shown. */
	for (int pass = 0; pass < 2 && !err; pass++) {
		if (has_debug)
			err = claim_records(&rtld, debug);
		if (!err && has_global)
			err = claim_unique(&rtld, global);
		if (!err && rtld.gather)
			err = claim_hulls(&rtld);
		rtld.gather = false;
	}
	return err;
}
