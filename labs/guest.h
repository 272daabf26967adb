/* SPDX-License-Identifier: MIT */
/*
 * Programs that are not ours, started to be looked at: with no settings of the user's, in
 * an empty folder that is removed at the end, told to answer once and then to wait.
 */
#pragma once

#include "machine.h"
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

struct guest {
	const char *say, *hear; /* it is ready when we hear that after having said this */
	const char *argv[16];
};

struct guest_run {
	pid_t pid; /* 0: there is none */
	int to, from;
	const char *program;
};

/* HOME, the temporary and the current folder of all guests. */
static char guest_home[64];

/* A name that nobody has is known before the folder is there: promised first. */
LAB_API void guest_prepare(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(guest_home, sizeof(guest_home), "/tmp/memwhy-lab-%d-%lld.%09ld",
		 (int)getpid(), (long long)now.tv_sec, now.tv_nsec);
	lab_undo("clear", guest_home, "");
	if (mkdir(guest_home, 0700))
		_exit(1);
	signal(SIGPIPE, SIG_IGN); /* one may end before it is spoken to */
}

/* In the new process. Descriptors 3 and 4 are where a browser is talked to. */
LAB_API void guest_become(const struct guest *guest, int in, int out, int err)
{
	int null = open("/dev/null", O_WRONLY);
	in = fcntl(in, F_DUPFD, 10);
	out = fcntl(out, F_DUPFD, 10);
	err = fcntl(err, F_DUPFD, 10);
	dup2(in, 0), dup2(out, 1), dup2(null, 2), dup2(in, 3), dup2(out, 4), dup2(err, 5);
	fcntl(5, F_SETFD, FD_CLOEXEC);
	close_range(6, ~0U, 0);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	const char *path = getenv("PATH"), *lang = getenv("LANG");
	clearenv();
	setenv("PATH", path ? path : "/usr/local/bin:/usr/bin:/bin", 1);
	setenv("LANG", lang ? lang : "C.UTF-8", 1);
	setenv("HOME", guest_home, 1);
	setenv("TMPDIR", guest_home, 1);
	if (chdir(guest_home) == 0)
		execvp(guest->argv[0], (char *const *)guest->argv);
	if (write(5, &errno, sizeof(errno)) < 0)
		_exit(126);
	_exit(127);
}

LAB_API void guest_end(struct guest_run *run)
{
	if (!run->pid)
		return;
	kill(-run->pid, SIGKILL);
	waitpid(run->pid, NULL, 0);
	close(run->to);
	close(run->from);
	run->pid = 0;
}

/* Reads what it writes, until `hear` is in it; 0 when that came in time. */
LAB_API int guest_hear(int from, const char *hear, int timeout_ms)
{
	char text[8192] = "";
	size_t len = 0;
	struct pollfd ready = { from, POLLIN, 0 };
	while (!strstr(text, hear) && len < sizeof(text) - 1) {
		if (poll(&ready, 1, timeout_ms) != 1)
			return -1;
		ssize_t got = read(from, text + len, sizeof(text) - 1 - len);
		if (got <= 0)
			return -1;
		for (size_t i = len; i < len + (size_t)got; i++)
			text[i] = text[i] ? text[i] : ' ';
		text[len += (size_t)got] = '\0';
	}
	return strstr(text, hear) ? 0 : -1;
}

/* Whether the program is in PATH. */
LAB_API int guest_there(const struct guest *guest)
{
	char path[4096];
	const char *at = getenv("PATH");
	for (; at && *at; at += strcspn(at, ":"), at += *at == ':') {
		snprintf(path, sizeof(path), "%.*s/%s", (int)strcspn(at, ":"), at,
			 guest->argv[0]);
		if (access(path, X_OK) == 0)
			return 1;
	}
	return 0;
}

/* Starts it and waits until it is ready. pid is 0 when it is not installed, or fails. */
LAB_API struct guest_run guest_start(const struct guest *guest)
{
	int in[2], out[2], err[2], failed;
	struct guest_run none = { 0, -1, -1, NULL };
	size_t say = strlen(guest->say);
	say += *guest->say == '{'; /* JSON messages end with a byte 0 */
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		_exit(1);
	pid_t pid = fork();
	if (pid < 0)
		_exit(1);
	if (pid == 0)
		guest_become(guest, in[0], out[1], err[1]);
	close(in[0]), close(out[1]), close(err[1]);
	struct guest_run run = { pid, in[1], out[0], guest->argv[0] };
	int started = read(err[0], &failed, sizeof(failed)) == 0;
	close(err[0]);
	if (started && write(run.to, guest->say, say) == (ssize_t)say &&
	    guest_hear(run.from, guest->hear, 20000) == 0)
		return run;
	guest_end(&run);
	return none;
}
