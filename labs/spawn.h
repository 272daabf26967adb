/* SPDX-License-Identifier: MIT */
/*
 * Another program beside this one: started, told what to do, asked for a number. For
 * labs that compare programs; what their file `build` makes lies in the same folder.
 */
#pragma once

#include "lab.h"
#include <fcntl.h>
#include <stdbool.h>
#include <sys/personality.h>

/* The path of a file beside this program; of the program itself when it is NULL. */
LAB_API void lab_beside(const char *file, char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);
	path[n < 0 ? 0 : n] = '\0';
	char *name = strrchr(path, '/');
	if (file && name)
		snprintf(name + 1, len - (size_t)(name + 1 - path), "%s", file);
}

/* Whether a program may be started without address space randomisation. */
LAB_API bool lab_may_fix(void)
{
	int now = personality(0xffffffff);
	if (now < 0 || personality((unsigned)now | ADDR_NO_RANDOMIZE) < 0)
		return false;
	personality((unsigned)now);
	return true;
}

/* In the new process: becomes the other program, which finds its pipes in argv[1]. */
LAB_API void lab_become(const char *path, bool fixed, int go, int done)
{
	char ends[32];
	unsigned now = (unsigned)personality(0xffffffff);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	personality(fixed ? now | ADDR_NO_RANDOMIZE : now & ~ADDR_NO_RANDOMIZE);
	fcntl(go, F_SETFD, 0);
	fcntl(done, F_SETFD, 0);
	snprintf(ends, sizeof(ends), "%d,%d", go, done);
	execl(path, path, ends, (char *)NULL);
	_exit(127);
}

/*
 * Starts a program of this folder (NULL: this one once more), with or without address
 * space randomisation; returns when it listens. pid is 0 when there is no such program.
 */
LAB_API struct lab_child lab_run(const char *file, bool fixed)
{
	char path[4096];
	int go[2], done[2];
	long long ready;
	lab_beside(file, path, sizeof(path));
	if (pipe2(go, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		_exit(1);
	pid_t pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid == 0)
		lab_become(path, fixed, go[0], done[1]);
	close(go[0]);
	close(done[1]);
	struct lab_child child = { pid, go[1], done[0] };
	if (read(done[0], &ready, sizeof(ready)) != sizeof(ready)) {
		lab_join(&child);
		child.pid = 0;
	}
	return child;
}

/* Has it do its n-th thing; what it answers. */
LAB_API long long lab_call(const struct lab_child *child, int n)
{
	long long answer;
	if (write(child->go, &n, sizeof(n)) < 0 ||
	    read(child->done, &answer, sizeof(answer)) != sizeof(answer))
		_exit(1);
	return answer;
}

/* The same for an address. */
LAB_API void *lab_call_addr(const struct lab_child *child, int n)
{
	return (void *)(intptr_t)lab_call(child, n);
}

/*
 * In the program that was started so, with its argv[1]: answers turn(n) for every
 * lab_call(), until nobody calls any more.
 */
LAB_API void lab_serve(const char *ends, long long (*turn)(int n))
{
	char *rest = NULL;
	int n, go = (int)strtol(ends, &rest, 10), done = (int)strtol(rest + 1, NULL, 10);
	long long answer = 0;
	do {
		if (write(done, &answer, sizeof(answer)) < 0 ||
		    read(go, &n, sizeof(n)) != sizeof(n))
			_exit(0);
		answer = turn(n);
	} while (true);
}
