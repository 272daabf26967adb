// SPDX-License-Identifier: MIT
#include "kernel/live.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void proc_free(struct mw_live_proc *proc)
{
	close_fd(&proc->pagemap);
	close_fd(&proc->mem);
	close_fd(&proc->dir);
	free(proc);
}

static void forget(struct mw_live *live, size_t i)
{
	proc_free(live->procs.items[i]);
	live->procs.items[i] = live->procs.items[--live->procs.n];
}

/* Makes room for one more, if any process is not in use. */
static void evict(struct mw_live *live)
{
	size_t oldest = SIZE_MAX;

	if (live->procs.n < MW_LIVE_PROCS)
		return;
	for (size_t i = 0; i < live->procs.n; i++) {
		if (live->procs.items[i]->users)
			continue;
		if (oldest == SIZE_MAX ||
		    live->procs.items[i]->used_seq < live->procs.items[oldest]->used_seq)
			oldest = i;
	}
	if (oldest != SIZE_MAX)
		forget(live, oldest);
}

void mw_live_forget_gone(struct mw_live *live)
{
	pthread_mutex_lock(&live->lock);
	for (size_t i = live->procs.n; i-- > 0;)
		if (live->procs.items[i]->gone && !live->procs.items[i]->users)
			forget(live, i);
	pthread_mutex_unlock(&live->lock);
}

/* Why /proc has no directory for this pid. Signal 0 asks and sends nothing. */
static struct mw_err *no_process(pid_t pid, int errnum)
{
	char name[MW_LIVE_NAME];

	snprintf(name, sizeof(name), "/proc/%d", (int)pid);
	if (errnum != ENOENT && errnum != ESRCH)
		return mw_err_sys(errnum, name);
	if (kill(pid, 0) == 0 || errno == EPERM)
		return mw_err_new(
			MW_ERR_DENIED, errnum, name,
			"process %d is there, but /proc does not show it to this "
			"user (hidepid): try as root",
			(int)pid);
	return mw_err_new(MW_ERR_NOTFOUND, errnum, name, "no process %d", (int)pid);
}

static struct mw_err *proc_open(struct mw_live *live, pid_t pid,
				struct mw_live_proc **ret)
{
	char name[MW_LIVE_NAME];
	struct stat st;

	snprintf(name, sizeof(name), "%d", (int)pid);
	int dir = openat(live->proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return no_process(pid, errno);
	/* With hidepid=2 the directory opens, and is then said not to be there. */
	if (fstat(dir, &st) != 0) {
		int errnum = errno;
		close(dir);
		return no_process(pid, errnum);
	}
	struct mw_live_proc *proc = malloc(sizeof(*proc));
	if (!proc) {
		close(dir);
		return mw_err_nomem();
	}
	*proc = (struct mw_live_proc){ .pid = pid, .dir = dir, .pagemap = -1, .mem = -1 };
	evict(live);
	if (!mw_vec_add(&live->procs, proc)) {
		proc_free(proc);
		return mw_err_nomem();
	}
	*ret = proc;
	return NULL;
}

static struct mw_live_proc *find(struct mw_live *live, pid_t pid)
{
	for (size_t i = 0; i < live->procs.n; i++)
		if (live->procs.items[i]->pid == pid)
			return live->procs.items[i];
	return NULL;
}

bool mw_live_is_open(struct mw_live *live, pid_t pid)
{
	pthread_mutex_lock(&live->lock);
	bool ret = find(live, pid) != NULL;
	pthread_mutex_unlock(&live->lock);
	return ret;
}

struct mw_err *mw_live_take(struct mw_live *live, pid_t pid, struct mw_live_proc **ret)
{
	struct mw_err *err = NULL;

	pthread_mutex_lock(&live->lock);
	struct mw_live_proc *proc = find(live, pid);
	if (!proc)
		err = proc_open(live, pid, &proc);
	if (!err) {
		proc->users++;
		proc->used_seq = ++live->seq;
		*ret = proc;
	}
	pthread_mutex_unlock(&live->lock);
	return err;
}

void mw_live_drop(struct mw_live *live, struct mw_live_proc *proc)
{
	pthread_mutex_lock(&live->lock);
	proc->users--;
	pthread_mutex_unlock(&live->lock);
}

void mw_live_renew(struct mw_live *live, struct mw_live_proc *proc)
{
	pthread_mutex_lock(&live->lock);
	if (proc->users == 1) {
		close_fd(&proc->pagemap);
		close_fd(&proc->mem);
	}
	pthread_mutex_unlock(&live->lock);
}

static struct mw_err *open_once(struct mw_live *live, struct mw_live_proc *proc,
				const char *name, int *fd, int *ret)
{
	struct mw_err *err = NULL;

	pthread_mutex_lock(&live->lock);
	if (*fd < 0)
		*fd = openat(proc->dir, name, O_RDONLY | O_CLOEXEC);
	int errnum = *fd < 0 ? errno : 0;
	if (!errnum)
		*ret = *fd;
	pthread_mutex_unlock(&live->lock);
	if (errnum)
		err = mw_live_fail(live, proc, name, errnum);
	return err;
}

struct mw_err *mw_live_pagemap(struct mw_live *live, struct mw_live_proc *proc, int *ret)
{
	return open_once(live, proc, "pagemap", &proc->pagemap, ret);
}

struct mw_err *mw_live_mem(struct mw_live *live, struct mw_live_proc *proc, int *ret)
{
	return open_once(live, proc, "mem", &proc->mem, ret);
}

/* "stat" is there for as long as the process is, for every user. */
bool mw_live_there(struct mw_live *live, struct mw_live_proc *proc)
{
	/* A refusal (hidepid=1) is an answer too. */
	if (faccessat(proc->dir, "stat", F_OK, 0) == 0 ||
	    (errno != ENOENT && errno != ESRCH))
		return true;
	pthread_mutex_lock(&live->lock);
	proc->gone = true;
	pthread_mutex_unlock(&live->lock);
	return false;
}

static struct mw_err *gone(const struct mw_live_proc *proc, const char *what, int errnum)
{
	return mw_err_new(MW_ERR_GONE, errnum, what, "process %d ended", (int)proc->pid);
}

/* What opens a file to a user who was refused; measured, see docs of `doctor`. */
static const char *remedy(const char *name)
{
	if (geteuid() == 0)
		return "refused even to root: by a security module, a user namespace, or "
		       "for capabilities that root lacks here";
	if (strcmp(name, "pagemap") == 0 || strcmp(name, "mem") == 0)
		return "needs the same user, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: "
		       "try as root";
	return "needs the same user or CAP_SYS_PTRACE: try as root";
}

struct mw_err *mw_live_fail(struct mw_live *live, struct mw_live_proc *proc,
			    const char *name, int errnum)
{
	char what[MW_LIVE_NAME * 2];

	snprintf(what, sizeof(what), "/proc/%d/%s", (int)proc->pid, name);
	switch (errnum) {
	case ENOENT:
	case ESRCH:
		if (!mw_live_there(live, proc))
			return gone(proc, what, errnum);
		if (errnum == ESRCH)
			return mw_err_new(MW_ERR_NOTFOUND, errnum, what,
					  "%s: process %d has no memory of its own (a "
					  "kernel thread, or a zombie)",
					  what, (int)proc->pid);
		if (strcmp(name, "exe") == 0)
			return mw_err_new(
				MW_ERR_NOTFOUND, errnum, what,
				"process %d has no executable (a kernel thread, "
				"or a zombie)",
				(int)proc->pid);
		return mw_err_sys(errnum, what);
	case EACCES:
	case EPERM:
		return mw_err_new(MW_ERR_DENIED, errnum, what, "%s: %s: %s", what,
				  strerror(errnum), remedy(name));
	default:
		return mw_err_sys(errnum, what);
	}
}

struct mw_err *mw_live_mm_gone(struct mw_live *live, struct mw_live_proc *proc,
			       const char *name)
{
	char what[MW_LIVE_NAME * 2];

	snprintf(what, sizeof(what), "/proc/%d/%s", (int)proc->pid, name);
	if (!mw_live_there(live, proc))
		return gone(proc, what, ESRCH);
	return mw_err_new(MW_ERR_GONE, ESRCH, what,
			  "process %d gave up its memory while it was read (it ended, or "
			  "started another program)",
			  (int)proc->pid);
}
