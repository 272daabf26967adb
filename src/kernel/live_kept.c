// SPDX-License-Identifier: MIT
/*
 * Words that the kernel keeps for a process: what epoll gives back with an event, and the
 * values of timers. What io_uring, aio, queued signals and message queues keep, the
 * kernel shows to nobody. /proc/PID/fdinfo and timers, proc(5).
 */
#include "base/buf.h"
#include "base/num.h"
#include "kernel/live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Skips to behind `key` on this line; false when it is not there. */
static bool find_key(const char **pos, const char *end, const char *key)
{
	const char *at = memmem(*pos, (size_t)(end - *pos), key, strlen(key));

	if (at)
		*pos = at + strlen(key);
	return at;
}

/* "tfd:  5 events:  19 data:  7f0012345678  pos:0 …" */
static bool take_epoll_line(const char *pos, const char *end, uint64_t *ret)
{
	if (end - pos < 4 || memcmp(pos, "tfd:", 4) || !find_key(&pos, end, " data:"))
		return false;
	mw_skip_blanks(&pos, end);
	return mw_take_hex(&pos, end, ret);
}

/* "signal: 10/7f0012345678" */
static bool take_timer_line(const char *pos, const char *end, uint64_t *ret)
{
	if (end - pos < 7 || memcmp(pos, "signal:", 7) || !find_key(&pos, end, "/"))
		return false;
	return mw_take_hex(&pos, end, ret);
}

typedef bool take_line(const char *pos, const char *end, uint64_t *ret);

/* Adds a file's words. 0 or errno. */
static int add_words(int dir, const char *name, take_line *take, struct mw_words *out)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	mw_auto_buf text = { 0 };
	uint64_t word;

	if (fd < 0)
		return errno;
	int errnum = mw_live_slurp(fd, false, &text);
	close(fd);
	if (errnum || !text.len)
		return errnum;
	const char *end = text.data + text.len;
	for (const char *pos = text.data, *eol; pos < end; pos = eol + 1) {
		eol = mw_line_end(pos, end);
		if (take(pos, eol, &word) && word && !mw_vec_add(out, word))
			return ENOMEM;
	}
	return 0;
}

/* Looks at one open file; what is closed meanwhile has nothing to tell. 0 or errno. */
static int add_fd(int fds, int infos, const char *name, struct mw_words *out)
{
	static const char epoll[] = "anon_inode:[eventpoll]";
	char target[sizeof(epoll)];

	ssize_t len = readlinkat(fds, name, target, sizeof(target));
	if (len != sizeof(epoll) - 1 || memcmp(target, epoll, sizeof(epoll) - 1))
		return 0;
	int errnum = add_words(infos, name, take_epoll_line, out);
	return errnum == ENOENT ? 0 : errnum;
}

/* Looks at all of them; takes over the descriptor of the directory. */
static int add_fds(int fds, int infos, struct mw_words *out)
{
	DIR *dir = fdopendir(fds);
	struct dirent *entry;
	int errnum = 0;

	if (!dir) {
		errnum = errno;
		close(fds);
		return errnum;
	}
	errno = 0;
	while (!errnum && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			errnum = add_fd(dirfd(dir), infos, entry->d_name, out);
		errno = 0;
	}
	if (!errnum)
		errnum = errno;
	closedir(dir);
	return errnum;
}

static int add_all(int dir, struct mw_words *out, const char **name)
{
	*name = "fd";
	int fds = openat(dir, *name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds < 0)
		return errno;
	*name = "fdinfo";
	int infos = openat(dir, *name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (infos < 0) {
		int errnum = errno;
		close(fds);
		return errnum;
	}
	int errnum = add_fds(fds, infos, out);
	close(infos);
	if (errnum)
		return errnum;
	/* A kernel without CONFIG_CHECKPOINT_RESTORE has no such file. */
	*name = "timers";
	errnum = add_words(dir, *name, take_timer_line, out);
	return errnum == ENOENT ? 0 : errnum;
}

static int by_word(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Ascending, each of them once: a thousand connections may wait for one object. */
static void tidy(struct mw_words *words, size_t from)
{
	size_t n = from;

	if (words->n > from)
		qsort(words->items + from, words->n - from, sizeof(*words->items),
		      by_word);
	for (size_t i = from; i < words->n; i++)
		if (n == from || words->items[n - 1] != words->items[i])
			words->items[n++] = words->items[i];
	words->n = n;
}

struct mw_err *mw_live_list_kept(struct mw_source *src, pid_t pid, struct mw_words *out)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	size_t before = out->n;
	const char *name;

	/* A fork copies no timers. */
	pid = mw_hold_origin(live->hold, pid);
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	int errnum = add_all(proc->dir, out, &name);
	/* A process that has ended has empty directories. */
	if (!errnum && out->n == before && !mw_live_there(live, proc))
		errnum = ESRCH;
	if (errnum) {
		out->n = before;
		err = errnum == ENOMEM ? mw_err_nomem()
				       : mw_live_fail(live, proc, name, errnum);
	} else {
		tidy(out, before);
	}
	mw_live_drop(live, proc);
	return err;
}
