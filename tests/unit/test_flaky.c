// SPDX-License-Identifier: MIT
/*
 * The failing source fails where it is told to and nowhere else, and a tee around it
 * records the failure so that it replays.
 */
#include "base/buf.h"
#include "base/vec.h"
#include "fake.h"
#include "flaky.h"
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void ok(struct mw_err *err)
{
	if (err)
		fail_msg("%s: %s", mw_errc_name(err->code), err->msg);
}

static void transcribe(struct mw_source *src, struct mw_buf *out)
{
	static const struct mw_object object = { 0x400000, 0x401000, 0xfe00000, 77,
						 "/home/u/my prog\n(1)" };
	struct mw_transcript_opts opts = {
		.scan_end = 0x100000,
		.pages_addr = 0x7f0000000000,
		.n_pages = 8,
		.pfn = 5,
		.n_frames = 8,
		.memory_addr = MW_FAKE_MEMORY,
		.memory_len = 600,
		.tids = { MW_FAKE_PID, MW_FAKE_TID, MW_FAKE_DENIED_TID },
		.objects = &object,
		.n_objects = 1,
		.held = true,
	};
	mw_transcript(src, MW_FAKE_PID, &opts, out);
}

static size_t n_lines_with(const char *text, const char *part)
{
	size_t n = 0;
	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

/* The transcript with call N failing; returns how many calls were made. */
static size_t run(size_t n, enum mw_flaky_mode mode, struct mw_buf *out)
{
	struct mw_source *fake, *flaky;
	struct mw_flaky_opts opts = { n, mode };
	ok(mw_fake_open(&fake));
	ok(mw_flaky_open(fake, &opts, &flaky));
	transcribe(flaky, out);
	size_t n_calls = mw_flaky_calls(flaky);
	mw_source_close(flaky);
	mw_source_close(fake);
	return n_calls;
}

static void passes_until_it_fails(void **state)
{
	(void)state;
	mw_auto_buf whole = { 0 };
	size_t n_calls = run(0, MW_FLAKY_IO, &whole);
	assert_true(n_calls > 60);
	assert_int_equal(n_lines_with(mw_buf_str(&whole), "[flaky]"), 0);
	for (size_t n = 1; n <= n_calls + 1; n++) {
		mw_auto_buf io = { 0 };
		mw_auto_buf denied = { 0 };
		assert_int_equal(run(n, MW_FLAKY_IO, &io), n_calls);
		run(n, MW_FLAKY_DENIED, &denied);
		/* Call N, and no other. */
		size_t expected = n <= n_calls;
		assert_int_equal(n_lines_with(mw_buf_str(&io), "i/o 5 [flaky]"),
				 expected);
		assert_int_equal(n_lines_with(mw_buf_str(&denied), "denied 13 [flaky]"),
				 expected);
	}
}

static void vanishes_for_good(void **state)
{
	(void)state;
	mw_auto_buf first = { 0 };
	size_t n_calls = run(1, MW_FLAKY_VANISH, &first);
	size_t n_gone = n_lines_with(mw_buf_str(&first), "gone 3 [flaky]"), last = n_gone;
	/* All but the calls that concern no process. */
	assert_true(n_gone > n_calls / 2 && n_gone < n_calls);
	for (size_t n = 2; n <= n_calls + 1; n++) {
		mw_auto_buf text = { 0 };
		run(n, MW_FLAKY_VANISH, &text);
		n_gone = n_lines_with(mw_buf_str(&text), "gone 3 [flaky]");
		assert_true(n_gone == last || n_gone == last - 1);
		last = n_gone;
	}
	assert_int_equal(last, 0);
}

static void reuse_is_another_process(void **state)
{
	(void)state;
	struct mw_source *fake, *flaky;
	struct mw_flaky_opts opts = { 2, MW_FLAKY_REUSE };
	mw_auto_buf before = { 0 };
	mw_auto_buf after = { 0 };
	mw_auto_buf maps = { 0 };
	struct mw_page_ranges ranges = { 0 };
	uint64_t word;
	ok(mw_fake_open(&fake));
	ok(mw_flaky_open(fake, &opts, &flaky));
	ok(mw_source_read_text(flaky, MW_FAKE_PID, 0, MW_FILE_STAT, &before));
	ok(mw_source_read_text(flaky, MW_FAKE_PID, 0, MW_FILE_STAT, &after));
	assert_non_null(strstr(mw_buf_str(&before), "my (prog)"));
	assert_non_null(strstr(mw_buf_str(&after), "42 (other) S"));
	ok(mw_source_read_text(flaky, MW_FAKE_PID, 0, MW_FILE_MAPS, &maps));
	assert_null(strstr(mw_buf_str(&maps), "my prog"));
	/* It is a process that agrees with itself: two pages. */
	ok(mw_source_scan(flaky, MW_FAKE_PID, 0, 0x800000000000, &ranges));
	assert_int_equal(ranges.n, 2);
	ok(mw_source_read_pagemap(flaky, MW_FAKE_PID, ranges.items[1].start, 1, &word));
	assert_true(word >> 63);
	mw_vec_deinit(&ranges);
	mw_source_close(flaky);
	mw_source_close(fake);
}

/* One pass over a failing source through a tee, and its replay. */
static void check_replay(size_t n, enum mw_flaky_mode mode, struct mw_buf *recorded,
			 struct mw_buf *replayed)
{
	struct mw_source *fake, *flaky, *tee, *tree;
	struct mw_flaky_opts opts = { n, mode };
	char dir[] = "/tmp/memwhy-test-XXXXXX", command[64];
	assert_non_null(mkdtemp(dir));
	ok(mw_fake_open(&fake));
	ok(mw_flaky_open(fake, &opts, &flaky));
	ok(mw_source_open_tee(flaky, &(struct mw_tee_opts){ .memory = true }, &tee));
	transcribe(tee, recorded);
	ok(mw_source_save(tee, dir));
	ok(mw_source_open_tree(dir, &tree));
	transcribe(tree, replayed);
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(flaky);
	mw_source_close(fake);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/*
 * Errors of questions asked once replay to the letter. Where a question was asked
 * again and answered, its answer replays instead: lines then differ, but only those.
 */
static void failures_replay(void **state)
{
	(void)state;
	mw_auto_buf whole = { 0 };
	size_t n_calls = run(0, MW_FLAKY_IO, &whole), n_same = 0;
	for (size_t n = 1; n <= n_calls; n++) {
		mw_auto_buf recorded = { 0 };
		mw_auto_buf replayed = { 0 };
		check_replay(n, MW_FLAKY_DENIED, &recorded, &replayed);
		n_same += !strcmp(mw_buf_str(&recorded), mw_buf_str(&replayed));
	}
	assert_true(n_same >= n_calls - 20);
	/* A process that vanished at once is gone in the recording too. */
	mw_auto_buf recorded = { 0 };
	mw_auto_buf replayed = { 0 };
	check_replay(1, MW_FLAKY_VANISH, &recorded, &replayed);
	assert_string_equal(mw_buf_str(&recorded), mw_buf_str(&replayed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_until_it_fails),
		cmocka_unit_test(vanishes_for_good),
		cmocka_unit_test(reuse_is_another_process),
		cmocka_unit_test(failures_replay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
