// SPDX-License-Identifier: MIT
#include "kernel/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { SELF_NAME = 64 };

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
