// SPDX-License-Identifier: MIT
/* What counts as a right prediction, and what as none at all. */
#include <memwhy/lab.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum outcome { WRONG, RIGHT, NONSENSE };

static enum outcome judge(const struct mw_lab_turn *turn, const char *said)
{
	bool right = false;
	mw_auto_err err = mw_lab_judge(turn, said, &right);
	if (!err)
		return right ? RIGHT : WRONG;
	assert_int_equal(err->code, MW_ERR_FORMAT);
	assert_true(err->msg[0]);
	return NONSENSE;
}

static enum outcome judge_number(int64_t answer, const char *unit, int64_t within,
				 const char *said)
{
	const struct mw_lab_step step = { .unit = unit };
	const struct mw_lab_turn turn = {
		.step = &step,
		.answer = { .kind = MW_VALUE_NUMBER, .number = answer },
		.within = within,
	};
	return judge(&turn, said);
}

static void test_numbers(void **state)
{
	(void)state;
	static const struct {
		int64_t answer;
		const char *unit, *said;
		enum outcome want;
	} cases[] = {
		{ 4, "KiB", "4", RIGHT },
		{ 4, "KiB", "+4", RIGHT },
		{ 4, "KiB", " 4 KiB \n", RIGHT },
		{ 4, "KiB", "4kib", RIGHT },
		{ 4, "KiB", "4 k", RIGHT },
		{ 4, "KiB", "4 KB", RIGHT },
		{ 4, "KiB", "4096 B", RIGHT },
		{ 4, "KiB", "4096 bytes", RIGHT },
		{ 4, "KiB", "0x1000 B", RIGHT },
		{ 4, "KiB", "4.0", RIGHT },
		{ 4, "KiB", "4.5", WRONG },
		{ 4, "KiB", "4096", WRONG },
		{ 4, "KiB", "4 MiB", WRONG },
		{ 4, "KiB", "-4", WRONG },
		{ -4, "KiB", "-4", RIGHT },
		{ -4, "KiB", "-4096 byte", RIGHT },
		{ 1536, "KiB", "1.5 MiB", RIGHT },
		{ 4097, "B", "4 KiB", WRONG },
		{ 0, "KiB", "0", RIGHT },
		{ 0, "KiB", "0 GiB", RIGHT },
		{ 3, "", "3", RIGHT },
		{ 3, "faults", "3 faults", RIGHT },
		{ 1, "faults", "1 fault", RIGHT },
		{ 1, "faults", "1 KiB", NONSENSE },
		{ 5, "MiB/s", "5 MiB/s", RIGHT },
		{ 5, "MiB/s", "5120 KiB/s", RIGHT },
		{ 5, "MiB/s", "5 MiB", NONSENSE },
		{ 5, "MiB/s", "5 MiB/h", NONSENSE },
		{ 3, "", "3 KiB", NONSENSE },
		{ 3, "KiB", "3 apples", NONSENSE },
		{ 3, "KiB", "", NONSENSE },
		{ 3, "KiB", "  ", NONSENSE },
		{ 3, "KiB", "+", NONSENSE },
		{ 3, "KiB", ".", NONSENSE },
		{ 3, "KiB", "KiB", NONSENSE },
		{ 3, "KiB", "0x", NONSENSE },
		{ 3, "KiB", "3 3", NONSENSE },
		{ 3, "KiB", "1.2.3", NONSENSE },
		{ 3, "KiB", "3.0000001", NONSENSE },
		{ 3, "KiB", "99999999999999999999", NONSENSE },
		{ 3, "KiB", "9223372036854775807 TiB", NONSENSE },
		{ INT64_MIN, "KiB", "3 MiB", NONSENSE },
		{ INT64_MAX, "B", "9223372036854775807", RIGHT },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (judge_number(cases[i].answer, cases[i].unit, 0, cases[i].said) !=
		    cases[i].want)
			fail_msg("%" PRId64 " %s: \"%s\"", cases[i].answer, cases[i].unit,
				 cases[i].said);
}

static void test_within(void **state)
{
	(void)state;
	assert_int_equal(judge_number(100, "MiB", 10, "90"), RIGHT);
	assert_int_equal(judge_number(100, "MiB", 10, "110"), RIGHT);
	assert_int_equal(judge_number(100, "MiB", 10, "110.1"), WRONG);
	assert_int_equal(judge_number(100, "MiB", 10, "89.999"), WRONG);
	assert_int_equal(judge_number(100, "MiB", 10, "92160 KiB"), RIGHT);
	assert_int_equal(judge_number(100, "MiB", 10, "92159 KiB"), WRONG);
	assert_int_equal(judge_number(-5, "", 1, "-6"), RIGHT);
	assert_int_equal(judge_number(-5, "", 1, "-7"), WRONG);
}

static enum outcome judge_choice(const char *answer, const char *said)
{
	static const char *choices[] = { "heap", "Heap of its own", "mapping", "stack" };
	const struct mw_lab_step step = { .unit = "",
					  .choices = choices,
					  .n_choices = 4 };
	const struct mw_lab_turn turn = {
		.step = &step,
		.answer = { .kind = answer ? MW_VALUE_TEXT : MW_VALUE_UNKNOWN,
			    .text = answer },
	};
	return judge(&turn, said);
}

static void test_choices(void **state)
{
	(void)state;
	assert_int_equal(judge_choice("mapping", "mapping"), RIGHT);
	assert_int_equal(judge_choice("mapping", " M "), RIGHT);
	assert_int_equal(judge_choice("mapping", "maps"), NONSENSE);
	assert_int_equal(judge_choice("mapping", "mappings"), NONSENSE);
	assert_int_equal(judge_choice("mapping", "s"), WRONG);
	assert_int_equal(judge_choice("heap", "HEAP"), RIGHT); /* whole: not ambiguous */
	assert_int_equal(judge_choice("Heap of its own", "heap"), WRONG);
	assert_int_equal(judge_choice("Heap of its own", "heap o"), RIGHT);
	assert_int_equal(judge_choice("Heap of its own", "own"), RIGHT);
	assert_int_equal(judge_choice("Heap of its own", "ts"), NONSENSE);
	assert_int_equal(judge_choice("heap", "hea"), NONSENSE);
	assert_int_equal(judge_choice("heap", ""), NONSENSE);
	assert_int_equal(judge_choice("heap", "0"), NONSENSE);
	assert_int_equal(judge_choice("something else", "heap"), WRONG);
	/* Before the step: is it an answer at all? */
	assert_int_equal(judge_choice(NULL, "heap"), WRONG);
	assert_int_equal(judge_choice(NULL, "x"), NONSENSE);
}

static void test_yes_no(void **state)
{
	(void)state;
	static const char *choices[] = { "no", "yes" };
	const struct mw_lab_step step = { .unit = "",
					  .choices = choices,
					  .n_choices = 2 };
	const struct mw_lab_turn turn = {
		.step = &step,
		.answer = { .kind = MW_VALUE_TEXT, .text = "yes" },
	};
	assert_int_equal(judge(&turn, "y"), RIGHT);
	assert_int_equal(judge(&turn, "Yes"), RIGHT);
	assert_int_equal(judge(&turn, "n"), WRONG);
	assert_int_equal(judge(&turn, "maybe"), NONSENSE);
}

/* Before the step: whether it is an answer at all. */
static void test_unknown(void **state)
{
	(void)state;
	const struct mw_lab_step step = { .unit = "" };
	struct mw_lab_turn turn = { .step = &step };
	assert_int_equal(judge(&turn, "0"), WRONG);
	assert_int_equal(judge(&turn, "some"), NONSENSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_within),
		cmocka_unit_test(test_choices), cmocka_unit_test(test_yes_no),
		cmocka_unit_test(test_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
