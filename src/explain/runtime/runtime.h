/* SPDX-License-Identifier: MIT */
/*
 * What the classifiers of allocators and language runtimes share: finding the object
 * that brings a runtime in, reading words of the target, and claiming anonymous memory.
 *
 * Everything read here was written by the target: a pointer is only followed through
 * mw_peek(), a count is only believed up to a bound.
 */
#pragma once

#include "explain/claims.h"
#include "heap/alloc/alloc.h"

/* Private memory without a file: unnamed, or named by the program ("[anon:x]"). */
bool mw_rt_is_anon(const struct mw_region *region);

/* Anonymous, readable and writable, not executable: where heaps are. */
bool mw_rt_is_heapish(const struct mw_region *region);

/* The index of the first region that ends above `addr`; n when there is none. */
static inline size_t mw_rt_first(const struct mw_classify *cx, uint64_t addr)
{
	return mw_alloc_first(mw_classify_snapshot(cx), addr);
}

/* True when [start, end) is not empty and lies in one anonymous writable region. */
bool mw_rt_in_heapish(const struct mw_classify *cx, uint64_t start, uint64_t end);

/* Reads one little-endian word of the target. */
bool mw_rt_word(struct mw_classify *cx, uint64_t addr, uint64_t *ret) MW_MUST_USE;

/* Reads memory; pages that are absent from a file mapping come from the file. */
bool mw_rt_read(struct mw_classify *cx, uint64_t addr, void *bytes,
		size_t len) MW_MUST_USE;

/*
 * Claims the anonymous, accessible parts of [claim->start, claim->end): a range of a
 * runtime may have other mappings in it. Inaccessible parts become RESERVED.
 */
struct mw_err *mw_rt_claim(struct mw_classify *cx,
			   const struct mw_claim *claim) MW_MUST_USE;

/* Claims every unnamed writable region at RUNTIME_GUESS: stronger claims lie above. */
struct mw_err *mw_rt_claim_rest(struct mw_classify *cx, enum mw_class class,
				enum mw_confidence confidence,
				const char *evidence) MW_MUST_USE;

/* Claims the regions that the runtime itself named "[anon:PREFIX…]". */
struct mw_err *mw_rt_claim_named(struct mw_classify *cx, const char *prefix,
				 enum mw_class class, bool *found) MW_MUST_USE;

/* The executable mapping of an object whose file name begins so, or NULL. */
static inline const struct mw_region *mw_rt_object(const struct mw_classify *cx,
						   const char *prefix)
{
	return mw_alloc_object(mw_classify_snapshot(cx), prefix);
}

/* True when an object has 8 MiB of code: nothing that contains V8 has less. */
bool mw_rt_has_big_program(const struct mw_classify *cx);

/*
 * False when no object but libc and the loader has `len` bytes of code: what is larger
 * than that is not linked into any of them. True when no object is known.
 */
bool mw_rt_has_room(const struct mw_classify *cx, uint64_t len);

/* The executable mapping of the program itself, or NULL. */
const struct mw_region *mw_rt_program(struct mw_classify *cx);

/* One allocator each; called by mw_classify_allocators(). */
mw_classifier_fn mw_classify_jemalloc;
mw_classifier_fn mw_classify_tcmalloc;
mw_classifier_fn mw_classify_mimalloc;
mw_classifier_fn mw_classify_musl;
mw_classifier_fn mw_classify_rtld;
mw_classifier_fn mw_classify_stack_cache;
mw_classifier_fn mw_classify_partition; /* PartitionAlloc */
