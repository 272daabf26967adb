// SPDX-License-Identifier: MIT
/* What is read of a held process, and words that the kernel keeps for it. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { BLOCK_PAGES = 64 };

/* A block with another value in each page, a hole behind it. */
static void body_block(struct shared *shared)
{
	char *block = mmap(NULL, (BLOCK_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED || munmap(block + BLOCK_PAGES * PAGE, PAGE) != 0)
		_exit(1);
	for (int i = 0; i < BLOCK_PAGES; i++)
		memset(block + i * PAGE, i + 1, PAGE);
	shared->addr = (uintptr_t)block;
	shared->ready = 1;
}

static void check_block(const char *bytes, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], (from + i) / PAGE + 1);
}

/* Whole, from within a page, over the end of it, and where nothing is. */
static void test_private(void **state)
{
	(void)state;
	auto_target target = target_start(body_block);
	mw_auto_source src = open_live();
	static char bytes[(BLOCK_PAGES + 8) * PAGE];
	uint64_t at = target.shared->addr, end = at + BLOCK_PAGES * PAGE;
	size_t got = 0;

	expect_ok(mw_source_read_private(src, target.pid, at, bytes, BLOCK_PAGES * PAGE,
					 MW_READ_CONTENTS, &got));
	assert_int_equal(got, BLOCK_PAGES * PAGE);
	check_block(bytes, 0, got);
	expect_ok(mw_source_read_private(src, target.pid, at + 100, bytes, 40000,
					 MW_READ_CONTENTS, &got));
	assert_int_equal(got, 40000);
	check_block(bytes, 100, got);
	/* Short where it ends: after a long part, and after a short one. */
	expect_ok(mw_source_read_private(src, target.pid, at, bytes, sizeof(bytes),
					 MW_READ_CONTENTS, &got));
	assert_int_equal(got, BLOCK_PAGES * PAGE);
	check_block(bytes, 0, got);
	expect_ok(mw_source_read_private(src, target.pid, end - 10, bytes, sizeof(bytes),
					 MW_READ_CONTENTS, &got));
	assert_int_equal(got, 10);
	for (size_t len = 8; len <= sizeof(bytes); len *= 4)
		assert_int_equal(
			code_of(mw_source_read_private(src, target.pid, end, bytes, len,
						       MW_READ_CONTENTS, &got)),
			MW_ERR_NOTFOUND);
	target_kill(&target);
	assert_int_equal(
		code_of(mw_source_read_private(src, target.pid, at, bytes, sizeof(bytes),
					       MW_READ_CONTENTS, &got)),
		MW_ERR_USAGE);
}

static void test_private_gone(void **state)
{
	(void)state;
	auto_target target = target_start(body_block);
	mw_auto_source src = open_live();
	static char bytes[BLOCK_PAGES * PAGE];
	pid_t pid = target.pid;
	size_t got = 0;

	expect_ok(mw_source_read_private(src, pid, target.shared->addr, bytes,
					 sizeof(bytes), MW_READ_CONTENTS, &got));
	target_kill(&target);
	assert_int_equal(
		code_of(mw_source_read_private(src, pid, target.shared->addr, bytes,
					       sizeof(bytes), MW_READ_CONTENTS, &got)),
		MW_ERR_GONE);
}

#define EPOLL_WORD 0x123456789abcull
#define EPOLL_MANY 0x7700000000ull
#define TIMER_WORD 0xfeedf00d1234ull

enum { MANY = 300 };

static void watch(int epoll, uint64_t word)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = word };
	int fd = eventfd(0, 0);

	if (fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		_exit(1);
}

static void body_kept(struct shared *shared)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	int first = epoll_create1(0), second = epoll_create1(0);
	timer_t timer;

	watch(first, EPOLL_WORD);
	watch(first, EPOLL_WORD);
	watch(first, 0);
	for (uint64_t i = 0; i < MANY; i++)
		watch(second, EPOLL_MANY + 8 * i);
	event.sigev_value.sival_ptr = (void *)TIMER_WORD;
	if (first < 0 || second < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
		_exit(1);
	shared->ready = 1;
}

static bool has(const struct mw_words *words, uint64_t word)
{
	for (size_t i = 0; i < words->n; i++)
		if (words->items[i] == word)
			return true;
	return false;
}

static void test_kept(void **state)
{
	(void)state;
	auto_target target = target_start(body_kept);
	mw_auto_source src = open_live();
	struct mw_words words = { 0 };

	expect_ok(mw_source_list_kept(src, target.pid, &words));
	assert_true(has(&words, EPOLL_WORD));
	for (uint64_t i = 0; i < MANY; i++)
		assert_true(has(&words, EPOLL_MANY + 8 * i));
	/* Each word once, none of them zero. */
	for (size_t i = 1; i < words.n; i++)
		assert_true(words.items[i] > words.items[i - 1]);
	assert_false(has(&words, 0));
	if (access("/proc/self/timers", F_OK) == 0) {
		assert_true(has(&words, TIMER_WORD));
		assert_int_equal(words.n, MANY + 2);
	}
	target_kill(&target);
	assert_int_equal(code_of(mw_source_list_kept(src, target.pid, &words)),
			 MW_ERR_USAGE);
	free(words.items);
}

/* Nothing kept is an answer; a process that ended has none. */
static void test_kept_none(void **state)
{
	(void)state;
	auto_target target = target_start(body_block);
	mw_auto_source src = open_live();
	struct mw_words words = { 0 };
	pid_t pid = target.pid;

	expect_ok(mw_source_list_kept(src, pid, &words));
	assert_int_equal(words.n, 0);
	target_kill(&target);
	assert_int_equal(code_of(mw_source_list_kept(src, pid, &words)), MW_ERR_GONE);
	free(words.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_private_gone),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_kept_none),
	};

	return cmocka_run_group_tests_name("hold", tests, NULL, NULL);
}
