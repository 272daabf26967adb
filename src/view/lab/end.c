// SPDX-License-Identifier: MIT
/* What came out of a lab: its steps in a table, its sums, where to go on. */
#include "view/lab/impl.h"

/* Verdicts of one step, its computed answer among them. */
static struct mw_lab_tally step_tally(const struct mw_lab_record *record)
{
	struct mw_lab_tally tally = { 0 };
	mw_lab_count(&tally, record);
	return tally;
}

static struct mw_err *step_row(struct mw_out *out, const struct mw_lab_record *record)
{
	const struct mw_lab_turn *turn = record->turn;
	const struct mw_lab_tally tally = step_tally(record);
	mw_auto_buf text = { 0 };
	bool answered = turn->step->answer && !*turn->lacks &&
			turn->answer.kind != MW_VALUE_UNKNOWN;
	if (answered && !mw_lab_value_words(&text, turn->step, &turn->answer))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_u(turn->number),
		mw_cell_s(turn->step->name),
		*record->said ? mw_cell_s(record->said) : mw_cell_null(),
		answered ? mw_cell_s(mw_buf_str(&text)) : mw_cell_null(),
		mw_cell_s(mw_lab_mark_key(record->mark)),
		mw_cell_u(tally.held),
		mw_cell_u(tally.broken),
		mw_cell_u(tally.unseen),
	};
	mw_out_row(out, cells,
		   record->mark == MW_LAB_WRONG || tally.broken ? MW_BAD : MW_PLAIN);
	return NULL;
}

static struct mw_err *steps_table(struct mw_out *out, const struct mw_lab_record *records,
				  size_t n)
{
	static const struct mw_col cols[] = {
		{ "number", "", MW_TYPE_COUNT, 0, 0 },
		{ "step", "step", MW_TYPE_TEXT, 0, 0 },
		{ "said", "you said", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "answer", "kernel", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "mark", "", MW_TYPE_TEXT, 0, 0 },
		{ "held", "held", MW_TYPE_COUNT, 0, 0 },
		{ "broken", "broken", MW_TYPE_COUNT, 0, 0 },
		{ "unseen", "unseen", MW_TYPE_COUNT, 0, 0 },
	};
	const struct mw_table table = { .key = "results",
					.title = "",
					.cols = cols,
					.n_cols = sizeof(cols) / sizeof(*cols),
					.n_rows = n,
					.is_main = true,
					.no_json = true };
	struct mw_err *err = NULL;
	mw_out_table(out, &table);
	for (size_t i = 0; !err && i < n; i++)
		err = step_row(out, &records[i]);
	mw_out_table_end(out);
	return err;
}

static void tally_fields(struct mw_out *out, const struct mw_lab_tally *tally)
{
	mw_out_object(out, "facts");
	mw_out_field(out, "held", MW_TYPE_COUNT, mw_cell_u(tally->held));
	mw_out_field(out, "broken", MW_TYPE_COUNT, mw_cell_u(tally->broken));
	mw_out_field(out, "unseen", MW_TYPE_COUNT, mw_cell_u(tally->unseen));
	mw_out_object_end(out);
	mw_out_object(out, "predictions");
	mw_out_field(out, "asked", MW_TYPE_COUNT, mw_cell_u(tally->asked));
	mw_out_field(out, "right", MW_TYPE_COUNT, mw_cell_u(tally->right));
	mw_out_field(out, "wrong", MW_TYPE_COUNT, mw_cell_u(tally->wrong));
	mw_out_field(out, "missing", MW_TYPE_COUNT, mw_cell_u(tally->missing));
	mw_out_field(out, "unjudged", MW_TYPE_COUNT, mw_cell_u(tally->unjudged));
	mw_out_object_end(out);
}

/* "5 of 7 predictions right; 19 facts held, none broken." */
static struct mw_err *sums(struct mw_lab_view *view, const struct mw_lab_tally *tally)
{
	mw_auto_buf text = { 0 };
	bool ok = mw_lab_score_words(&text, tally, view->graded) &&
		  mw_lab_facts_words(&text, tally) && mw_buf_printf(&text, ".");
	if (!ok)
		return mw_err_nomem();
	mw_out_heading(view->out, mw_buf_str(&text));
	return NULL;
}

static void tries(struct mw_out *out, const struct mw_lab *lab)
{
	static const struct mw_col cols[] = { { "what", "", MW_TYPE_TEXT, MW_COL_NO_TEXT,
						0 } };
	static const struct mw_table table = {
		.key = "try", .title = "", .cols = cols, .n_cols = 1
	};
	mw_out_table(out, &table);
	for (size_t i = 0; i < lab->n_try; i++)
		mw_out_row(out, (struct mw_cell[]){ mw_cell_s(lab->try[i]) }, MW_PLAIN);
	mw_out_table_end(out);
	for (size_t i = 1; i < lab->n_try; i++)
		mw_lab_point(out, MW_FAINT, "try", lab->try[i]);
	if (lab->n_try)
		mw_out_next(out, lab->try[0]);
}

struct mw_err *mw_view_lab_end(struct mw_lab_view *view,
			       const struct mw_lab_record *records, size_t n,
			       const struct mw_lab_tally *tally)
{
	struct mw_out *out = view->out;
	struct mw_err *err = NULL;
	mw_out_list_end(out);
	tally_fields(out, tally);
	err = sums(view, tally);
	/* To people who predicted nothing it would say what they have just read. */
	if (!err &&
	    (!mw_out_is_text(out) || view->graded || tally->right || tally->wrong))
		err = steps_table(out, records, n);
	if (!err)
		tries(out, view->lab);
	return err;
}
