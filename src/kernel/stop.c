// SPDX-License-Identifier: MIT
/*
 * The upper half is the holder, a child process: between fork() and _exit() it calls
 * nothing that allocates or takes a lock, for its parent may have had threads. The lower
 * half is memwhy's side. They talk over a socket pair: the holder reports once when the
 * target stands still and once when it runs again; a byte, or memwhy's end closing,
 * releases it.
 */
#include "kernel/stop.h"

#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	TID_MAX = 4 << 20, /* the kernel's own limit of pid_max */
	REACH_MS = 1000,   /* to bring all threads to a stop */
	GRACE_MS = 2000,   /* for the holder to answer, beyond the target's time */
};

enum tid_state { TID_FREE, TID_RUNS, TID_STANDS };

/* The threads; mapped lazily, so what is not used costs nothing. */
struct tids {
	size_t n, n_running;
	pid_t list[TID_MAX];
	unsigned char state[TID_MAX]; /* enum tid_state, by tid */
	unsigned char sig[TID_MAX];   /* by tid: held back, delivered on release */
};

struct holder {
	pid_t parent;
	int task;       /* the target's /proc/PID/task */
	int sock, peer; /* our end, and memwhy's, which we must not keep open */
	int sigs;
	unsigned max_ms;
	uint64_t since_ns;
	struct tids *tids;
};

struct report {
	int errnum; /* 0: it stands, or stood */
	pid_t tid;  /* the thread concerned */
	bool cut;
	uint64_t held_ns;
};

enum event { EVENT_CHILD, EVENT_RELEASE, EVENT_TIMEOUT };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Milliseconds from now to `after_ms` past `since_ns`, rounded up, never negative. */
static int ms_left(uint64_t since_ns, uint64_t after_ms)
{
	uint64_t end = since_ns + after_ms * 1000000, now = now_ns();

	if (now >= end)
		return 0;
	uint64_t ms = (end - now + 999999) / 1000000;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* Waits for a change of a thread, for the release, or until after_ms past the begin. */
static enum event wait_event(struct holder *h, uint64_t after_ms)
{
	struct signalfd_siginfo info;
	struct pollfd fds[] = { { .fd = h->sock, .events = POLLIN },
				{ .fd = h->sigs, .events = POLLIN } };
	int left = ms_left(h->since_ns, after_ms);

	if (left == 0)
		return EVENT_TIMEOUT;
	poll(fds, 2, left);
	if (fds[0].revents)
		return EVENT_RELEASE;
	if (fds[1].revents)
		while (read(h->sigs, &info, sizeof(info)) > 0)
			;
	return EVENT_CHILD;
}

/* Notes every stop and end that is to be reported. */
static void reap(struct holder *h)
{
	struct tids *t = h->tids;
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (tid >= TID_MAX)
			continue;
		if (t->state[tid] == TID_RUNS)
			t->n_running--;
		t->state[tid] = WIFSTOPPED(status) ? TID_STANDS : TID_FREE;
		/* Not our own interruption: a signal that was about to be delivered. */
		bool ours = status >> 16 == PTRACE_EVENT_STOP;
		t->sig[tid] = WIFSTOPPED(status) && !ours ? WSTOPSIG(status) : 0;
	}
}

/* Seizing a zombie fails with EPERM, as a refusal does. */
static bool is_zombie(int task, const char *tid)
{
	char path[64], stat[512];

	snprintf(path, sizeof(path), "%.32s/stat", tid);
	int fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t len = read(fd, stat, sizeof(stat));
	close(fd);
	/* The name may hold anything; the state follows its last parenthesis. */
	const char *end = len > 0 ? memrchr(stat, ')', (size_t)len) : NULL;
	if (!end || end + 2 >= stat + len)
		return true;
	return end[2] == 'Z' || end[2] == 'X';
}

/* 0 also when the thread has ended; *found is set when it was a new one. */
static int seize(struct holder *h, const char *name, struct report *report, bool *found)
{
	struct tids *t = h->tids;
	uint64_t id;

	if (!mw_parse_u64(name, &id) || id == 0 || id >= TID_MAX || t->n >= TID_MAX ||
	    t->state[id] != TID_FREE)
		return 0;
	pid_t tid = (pid_t)id;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
		int errnum = errno;
		if (errnum == ESRCH || (errnum == EPERM && is_zombie(h->task, name)))
			return 0;
		report->tid = tid;
		return errnum;
	}
	t->list[t->n++] = tid;
	t->state[tid] = TID_RUNS;
	t->n_running++;
	*found = true;
	/* Fails only when it is ending, which waitpid() will tell. */
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return 0;
}

/* Seizes what is listed and not yet held. readdir() would allocate. */
static int seize_listed(struct holder *h, struct report *report, bool *found)
{
	char buf[8192] __attribute__((aligned(8)));
	long len;

	lseek(h->task, 0, SEEK_SET);
	while ((len = syscall(SYS_getdents64, h->task, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < len;) {
			const struct dirent64 *entry = (const void *)(buf + at);
			int errnum = seize(h, entry->d_name, report, found);
			if (errnum)
				return errnum;
			at += entry->d_reclen;
		}
	}
	return 0;
}

static int wait_all(struct holder *h, struct report *report)
{
	uint64_t limit = h->max_ms < REACH_MS ? h->max_ms : REACH_MS;

	for (;;) {
		reap(h);
		if (!h->tids->n_running)
			return 0;
		enum event event = wait_event(h, limit);
		if (event == EVENT_CHILD)
			continue;
		for (size_t i = 0; i < h->tids->n; i++)
			if (h->tids->state[h->tids->list[i]] == TID_RUNS)
				report->tid = h->tids->list[i];
		return event == EVENT_RELEASE ? ECANCELED : ETIMEDOUT;
	}
}

/* A running thread may start others: again, until a pass finds none. */
static int stop_all(struct holder *h, struct report *report)
{
	bool found;

	do {
		found = false;
		int errnum = seize_listed(h, report, &found);
		if (!errnum)
			errnum = wait_all(h, report);
		if (errnum)
			return errnum;
	} while (found);
	return h->tids->n ? 0 : ESRCH;
}

/* Threads that are not yet standing are let go by the kernel when the holder exits. */
static void release_all(struct holder *h)
{
	struct tids *t = h->tids;

	for (size_t i = 0; i < t->n; i++) {
		pid_t tid = t->list[i];
		if (t->state[tid] == TID_STANDS)
			ptrace(PTRACE_DETACH, tid, NULL, (long)t->sig[tid]);
	}
}

/*
 * All but two descriptors (Linux 5.9; before, they stay): they may be pipes whose
 * reader waits for an end of file.
 */
static void close_others(int a, int b)
{
	unsigned lo = (unsigned)(a < b ? a : b), hi = (unsigned)(a < b ? b : a);

	if (lo > 0)
		close_range(0, lo - 1, 0);
	if (hi > lo + 1)
		close_range(lo + 1, hi - 1, 0);
	close_range(hi + 1, ~0U, 0);
}

/*
 * Its own session, so that no signal to memwhy's process group (a terminal's ^C and ^Z,
 * kill -STOP) reaches it: stopped itself, it could not keep the time-out. All signals
 * are blocked already.
 */
static void settle(struct holder *h)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t chld;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != h->parent)
		_exit(1);
	setsid();
	close(h->peer);
	close_others(h->sock, h->task);
	sigaction(SIGCHLD, &dfl, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	h->sigs = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->sigs < 0)
		_exit(1);
}

static void tell(const struct holder *h, const struct report *report)
{
	if (send(h->sock, report, sizeof(*report), MSG_NOSIGNAL) < 0)
		return; /* memwhy is gone: nobody is left to be told */
}

static _Noreturn void hold(struct holder *h)
{
	struct report report = { 0 };
	enum event event = EVENT_CHILD;

	settle(h);
	h->since_ns = now_ns();
	report.errnum = stop_all(h, &report);
	if (!report.errnum) {
		tell(h, &report);
		while (event == EVENT_CHILD) {
			event = wait_event(h, h->max_ms);
			reap(h);
		}
		report.cut = event == EVENT_TIMEOUT;
	}
	release_all(h);
	report.held_ns = now_ns() - h->since_ns;
	tell(h, &report);
	_exit(0);
}

/* From here on: memwhy's side. */

struct mw_stop {
	pid_t child;
	int sock;
	uint64_t since_ns;
};

/* Forks the holder with all signals blocked, so that no handler of ours runs in it. */
static pid_t fork_holder(struct holder *h)
{
	sigset_t all, old;

	h->parent = getpid();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t child = fork();
	if (child == 0)
		hold(h);
	int errnum = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = errnum;
	return child;
}

/* 0 or errno; *stop is set on success. */
static int start_holder(int task, unsigned max_ms, struct mw_stop *stop)
{
	struct holder h = { .task = task, .max_ms = max_ms };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return errno;
	h.peer = pair[0];
	h.sock = pair[1];
	h.tids = mmap(NULL, sizeof(*h.tids), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int errnum = h.tids == MAP_FAILED ? errno : 0;
	if (!errnum) {
		stop->since_ns = now_ns();
		stop->child = fork_holder(&h);
		if (stop->child < 0)
			errnum = errno;
		munmap(h.tids, sizeof(*h.tids));
	}
	close(pair[1]);
	if (errnum)
		close(pair[0]);
	else
		stop->sock = pair[0];
	return errnum;
}

/* One report within the time; false when the holder died or does not answer. */
static bool hear(const struct mw_stop *stop, unsigned ms, struct report *report)
{
	struct pollfd fd = { .fd = stop->sock, .events = POLLIN };
	uint64_t since = now_ns();
	int rc, left;

	do {
		left = ms_left(since, ms);
		rc = poll(&fd, 1, left);
	} while (rc < 0 && errno == EINTR && left > 0);
	if (rc <= 0)
		return false;
	ssize_t len = recv(stop->sock, report, sizeof(*report), MSG_DONTWAIT);
	/* The holder need not read our byte; then its end resets the connection, once. */
	if (len < 0 && errno == ECONNRESET)
		len = recv(stop->sock, report, sizeof(*report), MSG_DONTWAIT);
	return len == (ssize_t)sizeof(*report);
}

/* Ends the holder, if it has not ended by itself, and takes its exit status. */
static void end_holder(struct mw_stop *stop, bool kill_it)
{
	close(stop->sock);
	if (kill_it)
		kill(stop->child, SIGKILL);
	while (waitpid(stop->child, NULL, 0) < 0 && errno == EINTR)
		;
}

/* The value of a numeric line of a thread's status; false when there is none. */
static bool status_field(int task, pid_t tid, const char *key, uint64_t *ret)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "%d/status", (int)tid);
	int fd = openat(task, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	const char *at = strstr(text, key), *end = text + strlen(text);
	if (!at)
		return false;
	at += strlen(key);
	mw_skip_blanks(&at, end);
	return mw_take_dec(&at, end, ret);
}

static struct mw_err *refused(pid_t pid, int task, pid_t tid, int errnum)
{
	uint64_t n = 0;

	if (status_field(task, tid, "\nTracerPid:", &n) && n)
		return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
				  "process %d is already traced, by process %llu",
				  (int)pid, (unsigned long long)n);
	if (!status_field(task, tid, "\nVmSize:", &n))
		return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
				  "process %d is a kernel thread: it cannot be stopped",
				  (int)pid);
	return mw_err_new(MW_ERR_DENIED, errnum, "ptrace",
			  "cannot stop process %d: %s: needs the same user (and "
			  "kernel.yama.ptrace_scope 0) or CAP_SYS_PTRACE: try as root",
			  (int)pid, strerror(errnum));
}

static struct mw_err *fail(pid_t pid, int task, const struct report *report)
{
	switch (report->errnum) {
	case ESRCH:
		return mw_err_new(MW_ERR_GONE, ESRCH, "ptrace", "process %d ended",
				  (int)pid);
	case EPERM:
	case EACCES:
		return refused(pid, task, report->tid, report->errnum);
	case ETIMEDOUT:
		return mw_err_new(
			MW_ERR_IO, ETIMEDOUT, "ptrace",
			"thread %d of process %d did not stop in time: it waits in "
			"the kernel; nothing is held",
			(int)report->tid, (int)pid);
	default:
		return mw_err_sys(report->errnum, "ptrace");
	}
}

static struct mw_err *check_target(pid_t pid, unsigned max_ms)
{
	if (pid == getpid())
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "memwhy cannot stop itself");
	if (max_ms == 0)
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "a stop needs a time-out");
	return NULL;
}

struct mw_err *mw_stop_take(pid_t pid, int task, unsigned max_ms, struct mw_stop **ret)
{
	struct report report = { .errnum = EIO };

	struct mw_err *err = check_target(pid, max_ms);
	if (err)
		return err;
	struct mw_stop *stop = calloc(1, sizeof(*stop));
	if (!stop)
		return mw_err_nomem();
	int errnum = start_holder(task, max_ms, stop);
	if (errnum) {
		free(stop);
		return mw_err_sys(errnum, "fork");
	}
	bool heard = hear(stop, REACH_MS + GRACE_MS, &report);
	if (heard && !report.errnum) {
		*ret = stop;
		return NULL;
	}
	end_holder(stop, !heard);
	free(stop);
	return fail(pid, task, &report);
}

void mw_stop_release(struct mw_stop *stop, uint64_t *held_ns, bool *cut)
{
	struct report report;

	if (!stop)
		return;
	/* When the holder has timed out, its report waits and this fails. */
	ssize_t sent = send(stop->sock, "", 1, MSG_NOSIGNAL);
	bool heard = hear(stop, sent == 1 ? GRACE_MS : 0, &report);
	end_holder(stop, !heard);
	*held_ns = heard ? report.held_ns : now_ns() - stop->since_ns;
	*cut = heard ? report.cut : true;
	free(stop);
}
