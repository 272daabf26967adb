// SPDX-License-Identifier: MIT
/* The list of mappings, from maps, and what a mapping's name says of its memory. */
#include "model/impl.h"
#include "procfs/maps.h"
#include "procfs/mountinfo.h"

#include <string.h>

static struct mw_err *name_region(struct mw_snapshot *snap, struct mw_region *region,
				  const char *raw, size_t len)
{
	const struct mw_region *before = region > snap->regions.items ? region - 1 : NULL;
	if (!len) {
		region->name = "";
		return NULL;
	}
	region->deleted = mw_maps_is_deleted(raw, len);
	if (before && strlen(before->name) == len && !memcmp(before->name, raw, len) &&
	    !memchr(raw, '\\', len)) {
		region->name = before->name;
		return NULL;
	}
	char *name = mw_arena_alloc(&snap->arena, len + 1);
	if (!name)
		return mw_err_nomem();
	mw_maps_unescape(raw, len, name);
	region->name = name;
	return NULL;
}

static bool starts_with(const char *str, const char *prefix)
{
	return strncmp(str, prefix, strlen(prefix)) == 0;
}

/*
 * tmpfs has a device number without a driver (major 0), as overlayfs and btrfs have,
 * so the mount table decides. The kernel's own shmem mount, that of memfd, SysV and
 * anonymous shared memory, is in no table; it is recognized by its names.
 */
static bool is_on_tmpfs(struct mw_snapshot *snap, const struct mw_region *region)
{
	char type[32];
	if (region->dev >> 20 || region->name[0] != '/')
		return false;
	if (!snap->mountinfo_read) {
		snap->mountinfo_read = true;
		mw_err_free(mw_source_read_text(snap->src, snap->process.pid, 0,
						MW_FILE_MOUNTINFO, &snap->mountinfo));
	}
	return mw_mountinfo_fstype(mw_buf_str(&snap->mountinfo), snap->mountinfo.len,
				   region->dev, type, sizeof(type)) &&
	       (!strcmp(type, "tmpfs") || !strcmp(type, "devtmpfs"));
}

static bool is_shmem(struct mw_snapshot *snap, const struct mw_region *region)
{
	const char *name = region->name;
	if (!name[0])
		return region->perms & MW_PERM_SHARED;
	if (name[0] == '[')
		return starts_with(name, "[anon_shmem:");
	if (starts_with(name, "/memfd:") || starts_with(name, "/SYSV") ||
	    starts_with(name, "/dev/shm/"))
		return true;
	if (starts_with(name, "/dev/zero"))
		return region->perms & MW_PERM_SHARED;
	return is_on_tmpfs(snap, region);
}

/* Whole pages, and at least one: no kernel prints anything else, a recording may. */
static bool is_mapping(const struct mw_snapshot *snap, const struct mw_maps_line *line)
{
	uint64_t page = mw_source_facts(snap->src)->page_size;
	return line->start < line->end && line->start % page == 0 &&
	       line->end % page == 0;
}

struct mw_err *mw_region_add(struct mw_snapshot *snap, const struct mw_maps_line *line)
{
	if (!is_mapping(snap, line))
		return mw_err_new(MW_ERR_FORMAT, 0, "maps",
				  "maps of process %d has a mapping that is not whole "
				  "pages",
				  snap->process.pid);
	if (!mw_vec_add(&snap->regions, (struct mw_region){
						.start = line->start,
						.end = line->end,
						.offset = line->offset,
						.dev = line->dev,
						.ino = line->ino,
						.perms = line->perms,
					}))
		return mw_err_nomem();
	struct mw_region *region = &snap->regions.items[snap->regions.n - 1];
	struct mw_err *err = name_region(snap, region, line->name, line->name_len);
	if (!err)
		region->shmem = is_shmem(snap, region);
	return err;
}

/* One pass over maps, which comes in pieces. */
struct pass {
	struct mw_snapshot *snap;
	struct mw_walk *walk;
	uint64_t last_end;
};

/*
 * The kernel prints maps piece by piece: a mapping that moved between two reads may
 * come twice or overlap. Only rising ranges are kept; the drift shows the rest.
 */
static struct mw_err *take_line(struct pass *pass, const char *pos, const char *eol)
{
	struct mw_maps_line line;
	if (!mw_maps_parse_line(pos, eol, &line))
		return mw_err_new(MW_ERR_FORMAT, 0, "maps",
				  "maps of process %d has a line that cannot be read",
				  pass->snap->process.pid);
	if (line.start < pass->last_end)
		return NULL;
	pass->last_end = line.end;
	return mw_region_add(pass->snap, &line);
}

/* Only whole lines, but for the last one of all. */
static struct mw_err *take_piece(void *ctx, const char *text, size_t len, bool last,
				 size_t *used)
{
	struct pass *pass = ctx;
	const char *pos = text, *end = text + len;
	struct mw_err *err = NULL;
	while (!err && pos < end) {
		const char *eol = memchr(pos, '\n', (size_t)(end - pos));
		if (!eol && !last)
			break;
		if (!eol)
			eol = end;
		err = take_line(pass, pos, eol);
		pos = eol < end ? eol + 1 : end;
	}
	*used = (size_t)(pos - text);
	if (!err && pass->walk)
		mw_walk_feed(pass->walk);
	return err;
}

struct mw_err *mw_regions_read(struct mw_snapshot *snap, struct mw_walk *walk)
{
	struct pass pass = { .snap = snap, .walk = walk };
	return mw_source_stream_text(snap->src, snap->process.pid, MW_FILE_MAPS,
				     take_piece, &pass);
}
