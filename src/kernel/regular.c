// SPDX-License-Identifier: MIT
#include "kernel/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SELF_NAME = 64, PIECE = 1 << 14 };

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
static bool is_wanted(int fd, uint64_t ino)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (!ino || st.st_ino == ino) &&
	       !is_kernel_fs(fd, st.st_dev);
}

/*
 * It is looked at through O_PATH first, which opens nothing, and that very inode is
 * opened then: a path that turns into a device or a FIFO in between cannot be touched by
 * mistake.
 */
int mw_regular_open(int dir, const char *path, uint64_t ino)
{
	char self[SELF_NAME];

	int look = openat(dir, path, O_PATH | O_CLOEXEC);
	if (look < 0)
		return -1;
	int fd = -1, errnum = ENOENT;
	if (is_wanted(look, ino)) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", look);
		fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		errnum = errno;
	}
	close(look);
	errno = errnum;
	return fd;
}

int mw_regular_read(int fd, uint64_t off, void *bytes, size_t len, size_t *got)
{
	size_t done = 0;
	int errnum = 0;

	while (done < len && off <= INT64_MAX - done) {
		ssize_t n =
			pread(fd, (char *)bytes + done, len - done, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			errnum = errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return errnum;
}

struct mw_err *mw_regular_read_all(int fd, const char *path, uint64_t max,
				   struct mw_buf *ret)
{
	ssize_t got;

	do {
		if (!mw_buf_reserve(ret, PIECE))
			return mw_err_nomem();
		got = read(fd, ret->data + ret->len, PIECE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mw_err_sys(errno, path);
		ret->len += (size_t)got;
		if (ret->len > max)
			return mw_err_new(MW_ERR_FORMAT, 0, path, "%s is too large",
					  path);
	} while (got != 0);
	/* There is room: it was made for bytes that did not come. */
	ret->data[ret->len] = '\0';
	return NULL;
}
