// SPDX-License-Identifier: MIT
/* Regions, words and claims: the ground the runtime classifiers stand on. */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

bool mw_rt_is_anon(const struct mw_region *region)
{
	return !(region->perms & MW_PERM_SHARED) && !region->ino &&
	       (!region->name[0] || !strncmp(region->name, "[anon:", 6));
}

bool mw_rt_is_heapish(const struct mw_region *region)
{
	return (region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC)) ==
		       (MW_PERM_READ | MW_PERM_WRITE) &&
	       mw_rt_is_anon(region);
}

bool mw_rt_in_heapish(const struct mw_classify *cx, uint64_t start, uint64_t end)
{
	const struct mw_region *region =
		mw_snapshot_find(mw_classify_snapshot(cx), start);
	return region && start < end && end <= region->end && mw_rt_is_heapish(region);
}

bool mw_rt_word(struct mw_classify *cx, uint64_t addr, uint64_t *ret)
{
	uint64_t word;
	if (!mw_peek(cx, addr, &word, sizeof(word)))
		return false;
	*ret = le64toh(word);
	return true;
}

/* Only what cannot have been written to still equals the file. */
static bool read_file(struct mw_classify *cx, uint64_t addr, void *bytes, size_t len)
{
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_region *region = mw_snapshot_find(snap, addr);
	if (!region || !region->ino || (region->perms & MW_PERM_WRITE) ||
	    len > region->end - addr)
		return false;
	struct mw_object obj = { .start = region->start,
				 .end = region->end,
				 .dev = region->dev,
				 .ino = region->ino,
				 .path = region->name };
	size_t got = 0;
	mw_auto_err err = mw_source_read_object(
		mw_snapshot_source(snap), mw_snapshot_process(snap)->pid, &obj,
		region->offset + (addr - region->start), bytes, len, &got);
	return !err && got == len;
}

bool mw_rt_read(struct mw_classify *cx, uint64_t addr, void *bytes, size_t len)
{
	return mw_peek(cx, addr, bytes, len) || read_file(cx, addr, bytes, len);
}

struct mw_err *mw_rt_claim(struct mw_classify *cx, const struct mw_claim *claim)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = mw_rt_first(cx, claim->start);
	     i < n && regions[i].start < claim->end && !err; i++) {
		const struct mw_region *region = &regions[i];
		struct mw_claim piece = *claim;
		if (!mw_rt_is_anon(region))
			continue;
		if (!(region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC))) {
			piece.class = MW_CLASS_RESERVED;
			/* The range's own evidence still says whose reserve it is. */
			if (!(region->counts.have & MW_HAVE_RSS) || region->counts.rss)
				continue;
		}
		if (piece.start < region->start)
			piece.start = region->start;
		if (piece.end > region->end)
			piece.end = region->end;
		err = mw_claim(cx, &piece);
	}
	return err;
}

struct mw_err *mw_rt_claim_rest(struct mw_classify *cx, enum mw_class class,
				enum mw_confidence confidence, const char *evidence)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		if (regions[i].name[0] || !mw_rt_is_heapish(&regions[i]))
			continue;
		struct mw_claim claim = {
			.start = regions[i].start,
			.end = regions[i].end,
			.class = class,
			.confidence = confidence,
			.rank = MW_RANK_RUNTIME_GUESS,
			.evidence = evidence,
		};
		err = mw_claim(cx, &claim);
	}
	return err;
}

struct mw_err *mw_rt_claim_named(struct mw_classify *cx, const char *prefix,
				 enum mw_class class, bool *found)
{
	size_t n, len = strlen(prefix);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		if (regions[i].name[0] != '[' ||
		    strncmp(regions[i].name, "[anon:", 6) != 0)
			continue;
		/* Some runtimes put a blank after the colon. */
		const char *name = regions[i].name + 6 + (regions[i].name[6] == ' ');
		if (strncmp(name, prefix, len) != 0)
			continue;
		struct mw_claim claim = {
			.start = regions[i].start,
			.end = regions[i].end,
			.class = class,
			.confidence = MW_CERTAIN,
			.rank = MW_RANK_HEADER,
			.name = regions[i].name,
			.evidence = "the runtime itself named it",
		};
		*found = true;
		err = mw_claim(cx, &claim);
	}
	return err;
}
