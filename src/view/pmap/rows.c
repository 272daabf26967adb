// SPDX-License-Identifier: MIT
/* Without an option, -d and -x: rows as they are read, and their sums. */
#include "base/num.h"
#include "procfs/smaps.h"
#include "view/pmap/pmap.h"
#include <memwhy/perms.h>

#include <inttypes.h>
#include <string.h>

struct rows {
	struct mw_pmap_job *job;
	uint64_t kib, rss, dirty;          /* sums; KiB */
	uint64_t shared, private_writable; /* bytes */
};

static const char *perms_of(unsigned perms, char text[6])
{
	text[0] = perms & MW_PERM_READ ? 'r' : '-';
	text[1] = perms & MW_PERM_WRITE ? 'w' : '-';
	text[2] = perms & MW_PERM_EXEC ? 'x' : '-';
	text[3] = perms & MW_PERM_SHARED ? 's' : '-';
	text[4] = '-';
	text[5] = '\0';
	return text;
}

static bool in_range(const struct mw_pmap_opts *opts, const struct mw_maps_line *map)
{
	return !opts->ranged || (map->end - 1 >= opts->low && map->start <= opts->high);
}

/* What stands before the name. */
static bool add_figures(struct rows *rows, const struct mw_maps_line *map, uint64_t rss,
			uint64_t dirty)
{
	char perms[6];
	struct mw_buf *text = &rows->job->text;
	uint64_t kib = (map->end - map->start) >> 10;
	perms_of(map->perms, perms);
	switch (rows->job->opts->mode) {
	case MW_PMAP_EXTENDED:
		return mw_buf_printf(
			text, "%016" PRIx64 " %7" PRIu64 " %7" PRIu64 " %7" PRIu64 " %s ",
			map->start, kib, rss, dirty, perms);
	case MW_PMAP_DEVICE:
		return mw_buf_printf(
			text, "%016" PRIx64 " %7" PRIu64 " %s %016" PRIx64 " %03x:%05x ",
			map->start, kib, perms, map->offset, (unsigned)(map->dev >> 20),
			(unsigned)(map->dev & 0xfffff));
	default:
		return mw_buf_printf(text, "%016" PRIx64 " %6" PRIu64 "K %s ", map->start,
				     kib, perms);
	}
}

static struct mw_err *add_row(struct rows *rows, const struct mw_maps_line *map,
			      uint64_t rss, uint64_t dirty)
{
	uint64_t len = map->end - map->start;
	rows->job->n_rows++;
	if (!in_range(rows->job->opts, map))
		return NULL;
	rows->kib += len >> 10;
	rows->rss += rss;
	rows->dirty += dirty;
	if (map->perms & MW_PERM_SHARED)
		rows->shared += len;
	else if (map->perms & MW_PERM_WRITE)
		rows->private_writable += len;
	if (!add_figures(rows, map, rss, dirty) || !mw_pmap_add_name(rows->job, map) ||
	    !mw_buf_add(&rows->job->text, "\n", 1))
		return mw_err_nomem();
	mw_pmap_flush(rows->job, true);
	return NULL;
}

static struct mw_err *broken(const char *file)
{
	return mw_err_new(MW_ERR_FORMAT, 0, file, "%s has a line that cannot be read",
			  file);
}

/* Whole lines of maps; what is cut comes again. */
static struct mw_err *take_maps(void *ctx, const char *text, size_t len, bool last,
				size_t *used)
{
	struct rows *rows = ctx;
	struct mw_maps_line map;
	const char *pos = text, *end = text + len;
	while (pos < end) {
		const char *eol = mw_line_end(pos, end);
		if (eol == end && !last)
			break;
		if (!mw_maps_parse_line(pos, eol, &map))
			return broken("maps");
		struct mw_err *err = add_row(rows, &map, 0, 0);
		if (err)
			return err;
		pos = eol < end ? eol + 1 : end;
	}
	*used = (size_t)(pos - text);
	return NULL;
}

/* Whole entries of smaps: the last may go on in the next piece. */
static struct mw_err *take_smaps(void *ctx, const char *text, size_t len, bool last,
				 size_t *used)
{
	struct rows *rows = ctx;
	struct mw_smaps_entry entry;
	const char *pos = text, *end = text + len;
	if (!last)
		end = mw_smaps_last(text, end);
	while (pos < end) {
		if (!mw_smaps_next(&pos, end, &entry))
			return broken("smaps");
		uint64_t dirty = entry.bytes[MW_KEY_SHARED_DIRTY] +
				 entry.bytes[MW_KEY_PRIVATE_DIRTY];
		struct mw_err *err = add_row(rows, &entry.map,
					     entry.bytes[MW_KEY_RSS] >> 10, dirty >> 10);
		if (err)
			return err;
	}
	*used = (size_t)(pos - text);
	return NULL;
}

static bool add_head(struct mw_pmap_job *job)
{
	static const char *const heads[] = {
		[MW_PMAP_SHORT] = "",
		[MW_PMAP_DEVICE] = "Address           Kbytes Mode  Offset           "
				   "Device    Mapping\n",
		[MW_PMAP_EXTENDED] = "Address           Kbytes     RSS   Dirty Mode  "
				     "Mapping\n",
	};
	return job->opts->quiet ||
	       mw_buf_printf(&job->text, "%s", heads[job->opts->mode]);
}

static bool add_sums(const struct rows *rows)
{
	struct mw_buf *text = &rows->job->text;
	if (rows->job->opts->quiet)
		return true;
	switch (rows->job->opts->mode) {
	case MW_PMAP_EXTENDED:
		return mw_buf_printf(text,
				     "---------------- ------- ------- ------- \n"
				     "total kB         %7" PRIu64 " %7" PRIu64
				     " %7" PRIu64 "\n",
				     rows->kib, rows->rss, rows->dirty);
	case MW_PMAP_DEVICE:
		return mw_buf_printf(text,
				     "mapped: %" PRIu64 "K    writeable/private: %" PRIu64
				     "K    shared: %" PRIu64 "K\n",
				     rows->kib, rows->private_writable >> 10,
				     rows->shared >> 10);
	default:
		return mw_buf_printf(text, " total %16" PRIu64 "K\n", rows->kib);
	}
}

struct mw_err *mw_pmap_rows(struct mw_pmap_job *job)
{
	struct rows rows = { .job = job };
	bool extended = job->opts->mode == MW_PMAP_EXTENDED;
	size_t before = job->text.len;
	if (!add_head(job))
		return mw_err_nomem();
	struct mw_err *err = mw_source_stream_text(
		job->src, job->pid, extended ? MW_FILE_SMAPS : MW_FILE_MAPS,
		extended ? take_smaps : take_maps, &rows);
	/* What may not be read has no table, not even an empty one. */
	if (err && job->text.len > before && !rows.kib)
		job->text.len = before;
	if (err)
		return err;
	return add_sums(&rows) ? NULL : mw_err_nomem();
}
