// SPDX-License-Identifier: MIT
/*
 * A copy of the target: a child of its own that never runs. It is made with
 * clone(CLONE_FILES) and no exit signal: the target gets no SIGCHLD and no plain wait()
 * sees the child; sharing the table of open files, it keeps none of them open that the
 * target closes. It has to be reaped by the target, by one more call.
 */
#include "kernel/hold/inject.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ERESTARTNOINTR = 513, /* the kernel's own: not now, and nothing was done */
	MAX_CALLS = 8,
	MAX_REAPS = 500, /* tries, a millisecond or more apart */
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int call_clone(struct mw_holder *h, pid_t tid, uint64_t site, struct mw_call *call)
{
	int errnum = 0;

	for (int i = 0; i < MAX_CALLS; i++) {
		*call = (struct mw_call){ .nr = SYS_clone, .args = { CLONE_FILES } };
		errnum = mw_inject_run(h, tid, site, call);
		if (errnum || call->ret != -ERESTARTNOINTR)
			break;
	}
	return errnum;
}

int mw_copy_make(struct mw_holder *h, struct mw_holder_report *report)
{
	struct mw_call call;
	uint64_t site;

	pid_t tid = mw_inject_choose(h, &site, &report->what);
	report->tid = tid;
	if (!tid)
		return EBUSY;
	int errnum = call_clone(h, tid, site, &call);
	h->copy = (struct mw_copy){ call.child, (pid_t)call.ret };
	report->child = call.child;
	report->what = MW_WHAT_STOP;
	if (call.was_late) {
		report->what = MW_WHAT_LATE;
		return ETIMEDOUT;
	}
	if (!errnum && call.ret >= 0)
		return call.child ? 0 : ESRCH;
	if (errnum != ESRCH)
		report->what = errnum ? MW_WHAT_UNSAFE : MW_WHAT_CALL;
	return errnum ? errnum : (int)-call.ret;
}

/* True while the copy is a zombie that nobody has reaped. */
static bool is_left(int child_fd)
{
	return syscall(SYS_pidfd_send_signal, child_fd, 0, NULL, 0) == 0;
}

/* One try, with one thread. True when there is nothing left to be reaped. */
static bool try_reap(struct mw_holder *h, size_t nth, int child_fd,
		     struct mw_holder_report *report, int *errnum)
{
	struct mw_call call = {
		.nr = SYS_wait4,
		.args = { (uint64_t)h->copy.inside, 0, __WALL | WNOHANG, 0 },
	};
	uint64_t site;

	mw_threads_forget(h);
	h->since_ns = mw_now_ns();
	*errnum = mw_threads_stop_one(h, nth, report);
	pid_t tid = *errnum ? 0 : mw_inject_choose(h, &site, &report->what);
	if (tid && is_left(child_fd))
		*errnum = mw_inject_run(h, tid, site, &call);
	mw_threads_release(h);
	report->held_ns += mw_now_ns() - h->since_ns;
	return !is_left(child_fd);
}

/* When the target has ended, whoever inherits the copy reaps it. */
static void reap(struct mw_holder *h, int child_fd, struct mw_holder_report *report)
{
	int errnum, last = EBUSY;
	size_t nth = 0;

	for (int i = 0; i < MAX_REAPS; i++) {
		if (!is_left(child_fd) || try_reap(h, nth, child_fd, report, &errnum))
			return;
		if (errnum == ENOENT && !nth)
			return; /* no thread is left */
		nth = errnum == ENOENT ? 0 : nth + 1;
		if (errnum && errnum != ENOENT)
			last = errnum;
		if (!nth)
			pause_ms(1);
	}
	report->errnum = last;
	report->what = MW_WHAT_ZOMBIE;
}

void mw_copy_end(struct mw_holder *h, struct mw_holder_report *report)
{
	pid_t child = h->copy.child;
	int status;

	if (!child)
		return;
	h->released = true;
	/* As long as we have not waited for it, its id is no other's. */
	int fd = (int)syscall(SYS_pidfd_open, child, 0);
	if (h->tids->state[child] != MW_TID_FREE) {
		kill(child, SIGKILL);
		while (mw_thread_wait(h, child, 0, -1, &status) == 0)
			;
	}
	report->child = child;
	if (fd >= 0)
		reap(h, fd, report);
}
