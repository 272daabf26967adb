// SPDX-License-Identifier: MIT
#include "base/arena.h"
#include "base/buf.h"
#include "base/num.h"
#include "base/units.h"
#include "base/vec.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_buf_grows(void **state)
{
	(void)state;
	mw_auto_buf buf = { 0 };
	assert_string_equal(mw_buf_str(&buf), "");
	for (int i = 0; i < 1000; i++)
		assert_true(mw_buf_printf(&buf, "%03d", i));
	assert_int_equal(buf.len, 3000);
	assert_memory_equal(buf.data + 2997, "999", 4);
	assert_true(mw_buf_add(&buf, "\0x", 2));
	assert_int_equal(buf.len, 3002);
	assert_int_equal(buf.data[3002], '\0');
	mw_buf_clear(&buf);
	assert_string_equal(mw_buf_str(&buf), "");
	assert_true(buf.cap >= 3000);
}

static void test_buf_refuses_overflow(void **state)
{
	(void)state;
	mw_auto_buf buf = { 0 };
	assert_true(mw_buf_add(&buf, "abc", 3));
	assert_false(mw_buf_reserve(&buf, SIZE_MAX));
	assert_false(mw_buf_reserve(&buf, SIZE_MAX - 3));
	assert_string_equal(mw_buf_str(&buf), "abc");
	assert_true(mw_buf_add(&buf, NULL, 0));
	assert_int_equal(buf.len, 3);
}

static void assert_zeroed(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], 0);
}

/* Blocks must not overlap, whatever the mix of small and large. */
static void test_arena_keeps_all(void **state)
{
	(void)state;
	enum { N = 300 };
	struct mw_arena arena = { 0 };
	unsigned char *parts[N];
	size_t lens[N];
	for (size_t i = 0; i < N; i++) {
		lens[i] = i % 7 == 0 ? 5000 + i : i * 13 % 257;
		parts[i] = mw_arena_alloc(&arena, lens[i]);
		assert_non_null(parts[i]);
		assert_int_equal((uintptr_t)parts[i] % 16, 0);
		assert_zeroed(parts[i], lens[i]);
		memset(parts[i], (int)(i & 0xff), lens[i]);
	}
	for (size_t i = 0; i < N; i++)
		for (size_t at = 0; at < lens[i]; at++)
			assert_int_equal(parts[i][at], i & 0xff);
	mw_arena_deinit(&arena);
	assert_null(arena.blocks);
	assert_non_null(mw_arena_alloc(&arena, 1));
	mw_arena_deinit(&arena);
}

static void test_arena_strings_and_overflow(void **state)
{
	(void)state;
	struct mw_arena arena = { 0 };
	assert_string_equal(mw_arena_strndup(&arena, "abcdef", 3), "abc");
	assert_string_equal(mw_arena_strdup(&arena, ""), "");
	assert_string_equal(mw_arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
	assert_null(mw_arena_alloc(&arena, SIZE_MAX));
	assert_null(mw_arena_alloc(&arena, SIZE_MAX - 20));
	assert_null(mw_arena_calloc(&arena, SIZE_MAX / 2, 3));
	assert_null(mw_arena_strndup(&arena, "", SIZE_MAX));
	mw_arena_deinit(&arena);
}

static void test_vec_grows(void **state)
{
	(void)state;
	struct point {
		int x, y;
	};
	struct {
		MW_VEC(struct point);
	} vec = { 0 };
	for (int i = 0; i < 1000; i++)
		assert_true(mw_vec_add(&vec, (struct point){ i, -i }));
	assert_int_equal(vec.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vec.items[i].x + vec.items[i].y, 0);
	assert_int_equal(vec.items[999].x, 999);
	mw_vec_deinit(&vec);
	assert_null(vec.items);
	assert_int_equal(vec.n + vec.cap, 0);

	size_t cap = SIZE_MAX / 2 + 1;
	assert_null(mw_vec_grow(NULL, cap, &cap, 1));
	assert_int_equal(cap, SIZE_MAX / 2 + 1);
	cap = SIZE_MAX / 16;
	assert_null(mw_vec_grow(NULL, cap, &cap, 16));
}

struct num_case {
	const char *text;
	bool ok;
	uint64_t value;
	int taken;
};

static void test_take_dec(void **state)
{
	(void)state;
	static const struct num_case cases[] = {
		{ "0", true, 0, 1 },
		{ "0012x", true, 12, 4 },
		{ "18446744073709551615 ", true, UINT64_MAX, 20 },
		{ "18446744073709551616", false, 0, 0 },
		{ "99999999999999999999", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "-1", false, 0, 0 },
		{ "+1", false, 0, 0 },
		{ " 1", false, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *pos = cases[i].text;
		uint64_t value = 77;
		bool ok = mw_take_dec(&pos, pos + strlen(pos), &value);
		assert_int_equal(ok, cases[i].ok);
		assert_int_equal(value, ok ? cases[i].value : 77);
		assert_int_equal(pos - cases[i].text, cases[i].taken);
	}
	const char *digits = "123456", *pos = digits;
	uint64_t value;
	assert_true(mw_take_dec(&pos, digits + 3, &value));
	assert_int_equal(value, 123);
}

static void test_take_hex(void **state)
{
	(void)state;
	static const struct num_case cases[] = {
		{ "ffffffffff600000-", true, UINT64_C(0xffffffffff600000), 16 },
		{ "DeadBeefg", true, 0xdeadbeef, 8 },
		{ "00000000000000000001", true, 1, 20 },
		{ "10000000000000000", false, 0, 0 },
		{ "0x10", true, 0, 1 },
		{ "g", false, 0, 0 },
		{ "@", false, 0, 0 },
		{ "`", false, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *pos = cases[i].text;
		uint64_t value = 77;
		bool ok = mw_take_hex(&pos, pos + strlen(pos), &value);
		assert_int_equal(ok, cases[i].ok);
		assert_int_equal(value, ok ? cases[i].value : 77);
		assert_int_equal(pos - cases[i].text, cases[i].taken);
	}
}

static void test_whole_numbers(void **state)
{
	(void)state;
	uint64_t value = 5;
	assert_false(mw_parse_u64("", &value));
	assert_false(mw_parse_u64("12 ", &value));
	assert_false(mw_parse_u64("-3", &value));
	assert_false(mw_parse_addr("0x", &value));
	assert_false(mw_parse_addr("7f00-", &value));
	assert_int_equal(value, 5);
	assert_true(mw_parse_u64("4242", &value));
	assert_int_equal(value, 4242);
	assert_true(mw_parse_addr("0X7f00", &value));
	assert_int_equal(value, 0x7f00);
	assert_true(mw_parse_addr("7f00", &value));
	assert_int_equal(value, 0x7f00);
}

/* Every length of digits: the powers of ten and their neighbours, and of two. */
static void test_put_digits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64 * 3; i++) {
		uint64_t value = (UINT64_C(1) << i / 3) + i % 3 - 1;
		uint64_t power = 1;
		for (unsigned p = 0; p < i % 20; p++)
			power *= 10;
		uint64_t values[] = { value, power, power - 1 };
		for (int at = 0; at < 3; at++) {
			char put[MW_DIGITS_LEN + 1], printed[MW_DIGITS_LEN + 1];
			*mw_put_dec(put, values[at]) = '\0';
			snprintf(printed, sizeof(printed), "%" PRIu64, values[at]);
			assert_string_equal(put, printed);
			*mw_put_hex(put, values[at]) = '\0';
			snprintf(printed, sizeof(printed), "%" PRIx64, values[at]);
			assert_string_equal(put, printed);
		}
	}
}

static void test_lines(void **state)
{
	(void)state;
	const char *text = "a\t b\n\nlast", *end = text + strlen(text), *pos = text + 1;
	mw_skip_blanks(&pos, end);
	assert_int_equal(*pos, 'b');
	assert_ptr_equal(mw_line_end(text, end), text + 4);
	assert_ptr_equal(mw_line_end(text + 5, end), text + 5);
	assert_ptr_equal(mw_line_end(text + 6, end), end);
	assert_ptr_equal(mw_line_end(end, end), end);
	pos = end;
	assert_false(mw_take_char(&pos, end, '\0'));
}

static void test_bytes_auto(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.00 KiB" },
		{ 10234, "9.99 KiB" },
		{ 10235, "10.0 KiB" },
		{ 102348, "99.9 KiB" },
		{ 102349, "100 KiB" },
		{ 1048063, "1023 KiB" },
		{ 1048064, "1.00 MiB" },
		{ UINT64_C(5336451973), "4.97 GiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char buf[MW_UNITS_LEN];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(mw_units_bytes(cases[i].bytes, MW_UNIT_AUTO, buf),
				    cases[i].text);
}

/* Three digits: what is printed is never further off than half of its last digit. */
static void test_bytes_auto_is_near(void **state)
{
	(void)state;
	static const char units[] = "KMGTPE";
	for (uint64_t bytes = 1024; bytes < UINT64_MAX / 2; bytes += bytes / 97) {
		char buf[MW_UNITS_LEN], *unit;
		mw_units_bytes(bytes, MW_UNIT_AUTO, buf);
		double shown = strtod(buf, &unit);
		assert_int_equal(unit[0], ' ');
		assert_true(unit[1] && strchr(units, unit[1]));
		int power = (int)(strchr(units, unit[1]) - units) + 1;
		double exact = (double)bytes / (double)(UINT64_C(1) << (10 * power));
		double step = exact < 9.995 ? 0.01 : exact < 99.95 ? 0.1 : 1;
		assert_true(exact >= 0.999 && exact < 1024);
		assert_true(shown - exact <= step / 2 + 1e-9);
		assert_true(exact - shown <= step / 2 + 1e-9);
	}
}

static void test_other_units(void **state)
{
	(void)state;
	char buf[MW_UNITS_LEN];
	assert_string_equal(mw_units_bytes(1535, MW_UNIT_K, buf), "1");
	assert_string_equal(mw_units_bytes(1536, MW_UNIT_K, buf), "2");
	assert_string_equal(mw_units_bytes(UINT64_MAX, MW_UNIT_B, buf),
			    "18446744073709551615");
	assert_string_equal(mw_units_bytes(UINT64_C(3) << 29, MW_UNIT_G, buf), "2");
	assert_string_equal(mw_units_duration(999, buf), "999 ns");
	assert_string_equal(mw_units_duration(310000, buf), "310 us");
	assert_string_equal(mw_units_duration(1500, buf), "1.5 us");
	assert_string_equal(mw_units_duration(2300000, buf), "2.3 ms");
	assert_string_equal(mw_units_duration(310000000, buf), "310 ms");
	assert_string_equal(mw_units_duration(1310000000, buf), "1.31 s");
	/* Where rounding reaches the next unit. */
	assert_string_equal(mw_units_duration(999999, buf), "1 ms");
	assert_string_equal(mw_units_duration(999999999, buf), "1.00 s");
}

static void test_err(void **state)
{
	(void)state;
	char what[] = "/x";
	struct mw_err *err = mw_err_new(MW_ERR_FORMAT, 0, what, "line %d", 3);
	what[1] = 'y';
	assert_int_equal(err->code, MW_ERR_FORMAT);
	assert_string_equal(err->what, "/x");
	assert_string_equal(err->msg, "line 3");
	mw_err_free(err);

	err = mw_err_new(MW_ERR_USAGE, 0, NULL, "%s", "");
	assert_string_equal(err->what, "");
	mw_err_free(err);
	mw_err_free(NULL);
	mw_err_free(mw_err_nomem());
	mw_err_free(mw_err_nomem());
}

static void test_err_of_errno(void **state)
{
	(void)state;
	static const struct {
		int errnum;
		enum mw_errc code;
	} cases[] = {
		{ EACCES, MW_ERR_DENIED }, { EPERM, MW_ERR_DENIED },
		{ ESRCH, MW_ERR_GONE },    { ENOENT, MW_ERR_NOTFOUND },
		{ ENOMEM, MW_ERR_NOMEM },  { ENOTTY, MW_ERR_UNSUPPORTED },
		{ EIO, MW_ERR_IO },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		mw_auto_err err = mw_err_sys(cases[i].errnum, "maps");
		assert_int_equal(err->code, cases[i].code);
		assert_int_equal(err->errnum, cases[i].errnum);
		assert_non_null(strstr(err->msg, strerror(cases[i].errnum)));
	}
	for (int code = MW_ERR_NOMEM; code <= MW_ERR_UNSUPPORTED; code++)
		assert_non_null(mw_errc_name((enum mw_errc)code));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_grows),
		cmocka_unit_test(test_buf_refuses_overflow),
		cmocka_unit_test(test_arena_keeps_all),
		cmocka_unit_test(test_arena_strings_and_overflow),
		cmocka_unit_test(test_vec_grows),
		cmocka_unit_test(test_take_dec),
		cmocka_unit_test(test_take_hex),
		cmocka_unit_test(test_whole_numbers),
		cmocka_unit_test(test_put_digits),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bytes_auto),
		cmocka_unit_test(test_bytes_auto_is_near),
		cmocka_unit_test(test_other_units),
		cmocka_unit_test(test_err),
		cmocka_unit_test(test_err_of_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
