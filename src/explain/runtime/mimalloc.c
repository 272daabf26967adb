// SPDX-License-Identifier: MIT
/*
 * mimalloc 2: segments of 32 MiB (or more, for one huge block), aligned to 32 MiB. A
 * segment header holds a cookie, the segment's own address exclusive-ored with a secret
 * of the process, and right behind it the segment's length in slices of 64 KiB. So two
 * segments prove each other: address ^ cookie is the same for both. Where the header
 * keeps the cookie differs between versions; the place is looked for.
 *
 * mimalloc 1 and 3 have other segments: with their library loaded the claim is likely.
 */
#include "base/vec.h"
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <stdlib.h>

enum {
	SEGMENT = 32 << 20,
	SLICE = 64 << 10,
	HEADER_WORDS = 64,
	MAX_INFO_SLICES = 64,
	BUDGET = 65536,
};

#define MAX_SEGMENT_LEN (UINT64_C(1) << 44)

struct segment {
	uint64_t start, len, secret;
};

struct segments {
	MW_VEC(struct segment);
};

/* Cookie, segment_slices, segment_info_slices, as neighbours. */
static bool fits(const uint64_t *word, uint64_t addr, uint64_t room, struct segment *ret)
{
	uint64_t secret = le64toh(word[0]) ^ addr;
	uint64_t slices = le64toh(word[1]), info = le64toh(word[2]);
	/* A secret has high bits; an address or a count in its place has none. */
	if (!(secret >> 48) || !slices || slices > MAX_SEGMENT_LEN / SLICE || !info ||
	    info > MAX_INFO_SLICES || info > slices || slices * SLICE > room)
		return false;
	*ret = (struct segment){ .start = addr, .len = slices * SLICE, .secret = secret };
	return true;
}

static struct mw_err *read_segment(struct mw_classify *cx, uint64_t addr, uint64_t room,
				   struct segments *out)
{
	uint64_t word[HEADER_WORDS];
	struct segment segment;
	if (!mw_peek(cx, addr, word, sizeof(word)))
		return NULL;
	for (unsigned i = 1; i + 2 < HEADER_WORDS; i++)
		if (fits(&word[i], addr, room, &segment))
			return mw_vec_add(out, segment) ? NULL : mw_err_nomem();
	return NULL;
}

static struct mw_err *find_segments(struct mw_classify *cx, struct segments *out)
{
	size_t n;
	unsigned budget = BUDGET;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		uint64_t addr = mw_alloc_up(regions[i].start, SEGMENT);
		if (addr >= regions[i].end || !mw_rt_is_heapish(&regions[i]))
			continue;
		for (; addr < regions[i].end && budget && !err; addr += SEGMENT) {
			budget--;
			err = read_segment(cx, addr, regions[i].end - addr, out);
		}
	}
	return err;
}

static int by_secret(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	return x->secret < y->secret ? -1 : x->secret > y->secret;
}

static struct mw_err *claim_segments(struct mw_classify *cx, struct segments *segs,
				     bool loaded)
{
	struct mw_err *err = NULL;
	if (segs->n)
		qsort(segs->items, segs->n, sizeof(*segs->items), by_secret);
	for (size_t i = 0; i < segs->n && !err; i++) {
		const struct segment *seg = &segs->items[i];
		bool twin = (i > 0 && seg[-1].secret == seg->secret) ||
			    (i + 1 < segs->n && seg[1].secret == seg->secret);
		if (!twin && !loaded)
			continue;
		mw_classify_seen(cx)->mimalloc = true;
		err = mw_rt_claim(cx, &(struct mw_claim){
					      .start = seg->start,
					      .end = seg->start + seg->len,
					      .class = MW_CLASS_HEAP_MIMALLOC,
					      .confidence = twin ? MW_CERTAIN : MW_LIKELY,
					      .rank = MW_RANK_HEADER,
					      .evidence = twin ? "mimalloc segments that "
								 "share one secret "
								 "cookie"
							       : "begins like a mimalloc "
								 "segment",
				      });
	}
	return err;
}

struct mw_err *mw_classify_mimalloc(struct mw_classify *cx)
{
	struct segments segs = { 0 };
	bool loaded = mw_rt_object(cx, "libmimalloc");
	struct mw_err *err = NULL;
	if (loaded) {
		mw_classify_seen(cx)->mimalloc = true;
		err = mw_rt_claim_rest(
			cx, MW_CLASS_HEAP_MIMALLOC, MW_LIKELY,
			"libmimalloc is loaded and nothing else claims it");
	}
	if (!err)
		err = find_segments(cx, &segs);
	if (!err)
		err = claim_segments(cx, &segs, loaded);
	mw_vec_deinit(&segs);
	return err;
}
