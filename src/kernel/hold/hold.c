// SPDX-License-Identifier: MIT
/* memwhy's side: starting the holder, hearing from it, ending it. */
#include "kernel/hold/hold.h"

#include "base/num.h"
#include "kernel/hold/inject.h"
#include "kernel/hold/site.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A copy is never given up: a holder that is killed halfway would harm the target. */
#define FOR_EVER INT32_MAX

struct mw_hold {
	pid_t pid;
	pid_t child; /* the copy; 0: it is held itself */
	bool active;
	pid_t holder;
	int sock;
	uint64_t since_ns;
	struct mw_regs_area *regs;
};

/* Forks the holder with all signals blocked, so that no handler of ours runs in it. */
static pid_t fork_holder(struct mw_holder *h)
{
	sigset_t all, old;

	h->parent = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t child = fork();
	if (child == 0)
		mw_holder_run(h);
	int errnum = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = errnum;
	return child;
}

/* How many threads there are now: the links of their directory, less . and .. */
static size_t count_threads(int task)
{
	struct stat st;

	return fstat(task, &st) == 0 && st.st_nlink > 2 ? st.st_nlink - 2 : 1;
}

/* 0 or errno; the hold is active on success. */
static int start_holder(struct mw_holder *h, struct mw_hold *hold)
{
	int pair[2], errnum = 0;

	hold->regs = h->regs = mw_regs_area_new(count_threads(h->task));
	if (!h->regs)
		return ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return errno;
	h->peer = pair[0];
	h->sock = pair[1];
	h->tids = mmap(NULL, sizeof(*h->tids), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->tids == MAP_FAILED) {
		errnum = errno;
	} else {
		hold->since_ns = mw_now_ns();
		hold->holder = fork_holder(h);
		if (hold->holder < 0)
			errnum = errno;
		munmap(h->tids, sizeof(*h->tids));
	}
	close(pair[1]);
	if (errnum)
		close(pair[0]);
	hold->sock = pair[0];
	hold->active = !errnum;
	return errnum;
}

/* One report within the time; false when the holder died or does not answer. */
static bool hear(const struct mw_hold *hold, unsigned ms, struct mw_holder_report *report)
{
	struct pollfd fd = { .fd = hold->sock, .events = POLLIN };
	uint64_t since = mw_now_ns();
	int rc, left;

	do {
		left = mw_ms_left(since, ms);
		rc = poll(&fd, 1, left);
	} while (rc < 0 && errno == EINTR && left > 0);
	if (rc <= 0)
		return false;
	ssize_t len = recv(hold->sock, report, sizeof(*report), MSG_DONTWAIT);
	/* The holder need not read our byte; then its end resets the connection, once. */
	if (len < 0 && errno == ECONNRESET)
		len = recv(hold->sock, report, sizeof(*report), MSG_DONTWAIT);
	return len == (ssize_t)sizeof(*report);
}

/* Ends the holder, if it has not ended by itself, and takes its exit status. */
static void end_holder(struct mw_hold *hold, bool kill_it)
{
	hold->active = false;
	close(hold->sock);
	if (kill_it)
		kill(hold->holder, SIGKILL);
	while (waitpid(hold->holder, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Leaves it to itself: it ends when its work is done. */
static void let_holder(struct mw_hold *hold)
{
	hold->active = false;
	close(hold->sock);
}

static struct mw_err *refused(pid_t pid, int task, pid_t tid, int errnum)
{
	uint64_t n = 0;

	if (mw_thread_status(task, tid, "\nTracerPid:", &n) && n)
		return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
				  "process %d is already traced, by process %llu",
				  (int)pid, (unsigned long long)n);
	if (!mw_thread_status(task, tid, "\nVmSize:", &n))
		return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
				  "process %d is a kernel thread: it cannot be stopped",
				  (int)pid);
	return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
			  "cannot stop process %d: %s: needs the same user (and "
			  "kernel.yama.ptrace_scope 0) or CAP_SYS_PTRACE: try as root",
			  (int)pid, strerror(errnum));
}

static struct mw_err *gone(pid_t pid)
{
	return mw_err_new(MW_ERR_GONE, ESRCH, "ptrace", "process %d ended", (int)pid);
}

static struct mw_err *fail(pid_t pid, int task, const struct mw_holder_report *report)
{
	switch (report->errnum) {
	case ESRCH:
		return gone(pid);
	case EPERM:
	case EACCES:
		return refused(pid, task, report->tid, report->errnum);
	case ETIMEDOUT:
		return mw_err_new(
			MW_ERR_IO, ETIMEDOUT, "ptrace",
			"thread %d of process %d did not stop in time: it waits in "
			"the kernel, or --max-stop is too short; nothing is held",
			(int)report->tid, (int)pid);
	default:
		return mw_err_sys(report->errnum, "ptrace");
	}
}

/* Why there is no copy. Nothing is left of the attempt. */
static struct mw_err *not_copied(pid_t pid, const struct mw_holder_report *report)
{
	switch (report->what) {
	case MW_WHAT_SECCOMP:
		return mw_err_new(MW_ERR_DENIED, EPERM, "fork",
				  "process %d is under seccomp, which might kill it for "
				  "a fork: stop it instead (--stop)",
				  (int)pid);
	case MW_WHAT_CALL:
		return mw_err_new(
			MW_ERR_IO, report->errnum, "fork",
			"process %d cannot fork: %s%s: stop it instead (--stop)",
			(int)pid, strerror(report->errnum),
			report->errnum == EAGAIN
				? " (its limit of processes, or its cgroup's)"
				: "");
	case MW_WHAT_LATE:
		return mw_err_new(MW_ERR_IO, ETIMEDOUT, "fork",
				  "forking process %d took longer than it may stand "
				  "still; the copy was dropped: allow more (--max-stop)",
				  (int)pid);
	default:
		return mw_err_new(MW_ERR_IO, report->errnum, "fork",
				  "no thread of process %d was where a fork can be put "
				  "in between (a signal on its way, a single step, "
				  "32-bit code): try again, or stop it instead (--stop)",
				  (int)pid);
	}
}

static struct mw_err *left_zombie(pid_t pid, pid_t child, int errnum)
{
	const char *why = errnum ? strerror(errnum) : "memwhy's helper was killed";

	if (errnum == EPERM)
		why = "somebody else traces the process; when they are done, it goes";
	return mw_err_new(MW_ERR_IO, errnum, "fork",
			  "the copy of process %d has ended, but stays in it as a "
			  "zombie, process %d: %s",
			  (int)pid, (int)child, why);
}

static struct mw_err *check_target(pid_t pid, unsigned max_ms)
{
	if (pid == getpid())
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "memwhy cannot stop itself");
	if (max_ms == 0)
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "a stop needs a time-out");
	return NULL;
}

/* Starts the holder and hears how it began. */
static struct mw_err *take(struct mw_hold *hold, struct mw_holder *h)
{
	struct mw_holder_report report = { .errnum = EIO };

	int errnum = start_holder(h, hold);
	if (errnum)
		return mw_err_sys(errnum, "fork");
	bool heard =
		hear(hold, h->copies ? FOR_EVER : MW_REACH_MS + MW_GRACE_MS, &report);
	if (heard && !report.errnum) {
		hold->child = report.child;
		return NULL;
	}
	if (heard && report.what == MW_WHAT_ZOMBIE) {
		let_holder(hold);
		return left_zombie(hold->pid, report.child, report.errnum);
	}
	end_holder(hold, !heard);
	return report.what == MW_WHAT_STOP ? fail(hold->pid, h->task, &report)
					   : not_copied(hold->pid, &report);
}

/* Fills what the holder needs but cannot open itself. */
static struct mw_err *open_target(struct mw_holder *h, int dir)
{
	h->task = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->task < 0)
		return errno != ENOENT && errno != ESRCH ? mw_err_sys(errno, "task")
							 : gone(h->pid);
	h->ended = -1;
	if (!h->copies)
		return NULL;
	h->ended = (int)syscall(SYS_pidfd_open, h->pid, 0);
	h->site = mw_site_find(dir);
	return NULL;
}

static struct mw_err *start(struct mw_holder *h, int dir, struct mw_hold **ret)
{
	struct mw_err *err = check_target(h->pid, h->max_ms);

	if (err)
		return err;
	struct mw_hold *hold = calloc(1, sizeof(*hold));
	if (!hold)
		return mw_err_nomem();
	hold->pid = h->pid;
	err = open_target(h, dir);
	if (!err) {
		err = take(hold, h);
		if (h->ended >= 0)
			close(h->ended);
		close(h->task);
	}
	if (err)
		mw_hold_free(hold);
	else
		*ret = hold;
	return err;
}

struct mw_err *mw_hold_stop(pid_t pid, int dir, unsigned max_ms, struct mw_hold **ret)
{
	struct mw_holder h = { .pid = pid, .max_ms = max_ms };

	return start(&h, dir, ret);
}

struct mw_err *mw_hold_fork(pid_t pid, int dir, unsigned max_ms, struct mw_hold **ret,
			    pid_t *child)
{
	struct mw_holder h = { .pid = pid, .max_ms = max_ms, .copies = true };

	if (!mw_inject_is_known())
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "fork",
				  "a process can be made to fork on x86-64 only");
	struct mw_err *err = start(&h, dir, ret);
	if (!err)
		*child = (*ret)->child;
	return err;
}

struct mw_err *mw_hold_end(struct mw_hold *hold, uint64_t *held_ns, bool *cut)
{
	struct mw_holder_report report = { 0 };

	/* When the holder has timed out, its report waits and this fails. */
	ssize_t sent = send(hold->sock, "", 1, MSG_NOSIGNAL);
	unsigned ms = hold->child ? FOR_EVER : sent == 1 ? MW_GRACE_MS : 0;
	bool heard = hear(hold, ms, &report);
	bool left = hold->child && (!heard || report.what == MW_WHAT_ZOMBIE);
	/* With that, it still has work to do. */
	if (heard && left)
		let_holder(hold);
	else
		end_holder(hold, !heard);
	*held_ns = heard ? report.held_ns : mw_now_ns() - hold->since_ns;
	*cut = heard ? report.cut : true;
	return left ? left_zombie(hold->pid, hold->child, report.errnum) : NULL;
}

bool mw_hold_active(const struct mw_hold *hold)
{
	return hold && hold->active;
}

bool mw_hold_is_of(const struct mw_hold *hold, pid_t pid)
{
	return hold && (hold->pid == pid || (hold->child && hold->child == pid));
}

pid_t mw_hold_origin(const struct mw_hold *hold, pid_t pid)
{
	return mw_hold_active(hold) && hold->child && hold->child == pid ? hold->pid
									 : pid;
}

struct mw_err *mw_hold_registers(const struct mw_hold *hold,
				 struct mw_registers_list *out)
{
	return mw_regs_list(hold->regs, out);
}

void mw_hold_free(struct mw_hold *hold)
{
	uint64_t held_ns;
	bool cut;

	if (!hold)
		return;
	if (hold->active)
		mw_err_free(mw_hold_end(hold, &held_ns, &cut));
	mw_regs_area_free(hold->regs);
	free(hold);
}
