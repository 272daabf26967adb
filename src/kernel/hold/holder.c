// SPDX-License-Identifier: MIT
#include "kernel/hold/holder.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t mw_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int mw_ms_left(uint64_t since_ns, uint64_t after_ms)
{
	uint64_t end = since_ns + after_ms * 1000000, now = mw_now_ns();

	if (now >= end)
		return 0;
	uint64_t ms = (end - now + 999999) / 1000000;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

enum mw_holder_event mw_holder_wait(struct mw_holder *h, uint64_t after_ms)
{
	struct signalfd_siginfo info;
	struct pollfd fds[] = { { .fd = h->sock, .events = POLLIN },
				{ .fd = h->sigs, .events = POLLIN } };
	int left = mw_ms_left(h->since_ns, after_ms);

	if (left == 0)
		return MW_EVENT_TIMEOUT;
	poll(fds, 2, left);
	if (fds[0].revents)
		return MW_EVENT_RELEASE;
	if (fds[1].revents)
		while (read(h->sigs, &info, sizeof(info)) > 0)
			;
	return MW_EVENT_CHILD;
}

/*
 * All but two descriptors (Linux 5.9; before, they stay): they may be pipes whose
 * reader waits for an end of file.
 */
static void close_others(int a, int b)
{
	unsigned lo = (unsigned)(a < b ? a : b), hi = (unsigned)(a < b ? b : a);

	if (lo > 0)
		close_range(0, lo - 1, 0);
	if (hi > lo + 1)
		close_range(lo + 1, hi - 1, 0);
	close_range(hi + 1, ~0U, 0);
}

/*
 * Its own session, so that no signal to memwhy's process group (a terminal's ^C and ^Z,
 * kill -STOP) reaches it: stopped itself, it could not keep the time-out. All signals
 * are blocked already.
 */
static void settle(struct mw_holder *h)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t chld;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != h->parent)
		_exit(1);
	setsid();
	close(h->peer);
	close_others(h->sock, h->task);
	sigaction(SIGCHLD, &dfl, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	h->sigs = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->sigs < 0)
		_exit(1);
}

static void tell(const struct mw_holder *h, const struct mw_holder_report *report)
{
	if (send(h->sock, report, sizeof(*report), MSG_NOSIGNAL) < 0)
		return; /* memwhy is gone: nobody is left to be told */
}

_Noreturn void mw_holder_run(struct mw_holder *h)
{
	struct mw_holder_report report = { 0 };
	enum mw_holder_event event = MW_EVENT_CHILD;

	settle(h);
	h->since_ns = mw_now_ns();
	report.errnum = mw_threads_stop(h, &report);
	if (!report.errnum) {
		tell(h, &report);
		while (event == MW_EVENT_CHILD) {
			event = mw_holder_wait(h, h->max_ms);
			mw_threads_note(h);
		}
		report.cut = event == MW_EVENT_TIMEOUT;
	}
	mw_threads_release(h);
	report.held_ns = mw_now_ns() - h->since_ns;
	tell(h, &report);
	_exit(0);
}
