// SPDX-License-Identifier: MIT
/* `memwhy map --pages`: the states of pages, as runs. */
#include "view/map.h"

#include "base/buf.h"

/* "present file exclusive", in words that JSON and people share. */
static struct mw_err *state_words(unsigned state, struct mw_buf *text)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ MW_PAGE_PRESENT, "present" }, { MW_PAGE_SWAPPED, "swapped" },
		{ MW_PAGE_FILE, "file" },       { MW_PAGE_EXCLUSIVE, "exclusive" },
		{ MW_PAGE_ZERO, "zero-page" },  { MW_PAGE_HUGE, "huge" },
		{ MW_PAGE_GUARD, "guard" },     { MW_PAGE_SOFT_DIRTY, "soft-dirty" },
		{ MW_PAGE_UFFD_WP, "uffd-wp" }, { MW_PAGE_NOT_RSS, "not-rss" },
	};
	mw_buf_clear(text);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((state & words[i].bit) &&
		    !mw_buf_printf(text, "%s%s", text->len ? " " : "", words[i].word))
			return mw_err_nomem();
	return NULL;
}

static const struct mw_col page_cols[] = {
	{ "start", "address", MW_TYPE_ADDR, 0, 12 },
	{ "end", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 12 },
	{ "pages", "pages", MW_TYPE_COUNT, 0, 8 },
	{ "bytes", "size", MW_TYPE_BYTES, 0, 9 },
	{ "map_count", "mapped", MW_TYPE_COUNT, 0, 6 },
	{ "state", "state", MW_TYPE_TEXT, 0, 30 },
	{ "class", "class", MW_TYPE_TEXT, 0, 14 },
	{ "name", "name", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
};

static struct mw_err *emit_run(struct mw_out *out, const struct mw_page_run *run,
			       const struct mw_segment *seg, uint64_t page,
			       struct mw_buf *text)
{
	uint64_t start = run->start > seg->start ? run->start : seg->start;
	uint64_t end = run->start + run->n_pages * page;
	end = end < seg->end ? end : seg->end;
	uint64_t count = run->state & MW_PAGE_EXCLUSIVE ? 1 : run->map_count;
	struct mw_err *err = state_words(run->state, text);
	if (err)
		return err;
	struct mw_cell cells[] = {
		mw_cell_u(start),
		mw_cell_u(end),
		mw_cell_u((end - start) / page),
		mw_cell_u(end - start),
		mw_cell_if(count != 0, count),
		mw_cell_s(mw_buf_str(text)),
		mw_cell_s(mw_class_key(seg->class)),
		mw_cell_s(seg->name),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

static struct mw_err *emit_runs(struct mw_out *out, const struct mw_map_answer *answer)
{
	size_t n_segs, n_runs, r = 0;
	uint64_t page = mw_source_facts(mw_snapshot_source(answer->snap))->page_size;
	const struct mw_segment *segs = mw_layout_segments(answer->layout, &n_segs);
	const struct mw_page_run *runs = mw_snapshot_runs(answer->snap, &n_runs);
	mw_auto_buf text = { 0 };
	for (size_t i = 0; i < n_segs && !mw_out_failed(out); i++) {
		const char *class = answer->opts->class;
		bool wanted =
			!class || mw_map_class_fits(mw_class_key(segs[i].class), class);
		while (r < n_runs &&
		       runs[r].start + runs[r].n_pages * page <= segs[i].start)
			r++;
		for (size_t k = r; wanted && k < n_runs && runs[k].start < segs[i].end;
		     k++) {
			struct mw_err *err =
				emit_run(out, &runs[k], &segs[i], page, &text);
			if (err)
				return err;
		}
	}
	return NULL;
}

struct mw_err *mw_view_pages(struct mw_out *out, const struct mw_map_answer *answer)
{
	size_t n_runs;
	mw_snapshot_runs(answer->snap, &n_runs);
	struct mw_table table = { .key = "pages",
				  .title = "",
				  .cols = page_cols,
				  .n_cols = sizeof(page_cols) / sizeof(page_cols[0]),
				  .n_rows = n_runs,
				  .is_main = true };
	struct mw_err *err = mw_view_map_head(out, answer);
	if (err)
		return err;
	mw_out_table(out, &table);
	err = emit_runs(out, answer);
	mw_out_table_end(out);
	mw_view_map_tail(out, answer);
	return err;
}
