// SPDX-License-Identifier: MIT
/*
 * What is watched. For people a row that did not change is one line, or none where there
 * are many; one that did is two, before and after, so that the strips of pages stand
 * below each other.
 */
#include "view/lab/impl.h"

#include <string.h>
#include <unistd.h>

enum {
	FEW = 4,         /* rows; of more than that only those that changed are shown */
	STRIP = 24,      /* longer strips are told in runs */
	NO_ADDRESS = 66, /* narrower than that: no column for the address */
	NO_MAPPING = 52, /* … nor for what the mapping is */
	SIGNS = 6,
};

static const struct {
	char sign;
	const char *is;
} signs[SIGNS] = {
	{ '#', "# mapped only here" }, { 's', "s shared" }, { 'z', "z the zero page" },
	{ 'w', "w swapped" },          { '.', ". none" },   { '?', "? not known" },
};

/* "12# 4. 1z": as many pages of each, one after the other. */
static bool add_runs(struct mw_buf *text, const char *pages)
{
	bool ok = true;
	for (const char *at = pages; ok && *at;) {
		size_t n = 1;
		while (at[n] == *at)
			n++;
		ok = mw_buf_printf(text, "%s%zu%c", at == pages ? "" : " ", n, *at);
		at += n;
	}
	return ok;
}

static bool add_strip(struct mw_buf *text, const struct mw_lab_seen *seen)
{
	size_t n = strlen(seen->pages), page = (size_t)sysconf(_SC_PAGESIZE);
	bool more = seen->len > (n + 1) * page;
	if (n <= STRIP && !more)
		return mw_buf_printf(text, "%s", seen->pages);
	return add_runs(text, seen->pages) && (!more || mw_buf_printf(text, " …"));
}

static bool is_same(const struct mw_lab_seen *a, const struct mw_lab_seen *b)
{
	return a->mapped == b->mapped && a->start == b->start && a->end == b->end &&
	       a->rss == b->rss && !strcmp(a->perms, b->perms) &&
	       !strcmp(a->class, b->class) && !strcmp(a->pages, b->pages);
}

/* What is of no known class is the program's own, mapped by itself. */
static const char *title_of(const struct mw_lab_seen *seen)
{
	if (!seen->mapped)
		return "not mapped";
	return !strcmp(seen->class, "unknown") ? "plain mapping" : seen->title;
}

static bool people_row(struct mw_out *out, const char *label, const char *when,
		       const struct mw_lab_seen *seen, enum mw_emphasis emphasis)
{
	mw_auto_buf strip = { 0 };
	if (!add_strip(&strip, seen))
		return false;
	struct mw_cell cells[] = {
		mw_cell_s(label),
		mw_cell_s(when),
		mw_cell_if(seen->mapped, seen->start),
		mw_cell_s(title_of(seen)),
		mw_cell_s(seen->perms),
		mw_cell_known(seen->rss),
		mw_cell_s(mw_buf_str(&strip)),
	};
	mw_out_row(out, cells, emphasis);
	return true;
}

enum change { ABSENT, SAME, CHANGED };

static enum change change_of(const struct mw_lab_row *row)
{
	if (!row->known_before || !is_same(&row->before, &row->after))
		return CHANGED;
	return row->after.mapped ? SAME : ABSENT;
}

/* How many rows are shown; *least: what must be true of each. */
static size_t count_shown(const struct mw_lab_turn *turn, enum change *least)
{
	size_t n[CHANGED + 1] = { 0 };
	for (size_t i = 0; i < turn->n_rows; i++)
		n[change_of(&turn->rows[i])]++;
	*least = n[SAME] + n[CHANGED] > FEW ? CHANGED : SAME;
	return *least == CHANGED ? n[CHANGED] : n[SAME] + n[CHANGED];
}

static bool people_rows(struct mw_out *out, const struct mw_lab_row *row)
{
	if (!row->known_before)
		return people_row(out, row->label, "new", &row->after, MW_CHANGED);
	if (change_of(row) != CHANGED)
		return people_row(out, row->label, "same", &row->after, MW_PLAIN);
	return people_row(out, row->label, "before", &row->before, MW_FAINT) &&
	       people_row(out, "", "after", &row->after, MW_CHANGED);
}

static struct mw_err *people_table(struct mw_out *out, const struct mw_lab_turn *turn,
				   enum change least)
{
	unsigned width = mw_out_width(out);
	unsigned address = width && width < NO_ADDRESS ? MW_COL_NO_TEXT : 0;
	unsigned mapping = width && width < NO_MAPPING ? MW_COL_NO_TEXT : MW_COL_TRUNC;
	const struct mw_col cols[] = {
		{ "label", "watched", MW_TYPE_TEXT, 0, 0 },
		{ "when", "", MW_TYPE_TEXT, 0, 0 },
		{ "start", "mapping at", MW_TYPE_ADDR, address, 0 },
		{ "title", "which is", MW_TYPE_TEXT, mapping, 0 },
		{ "rights", "rights", MW_TYPE_TEXT, 0, 0 },
		{ "rss", "resident", MW_TYPE_BYTES, 0, 0 },
		{ "pages", "pages", MW_TYPE_TEXT, 0, 0 },
	};
	const struct mw_table table = { .key = "shown",
					.title = "",
					.cols = cols,
					.n_cols = sizeof(cols) / sizeof(*cols),
					.n_rows = turn->n_rows,
					.no_json = true };
	bool ok = true;
	mw_out_table(out, &table);
	for (size_t i = 0; ok && i < turn->n_rows; i++)
		if (change_of(&turn->rows[i]) >= least)
			ok = people_rows(out, &turn->rows[i]);
	mw_out_table_end(out);
	return ok ? NULL : mw_err_nomem();
}

/* Whether a sign stands in a row as it is shown. */
static bool has_sign(const struct mw_lab_row *row, char sign)
{
	bool before = row->known_before && change_of(row) == CHANGED;
	return strchr(row->after.pages, sign) ||
	       (before && strchr(row->before.pages, sign));
}

/* A sign is explained below the first table that it stands in. */
static struct mw_err *explain_signs(struct mw_lab_view *view,
				    const struct mw_lab_turn *turn, enum change least)
{
	mw_auto_buf text = { 0 };
	bool ok = true;
	for (unsigned s = 0; ok && s < SIGNS; s++) {
		bool stands = false;
		for (size_t i = 0; i < turn->n_rows; i++)
			stands |= change_of(&turn->rows[i]) >= least &&
				  has_sign(&turn->rows[i], signs[s].sign);
		if (!stands || view->explained & 1U << s)
			continue;
		view->explained |= 1U << s;
		ok = mw_buf_printf(&text, "%s%s",
				   text.len ? ", " : "pages: ", signs[s].is);
	}
	if (!ok)
		return mw_err_nomem();
	if (text.len)
		mw_out_note(view->out, 2, mw_buf_str(&text));
	return NULL;
}

static void data_row(struct mw_out *out, const struct mw_lab_row *row)
{
	const struct mw_lab_seen *b = &row->before, *a = &row->after;
	bool known = row->known_before;
	struct mw_cell cells[] = {
		mw_cell_s(row->label),
		mw_cell_if(row->pid > 0, (uint64_t)row->pid),
		mw_cell_u(a->len),
		mw_cell_if(known, b->mapped),
		mw_cell_if(known && b->mapped, b->start),
		mw_cell_if(known && b->mapped, b->end),
		mw_cell_s(known && b->mapped ? b->perms : NULL),
		mw_cell_s(known && b->mapped ? b->class : NULL),
		mw_cell_if(known && b->rss != UINT64_MAX, b->rss),
		mw_cell_s(known ? b->pages : NULL),
		mw_cell_u(a->mapped),
		mw_cell_if(a->mapped, a->start),
		mw_cell_if(a->mapped, a->end),
		mw_cell_s(a->mapped ? a->perms : NULL),
		mw_cell_s(a->mapped ? a->class : NULL),
		mw_cell_known(a->rss),
		mw_cell_s(a->pages),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

static void data_table(struct mw_out *out, const struct mw_lab_turn *turn)
{
	static const struct mw_col cols[] = {
		{ "label", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "pid", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, 0 },
		{ "len", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "before_mapped", "", MW_TYPE_BOOL, MW_COL_NO_TEXT, 0 },
		{ "before_start", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 0 },
		{ "before_end", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 0 },
		{ "before_rights", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "before_class", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "before_rss", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "before_pages", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "after_mapped", "", MW_TYPE_BOOL, MW_COL_NO_TEXT, 0 },
		{ "after_start", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 0 },
		{ "after_end", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 0 },
		{ "after_rights", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "after_class", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "after_rss", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "after_pages", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	};
	static const struct mw_table table = { .key = "watched",
					       .title = "",
					       .cols = cols,
					       .n_cols = sizeof(cols) / sizeof(*cols) };
	mw_out_table(out, &table);
	for (size_t i = 0; i < turn->n_rows; i++)
		data_row(out, &turn->rows[i]);
	mw_out_table_end(out);
}

struct mw_err *mw_lab_watched(struct mw_lab_view *view, const struct mw_lab_turn *turn)
{
	enum change least;
	data_table(view->out, turn);
	if (!mw_out_is_text(view->out) || !count_shown(turn, &least))
		return NULL;
	struct mw_err *err = people_table(view->out, turn, least);
	return err ? err : explain_signs(view, turn, least);
}
