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
	REAP_MS = 1000,        /* while memwhy waits */
	REAP_LATE_MS = 600000, /* and after that */
	MAX_PAUSE_MS = 64,
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int call_clone(struct mw_holder *h, pid_t tid, const struct mw_site *site,
		      struct mw_call *call)
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
	struct mw_site site;

	pid_t tid = mw_inject_choose(h, &site, &report->what);
	report->tid = tid;
	if (!tid)
		return EBUSY;
	int errnum = call_clone(h, tid, &site, &call);
	h->copy = (struct mw_copy){ call.child, (pid_t)call.ret, -1 };
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
static bool try_reap(struct mw_holder *h, size_t nth, struct mw_holder_report *report,
		     int *errnum)
{
	struct mw_call call = {
		.nr = SYS_wait4,
		.args = { (uint64_t)h->copy.inside, 0, __WALL | WNOHANG, 0 },
	};
	struct mw_site site;

	mw_threads_forget(h);
	h->since_ns = mw_now_ns();
	*errnum = mw_threads_stop_one(h, nth, report);
	pid_t tid = *errnum ? 0 : mw_inject_choose(h, &site, &report->what);
	if (tid && is_left(h->copy.fd))
		*errnum = mw_inject_run(h, tid, &site, &call);
	mw_threads_release(h);
	report->held_ns += mw_now_ns() - h->since_ns;
	return !is_left(h->copy.fd);
}

/*
 * Tries for so long, ever less often: somebody else may trace the process, or all its
 * threads wait in the kernel. When it has ended, whoever inherits the copy reaps it.
 */
static void reap(struct mw_holder *h, uint64_t for_ms, struct mw_holder_report *report)
{
	uint64_t begin = mw_now_ns();
	int errnum, last = EBUSY;
	long pause = 1;
	size_t nth = 0;

	while (is_left(h->copy.fd) && !try_reap(h, nth, report, &errnum)) {
		if (errnum == ENOENT && !nth)
			break; /* no thread is left */
		if (errnum && errnum != ENOENT)
			last = errnum;
		nth = errnum == ENOENT ? 0 : nth + 1;
		if (nth)
			continue;
		if (!mw_ms_left(begin, for_ms)) {
			report->errnum = last;
			report->what = MW_WHAT_ZOMBIE;
			return;
		}
		pause_ms(pause);
		pause = pause < MAX_PAUSE_MS ? 2 * pause : pause;
	}
	report->errnum = 0;
	report->what = MW_WHAT_STOP;
}

void mw_copy_end(struct mw_holder *h, struct mw_holder_report *report)
{
	pid_t child = h->copy.child;
	int status;

	if (!child)
		return;
	h->released = true;
	/* As long as we have not waited for it, its id is no other's. */
	h->copy.fd = (int)syscall(SYS_pidfd_open, child, 0);
	if (h->tids->state[child] != MW_TID_FREE) {
		kill(child, SIGKILL);
		while (mw_thread_wait(h, child, 0, -1, &status) == 0)
			;
	}
	report->child = child;
	if (h->copy.fd >= 0)
		reap(h, REAP_MS, report);
}

void mw_copy_reap_late(struct mw_holder *h)
{
	struct mw_holder_report report = { 0 };

	if (h->copy.child && h->copy.fd >= 0)
		reap(h, REAP_LATE_MS, &report);
}
