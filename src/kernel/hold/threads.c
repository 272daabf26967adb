// SPDX-License-Identifier: MIT
/* The threads of a target, from the holder's side: stopping all, letting all go. */
#include "base/num.h"
#include "kernel/hold/holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* For seize_listed(). */
#define ALL SIZE_MAX

void mw_threads_note(struct mw_holder *h)
{
	struct mw_tids *t = h->tids;
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
		if (tid >= MW_TID_MAX)
			continue;
		if (t->state[tid] == MW_TID_RUNS)
			t->n_running--;
		t->state[tid] = WIFSTOPPED(status) ? MW_TID_STANDS : MW_TID_FREE;
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
static int seize(struct mw_holder *h, const char *name, struct mw_holder_report *report,
		 bool *found)
{
	struct mw_tids *t = h->tids;
	uint64_t id;

	if (!mw_parse_u64(name, &id) || id == 0 || id >= MW_TID_MAX ||
	    t->n >= MW_TID_MAX || t->state[id] != MW_TID_FREE)
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
	t->state[tid] = MW_TID_RUNS;
	t->n_running++;
	*found = true;
	/* Fails only when it is ending, which waitpid() will tell. */
	ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return 0;
}

int mw_thread_wait(struct mw_holder *h, pid_t tid, uint64_t since_ns, int ms, int *status)
{
	struct signalfd_siginfo info;
	struct pollfd fd = { .fd = h->sigs, .events = POLLIN };

	for (;;) {
		pid_t pid = waitpid(tid, status, __WALL | WNOHANG);
		if (pid < 0 || (pid == tid && !WIFSTOPPED(*status))) {
			h->tids->state[tid] = MW_TID_FREE;
			return ESRCH;
		}
		if (pid == tid)
			return 0;
		int left = ms < 0 ? -1 : mw_ms_left(since_ns, (uint64_t)ms);
		if (left == 0)
			return ETIMEDOUT;
		poll(&fd, 1, left);
		while (read(h->sigs, &info, sizeof(info)) > 0)
			;
	}
}

bool mw_thread_status(int task, pid_t tid, const char *key, uint64_t *ret)
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

/*
 * Seizes what is listed and not yet held: all, or the n-th only. readdir() would
 * allocate.
 */
static int seize_listed(struct mw_holder *h, size_t nth, struct mw_holder_report *report,
			bool *found)
{
	size_t n = 0;
	char buf[8192] __attribute__((aligned(8)));
	long len;

	lseek(h->task, 0, SEEK_SET);
	while ((len = syscall(SYS_getdents64, h->task, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < len;) {
			const struct dirent64 *entry = (const void *)(buf + at);
			at += entry->d_reclen;
			if (nth != ALL && (entry->d_name[0] == '.' || n++ != nth))
				continue;
			int errnum = seize(h, entry->d_name, report, found);
			if (errnum)
				return errnum;
		}
	}
	return 0;
}

static int wait_all(struct mw_holder *h, struct mw_holder_report *report)
{
	uint64_t limit = h->max_ms < MW_REACH_MS ? h->max_ms : MW_REACH_MS;

	for (;;) {
		mw_threads_note(h);
		if (!h->tids->n_running)
			return 0;
		enum mw_holder_event event = mw_holder_wait(h, limit);
		if (event == MW_EVENT_CHILD)
			continue;
		for (size_t i = 0; i < h->tids->n; i++)
			if (h->tids->state[h->tids->list[i]] == MW_TID_RUNS)
				report->tid = h->tids->list[i];
		return event == MW_EVENT_RELEASE ? ECANCELED : ETIMEDOUT;
	}
}

/* A running thread may start others: again, until a pass finds none. */
int mw_threads_stop(struct mw_holder *h, struct mw_holder_report *report)
{
	bool found;

	do {
		found = false;
		int errnum = seize_listed(h, ALL, report, &found);
		if (!errnum)
			errnum = wait_all(h, report);
		if (errnum)
			return errnum;
	} while (found);
	for (size_t i = 0; i < h->tids->n; i++)
		if (h->tids->state[h->tids->list[i]] == MW_TID_STANDS)
			mw_regs_take(h->regs, h->tids->list[i]);
	return h->tids->n ? 0 : ESRCH;
}

int mw_threads_stop_one(struct mw_holder *h, size_t n, struct mw_holder_report *report)
{
	bool found = false;
	int errnum = seize_listed(h, n, report, &found);

	if (!errnum && !found)
		return ENOENT;
	return errnum ? errnum : wait_all(h, report);
}

void mw_threads_forget(struct mw_holder *h)
{
	for (size_t i = 0; i < h->tids->n; i++)
		h->tids->state[h->tids->list[i]] = MW_TID_FREE;
	h->tids->n = h->tids->n_running = 0;
}

void mw_threads_release(struct mw_holder *h)
{
	struct mw_tids *t = h->tids;

	for (size_t i = 0; i < t->n; i++) {
		pid_t tid = t->list[i];
		if (t->state[tid] == MW_TID_STANDS)
			ptrace(PTRACE_DETACH, tid, NULL, (long)t->sig[tid]);
	}
	if (h->resend)
		kill(h->pid, h->resend);
	h->resend = 0;
}
