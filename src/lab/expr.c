// SPDX-License-Identifier: MIT
/* Expressions to trees, by precedence. Errors stay in the parser until its end. */
#include "lab/expr_token.h"
#include "lab/expr_tree.h"

#include <string.h>

/* Of what a hostile file may ask. */
enum { MAX_LEN = 4096, MAX_DEPTH = 40, MAX_NODES = 400 };

struct parser {
	struct mw_arena *arena;
	const char *text;
	struct mw_token now;
	const char *end; /* of the word before */
	unsigned depth, n_nodes;
	bool in_past; /* inside of was() or grew() */
	struct mw_err *err;
};

/* From the loosest to the tightest. */
enum {
	LEVEL_OR = 1,
	LEVEL_AND,
	LEVEL_NOT,
	LEVEL_COMPARE,
	LEVEL_BITS,
	LEVEL_SHIFT,
	LEVEL_SUM,
	LEVEL_PRODUCT,
	LEVEL_PREFIX
};

static const struct binary {
	const char *sign;
	enum mw_expr_op op;
	int level;
} binaries[] = {
	{ "or", MW_EXPR_OR, LEVEL_OR },      { "and", MW_EXPR_AND, LEVEL_AND },
	{ "==", MW_EXPR_EQ, LEVEL_COMPARE }, { "!=", MW_EXPR_NE, LEVEL_COMPARE },
	{ "<", MW_EXPR_LT, LEVEL_COMPARE },  { "<=", MW_EXPR_LE, LEVEL_COMPARE },
	{ ">", MW_EXPR_GT, LEVEL_COMPARE },  { ">=", MW_EXPR_GE, LEVEL_COMPARE },
	{ "&", MW_EXPR_BITS, LEVEL_BITS },   { "<<", MW_EXPR_SHL, LEVEL_SHIFT },
	{ ">>", MW_EXPR_SHR, LEVEL_SHIFT },  { "+", MW_EXPR_ADD, LEVEL_SUM },
	{ "-", MW_EXPR_SUB, LEVEL_SUM },     { "*", MW_EXPR_MUL, LEVEL_PRODUCT },
	{ "/", MW_EXPR_DIV, LEVEL_PRODUCT }, { "%", MW_EXPR_MOD, LEVEL_PRODUCT },
};
enum { N_BINARIES = sizeof(binaries) / sizeof(binaries[0]) };

/* Functions whose meaning needs no process. */
static const struct function {
	const char *name;
	enum mw_expr_op op;
	size_t n_args;
} functions[] = {
	{ "was", MW_EXPR_WAS, 1 }, { "grew", MW_EXPR_GREW, 1 },
	{ "hex", MW_EXPR_HEX, 1 }, { "bytes", MW_EXPR_BYTES, 1 },
	{ "abs", MW_EXPR_ABS, 1 }, { "min", MW_EXPR_MIN, 2 },
	{ "max", MW_EXPR_MAX, 2 },
};
enum { N_FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

/* The first error is the one to tell. Always NULL, to be returned as a missing node. */
static struct mw_expr *fail(struct parser *p, const char *what)
{
	if (!p->err)
		p->err = mw_err_new(MW_ERR_FORMAT, 0, "",
				    "%s, at character %zu of \"%.100s\"", what,
				    (size_t)(p->now.start - p->text) + 1, p->text);
	return NULL;
}

static struct mw_expr *fail_nomem(struct parser *p)
{
	if (!p->err)
		p->err = mw_err_nomem();
	return NULL;
}

static void advance(struct parser *p)
{
	p->end = p->now.end;
	p->now = mw_token_at(p->now.end);
	if (p->now.kind == MW_TOKEN_WRONG)
		fail(p, p->now.wrong);
}

static bool took(struct parser *p, const char *sign)
{
	bool is = mw_token_is(&p->now, sign);
	if (is)
		advance(p);
	return is;
}

static struct mw_expr *node_new(struct parser *p, enum mw_expr_op op)
{
	if (p->err)
		return NULL;
	if (++p->n_nodes > MAX_NODES)
		return fail(p, "too many parts");
	struct mw_expr *ret = mw_arena_alloc(p->arena, sizeof(*ret));
	if (!ret)
		return fail_nomem(p);
	ret->op = op;
	ret->process = ret->text = "";
	return ret;
}

static struct mw_expr *parse_whole(struct parser *p);

/* A node of two parts; none when one is missing. */
static struct mw_expr *join(struct parser *p, enum mw_expr_op op, const struct mw_expr *a,
			    const struct mw_expr *b)
{
	struct mw_expr *ret = a && b ? node_new(p, op) : NULL;
	if (!ret)
		return NULL;
	ret->args[0] = a;
	ret->args[1] = b;
	ret->n = 2;
	return ret;
}

static const char *copy(struct parser *p, const char *start, const char *end)
{
	const char *ret = mw_arena_strndup(p->arena, start, (size_t)(end - start));
	if (!ret)
		fail_nomem(p);
	return ret;
}

/* What stands between the parentheses of a call. */
static bool parse_args(struct parser *p, struct mw_expr *call)
{
	while (!p->err && !mw_token_is(&p->now, ")")) {
		if (call->n == MW_EXPR_ARGS)
			fail(p, "too many arguments");
		else if (call->n && !took(p, ","))
			fail(p, "a comma or \")\" is missing");
		else
			call->args[call->n++] = parse_whole(p);
	}
	return !p->err;
}

static const struct function *find_function(const struct mw_token *name)
{
	for (size_t i = 0; i < N_FUNCTIONS; i++)
		if (mw_token_is(name, functions[i].name))
			return &functions[i];
	return NULL;
}

/* Functions of ours; what was before the step has itself nothing before it. */
static struct mw_expr *parse_function(struct parser *p, const struct function *function)
{
	struct mw_expr *ret = node_new(p, function->op);
	bool past = function->op == MW_EXPR_WAS || function->op == MW_EXPR_GREW;
	if (past && p->in_past)
		return fail(p, "was() or grew() inside of another");
	p->in_past |= past;
	const char *start = p->now.start;
	if (!ret || !parse_args(p, ret))
		return NULL;
	if (ret->n != function->n_args)
		return fail(p, "too few or too many arguments");
	if (past) {
		ret->text = copy(p, start, p->end);
		p->in_past = false;
	}
	return ret;
}

/* From behind its "(" on. */
static struct mw_expr *parse_call(struct parser *p, const struct mw_token *process,
				  const struct mw_token *name)
{
	const struct function *function = find_function(name);
	struct mw_expr *ret;
	if (function && process) {
		ret = fail(p, "this function is of no process");
	} else if (function) {
		ret = parse_function(p, function);
	} else {
		ret = node_new(p, MW_EXPR_CALL);
		if (ret && process)
			ret->process = copy(p, process->start, process->end);
		if (ret)
			ret->text = copy(p, name->start, name->end);
		if (ret && !parse_args(p, ret))
			return NULL;
	}
	return took(p, ")") ? ret : NULL;
}

static bool is_word(const struct mw_token *token)
{
	return mw_token_is(token, "and") || mw_token_is(token, "or") ||
	       mw_token_is(token, "not");
}

/* NAME, NAME(…), NAME.NAME(…) */
static struct mw_expr *parse_name(struct parser *p)
{
	struct mw_token name = p->now, process;
	advance(p);
	if (took(p, "(")) {
		return parse_call(p, NULL, &name);
	} else if (took(p, ".")) {
		process = name;
		name = p->now;
		if (name.kind != MW_TOKEN_NAME || is_word(&name))
			return fail(p, "what is asked of the process is missing");
		advance(p);
		return took(p, "(") ? parse_call(p, &process, &name)
				    : fail(p, "\"(\" is missing");
	}
	struct mw_expr *ret = node_new(p, MW_EXPR_NAME);
	if (ret)
		ret->text = copy(p, name.start, name.end);
	return ret;
}

static struct mw_expr *parse_constant(struct parser *p)
{
	struct mw_token token = p->now;
	bool is_text = token.kind == MW_TOKEN_TEXT;
	struct mw_expr *ret = node_new(p, is_text ? MW_EXPR_TEXT : MW_EXPR_NUMBER);
	if (!ret)
		return NULL;
	ret->number = token.number;
	if (is_text)
		ret->text = copy(p, token.start + 1, token.end - 1);
	advance(p);
	return ret;
}

static struct mw_expr *parse_group(struct parser *p)
{
	struct mw_expr *ret = parse_whole(p);
	if (!p->err && !took(p, ")"))
		return fail(p, "\")\" is missing");
	return ret;
}

static struct mw_expr *parse_single(struct parser *p)
{
	if (took(p, "("))
		return parse_group(p);
	if (p->now.kind == MW_TOKEN_NAME && !is_word(&p->now))
		return parse_name(p);
	if (p->now.kind == MW_TOKEN_NUMBER || p->now.kind == MW_TOKEN_TEXT)
		return parse_constant(p);
	return fail(p, "a value is missing");
}

static struct mw_expr *parse_binary(struct parser *p, int level);

static struct mw_expr *parse_prefixed(struct parser *p, enum mw_expr_op op, int level)
{
	struct mw_expr *ret = node_new(p, op);
	struct mw_expr *inner = ret ? parse_binary(p, level) : NULL;
	if (!inner)
		return NULL;
	ret->args[ret->n++] = inner;
	return ret;
}

/* `not` binds looser than a comparison: not a == b is not (a == b). */
static struct mw_expr *parse_operand(struct parser *p, int level)
{
	struct mw_expr *ret;
	if (++p->depth > MAX_DEPTH)
		return fail(p, "nested too deeply");
	if (level <= LEVEL_NOT && took(p, "not"))
		ret = parse_prefixed(p, MW_EXPR_NOT, LEVEL_NOT);
	else if (took(p, "-"))
		ret = parse_prefixed(p, MW_EXPR_NEGATE, LEVEL_PREFIX);
	else
		ret = parse_single(p);
	p->depth--;
	return ret;
}

static const struct binary *binary_of(const struct mw_token *token)
{
	for (size_t i = 0; i < N_BINARIES; i++)
		if (mw_token_is(token, binaries[i].sign))
			return &binaries[i];
	return NULL;
}

/* Operators of this level and tighter ones; equal ones from the left. */
static struct mw_expr *parse_binary(struct parser *p, int level)
{
	struct mw_expr *ret = parse_operand(p, level);
	bool compared = false;
	while (ret && !p->err) {
		const struct binary *op = binary_of(&p->now);
		if (!op || op->level < level)
			return ret;
		if (op->level == LEVEL_COMPARE && compared)
			return fail(p, "a comparison of a comparison needs parentheses");
		compared |= op->level == LEVEL_COMPARE;
		advance(p);
		ret = join(p, op->op, ret, parse_binary(p, op->level + 1));
	}
	return p->err ? NULL : ret;
}

/* c ? x : y, the loosest of all. */
static struct mw_expr *parse_whole(struct parser *p)
{
	struct mw_expr *ret = parse_binary(p, LEVEL_OR);
	if (!ret || !took(p, "?"))
		return p->err ? NULL : ret;
	if (++p->depth > MAX_DEPTH)
		return fail(p, "nested too deeply");
	struct mw_expr *yes = parse_whole(p);
	if (yes && !took(p, ":"))
		return fail(p, "\":\" is missing");
	ret = join(p, MW_EXPR_IF, ret, yes);
	struct mw_expr *no = ret ? parse_whole(p) : NULL;
	if (!no)
		return NULL;
	ret->args[ret->n++] = no;
	p->depth--;
	return ret;
}

struct mw_err *mw_expr_parse(struct mw_arena *arena, const char *text,
			     const struct mw_expr **ret)
{
	struct parser p = { .arena = arena, .text = text };
	p.now.start = p.now.end = text;
	if (strnlen(text, MAX_LEN) == MAX_LEN)
		return mw_err_new(MW_ERR_FORMAT, 0, "", "an expression too long");
	advance(&p);
	const struct mw_expr *expr = parse_whole(&p);
	if (!p.err && p.now.kind != MW_TOKEN_END)
		fail(&p, "more than one expression");
	if (!p.err)
		*ret = expr;
	return p.err;
}
