/* SPDX-License-Identifier: MIT */
/*
 * A memory cgroup of our own, with a limit: a machine of a few MiB inside the machine. Of
 * version 2 or of version 1, whichever has the memory here. It needs a folder of the
 * hierarchy in which we may make another: root's, or one delegated to us.
 */
#pragma once

#include "machine.h"
#include <sys/stat.h>

struct lab_group {
	int version; /* 0: there is none */
	char path[600];
};

/* The folder of this process in the hierarchy that has the memory: version, or 0. */
LAB_API int lab_group_own(char *path, size_t size)
{
	char text[16 << 10], line[256] = "";
	int version = 0;
	const char *at = lab_read("/proc/self/cgroup", text, sizeof(text));
	for (; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		char which[128] = "", where[256] = "";
		if (sscanf(at, "%*d:%127[^:\n]:%255[^\n]", which, where) == 2 &&
		    strstr(which, "memory"))
			version = 1, memcpy(line, where, sizeof(line));
		else if (!version && sscanf(at, "0::%255[^\n]", where) == 1)
			version = 2, memcpy(line, where, sizeof(line));
	}
	at = lab_read("/proc/self/mountinfo", text, sizeof(text));
	for (; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		char root[256], mount[256], type[32], options[128];
		int found = sscanf(at, "%*d %*d %*s %255s %255s %*[^-\n]- %31s %*s %127s",
				   root, mount, type, options);
		if (found != 4 || strcmp(type, version == 1 ? "cgroup" : "cgroup2") ||
		    (version == 1 && !strstr(options, "memory")))
			continue;
		size_t skip = strcmp(root, "/") ? strlen(root) : 0;
		skip = strncmp(line, root, skip) ? 0 : skip;
		snprintf(path, size, "%s%s", mount, line + skip);
		return version;
	}
	return 0;
}

/* "FOLDER/memory.NAME" */
LAB_API const char *lab_group_file(const char *folder, const char *name)
{
	static char path[700];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* A file that is one number: -1 when there is none, or "max". */
LAB_API long long lab_group_one(const char *folder, const char *name)
{
	char text[64], *end;
	long long n = strtoll(lab_read(lab_group_file(folder, name), text, sizeof(text)),
			      &end, 10);
	return end == text ? -1 : n;
}

LAB_API int lab_group_put(const struct lab_group *group, const char *name, long long n)
{
	char text[32];
	snprintf(text, sizeof(text), "%lld", n);
	return lab_write(lab_group_file(group->path, name), text);
}

/*
 * How much more this process may have before some limit above it is reached; a great
 * number when there is none.
 */
LAB_API long long lab_group_left(void)
{
	char path[600];
	long long left = 1LL << 60;
	int version = lab_group_own(path, sizeof(path));
	for (; version && strlen(path) > 1; *strrchr(path, '/') = '\0') {
		const char *max = version == 1 ? "memory.limit_in_bytes" : "memory.max";
		const char *now =
			version == 1 ? "memory.usage_in_bytes" : "memory.current";
		long long limit = lab_group_one(path, max);
		if (limit >= 0 && limit - lab_group_one(path, now) < left)
			left = limit - lab_group_one(path, now);
	}
	return left;
}

/* Moves the calling process into it; 0 when it is there. */
LAB_API int lab_group_join(const struct lab_group *group)
{
	return lab_write(lab_group_file(group->path, "cgroup.procs"), "0");
}

LAB_API void lab_group_remove(struct lab_group *group)
{
	for (int i = 0; group->version && i < 100 && rmdir(group->path); i++)
		usleep(10000); /* what ended in it may not be gone yet */
	group->version = 0;
}

/* Limits, and whether a process can be moved there: tried with one that then ends. */
LAB_API int lab_group_works(const struct lab_group *group, long long limit,
			    long long swap)
{
	int v1 = group->version == 1, status = 1;
	if (lab_group_put(group, v1 ? "memory.limit_in_bytes" : "memory.max", limit))
		return 0;
	if (lab_group_put(group, v1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max",
			  v1 ? limit + swap : swap) &&
	    lab_meminfo("SwapTotal") > 0)
		return 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(lab_group_join(group) ? 1 : 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/*
 * Makes one, in our own folder or in the nearest above it where that can be done. Of
 * version 2, a folder that has processes cannot give the memory on to others, so it is
 * mostly one above. version is 0 when there is no place.
 */
LAB_API struct lab_group lab_group_make(long long limit, long long swap)
{
	struct lab_group ret = { 0, "" };
	char folder[512], text[256];
	int version = lab_group_own(folder, sizeof(folder));
	for (; version && strlen(folder) > 1; *strrchr(folder, '/') = '\0') {
		lab_read(lab_group_file(folder, "cgroup.subtree_control"), text,
			 sizeof(text));
		if (access(lab_group_file(folder, "cgroup.procs"), W_OK) ||
		    (version == 2 && !strstr(text, "memory")))
			continue;
		snprintf(ret.path, sizeof(ret.path), "%s/memwhy-lab-%d", folder,
			 (int)getpid());
		lab_undo("remove", ret.path, "");
		if (mkdir(ret.path, 0755))
			continue;
		ret.version = version;
		if (lab_group_works(&ret, limit, swap))
			break;
		lab_group_remove(&ret);
	}
	return ret;
}

/* What it is charged for now, how often it stood at its limit, how many were killed. */
LAB_API long long lab_group_usage(const struct lab_group *group)
{
	return lab_group_one(group->path, group->version == 1 ? "memory.usage_in_bytes"
							      : "memory.current");
}

LAB_API long long lab_group_hits(const struct lab_group *group)
{
	if (group->version == 1)
		return lab_group_one(group->path, "memory.failcnt");
	return lab_number(lab_group_file(group->path, "memory.events"), "max");
}

LAB_API long long lab_group_killed(const struct lab_group *group)
{
	return lab_number(lab_group_file(group->path, group->version == 1
							      ? "memory.oom_control"
							      : "memory.events"),
			  "oom_kill");
}
