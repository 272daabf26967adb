// SPDX-License-Identifier: MIT
#include "kernel/live.h"

#include "base/buf.h"
#include "kernel/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int mw_live_slurp_at(int dir, const char *name, bool one_record, struct mw_buf *out)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	int errnum = mw_live_slurp(fd, one_record, out);
	close(fd);
	return errnum;
}

static struct mw_err *read_machine(struct mw_live *live,
				   const struct mw_file_place *place, struct mw_buf *out)
{
	char name[MW_LIVE_NAME * 2];
	bool proc = place->scope == MW_SCOPE_PROC;

	snprintf(name, sizeof(name), "/%s/%s", proc ? "proc" : "sys", place->path);
	int errnum = mw_live_slurp_at(proc ? live->proc : AT_FDCWD,
				      proc ? place->path : name, place->one_record, out);
	return errnum ? mw_err_sys(errnum, name) : NULL;
}

/* What a failure means that the kernel reports in an odd way. */
static int text_errnum(pid_t tid, enum mw_file file, int errnum)
{
	if (tid && errnum == ESRCH) /* the thread ended, not the process */
		return ENOENT;
	if (file == MW_FILE_MOUNTINFO && errnum == EINVAL) /* a zombie has no namespace */
		return ESRCH;
	return errnum;
}

/*
 * To rank all processes only this is read of most: without their directories, which
 * would double the calls. Not of one that is held open: its number may be another's.
 */
static bool read_statm(struct mw_live *live, pid_t pid, struct mw_buf *out)
{
	char name[MW_LIVE_NAME];

	snprintf(name, sizeof(name), "%d/statm", (int)pid);
	return !mw_live_is_open(live, pid) &&
	       !mw_live_slurp_at(live->proc, name, true, out);
}

static struct mw_err *live_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				     enum mw_file file, struct mw_buf *out)
{
	struct mw_live *live = mw_live_of(src);
	const struct mw_file_place *place = mw_file_place(file);
	struct mw_live_proc *proc;
	char name[MW_LIVE_NAME];

	if (file == MW_FILE_CGROUPS)
		return mw_live_list_cgroups(out);
	if (pid == 0)
		return read_machine(live, place, out);
	if (file == MW_FILE_STATM && read_statm(live, pid, out))
		return NULL;
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	if (place->scope == MW_SCOPE_CGROUP) {
		err = mw_live_read_cgroup(live, proc, place, out);
		mw_live_drop(live, proc);
		return err;
	}
	/* Whoever lists the mappings begins a new look. */
	if (file == MW_FILE_MAPS || file == MW_FILE_SMAPS)
		mw_live_renew(live, proc);
	if (tid)
		snprintf(name, sizeof(name), "task/%d/%s", (int)tid, place->path);
	else
		snprintf(name, sizeof(name), "%s", place->path);
	int errnum = mw_live_slurp_at(proc->dir, name, place->one_record, out);
	errnum = text_errnum(tid, file, errnum);
	if (errnum)
		err = mw_live_fail(live, proc, name, errnum);
	mw_live_drop(live, proc);
	return err;
}

static struct mw_err *live_stream_text(struct mw_source *src, pid_t pid,
				       enum mw_file file, mw_text_sink *take, void *ctx)
{
	struct mw_live *live = mw_live_of(src);
	const char *name = mw_file_place(file)->path;
	struct mw_live_proc *proc;

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	if (file == MW_FILE_MAPS || file == MW_FILE_SMAPS)
		mw_live_renew(live, proc);
	int errnum = 0, fd = openat(proc->dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		errnum = errno;
	} else {
		/* maps is short beside the page walk that its reader may begin. */
		err = mw_live_stream(fd, file == MW_FILE_SMAPS, take, ctx, &errnum);
		close(fd);
	}
	if (errnum)
		err = mw_live_fail(live, proc, name, errnum);
	mw_live_drop(live, proc);
	return err;
}

static struct mw_err *live_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	char path[PATH_MAX + 1];

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	ssize_t len = readlinkat(proc->dir, "exe", path, sizeof(path));
	if (len < 0)
		err = mw_live_fail(live, proc, "exe", errno);
	else if (!mw_buf_add(out, path, (size_t)len))
		err = mw_err_nomem();
	mw_live_drop(live, proc);
	return err;
}

static int by_id(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* A directory entry that is an id, else 0. */
static pid_t entry_id(const char *name)
{
	long id = 0;

	for (; *name >= '0' && *name <= '9' && id <= INT_MAX / 10 - 1; name++)
		id = id * 10 + (*name - '0');
	return *name ? 0 : (pid_t)id;
}

/* Appends the numeric entries of a directory. 0 or errno; `out` is as before then. */
static int list_ids(int fd, struct mw_ids *out)
{
	DIR *dir = fdopendir(fd);
	size_t before = out->n;
	struct dirent *entry;

	if (!dir) {
		int errnum = errno;
		close(fd);
		return errnum;
	}
	errno = 0;
	while ((entry = readdir(dir))) {
		pid_t id = entry_id(entry->d_name);
		if (id > 0 && !mw_vec_add(out, id)) {
			errno = ENOMEM;
			break;
		}
		errno = 0;
	}
	int errnum = errno;
	closedir(dir);
	if (errnum)
		out->n = before;
	else if (out->n > before)
		qsort(out->items + before, out->n - before, sizeof(*out->items), by_id);
	return errnum;
}

static struct mw_err *list_processes(struct mw_live *live, struct mw_ids *out)
{
	mw_live_forget_gone(live);
	int fd = openat(live->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int errnum = fd < 0 ? errno : list_ids(fd, out);
	return errnum ? mw_err_sys(errnum, "/proc") : NULL;
}

static struct mw_err *live_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;

	if (pid == 0)
		return list_processes(live, out);
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	int fd = openat(proc->dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t before = out->n;
	int errnum = fd < 0 ? errno : list_ids(fd, out);
	/* A process that ends meanwhile has a directory without threads. */
	if (!errnum && out->n == before)
		errnum = ESRCH;
	if (errnum)
		err = mw_live_fail(live, proc, "task", errnum);
	mw_live_drop(live, proc);
	return err;
}

static void live_close(struct mw_source *src)
{
	struct mw_live *live = mw_live_of(src);

	mw_hold_free(live->hold);
	for (size_t i = 0; i < live->procs.n; i++)
		live->procs.items[i]->gone = true;
	mw_live_forget_gone(live);
	mw_vec_deinit(&live->procs);
	for (size_t i = 0; i < live->n_objects; i++)
		close(live->objects[i].fd);
	for (size_t i = 0; i < MW_KPAGE_KINDS; i++)
		if (live->kpage[i] >= 0)
			close(live->kpage[i]);
	if (live->proc >= 0)
		close(live->proc);
	pthread_mutex_destroy(&live->lock);
	free(live->release);
	free(live);
}

static const struct mw_source_ops live_ops = {
	.name = "live",
	.close = live_close,
	.read_text = live_read_text,
	.stream_text = live_stream_text,
	.read_exe = live_read_exe,
	.list = live_list,
	.list_fds = mw_live_list_fds,
	.scan = mw_live_scan,
	.read_pagemap = mw_live_read_pagemap,
	.read_kpage = mw_live_read_kpage,
	.read_memory = mw_live_read_memory,
	.read_private = mw_live_read_private,
	.zero_bytes = mw_live_zero_bytes,
	.robust_list = mw_live_robust_list,
	.read_object = mw_live_read_object,
	.probe = mw_live_probe,
	.stop = mw_live_stop,
	.fork = mw_live_fork,
	.resume = mw_live_resume,
	.list_registers = mw_live_list_registers,
	.list_kept = mw_live_list_kept,
};

/* One clock less the other: the same at any moment, until somebody sets the time. */
static uint64_t booted_ns(void)
{
	struct timespec wall, since;
	if (clock_gettime(CLOCK_REALTIME, &wall) || clock_gettime(CLOCK_BOOTTIME, &since))
		return 0;
	int64_t s = (int64_t)wall.tv_sec - since.tv_sec;
	int64_t ns = s * 1000000000 + wall.tv_nsec - since.tv_nsec;
	return ns > 0 ? (uint64_t)ns : 0;
}

struct mw_err *mw_source_open_live(struct mw_source **ret)
{
	struct mw_live *live = calloc(1, sizeof(*live));
	struct utsname name;

	if (!live)
		return mw_err_nomem();
	live->base.ops = &live_ops;
	memset(live->kpage, -1, sizeof(live->kpage));
	pthread_mutex_init(&live->lock, NULL);
	live->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (live->proc < 0) {
		struct mw_err *err = mw_err_sys(errno, "/proc");
		live_close(&live->base);
		return err;
	}
	live->release = strdup(uname(&name) == 0 ? name.release : "");
	if (!live->release) {
		live_close(&live->base);
		return mw_err_nomem();
	}
	live->base.facts = (struct mw_facts){
		.page_size = (uint64_t)sysconf(_SC_PAGESIZE),
		.clock_ticks = (uint64_t)sysconf(_SC_CLK_TCK),
		.booted_ns = booted_ns(),
		.live = true,
		.parallel = true,
		.release = live->release,
	};
	*ret = &live->base;
	return NULL;
}
