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

static bool inaccessible_at(const struct mw_region *region, uint64_t start, uint64_t end)
{
	return (region->start == end || region->end == start) &&
	       !(region->perms & (MW_PERM_READ | MW_PERM_WRITE));
}

/* One page of metadata, or two, between guards. */
static bool is_guarded_metadata(struct mw_classify *cx, const struct mw_region *regions,
				size_t n, size_t i)
{
	const struct mw_region *region = &regions[i];
	uint64_t start = region->start, end = region->end;
	return i > 0 && i + 1 < n && end - start < PAYLOAD && mw_rt_is_heapish(region) &&
	       inaccessible_at(&regions[i - 1], start, end) &&
	       inaccessible_at(&regions[i + 1], start, end) && is_metadata(cx, start);
}

/* A super page's usable part begins 16 KiB in, with a guard below. */
static bool is_super_page(const struct mw_region *regions, size_t i)
{
	const struct mw_region *region = &regions[i];
	return i > 0 && (region->start & (SUPER_PAGE - 1)) == PAYLOAD &&
	       mw_rt_is_heapish(region) &&
	       inaccessible_at(&regions[i - 1], region->start, region->end);
}

struct count {
	size_t n_metadata, n_super_pages;
};

static struct count count_pages(struct mw_classify *cx)
{
	size_t n;
	struct count count = { 0 };
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++)
		count.n_super_pages += is_super_page(regions, i);
	/* Without super pages the headers need not be read at all. */
	for (size_t i = 0; i < n && count.n_super_pages; i++)
		count.n_metadata += is_guarded_metadata(cx, regions, n, i);
	return count;
}

static struct mw_err *claim_pages(struct mw_classify *cx, bool proved)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t start = regions[i].start, end = regions[i].end;
		if (is_super_page(regions, i))
			err = claim(cx, start - PAYLOAD, mw_alloc_up(end, SUPER_PAGE),
				    proved, NULL,
				    "super pages of PartitionAlloc, by their layout; the "
				    "roots that their metadata name were verified");
		else if (is_guarded_metadata(cx, regions, n, i))
			err = claim(cx, start, end, proved, "PartitionAlloc metadata",
				    "a page that names a PartitionRoot and a bucket of "
				    "it");
	}
	return err;
}

struct mw_err *mw_classify_partition(struct mw_classify *cx)
{
	if (!mw_rt_has_big_program(cx))
		return NULL;
	struct count count = count_pages(cx);
	/* One page like metadata may be chance. */
	return count.n_metadata ? claim_pages(cx, count.n_metadata > 1) : NULL;
}
