// SPDX-License-Identifier: MIT
/*
 * Mapped files, deleted or not. The way through map_files leads to the very file that
 * is mapped, but needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN; a path leads to what
 * now has that name, in the target's mount namespace or in ours, and is believed only
 * when its inode is the mapped one.
 */
#include "base/read.h"
#include "kernel/live.h"
#include "kernel/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* The inode tells which file it is; one that nobody named is no object. */
static int open_checked(int dir, const char *path, const struct mw_object *obj)
{
	return obj->ino ? mw_regular_open(dir, path, obj->ino) : -1;
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
	size_t done;
	int errnum = mw_read_at(*fd, off, bytes, len, &done);
	if (errnum && !done)
		return mw_err_sys(errnum, what);
	*got = done;
	return NULL;
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
