// SPDX-License-Identifier: MIT
/* A lab from its first step to its last. */
#include "view/lab/impl.h"

#include <inttypes.h>
#include <string.h>

struct mw_err *mw_view_lab_begin(struct mw_lab_view *view, pid_t pid, const char *lacks)
{
	const struct mw_lab *lab = view->lab;
	struct mw_out *out = view->out;
	mw_auto_buf text = { 0 };
	if (!mw_buf_printf(&text, "%s: %s", lab->name, lab->question))
		return mw_err_nomem();
	mw_out_begin(out, "memwhy.lab/1");
	mw_out_headline(out, mw_buf_str(&text));
	mw_out_object(out, "lab");
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(lab->name));
	mw_out_field(out, "title", MW_TYPE_TEXT, mw_cell_s(lab->title));
	mw_out_field(out, "topic", MW_TYPE_TEXT, mw_cell_s(lab->topic));
	mw_out_field(out, "level", MW_TYPE_COUNT, mw_cell_u(lab->level));
	mw_out_field(out, "question", MW_TYPE_TEXT, mw_cell_s(lab->question));
	mw_out_field(out, "variant", MW_TYPE_TEXT, mw_cell_s(view->variant));
	mw_out_object_end(out);
	mw_out_field(out, "pid", MW_TYPE_COUNT, mw_cell_u((uint64_t)pid));
	mw_out_field(out, "lacks", MW_TYPE_TEXT, mw_cell_s(*lacks ? lacks : NULL));
	mw_lab_point(out, MW_CHANGED, "needs", lacks);
	view->lacks = lacks;
	mw_out_list(out, "steps");
	return NULL;
}

static bool choice_words(struct mw_buf *text, const struct mw_lab_step *step)
{
	bool ok = true;
	for (size_t i = 0; ok && i < step->n_choices; i++)
		ok = mw_buf_printf(text, "%s%s", i ? ", " : "", step->choices[i]);
	return ok;
}

struct mw_err *mw_view_lab_ahead(struct mw_lab_view *view, const struct mw_lab_turn *turn)
{
	struct mw_out *out = view->out;
	const struct mw_lab_step *step = turn->step;
	mw_auto_buf text = { 0 }, choices = { 0 };
	if (!mw_out_is_text(out))
		return NULL;
	if (!mw_buf_printf(&text, "%zu/%zu %s", turn->number, view->lab->n_steps,
			   step->name) ||
	    !choice_words(&choices, step))
		return mw_err_nomem();
	mw_out_heading(out, mw_buf_str(&text));
	mw_lab_point(out, MW_FAINT, "does", turn->does);
	mw_lab_point(out, MW_FAINT, "note", turn->note);
	if (!view->lacks || strcmp(view->lacks, turn->lacks) != 0)
		mw_lab_point(out, MW_CHANGED, "needs", turn->lacks);
	if (*turn->lacks || !*turn->ask)
		return NULL;
	mw_lab_point(out, MW_FAINT, "asks", turn->ask);
	mw_lab_point(out, MW_FAINT, "one of", mw_buf_str(&choices));
	return NULL;
}

static bool has_answer(const struct mw_lab_turn *turn)
{
	return turn->step->answer && !*turn->lacks;
}

/* The kernel's answer, and where it is none or another than computed, why. */
static struct mw_err *tell_answer(struct mw_out *out, const struct mw_lab_turn *turn)
{
	const struct mw_value *answer = &turn->answer, *expect = &turn->expect;
	mw_auto_buf text = { 0 };
	bool ok = mw_lab_value_words(&text, turn->step, answer);
	if (ok && turn->within)
		ok = mw_buf_printf(&text, " (right within %" PRId64 ")", turn->within);
	if (ok && answer->kind == MW_VALUE_UNKNOWN)
		mw_out_point(out, MW_CHANGED, "unseen", answer->text);
	else if (ok)
		mw_out_point(out, MW_STRONG, "kernel", mw_buf_str(&text));
	mw_buf_clear(&text);
	if (ok && turn->expected == MW_LAB_BROKEN) {
		ok = mw_buf_printf(&text, "computed beforehand: ") &&
		     mw_lab_value_words(&text, turn->step, expect);
		mw_out_point(out, MW_BAD, "BROKEN", mw_buf_str(&text));
	} else if (ok && turn->step->expect && expect->kind == MW_VALUE_UNKNOWN &&
		   answer->kind != MW_VALUE_UNKNOWN) {
		mw_out_point(out, MW_CHANGED, "unseen", expect->text);
	}
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *tell_mark(struct mw_out *out, const struct mw_lab_record *record,
				bool graded)
{
	static const char *const words[] = {
		[MW_LAB_NOT_ASKED] = NULL,      [MW_LAB_MISSING] = "MISSING",
		[MW_LAB_RIGHT] = "right",       [MW_LAB_WRONG] = "WRONG",
		[MW_LAB_UNJUDGED] = "unjudged",
	};
	mw_auto_buf text = { 0 };
	enum mw_lab_mark mark = record->mark;
	if (mark == MW_LAB_NOT_ASKED || (mark == MW_LAB_MISSING && !graded))
		return NULL;
	bool ok = mark == MW_LAB_MISSING
			  ? mw_buf_printf(&text, "there was no prediction")
			  : mw_buf_printf(&text, "you said %s", record->said);
	if (!ok)
		return mw_err_nomem();
	mw_out_point(out,
		     mark == MW_LAB_RIGHT      ? MW_GOOD
		     : mark == MW_LAB_UNJUDGED ? MW_CHANGED
					       : MW_BAD,
		     words[mark], mw_buf_str(&text));
	return NULL;
}

static struct mw_err *tell_facts(struct mw_out *out, const struct mw_lab_turn *turn)
{
	static const enum mw_emphasis emphasis[] = {
		[MW_LAB_HELD] = MW_GOOD,
		[MW_LAB_BROKEN] = MW_BAD,
		[MW_LAB_UNSEEN] = MW_CHANGED,
	};
	static const char *const words[] = {
		[MW_LAB_HELD] = "held",
		[MW_LAB_BROKEN] = "BROKEN",
		[MW_LAB_UNSEEN] = "unseen",
	};
	for (size_t i = 0; i < turn->n_facts; i++) {
		const struct mw_lab_fact *fact = &turn->facts[i];
		mw_auto_buf text = { 0 };
		bool ok = mw_buf_printf(&text, "%s", fact->text);
		if (ok && fact->verdict == MW_LAB_BROKEN)
			ok = mw_buf_printf(&text, ": %s", fact->source);
		if (ok && fact->verdict != MW_LAB_HELD && fact->why && *fact->why)
			ok = mw_buf_printf(&text, " (%s)", fact->why);
		if (!ok)
			return mw_err_nomem();
		mw_out_point(out, emphasis[fact->verdict], words[fact->verdict],
			     mw_buf_str(&text));
	}
	return NULL;
}

/* What the program said and measured. */
static void show_output(struct mw_out *out, const struct mw_lab_turn *turn)
{
	static const struct mw_col cols[] = {
		{ "label", "measured", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "bar", "", MW_TYPE_BAR, 0, 0 },
		{ "number", "", MW_TYPE_NUMBER, 0, 0 },
		{ "unit", "", MW_TYPE_TEXT, 0, 0 },
	};
	static const struct mw_table table = { .key = "plot",
					       .title = "",
					       .cols = cols,
					       .n_cols = sizeof(cols) / sizeof(*cols) };
	int64_t most = 0;
	for (size_t i = 0; i < turn->n_bars; i++)
		if (turn->bars[i].number > most)
			most = turn->bars[i].number;
	mw_out_table(out, &table);
	for (size_t i = 0; i < turn->n_bars; i++) {
		const struct mw_lab_bar *bar = &turn->bars[i];
		uint64_t number = bar->number > 0 ? (uint64_t)bar->number : 0;
		uint64_t share = most ? (uint64_t)((unsigned __int128)number * 10000 /
						   (uint64_t)most)
				      : 0;
		struct mw_cell cells[] = { mw_cell_s(bar->label), mw_cell_u(share),
					   mw_cell_i(bar->number), mw_cell_s(bar->unit) };
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

/* Everything in the order in which it is understood: answer, sight, facts, reason. */
static struct mw_err *tell_step(struct mw_lab_view *view,
				const struct mw_lab_record *record)
{
	struct mw_out *out = view->out;
	const struct mw_lab_turn *turn = record->turn;
	struct mw_err *err = NULL;
	for (size_t i = 0; i < turn->n_says; i++)
		mw_out_point(out, MW_FAINT, i ? "" : "program", turn->says[i]);
	if (has_answer(turn))
		err = tell_answer(out, turn);
	return err ? err : tell_mark(out, record, view->graded);
}

static void texts(struct mw_out *out, const char *key, const char *member,
		  const char *const *items, size_t n)
{
	const struct mw_col cols[] = { { member, "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 } };
	const struct mw_table table = {
		.key = key, .title = "", .cols = cols, .n_cols = 1
	};
	mw_out_table(out, &table);
	for (size_t i = 0; i < n; i++)
		mw_out_row(out, (struct mw_cell[]){ mw_cell_s(items[i]) }, MW_PLAIN);
	mw_out_table_end(out);
}

static struct mw_err *value_fields(struct mw_out *out, const struct mw_lab_turn *turn,
				   const struct mw_value *value, const char *key,
				   const char *number_key)
{
	mw_auto_buf text = { 0 };
	bool there = has_answer(turn) && value->kind != MW_VALUE_UNKNOWN;
	bool number = there && value->kind == MW_VALUE_NUMBER;
	if (there && !mw_lab_value_words(&text, turn->step, value))
		return mw_err_nomem();
	mw_out_field(out, key, MW_TYPE_TEXT, mw_cell_s(there ? mw_buf_str(&text) : NULL));
	mw_out_field(out, number_key, MW_TYPE_DELTA,
		     number ? mw_cell_i(value->number) : mw_cell_null());
	return NULL;
}

static const char *why_unseen(const struct mw_lab_turn *turn)
{
	if (!has_answer(turn))
		return NULL;
	if (turn->answer.kind == MW_VALUE_UNKNOWN)
		return turn->answer.text;
	return turn->step->expect && turn->expect.kind == MW_VALUE_UNKNOWN
		       ? turn->expect.text
		       : NULL;
}

static const char *or_null(const char *text)
{
	return *text ? text : NULL;
}

/* The same for machines. */
static struct mw_err *step_fields(struct mw_out *out, const struct mw_lab_record *record)
{
	const struct mw_lab_turn *turn = record->turn;
	const struct mw_lab_step *step = turn->step;
	bool expected = has_answer(turn) && step->expect;
	mw_out_field(out, "number", MW_TYPE_COUNT, mw_cell_u(turn->number));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(step->name));
	mw_out_field(out, "does", MW_TYPE_TEXT, mw_cell_s(turn->does));
	mw_out_field(out, "note", MW_TYPE_TEXT, mw_cell_s(or_null(turn->note)));
	mw_out_field(out, "lacks", MW_TYPE_TEXT, mw_cell_s(or_null(turn->lacks)));
	mw_out_field(out, "ask", MW_TYPE_TEXT, mw_cell_s(or_null(turn->ask)));
	mw_out_field(out, "unit", MW_TYPE_TEXT, mw_cell_s(or_null(step->unit)));
	texts(out, "choices", "choice", step->choices, step->n_choices);
	struct mw_err *err =
		value_fields(out, turn, &turn->answer, "answer", "answer_number");
	if (!err)
		err = value_fields(out, turn, &turn->expect, "expect", "expect_number");
	mw_out_field(out, "within", MW_TYPE_DELTA, mw_cell_i(turn->within));
	mw_out_field(out, "expected", MW_TYPE_TEXT,
		     mw_cell_s(expected ? mw_lab_verdict_key(turn->expected) : NULL));
	mw_out_field(out, "unseen", MW_TYPE_TEXT, mw_cell_s(why_unseen(turn)));
	mw_out_field(out, "said", MW_TYPE_TEXT, mw_cell_s(or_null(record->said)));
	mw_out_field(out, "mark", MW_TYPE_TEXT, mw_cell_s(mw_lab_mark_key(record->mark)));
	return err;
}

static void fact_rows(struct mw_out *out, const struct mw_lab_turn *turn)
{
	static const struct mw_col cols[] = {
		{ "verdict", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "text", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "source", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "why", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	};
	static const struct mw_table table = {
		.key = "facts", .title = "", .cols = cols, .n_cols = 4
	};
	mw_out_table(out, &table);
	for (size_t i = 0; i < turn->n_facts; i++) {
		const struct mw_lab_fact *fact = &turn->facts[i];
		struct mw_cell cells[] = {
			mw_cell_s(mw_lab_verdict_key(fact->verdict)),
			mw_cell_s(fact->text),
			mw_cell_s(fact->source),
			mw_cell_s(fact->why && *fact->why ? fact->why : NULL),
		};
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

struct mw_err *mw_view_lab_done(struct mw_lab_view *view,
				const struct mw_lab_record *record)
{
	struct mw_out *out = view->out;
	const struct mw_lab_turn *turn = record->turn;
	mw_out_object(out, NULL);
	struct mw_err *err = step_fields(out, record);
	if (!err && mw_out_is_text(out))
		err = tell_step(view, record);
	if (err)
		return err;
	texts(out, "says", "line", turn->says, turn->n_says);
	show_output(out, turn);
	err = mw_lab_watched(view, turn);
	fact_rows(out, turn);
	if (!err)
		err = tell_facts(out, turn);
	mw_out_field(out, "because", MW_TYPE_TEXT, mw_cell_s(or_null(turn->because)));
	mw_lab_point(out, MW_FAINT, "because", turn->because);
	mw_out_object_end(out);
	return err;
}
