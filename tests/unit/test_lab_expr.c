// SPDX-License-Identifier: MIT
/* The expressions of steps files, in a scope that is made up. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/buf.h"
#include "lab/expr.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
	struct mw_scope scope;
	struct mw_arena arena;
	char asked[512]; /* what the scope was asked for */
	bool broken;     /* the scope runs out of memory */
};

static void note(const struct mw_scope *scope, const char *what)
{
	struct world *w = scope->ctx;
	size_t len = strlen(w->asked);
	snprintf(w->asked + len, sizeof(w->asked) - len, "%s%s", len ? " " : "", what);
}

static struct mw_err *name_of(const struct mw_scope *scope, const char *name,
			      struct mw_value *ret)
{
	const struct world *w = scope->ctx;
	note(scope, name);
	if (w->broken)
		return mw_err_nomem();
	*ret = !strcmp(name, "page")    ? mw_value_number(4096)
	       : !strcmp(name, "least") ? mw_value_number(INT64_MIN)
	       : !strcmp(name, "most")  ? mw_value_number(INT64_MAX)
	       : !strcmp(name, "word")  ? mw_value_text("rw-p")
					: mw_value_unknown("nobody told");
	return NULL;
}

/* A call is worth the sum of its arguments. */
static struct mw_err *call_of(const struct mw_scope *scope, const char *process,
			      const char *func, const struct mw_value *args, size_t n,
			      struct mw_value *ret)
{
	char what[64];
	int64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += args[i].kind == MW_VALUE_TEXT ? (int64_t)strlen(args[i].text)
						     : args[i].number;
	snprintf(what, sizeof(what), "%s.%s/%zu", process, func, n);
	note(scope, what);
	*ret = mw_value_number(sum);
	return NULL;
}

/* Before the step everything was worth 1. */
static struct mw_err *was_of(const struct mw_scope *scope, const struct mw_expr *inner,
			     const char *text, struct mw_value *ret)
{
	char what[64];
	assert_non_null(inner);
	snprintf(what, sizeof(what), "was[%s]", text);
	note(scope, what);
	*ret = mw_value_number(1);
	return NULL;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->scope = (struct mw_scope){ w, &w->arena, name_of, call_of, was_of };
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	mw_arena_deinit(&w->arena);
	free(w);
	return 0;
}

static const struct mw_expr *parsed(struct world *w, const char *text)
{
	const struct mw_expr *ret = NULL;
	struct mw_err *err = mw_expr_parse(&w->arena, text, &ret);
	if (err)
		fail_msg("%s", err->msg);
	return ret;
}

static struct mw_value worth(struct world *w, const char *text)
{
	struct mw_value ret = { .number = 42 };
	w->asked[0] = '\0';
	assert_null(mw_expr_eval(parsed(w, text), &w->scope, &ret));
	return ret;
}

static void expect_number(struct world *w, const char *text, int64_t number)
{
	struct mw_value value = worth(w, text);
	if (value.kind != MW_VALUE_NUMBER || value.number != number)
		fail_msg("%s is %d %" PRId64 " %s, not %" PRId64, text, value.kind,
			 value.number, value.text ? value.text : "", number);
}

static void expect_text(struct world *w, const char *text, const char *expected)
{
	struct mw_value value = worth(w, text);
	assert_int_equal(value.kind, MW_VALUE_TEXT);
	assert_string_equal(value.text, expected);
}

static void expect_unknown(struct world *w, const char *text, const char *why)
{
	struct mw_value value = worth(w, text);
	assert_int_equal(value.kind, MW_VALUE_UNKNOWN);
	assert_string_equal(value.text, why);
}

static void expect_refused(struct world *w, const char *text, const char *msg)
{
	const struct mw_expr *ret = NULL;
	mw_auto_err err = mw_expr_parse(&w->arena, text, &ret);
	if (!err)
		fail_msg("%s was taken", text);
	assert_null(ret);
	assert_int_equal(err->code, MW_ERR_FORMAT);
	assert_non_null(strstr(err->msg, msg));
}

static void test_numbers(void **state)
{
	struct world *w = *state;
	expect_number(w, "0x10", 16);
	expect_number(w, " 5\t", 5);
	expect_number(w, "9223372036854775807", INT64_MAX);
	expect_number(w, "0xffffffffffffffff", -1);
	expect_number(w, "-page", -4096);
	expect_number(w, "--5", 5);
}

static void test_precedence(void **state)
{
	struct world *w = *state;
	expect_number(w, "1 + 2 * 3", 7);
	expect_number(w, "(1 + 2) * 3", 9);
	expect_number(w, "10 - 4 - 3", 3);
	expect_number(w, "64 / 4 / 2", 8);
	expect_number(w, "-7 / 2", -3);
	expect_number(w, "-7 % 4", -3);
	expect_number(w, "1 << 2 + 1", 8);
	expect_number(w, "6 & 2 + 1", 2);
	expect_number(w, "6 & 4 == 4", 1);
	expect_number(w, "3 & 1 << 1", 2);
	expect_number(w, "not 1 == 2", 1);
	expect_number(w, "not not 5", 1);
	expect_number(w, "1 or 0 and 0", 1);
	expect_number(w, "not 0 and not 1 or 1", 1);
	expect_number(w, "(1 < 2) == 1", 1);
	expect_number(w, "0 ? 1 : 0 ? 2 : 3", 3);
	expect_number(w, "1 ? 0 ? 1 : 2 : 3", 2);
	expect_number(w, "1 == 1 ? 5 : 6", 5);
}

static void test_comparisons(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *sign;
		int less, equal, more;
	} signs[] = {
		{ "==", 0, 1, 0 }, { "!=", 1, 0, 1 }, { "<", 1, 0, 0 },
		{ "<=", 1, 1, 0 }, { ">", 0, 0, 1 },  { ">=", 0, 1, 1 },
	};
	for (size_t i = 0; i < 6; i++) {
		char text[64];
		snprintf(text, sizeof(text), "least %s most", signs[i].sign);
		expect_number(w, text, signs[i].less);
		snprintf(text, sizeof(text), "page%s4096", signs[i].sign);
		expect_number(w, text, signs[i].equal);
		snprintf(text, sizeof(text), "most %s least", signs[i].sign);
		expect_number(w, text, signs[i].more);
	}
	expect_number(w, "word == \"rw-p\"", 1);
	expect_number(w, "word != \"r--p\"", 1);
	expect_number(w, "\"a\" == \"b\"", 0);
}

static void test_numbers_end(void **state)
{
	struct world *w = *state;
	static const char *const large[] = { "most + 1",  "least - 1",  "most * 2",
					     "-least",    "least / -1", "abs(least)",
					     "most << 1", "1 << 63" };
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		expect_unknown(w, large[i], "the number is too large");
	expect_number(w, "least % -1", 0);
	expect_number(w, "-1 << 63", INT64_MIN);
	expect_number(w, "-1 >> 63", 1);
	expect_number(w, "0xffff800000000000 >> 47", 0x1ffff);
	expect_unknown(w, "1 / 0", "division by zero");
	expect_unknown(w, "1 % 0", "division by zero");
	expect_unknown(w, "1 << 64", "a shift by no number of bits");
	expect_unknown(w, "1 >> -1", "a shift by no number of bits");
}

/* A text where a number belongs is not a false fact but none. */
static void test_kinds(void **state)
{
	struct world *w = *state;
	expect_unknown(w, "word + 1", "a text is no number to compute with");
	expect_unknown(w, "word == 1", "a text is no number to compare with");
	expect_unknown(w, "word < \"x\"", "a text is no number to compare with");
	expect_unknown(w, "-word", "a text is no number");
	expect_unknown(w, "word and 1", "a text is neither true nor false");
	expect_unknown(w, "word ? 1 : 2", "a text is neither true nor false");
}

static void test_unknown_spreads(void **state)
{
	struct world *w = *state;
	static const char *const lost[] = { "x",       "x + 1",   "1 - x",   "x == x",
					    "-x",      "not x",   "x ? 1:1", "x and 1",
					    "1 and x", "x or 0",  "0 or x",  "min(x, 1)",
					    "hex(x)",  "f(1, x)", "f(x + 1)" };
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		expect_unknown(w, lost[i], "nobody told");
	/* Where the other side decides alone, it does not matter. */
	expect_number(w, "x and 0", 0);
	expect_number(w, "0 and x", 0);
	expect_number(w, "x or 1", 1);
	expect_number(w, "1 or x", 1);
	expect_number(w, "1 ? 2 : x", 2);
}

static void test_only_what_is_needed_is_asked(void **state)
{
	struct world *w = *state;
	expect_number(w, "0 and f()", 0);
	assert_string_equal(w->asked, "");
	expect_number(w, "page ? 1 : f()", 1);
	assert_string_equal(w->asked, "page");
	expect_unknown(w, "f(x)", "nobody told");
	assert_string_equal(w->asked, "x");
}

static void test_calls(void **state)
{
	struct world *w = *state;
	expect_number(w, "rss()", 0);
	assert_string_equal(w->asked, ".rss/0");
	expect_number(w, "child.rss(page, 2, \"abc\", f(1))", 4102);
	assert_string_equal(w->asked, "page .f/1 child.rss/4");
	expect_number(w, "min(3, page)", 3);
	expect_number(w, "max(3, page)", 4096);
	expect_number(w, "abs(-page) + abs(1)", 4097);
	expect_text(w, "hex(page)", "0x1000");
	expect_text(w, "hex(-1)", "0xffffffffffffffff");
	expect_text(w, "bytes(5 * page)", "20.0 KiB");
	expect_text(w, "bytes(0 - page)", "-4.00 KiB");
	expect_text(w, "bytes(least)", "-8.00 EiB");
}

static void test_past(void **state)
{
	struct world *w = *state;
	expect_number(w, "was( page +  f(2) ) + 1", 2);
	assert_string_equal(w->asked, "was[page +  f(2)]");
	expect_number(w, "grew(child.rss(page))", 4095);
	assert_string_equal(w->asked, "page child.rss/1 was[child.rss(page)]");
	expect_unknown(w, "grew(x)", "nobody told");
	expect_unknown(w, "grew(word)", "a text is no number to compute with");
}

static void test_scope_fails(void **state)
{
	struct world *w = *state;
	static const char *const all[] = { "page",        "1 + page",   "not page",
					   "f(page)",     "grew(page)", "page and 1",
					   "page ? 1 : 2" };
	w->broken = true;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mw_value value = mw_value_number(42);
		mw_auto_err err = mw_expr_eval(parsed(w, all[i]), &w->scope, &value);
		assert_non_null(err);
		assert_int_equal(err->code, MW_ERR_NOMEM);
		assert_int_equal(value.number, 42);
	}
}

static void test_refused(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *text, *msg;
	} wrong[] = {
		{ "", "a value is missing, at character 1" },
		{ "1 +", "a value is missing, at character 4" },
		{ "(1", "\")\" is missing, at character 3" },
		{ "1 2", "more than one expression, at character 3" },
		{ "1)", "more than one expression, at character 2" },
		{ "1 < 2 < 3", "needs parentheses, at character 7" },
		{ "1 == 2 != 3", "needs parentheses" },
		{ "1 + not 2", "a value is missing, at character 5" },
		{ "1 ? 2", "\":\" is missing" },
		{ "1 | 2", "means nothing here, at character 3" },
		{ "a = 1", "means nothing here" },
		{ "0x", "no number" },
		{ "12ab", "no number" },
		{ "9223372036854775808", "too large" },
		{ "0x10000000000000000", "too large" },
		{ "\"abc", "a text without its end, at character 1" },
		{ "f(", "a value is missing" },
		{ "f(1", "a comma or \")\" is missing" },
		{ "f(1,)", "a value is missing" },
		{ "f(1 2)", "a comma or \")\" is missing" },
		{ "f(1, 2, 3, 4, 5)", "too many arguments" },
		{ "min(1)", "too few or too many arguments" },
		{ "hex()", "too few or too many arguments" },
		{ "was( )", "too few or too many arguments" },
		{ "was(1, 2)", "too few or too many arguments" },
		{ "was(grew(1))", "inside of another" },
		{ "1 + grew(f(was(1)))", "inside of another" },
		{ "a.hex(1)", "of no process" },
		{ "a.b", "\"(\" is missing" },
		{ "a.", "what is asked of the process is missing" },
		{ "a.and(1)", "what is asked of the process is missing" },
		{ "and", "a value is missing" },
		{ "f(1)(2)", "more than one expression" },
		{ "1\n", "means nothing here" },
		{ "\xc3\xa4", "means nothing here" },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refused(w, wrong[i].text, wrong[i].msg);
	/* One after the other is fine. */
	expect_number(w, "was(1) + grew(f(1))", 1);
}

static const char *repeated(struct world *w, const char *part, size_t n, const char *end)
{
	mw_auto_buf buf = { 0 };
	for (size_t i = 0; i < n; i++)
		assert_true(mw_buf_add(&buf, part, strlen(part)));
	assert_true(mw_buf_add(&buf, end, strlen(end)));
	return mw_arena_strndup(&w->arena, buf.data, buf.len);
}

static void test_bounds(void **state)
{
	struct world *w = *state;
	expect_refused(w, repeated(w, "(", 1000, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "-", 1000, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "not ", 500, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "f(", 1000, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "1?1:", 500, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "1?", 500, "1"), "nested too deeply");
	expect_refused(w, repeated(w, "1+", 1000, "1"), "too many parts");
	expect_refused(w, repeated(w, " ", 5000, "1"), "too long");
	expect_number(w, repeated(w, "1+", 150, "1"), 151);
	expect_number(w, repeated(w, "- ", 20, "1"), 1);
}

static void expect_filled(struct world *w, const char *text, const char *expected)
{
	const char *ret = NULL;
	assert_null(mw_expr_fill(text, &w->scope, &ret));
	assert_string_equal(ret, expected);
}

static void test_fill(void **state)
{
	struct world *w = *state;
	expect_filled(w, "", "");
	expect_filled(w, "plain }", "plain }");
	expect_filled(w, "pages of {bytes(page)}.", "pages of 4.00 KiB.");
	expect_filled(w, "{page}{word}", "4096rw-p");
	expect_filled(w, "{{page} {{ }", "{page} { }");
	expect_filled(w, "{{{page}", "{4096");
	expect_filled(w, "{word == \"}\" ? 1 : 2}", "2");
	expect_filled(w, "{about page} and {about x}", "≈4096 and ?");
	expect_filled(w, "{0 - page}", "-4096");
	expect_filled(w, "{about}", "?"); /* a name as any other */
}

static void test_fill_refused(void **state)
{
	struct world *w = *state;
	static const char *const wrong[] = {
		"{", "{}", "{1", "a {1 +} b", "{\"}", "{1}{"
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *ret = NULL;
		mw_auto_err err = mw_expr_fill(wrong[i], &w->scope, &ret);
		assert_non_null(err);
		assert_int_equal(err->code, MW_ERR_FORMAT);
		assert_null(ret);
	}
	w->broken = true;
	const char *ret = NULL;
	mw_auto_err err = mw_expr_fill("{page}", &w->scope, &ret);
	assert_int_equal(err->code, MW_ERR_NOMEM);
}

static struct mw_err *note_past(void *ctx, const struct mw_expr *inner, const char *text)
{
	struct world *w = ctx;
	struct mw_value value;
	note(&w->scope, text);
	return mw_expr_eval(inner, &w->scope, &value);
}

static void test_each_past(void **state)
{
	struct world *w = *state;
	assert_null(mw_expr_each_past(parsed(w, "1 + f(grew(page), x ? was(2) : 3)"),
				      note_past, w));
	assert_string_equal(w->asked, "page page 2");
	w->asked[0] = '\0';
	assert_null(mw_expr_each_past_in(&w->arena, "a {was(1)} {page} {about grew(2)}",
					 note_past, w));
	assert_string_equal(w->asked, "1 2");
	mw_auto_err err = mw_expr_each_past_in(&w->arena, "{was(}", note_past, w);
	assert_int_equal(err->code, MW_ERR_FORMAT);
}

static struct mw_err *note_use(void *ctx, const struct mw_expr_use *use)
{
	struct world *w = ctx;
	char what[64];
	if (use->is_call)
		snprintf(what, sizeof(what), "%s.%s/%zu", use->process, use->name,
			 use->n_args);
	else
		snprintf(what, sizeof(what), "%s", use->name);
	note(&w->scope, what);
	return NULL;
}

static void test_each_use(void **state)
{
	struct world *w = *state;
	assert_null(mw_expr_each_use(parsed(w, "grew(c.f(a, 1)) ? \"b\" : min(d, 2)"),
				     note_use, w));
	assert_string_equal(w->asked, "c.f/2 a d");
	w->asked[0] = '\0';
	assert_null(
		mw_expr_each_use_in(&w->arena, "x {y} {{z} {about f()}", note_use, w));
	assert_string_equal(w->asked, "y .f/0");
}

static void expect_sides(struct world *w, const char *text, const char *expected)
{
	struct mw_value sides[2];
	char told[64] = "";
	assert_null(mw_expr_sides(parsed(w, text), &w->scope, &sides[0], &sides[1]));
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(told);
		if (sides[i].kind == MW_VALUE_NUMBER)
			snprintf(told + len, sizeof(told) - len, "%" PRId64 ",",
				 sides[i].number);
		else
			snprintf(told + len, sizeof(told) - len, "%s,", sides[i].text);
	}
	assert_string_equal(told, expected);
}

static void test_sides(void **state)
{
	struct world *w = *state;
	expect_sides(w, "page + 1 == 5", "4097,5,");
	expect_sides(w, "word != \"rw-p\"", "rw-p,rw-p,");
	expect_sides(w, "page", "4096,,");
	expect_sides(w, "1 == 2 or 3 == 4", "0,,");
	expect_sides(w, "page and 1 == 2", "1,2,");
	expect_sides(w, "1 == 1 and 2 == 3 and 4 == 5", "2,3,");
	expect_sides(w, "x == 1", "nobody told,1,");
}

static void test_call_apart(void **state)
{
	struct world *w = *state;
	struct mw_value args[MW_EXPR_ARGS];
	const char *process = NULL, *func = NULL;
	size_t n = 42;
	assert_null(mw_expr_call(parsed(w, "child.at(x, 2 * page)"), &w->scope, &process,
				 &func, args, &n));
	assert_string_equal(process, "child");
	assert_string_equal(func, "at");
	assert_int_equal(n, 2);
	assert_int_equal(args[0].kind, MW_VALUE_UNKNOWN);
	assert_int_equal(args[1].number, 8192);
	mw_auto_err err =
		mw_expr_call(parsed(w, "page"), &w->scope, &process, &func, args, &n);
	assert_int_equal(err->code, MW_ERR_FORMAT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_numbers),
		TEST(test_precedence),
		TEST(test_comparisons),
		TEST(test_numbers_end),
		TEST(test_kinds),
		TEST(test_unknown_spreads),
		TEST(test_only_what_is_needed_is_asked),
		TEST(test_calls),
		TEST(test_past),
		TEST(test_scope_fails),
		TEST(test_refused),
		TEST(test_bounds),
		TEST(test_fill),
		TEST(test_fill_refused),
		TEST(test_each_past),
		TEST(test_each_use),
		TEST(test_sides),
		TEST(test_call_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
