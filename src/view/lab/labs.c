// SPDX-License-Identifier: MIT
/* Many labs: what there is, and what came out of all of them. */
#include "view/lab/impl.h"

#include <string.h>

/* Of both tables: what is there, and what came out. */
enum { N_COLS = 15 };

static void columns(enum mw_labs_told told, struct mw_col ret[N_COLS])
{
	const bool ran = told != MW_LABS_LISTED;
	const unsigned list = ran ? MW_COL_NO_TEXT : 0, run = ran ? 0 : MW_COL_NO_TEXT;
	const unsigned graded = told == MW_LABS_GRADED ? 0 : MW_COL_NO_TEXT;
	const struct mw_col cols[N_COLS] = {
		{ "topic", "topic", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "shown", "topic", MW_TYPE_TEXT, list | MW_COL_NO_DATA, 0 },
		{ "name", "lab", MW_TYPE_TEXT, 0, 0 },
		{ "level", "level", MW_TYPE_COUNT, list, 0 },
		{ "title", "", MW_TYPE_TEXT, list | MW_COL_TRUNC, 0 },
		{ "question", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "dir", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "steps", "steps", MW_TYPE_COUNT, run, 0 },
		{ "held", "held", MW_TYPE_COUNT, run, 0 },
		{ "broken", "broken", MW_TYPE_COUNT, run, 0 },
		{ "unseen", "unseen", MW_TYPE_COUNT, run, 0 },
		{ "right", "right", MW_TYPE_COUNT, graded, 0 },
		{ "wrong", "wrong", MW_TYPE_COUNT, graded, 0 },
		{ "missing", "missing", MW_TYPE_COUNT, graded, 0 },
		{ "failed", "", MW_TYPE_TEXT, run | MW_COL_TRUNC, 0 },
	};
	memcpy(ret, cols, sizeof(cols));
}

static void row(struct mw_out *out, const struct mw_lab_entry *entry, bool same_topic,
		bool ran)
{
	const struct mw_lab *lab = entry->lab;
	const struct mw_lab_tally *tally = &entry->tally;
	struct mw_cell cells[N_COLS] = {
		mw_cell_s(lab->topic),
		mw_cell_s(same_topic ? "" : lab->topic),
		mw_cell_s(lab->name),
		mw_cell_u(lab->level),
		mw_cell_s(lab->title),
		mw_cell_s(lab->question),
		mw_cell_s(lab->dir),
		mw_cell_u(lab->n_steps),
		mw_cell_if(ran, tally->held),
		mw_cell_if(ran, tally->broken),
		mw_cell_if(ran, tally->unseen),
		mw_cell_if(ran, tally->right),
		mw_cell_if(ran, tally->wrong),
		mw_cell_if(ran, tally->missing),
		mw_cell_s(entry->failed),
	};
	if (!mw_out_is_text(out) && !*entry->failed)
		cells[N_COLS - 1] = mw_cell_null();
	mw_out_row(out, cells, tally->broken || *entry->failed ? MW_BAD : MW_PLAIN);
}

/* What came out of all that ran. */
static bool sums_words(struct mw_buf *text, const struct mw_lab_tally *sum, size_t failed,
		       bool graded)
{
	bool ok = mw_buf_printf(text, ": ") &&
		  (!graded || mw_lab_score_words(text, sum, true)) &&
		  mw_lab_facts_words(text, sum);
	if (ok && failed)
		ok = mw_buf_printf(text, "; %zu did not run to the end", failed);
	return ok && mw_buf_printf(text, ".");
}

static struct mw_err *headline(struct mw_out *out, const struct mw_lab_entry *entries,
			       size_t n, enum mw_labs_told told)
{
	mw_auto_buf text = { 0 };
	struct mw_lab_tally sum = { 0 };
	size_t topics = 0, failed = 0;
	for (size_t i = 0; i < n; i++) {
		const struct mw_lab_entry *e = &entries[i];
		sum.held += e->tally.held;
		sum.broken += e->tally.broken;
		sum.unseen += e->tally.unseen;
		sum.right += e->tally.right;
		sum.wrong += e->tally.wrong;
		sum.missing += e->tally.missing;
		failed += *e->failed != '\0';
		topics += !i || strcmp(e->lab->topic, entries[i - 1].lab->topic) != 0;
	}
	const char *labs = n == 1 ? "lab" : "labs";
	bool ok = mw_buf_printf(&text, "%zu %s", n, labs);
	if (ok && told == MW_LABS_LISTED)
		ok = mw_buf_printf(&text,
				   " on %zu %s: each lets you predict what memory will "
				   "do, and the kernel answer.",
				   topics, topics == 1 ? "topic" : "topics");
	else if (ok)
		ok = sums_words(&text, &sum, failed, told == MW_LABS_GRADED);
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

struct mw_err *mw_view_labs(struct mw_out *out, const struct mw_lab_entry *entries,
			    size_t n, enum mw_labs_told told)
{
	const bool ran = told != MW_LABS_LISTED;
	struct mw_col cols[N_COLS];
	const struct mw_table table = { .key = "labs",
					.title = "",
					.cols = cols,
					.n_cols = N_COLS,
					.n_rows = n,
					.is_main = true };
	columns(told, cols);
	mw_out_begin(out, "memwhy.labs/1");
	struct mw_err *err = headline(out, entries, n, told);
	if (err)
		return err;
	mw_out_table(out, &table);
	for (size_t i = 0; i < n; i++)
		row(out, &entries[i],
		    i && !strcmp(entries[i].lab->topic, entries[i - 1].lab->topic), ran);
	mw_out_table_end(out);
	if (n && !ran) {
		mw_auto_buf text = { 0 };
		if (!mw_buf_printf(&text, "memwhy lab %s", entries[0].lab->name))
			return mw_err_nomem();
		mw_out_next(out, mw_buf_str(&text));
	}
	return NULL;
}
