// SPDX-License-Identifier: MIT
/* Steps files: what they say, and what is said of wrong ones. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <memwhy/lab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "Lab: try\nTitle: A title\nTopic: paging\nLevel: 2\nQuestion: What is it?\n"
#define STEP "\nStep: one\n"

static struct mw_lab *parsed(const char *text)
{
	struct mw_lab *ret = NULL;
	struct mw_err *err = mw_lab_parse("steps", text, strlen(text), &ret);
	if (err)
		fail_msg("%s", err->msg);
	return ret;
}

static void expect_refused(const char *text, size_t len, const char *msg)
{
	struct mw_lab *ret = NULL;
	mw_auto_err err = mw_lab_parse("steps", text, len, &ret);
	if (!err)
		fail_msg("taken: %s", text);
	assert_null(ret);
	assert_int_equal(err->code, MW_ERR_FORMAT);
	if (!strstr(err->msg, msg))
		fail_msg("\"%s\" is not in \"%s\"", msg, err->msg);
}

static void test_least(void **state)
{
	(void)state;
	struct mw_lab *lab = parsed(HEAD STEP);
	assert_string_equal(lab->name, "try");
	assert_string_equal(lab->title, "A title");
	assert_string_equal(lab->topic, "paging");
	assert_string_equal(lab->question, "What is it?");
	assert_int_equal(lab->level, 2);
	assert_string_equal(lab->dir, "");
	assert_int_equal(lab->n_watch + lab->n_try + lab->needs.n + lab->n_variants, 0);
	assert_int_equal(lab->n_steps, 1);
	const struct mw_lab_step *step = &lab->steps[0];
	assert_string_equal(step->name, "one");
	assert_string_equal(step->note, "");
	assert_string_equal(step->ask, "");
	assert_string_equal(step->unit, "");
	assert_string_equal(step->because, "");
	assert_null(step->answer);
	assert_null(step->expect);
	assert_null(step->within);
	assert_int_equal(step->n_choices + step->facts.n + step->needs.n, 0);
	mw_lab_free(lab);
}

static void test_whole(void **state)
{
	(void)state;
	struct mw_lab *lab = parsed(
		"# a comment\n\n" HEAD "Watch: the = at(a, 2 * page)\n"
		"Watch:b=child.at(b)\nNeeds: root | root's rights\n"
		"Needs: cpus > 1 | two processors\nTry: memwhy lab cow\nTry: again\n"
		"\n \n# between\n\nStep: one\nNote: of {bytes(page)}\n"
		"Ask: Which\n of  these,\n\tor none?\nChoices: heap , a mapping,none\n"
		"Answer: was(1) ? \"heap\" :\n \"none\"\nExpect: \"a|b\"\nUnit: KiB\n"
		"Within: page / 2\n"
		"Fact: name(a) == \"|\" | it is {name(a)} | so\n"
		"# a comment\nFact: 1 | yes\nNeeds: frames | frames\n"
		"Because: it\n# or not\n is so\n\n\nStep: two\r\nFact: 2 | yes");
	assert_int_equal(lab->n_watch, 2);
	assert_string_equal(lab->watch[0].label, "the");
	assert_string_equal(lab->watch[1].label, "b");
	assert_int_equal(lab->needs.n, 2);
	assert_string_equal(lab->needs.items[0].source, "root");
	assert_string_equal(lab->needs.items[0].text, "root's rights");
	assert_string_equal(lab->needs.items[1].source, "cpus > 1");
	assert_int_equal(lab->n_try, 2);
	assert_string_equal(lab->try[1], "again");
	assert_int_equal(lab->n_steps, 2);
	const struct mw_lab_step *step = &lab->steps[0];
	assert_string_equal(step->note, "of {bytes(page)}");
	assert_string_equal(step->ask, "Which of  these, or none?");
	assert_int_equal(step->n_choices, 3);
	assert_string_equal(step->choices[0], "heap");
	assert_string_equal(step->choices[1], "a mapping");
	assert_string_equal(step->choices[2], "none");
	assert_non_null(step->answer);
	assert_non_null(step->expect);
	assert_non_null(step->within);
	assert_string_equal(step->unit, "KiB");
	assert_int_equal(step->facts.n, 2);
	assert_string_equal(step->facts.items[0].source, "name(a) == \"|\"");
	assert_string_equal(step->facts.items[0].text, "it is {name(a)} | so");
	assert_non_null(step->facts.items[1].expr);
	assert_int_equal(step->needs.n, 1);
	assert_string_equal(step->because, "it is so");
	assert_string_equal(lab->steps[1].name, "two");
	assert_int_equal(lab->steps[1].facts.n, 1);
	mw_lab_free(lab);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *msg;
	} wrong[] = {
		{ "", "steps: empty" },
		{ "# nothing\n", "steps: empty" },
		{ "Lab: try\n\nStep: one\n", "steps:1: the paragraph that ends here has "
					     "no field Title" },
		{ HEAD, "no step follows" },
		{ HEAD "\nFact: 1 | x\n", "steps:7: the paragraph that ends here has no "
					  "field Step" },
		{ HEAD "Colour: red\n" STEP, "steps:6: Colour: no field of a lab" },
		{ HEAD "Fact: 1 | x\n" STEP, "steps:6: Fact: no field of a lab" },
		{ HEAD STEP "Watch: a = at(a)\n", "steps:8: Watch: no field of a step" },
		{ HEAD STEP "Title: x\n", "no field of a step" },
		{ HEAD "Title: again\n" STEP, "steps:6: Title: given twice" },
		{ HEAD STEP "Note: a\nNote: b\n", "steps:9: Note: given twice" },
		{ HEAD STEP "Note:\n", "steps:8: Note is empty" },
		{ HEAD STEP "Note: \n \nStep: two\n", "steps:8: Note is empty" },
		{ HEAD STEP "Note text\n", "steps:8: not of the form" },
		{ HEAD STEP ": text\n", "steps:8: not of the form" },
		{ HEAD STEP "\n goes on\n", "steps:9: goes on with no field" },
		{ " goes on\n" HEAD STEP, "steps:1: goes on with no field" },
		{ HEAD STEP "Note: a\x1b[0m\n", "steps:8: a control character" },
		{ HEAD STEP "Note: a\x7f\n", "steps:8: a control character" },
		{ HEAD STEP "Note: {1 +}\n", "steps:8: Note: a value is missing" },
		{ HEAD STEP "Note: {\n", "Note: a \"{\" without" },
		{ HEAD STEP "Because: {1}\n {nothing()}\n",
		  "steps:8: Because: there is no probe nothing() of 0 arguments" },
		{ HEAD STEP "Fact: 1\n", "steps:8: Fact: \"|\" is missing" },
		{ HEAD STEP "Fact: 1 |\n", "Fact: a part of it is missing" },
		{ HEAD STEP "Fact: | x\n", "Fact: a part of it is missing" },
		{ HEAD STEP "Fact: 1 + | x\n", "steps:8: Fact: a value is missing, at "
					       "character 4 of \"1 +\"" },
		{ HEAD STEP "Fact: 1 | {x\n", "Fact: a \"{\" without" },
		{ HEAD STEP "Fact: perms(1, 2, 3) | x\n",
		  "there is no probe perms() of 3 arguments" },
		{ HEAD STEP "Fact: at(1) | x\n", "there is no probe at() of 1 argument" },
		{ HEAD STEP "Ask: x\n", "has no field Answer" },
		{ HEAD STEP "Answer: 1\n", "has no field Ask" },
		{ HEAD STEP "Expect: 1\n", "has no field Answer" },
		{ HEAD STEP "Unit: KiB\n", "has no field Answer" },
		{ HEAD STEP "Within: 1\n", "has no field Answer" },
		{ HEAD STEP "Choices: a, b\n", "has no field Answer" },
		{ HEAD STEP "Choices: a\n", "no choice at all" },
		{ HEAD STEP "Choices: a,\n", "a part of it is missing" },
		{ HEAD STEP "Choices: a,,b\n", "a part of it is missing" },
		{ HEAD STEP "Expect: 1 2\n", "steps:8: Expect: more than one" },
		{ HEAD "Watch: at(a)\n" STEP, "steps:6: Watch: not of the form" },
		{ HEAD "Watch: a = a\n" STEP, "Watch: not of the form" },
		{ HEAD "Watch: a = rss(a)\n" STEP, "Watch: not of the form" },
		{ HEAD "Watch: a = at()\n" STEP, "Watch: not of the form" },
		{ HEAD "Watch: a = at(a, 1, 2)\n" STEP, "Watch: not of the form" },
		{ HEAD "Watch: = at(a)\n" STEP, "Watch: a part of it is missing" },
		{ HEAD "Watch: a = at(nope(1))\n" STEP, "no probe nope()" },
		{ HEAD "Watch: a = at(\n" STEP, "Watch: a value is missing" },
		{ "Lab: ../x\n", "steps:1: Lab: not a name" },
		{ "Lab: -x\n", "Lab: not a name" },
		{ "Lab: Try\n", "Lab: not a name" },
		{ "Level: 0\n", "Level: 1, 2 or 3" },
		{ "Level: 4\n", "Level: 1, 2 or 3" },
		{ "Level: 1x\n", "Level: 1, 2 or 3" },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		expect_refused(wrong[i].text, strlen(wrong[i].text), wrong[i].msg);
	expect_refused("Lab: a\0b\n", 9, "steps:1: a control character");
}

static char *repeated(const char *head, const char *part, size_t n)
{
	size_t len = strlen(head), each = strlen(part);
	char *ret = calloc(1, len + n * each + 1);
	assert_non_null(ret);
	memcpy(ret, head, len);
	for (size_t i = 0; i < n; i++)
		memcpy(ret + len + i * each, part, each);
	return ret;
}

static void test_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *head, *part, *msg;
	} many[] = {
		{ HEAD, "\nStep: a\n", "Step: too many of them" },
		{ HEAD STEP, "Fact: 1 | x\n", "Fact: too many of them" },
		{ HEAD STEP, "Needs: 1 | x\n", "Needs: too many of them" },
		{ HEAD, "Watch: a = at(1)\n", "Watch: too many of them" },
		{ HEAD, "Try: x\n", "Try: too many of them" },
		{ HEAD STEP "Choices: a", ",a", "Choices: too many of them" },
	};
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
		char *text = repeated(many[i].head, many[i].part, 200);
		expect_refused(text, strlen(text), many[i].msg);
		free(text);
	}
	char *text = repeated(HEAD, "\nStep: a\n", 99);
	struct mw_lab *lab = parsed(text);
	assert_int_equal(lab->n_steps, 99);
	assert_string_equal(lab->steps[98].because, "");
	mw_lab_free(lab);
	free(text);
}

struct folder {
	char dir[64];
};

static void put(const struct folder *folder, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder->dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) < 0, 0);
	assert_int_equal(fclose(file), 0);
}

static int make_folder(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));
	snprintf(folder->dir, sizeof(folder->dir), "/tmp/memwhy-lab-XXXXXX");
	*state = folder;
	return mkdtemp(folder->dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;
	static const char *const names[] = { "steps", "build" };
	char path[128];
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder->dir, names[i]);
		if (unlink(path) != 0)
			rmdir(path);
	}
	int ret = rmdir(folder->dir);
	free(folder);
	return ret;
}

static void expect_unopened(const struct folder *folder, enum mw_errc code,
			    const char *msg)
{
	struct mw_lab *lab = NULL;
	mw_auto_err err = mw_lab_open(folder->dir, &lab);
	assert_non_null(err);
	assert_null(lab);
	assert_int_equal(err->code, code);
	if (!strstr(err->msg, msg))
		fail_msg("\"%s\" is not in \"%s\"", msg, err->msg);
}

static void test_open(void **state)
{
	struct folder *folder = *state;
	struct mw_lab *lab = NULL;
	expect_unopened(folder, MW_ERR_NOTFOUND, "/steps");
	put(folder, "steps", "Lab; x\n");
	expect_unopened(folder, MW_ERR_FORMAT, "/steps:1: not of the form");
	put(folder, "steps", HEAD STEP);
	assert_null(mw_lab_open(folder->dir, &lab));
	assert_string_equal(lab->dir, folder->dir);
	assert_int_equal(lab->n_variants, 0);
	mw_lab_free(lab);
	put(folder, "build", "static   lab.c   -static\n\n\tnew lab.cc");
	assert_null(mw_lab_open(folder->dir, &lab));
	assert_int_equal(lab->n_variants, 2);
	assert_string_equal(lab->variants[0], "static");
	assert_string_equal(lab->variants[1], "new");
	mw_lab_free(lab);
}

/* Where a lab is sought the current folder may be the place. */
static void test_open_here(void **state)
{
	struct folder *folder = *state;
	char *here = getcwd(NULL, 0);
	struct mw_lab *lab = NULL;
	put(folder, "steps", HEAD STEP);
	assert_int_equal(chdir(folder->dir), 0);
	struct mw_err *err = mw_lab_open(".", &lab);
	assert_int_equal(chdir(here), 0);
	free(here);
	assert_null(err);
	assert_string_equal(lab->dir, ".");
	mw_lab_free(lab);
}

static void test_open_refused(void **state)
{
	struct folder *folder = *state;
	char path[128];
	put(folder, "steps", HEAD STEP);
	put(folder, "build", "a lab.c\n../../x lab.c\n");
	expect_unopened(folder, MW_ERR_FORMAT, "/build:2: a further program: not a name");
	put(folder, "build", "");
	char *large = repeated(HEAD STEP, "# a line of no meaning\n", 20000);
	put(folder, "steps", large);
	free(large);
	expect_unopened(folder, MW_ERR_FORMAT, "/steps is too large");
	snprintf(path, sizeof(path), "%s/steps", folder->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_unopened(folder, MW_ERR_NOTFOUND, "/steps");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_unopened(folder, MW_ERR_NOTFOUND, "/steps");
}

int main(void)
{
#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),   cmocka_unit_test(test_whole),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_bounds),
		IN_FOLDER(test_open),           IN_FOLDER(test_open_here),
		IN_FOLDER(test_open_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
