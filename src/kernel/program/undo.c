// SPDX-License-Identifier: MIT
/* The end: nobody is left, and everything is as it was. */
#include "base/clock.h"
#include "kernel/program/keeper.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_DEPTH = 32,     /* of a folder that is cleared; what lies deeper stays */
	GIVE_UP_MS = 10000, /* on processes that we may not kill, or do not die */
	BUSY_TRIES = 200,   /* a cgroup is busy for a moment after its last process */
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

/* Kills those whose ids are in a text, which may end in the middle of one. */
static void kill_listed(const char *text, size_t len)
{
	pid_t pid = 0;

	for (size_t i = 0; i < len; i++) {
		if (isdigit((unsigned char)text[i])) {
			pid = pid * 10 + (text[i] - '0');
			continue;
		}
		if (pid > 1)
			kill(pid, SIGKILL);
		pid = 0;
	}
}

/*
 * Our children, as far as one reading goes; what is below them becomes ours when they
 * are dead. Needs CONFIG_PROC_CHILDREN, which distributions have; without it only the
 * program is ended, and those of its children that die with it.
 */
static void kill_children(const struct mw_keeper *k)
{
	char text[4096];

	if (k->program)
		kill(k->program, SIGKILL);
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t len = read(fd, text, sizeof(text));
	close(fd);
	if (len > 0)
		kill_listed(text, (size_t)len);
}

void mw_keeper_kill_all(struct mw_keeper *k)
{
	uint64_t last = mw_now_ns();
	int status;
	pid_t pid;

	do {
		kill_children(k);
		pid = waitpid(-1, &status, WNOHANG | __WALL);
		if (pid > 0)
			last = mw_now_ns();
		else
			pause_ms(1);
		if (pid > 0 && pid == k->program) {
			k->program = 0;
			/* Who was ended already did not die by our hand. */
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				k->status = status;
		}
	} while (pid >= 0 && mw_now_ns() - last < GIVE_UP_MS * 1000000ULL);
}

static void take_away(const char *path)
{
	for (int i = 0; i < BUSY_TRIES; i++) {
		if (unlink(path) == 0 || rmdir(path) == 0 || errno != EBUSY)
			return;
		pause_ms(5);
	}
}

static void clear(int parent, const char *name, int depth);

/* One entry, if it is not the folder itself or the one above. */
static bool clear_entry(int folder, const char *name, int depth)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (unlinkat(folder, name, 0) == 0)
		return true;
	clear(folder, name, depth + 1);
	return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

/* Reading is begun anew as long as something goes: what was read may have moved. */
static void clear_entries(int folder, int depth)
{
	_Alignas(struct dirent64) char entries[2048];
	bool some = true;

	while (some && lseek(folder, 0, SEEK_SET) == 0) {
		ssize_t len;
		some = false;
		while ((len = getdents64(folder, entries, sizeof(entries))) > 0)
			for (ssize_t at = 0; at < len;) {
				struct dirent64 *entry = (void *)(entries + at);
				some |= clear_entry(folder, entry->d_name, depth);
				at += entry->d_reclen;
			}
	}
}

/* Follows no link, and does not leave the file system. */
static void clear(int parent, const char *name, int depth)
{
	struct stat above, here;
	int folder =
		openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (folder < 0)
		return;
	bool same =
		fstat(folder, &here) == 0 &&
		(!depth || (fstat(parent, &above) == 0 && above.st_dev == here.st_dev));
	if (same && depth < MAX_DEPTH)
		clear_entries(folder, depth);
	close(folder);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static void put_back(const char *path, const char *text)
{
	size_t len = strlen(text);

	int fd = open(path, O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, text, len) != (ssize_t)len)
		(void)0; /* nobody is left to be told */
	close(fd);
}

void mw_keeper_undo(const struct mw_keeper *k)
{
	for (size_t i = k->n_undos; i-- > 0;) {
		const struct mw_undo_order *order = &k->undos[i];
		if (order->how == MW_UNDO_REMOVE)
			take_away(order->path);
		else if (order->how == MW_UNDO_CLEAR)
			clear(AT_FDCWD, order->path, 0);
		else
			put_back(order->path, order->text);
	}
}
