// SPDX-License-Identifier: MIT
/*
 * PartitionAlloc, the malloc of Chromium and Electron: super pages of 2 MiB, whose
 * usable part begins 16 KiB in, behind guards. The metadata of each is one page: first
 * the PartitionRoot, a variable of the program, and a few words on the slot span's
 * bucket, a member of that root. Older versions keep the page inside the super page,
 * newer ones all of them in a mapping of their own, one every 2 MiB.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>

enum {
	PAGE = 4096,
	SUPER_PAGE = 2 << 20,
	PAYLOAD = 16 << 10,
	META_WORDS = 16,
	W_ROOT = 0,
	W_BUCKET_MIN = 4, /* the bucket's place depends on the version */
	ROOT_LEN = 64 << 10,
	MAX_META = 65536,
};

/* A variable of an object: its file mapping, or the bss right behind it. */
static bool is_variable(const struct mw_classify *cx, uint64_t addr)
{
	size_t n, i = mw_rt_first(cx, addr);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	if ((addr & 7) || i >= n || regions[i].start > addr ||
	    !(regions[i].perms & MW_PERM_WRITE))
		return false;
	return regions[i].ino ||
	       (i > 0 && regions[i - 1].ino && regions[i - 1].end == regions[i].start);
}

/* A page of metadata names a root, and buckets in that root. */
static bool is_metadata(struct mw_classify *cx, uint64_t addr)
{
	uint64_t word[META_WORDS];
	if (!mw_peek(cx, addr, word, sizeof(word)))
		return false;
	uint64_t root = le64toh(word[W_ROOT]);
	if (!root || !is_variable(cx, root))
		return false;
	for (unsigned i = W_BUCKET_MIN; i < META_WORDS; i++) {
		uint64_t bucket = le64toh(word[i]);
		if (bucket > root && bucket - root < ROOT_LEN && !(bucket & 7))
			return true;
	}
	return false;
}

static struct mw_err *claim(struct mw_classify *cx, uint64_t start, uint64_t end,
			    bool proved, const char *name, const char *evidence)
{
	return mw_rt_claim(cx, &(struct mw_claim){
				       .start = start,
				       .end = end,
				       .class = MW_CLASS_HEAP_PARTITION,
				       .confidence = proved ? MW_CERTAIN : MW_LIKELY,
				       .rank = MW_RANK_SHAPE,
				       .name = name,
				       .evidence = evidence,
			       });
}

/* Small mappings at most: metadata are one page, two where guards merge. */
static struct mw_err *claim_metadata(struct mw_classify *cx, unsigned *n_found)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	*n_found = 0;
	for (size_t i = 0; i < n && *n_found < MAX_META && !err; i++) {
		const struct mw_region *region = &regions[i];
		if (region->end - region->start > PAYLOAD || !mw_rt_is_heapish(region) ||
		    !is_metadata(cx, region->start))
			continue;
		++*n_found;
		err = claim(cx, region->start, region->end, true,
			    "PartitionAlloc metadata",
			    "a page that names a PartitionRoot and a bucket of it");
	}
	return err;
}

/* Regions that begin 16 KiB into a super page, with a guard below. */
static struct mw_err *claim_super_pages(struct mw_classify *cx, bool proved)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 1; i < n && !err; i++) {
		const struct mw_region *region = &regions[i];
		if ((region->start & (SUPER_PAGE - 1)) != PAYLOAD ||
		    !mw_rt_is_heapish(region) || regions[i - 1].end != region->start ||
		    (regions[i - 1].perms & (MW_PERM_READ | MW_PERM_WRITE)))
			continue;
		err = claim(cx, region->start - PAYLOAD,
			    mw_rt_up(region->end, SUPER_PAGE), proved, NULL,
			    "super pages of PartitionAlloc, by their layout; the "
			    "metadata's roots were verified");
	}
	return err;
}

struct mw_err *mw_classify_partition(struct mw_classify *cx)
{
	unsigned n_found;
	if (!mw_rt_has_big_program(cx))
		return NULL;
	struct mw_err *err = claim_metadata(cx, &n_found);
	/* One page like that may be chance. */
	return err || !n_found ? err : claim_super_pages(cx, n_found > 1);
}
