// SPDX-License-Identifier: MIT
#include "kernel/program/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void tell(const struct mw_keeper *k, enum mw_keeper_word word, int errnum)
{
	struct mw_keeper_report report = { word, errnum, k->program, k->status };

	if (send(k->sock, &report, sizeof(report), MSG_NOSIGNAL) < 0)
		return; /* memwhy is gone: nobody is left to be told */
}

/*
 * Its own session, so that no signal of a terminal or to memwhy's process group reaches
 * it or the program; a name of its own, so that `pkill -9 memwhy` does not either.
 * Orphans below it become its children. 0 or errno.
 */
static int settle(struct mw_keeper *k)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t chld;

	k->self = getpid();
	setsid();
	prctl(PR_SET_NAME, "lab-keeper");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return errno;
	sigaction(SIGCHLD, &dfl, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	k->sigs = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	k->undos = mmap(NULL, MW_MAX_UNDOS * sizeof(*k->undos), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return k->sigs < 0 || k->undos == MAP_FAILED ? errno : 0;
}

/* All descriptors but two: others may be pipes whose reader waits for their end. */
static void close_others(const struct mw_keeper *k)
{
	unsigned low = (unsigned)(k->sock < k->sigs ? k->sock : k->sigs);
	unsigned high = (unsigned)(k->sock < k->sigs ? k->sigs : k->sock);

	if (low > 0)
		close_range(0, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

/* False when memwhy wants the end, or is gone. */
static bool take_order(struct mw_keeper *k)
{
	struct mw_undo_order *order = &k->undos[k->n_undos];
	char dropped;

	if (k->n_undos == MW_MAX_UNDOS) {
		if (recv(k->sock, &dropped, 1, 0) <= 0)
			return false;
		tell(k, MW_KEEPER_NOTED, ENOSPC);
		return true;
	}
	if (recv(k->sock, order, sizeof(*order), 0) != (ssize_t)sizeof(*order))
		return false;
	k->n_undos++;
	tell(k, MW_KEEPER_NOTED, 0);
	return true;
}

/* Reaps what has ended. False when the program itself has. */
static bool reap(struct mw_keeper *k)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(k->sigs, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		if (pid == k->program) {
			k->program = 0;
			k->status = status;
		}
	return k->program != 0;
}

static void keep(struct mw_keeper *k)
{
	struct pollfd fds[] = { { .fd = k->sock, .events = POLLIN },
				{ .fd = k->sigs, .events = POLLIN } };

	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents && !reap(k))
			return;
		if (fds[0].revents && !take_order(k))
			return;
	}
}

_Noreturn void mw_keeper_run(struct mw_keeper *k)
{
	int errnum = settle(k);

	if (!errnum)
		errnum = mw_keeper_start(k);
	tell(k, MW_KEEPER_STARTED, errnum);
	if (!errnum) {
		close_others(k);
		keep(k);
	}
	mw_keeper_kill_all(k);
	mw_keeper_undo(k);
	tell(k, MW_KEEPER_ENDED, 0);
	_exit(0);
}
