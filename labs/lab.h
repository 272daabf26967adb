/* SPDX-License-Identifier: MIT */
/*
 * What a lab tells whoever runs it: where its variables are, and what it is about to do.
 * Before each step it waits. Under `memwhy lab` that goes over two pipes; started by
 * hand the program prints the same on the terminal, and Enter lets it go on.
 *
 * Nothing here allocates or uses stdio: telling must not change what is watched.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAB_API static inline __attribute__((unused))

/* The pipes: to memwhy, and from it. By hand: the terminal. */
static int lab_to = -1, lab_from = -1;

__attribute__((format(printf, 1, 2))) LAB_API void lab_line(const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	while (write(lab_to < 0 ? STDOUT_FILENO : lab_to, line, (size_t)len) < 0)
		if (errno != EINTR)
			_exit(0); /* nobody listens any more */
}

/* Waits until the step may be done. */
LAB_API void lab_wait(void)
{
	char go;
	do {
		ssize_t got = read(lab_from < 0 ? STDIN_FILENO : lab_from, &go, 1);
		if (got == 0 || (got < 0 && errno != EINTR))
			_exit(0);
	} while (lab_to < 0 && go != '\n');
}

/* A number; the steps file knows it by this name. */
LAB_API void lab_value(const char *name, long long value)
{
	if (lab_to < 0)
		lab_line("    %s = %lld", name, value);
	else
		lab_line("value\t%s\t%lld", name, value);
}

LAB_API void lab_address(const char *name, uintptr_t addr)
{
	if (lab_to < 0)
		lab_line("    %s at %#llx", name, (unsigned long long)addr);
	else
		lab_line("value\t%s\t%lld", name, (long long)addr);
}

/* An address, of whatever kind. */
#define lab_addr(name, addr) lab_address(name, (uintptr_t)(addr))

/* A word or a sentence, as a value. */
LAB_API void lab_text(const char *name, const char *text)
{
	lab_line(lab_to < 0 ? "    %s: %s" : "text\t%s\t%s", name, text);
}

/* Another process to watch. Those that share a name are a group: their sums count. */
LAB_API void lab_process(const char *name, pid_t pid)
{
	if (lab_to < 0)
		lab_line("    %s is process %d: memwhy map %d", name, (int)pid, (int)pid);
	else
		lab_line("process\t%s\t%d", name, (int)pid);
}

/* A line for people, below the step. */
#define lab_say(format, ...) \
	lab_line("%s" format, lab_to < 0 ? "    " : "say\t", ##__VA_ARGS__)

/* A bar of the step's plot. */
LAB_API void lab_row(const char *label, long long number, const char *unit)
{
	lab_line(lab_to < 0 ? "    %s: %lld %s" : "row\t%s\t%lld\t%s", label, number,
		 unit);
}

/* Puts one thing back. What was in a cgroup may not be quite gone yet. */
LAB_API void lab_put_back(const char *how, const char *path, const char *text)
{
	int fd = strcmp(how, "restore") ? -1 : open(path, O_WRONLY | O_TRUNC);
	if (strcmp(how, "clear") == 0)
		execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
	else if (fd >= 0)
		_exit(write(fd, text, strlen(text)) < 0);
	for (int i = 0; i < 200 && unlink(path) && rmdir(path) && errno == EBUSY; i++)
		usleep(5000);
}

/* By hand: a process of its own does it when this one and its children have ended. */
LAB_API void lab_undo_later(const char *how, const char *path, const char *text)
{
	int alive[2];
	char end;
	if (pipe2(alive, O_CLOEXEC) || fork())
		return;
	setsid();
	close_range(0, (unsigned)alive[0] - 1, 0);
	close_range((unsigned)alive[0] + 1, ~0U, 0);
	while (read(alive[0], &end, 1) < 0)
		;
	lab_put_back(how, path, text);
	_exit(0);
}

/*
 * Before something outside this process is made or changed: how to put it back, whatever
 * happens. "remove": a file or an empty directory; "clear": a directory "memwhy-lab-…"
 * with all that is in it; "restore": writes `text` to a file.
 */
LAB_API void lab_undo(const char *how, const char *path, const char *text)
{
	if (lab_to < 0) {
		lab_undo_later(how, path, text);
		return;
	}
	lab_line("undo\t%s\t%s\t%s", how, path, text);
	lab_wait();
}

/* First thing in main(). Huge pages are off from here on, also in children. */
LAB_API void lab_start(void)
{
	const char *wire = getenv("MEMWHY_LAB");
	char stack[64 << 10], *rest = NULL;
	/* Resident before anything is counted: the stack, and code that all labs call. */
	memset(stack, 0, sizeof(stack));
	snprintf(stack, sizeof(stack), "%s %lld %p", "", 1LL, (void *)&wire);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (wire) {
		lab_to = (int)strtol(wire, &rest, 10);
		lab_from = (int)strtol(rest + 1, NULL, 10);
	} else {
		lab_line("Process %d; in a second terminal: watch -d memwhy map %d",
			 (int)getpid(), (int)getpid());
	}
}

/* What comes next, named as in the steps file, and in words or C. Then waits. */
LAB_API void lab_step(const char *name, const char *does)
{
	if (lab_to < 0)
		lab_line("%s: %s   [Enter]", name, does);
	else
		lab_line("step\t%s\t%s", name, does);
	lab_wait();
}

/* Last thing in main(), while all that is to be seen is still there. */
LAB_API void lab_end(void)
{
	lab_line(lab_to < 0 ? "done   [Enter]" : "end");
	lab_wait();
}

/* A child that does one thing when it is told to, and dies with its parent. */
struct lab_child {
	pid_t pid;
	int go, done;
};

LAB_API void lab_obey(int go, int done, void (*turn)(int n))
{
	int n;
	while (read(go, &n, sizeof(n)) == sizeof(n)) {
		turn(n);
		if (write(done, &n, sizeof(n)) < 0)
			break;
	}
	_exit(0);
}

/* Forks one that is watched under `name`. In it, turn(n) runs for every lab_turn(). */
LAB_API struct lab_child lab_fork(const char *name, void (*turn)(int n))
{
	int go[2], done[2];
	if (pipe(go) || pipe(done))
		_exit(1);
	pid_t pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		close(done[0]);
		lab_obey(go[0], done[1], turn);
	}
	close(go[0]);
	close(done[1]);
	lab_process(name, pid);
	return (struct lab_child){ pid, go[1], done[0] };
}

/* Has the child do its n-th thing; returns when it has, or died of it. */
LAB_API void lab_turn(const struct lab_child *child, int n)
{
	int reply;
	if (write(child->go, &n, sizeof(n)) < 0 ||
	    read(child->done, &reply, sizeof(reply)) < 0)
		_exit(1);
}

/* Ends and reaps it. */
LAB_API void lab_join(struct lab_child *child)
{
	close(child->go);
	close(child->done);
	kill(child->pid, SIGKILL); /* a later child may still hold the other end open */
	waitpid(child->pid, NULL, 0);
}
