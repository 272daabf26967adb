// SPDX-License-Identifier: MIT
/* What expressions are worth. Three-valued: unknown is neither true nor false. */
#include "lab/expr_tree.h"

#include "base/units.h"

#include <inttypes.h>
#include <string.h>

static const char *const too_large = "the number is too large";

static bool is_unknown(const struct mw_value *value)
{
	return value->kind == MW_VALUE_UNKNOWN;
}

static struct mw_value truth(bool is)
{
	return mw_value_number(is);
}

static struct mw_value number_or_unknown(bool overflow, int64_t n)
{
	return overflow ? mw_value_unknown(too_large) : mw_value_number(n);
}

/* Of two of one kind. Texts are equal or not; the other comparisons are of numbers. */
static struct mw_value compare(enum mw_expr_op op, const struct mw_value *a,
			       const struct mw_value *b)
{
	int64_t order;
	if (a->kind == MW_VALUE_TEXT)
		order = strcmp(a->text, b->text);
	else
		order = a->number < b->number ? -1 : a->number > b->number;
	switch (op) {
	case MW_EXPR_EQ:
		return truth(order == 0);
	case MW_EXPR_NE:
		return truth(order != 0);
	case MW_EXPR_LT:
		return truth(order < 0);
	case MW_EXPR_LE:
		return truth(order <= 0);
	case MW_EXPR_GT:
		return truth(order > 0);
	default:
		return truth(order >= 0);
	}
}

/* To the right as addresses go: zeros from above. To the left nothing may be lost. */
static struct mw_value shift(enum mw_expr_op op, int64_t a, int64_t by)
{
	if (by < 0 || by > 63)
		return mw_value_unknown("a shift by no number of bits");
	if (op == MW_EXPR_SHR)
		return mw_value_number((int64_t)((uint64_t)a >> by));
	int64_t ret = (int64_t)((uint64_t)a << by);
	return number_or_unknown(ret >> by != a, ret);
}

/* Rounded towards zero, as in C. */
static struct mw_value divide(enum mw_expr_op op, int64_t a, int64_t b)
{
	if (b == 0)
		return mw_value_unknown("division by zero");
	if (b == -1)
		return op == MW_EXPR_MOD ? mw_value_number(0)
					 : number_or_unknown(a == INT64_MIN,
							     a == INT64_MIN ? 0 : -a);
	return mw_value_number(op == MW_EXPR_MOD ? a % b : a / b);
}

static struct mw_value compute(enum mw_expr_op op, int64_t a, int64_t b)
{
	int64_t n;
	bool overflow;
	switch (op) {
	case MW_EXPR_BITS:
		return mw_value_number(a & b);
	case MW_EXPR_SHL:
	case MW_EXPR_SHR:
		return shift(op, a, b);
	case MW_EXPR_ADD:
		overflow = __builtin_add_overflow(a, b, &n);
		break;
	case MW_EXPR_SUB:
		overflow = __builtin_sub_overflow(a, b, &n);
		break;
	case MW_EXPR_MUL:
		overflow = __builtin_mul_overflow(a, b, &n);
		break;
	case MW_EXPR_MIN:
		return mw_value_number(a < b ? a : b);
	case MW_EXPR_MAX:
		return mw_value_number(a > b ? a : b);
	default:
		return divide(op, a, b);
	}
	return number_or_unknown(overflow, n);
}

static struct mw_value binary(const struct mw_expr *expr, const struct mw_value *a,
			      const struct mw_value *b)
{
	if (is_unknown(a) || is_unknown(b))
		return is_unknown(a) ? *a : *b;
	if (mw_expr_compares(expr) && a->kind == b->kind &&
	    (a->kind == MW_VALUE_NUMBER || expr->op <= MW_EXPR_NE))
		return compare(expr->op, a, b);
	if (a->kind == MW_VALUE_TEXT || b->kind == MW_VALUE_TEXT)
		return mw_value_unknown(mw_expr_compares(expr)
						? "a text is no number to compare with"
						: "a text is no number to compute with");
	return compute(expr->op, a->number, b->number);
}

static struct mw_err *text_value(const char *text, struct mw_value *ret)
{
	if (!text)
		return mw_err_nomem();
	*ret = mw_value_text(text);
	return NULL;
}

/* "20.0 KiB"; a loss has a minus. */
static struct mw_err *bytes_value(struct mw_arena *arena, int64_t n, struct mw_value *ret)
{
	char words[MW_UNITS_LEN];
	uint64_t size = n < 0 ? -(uint64_t)n : (uint64_t)n;
	mw_units_bytes(size, MW_UNIT_AUTO, words);
	return text_value(mw_arena_printf(arena, "%s%s", n < 0 ? "-" : "", words), ret);
}

static struct mw_err *unary(const struct mw_expr *expr, struct mw_arena *arena,
			    const struct mw_value *a, struct mw_value *ret)
{
	if (is_unknown(a)) {
		*ret = *a;
	} else if (a->kind == MW_VALUE_TEXT) {
		*ret = mw_value_unknown("a text is no number");
	} else if (expr->op == MW_EXPR_HEX) {
		return text_value(
			mw_arena_printf(arena, "0x%" PRIx64, (uint64_t)a->number), ret);
	} else if (expr->op == MW_EXPR_BYTES) {
		return bytes_value(arena, a->number, ret);
	} else if (expr->op == MW_EXPR_NOT) {
		*ret = truth(!a->number);
	} else if (expr->op == MW_EXPR_ABS && a->number >= 0) {
		*ret = *a;
	} else {
		*ret = divide(MW_EXPR_DIV, a->number, -1);
	}
	return NULL;
}

/*
 * One side may decide alone, even when the other is unknown; the right one is not asked
 * when the left one decides.
 */
static struct mw_err *eval_logic(const struct mw_expr *expr, const struct mw_scope *scope,
				 struct mw_value *ret)
{
	struct mw_value open = { 0 };
	bool decides = expr->op == MW_EXPR_OR, known = true;
	for (size_t i = 0; i < 2; i++) {
		struct mw_value side;
		struct mw_err *err = mw_expr_eval(expr->args[i], scope, &side);
		if (err)
			return err;
		if (side.kind == MW_VALUE_TEXT)
			side = mw_value_unknown("a text is neither true nor false");
		if (side.kind == MW_VALUE_NUMBER && !side.number != decides) {
			*ret = truth(decides);
			return NULL;
		}
		if (known && is_unknown(&side)) {
			open = side;
			known = false;
		}
	}
	*ret = known ? truth(!decides) : open;
	return NULL;
}

static struct mw_err *eval_if(const struct mw_expr *expr, const struct mw_scope *scope,
			      struct mw_value *ret)
{
	struct mw_value which;
	struct mw_err *err = mw_expr_eval(expr->args[0], scope, &which);
	if (err)
		return err;
	if (which.kind == MW_VALUE_NUMBER)
		return mw_expr_eval(expr->args[which.number ? 1 : 2], scope, ret);
	*ret = is_unknown(&which) ? which
				  : mw_value_unknown("a text is neither true nor false");
	return NULL;
}

static struct mw_err *eval_args(const struct mw_expr *expr, const struct mw_scope *scope,
				struct mw_value *args)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < expr->n; i++)
		err = mw_expr_eval(expr->args[i], scope, &args[i]);
	return err;
}

static struct mw_err *eval_call(const struct mw_expr *expr, const struct mw_scope *scope,
				struct mw_value *ret)
{
	struct mw_value args[MW_EXPR_ARGS];
	struct mw_err *err = eval_args(expr, scope, args);
	for (size_t i = 0; !err && i < expr->n; i++) {
		if (is_unknown(&args[i])) {
			*ret = args[i];
			return NULL;
		}
	}
	return err ? err
		   : scope->call(scope, expr->process, expr->text, args, expr->n, ret);
}

static struct mw_err *eval_grew(const struct mw_expr *expr, const struct mw_scope *scope,
				struct mw_value *ret)
{
	static const struct mw_expr less = { .op = MW_EXPR_SUB };
	struct mw_value now, past;
	struct mw_err *err = mw_expr_eval(expr->args[0], scope, &now);
	if (!err)
		err = scope->was(scope, expr->args[0], expr->text, &past);
	if (!err)
		*ret = binary(&less, &now, &past);
	return err;
}

static struct mw_err *eval_parts(const struct mw_expr *expr, const struct mw_scope *scope,
				 struct mw_value *ret)
{
	struct mw_value args[MW_EXPR_ARGS];
	struct mw_err *err = eval_args(expr, scope, args);
	if (!err && expr->n == 1)
		return unary(expr, scope->arena, &args[0], ret);
	if (!err)
		*ret = binary(expr, &args[0], &args[1]);
	return err;
}

struct mw_err *mw_expr_eval(const struct mw_expr *expr, const struct mw_scope *scope,
			    struct mw_value *ret)
{
	switch (expr->op) {
	case MW_EXPR_NUMBER:
		*ret = mw_value_number(expr->number);
		return NULL;
	case MW_EXPR_TEXT:
		*ret = mw_value_text(expr->text);
		return NULL;
	case MW_EXPR_NAME:
		return scope->name(scope, expr->text, ret);
	case MW_EXPR_CALL:
		return eval_call(expr, scope, ret);
	case MW_EXPR_WAS:
		return scope->was(scope, expr->args[0], expr->text, ret);
	case MW_EXPR_GREW:
		return eval_grew(expr, scope, ret);
	case MW_EXPR_IF:
		return eval_if(expr, scope, ret);
	case MW_EXPR_OR:
	case MW_EXPR_AND:
		return eval_logic(expr, scope, ret);
	default:
		return eval_parts(expr, scope, ret);
	}
}

/* Of an `and` that does not hold, the first part that does not. */
static struct mw_err *first_false(const struct mw_expr **expr,
				  const struct mw_scope *scope)
{
	while ((*expr)->op == MW_EXPR_AND) {
		struct mw_value left;
		struct mw_err *err = mw_expr_eval((*expr)->args[0], scope, &left);
		if (err)
			return err;
		bool is_false = left.kind == MW_VALUE_NUMBER && !left.number;
		*expr = (*expr)->args[is_false ? 0 : 1];
	}
	return NULL;
}

struct mw_err *mw_expr_sides(const struct mw_expr *expr, const struct mw_scope *scope,
			     struct mw_value *left, struct mw_value *right)
{
	struct mw_value a, b = mw_value_unknown("");
	struct mw_err *err = first_false(&expr, scope);
	bool compares = mw_expr_compares(expr);
	if (!err)
		err = mw_expr_eval(compares ? expr->args[0] : expr, scope, &a);
	if (!err && compares)
		err = mw_expr_eval(expr->args[1], scope, &b);
	if (err)
		return err;
	*left = a;
	*right = b;
	return NULL;
}

struct mw_err *mw_expr_call(const struct mw_expr *expr, const struct mw_scope *scope,
			    const char **process, const char **func,
			    struct mw_value *args, size_t *n)
{
	if (expr->op != MW_EXPR_CALL)
		return mw_err_new(MW_ERR_FORMAT, 0, "", "a call is expected");
	struct mw_err *err = eval_args(expr, scope, args);
	if (err)
		return err;
	*process = expr->process;
	*func = expr->text;
	*n = expr->n;
	return NULL;
}
