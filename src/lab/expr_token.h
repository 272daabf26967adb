/* SPDX-License-Identifier: MIT */
/* The words of expressions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum mw_token_kind {
	MW_TOKEN_END,
	MW_TOKEN_NUMBER,
	MW_TOKEN_TEXT, /* with its quotes */
	MW_TOKEN_NAME,
	MW_TOKEN_SIGN, /* an operator, a parenthesis, a comma, a dot */
	MW_TOKEN_WRONG,
};

struct mw_token {
	enum mw_token_kind kind;
	const char *start, *end;
	int64_t number;    /* NUMBER */
	const char *wrong; /* WRONG: what is wrong with it */
};

/* The word at `pos`, after blanks. */
struct mw_token mw_token_at(const char *pos);

/* Whether it is this sign or name. */
bool mw_token_is(const struct mw_token *token, const char *text);
