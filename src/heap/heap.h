/* SPDX-License-Identifier: MIT */
/*
 * How allocators are walked. Each is one constant object with a walk; heap.c runs them
 * all, in order, over one snapshot, and joins what they report. A walk that does not
 * find its allocator reports nothing.
 *
 * Everything read here was written by the target: an address is only followed through
 * struct mw_memory, a count is only believed up to a bound, and every walk ends after
 * a number of steps that the snapshot bounds.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include "model/memory.h"
#include <memwhy/heap.h>

struct mw_allocator_vec {
	MW_VEC(struct mw_allocator);
};
struct mw_heap_area_vec {
	MW_VEC(struct mw_heap_area);
};
struct mw_heap_gap_vec {
	MW_VEC(struct mw_gap);
};

/* One run over all allocators. */
struct mw_heap_walk {
	const struct mw_snapshot *snap;
	const struct mw_heap_opts *opts;
	uint64_t page_size;
	struct mw_arena *arena;  /* owns what is reported */
	struct mw_memory memory; /* small structures anywhere: read exactly, recorded */
	struct mw_memory window; /* heap contents: lent in windows */
	struct mw_allocator_vec allocators;
	struct mw_heap_area_vec areas;
	struct mw_heap_gap_vec gaps;
	bool locked;
};

struct mw_walker {
	const char *name;
	/* Errors: NOMEM, GONE, or the sink's. */
	struct mw_err *(*walk)(struct mw_heap_walk *walk);
};

/* Listed in heap.c; glibc comes first, nested ones last. */
extern const struct mw_walker mw_walker_glibc, mw_walker_jemalloc, mw_walker_tcmalloc,
	mw_walker_mimalloc, mw_walker_musl, mw_walker_pymalloc, mw_walker_v8,
	mw_walker_jvm, mw_walker_go;

/* Notes a gap; the strings are copied. NOMEM only. */
struct mw_err *mw_heap_gap(struct mw_heap_walk *walk, const char *what, const char *why,
			   const char *remedy) MW_MUST_USE;

/* Reports an area, and tells the sink. NOMEM, or the sink's error. */
struct mw_err *mw_heap_area_add(struct mw_heap_walk *walk,
				const struct mw_heap_area *area) MW_MUST_USE;

/*
 * Size classes for histograms: every 16 bytes up to 1024, then 8 to each doubling.
 * The class of a usable size, and the largest usable size in a class.
 */
enum { MW_SIZE_CLASSES = 64 + 8 * 54 };
unsigned mw_size_class(uint64_t bytes);
uint64_t mw_size_class_max(unsigned class);
