// SPDX-License-Identifier: MIT
/*
 * Areas of allocators that were walked: their own structures led from block to block, so
 * these are certain, where the classifiers before only had the look of a header.
 */
#include "explain/claims.h"

#include <string.h>

/* What is said alike of many areas is one string, so that neighbours make one segment. */
struct said {
	const char *name, *evidence;
	uint64_t arena;
	size_t allocator;
	enum mw_area_kind kind;
};

/* Heaps of runtimes stay as their own classifiers know them: in more parts than one. */
static enum mw_class other_class(const char *allocator)
{
	static const struct {
		const char *name;
		enum mw_class class;
	} classes[] = {
		{ "jemalloc", MW_CLASS_HEAP_JEMALLOC },
		{ "tcmalloc", MW_CLASS_HEAP_TCMALLOC },
		{ "mimalloc", MW_CLASS_HEAP_MIMALLOC },
		{ "musl", MW_CLASS_HEAP_MUSL },
		{ "pymalloc", MW_CLASS_PYTHON_ARENA },
	};
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (!strcmp(classes[i].name, allocator))
			return classes[i].class;
	return MW_CLASS_UNKNOWN;
}

/* Where brk is blocked, mappings take its place for the main arena. */
static enum mw_class area_class(const struct mw_snapshot *snap,
				const struct mw_allocator *allocator,
				const struct mw_heap_area *area)
{
	const struct mw_region *region;
	switch (area->kind) {
	case MW_AREA_MAIN:
		region = mw_snapshot_find(snap, area->start);
		return region && !strcmp(region->name, "[heap]") ? MW_CLASS_HEAP_BRK
								 : MW_CLASS_HEAP_ARENA;
	case MW_AREA_ARENA:
		return MW_CLASS_HEAP_ARENA;
	case MW_AREA_MMAPPED:
		return MW_CLASS_HEAP_MMAP;
	case MW_AREA_OTHER:
		return other_class(allocator->name);
	}
	return MW_CLASS_UNKNOWN;
}

static bool all_ok(const struct mw_allocator *allocator)
{
	for (size_t i = 0; i < allocator->n_checks; i++)
		if (!allocator->checks[i].ok)
			return false;
	return true;
}

static const char *evidence_of(struct mw_arena *arena, const struct mw_allocator *a,
			       const struct mw_heap_area *area)
{
	static const char *const kinds[] = {
		[MW_AREA_MAIN] = "its main arena, walked chunk by chunk",
		[MW_AREA_ARENA] = "a heap of an arena, walked chunk by chunk",
		[MW_AREA_MMAPPED] = "blocks with mappings of their own, by their headers",
		[MW_AREA_OTHER] = "found from its own structures",
	};
	return mw_arena_printf(arena, "%s%s%s: %s", a->name, a->version[0] ? " " : "",
			       a->version, kinds[area->kind]);
}

/* The last strings fit most often. */
static bool say(struct mw_arena *arena, const struct mw_allocator *a,
		const struct mw_heap_area *area, struct said *said)
{
	if (said->evidence && said->allocator == area->allocator &&
	    said->kind == area->kind && said->arena == area->arena)
		return true;
	*said = (struct said){
		.name = area->kind != MW_AREA_ARENA
				? ""
				: mw_arena_printf(arena, "arena 0x%llx",
						  (unsigned long long)area->arena),
		.evidence = evidence_of(arena, a, area),
		.arena = area->arena,
		.allocator = area->allocator,
		.kind = area->kind,
	};
	return said->name && said->evidence;
}

struct mw_err *mw_classify_heap(struct mw_classify *cx)
{
	const struct mw_heap *heap = mw_classify_walked(cx);
	struct said said = { 0 };
	for (size_t i = 0; heap && i < heap->n_areas; i++) {
		const struct mw_heap_area *area = &heap->areas[i];
		const struct mw_allocator *a = &heap->allocators[area->allocator];
		struct mw_claim claim = {
			.start = area->start,
			.end = area->end,
			.class = area_class(mw_classify_snapshot(cx), a, area),
			.confidence = all_ok(a) ? MW_CERTAIN : MW_LIKELY,
			.rank = MW_RANK_HEADER,
		};
		if (claim.class == MW_CLASS_UNKNOWN)
			continue;
		if (!say(mw_classify_arena(cx), a, area, &said))
			return mw_err_nomem();
		claim.name = said.name;
		claim.evidence = said.evidence;
		struct mw_err *err = mw_claim(cx, &claim);
		if (err)
			return err;
	}
	return NULL;
}
