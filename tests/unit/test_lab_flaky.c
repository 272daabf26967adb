// SPDX-License-Identifier: MIT
/*
 * A lab over a source that fails at its N-th call: an error, or facts that could not be
 * seen. Never a crash, and never a fact that is called broken because it was not seen.
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

/* Each run starts a program: so many of all the calls, evenly spread. */
enum { RUNS = 100 };

struct result {
	struct mw_err *err;
	char *text;
	int status;
	size_t calls;
};

static struct result run(const char *lab, struct mw_flaky_opts opts)
{
	mw_auto_source live = NULL;
	mw_auto_source flaky = NULL;
	char *args[] = { (char *)lab, NULL };
	struct result r = { 0 };
	size_t len;
	assert_null(mw_source_open_live(&live));
	assert_null(mw_flaky_open(live, &opts, &flaky));
	struct mw_cli cli = { .args = args,
			      .n_args = 1,
			      .src = flaky,
			      .out_opts = { .format = MW_FORMAT_JSON } };
	cli.to = open_memstream(&r.text, &len);
	r.err = mw_cmd_lab.run(&cli);
	fclose(cli.to);
	r.status = cli.status;
	r.calls = mw_flaky_calls(flaky);
	return r;
}

static void result_free(struct result *r)
{
	mw_err_free(r->err);
	free(r->text);
}

static json_int_t fact(const json_t *answer, const char *verdict)
{
	const json_t *facts = json_object_get(answer, "facts");
	return json_integer_value(json_object_get(facts, verdict));
}

/* Where it stands that something is broken. */
static const char *broken(const char *text)
{
	const char *fact = strstr(text, "\"verdict\":\"broken\"");
	return fact ? fact : strstr(text, "\"expected\": \"broken\"");
}

/* The sums of a run; what a failed one printed is complete JSON as well. */
static void check(const struct result *r, size_t n, enum mw_flaky_mode mode,
		  json_int_t facts)
{
	json_error_t why;
	json_t *answer = json_loads(r->text, 0, &why);
	if (r->err)
		assert_true(strlen(r->err->msg) > 0);
	if (!answer && !(r->err && !*r->text))
		fail_msg("call %zu: not JSON: %s: %.200s", n, why.text, r->text);
	if (!r->err && fact(answer, "broken"))
		fail_msg("call %zu, mode %d, broke: %.300s", n, (int)mode,
			 broken(r->text));
	if (!r->err && fact(answer, "held") + fact(answer, "unseen") != facts)
		fail_msg("call %zu: facts were lost", n);
	json_decref(answer);
}

static void loop(const char *lab, enum mw_flaky_mode mode)
{
	struct result whole = run(lab, (struct mw_flaky_opts){ 0 });
	json_t *answer = json_loads(whole.text, 0, NULL);
	assert_null(whole.err);
	assert_int_equal(fact(answer, "broken"), 0);
	json_int_t facts = fact(answer, "held") + fact(answer, "unseen");
	assert_in_range(whole.calls, RUNS, 100000);
	for (size_t i = 0; i < RUNS; i++) {
		size_t n = 1 + i * whole.calls / RUNS;
		struct result r =
			run(lab, (struct mw_flaky_opts){ .fail_at = n, .mode = mode });
		check(&r, n, mode, facts);
		result_free(&r);
	}
	json_decref(answer);
	result_free(&whole);
}

/* Not MW_FLAKY_REUSE: the keeper holds the pid for as long as we ask for it. */
static void loop_modes(const char *lab)
{
	for (int mode = MW_FLAKY_IO; mode <= MW_FLAKY_VANISH; mode++)
		loop(lab, (enum mw_flaky_mode)mode);
}

static void demand_survives(void **state)
{
	(void)state;
	loop_modes("demand");
}

/* With another process, and frames. */
static void cow_survives(void **state)
{
	(void)state;
	loop_modes("cow");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demand_survives),
		cmocka_unit_test(cow_survives),
	};
	setenv("MEMWHY_LABS", MW_LABS, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
