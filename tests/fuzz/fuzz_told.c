// SPDX-License-Identifier: MIT
/*
 * Lines of a lab's program. What is kept is what could be written again; a line that is
 * refused changes nothing. The input is also a prediction, of a number and of a choice.
 */
#include "fuzz.h"

#include "base/arena.h"
#include "lab/session/told.h"

#include <string.h>

static void check_told(const struct mw_told *told)
{
	for (size_t i = 0; i < told->values.n; i++) {
		const struct mw_told_value *value = &told->values.items[i];
		FUZZ_CHECK(value->name[0] && !strpbrk(value->name, "\t {}()."));
		FUZZ_CHECK(mw_told_find(told, value->name) == &value->value);
		FUZZ_CHECK(value->value.kind == MW_VALUE_NUMBER ||
			   (value->value.kind == MW_VALUE_TEXT && value->value.text));
	}
	for (size_t i = 0; i < told->processes.n; i++)
		FUZZ_CHECK(told->processes.items[i].name[0] &&
			   told->processes.items[i].pid > 0);
	for (size_t i = 0; i < told->bars.n; i++)
		FUZZ_CHECK(told->bars.items[i].label && told->bars.items[i].unit);
}

static void take_line(struct mw_told *told, const char *line)
{
	size_t before = told->values.n + told->processes.n + told->says.n + told->bars.n;
	enum mw_told_kind kind = (enum mw_told_kind)77;

	mw_auto_err err = mw_told_line(told, line, &kind);
	size_t after = told->values.n + told->processes.n + told->says.n + told->bars.n;
	FUZZ_CHECK(err ? err->code == MW_ERR_FORMAT && (int)kind == 77
		       : kind <= MW_TOLD_END);
	FUZZ_CHECK(after == before ||
		   (!err && kind == MW_TOLD_THING && after == before + 1));
	if (!err && kind == MW_TOLD_STEP) {
		FUZZ_CHECK(told->step && told->does);
		mw_told_forget(told);
		FUZZ_CHECK(!told->says.n && !told->bars.n);
	}
	if (!err && kind == MW_TOLD_UNDO)
		FUZZ_CHECK(told->path && told->text);
}

static void judge(const char *said, const struct mw_lab_step *step,
		  struct mw_value answer)
{
	const struct mw_lab_turn turn = { .step = step, .answer = answer, .within = 1 };
	bool right = false;

	mw_auto_err err = mw_lab_judge(&turn, said, &right);
	FUZZ_CHECK(!err || (err->code == MW_ERR_FORMAT && !right));
}

static void judge_all(const char *said)
{
	static const char *choices[] = { "heap", "Heap of its own", "yes", "no" };
	static const char *const units[] = {
		"", "KiB", "B", "faults", "MiB/s", "/", "s"
	};
	static const int64_t numbers[] = { 0, 4, -4, INT64_MAX, INT64_MIN };
	const struct mw_lab_step which = { .unit = "",
					   .choices = choices,
					   .n_choices = 4 };

	judge(said, &which, (struct mw_value){ .kind = MW_VALUE_TEXT, .text = "yes" });
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		const struct mw_lab_step step = { .unit = units[i] };
		for (size_t k = 0; k < sizeof(numbers) / sizeof(*numbers); k++)
			judge(said, &step,
			      (struct mw_value){ MW_VALUE_NUMBER, numbers[k], NULL });
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mw_arena arena = { 0 };
	struct mw_told told = { .arena = &arena };
	char *text = mw_arena_strndup(&arena, (const char *)bytes, len), *end;

	FUZZ_CHECK(text);
	for (char *line = text; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		take_line(&told, line);
		judge_all(line);
		check_told(&told);
	}
	mw_told_deinit(&told);
	mw_arena_deinit(&arena);
	return 0;
}
