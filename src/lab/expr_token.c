// SPDX-License-Identifier: MIT
#include "lab/expr_token.h"

#include "base/num.h"

#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool begins_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static struct mw_token wrong(const char *start, const char *end, const char *what)
{
	return (struct mw_token){ MW_TOKEN_WRONG, start, end, 0, what };
}

/*
 * Hexadecimal numbers may be addresses in the upper half: the same 64 bits, which are a
 * negative number here, as they are where the program tells such an address.
 */
static struct mw_token number_at(const char *start)
{
	bool hex = start[0] == '0' && start[1] == 'x';
	const char *pos = hex ? start + 2 : start, *end = start + strlen(start);
	uint64_t n;
	if (hex ? !mw_take_hex(&pos, end, &n) : !mw_take_dec(&pos, end, &n))
		return wrong(start, pos, "no number, or too large");
	if (!hex && n > INT64_MAX)
		return wrong(start, pos, "too large");
	if (begins_name(*pos) || is_digit(*pos))
		return wrong(start, pos, "no number");
	return (struct mw_token){ MW_TOKEN_NUMBER, start, pos, (int64_t)n, NULL };
}

static struct mw_token text_at(const char *start)
{
	const char *end = strchr(start + 1, '"');
	if (!end)
		return wrong(start, start + strlen(start), "a text without its end");
	return (struct mw_token){ MW_TOKEN_TEXT, start, end + 1, 0, NULL };
}

static struct mw_token name_at(const char *start)
{
	const char *pos = start;
	while (begins_name(*pos) || is_digit(*pos))
		pos++;
	return (struct mw_token){ MW_TOKEN_NAME, start, pos, 0, NULL };
}

static struct mw_token sign_at(const char *start)
{
	static const char *const pairs[] = { "<<", ">>", "==", "!=", "<=", ">=" };
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (!strncmp(start, pairs[i], 2))
			return (struct mw_token){ MW_TOKEN_SIGN, start, start + 2, 0,
						  NULL };
	if (!strchr("+-*/%&<>()?:,.", *start))
		return wrong(start, start + 1, "a character that means nothing here");
	return (struct mw_token){ MW_TOKEN_SIGN, start, start + 1, 0, NULL };
}

struct mw_token mw_token_at(const char *pos)
{
	while (*pos == ' ' || *pos == '\t')
		pos++;
	if (!*pos)
		return (struct mw_token){ MW_TOKEN_END, pos, pos, 0, NULL };
	if (is_digit(*pos))
		return number_at(pos);
	if (begins_name(*pos))
		return name_at(pos);
	return *pos == '"' ? text_at(pos) : sign_at(pos);
}

bool mw_token_is(const struct mw_token *token, const char *text)
{
	size_t len = (size_t)(token->end - token->start);
	return (token->kind == MW_TOKEN_SIGN || token->kind == MW_TOKEN_NAME) &&
	       len == strlen(text) && !memcmp(token->start, text, len);
}
