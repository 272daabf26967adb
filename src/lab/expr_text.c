// SPDX-License-Identifier: MIT
/* Texts with expressions in them; and what of expressions is about the past. */
#include "lab/expr_tree.h"

#include "base/buf.h"

#include <inttypes.h>
#include <string.h>

/* A piece of a text: plain, or an expression. */
struct piece {
	const char *plain;
	size_t len;
	const struct mw_expr *expr; /* or NULL */
	bool about;
};

/* The "}" that ends an expression; one inside of a text does not. */
static const char *end_of(const char *pos)
{
	bool in_text = false;
	for (; *pos && (in_text || *pos != '}'); pos++)
		in_text ^= *pos == '"';
	return *pos ? pos : NULL;
}

static struct mw_err *take_expr(struct mw_arena *arena, const char **pos,
				struct piece *ret)
{
	const char *start = *pos + 1, *end = end_of(start);
	if (!end)
		return mw_err_new(MW_ERR_FORMAT, 0, "",
				  "a \"{\" without its \"}\", before \"%.40s\"", start);
	*ret = (struct piece){ .about = !strncmp(start, "about ", 6) };
	if (ret->about)
		start += 6;
	const char *source = mw_arena_strndup(arena, start, (size_t)(end - start));
	if (!source)
		return mw_err_nomem();
	*pos = end + 1;
	return mw_expr_parse(arena, source, &ret->expr);
}

/* Takes the next piece of a text that is not at its end. */
static struct mw_err *take_piece(struct mw_arena *arena, const char **pos,
				 struct piece *ret)
{
	if (**pos == '{' && (*pos)[1] != '{')
		return take_expr(arena, pos, ret);
	bool brace = **pos == '{';
	*ret = (struct piece){ .plain = *pos, .len = brace ? 1 : strcspn(*pos, "{") };
	*pos += brace ? 2 : ret->len;
	return NULL;
}

static bool add_value(struct mw_buf *buf, const struct mw_value *value)
{
	if (value->kind == MW_VALUE_NUMBER)
		return mw_buf_printf(buf, "%" PRId64, value->number);
	const char *text = value->kind == MW_VALUE_TEXT ? value->text : "?";
	return mw_buf_add(buf, text, strlen(text));
}

static struct mw_err *add_piece(const struct piece *piece, const struct mw_scope *scope,
				struct mw_buf *buf)
{
	if (!piece->expr)
		return mw_buf_add(buf, piece->plain, piece->len) ? NULL : mw_err_nomem();
	struct mw_value value;
	struct mw_err *err = mw_expr_eval(piece->expr, scope, &value);
	if (err)
		return err;
	bool about = piece->about && value.kind != MW_VALUE_UNKNOWN;
	if ((about && !mw_buf_add(buf, "≈", strlen("≈"))) || !add_value(buf, &value))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_expr_fill(const char *text, const struct mw_scope *scope,
			    const char **ret)
{
	mw_auto_buf buf = { 0 };
	while (*text) {
		struct piece piece = { 0 };
		struct mw_err *err = take_piece(scope->arena, &text, &piece);
		if (!err)
			err = add_piece(&piece, scope, &buf);
		if (err)
			return err;
	}
	const char *filled = mw_arena_strndup(scope->arena, mw_buf_str(&buf), buf.len);
	if (!filled)
		return mw_err_nomem();
	*ret = filled;
	return NULL;
}

/* Of a text: either of what is called for the parts of its expressions. */
static struct mw_err *each_in(struct mw_arena *arena, const char *text, mw_past_fn *past,
			      mw_use_fn *use, void *ctx)
{
	while (*text) {
		struct piece piece = { 0 };
		struct mw_err *err = take_piece(arena, &text, &piece);
		if (!err && piece.expr)
			err = past ? mw_expr_each_past(piece.expr, past, ctx)
				   : mw_expr_each_use(piece.expr, use, ctx);
		if (err)
			return err;
	}
	return NULL;
}

struct mw_err *mw_expr_each_past(const struct mw_expr *expr, mw_past_fn *fn, void *ctx)
{
	struct mw_err *err = NULL;
	if (expr->op == MW_EXPR_WAS || expr->op == MW_EXPR_GREW)
		return fn(ctx, expr->args[0], expr->text);
	for (size_t i = 0; !err && i < expr->n; i++)
		err = mw_expr_each_past(expr->args[i], fn, ctx);
	return err;
}

struct mw_err *mw_expr_each_past_in(struct mw_arena *arena, const char *text,
				    mw_past_fn *fn, void *ctx)
{
	return each_in(arena, text, fn, NULL, ctx);
}

struct mw_err *mw_expr_each_use(const struct mw_expr *expr, mw_use_fn *fn, void *ctx)
{
	struct mw_expr_use use = { .process = expr->process,
				   .name = expr->text,
				   .is_call = expr->op == MW_EXPR_CALL,
				   .n_args = expr->n };
	struct mw_err *err = NULL;
	if (use.is_call || expr->op == MW_EXPR_NAME)
		err = fn(ctx, &use);
	for (size_t i = 0; !err && i < expr->n; i++)
		err = mw_expr_each_use(expr->args[i], fn, ctx);
	return err;
}

struct mw_err *mw_expr_each_use_in(struct mw_arena *arena, const char *text,
				   mw_use_fn *fn, void *ctx)
{
	return each_in(arena, text, NULL, fn, ctx);
}
