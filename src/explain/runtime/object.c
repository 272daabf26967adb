// SPDX-License-Identifier: MIT
/* The objects a process maps, as far as they say which runtimes it has. */
#include "explain/runtime/runtime.h"

#include <elf.h>
#include <string.h>

enum { MIN_TEXT = 8 << 20 };

static const char *file_name(const struct mw_region *region)
{
	const char *slash = strrchr(region->name, '/');
	return slash ? slash + 1 : region->name;
}

const struct mw_region *mw_rt_object(const struct mw_classify *cx, const char *prefix)
{
	size_t n, len = strlen(prefix);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++)
		if ((regions[i].perms & MW_PERM_EXEC) && regions[i].ino &&
		    !strncmp(file_name(&regions[i]), prefix, len))
			return &regions[i];
	return NULL;
}

bool mw_rt_has_big_program(const struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++)
		if ((regions[i].perms & MW_PERM_EXEC) && regions[i].ino &&
		    regions[i].end - regions[i].start >= MIN_TEXT)
			return true;
	return false;
}

bool mw_rt_has_room(const struct mw_classify *cx, uint64_t len)
{
	size_t n;
	bool any = false;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	for (size_t i = 0; i < n; i++) {
		const struct mw_region *region = &regions[i];
		if (!(region->perms & MW_PERM_EXEC) || !region->ino)
			continue;
		any = true;
		if (region->end - region->start >= len &&
		    strncmp(file_name(region), "libc.so.6", 9) != 0 &&
		    strncmp(file_name(region), "ld-linux", 8) != 0)
			return true;
	}
	return !any;
}

const struct mw_region *mw_rt_program(struct mw_classify *cx)
{
	size_t n;
	const struct mw_seen *seen = mw_classify_seen(cx);
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const char *exe = mw_snapshot_process(snap)->exe;
	for (size_t i = 0; i < n; i++) {
		const struct mw_region *region = &regions[i];
		if (!(region->perms & MW_PERM_EXEC) || !region->ino)
			continue;
		if (seen->exe_ino
			    ? region->ino == seen->exe_ino && region->dev == seen->exe_dev
			    : exe && exe[0] && !strcmp(region->name, exe))
			return region;
	}
	return NULL;
}

/* The segment that made this mapping says where the object was put. */
static bool find_bias(const struct mw_elf *elf, const struct mw_region *text,
		      uint64_t *bias)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	for (size_t i = 0; i < n; i++) {
		uint64_t pages = ~(uint64_t)4095;
		if (segs[i].type != PT_LOAD || !(segs[i].flags & PF_X) ||
		    (segs[i].offset & pages) != text->offset)
			continue;
		*bias = text->start - (segs[i].vaddr & pages);
		return true;
	}
	return false;
}

bool mw_rt_open(struct mw_classify *cx, const struct mw_region *text,
		struct mw_rt_elf *ret)
{
	ret->elf = NULL;
	ret->bias = 0;
	mw_object_reader_init(&ret->file, mw_classify_snapshot(cx), text);
	mw_auto_err err = mw_elf_open(mw_object_read, &ret->file, &ret->elf);
	if (!err && find_bias(ret->elf, text, &ret->bias))
		return true;
	mw_rt_close(ret);
	return false;
}

void mw_rt_close(struct mw_rt_elf *file)
{
	mw_elf_free(file->elf);
	file->elf = NULL;
}

bool mw_rt_value(struct mw_rt_elf *file, const char *name, uint64_t *ret)
{
	uint64_t value;
	mw_auto_err err = mw_elf_symbol_value(file->elf, name, &value);
	if (err)
		return false;
	*ret = file->bias + value;
	return true;
}
