// SPDX-License-Identifier: MIT
/*
 * Steps files, and the expressions in them, in a scope that is made up: what a name or a
 * call is worth follows from its letters. What is evaluated twice is worth the same, and
 * so is what stands inside of was(), when it is read once more from its own text. An
 * input that is no steps file is an expression, and a text with some in it.
 */
#include "fuzz.h"

#include "lab/expr.h"

#include <string.h>

static uint32_t mixed(uint32_t seed, const char *text)
{
	for (; *text; text++)
		seed = (seed ^ (unsigned char)*text) * 16777619;
	return seed;
}

static struct mw_value made_up(uint32_t seed)
{
	static const int64_t numbers[] = { 0,    1,         -1,        4096,
					   63,   INT64_MAX, INT64_MIN, INT64_MAX / 3,
					   -4096 };
	seed ^= seed >> 15;
	if (seed % 11 == 0)
		return mw_value_unknown("made up");
	if (seed % 11 == 1)
		return mw_value_text(seed & 16 ? "rw-p" : "");
	return mw_value_number(numbers[seed / 11 % 9]);
}

static struct mw_err *name_of(const struct mw_scope *scope, const char *name,
			      struct mw_value *ret)
{
	(void)scope;
	*ret = made_up(mixed(1, name));
	return NULL;
}

static struct mw_err *call_of(const struct mw_scope *scope, const char *process,
			      const char *func, const struct mw_value *args, size_t n,
			      struct mw_value *ret)
{
	uint32_t seed = mixed(mixed(2, process), func);
	(void)scope;
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(args[i].kind != MW_VALUE_UNKNOWN);
		if (args[i].kind == MW_VALUE_TEXT)
			seed = mixed(seed, args[i].text);
		else
			seed = seed * 31 + (uint32_t)args[i].number;
	}
	*ret = made_up(seed);
	return NULL;
}

static bool is_same(const struct mw_value *a, const struct mw_value *b)
{
	return a->kind == b->kind &&
	       (a->kind == MW_VALUE_NUMBER ? a->number == b->number
					   : !strcmp(a->text, b->text));
}

static struct mw_value worth(const struct mw_expr *expr, const struct mw_scope *scope)
{
	struct mw_value ret = { 0 }, again = { 0 };
	FUZZ_CHECK(!mw_expr_eval(expr, scope, &ret));
	FUZZ_CHECK(!mw_expr_eval(expr, scope, &again));
	FUZZ_CHECK(is_same(&ret, &again));
	return ret;
}

static struct mw_err *check_past(void *ctx, const struct mw_expr *inner, const char *text)
{
	const struct mw_scope *scope = ctx;
	const struct mw_expr *parsed;
	FUZZ_CHECK(!mw_expr_parse(scope->arena, text, &parsed));
	struct mw_value a = worth(inner, scope), b = worth(parsed, scope);
	FUZZ_CHECK(is_same(&a, &b));
	return NULL;
}

static struct mw_err *was_of(const struct mw_scope *scope, const struct mw_expr *inner,
			     const char *text, struct mw_value *ret)
{
	(void)scope;
	(void)inner;
	*ret = made_up(mixed(3, text));
	return NULL;
}

static void try_expr(const struct mw_expr *expr, const struct mw_scope *scope)
{
	struct mw_value value, left, right, args[MW_EXPR_ARGS];
	const char *process, *func;
	size_t n = 0;
	if (!expr)
		return;
	value = worth(expr, scope);
	FUZZ_CHECK(!mw_expr_sides(expr, scope, &left, &right));
	FUZZ_CHECK(right.kind != MW_VALUE_UNKNOWN || right.text);
	FUZZ_CHECK(!mw_expr_each_past(expr, check_past, (void *)scope));
	mw_auto_err err = mw_expr_call(expr, scope, &process, &func, args, &n);
	FUZZ_CHECK(err || n <= MW_EXPR_ARGS);
	FUZZ_CHECK(value.kind == MW_VALUE_NUMBER || value.text);
}

static void try_text(const char *text, const struct mw_scope *scope)
{
	const char *filled = NULL;
	mw_auto_err err = mw_expr_fill(text, scope, &filled);
	FUZZ_CHECK(err ? err->code == MW_ERR_FORMAT && !filled : filled != NULL);
	mw_auto_err past =
		mw_expr_each_past_in(scope->arena, text, check_past, (void *)scope);
	FUZZ_CHECK(!past == !err);
}

static void try_claims(const struct mw_lab_claims *claims, const struct mw_scope *scope)
{
	for (size_t i = 0; i < claims->n; i++) {
		FUZZ_CHECK(claims->items[i].source[0] && claims->items[i].text[0]);
		try_expr(claims->items[i].expr, scope);
		try_text(claims->items[i].text, scope);
	}
}

static void try_step(const struct mw_lab_step *step, const struct mw_scope *scope)
{
	FUZZ_CHECK(step->name[0] && !step->ask[0] == !step->answer);
	FUZZ_CHECK(!step->n_choices || (step->n_choices > 1 && step->answer));
	try_text(step->note, scope);
	try_text(step->ask, scope);
	try_text(step->because, scope);
	try_expr(step->answer, scope);
	try_expr(step->expect, scope);
	try_expr(step->within, scope);
	try_claims(&step->facts, scope);
	try_claims(&step->needs, scope);
}

static void try_lab(const struct mw_lab *lab, const struct mw_scope *scope)
{
	FUZZ_CHECK(lab->name[0] && lab->title[0] && lab->topic[0] && lab->question[0]);
	FUZZ_CHECK(lab->level >= 1 && lab->level <= 3 && lab->n_steps);
	for (size_t i = 0; i < lab->n_watch; i++)
		try_expr(lab->watch[i].at, scope);
	for (size_t i = 0; i < lab->n_try; i++)
		FUZZ_CHECK(lab->try[i][0]);
	try_claims(&lab->needs, scope);
	for (size_t i = 0; i < lab->n_steps; i++)
		try_step(&lab->steps[i], scope);
}

/* What is no steps file. */
static void try_plain(const uint8_t *bytes, size_t len, const struct mw_scope *scope)
{
	const struct mw_expr *expr = NULL;
	const char *text = mw_arena_strndup(scope->arena, (const char *)bytes, len);
	FUZZ_CHECK(text);
	mw_auto_err err = mw_expr_parse(scope->arena, text, &expr);
	FUZZ_CHECK(err ? err->code == MW_ERR_FORMAT && !expr : expr != NULL);
	try_expr(expr, scope);
	try_text(text, scope);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mw_arena arena = { 0 };
	struct mw_scope scope = { NULL, &arena, name_of, call_of, was_of };
	struct mw_lab *lab = NULL;
	mw_auto_err err = mw_lab_parse("steps", (const char *)bytes, len, &lab);
	FUZZ_CHECK(err ? err->code == MW_ERR_FORMAT && !lab : lab != NULL);
	if (lab)
		try_lab(lab, &scope);
	else
		try_plain(bytes, len, &scope);
	mw_lab_free(lab);
	mw_arena_deinit(&arena);
	return 0;
}
