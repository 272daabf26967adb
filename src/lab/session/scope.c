// SPDX-License-Identifier: MIT
#include "lab/session/scope.h"

#include <string.h>

/* What the program told comes first; then what the machine is. */
static struct mw_err *ask_name(const struct mw_scope *scope, const char *name,
			       struct mw_value *ret)
{
	struct mw_view *view = scope->ctx;
	const struct mw_value *told = mw_told_find(view->stage->told, name);

	if (told) {
		*ret = *told;
		return NULL;
	}
	if (mw_lab_constant_exists(name))
		return mw_lab_constant(view->stage->src, scope->arena, name, ret);
	const char *why = mw_arena_printf(scope->arena,
					  "the program has not told what %s is", name);
	if (!why)
		return mw_err_nomem();
	*ret = mw_value_unknown(why);
	return NULL;
}

static struct mw_err *ask_probe(const struct mw_scope *scope, const char *process,
				const char *func, const struct mw_value *args, size_t n,
				struct mw_value *ret)
{
	struct mw_view *view = scope->ctx;

	view->probed = true;
	return mw_probe(view->seen, scope->arena, process, func, args, n, ret);
}

/*
 * What could not be worked out before the step because the program had not yet told the
 * address is asked now of what was seen then. It needs a probe: what a name of today
 * was yesterday is not known.
 */
static struct mw_err *ask_late(struct mw_view *view, const struct mw_expr *inner,
			       struct mw_value *ret)
{
	struct mw_view late = { view->stage, view->stage->before, true, false };
	const struct mw_scope scope = mw_view_scope(&late);
	struct mw_value value;

	struct mw_err *err = mw_expr_eval(inner, &scope, &value);
	if (!err && late.probed)
		*ret = value;
	return err;
}

static struct mw_err *ask_past(const struct mw_scope *scope, const struct mw_expr *inner,
			       const char *text, struct mw_value *ret)
{
	struct mw_view *view = scope->ctx;
	const struct mw_pasts *pasts = &view->stage->pasts;

	*ret = mw_value_unknown("nothing is known of before");
	if (view->past || !view->stage->before)
		return NULL;
	for (size_t i = 0; i < pasts->n; i++)
		if (!strcmp(pasts->items[i].text, text))
			*ret = pasts->items[i].value;
	return ret->kind == MW_VALUE_UNKNOWN ? ask_late(view, inner, ret) : NULL;
}

struct mw_scope mw_view_scope(struct mw_view *view)
{
	return (struct mw_scope){
		.ctx = view,
		.arena = view->stage->arena,
		.name = ask_name,
		.call = ask_probe,
		.was = ask_past,
	};
}

struct mw_err *mw_stage_eval(struct mw_stage *stage, const struct mw_expr *expr,
			     struct mw_value *ret)
{
	struct mw_view view = { stage, stage->seen, false, false };
	const struct mw_scope scope = mw_view_scope(&view);

	return mw_expr_eval(expr, &scope, ret);
}

struct mw_err *mw_stage_fill(struct mw_stage *stage, const char *text, const char **ret)
{
	struct mw_view view = { stage, stage->seen, false, false };
	const struct mw_scope scope = mw_view_scope(&view);

	return mw_expr_fill(text, &scope, ret);
}

static struct mw_err *keep_past(void *ctx, const struct mw_expr *inner, const char *text)
{
	struct mw_stage *stage = ctx;
	struct mw_view view = { stage, stage->before, true, false };
	const struct mw_scope scope = mw_view_scope(&view);
	struct mw_past past = { .text = text };

	for (size_t i = 0; i < stage->pasts.n; i++)
		if (!strcmp(stage->pasts.items[i].text, text))
			return NULL;
	struct mw_err *err = mw_expr_eval(inner, &scope, &past.value);
	if (err)
		return err;
	return mw_vec_add(&stage->pasts, past) ? NULL : mw_err_nomem();
}

struct mw_err *mw_stage_past(struct mw_stage *stage, const struct mw_expr *expr)
{
	return expr ? mw_expr_each_past(expr, keep_past, stage) : NULL;
}

struct mw_err *mw_stage_past_in(struct mw_stage *stage, const char *text)
{
	return mw_expr_each_past_in(stage->arena, text, keep_past, stage);
}
