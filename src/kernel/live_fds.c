// SPDX-License-Identifier: MIT
/* The open files of a process that are memory. */
#include "base/num.h"
#include "kernel/live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Names are the target's choice: 4 KiB each. */
enum { FDS_MAX = 65536 };

/*
 * Looks at a file without opening it, or through an O_PATH descriptor, which opens
 * nothing either: a device's driver is not called, a FIFO not joined. True when it is a
 * regular file kept in memory; the file systems that keep files there have major 0.
 */
static bool look(int dir, const char *name, struct mw_fd *ret)
{
	struct statfs fs;
	struct stat st;
	bool memory = false;

	if (fstatat(dir, name, &st, 0) != 0 || !S_ISREG(st.st_mode) || major(st.st_dev))
		return false;
	int fd = openat(dir, name, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fstatfs(fd, &fs) == 0)
		memory = fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC;
	close(fd);
	if (!memory)
		return false;
	ret->dev = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev);
	ret->ino = st.st_ino;
	ret->bytes = (uint64_t)st.st_blocks * 512;
	return true;
}

/* Adds one entry of the directory, if it is memory. 0 or errno. */
static int add_fd(int dir, const char *name, struct mw_fds *out)
{
	char target[PATH_MAX + 1];
	struct mw_fd fd = { 0 };
	uint64_t n;

	if (!mw_parse_u64(name, &n) || n > INT_MAX)
		return 0;
	fd.fd = (int)n;
	/* Sockets, pipes and anonymous inodes have no path; closed since: no link. */
	ssize_t len = readlinkat(dir, name, target, sizeof(target) - 1);
	if (len <= 0 || target[0] != '/' || !look(dir, name, &fd))
		return 0;
	if (out->n >= FDS_MAX)
		return E2BIG;
	fd.target = strndup(target, (size_t)len);
	if (!fd.target)
		return ENOMEM;
	if (!mw_vec_add(out, fd)) {
		free(fd.target);
		return ENOMEM;
	}
	return 0;
}

static int by_fd(const void *a, const void *b)
{
	const struct mw_fd *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

/* 0 or errno; takes over `fd`. */
static int list(int fd, struct mw_fds *out)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int errnum = 0;

	if (!dir) {
		errnum = errno;
		close(fd);
		return errnum;
	}
	while (!errnum) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			errnum = errno;
			break;
		}
		errnum = add_fd(fd, entry->d_name, out);
	}
	closedir(dir);
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), by_fd);
	return errnum;
}

static bool append(struct mw_fds *out, struct mw_fds *found)
{
	for (size_t i = 0; i < found->n; i++) {
		if (!mw_vec_add(out, found->items[i])) {
			out->n -= i;
			return false;
		}
	}
	found->n = 0;
	return true;
}

static struct mw_err *fail(struct mw_live *live, struct mw_live_proc *proc, int errnum)
{
	if (errnum == ENOMEM)
		return mw_err_nomem();
	if (errnum == E2BIG)
		return mw_err_new(
			MW_ERR_IO, errnum, "fd",
			"process %d holds more than %d open files that are memory",
			(int)proc->pid, FDS_MAX);
	return mw_live_fail(live, proc, "fd", errnum);
}

struct mw_err *mw_live_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	struct mw_fds found = { 0 };

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	int fd = openat(proc->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int errnum = fd < 0 ? errno : list(fd, &found);
	/* A process that ends meanwhile has a directory without entries. */
	if (!errnum && !found.n && !mw_live_there(live, proc))
		errnum = ESRCH;
	if (!errnum && !append(out, &found))
		errnum = ENOMEM;
	if (errnum)
		err = fail(live, proc, errnum);
	mw_fds_deinit(&found);
	mw_live_drop(live, proc);
	return err;
}
