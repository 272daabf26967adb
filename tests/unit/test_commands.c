// SPDX-License-Identifier: MIT
/*
 * Every command over a source that fails at its N-th call, for every N and every way of
 * failing: a clear error or a stated gap, never a crash, never a wrong total.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "cli/cmd.h"
#include "flaky.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A recorded process, small so that the loop over all of its calls is short. */
#define TREE MW_TREES "/bash"
/* One with its memory, a heap with a few leaks in it. */
#define TREE_WITH_MEMORY MW_TREES "/keeper"
/* In its code. */
#define BASH_TEXT "55b700786000"

enum { MAX_CALLS = 20000 };

/* The one that is looked at. */
static const char *tree_dir = TREE;

struct result {
	struct mw_err *err;
	char *text; /* what the command printed */
	int status;
	size_t calls;
};

static void result_free(struct result *r)
{
	mw_err_free(r->err);
	free(r->text);
}

/* Runs a command as main does, on `src`, its output caught. */
static struct result run_on(const struct mw_cmd *cmd, struct mw_source *src, char **args,
			    int n_args, const char *value, enum mw_opt_id id)
{
	struct result r = { 0 };
	struct mw_cli cli = { .args = args,
			      .n_args = n_args,
			      .src = src,
			      .out_opts = { .format = MW_FORMAT_JSON } };
	size_t len;
	FILE *real = stdout;
	cli.opts.value[MW_OPT_JSON] = "";
	cli.opts.value[MW_OPT_ROOT] =
		tree_dir; /* without an operand: the recorded process */
	if (id)
		cli.opts.value[id] = value;
	stdout = open_memstream(&r.text, &len);
	r.err = cmd->run(&cli);
	fclose(stdout);
	stdout = real;
	r.status = cli.status;
	return r;
}

static struct result run_flaky(const struct mw_cmd *cmd, struct mw_flaky_opts opts,
			       char **args, int n_args, const char *value,
			       enum mw_opt_id id)
{
	mw_auto_source tree = NULL;
	mw_auto_source flaky = NULL;
	assert_null(mw_source_open_tree(tree_dir, &tree));
	assert_null(mw_flaky_open(tree, &opts, &flaky));
	struct result r = run_on(cmd, flaky, args, n_args, value, id);
	r.calls = mw_flaky_calls(flaky);
	return r;
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The buckets and the rest make Rss, whatever could not be read. */
static void check_account(const json_t *why)
{
	const json_t *account = json_object_get(why, "account");
	json_int_t sum = number(why, "rest");
	for (size_t i = 0; i < json_array_size(account); i++)
		sum += number(json_array_get(account, i), "bytes");
	if (json_is_array(account))
		assert_int_equal(sum, number(why, "rss"));
}

/* The regions' Rss makes the total, where both could be read. */
static void check_regions(const json_t *map)
{
	const json_t *regions = json_object_get(map, "regions");
	const json_t *total = json_object_get(json_object_get(map, "totals"), "rss");
	json_int_t sum = 0;
	for (size_t i = 0; i < json_array_size(regions); i++)
		sum += number(json_array_get(regions, i), "rss");
	if (json_is_array(regions) && json_is_integer(total))
		assert_int_equal(sum, json_integer_value(total));
}

/*
 * A figure that differs from the whole answer's must be excused by a limit: the text of
 * an answer with nothing in `limits` is the text of the undisturbed run.
 */
static void check_answer(const struct result *r, const char *whole, size_t n)
{
	json_error_t why;
	json_t *got = json_loads(r->text, 0, &why);
	if (!got)
		fail_msg("call %zu: not JSON: %s: %.200s", n, why.text, r->text);
	check_account(got);
	check_regions(got);
	const json_t *limits = json_object_get(got, "limits");
	if (json_is_array(limits) && !json_array_size(limits) && strcmp(r->text, whole))
		fail_msg("call %zu changed the answer and no limit says so", n);
	json_decref(got);
}

static void check_result(const struct result *r, const char *whole, size_t n)
{
	if (r->err)
		assert_true(strlen(r->err->msg) > 0);
	else
		check_answer(r, whole, n);
}

/* One command, one way of failing, every call. Errors of an ended process say so. */
static void loop(const struct mw_cmd *cmd, enum mw_flaky_mode mode, const char *value,
		 enum mw_opt_id id)
{
	struct mw_flaky_opts never = { 0 };
	struct result whole = run_flaky(cmd, never, NULL, 0, value, id);
	assert_null(whole.err);
	assert_in_range(whole.calls, 5, MAX_CALLS);
	for (size_t n = 1; n <= whole.calls; n++) {
		struct mw_flaky_opts opts = { .fail_at = n, .mode = mode };
		struct result r = run_flaky(cmd, opts, NULL, 0, value, id);
		check_result(&r, whole.text, n);
		result_free(&r);
	}
	result_free(&whole);
}

static void loop_modes(const struct mw_cmd *cmd, const char *value, enum mw_opt_id id)
{
	for (int mode = MW_FLAKY_IO; mode <= MW_FLAKY_REUSE; mode++)
		loop(cmd, (enum mw_flaky_mode)mode, value, id);
}

static void why_survives(void **state)
{
	(void)state;
	loop_modes(&mw_cmd_why, NULL, MW_OPT_END);
}

static void why_by_smaps_survives(void **state)
{
	(void)state;
	loop_modes(&mw_cmd_why, "smaps", MW_OPT_ENGINE);
}

static void map_survives(void **state)
{
	(void)state;
	loop_modes(&mw_cmd_map, NULL, MW_OPT_END);
}

static void map_views_survive(void **state)
{
	(void)state;
	loop_modes(&mw_cmd_map, "", MW_OPT_SUMMARY);
	loop_modes(&mw_cmd_map, "", MW_OPT_PAGES);
	loop_modes(&mw_cmd_map, TREE, MW_OPT_DIFF);
	loop_modes(&mw_cmd_map, BASH_TEXT, MW_OPT_AT);
}

/* On a tree whose heap can be walked: of the others only limits would be told. */
static void heap_survives(void **state)
{
	(void)state;
	tree_dir = TREE_WITH_MEMORY;
	loop_modes(&mw_cmd_heap, "", MW_OPT_PINS);
	loop_modes(&mw_cmd_why, NULL, MW_OPT_END);
	tree_dir = TREE;
}

static void leaks_survives(void **state)
{
	(void)state;
	tree_dir = TREE_WITH_MEMORY;
	loop_modes(&mw_cmd_leaks, NULL, MW_OPT_END);
	tree_dir = TREE;
}

static void doctor_survives(void **state)
{
	(void)state;
	loop_modes(&mw_cmd_doctor, NULL, MW_OPT_END);
}

static void remove_tree(const char *dir)
{
	char command[300];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

/* What was captured over a failing source is a tree that loads, or it is not there. */
static void capture_once(struct mw_flaky_opts opts, const char *dir, char *pid,
			 size_t *calls)
{
	char *args[] = { pid, (char *)dir };
	struct result r = run_flaky(&mw_cmd_capture, opts, args, 2, NULL, MW_OPT_END);
	mw_auto_source tree = NULL;
	if (r.err) {
		assert_int_equal(access(dir, F_OK), -1);
	} else {
		assert_null(mw_source_open_tree(dir, &tree));
		remove_tree(dir);
	}
	*calls = r.calls;
	result_free(&r);
}

/* The recorded process's pid, as an operand. */
static void recorded_pid(char text[16])
{
	struct result r = run_flaky(&mw_cmd_why, (struct mw_flaky_opts){ 0 }, NULL, 0,
				    NULL, MW_OPT_END);
	json_t *why = json_loads(r.text, 0, NULL);
	snprintf(text, 16, "%d", (int)number(json_object_get(why, "process"), "pid"));
	json_decref(why);
	result_free(&r);
}

static void capture_survives(void **state)
{
	char dir[] = "/tmp/memwhy-flaky-XXXXXX", tree[64], pid[16];
	size_t calls, ignored;
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(tree, sizeof(tree), "%s/tree", dir);
	recorded_pid(pid);
	capture_once((struct mw_flaky_opts){ 0 }, tree, pid, &calls);
	assert_in_range(calls, 20, MAX_CALLS);
	for (int mode = MW_FLAKY_IO; mode <= MW_FLAKY_REUSE; mode++)
		for (size_t n = 1; n <= calls; n++) {
			struct mw_flaky_opts opts = { n, (enum mw_flaky_mode)mode };
			capture_once(opts, tree, pid, &ignored);
		}
	remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_survives),
		cmocka_unit_test(why_by_smaps_survives),
		cmocka_unit_test(map_survives),
		cmocka_unit_test(map_views_survive),
		cmocka_unit_test(heap_survives),
		cmocka_unit_test(leaks_survives),
		cmocka_unit_test(doctor_survives),
		cmocka_unit_test(capture_survives),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
