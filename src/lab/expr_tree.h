/* SPDX-License-Identifier: MIT */
/* Parsed expressions, for expr*.c and describe.c alone. Everything lies in the parser's
 * arena. */
#pragma once

#include "lab/expr.h"

enum mw_expr_op {
	MW_EXPR_NUMBER,
	MW_EXPR_TEXT,
	MW_EXPR_NAME,
	MW_EXPR_CALL,
	MW_EXPR_WAS,
	MW_EXPR_GREW,
	MW_EXPR_IF,
	MW_EXPR_NOT,
	MW_EXPR_NEGATE,
	MW_EXPR_OR,
	MW_EXPR_AND,
	MW_EXPR_EQ, /* the comparisons: up to GE */
	MW_EXPR_NE,
	MW_EXPR_LT,
	MW_EXPR_LE,
	MW_EXPR_GT,
	MW_EXPR_GE,
	MW_EXPR_BITS,
	MW_EXPR_SHL,
	MW_EXPR_SHR,
	MW_EXPR_ADD,
	MW_EXPR_SUB,
	MW_EXPR_MUL,
	MW_EXPR_DIV,
	MW_EXPR_MOD,
	/* Functions that need no scope. */
	MW_EXPR_HEX,
	MW_EXPR_BYTES,
	MW_EXPR_MIN,
	MW_EXPR_MAX,
	MW_EXPR_ABS,
};

struct mw_expr {
	enum mw_expr_op op;
	int64_t number;
	const char *text;    /* TEXT; the name of NAME and CALL; of WAS and GREW what
				stands inside, as it was written */
	const char *process; /* CALL; "" for the lab's own */
	size_t n;
	const struct mw_expr *args[MW_EXPR_ARGS];
};

static inline bool mw_expr_compares(const struct mw_expr *expr)
{
	return expr->op >= MW_EXPR_EQ && expr->op <= MW_EXPR_GE;
}
