// SPDX-License-Identifier: MIT
/*
 * Mapped files, deleted or not. The way through map_files leads to the very file that
 * is mapped, but needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; a path leads to what
 * now has that name, in the target's mount namespace or in ours, and is believed only
 * when its inode is the mapped one.
 */
#include "kernel/live.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/*
 * Where a read may reach a device or change something, regular file or not. Such file
 * systems have no device of their own: major 0.
 */
static bool is_kernel_fs(int fd, dev_t dev)
{
	struct statfs fs;

	if (major(dev) != 0)
		return false;
	if (fstatfs(fd, &fs) != 0)
		return true;
	return fs.f_type == SYSFS_MAGIC || fs.f_type == PROC_SUPER_MAGIC ||
	       fs.f_type == DEBUGFS_MAGIC || fs.f_type == TRACEFS_MAGIC;
}

/*
 * The inode number decides. The device is not compared: btrfs and overlayfs report
 * another one through stat than maps prints.
 */
static bool is_object(int fd, const struct mw_object *obj)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == obj->ino &&
	       !is_kernel_fs(fd, st.st_dev);
}

/*
 * Opens a regular file that is the object. It is looked at through O_PATH first, which
 * opens nothing, and that very inode is opened then: a path that turns into a device or
 * a FIFO in between cannot be touched by mistake.
 */
static int open_checked(int dir, const char *path, const struct mw_object *obj)
{
	char self[MW_LIVE_NAME];
	int fd = -1;

	int look = openat(dir, path, O_PATH | O_CLOEXEC);
	if (look < 0)
		return -1;
	if (is_object(look, obj)) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", look);
		fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	close(look);
	return fd;
}

/* Tries the ways in order of trust. -1 when none leads there. */
static int open_object(const struct mw_live_proc *proc, const struct mw_object *obj)
{
	char name[PATH_MAX + MW_LIVE_NAME];
	const char *path = obj->path ? obj->path : "";

	snprintf(name, sizeof(name), "map_files/%llx-%llx",
		 (unsigned long long)obj->start, (unsigned long long)obj->end);
	int fd = open_checked(proc->dir, name, obj);
	if (fd < 0 && path[0] == '/') {
		int len = snprintf(name, sizeof(name), "root%s", path);
		if (len > 0 && (size_t)len < sizeof(name))
			fd = open_checked(proc->dir, name, obj);
		if (fd < 0)
			fd = open_checked(AT_FDCWD, path, obj);
	}
	return fd >= 0 ? fd : open_checked(proc->dir, "exe", obj);
}

static int *find_object(struct mw_live *live, const struct mw_object *obj)
{
	for (size_t i = 0; i < live->n_objects; i++) {
		struct mw_live_object *o = &live->objects[i];
		if (o->dev == obj->dev && o->ino == obj->ino) {
			o->used_seq = ++live->seq;
			return &o->fd;
		}
	}
	return NULL;
}

/* Keeps an open file, in place of the one that was used longest ago. */
static int *keep_object(struct mw_live *live, const struct mw_object *obj, int fd)
{
	struct mw_live_object *slot = &live->objects[0];

	if (live->n_objects < MW_LIVE_OBJECTS) {
		slot = &live->objects[live->n_objects++];
	} else {
		for (size_t i = 1; i < live->n_objects; i++)
			if (live->objects[i].used_seq < slot->used_seq)
				slot = &live->objects[i];
		close(slot->fd);
	}
	*slot = (struct mw_live_object){ obj->dev, obj->ino, fd, ++live->seq };
	return &slot->fd;
}

static int read_at(int fd, uint64_t off, char *bytes, size_t len, size_t *got)
{
	size_t done = 0;

	while (done < len && off <= INT64_MAX - done) {
		ssize_t n = pread(fd, bytes + done, len - done, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && !done)
			return errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return 0;
}

/* Under the lock, which keeps the descriptor from being replaced while it is read. */
static struct mw_err *read_locked(struct mw_live *live, const struct mw_live_proc *proc,
				  const struct mw_object *obj, uint64_t off, void *bytes,
				  size_t len, size_t *got)
{
	const char *what = obj->path ? obj->path : "";
	int *fd = find_object(live, obj);

	if (!fd) {
		int opened = open_object(proc, obj);
		if (opened < 0)
			return mw_err_new(
				MW_ERR_NOTFOUND, 0, what,
				"%s: the file mapped at 0x%llx cannot be opened "
				"(deleted, replaced, or not permitted)",
				what, (unsigned long long)obj->start);
		fd = keep_object(live, obj, opened);
	}
	int errnum = read_at(*fd, off, bytes, len, got);
	return errnum ? mw_err_sys(errnum, what) : NULL;
}

struct mw_err *mw_live_read_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	pthread_mutex_lock(&live->lock);
	err = read_locked(live, proc, obj, off, bytes, len, got);
	pthread_mutex_unlock(&live->lock);
	if (err && err->code == MW_ERR_NOTFOUND && !mw_live_there(live, proc)) {
		mw_err_free(err);
		err = mw_live_fail(live, proc, "map_files", ESRCH);
	}
	mw_live_drop(live, proc);
	return err;
}
