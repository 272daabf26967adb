// SPDX-License-Identifier: MIT
/* The objects a process maps, as far as they say which runtimes it has. */
#include "explain/runtime/runtime.h"

#include <string.h>

enum { MIN_TEXT = 8 << 20 };

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
		    strncmp(mw_alloc_file_name(region), "libc.so.6", 9) != 0 &&
		    strncmp(mw_alloc_file_name(region), "ld-linux", 8) != 0)
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
