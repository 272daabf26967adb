// SPDX-License-Identifier: MIT
/* Runs of labs whose programs are shell scripts: what is told, matched and answered. */
#include "kernel/source.h"

#include <memwhy/lab.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What every script begins with: it says lines, and waits to be let go. */
#define SCRIPT                                                                   \
	"#!/bin/sh\n"                                                            \
	"say() { printf \"$@\" >&${MEMWHY_LAB%,*}; echo >&${MEMWHY_LAB%,*}; }\n" \
	"go() { read x <&${MEMWHY_LAB#*,}; }\n"

#define HEAD "Lab: play\nTitle: t\nTopic: t\nLevel: 1\nQuestion: q\n"

struct play {
	char dir[32], steps[64], program[64];
	struct mw_source *src;
	struct mw_lab *lab;
	struct mw_lab_session *session;
};

static void write_file(const char *path, const char *head, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(head, file);
	fputs(text, file);
	assert_int_equal(fchmod(fileno(file), 0755), 0);
	fclose(file);
}

static void open_play(struct play *p, const char *steps, const char *script)
{
	*p = (struct play){ .dir = "/tmp/mw-session-XXXXXX" };
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->steps, sizeof(p->steps), "%s/steps", p->dir);
	snprintf(p->program, sizeof(p->program), "%s/play", p->dir);
	write_file(p->steps, HEAD, steps);
	write_file(p->program, SCRIPT, script);
	assert_null(mw_source_open_live(&p->src));
	struct mw_err *err = mw_lab_open(p->dir, &p->lab);
	if (err)
		fail_msg("%s", err->msg);
}

static void close_play(struct play *p)
{
	mw_lab_end(p->session);
	mw_lab_free(p->lab);
	mw_source_close(p->src);
	unlink(p->steps);
	unlink(p->program);
	assert_int_equal(rmdir(p->dir), 0);
}

static void begin_play(struct play *p, const char *steps, const char *script)
{
	open_play(p, steps, script);
	struct mw_err *err = mw_lab_start(p->lab, p->src, NULL, &p->session);
	if (err)
		fail_msg("%s", err->msg);
}

static const struct mw_lab_turn *go(struct play *p)
{
	const struct mw_lab_turn *next = mw_lab_next(p->session), *turn = NULL;
	struct mw_err *err = mw_lab_go(p->session, &turn);
	if (err)
		fail_msg("%s", err->msg);
	assert_ptr_equal(turn, next);
	return turn;
}

static void test_told(void **state)
{
	(void)state;
	struct play p;
	begin_play(
		&p,
		"\nStep: one\nNote: n is {n}\nAsk: {n} and?\nAnswer: n\nExpect: 5\n"
		"Unit: KiB\nWithin: 1\nFact: t == \"a\\tb\" or 1 | it says {t}\n"
		"Because: {n} {m}\n\nStep: two\nFact: grew(n) == 1 | grew by {grew(n)}\n"
		"Fact: was(m) == 0 | no past\nFact: m == -8 | m\n",
		"say 'say\\tearly'; say 'value\\tn\\t5'; say 'text\\tt\\ta\\tb'\n"
		"say 'step\\tone\\tdoes\\tthis'; go\n"
		"say 'value\\tn\\t6'; say 'value\\tm\\t-7'; say 'say\\tm is {m} {'\n"
		"say 'say\\tm is {m}'; say 'row\\tfour\\t-4\\tB'\n"
		"say 'step\\ttwo\\t'; go\n"
		"say 'end'; go\n");
	const struct mw_lab_turn *turn = mw_lab_next(p.session);
	assert_string_equal(mw_lab_lacks(p.session), "");
	assert_string_equal(turn->does, "does\tthis");
	assert_string_equal(turn->note, "n is 5");
	assert_string_equal(turn->ask, "5 and?");
	assert_true(mw_lab_pid(p.session) > 0);

	go(&p);
	assert_int_equal(turn->answer.number, 6);
	assert_int_equal(turn->expect.number, 5);
	assert_int_equal(turn->expected, MW_LAB_HELD);
	assert_int_equal(turn->n_facts, 1);
	assert_string_equal(turn->facts[0].text, "it says a\tb");
	assert_string_equal(turn->because, "6 -7");
	assert_int_equal(turn->n_says, 3);
	assert_string_equal(turn->says[0], "early");
	assert_string_equal(turn->says[1], "m is {m} {");
	assert_string_equal(turn->says[2], "m is -7");
	assert_int_equal(turn->n_bars, 1);
	assert_string_equal(turn->bars[0].label, "four");
	assert_int_equal(turn->bars[0].number, -4);

	turn = go(&p);
	assert_int_equal(turn->number, 2);
	assert_int_equal(turn->n_says, 0);
	assert_int_equal(turn->facts[0].verdict, MW_LAB_BROKEN);
	assert_string_equal(turn->facts[0].text, "grew by 0");
	assert_string_equal(turn->facts[0].why, "0 and 1");
	assert_int_equal(turn->facts[1].verdict, MW_LAB_BROKEN);
	assert_string_equal(turn->facts[1].why, "-7 and 0");
	assert_string_equal(turn->facts[2].why, "-7 and -8");
	assert_null(mw_lab_next(p.session));
	mw_auto_err err = mw_lab_go(p.session, &turn);
	assert_int_equal(err->code, MW_ERR_GONE);
	close_play(&p);
}

/* The past of a name that was not told by then is not known. */
static void test_past(void **state)
{
	(void)state;
	struct play p;
	begin_play(&p,
		   "\nStep: one\nFact: was(n) == 0 | a\nFact: grew(size()) >= 0 | b\n"
		   "Fact: was(mapped(n)) == 0 | c\nFact: was(nobody.rss()) == 0 | d\n",
		   "say 'step\\tone\\tx'; go; say 'value\\tn\\t0'; say 'end'; go\n");
	const struct mw_lab_turn *turn = go(&p);
	assert_int_equal(turn->facts[0].verdict, MW_LAB_UNSEEN);
	assert_non_null(strstr(turn->facts[0].why, "told"));
	assert_int_equal(turn->facts[1].verdict, MW_LAB_HELD);
	assert_int_equal(turn->facts[2].verdict, MW_LAB_HELD);
	assert_int_equal(turn->facts[3].verdict, MW_LAB_UNSEEN);
	assert_true(turn->facts[3].why[0]);
	close_play(&p);
}

static void test_choices(void **state)
{
	(void)state;
	struct play p;
	begin_play(
		&p,
		"\nStep: one\nAsk: q\nChoices: no, yes\nAnswer: 1 == 1\nExpect: \"no\"\n"
		"\nStep: two\nAsk: q\nChoices: no, yes\nAnswer: 7\nExpect: \"no\"\n",
		"say 'step\\tone\\tx'; go; say 'step\\ttwo\\tx'; go; say end; go\n");
	const struct mw_lab_turn *turn = go(&p);
	assert_string_equal(turn->answer.text, "yes");
	assert_string_equal(turn->expect.text, "no");
	assert_int_equal(turn->expected, MW_LAB_BROKEN);
	turn = go(&p);
	assert_int_equal(turn->answer.kind, MW_VALUE_UNKNOWN);
	assert_int_equal(turn->expected, MW_LAB_UNSEEN);
	close_play(&p);
}

static void test_needs(void **state)
{
	(void)state;
	struct play p;
	begin_play(&p,
		   "\nStep: one\nNeeds: n == 5 | five, not {n}\nNeeds: nothing | more\n"
		   "Ask: q\nAnswer: 1\nFact: 0 | a\nBecause: b\n"
		   "\nStep: two\nNeeds: n == 6 | six\nAsk: q\nAnswer: n\n",
		   "say 'value\\tn\\t6'; say 'step\\tone\\tx'; go\n"
		   "say 'step\\ttwo\\tx'; go; say end; go\n");
	const struct mw_lab_turn *turn = mw_lab_next(p.session);
	assert_string_equal(turn->lacks, "five, not 6; more");
	assert_string_equal(turn->ask, "");
	go(&p);
	assert_int_equal(turn->n_facts, 0);
	assert_int_equal(turn->answer.kind, MW_VALUE_UNKNOWN);
	assert_int_equal(turn->expected, MW_LAB_UNSEEN);
	assert_string_equal(turn->because, "b");
	turn = mw_lab_next(p.session);
	assert_string_equal(turn->lacks, "");
	assert_string_equal(turn->ask, "q");
	go(&p);
	assert_int_equal(turn->answer.number, 6);
	close_play(&p);
}

static void test_whole_lab_lacks(void **state)
{
	(void)state;
	struct play p;
	begin_play(&p,
		   "Needs: 0 | the moon\n\nStep: one\nAsk: q\nAnswer: 1\nFact: 0 | a\n",
		   "say 'step\\tone\\tx'; go; say end; go\n");
	assert_string_equal(mw_lab_lacks(p.session), "the moon");
	const struct mw_lab_turn *turn = go(&p);
	assert_string_equal(turn->ask, "");
	assert_int_equal(turn->n_facts, 0);
	close_play(&p);
}

static void test_undo(void **state)
{
	(void)state;
	struct play p;
	begin_play(&p, "\nStep: one\nFact: 1 | a\n",
		   "dir=$(dirname $0)\n"
		   "say \"undo\\tremove\\t$dir/made\\t\"; go; mkdir $dir/made\n"
		   "say \"undo\\trestore\\t$dir/steps\\tbefore\"; go; : >$dir/steps\n"
		   "say 'step\\tone\\tx'; go; say end; go\n");
	char made[64], text[16] = "";
	snprintf(made, sizeof(made), "%s/made", p.dir);
	assert_int_equal(access(made, F_OK), 0);
	mw_lab_end(p.session);
	p.session = NULL;
	assert_int_not_equal(access(made, F_OK), 0);
	FILE *file = fopen(p.steps, "r");
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, "before");
	close_play(&p);
}

static void test_text_without_choices(void **state)
{
	(void)state;
	const struct mw_lab_turn *turn;
	struct play p;
	begin_play(&p, "\nStep: one\nAsk: q\nAnswer: \"a\"\n",
		   "say 'step\\tone\\tx'; go; say end; go\n");
	mw_auto_err err = mw_lab_go(p.session, &turn);
	assert_int_equal(err->code, MW_ERR_FORMAT);
	assert_non_null(strstr(err->msg, "no Choices"));
	close_play(&p);
}

/* How a run fails at its start, or at its first step. */
static void check_fails(const char *script, enum mw_errc code, const char *words)
{
	const struct mw_lab_turn *turn;
	struct play p;
	open_play(&p, "\nStep: one\nFact: 1 | a\n\nStep: two\nFact: 1 | b\n", script);
	mw_auto_err err = mw_lab_start(p.lab, p.src, NULL, &p.session);
	if (!err)
		err = mw_lab_go(p.session, &turn);
	assert_non_null(err);
	if (err->code != code || !strstr(err->msg, words))
		fail_msg("%s: %s: %s", script, mw_errc_name(err->code), err->msg);
	close_play(&p);
}

#define ONE "say 'step\\tone\\tx'; go; "

static void test_fails(void **state)
{
	(void)state;
	check_fails("exit 3", MW_ERR_GONE, "before step \"one\", with status 3");
	check_fails("kill -9 $$", MW_ERR_GONE, "before step \"one\", by signal 9");
	check_fails(ONE "kill -SEGV $$", MW_ERR_GONE, "in step \"one\", by signal 11");
	check_fails(ONE "exit 0", MW_ERR_GONE, "in step \"one\", with status 0");
	check_fails(ONE ONE "go", MW_ERR_FORMAT,
		    "at step \"one\", where its steps file "
		    "has step \"two\"");
	check_fails(ONE "say end; go", MW_ERR_FORMAT,
		    "at its end, where its steps file "
		    "has step \"two\"");
	check_fails("say end; go", MW_ERR_FORMAT, "step \"one\"");
	check_fails("say hello; go", MW_ERR_FORMAT, "\"hello\"");
	check_fails("say 'value\\tx\\t5 '; go", MW_ERR_FORMAT, "number");
	check_fails("say 'value\\tx'; go", MW_ERR_FORMAT, "missing");
	check_fails("say 'value\\tx\\t99999999999999999999'; go", MW_ERR_FORMAT,
		    "number");
	check_fails("say 'value\\tx y\\t1'; go", MW_ERR_FORMAT, "name");
	check_fails("say 'value\\t1x\\t1'; go", MW_ERR_FORMAT, "name");
	check_fails("say 'process\\tx\\t-1'; go", MW_ERR_FORMAT, "process");
	check_fails("say 'process\\tx\\t0'; go", MW_ERR_FORMAT, "process");
	check_fails("say 'row\\tx\\t1.5\\tB'; go", MW_ERR_FORMAT, "number");
	check_fails("say 'undo\\tx\\t/a\\t'; go", MW_ERR_FORMAT, "remove");
	check_fails("say 'undo\\tremove\\ta\\t'; go", MW_ERR_USAGE, "absolute");
	check_fails("yes 'say\tx' >&${MEMWHY_LAB%,*}", MW_ERR_FORMAT, "too many lines");
	check_fails("i=0; while :; do i=$((i + 1)); say \"value\\tx$i\\t1\"; done",
		    MW_ERR_FORMAT, "too many values");
	check_fails("while :; do say 'process\\tx\\t1'; done", MW_ERR_FORMAT,
		    "too many processes");
}

static void test_variants(void **state)
{
	(void)state;
	struct mw_lab_opts opts = { .variant = "other" };
	struct play p;
	open_play(&p, "\nStep: one\nFact: 1 | a\n", ONE "say end; go\n");
	mw_auto_err err = mw_lab_start(p.lab, p.src, &opts, &p.session);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	mw_err_free(err);
	unlink(p.program);
	err = mw_lab_start(p.lab, p.src, NULL, &p.session);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	close_play(&p);
}

static void test_args(void **state)
{
	(void)state;
	char *args[] = { (char *)"12", (char *)"two words", NULL };
	struct mw_lab_opts opts = { .args = args };
	struct play p;
	open_play(&p, "\nStep: one\nFact: n == 12 and t == \"two words\" | a\n",
		  "say \"value\\tn\\t$1\"; say \"text\\tt\\t$2\"; " ONE "say end; go\n");
	assert_null(mw_lab_start(p.lab, p.src, &opts, &p.session));
	assert_int_equal(go(&p)->facts[0].verdict, MW_LAB_HELD);
	close_play(&p);
}

/* Processes by name; a group is what shares one. */
static void test_processes(void **state)
{
	(void)state;
	struct play p;
	begin_play(&p,
		   "\nStep: one\nFact: copies.count() == 2 | a\n"
		   "Fact: copies.rss() > 0 | b\nFact: was(copies.count()) == 0 | c\n",
		   ONE "sleep 100 & say \"process\\tcopies\\t$!\"\n"
		       "sleep 100 & say \"process\\tcopies\\t$!\"\n"
		       "sleep 0.2; say end; go\n");
	const struct mw_lab_turn *turn = go(&p);
	for (size_t i = 0; i < turn->n_facts; i++)
		if (turn->facts[i].verdict != MW_LAB_HELD)
			fail_msg("%s: %s", turn->facts[i].source, turn->facts[i].why);
	close_play(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_past),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_whole_lab_lacks),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_fails),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_args),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_text_without_choices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
