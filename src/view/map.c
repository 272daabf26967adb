// SPDX-License-Identifier: MIT
/* `memwhy map`: rows, summary, page runs. */
#include "view/map.h"

#include "base/buf.h"

#include <string.h>

/* Address space above this is the kernel's; the hole below it is no hole. */
#define USER_END (UINT64_C(1) << 47)

static bool any_swap(const struct mw_map_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		if (rows->items[i].counts->swap)
			return true;
	return false;
}

enum { N_COLS = 15 };

/* The one list of columns of rows; which of them people see differs. */
static void make_columns(struct mw_col cols[N_COLS], bool summary, bool swap, bool watch)
{
	unsigned rows_only = summary ? MW_COL_NO_TEXT : 0;
	const struct mw_col all[N_COLS] = {
		{ "start", "address", MW_TYPE_ADDR, rows_only, 12 },
		{ "end", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 12 },
		{ "class", "class", MW_TYPE_TEXT, 0, 14 },
		{ "segments", summary ? "regions" : "", MW_TYPE_COUNT,
		  summary ? 0 : MW_COL_NO_TEXT, 6 },
		{ "size", summary ? "virtual" : "size", MW_TYPE_BYTES, 0, 9 },
		{ "rss", "Rss", MW_TYPE_BYTES, 0, 9 },
		{ "pss", "Pss", MW_TYPE_BYTES, MW_COL_NO_TEXT, 9 },
		{ "private", "private", MW_TYPE_BYTES, 0, 9 },
		{ "shared", "shared", MW_TYPE_BYTES, watch ? MW_COL_NO_TEXT : 0, 9 },
		{ "swap", "swap", MW_TYPE_BYTES, swap ? 0 : MW_COL_NO_TEXT, 9 },
		{ "perms", "mode", MW_TYPE_TEXT, watch ? MW_COL_NO_TEXT : rows_only, 4 },
		{ "name", "name", MW_TYPE_TEXT, rows_only | MW_COL_TRUNC, 0 },
		{ "confidence", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 8 },
		{ "evidence", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "rss_delta", "change", MW_TYPE_DELTA,
		  watch ? 0 : MW_COL_NO_TEXT | MW_COL_NO_DATA, 9 },
	};
	memcpy(cols, all, sizeof(all));
}

/* A row that is new counts from nothing. */
static struct mw_cell delta_cell(const struct mw_map_row *row,
				 const struct mw_map_rows *before, bool summary)
{
	if (!before || !before->n || !(row->counts->have & MW_HAVE_RSS))
		return mw_cell_null();
	const struct mw_map_row *old = mw_map_row_earlier(before, summary, row);
	return mw_cell_i((int64_t)(row->counts->rss - (old ? old->counts->rss : 0)));
}

static void emit_row(struct mw_out *out, const struct mw_map_row *row,
		     const struct mw_map_rows *before, bool summary)
{
	struct mw_cell delta = delta_cell(row, before, summary);
	enum mw_emphasis emphasis = !delta.null && delta.i ? MW_CHANGED
				    : row->counts->rss     ? MW_PLAIN
							   : MW_FAINT;
	const struct mw_counts *c = row->counts;
	bool uss = c->have & MW_HAVE_USS;
	char perms[MW_MAP_PERMS_LEN];
	mw_map_perms(row, perms);
	struct mw_cell cells[N_COLS] = {
		mw_cell_u(row->start),
		mw_cell_u(row->end),
		mw_cell_s(row->class),
		mw_cell_u(row->n),
		mw_cell_u(row->size),
		mw_cell_if(c->have & MW_HAVE_RSS, c->rss),
		mw_cell_if(c->have & MW_HAVE_PSS, mw_counts_pss(c)),
		mw_cell_if(uss, c->uss),
		mw_cell_if(uss, c->rss - c->uss),
		mw_cell_if(c->have & MW_HAVE_SWAP, c->swap),
		mw_cell_s(perms),
		mw_cell_s(row->name),
		mw_cell_s(row->confidence),
		mw_cell_s(row->evidence),
		delta,
	};
	mw_out_row(out, cells, emphasis);
}

/* Unmapped space between two rows, for people only. */
static void emit_hole(struct mw_out *out, uint64_t start, uint64_t end)
{
	struct mw_map_row hole = { .start = start,
				   .end = end,
				   .class = "(unmapped)",
				   .size = end - start,
				   .name = "" };
	struct mw_cell cells[N_COLS] = { [0] = mw_cell_u(start),
					 [2] = mw_cell_s(hole.class),
					 [4] = mw_cell_u(hole.size) };
	for (unsigned i = 5; i < N_COLS; i++)
		cells[i] = mw_cell_s("");
	for (unsigned i = 5; i <= 9; i++)
		cells[i] = mw_cell_null();
	cells[N_COLS - 1] = mw_cell_null();
	mw_out_row(out, cells, MW_FAINT);
}

static bool shows_holes(const struct mw_map_answer *answer, struct mw_out *out)
{
	const struct mw_map_opts *opts = answer->opts;
	return mw_out_is_text(out) && !answer->fitted && opts->sort == MW_SORT_ADDRESS &&
	       !opts->summary && !opts->class;
}

void mw_view_map_rows(struct mw_out *out, const struct mw_map_answer *answer)
{
	const struct mw_map_rows *rows = answer->rows;
	struct mw_col cols[N_COLS];
	make_columns(cols, answer->opts->summary, any_swap(rows), answer->before != NULL);
	struct mw_table table = { .key = "regions",
				  .title = "",
				  .cols = cols,
				  .n_cols = N_COLS,
				  .n_rows = rows->n,
				  .is_main = true };
	bool holes = shows_holes(answer, out);
	mw_out_table(out, &table);
	for (size_t i = 0; i < rows->n && !mw_out_failed(out); i++) {
		const struct mw_map_row *row = &rows->items[i];
		if (holes && i && row->start > rows->items[i - 1].end &&
		    row->end <= USER_END)
			emit_hole(out, rows->items[i - 1].end, row->start);
		emit_row(out, row, answer->before, answer->opts->summary);
	}
	mw_out_table_end(out);
}

static uint64_t largest_hole(const struct mw_snapshot *snap)
{
	size_t n;
	uint64_t ret = 0;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 1; i < n; i++)
		if (regions[i].end <= USER_END &&
		    regions[i].start - regions[i - 1].end > ret)
			ret = regions[i].start - regions[i - 1].end;
	return ret;
}

static void totals_fields(struct mw_out *out, const struct mw_counts *sum, uint64_t size,
			  size_t n)
{
	bool uss = sum->have & MW_HAVE_USS;
	mw_out_object(out, "totals");
	mw_out_field(out, "regions", MW_TYPE_COUNT, mw_cell_if(n, n));
	mw_out_field(out, "size", MW_TYPE_BYTES, mw_cell_if(n, size));
	mw_out_field(out, "rss", MW_TYPE_BYTES,
		     mw_cell_if(sum->have & MW_HAVE_RSS, sum->rss));
	mw_out_field(out, "pss", MW_TYPE_BYTES,
		     mw_cell_if(sum->have & MW_HAVE_PSS, mw_counts_pss(sum)));
	mw_out_field(out, "private", MW_TYPE_BYTES, mw_cell_if(uss, sum->uss));
	mw_out_field(out, "shared", MW_TYPE_BYTES, mw_cell_if(uss, sum->rss - sum->uss));
	mw_out_field(out, "swap", MW_TYPE_BYTES,
		     mw_cell_if(sum->have & MW_HAVE_SWAP, sum->swap));
	mw_out_object_end(out);
}

static void view_totals(struct mw_out *out, const struct mw_snapshot *snap)
{
	size_t n;
	uint64_t size = 0, hole = largest_hole(snap);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	const struct mw_counts *sum = &mw_snapshot_totals(snap)->sum;
	char words[4][MW_UNITS_LEN];
	mw_auto_buf text = { 0 };
	for (size_t i = 0; i < n; i++)
		size += regions[i].end - regions[i].start;
	totals_fields(out, sum, size, n);
	mw_out_field(out, "largest_hole", MW_TYPE_BYTES, mw_cell_if(n, hole));
	if (!n)
		return;
	bool ok = mw_buf_printf(&text, "%zu mappings, virtual %s", n,
				mw_units_bytes(size, MW_UNIT_AUTO, words[0]));
	if (sum->have & MW_HAVE_RSS)
		ok = ok &&
		     mw_buf_printf(&text, ", Rss %s, private %s",
				   mw_units_bytes(sum->rss, MW_UNIT_AUTO, words[1]),
				   mw_units_bytes(sum->uss, MW_UNIT_AUTO, words[2]));
	ok = ok && mw_buf_printf(&text, ", largest hole %s",
				 mw_units_bytes(hole, MW_UNIT_AUTO, words[3]));
	if (ok)
		mw_out_note(out, 2, mw_buf_str(&text));
}

/* Of mappings there are none: not to be read, or of a kernel thread or a zombie. */
static bool add_no_mappings(struct mw_buf *text, const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_gap *gaps = mw_snapshot_gaps(snap, &n);
	if (mw_snapshot_process(snap)->vm_size != UINT64_MAX || !n)
		return mw_buf_printf(text, ": no mappings could be read.");
	return mw_buf_printf(text, " has no mappings: %s.", gaps[n - 1].why);
}

static bool add_resident(struct mw_buf *text, const struct mw_snapshot *snap, size_t n)
{
	const struct mw_counts *sum = &mw_snapshot_totals(snap)->sum;
	char words[MW_UNITS_LEN];
	if (!(sum->have & MW_HAVE_RSS))
		return mw_buf_printf(text,
				     ": %zu mappings; what is resident in them could not "
				     "be read.",
				     n);
	return mw_buf_printf(text, " has %s resident in %zu mappings.",
			     mw_units_bytes(sum->rss, MW_UNIT_AUTO, words), n);
}

struct mw_err *mw_view_map_head(struct mw_out *out, const struct mw_map_answer *answer)
{
	const struct mw_process *p = mw_snapshot_process(answer->snap);
	mw_auto_buf text = { 0 };
	size_t n;
	mw_snapshot_regions(answer->snap, &n);
	bool ok = mw_buf_printf(&text, "%s (%d)", p->comm, p->pid) &&
		  (n ? add_resident(&text, answer->snap, n)
		     : add_no_mappings(&text, answer->snap));
	if (!ok)
		return mw_err_nomem();
	mw_out_begin(out, "memwhy.map/1");
	mw_out_headline(out, mw_buf_str(&text));
	mw_view_process(out, p);
	return NULL;
}

void mw_view_map_limits(struct mw_out *out, const struct mw_map_answer *answer,
			const struct mw_gap *own)
{
	const struct mw_gap_list gaps[] = { mw_snapshot_gap_list(answer->snap),
					    mw_layout_gap_list(answer->layout),
					    { own, own != NULL } };
	mw_view_gaps(out, gaps, 3, &answer->stop);
	mw_view_stopped(out, &answer->stop);
}

static void left_out_note(struct mw_out *out, size_t n)
{
	mw_auto_buf text = { 0 };
	if (n &&
	    mw_buf_printf(&text, "%zu more rows, changed less, do not fit the window", n))
		mw_out_note(out, 2, mw_buf_str(&text));
}

void mw_view_map_tail(struct mw_out *out, const struct mw_map_answer *answer)
{
	left_out_note(out, answer->left_out);
	view_totals(out, answer->snap);
	mw_view_drift(out, mw_snapshot_totals(answer->snap));
	mw_view_map_limits(out, answer, NULL);
}

struct mw_err *mw_view_map(struct mw_out *out, const struct mw_map_answer *answer)
{
	struct mw_err *err = mw_view_map_head(out, answer);
	if (err)
		return err;
	mw_view_map_rows(out, answer);
	mw_view_map_tail(out, answer);
	return NULL;
}
