// SPDX-License-Identifier: MIT
/* Regions and objects: by what a walker knows that its allocator is here. */
#include "heap/alloc/alloc.h"

#include <string.h>

enum { PAGE = 4096, MAX_PAGES = 65536 }; /* of an object's variables */

const char *mw_alloc_file_name(const struct mw_region *region)
{
	const char *slash = strrchr(region->name, '/');
	return slash ? slash + 1 : region->name;
}

static bool is_text(const struct mw_region *region)
{
	return (region->perms & MW_PERM_EXEC) && region->ino;
}

const struct mw_region *mw_alloc_object(const struct mw_snapshot *snap,
					const char *prefix)
{
	size_t n, len = strlen(prefix);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (is_text(&regions[i]) &&
		    !strncmp(mw_alloc_file_name(&regions[i]), prefix, len))
			return &regions[i];
	return NULL;
}

const struct mw_region *mw_alloc_program(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const char *exe = mw_snapshot_process(snap)->exe;
	for (size_t i = 0; i < n && exe && exe[0]; i++)
		if (is_text(&regions[i]) && !strcmp(regions[i].name, exe))
			return &regions[i];
	return NULL;
}

bool mw_alloc_is_heapish(const struct mw_region *region)
{
	return (region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC |
				 MW_PERM_SHARED)) == (MW_PERM_READ | MW_PERM_WRITE) &&
	       !region->ino &&
	       (!region->name[0] || !strcmp(region->name, "[heap]") ||
		!strncmp(region->name, "[anon:", 6));
}

bool mw_alloc_in_heapish(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	const struct mw_region *region = mw_snapshot_find(snap, start);
	return region && start < end && end <= region->end && mw_alloc_is_heapish(region);
}

bool mw_alloc_is_covered(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	if (start >= end)
		return false;
	for (size_t i = mw_alloc_first(snap, start); start < end; i++) {
		if (i >= n || regions[i].start > start || regions[i].ino ||
		    (regions[i].perms & MW_PERM_SHARED))
			return false;
		start = regions[i].end;
	}
	return true;
}

size_t mw_alloc_first(const struct mw_snapshot *snap, uint64_t addr)
{
	size_t n, lo = 0;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (regions[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool mw_alloc_elf_open(const struct mw_snapshot *snap, const struct mw_region *text,
		       struct mw_alloc_elf *ret)
{
	ret->elf = NULL;
	ret->bias = 0;
	uint64_t page = mw_source_facts(mw_snapshot_source(snap))->page_size;
	mw_object_reader_init(&ret->file, snap, text);
	mw_auto_err err = mw_elf_open(mw_object_read, &ret->file, &ret->elf);
	if (!err && mw_object_bias(ret->elf, text, page, &ret->bias))
		return true;
	mw_alloc_elf_close(ret);
	return false;
}

void mw_alloc_elf_close(struct mw_alloc_elf *file)
{
	mw_elf_free(file->elf);
	file->elf = NULL;
}

bool mw_alloc_elf_value(struct mw_alloc_elf *file, const char *name, uint64_t *ret)
{
	uint64_t value;
	mw_auto_err err = mw_elf_symbol_value(file->elf, name, &value);
	if (err)
		return false;
	*ret = file->bias + value;
	return true;
}

/* Visits a region's words; false when that is enough. */
static bool visit_region(struct mw_heap_walk *walk, const struct mw_region *region,
			 const struct mw_alloc_words *words, unsigned *budget)
{
	uint64_t word[PAGE / 8], page = region->start, end;
	while (page < region->end && *budget) {
		end = mw_memory_stretch(&walk->memory, page, page + PAGE);
		--*budget;
		if (end == page + PAGE &&
		    mw_memory_read(&walk->memory, page, word, sizeof(word)))
			for (unsigned i = 0; i < PAGE / 8; i++)
				if (words->visit(words->ctx, page + i * 8, word[i]))
					return false;
		page += PAGE;
	}
	return true;
}

void mw_alloc_variables(struct mw_heap_walk *walk, const struct mw_region *text,
			const struct mw_alloc_words *words)
{
	size_t n;
	unsigned budget = MAX_PAGES;
	const struct mw_region *regions = mw_snapshot_regions(walk->snap, &n);
	uint64_t end = 0; /* of the object's mapping before */
	for (size_t i = 0; i < n; i++) {
		const struct mw_region *region = &regions[i];
		bool mine = region->ino == text->ino && region->dev == text->dev;
		bool bss = end == region->start && !region->ino && !region->name[0];
		end = 0;
		if (!mine && !bss)
			continue;
		if (mine)
			end = region->end;
		if ((region->perms & MW_PERM_WRITE) &&
		    !visit_region(walk, region, words, &budget))
			return;
	}
}
