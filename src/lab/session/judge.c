// SPDX-License-Identifier: MIT
/* Whether what a person predicted is what the kernel answered. */
#include <memwhy/lab.h>

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum { MAX_DECIMALS = 6 };

/* A piece of text without blanks around it. */
struct word {
	const char *at;
	size_t len;
};

/* 4.5 is 45 and 1 decimal. */
struct decimal {
	int64_t digits;
	unsigned decimals;
};

static struct word trim(const char *text, size_t len)
{
	while (len && isspace((unsigned char)*text))
		text++, len--;
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	return (struct word){ text, len };
}

static bool same(struct word word, const char *text)
{
	return strlen(text) == word.len && strncasecmp(word.at, text, word.len) == 0;
}

static bool begins(const char *text, struct word said)
{
	return strncasecmp(text, said.at, said.len) == 0;
}

/* Whether one of its words after the first begins so. */
static bool begins_later(const char *text, struct word said)
{
	while ((text = strchr(text, ' ')))
		if (begins(++text, said))
			return true;
	return false;
}

/* The only choice of which this is so. */
static const char *choose_by(const struct mw_lab_step *step, struct word said,
			     bool (*is)(const char *choice, struct word said), size_t *n)
{
	const char *found = NULL;

	*n = 0;
	for (size_t i = 0; said.len && i < step->n_choices; i++)
		if (is(step->choices[i], said)) {
			found = step->choices[i];
			++*n;
		}
	return *n == 1 ? found : NULL;
}

/* The choice that is meant: the whole of it, its beginning, or that of a word in it. */
static const char *choose(const struct mw_lab_step *step, struct word said)
{
	size_t n;

	for (size_t i = 0; i < step->n_choices; i++)
		if (same(said, step->choices[i]))
			return step->choices[i];
	const char *found = choose_by(step, said, begins, &n);
	return n ? found : choose_by(step, said, begins_later, &n);
}

static struct mw_err *no_choice(const struct mw_lab_step *step)
{
	char list[256] = "";

	for (size_t i = 0; i < step->n_choices; i++) {
		size_t len = strlen(list), left = sizeof(list) - len;
		if (strlen(step->choices[i]) + 3 > left)
			break;
		memcpy(list + len, i ? ", " : "", i ? 3 : 1);
		len += i ? 2 : 0;
		memcpy(list + len, step->choices[i], strlen(step->choices[i]) + 1);
	}
	return mw_err_new(MW_ERR_FORMAT, 0, NULL, "one of: %s", list);
}

/* The value of a digit, or -1. */
static int digit(char c, int base)
{
	int n = isdigit((unsigned char)c)   ? c - '0'
		: isalpha((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : 99;

	return n < base ? n : -1;
}

/* Takes a number from the front of a word; false when there is none, or a longer one. */
static bool take_number(struct word *word, struct decimal *ret)
{
	bool less = word->len && *word->at == '-', point = false, any = false;
	size_t i = word->len && (less || *word->at == '+');
	int base = 10;

	*ret = (struct decimal){ 0 };
	if (word->len > i + 2 && word->at[i] == '0' && tolower(word->at[i + 1]) == 'x') {
		base = 16;
		i += 2;
	}
	for (; i < word->len; i++) {
		int n = digit(word->at[i], base);
		if (n < 0 && word->at[i] == '.' && base == 10 && !point) {
			point = true;
			continue;
		}
		if (n < 0)
			break;
		if (ret->digits > (INT64_MAX - n) / base || ret->decimals == MAX_DECIMALS)
			return false;
		ret->digits = ret->digits * base + n;
		ret->decimals += point;
		any = true;
	}
	if (less)
		ret->digits = -ret->digits;
	*word = trim(word->at + i, word->len - i);
	return any;
}

/* "KiB", "kB", "k", "bytes": how many bytes; 0 when it is none of them. */
static int64_t bytes_of(struct word unit)
{
	static const char prefixes[] = "kmgt";

	if (same(unit, "b") || same(unit, "byte") || same(unit, "bytes"))
		return 1;
	const char *prefix = unit.len ? strchr(prefixes, tolower(*unit.at)) : NULL;
	if (!prefix || !*prefix)
		return 0;
	struct word rest = { unit.at + 1, unit.len - 1 };
	if (rest.len && !same(rest, "b") && !same(rest, "i") && !same(rest, "ib"))
		return 0;
	return INT64_C(1) << 10 * (prefix - prefixes + 1);
}

/* Takes "/s" or the like off the end. */
static struct word take_rate(struct word *unit)
{
	const char *slash = memchr(unit->at, '/', unit->len), *end = unit->at + unit->len;
	struct word rate = { slash ? slash : end, slash ? (size_t)(end - slash) : 0 };

	*unit = trim(unit->at, unit->len - rate.len);
	return rate;
}

/* Whether two words name the same thing: "fault" and "faults" do. */
static bool same_noun(struct word a, struct word b)
{
	a.len -= a.len > 1 && tolower(a.at[a.len - 1]) == 's';
	b.len -= b.len > 1 && tolower(b.at[b.len - 1]) == 's';
	return a.len == b.len && strncasecmp(a.at, b.at, a.len) == 0;
}

/*
 * By what a number in the one unit and a number in the other are to be multiplied to be
 * compared. False when they do not go together.
 */
static bool scale(struct word said, const char *unit, int64_t *said_scale,
		  int64_t *unit_scale)
{
	struct word is = trim(unit, strlen(unit));

	*said_scale = *unit_scale = 1;
	if (!said.len || same_noun(said, is))
		return true;
	struct word said_rate = take_rate(&said), is_rate = take_rate(&is);
	if (said_rate.len != is_rate.len ||
	    strncasecmp(said_rate.at, is_rate.at, is_rate.len) != 0)
		return false;
	*said_scale = bytes_of(said);
	*unit_scale = is.len ? bytes_of(is) : 0;
	return *said_scale && *unit_scale;
}

static struct mw_err *too_large(void)
{
	return mw_err_new(MW_ERR_FORMAT, 0, NULL, "the number is too large");
}

/* Whether said * said_scale is at most `within` from the answer, both times unit_scale.
 */
static struct mw_err *near(const struct mw_lab_turn *turn, struct decimal said,
			   int64_t said_scale, int64_t unit_scale, bool *right)
{
	int64_t mine, kernel, off, within;

	for (unsigned i = 0; i < said.decimals; i++)
		unit_scale *= 10; /* 10^6 TiB fit */
	if (__builtin_mul_overflow(said.digits, said_scale, &mine) ||
	    __builtin_mul_overflow(turn->answer.number, unit_scale, &kernel) ||
	    __builtin_mul_overflow(turn->within, unit_scale, &within) ||
	    __builtin_sub_overflow(mine, kernel, &off))
		return too_large();
	*right = off <= within && off >= -within;
	return NULL;
}

static struct mw_err *no_number(const char *unit)
{
	return mw_err_new(MW_ERR_FORMAT, 0, NULL, "a number%s%s is asked for",
			  *unit ? " of " : "", unit);
}

static struct mw_err *judge_number(const struct mw_lab_turn *turn, struct word said,
				   bool *right)
{
	const char *unit = turn->step->unit;
	int64_t said_scale, unit_scale;
	struct decimal number;

	if (!take_number(&said, &number) || !scale(said, unit, &said_scale, &unit_scale))
		return no_number(unit);
	*right = false; /* what is not known cannot be predicted */
	if (turn->answer.kind != MW_VALUE_NUMBER)
		return NULL;
	return near(turn, number, said_scale, unit_scale, right);
}

static struct mw_err *judge_choice(const struct mw_lab_turn *turn, struct word said,
				   bool *right)
{
	const char *choice = choose(turn->step, said);

	if (!choice)
		return no_choice(turn->step);
	*right = turn->answer.kind == MW_VALUE_TEXT &&
		 strcmp(choice, turn->answer.text) == 0;
	return NULL;
}

struct mw_err *mw_lab_judge(const struct mw_lab_turn *turn, const char *said, bool *right)
{
	struct word word = trim(said, strlen(said));

	if (turn->step->n_choices)
		return judge_choice(turn, word, right);
	return judge_number(turn, word, right);
}
