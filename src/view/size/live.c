// SPDX-License-Identifier: MIT
/*
 * What of each section is in memory. Pages are shared by neighbours: of a page that
 * holds the end of one section and the start of the next, each counts its own bytes.
 */
#include "base/buf.h"
#include "base/units.h"
#include "symbols/object.h"
#include "view/size/size.h"
#include "view/view.h"

#include <elf.h>
#include <string.h>

struct live {
	const struct mw_snapshot *snap;
	uint64_t page_size;
	uint64_t bias; /* what is added to link-time addresses */
};

struct resident {
	uint64_t bytes, own, copied;
	bool known;
};

static bool is_object(const struct mw_region *region, const char *path)
{
	if (!region->ino || !path || !path[0])
		return false;
	if (!strcmp(region->name, path))
		return true;
	const char *base = strrchr(region->name, '/');
	return base && !strchr(path, '/') && !strcmp(base + 1, path);
}

/* The lowest mapping of the object: its headers. */
static const struct mw_region *find_object(const struct mw_snapshot *snap,
					   const char *path)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (is_object(&regions[i], path))
			return &regions[i];
	return NULL;
}

/* Bytes of [from, to) that lie on pages of a kind, page by page at its ends. */
static void count_page(const struct live *live, uint64_t from, uint64_t to,
		       struct resident *sum)
{
	uint64_t page = from & ~(live->page_size - 1);
	const struct mw_region *region = mw_snapshot_find(live->snap, page);
	if (!region)
		return;
	struct mw_counts c =
		mw_snapshot_count(live->snap, region, page, page + live->page_size);
	if (!(c.have & MW_HAVE_RSS)) {
		sum->known = false;
		return;
	}
	if (c.rss)
		sum->bytes += to - from;
	if (c.uss)
		sum->own += to - from;
	if (c.anon)
		sum->copied += to - from;
}

/* Whole pages in one piece; what begins or ends inside one, by bytes. */
static void count_in(const struct live *live, const struct mw_region *region,
		     uint64_t from, uint64_t to, struct resident *sum)
{
	uint64_t mask = live->page_size - 1;
	for (uint64_t at = from; at < to && sum->known;) {
		uint64_t page_end = (at | mask) + 1, end = page_end < to ? page_end : to;
		if ((at & mask) || to - at <= mask) {
			count_page(live, at, end, sum);
			at = end;
			continue;
		}
		struct mw_counts c =
			mw_snapshot_count(live->snap, region, at, to & ~mask);
		sum->known = c.have & MW_HAVE_RSS;
		sum->bytes += c.rss;
		sum->own += c.uss;
		sum->copied += c.anon;
		at = to & ~mask;
	}
}

/* By regions, not by addresses: a broken file may claim more of these than there are. */
static struct resident count(const struct live *live, uint64_t from, uint64_t to)
{
	struct resident sum = { .known = true };
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(live->snap, &n);
	for (size_t i = 0; i < n && regions[i].start < to; i++) {
		const struct mw_region *region = &regions[i];
		if (region->end > from)
			count_in(live, region,
				 region->start > from ? region->start : from,
				 region->end < to ? region->end : to, &sum);
	}
	return sum;
}

/* False for what has no place in the process: empty, not in memory, thread-local zeros.
 */
static bool section_counts(const struct live *live, const struct mw_elf_section *s,
			   uint64_t *start, struct resident *ret)
{
	uint64_t end;
	if (!(s->flags & SHF_ALLOC) || !s->len ||
	    ((s->flags & SHF_TLS) && s->type == SHT_NOBITS) ||
	    __builtin_add_overflow(s->addr, live->bias, start) ||
	    __builtin_add_overflow(*start, s->len, &end) ||
	    !mw_snapshot_find(live->snap, *start))
		return false;
	*ret = count(live, *start, end);
	return true;
}

static void section_row(struct mw_out *out, const struct live *live,
			const struct mw_elf_section *s)
{
	uint64_t start;
	struct resident r;
	if (!section_counts(live, s, &start, &r))
		return;
	struct mw_cell cells[] = {
		mw_cell_s(s->name),         mw_cell_u(start),
		mw_cell_u(s->len),          mw_cell_if(r.known, r.bytes),
		mw_cell_if(r.known, r.own), mw_cell_if(r.known, r.copied),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

/* All sections together. Returns the sum of their sizes. */
static uint64_t sum_up(const struct live *live, const struct mw_listing *listing,
		       struct resident *all)
{
	uint64_t size = 0, start;
	struct resident r;
	for (size_t i = 0; i < listing->n; i++) {
		const struct mw_elf_section *s = &listing->sections[listing->order[i]];
		if (!section_counts(live, s, &start, &r))
			continue;
		all->known &= r.known;
		all->bytes += r.bytes;
		all->own += r.own;
		all->copied += r.copied;
		if (__builtin_add_overflow(size, s->len, &size))
			size = UINT64_MAX;
	}
	return size;
}

static const struct mw_col cols[] = {
	{ "section", "section", MW_TYPE_TEXT, 0, 0 },
	{ "address", "address", MW_TYPE_ADDR, 0, 0 },
	{ "size", "size", MW_TYPE_BYTES, 0, 0 },
	{ "resident", "resident", MW_TYPE_BYTES, 0, 0 },
	{ "private", "private", MW_TYPE_BYTES, 0, 0 },
	{ "dirty", "written", MW_TYPE_BYTES, 0, 0 },
};

static void totals(struct mw_out *out, const struct resident *all, uint64_t size)
{
	mw_out_object(out, "totals");
	mw_out_field(out, "size", MW_TYPE_BYTES, mw_cell_u(size));
	mw_out_field(out, "resident", MW_TYPE_BYTES, mw_cell_if(all->known, all->bytes));
	mw_out_field(out, "private", MW_TYPE_BYTES, mw_cell_if(all->known, all->own));
	mw_out_field(out, "dirty", MW_TYPE_BYTES, mw_cell_if(all->known, all->copied));
	mw_out_object_end(out);
}

static struct mw_err *headline(struct mw_out *out, const struct mw_process *process,
			       const char *path, const struct resident *all,
			       uint64_t size)
{
	char t[4][MW_UNITS_LEN];
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%s (%d) maps %s in sections of %s", process->comm,
				(int)process->pid,
				mw_units_bytes(size, MW_UNIT_AUTO, t[0]), path);
	if (ok && all->known)
		ok = mw_buf_printf(&text,
				   ": %s is resident, %s in this process alone; %s was "
				   "written and is its own copy.",
				   mw_units_bytes(all->bytes, MW_UNIT_AUTO, t[1]),
				   mw_units_bytes(all->own, MW_UNIT_AUTO, t[2]),
				   mw_units_bytes(all->copied, MW_UNIT_AUTO, t[3]));
	else if (ok)
		ok = mw_buf_printf(&text, "; which of it is resident may not be read.");
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static struct mw_err *show(struct mw_out *out, const struct live *live, const char *path,
			   const struct mw_listing *listing)
{
	struct resident all = { .known = true };
	uint64_t size = sum_up(live, listing, &all);
	struct mw_table table = { .key = "sections",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .is_main = true };
	struct mw_gap_list gaps = mw_snapshot_gap_list(live->snap);
	mw_out_begin(out, "memwhy.size/1");
	struct mw_err *err =
		headline(out, mw_snapshot_process(live->snap), path, &all, size);
	if (err)
		return err;
	mw_view_process(out, mw_snapshot_process(live->snap));
	mw_out_field(out, "file", MW_TYPE_TEXT, mw_cell_s(path));
	mw_out_table(out, &table);
	for (size_t i = 0; i < listing->n; i++)
		section_row(out, live, &listing->sections[listing->order[i]]);
	mw_out_table_end(out);
	totals(out, &all, size);
	mw_view_gaps(out, &gaps, 1, &(struct mw_view_stop){ 0 });
	return NULL;
}

struct mw_err *mw_view_size_live(struct mw_out *out, const struct mw_snapshot *snap,
				 const char *path)
{
	const struct mw_process *process = mw_snapshot_process(snap);
	struct live live = {
		.snap = snap,
		.page_size = mw_source_facts(mw_snapshot_source(snap))->page_size,
	};
	struct mw_object_reader reader;
	struct mw_listing listing = { 0 };
	struct mw_elf *elf;
	path = path ? path : process->exe;
	const struct mw_region *first = find_object(snap, path);
	if (!first)
		return mw_err_new(MW_ERR_NOTFOUND, 0, path, "%s (%d) maps no object %s",
				  process->comm, (int)process->pid, path);
	mw_object_reader_init(&reader, snap, first);
	struct mw_err *err = mw_elf_open(mw_object_read, &reader, &elf);
	if (err)
		return err;
	if (!mw_object_bias(elf, first, live.page_size, &live.bias))
		err = mw_err_new(MW_ERR_FORMAT, 0, path,
				 "%s: no segment fits its mappings", path);
	if (!err)
		err = mw_listing_make(elf, &listing);
	if (!err)
		err = show(out, &live, first->name, &listing);
	mw_listing_deinit(&listing);
	mw_elf_free(elf);
	return err;
}
