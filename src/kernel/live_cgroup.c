// SPDX-License-Identifier: MIT
/*
 * The memory cgroup of a process. In a container the limit is most often set above the
 * group that the process is in, so the way goes up to the first one that has a limit.
 * Documents: admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst.
 */
#include "kernel/files.h"
#include "kernel/live.h"

#include "base/buf.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* No machine has that much; v1 says "none" with a number near 2^63. */
static const uint64_t NO_LIMIT = UINT64_C(1) << 60;

struct group {
	bool v1;
	char path[PATH_MAX]; /* below /sys/fs/cgroup, without a slash in front */
};

/* True when `list` (of `len`) names the memory controller: "cpu,memory". */
static bool has_memory(const char *list, size_t len)
{
	const char *end = list + len;
	while (list < end) {
		const char *comma = memchr(list, ',', (size_t)(end - list));
		size_t n = (size_t)((comma ? comma : end) - list);
		if (n == strlen("memory") && !memcmp(list, "memory", n))
			return true;
		list += n + 1;
	}
	return false;
}

/* "4:memory:/a/b" (v1) or "0::/a/b" (v2). False for every other line. */
static bool take_line(const char *line, const char *end, struct group *ret)
{
	const char *list = memchr(line, ':', (size_t)(end - line));
	const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) : NULL;
	if (!path || ++path >= end || *path != '/')
		return false;
	size_t n = (size_t)(path - list) - 2;
	bool v1 = has_memory(list + 1, n);
	if (!v1 && (n != 0 || ret->path[0]))
		return false;
	while (path < end && *path == '/')
		path++;
	int len = snprintf(ret->path, sizeof(ret->path), "%s%.*s", v1 ? "memory/" : "",
			   (int)(end - path), path);
	ret->v1 = v1;
	/* A path out of our own namespace leads nowhere. */
	return len > 0 && (size_t)len < sizeof(ret->path) && !strstr(ret->path, "..");
}

static bool find_group(const struct mw_buf *text, struct group *ret)
{
	const char *pos = text->data, *end = pos + text->len;
	bool found = false;
	ret->path[0] = '\0';
	while (pos < end) {
		const char *line_end = mw_line_end(pos, end);
		struct group group = *ret;
		if (take_line(pos, line_end, &group)) {
			*ret = group;
			found = true;
			if (group.v1)
				break;
		} else if (line_end - pos == 4 && !memcmp(pos, "0::/", 4)) {
			found = true; /* the root of v2: its path is empty */
		}
		pos = line_end + 1;
	}
	return found;
}

static int read_file(const struct group *group, const char *name, struct mw_buf *out)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/%s", group->path, name);
	return mw_live_slurp_at(AT_FDCWD, path, false, out);
}

static bool has_limit(const struct group *group, const char *name)
{
	mw_auto_buf text = { 0 };
	uint64_t limit;
	const char *pos;
	if (read_file(group, name, &text))
		return false;
	pos = text.data;
	return text.len && mw_take_dec(&pos, text.data + text.len, &limit) &&
	       limit < NO_LIMIT;
}

/* One group up; false at the top. */
static bool go_up(struct group *group)
{
	size_t root = group->v1 ? strlen("memory") : 0;
	char *slash = strrchr(group->path, '/');
	if (strlen(group->path) <= root)
		return false;
	*(slash ? slash : group->path) = '\0';
	return strlen(group->path) >= root;
}

struct mw_err *mw_live_read_cgroup(struct mw_live *live, struct mw_live_proc *proc,
				   const struct mw_file_place *place, struct mw_buf *out)
{
	const struct mw_file_place *limit = mw_file_place(MW_FILE_CGROUP_LIMIT);
	mw_auto_buf text = { 0 };
	struct group own, group;
	int errnum = mw_live_slurp_at(proc->dir, "cgroup", true, &text);
	if (errnum)
		return mw_live_fail(live, proc, "cgroup", errnum);
	if (!text.len || !find_group(&text, &own))
		return mw_err_new(MW_ERR_NOTFOUND, 0, "cgroup",
				  "process %d is in no memory cgroup that can be seen",
				  (int)proc->pid);
	group = own;
	while (!has_limit(&group, group.v1 ? limit->v1 : limit->v2))
		if (!go_up(&group)) {
			group = own;
			break;
		}
	const char *name = group.v1 ? place->v1 : place->v2;
	if (!name) {
		const char *path = group.path + (group.v1 ? strlen("memory") : 0);
		return mw_buf_printf(out, "/%s", path + (*path == '/')) ? NULL
									: mw_err_nomem();
	}
	errnum = read_file(&group, name, out);
	return errnum ? mw_err_sys(errnum, name) : NULL;
}

/* A machine with more groups than that is not gone through to its end. */
enum { MOST_GROUPS = 1 << 17, DEEPEST = 64 };

struct listing {
	char path[PATH_MAX];
	size_t n;
	struct mw_buf *out;
	bool failed;
};

/* A name with a line break in it would be two lines: it is left out. */
static void list_one(struct listing *list, int dir)
{
	struct stat st;
	const char *path = list->path[0] ? list->path : "/";
	if (!strchr(path, '\n') && fstat(dir, &st) == 0 &&
	    !mw_buf_printf(list->out, "%ju %s\n", (uintmax_t)st.st_ino, path))
		list->failed = true;
	list->n++;
}

/* Lists `dir`, which it closes, and all below it; list->path is its path. */
static void list_below(struct listing *list, int dir, unsigned depth)
{
	size_t len = strlen(list->path);
	DIR *entries = fdopendir(dir);
	if (!entries) {
		close(dir);
		return;
	}
	list_one(list, dir);
	for (struct dirent *entry;
	     !list->failed && list->n < MOST_GROUPS && (entry = readdir(entries));) {
		size_t room = sizeof(list->path) - len;
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    depth == DEEPEST ||
		    (size_t)snprintf(list->path + len, room, "/%s", entry->d_name) >=
			    room)
			continue;
		int below = openat(dir, entry->d_name,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			list_below(list, below, depth + 1);
	}
	list->path[len] = '\0';
	closedir(entries);
}

struct mw_err *mw_live_list_cgroups(struct mw_buf *out)
{
	static const char *const roots[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };
	struct listing list = { .out = out };
	int dir = -1;
	for (size_t i = 0; dir < 0 && i < sizeof(roots) / sizeof(roots[0]); i++)
		dir = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return mw_err_sys(errno, roots[1]);
	list_below(&list, dir, 0);
	return list.failed ? mw_err_nomem() : NULL;
}
