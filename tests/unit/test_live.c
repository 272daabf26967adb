// SPDX-License-Identifier: MIT
/* The live source: files, lists, memory, mapped files, and processes that end. */
#include "target.h"

#include "base/buf.h"
#include "base/vec.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>

static void body_idle(struct shared *shared)
{
	shared->tid = (pid_t)syscall(SYS_gettid);
	shared->ready = 1;
}

static void test_text(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	char line[64];

	assert_true(mw_buf_add(&buf, "kept ", 5));
	expect_ok(mw_source_read_text(src, target.pid, 0, MW_FILE_STATUS, &buf));
	snprintf(line, sizeof(line), "\nPid:\t%d\n", (int)target.pid);
	assert_non_null(strstr(mw_buf_str(&buf), line));
	assert_memory_equal(buf.data, "kept Name:", 10);
	mw_buf_clear(&buf);
	expect_ok(mw_source_read_text(src, target.pid, target.pid, MW_FILE_COMM, &buf));
	assert_string_equal(mw_buf_str(&buf), "test_live\n");
	mw_buf_clear(&buf);
	expect_ok(mw_source_read_text(src, 0, 0, MW_FILE_MEMINFO, &buf));
	assert_memory_equal(buf.data, "MemTotal:", 9);
	mw_buf_clear(&buf);
	expect_ok(mw_source_read_exe(src, target.pid, &buf));
	assert_non_null(strstr(mw_buf_str(&buf), "/test_live"));
}

static void test_text_scopes(void **state)
{
	(void)state;
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	pid_t me = getpid();

	assert_int_equal(code_of(mw_source_read_text(src, me, 0, MW_FILE_MEMINFO, &buf)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_text(src, 0, 0, MW_FILE_MAPS, &buf)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_text(src, me, me, MW_FILE_MAPS, &buf)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_text(src, -1, 0, MW_FILE_MAPS, &buf)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_text(src, me, 0, MW_FILE_COUNT, &buf)),
			 MW_ERR_USAGE);
	assert_int_equal(buf.len, 0);
}

/* A file far longer than one read gives, the same as the kernel shows to anyone. */
static void test_text_long(void **state)
{
	(void)state;
	enum { N = 4000 };
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	char *area = mmap(NULL, (size_t)N * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	size_t lines = 0;

	for (size_t i = 0; i < N; i += 2)
		mprotect(area + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
	expect_ok(mw_source_read_text(src, getpid(), 0, MW_FILE_MAPS, &buf));
	for (size_t i = 0; i < buf.len; i++)
		lines += buf.data[i] == '\n';
	assert_true(lines > N);
	assert_int_equal(buf.data[buf.len - 1], '\n');
	munmap(area, (size_t)N * PAGE);
}

static void test_lists(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	mw_auto_source src = open_live();
	struct mw_ids ids = { 0 };
	bool found = false;

	expect_ok(mw_source_list(src, target.pid, &ids));
	assert_int_equal(ids.n, 1);
	assert_int_equal(ids.items[0], target.shared->tid);
	ids.n = 0;
	expect_ok(mw_source_list(src, 0, &ids));
	for (size_t i = 0; i < ids.n; i++) {
		found |= ids.items[i] == target.pid;
		assert_true(i == 0 || ids.items[i - 1] < ids.items[i]);
	}
	assert_true(found);
	mw_vec_deinit(&ids);
}

static void test_no_process(void **state)
{
	(void)state;
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	struct mw_err *err = mw_source_read_text(src, INT32_MAX, 0, MW_FILE_MAPS, &buf);

	assert_non_null(err);
	assert_string_equal(err->msg, "no process 2147483647");
	assert_int_equal(code_of(err), MW_ERR_NOTFOUND);
	assert_int_equal(code_of(mw_source_stop(src, INT32_MAX, 100)), MW_ERR_NOTFOUND);
}

/* A /proc of our own that hides what belongs to others; 0 or the exit code of a child. */
static int look_hidden(pid_t pid)
{
	struct mw_source *src;
	mw_auto_buf buf = { 0 };

	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, "hidepid=2") != 0)
		return -1;
	if (setgid(65534) != 0 || setuid(65534) != 0 || mw_source_open_live(&src))
		return 100;
	return code_of(mw_source_read_text(src, pid, 0, MW_FILE_STAT, &buf));
}

/* Hidden is not the same as ended, or never there. */
static void test_hidden(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	int status = 0;

	pid_t pid = fork();
	if (pid == 0)
		_exit(look_hidden(target.pid));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 255)
		skip_with(NULL, "CAP_SYS_ADMIN (a mount namespace)");
	assert_int_equal(WEXITSTATUS(status), MW_ERR_DENIED);
}

/* Whatever is asked of a process that ended, the answer is that it ended. */
static void expect_gone(struct mw_source *src, pid_t pid)
{
	mw_auto_buf buf = { 0 };
	struct mw_ids ids = { 0 };
	struct mw_fds fds = { 0 };
	struct mw_page_ranges ranges = { 0 };
	struct mw_object obj = { .start = PAGE, .end = 2 * PAGE, .ino = 1 };
	uint64_t word = 77;
	size_t got = 77;

	for (int file = 0; file <= MW_FILE_LAST_PROC; file++)
		assert_int_equal(code_of(mw_source_read_text(src, pid, 0, file, &buf)),
				 MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_read_exe(src, pid, &buf)), MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_list(src, pid, &ids)), MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_list_fds(src, pid, &fds)), MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_scan(src, pid, 0, PAGE * 16, &ranges)),
			 MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_read_pagemap(src, pid, 0, 1, &word)),
			 MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_read_memory(src, pid, PAGE, &word, 8,
						       MW_READ_STRUCT, &got)),
			 MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_zero_bytes(src, pid, PAGE, &word)),
			 MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_robust_list(src, pid, pid, &word)),
			 MW_ERR_GONE);
	assert_int_equal(
		code_of(mw_source_read_object(src, pid, &obj, 0, &word, 8, &got)),
		MW_ERR_GONE);
	assert_int_equal(code_of(mw_source_stop(src, pid, 100)), MW_ERR_GONE);
	assert_int_equal(buf.len + ids.n + fds.n + ranges.n, 0);
	assert_int_equal(word + got, 154);
}

static void test_gone(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	struct mw_ids ids = { 0 };
	pid_t pid = target.pid;

	expect_ok(mw_source_read_text(src, pid, 0, MW_FILE_STAT, &buf));
	target_kill(&target);
	expect_gone(src, pid);
	/* A new listing forgets it: the pid may name another process from then on. */
	expect_ok(mw_source_list(src, 0, &ids));
	assert_int_equal(code_of(mw_source_read_text(src, pid, 0, MW_FILE_STAT, &buf)),
			 MW_ERR_NOTFOUND);
	mw_vec_deinit(&ids);
}

/* Descriptors that are open already read as if nothing were mapped. */
static void test_gone_while_read(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t word, here = (uint64_t)(uintptr_t)&word & ~(uint64_t)(PAGE - 1);
	size_t got;

	expect_ok(mw_source_read_pagemap(src, target.pid, here, 1, &word));
	expect_ok(mw_source_scan(src, target.pid, here, here + PAGE, &ranges));
	assert_int_equal(ranges.n, 1);
	ranges.n = 0;
	expect_ok(mw_source_read_memory(src, target.pid, here, &word, 8, MW_READ_STRUCT,
					&got));
	pid_t pid = target.pid;
	target_kill(&target);
	expect_gone(src, pid);
	mw_vec_deinit(&ranges);
}

static void body_exit(struct shared *shared)
{
	shared->ready = 1;
	_exit(0);
}

/* A zombie is still there, and has no memory. */
static void test_zombie(void **state)
{
	(void)state;
	auto_target target = target_start(body_exit);
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	siginfo_t info;
	uint64_t word;

	waitid(P_PID, (id_t)target.pid, &info, WEXITED | WNOWAIT);
	expect_ok(mw_source_read_text(src, target.pid, 0, MW_FILE_STAT, &buf));
	assert_non_null(strstr(mw_buf_str(&buf), ") Z "));
	mw_buf_clear(&buf);
	expect_ok(mw_source_read_text(src, target.pid, 0, MW_FILE_MAPS, &buf));
	assert_int_equal(buf.len, 0);
	assert_int_equal(code_of(mw_source_read_text(src, target.pid, 0,
						     MW_FILE_SMAPS_ROLLUP, &buf)),
			 MW_ERR_NOTFOUND);
	assert_int_equal(code_of(mw_source_read_exe(src, target.pid, &buf)),
			 MW_ERR_NOTFOUND);
	assert_int_equal(
		code_of(mw_source_read_text(src, target.pid, 0, MW_FILE_MOUNTINFO, &buf)),
		MW_ERR_NOTFOUND);
	assert_int_equal(code_of(mw_source_read_text(src, target.pid, INT32_MAX,
						     MW_FILE_COMM, &buf)),
			 MW_ERR_NOTFOUND);
	assert_int_not_equal(
		code_of(mw_source_read_pagemap(src, target.pid, PAGE, 1, &word)), 0);
	assert_int_equal(code_of(mw_source_stop(src, target.pid, 100)), MW_ERR_GONE);
}

static void body_memory(struct shared *shared)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 'a', PAGE);
	memset(p + PAGE, 'b', 100);
	munmap(p + 3 * PAGE, PAGE);
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

static void test_memory(void **state)
{
	(void)state;
	auto_target target = target_start(body_memory);
	mw_auto_source src = open_live();
	uint64_t at = target.shared->addr;
	char bytes[4 * PAGE];
	size_t got = 0;

	expect_ok(mw_source_read_memory(src, target.pid, at + PAGE - 2, bytes, 4,
					MW_READ_CONTENTS, &got));
	assert_int_equal(got, 4);
	assert_memory_equal(bytes, "aabb", 4);
	expect_ok(mw_source_read_memory(src, target.pid, at + PAGE, bytes, 4 * PAGE,
					MW_READ_CONTENTS, &got));
	assert_int_equal(got, 2 * PAGE);
	assert_int_equal(code_of(mw_source_read_memory(src, target.pid, at + 3 * PAGE,
						       bytes, 8, MW_READ_STRUCT, &got)),
			 MW_ERR_NOTFOUND);
	assert_int_equal(code_of(mw_source_read_memory(src, target.pid, UINT64_MAX - 4,
						       bytes, 8, MW_READ_STRUCT, &got)),
			 MW_ERR_NOTFOUND);
}

static void test_zero_bytes(void **state)
{
	(void)state;
	auto_target target = target_start(body_memory);
	mw_auto_source src = open_live();
	uint64_t at = target.shared->addr, n = 77, word = 1;

	expect_ok(mw_source_zero_bytes(src, target.pid, at, &n));
	assert_int_equal(n, 0);
	expect_ok(mw_source_zero_bytes(src, target.pid, at + PAGE, &n));
	assert_int_equal(n, PAGE - 100);
	assert_int_equal(
		code_of(mw_source_zero_bytes(src, target.pid, at + 2 * PAGE, &n)),
		MW_ERR_NOTFOUND);
	/* Looking must not have faulted the page in. */
	expect_ok(mw_source_read_pagemap(src, target.pid, at + 2 * PAGE, 1, &word));
	assert_int_equal(word >> 63, 0);
	assert_int_equal(code_of(mw_source_zero_bytes(src, target.pid, at + 1, &n)),
			 MW_ERR_USAGE);
}

static void test_robust_list(void **state)
{
	(void)state;
	auto_target target = target_start(body_idle);
	mw_auto_source src = open_live();
	uint64_t mine = 0, its = 0;
	void *head;
	size_t len;

	assert_int_equal(syscall(SYS_get_robust_list, 0, &head, &len), 0);
	mine = (uint64_t)(uintptr_t)head;
	expect_ok(mw_source_robust_list(src, target.pid, target.pid, &its));
	assert_int_equal(its, mine); /* a forked child keeps its parent's addresses */
	assert_int_equal(code_of(mw_source_robust_list(src, target.pid, 0, &its)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_robust_list(src, target.pid, INT32_MAX, &its)),
			 MW_ERR_NOTFOUND);
}

static void body_exec(struct shared *shared)
{
	shared->ready = 1;
	while (!shared->go)
		sleep_ms(1);
	execl("/proc/self/exe", "test_live", "--wait", NULL);
	_exit(1);
}

/* After an exec the old page map is refused until the mappings are read anew. */
static void test_exec(void **state)
{
	(void)state;
	auto_target target = target_start(body_exec);
	mw_auto_source src = open_live();
	mw_auto_buf buf = { 0 };
	uint64_t word;
	int code = 0;

	expect_ok(mw_source_read_pagemap(src, target.pid, PAGE, 1, &word));
	target.shared->go = 1;
	for (int i = 0; i < 5000 && !code; i++, sleep_ms(1))
		code = code_of(mw_source_read_pagemap(src, target.pid, PAGE, 1, &word));
	assert_int_equal(code, MW_ERR_GONE);
	expect_ok(mw_source_read_text(src, target.pid, 0, MW_FILE_MAPS, &buf));
	expect_ok(mw_source_read_pagemap(src, target.pid, PAGE, 1, &word));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),       cmocka_unit_test(test_text_scopes),
		cmocka_unit_test(test_text_long),  cmocka_unit_test(test_lists),
		cmocka_unit_test(test_no_process), cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_gone),       cmocka_unit_test(test_gone_while_read),
		cmocka_unit_test(test_zombie),     cmocka_unit_test(test_memory),
		cmocka_unit_test(test_zero_bytes), cmocka_unit_test(test_robust_list),
		cmocka_unit_test(test_exec),
	};

	if (argc > 1 && strcmp(argv[1], "--wait") == 0)
		for (;;)
			pause();
	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
