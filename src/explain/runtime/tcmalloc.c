// SPDX-License-Identifier: MIT
/*
 * tcmalloc. gperftools' comes as a library and takes memory from brk, so [heap] is its,
 * not glibc's: it begins with the allocator's own records, Spans of 48 bytes that name
 * runs of 8 KiB pages, and these lie in [heap] too. That is checked. Google's newer one
 * is inside the program; it names its regions where the kernel keeps such names.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

enum {
	PAGE_SHIFT = 13,
	HEAD_WORDS = 128, /* of [heap] that are read */
	SPAN_WORDS = 6,   /* start, length, next, prev, objects, bits */
	MAX_SKEW = 32,    /* words before the first Span */
	MIN_SPANS = 8,
};

/* Its pages lie in [heap], and its neighbours in the lists somewhere writable. */
static bool is_span(const struct mw_classify *cx, const struct mw_region *heap,
		    const uint64_t word[SPAN_WORDS])
{
	uint64_t start = le64toh(word[0]), len = le64toh(word[1]);
	uint64_t end_page = mw_alloc_up(heap->end, 1 << PAGE_SHIFT) >> PAGE_SHIFT;
	if (start < heap->start >> PAGE_SHIFT || start >= end_page || !len ||
	    len > end_page - start)
		return false;
	for (unsigned i = 2; i < 4; i++) {
		uint64_t link = le64toh(word[i]);
		const struct mw_region *region =
			mw_snapshot_find(mw_classify_snapshot(cx), link);
		if (link && ((link & 7) || !region || !(region->perms & MW_PERM_WRITE)))
			return false;
	}
	return true;
}

static bool begins_with_spans(struct mw_classify *cx, const struct mw_region *heap)
{
	uint64_t word[HEAD_WORDS];
	if (!mw_peek(cx, heap->start, word, sizeof(word)))
		return false;
	for (unsigned skew = 0; skew < MAX_SKEW; skew++) {
		unsigned n = 0;
		while (n < MIN_SPANS && is_span(cx, heap, &word[skew + n * SPAN_WORDS]))
			n++;
		if (n == MIN_SPANS)
			return true;
	}
	return false;
}

static struct mw_err *claim_brk(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		if (strcmp(regions[i].name, "[heap]") != 0)
			continue;
		bool proved = begins_with_spans(cx, &regions[i]);
		err = mw_claim(
			cx, &(struct mw_claim){
				    .start = regions[i].start,
				    .end = regions[i].end,
				    .class = MW_CLASS_HEAP_TCMALLOC,
				    .confidence = proved ? MW_CERTAIN : MW_LIKELY,
				    .rank = MW_RANK_HEADER,
				    .name = regions[i].name,
				    .evidence = proved ? "[heap] begins with tcmalloc's "
							 "Spans, whose pages lie in it"
						       : "[heap] of a process with "
							 "libtcmalloc, which takes "
							 "memory from brk",
			    });
	}
	return err;
}

struct mw_err *mw_classify_tcmalloc(struct mw_classify *cx)
{
	bool named = false;
	struct mw_err *err =
		mw_rt_claim_named(cx, "tcmalloc", MW_CLASS_HEAP_TCMALLOC, &named);
	bool loaded = mw_rt_object(cx, "libtcmalloc");
	if (err || (!named && !loaded))
		return err;
	mw_classify_seen(cx)->tcmalloc = true;
	if (!loaded)
		return NULL;
	err = mw_rt_claim_rest(cx, MW_CLASS_HEAP_TCMALLOC, MW_LIKELY,
			       "libtcmalloc is loaded and nothing else claims it");
	return err ? err : claim_brk(cx);
}
