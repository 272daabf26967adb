// SPDX-License-Identifier: MIT
/* Headings, and paragraphs beside a word: for people alone. */
#include "out/out.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void document(struct mw_out *out)
{
	static const struct mw_col cols[] = { { "n", "n", MW_TYPE_COUNT, 0, 0 } };
	const struct mw_table table = { "rows", "", cols, 1, 1, true, false };
	mw_out_begin(out, "memwhy.test/1");
	mw_out_heading(out, "first");
	mw_out_point(out, MW_GOOD, "held", "it is so, and it goes on for a while");
	mw_out_point(out, MW_BAD, "BROKEN", "it is not");
	mw_out_table(out, &table);
	mw_out_row(out, (struct mw_cell[]){ mw_cell_u(7) }, MW_PLAIN);
	mw_out_table_end(out);
	mw_out_point(out, MW_FAINT, "because", "so");
	mw_out_heading(out, "second \033[2J");
}

static void check(struct mw_out_opts opts, const char *want)
{
	char *text = NULL;
	size_t len;
	struct mw_out *out;
	FILE *file = open_memstream(&text, &len);
	assert_null(mw_out_create(&opts, file, &out));
	document(out);
	assert_null(mw_out_finish(out));
	fclose(file);
	assert_string_equal(text, want);
	free(text);
}

static void plain(void **state)
{
	(void)state;
	check((struct mw_out_opts){ .utf8 = true },
	      "first\n"
	      "  held     it is so, and it goes on for a while\n"
	      "  BROKEN   it is not\n"
	      "\n"
	      "  n\n"
	      "  7\n"
	      "\n"
	      "  because  so\n"
	      "\n"
	      "second \\x1b[2J\n");
}

/* Below its own beginning; where that is too narrow, below the word. */
static void wrapped(void **state)
{
	(void)state;
	check((struct mw_out_opts){ .width = 40 },
	      "first\n"
	      "  held     it is so, and it goes on for\n"
	      "           a while\n"
	      "  BROKEN   it is not\n"
	      "\n"
	      "  n\n"
	      "  7\n"
	      "\n"
	      "  because  so\n"
	      "\n"
	      "second \\x1b[2J\n");
	check((struct mw_out_opts){ .width = 24 }, "first\n"
						   "  held\n"
						   "  it is so, and it goes\n"
						   "  on for a while\n"
						   "  BROKEN\n"
						   "  it is not\n"
						   "\n"
						   "  n\n"
						   "  7\n"
						   "\n"
						   "  because\n"
						   "  so\n"
						   "\n"
						   "second \\x1b[2J\n");
}

static void coloured(void **state)
{
	(void)state;
	check((struct mw_out_opts){ .colour = true },
	      "\033[1mfirst\033[0m\n"
	      "  \033[32mheld\033[0m     it is so, and it goes on for a while\n"
	      "  \033[1;31mBROKEN\033[0m   it is not\n"
	      "\n"
	      "\033[2m  n\033[0m\n"
	      "  7\n"
	      "\n"
	      "  \033[2mbecause\033[0m  so\n"
	      "\n"
	      "\033[1msecond \\x1b[2J\033[0m\n");
}

static void not_for_machines(void **state)
{
	(void)state;
	check((struct mw_out_opts){ .format = MW_FORMAT_CSV }, "n\r\n7\r\n");
	check((struct mw_out_opts){ .format = MW_FORMAT_NDJSON }, "{\"n\":7}\n");
}

/* What was shown has left before the document ends; a full disk is told at the end. */
static void shown_at_once(void **state)
{
	int ends[2];
	char got[64] = "";
	struct mw_out *out;
	struct mw_out_opts opts = { .utf8 = true };
	(void)state;
	assert_int_equal(pipe(ends), 0);
	FILE *file = fdopen(ends[1], "w");
	assert_null(mw_out_create(&opts, file, &out));
	mw_out_heading(out, "now");
	mw_out_show(out);
	assert_int_equal(read(ends[0], got, sizeof(got) - 1), 4);
	assert_string_equal(got, "now\n");
	close(ends[0]);
	mw_out_heading(out, "to nobody");
	mw_out_show(out);
	assert_true(mw_out_failed(out));
	struct mw_err *err = mw_out_finish(out);
	assert_non_null(err);
	assert_int_equal(err->errnum, EPIPE);
	mw_err_free(err);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),         cmocka_unit_test(wrapped),
		cmocka_unit_test(coloured),      cmocka_unit_test(not_for_machines),
		cmocka_unit_test(shown_at_once),
	};
	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
