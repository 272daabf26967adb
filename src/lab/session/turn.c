// SPDX-License-Identifier: MIT
#include "lab/session/scope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A value as it stands in a sentence. */
static struct mw_err *put(struct mw_arena *arena, const struct mw_value *value,
			  const char **ret)
{
	if (value->kind == MW_VALUE_NUMBER)
		*ret = mw_arena_printf(arena, "%" PRId64, value->number);
	else if (value->kind == MW_VALUE_TEXT)
		*ret = mw_arena_printf(arena, "\"%s\"", value->text);
	else
		*ret = "?";
	return *ret ? NULL : mw_err_nomem();
}

static struct mw_err *join(struct mw_arena *arena, const char **list, const char *text)
{
	*list = **list ? mw_arena_printf(arena, "%s; %s", *list, text) : text;
	return *list ? NULL : mw_err_nomem();
}

struct mw_err *mw_stage_lacks(struct mw_stage *stage, const struct mw_lab_claims *needs,
			      const char **ret)
{
	const char *list = "", *text;
	struct mw_err *err = NULL;
	struct mw_value value;

	for (size_t i = 0; !err && i < needs->n; i++) {
		err = mw_stage_eval(stage, needs->items[i].expr, &value);
		if (err || (value.kind == MW_VALUE_NUMBER && value.number))
			continue;
		err = mw_stage_fill(stage, needs->items[i].text, &text);
		if (!err)
			err = join(stage->arena, &list, text);
	}
	if (!err)
		*ret = list;
	return err;
}

struct mw_err *mw_stage_ask(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	const struct mw_lab_step *step = turn->step;
	const struct mw_value unknown = mw_value_unknown("");

	turn->does = stage->told->does;
	turn->ask = turn->because = "";
	turn->answer = turn->expect = unknown;
	turn->expected = MW_LAB_UNSEEN;
	turn->lacks = stage->lacks;
	struct mw_err *err = mw_stage_fill(stage, step->note, &turn->note);
	if (!err && !*turn->lacks)
		err = mw_stage_lacks(stage, &step->needs, &turn->lacks);
	if (!err && !*turn->lacks)
		err = mw_stage_fill(stage, step->ask, &turn->ask);
	return err;
}

/* Looks at what a watch names. *ret stays as it is when the address is not known. */
static struct mw_err *look(struct mw_stage *stage, size_t i, struct mw_view *view,
			   struct mw_watched *ret)
{
	const struct mw_scope scope = mw_view_scope(view);
	struct mw_value args[MW_EXPR_ARGS];
	const char *process, *func;
	size_t n;

	struct mw_err *err =
		mw_expr_call(stage->lab->watch[i].at, &scope, &process, &func, args, &n);
	if (err)
		return err;
	for (size_t k = 0; k < n; k++)
		if (args[k].kind != MW_VALUE_NUMBER)
			return NULL;
	ret->known = n > 0;
	return mw_lab_look(view->seen, stage->arena, process,
			   n > 0 ? (uint64_t)args[0].number : 0,
			   n > 1 ? (uint64_t)args[1].number : 0, &ret->pid, &ret->seen);
}

static struct mw_err *prepare_watches(struct mw_stage *stage)
{
	struct mw_view view = { stage, stage->before, true, false };
	struct mw_err *err = NULL;

	stage->watched = mw_arena_calloc(stage->arena, stage->lab->n_watch + 1,
					 sizeof(*stage->watched));
	if (!stage->watched)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < stage->lab->n_watch; i++)
		err = look(stage, i, &view, &stage->watched[i]);
	return err;
}

struct mw_err *mw_stage_prepare(struct mw_stage *stage, const struct mw_lab_step *step)
{
	stage->pasts.n = 0;
	struct mw_err *err = prepare_watches(stage);
	if (!err)
		err = mw_stage_past(stage, step->answer);
	if (!err)
		err = mw_stage_past(stage, step->expect);
	if (!err)
		err = mw_stage_past(stage, step->within);
	if (!err)
		err = mw_stage_past_in(stage, step->because);
	for (size_t i = 0; !err && i < step->facts.n; i++) {
		err = mw_stage_past(stage, step->facts.items[i].expr);
		if (!err)
			err = mw_stage_past_in(stage, step->facts.items[i].text);
	}
	return err;
}

/* A row; those whose address is not even known after the step are none. */
static struct mw_err *fill_row(struct mw_stage *stage, size_t i, struct mw_lab_row *rows,
			       size_t *n)
{
	struct mw_view now = { stage, stage->seen, false, false };
	struct mw_view then = { stage, stage->before, true, false };
	struct mw_watched before = stage->watched[i], after = { 0 };

	struct mw_err *err = look(stage, i, &now, &after);
	if (err || !after.known)
		return err;
	if (!before.known)
		err = look(stage, i, &then, &before);
	rows[(*n)++] = (struct mw_lab_row){
		.label = stage->lab->watch[i].label,
		.pid = after.pid ? after.pid : before.pid,
		.known_before = stage->watched[i].known,
		.before = before.seen,
		.after = after.seen,
	};
	return err;
}

static struct mw_err *fill_rows(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	struct mw_err *err = NULL;

	struct mw_lab_row *rows =
		mw_arena_calloc(stage->arena, stage->lab->n_watch + 1, sizeof(*rows));
	if (!rows)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < stage->lab->n_watch; i++)
		err = fill_row(stage, i, rows, &turn->n_rows);
	turn->rows = rows;
	return err;
}

/* What the program said may have {EXPR} in it; what does not parse stands as it is. */
static struct mw_err *fill_say(struct mw_stage *stage, const char *say, const char **ret)
{
	*ret = say;
	struct mw_err *err = mw_stage_fill(stage, say, ret);
	if (err && err->code == MW_ERR_FORMAT) {
		mw_err_free(err);
		err = NULL;
	}
	return err;
}

static struct mw_err *fill_told(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	const struct mw_told *told = stage->told;
	struct mw_err *err = NULL;

	const char **says =
		mw_arena_calloc(stage->arena, told->says.n + 1, sizeof(*says));
	struct mw_lab_bar *bars =
		mw_arena_calloc(stage->arena, told->bars.n + 1, sizeof(*bars));
	if (!says || !bars)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < told->says.n; i++)
		err = fill_say(stage, told->says.items[i], &says[i]);
	if (told->bars.n)
		memcpy(bars, told->bars.items, told->bars.n * sizeof(*bars));
	turn->says = says;
	turn->n_says = told->says.n;
	turn->bars = bars;
	turn->n_bars = told->bars.n;
	return err;
}

/* Why a fact does not hold: what its two sides are. */
static struct mw_err *tell_sides(struct mw_stage *stage, const struct mw_expr *expr,
				 const char **ret)
{
	struct mw_view view = { stage, stage->seen, false, false };
	const struct mw_scope scope = mw_view_scope(&view);
	struct mw_value left, right;
	const char *a, *b;

	struct mw_err *err = mw_expr_sides(expr, &scope, &left, &right);
	if (!err)
		err = put(stage->arena, &left, &a);
	if (!err)
		err = put(stage->arena, &right, &b);
	if (err)
		return err;
	*ret = right.kind == MW_VALUE_UNKNOWN
		       ? mw_arena_printf(stage->arena, "it is %s", a)
		       : mw_arena_printf(stage->arena, "%s and %s", a, b);
	return *ret ? NULL : mw_err_nomem();
}

static struct mw_err *fill_fact(struct mw_stage *stage, const struct mw_lab_claim *claim,
				struct mw_lab_fact *fact)
{
	struct mw_value value;

	fact->source = claim->source;
	fact->why = "";
	struct mw_err *err = mw_stage_fill(stage, claim->text, &fact->text);
	if (!err)
		err = mw_stage_eval(stage, claim->expr, &value);
	if (err)
		return err;
	if (value.kind == MW_VALUE_NUMBER) {
		fact->verdict = value.number ? MW_LAB_HELD : MW_LAB_BROKEN;
		return value.number ? NULL : tell_sides(stage, claim->expr, &fact->why);
	}
	if (value.kind == MW_VALUE_TEXT)
		return mw_err_new(MW_ERR_FORMAT, 0, stage->lab->name,
				  "the fact %s is a text, neither true nor false",
				  claim->source);
	fact->verdict = MW_LAB_UNSEEN;
	fact->why = value.text;
	return NULL;
}

static struct mw_err *fill_facts(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	const struct mw_lab_claims *claims = &turn->step->facts;
	struct mw_err *err = NULL;

	struct mw_lab_fact *facts =
		mw_arena_calloc(stage->arena, claims->n + 1, sizeof(*facts));
	if (!facts)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < claims->n; i++)
		err = fill_fact(stage, &claims->items[i], &facts[i]);
	turn->facts = facts;
	turn->n_facts = claims->n;
	return err;
}

/* Of choices, the one that a number stands for. Without choices it is a number. */
static struct mw_err *choose(const struct mw_lab_step *step, struct mw_value *value)
{
	if (!step->n_choices && value->kind == MW_VALUE_TEXT)
		return mw_err_new(
			MW_ERR_FORMAT, 0, step->name,
			"step \"%s\" has no Choices, and its answer is \"%.60s\"",
			step->name, value->text);
	if (!step->n_choices || value->kind != MW_VALUE_NUMBER)
		return NULL;
	if (value->number >= 0 && (uint64_t)value->number < step->n_choices)
		*value = mw_value_text(step->choices[value->number]);
	else
		*value = mw_value_unknown("it is none of the choices");
	return NULL;
}

static struct mw_err *eval_choice(struct mw_stage *stage, const struct mw_lab_step *step,
				  const struct mw_expr *expr, struct mw_value *ret)
{
	struct mw_err *err = expr ? mw_stage_eval(stage, expr, ret) : NULL;

	return err ? err : choose(step, ret);
}

static enum mw_lab_verdict compare(const struct mw_lab_turn *turn)
{
	const struct mw_value *a = &turn->answer, *b = &turn->expect;
	int64_t off;

	if (a->kind == MW_VALUE_UNKNOWN || b->kind == MW_VALUE_UNKNOWN)
		return MW_LAB_UNSEEN;
	if (a->kind != b->kind)
		return MW_LAB_BROKEN;
	if (a->kind == MW_VALUE_TEXT)
		return strcmp(a->text, b->text) == 0 ? MW_LAB_HELD : MW_LAB_BROKEN;
	if (__builtin_sub_overflow(a->number, b->number, &off))
		return MW_LAB_BROKEN;
	return off <= turn->within && off >= -turn->within ? MW_LAB_HELD : MW_LAB_BROKEN;
}

static struct mw_err *fill_answer(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	const struct mw_lab_step *step = turn->step;
	struct mw_value within = mw_value_number(0);

	struct mw_err *err = eval_choice(stage, step, step->answer, &turn->answer);
	if (!err)
		err = eval_choice(stage, step, step->expect, &turn->expect);
	if (!err && step->within)
		err = mw_stage_eval(stage, step->within, &within);
	if (err)
		return err;
	if (within.kind == MW_VALUE_NUMBER && within.number > 0)
		turn->within = within.number;
	turn->expected = compare(turn);
	return NULL;
}

struct mw_err *mw_stage_answer(struct mw_stage *stage, struct mw_lab_turn *turn)
{
	struct mw_err *err = fill_told(stage, turn);

	if (!err)
		err = fill_rows(stage, turn);
	if (!err && !*turn->lacks)
		err = fill_answer(stage, turn);
	if (!err && !*turn->lacks)
		err = fill_facts(stage, turn);
	if (!err)
		err = mw_stage_fill(stage, turn->step->because, &turn->because);
	return err;
}

void mw_stage_deinit(struct mw_stage *stage)
{
	mw_vec_deinit(&stage->pasts);
	mw_observation_free(stage->before);
	mw_observation_free(stage->seen);
}
