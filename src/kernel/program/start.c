// SPDX-License-Identifier: MIT
/* From the keeper's fork to the program's first instruction. */
#include "kernel/program/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Descriptors of the program. */
enum { OUT = STDERR_FILENO + 1, IN, FAIL, OTHERS };

/* A copy above all that is going to be set up. */
static int lift(int fd)
{
	return fcntl(fd, F_DUPFD, OTHERS);
}

/* 0 or errno. */
static int set_descriptors(const struct mw_keeper *k, int fail)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from[] = { lift(null),   lift(STDERR_FILENO), 0,
		       lift(k->out), lift(k->in),         lift(fail) };

	if (from[STDOUT_FILENO] < 0) /* ours for errors may be closed */
		from[STDOUT_FILENO] = from[STDIN_FILENO];
	from[STDERR_FILENO] = from[STDOUT_FILENO];
	for (int fd = 0; fd < OTHERS; fd++)
		if (from[fd] < 0 || dup2(from[fd], fd) < 0)
			return errno;
	close_range(OTHERS, ~0U, 0);
	return fcntl(FAIL, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

static void set_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signum = 1; signum < NSIG; signum++)
		sigaction(signum, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Programs of ours crash on purpose: no core is to be left, nor given to a handler,
 * for which a limit of 1 says so (core(5)). And where memory runs out, they go first.
 */
static void set_limits(void)
{
	struct rlimit core;

	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_max = core.rlim_max > 1 ? 1 : core.rlim_max;
		core.rlim_cur = core.rlim_max;
		setrlimit(RLIMIT_CORE, &core);
	}
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1000", 4) < 0)
		(void)0; /* it is a precaution */
	close(fd);
}

/* Does not return when the program runs. *fail: where to tell that it does not. */
static int become(const struct mw_keeper *k, int *fail)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != k->self)
		_exit(1);
	setpgid(0, 0); /* its kill(0, …) is not for the keeper */
	int errnum = set_descriptors(k, *fail);
	if (errnum)
		return errnum;
	*fail = FAIL;
	set_limits();
	set_signals();
	if (setenv("MEMWHY_LAB", "3,4", 1) != 0)
		return errno;
	execv(k->path, k->args);
	return errno;
}

int mw_keeper_start(struct mw_keeper *k)
{
	int fail[2], errnum = 0;

	if (pipe2(fail, O_CLOEXEC) != 0)
		return errno;
	pid_t child = fork();
	if (child == 0) {
		errnum = become(k, &fail[1]);
		_exit(write(fail[1], &errnum, sizeof(errnum)) < 0 ? 126 : 127);
	}
	if (child < 0)
		errnum = errno;
	close(fail[1]);
	if (child > 0 && read(fail[0], &errnum, sizeof(errnum)) < 0)
		errnum = errno;
	close(fail[0]);
	k->program = child > 0 ? child : 0;
	return errnum;
}
