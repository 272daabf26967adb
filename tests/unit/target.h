/* SPDX-License-Identifier: MIT */
/*
 * Targets of the live source's tests: forked children in a known state, with a page
 * shared with the test. They die with the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include <memwhy/hold.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

struct shared {
	_Atomic int ready;
	_Atomic int go;
	_Atomic uint64_t count;
	_Atomic int signals;
	uint64_t addr; /* what the target made, for the test to look at */
	int fd;
	pid_t tid;
};

struct target {
	pid_t pid;
	struct shared *shared;
};

static inline void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

static inline uint64_t clock_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Forks a target that runs `body`, which sets ready, and then waits for ever. */
static inline struct target target_start(void (*body)(struct shared *shared))
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	pid_t parent = getpid(), pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		if (getppid() != parent)
			_exit(1);
		body(shared);
		for (;;)
			pause();
	}
	for (int i = 0; i < 5000 && !shared->ready; i++)
		sleep_ms(1);
	assert_true(shared->ready);
	return (struct target){ pid, shared };
}

static inline void target_kill(struct target *target)
{
	if (target->pid > 0) {
		kill(target->pid, SIGKILL);
		waitpid(target->pid, NULL, 0);
	}
	target->pid = 0;
}

static inline void target_end(struct target *target)
{
	target_kill(target);
	munmap(target->shared, sizeof(*target->shared));
}
#define auto_target __attribute__((cleanup(target_end))) struct target

/* Within a few seconds: the box may be busy. */
static inline bool moves(const struct target *target)
{
	uint64_t before = target->shared->count;
	for (int i = 0; i < 300; i++, sleep_ms(10))
		if (target->shared->count != before)
			return true;
	return false;
}

/* Ends an error, telling its code; 0 for success. */
static inline int code_of(struct mw_err *err)
{
	int code = err ? (int)err->code : 0;
	mw_err_free(err);
	return code;
}

/* As code_of(), printing an error that was not expected. */
static inline void expect_ok(struct mw_err *err)
{
	if (err)
		print_message("# %s\n", err->msg);
	assert_int_equal(code_of(err), 0);
}

static inline struct mw_source *open_live(void)
{
	struct mw_source *src = NULL;
	expect_ok(mw_source_open_live(&src));
	return src;
}

/* As in its stat. */
static inline char state_of(struct mw_source *src, pid_t pid)
{
	mw_auto_buf buf = { 0 };
	expect_ok(mw_source_read_text(src, pid, 0, MW_FILE_STAT, &buf));
	const char *end = strrchr(mw_buf_str(&buf), ')');
	assert_non_null(end);
	return end[2];
}

/* Skips the test; skip() jumps, so nothing that is scoped would be closed. */
static inline void skip_with(struct mw_source *src, const char *needs)
{
	print_message("# skipped: needs %s\n", needs);
	mw_source_close(src);
	skip();
}
