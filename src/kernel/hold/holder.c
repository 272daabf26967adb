// SPDX-License-Identifier: MIT
#include "kernel/hold/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_TRIES = 20,    /* to find a thread that can be used, 1 ms apart */
	LONG_MS = 1 << 30, /* twelve days */
};

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
	struct pollfd fds[] = { { .fd = h->released ? -1 : h->sock, .events = POLLIN },
				{ .fd = h->sigs, .events = POLLIN },
				{ .fd = h->released ? -1 : h->ended, .events = POLLIN } };
	int left = mw_ms_left(h->since_ns, after_ms);

	if (left == 0)
		return MW_EVENT_TIMEOUT;
	poll(fds, 3, left);
	if (fds[0].revents)
		return MW_EVENT_RELEASE;
	if (fds[1].revents)
		while (read(h->sigs, &info, sizeof(info)) > 0)
			;
	else if (fds[2].revents)
		return MW_EVENT_ENDED;
	return MW_EVENT_CHILD;
}

/*
 * All descriptors but ours (Linux 5.9; before, they stay): they may be pipes whose
 * reader waits for an end of file.
 */
static void close_others(const struct mw_holder *h)
{
	const int keep[] = { h->sock, h->task, h->ended };
	unsigned from = 0;

	for (;;) {
		unsigned next = ~0U;
		for (size_t i = 0; i < sizeof(keep) / sizeof(*keep); i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from &&
			    (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next == ~0U ? next : next - 1, 0);
		if (next == ~0U)
			return;
		from = next + 1;
	}
}

/*
 * Its own session, so that no signal to memwhy's process group (a terminal's ^C and ^Z,
 * kill -STOP) reaches it: stopped itself, it could not keep the time-out. All signals
 * are blocked already. It dies with memwhy, which lets a held target go; but not when
 * it makes a copy: a target in the middle of our call must be put back first.
 */
static void settle(struct mw_holder *h)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t chld;

	if (!h->copies)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != h->parent)
		_exit(1);
	setsid();
	close(h->peer);
	close_others(h);
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

/* Holds the target still until it is released, or its time is over. */
static void hold(struct mw_holder *h, struct mw_holder_report *report)
{
	enum mw_holder_event event = MW_EVENT_CHILD;

	h->since_ns = mw_now_ns();
	report->errnum = mw_threads_stop(h, report);
	if (!report->errnum) {
		tell(h, report);
		while (event == MW_EVENT_CHILD) {
			event = mw_holder_wait(h, h->max_ms);
			mw_threads_note(h);
		}
		report->cut = event == MW_EVENT_TIMEOUT;
	}
	mw_threads_release(h);
	report->held_ns = mw_now_ns() - h->since_ns;
}

/* Stops the target for as long as it takes to copy it. */
static void make_copy(struct mw_holder *h, struct mw_holder_report *report)
{
	uint64_t begin = mw_now_ns();

	for (int i = 0;; i++) {
		h->since_ns = mw_now_ns();
		report->errnum = mw_threads_stop(h, report);
		if (!report->errnum)
			report->errnum = mw_copy_make(h, report);
		mw_threads_release(h);
		report->held_ns += mw_now_ns() - h->since_ns;
		/* Where a thread is, is a matter of luck; everything else is not. */
		if (report->errnum != EBUSY || report->what != MW_WHAT_UNSAFE ||
		    i == MAX_TRIES || !mw_ms_left(begin, h->max_ms))
			break;
		mw_threads_forget(h);
		mw_regs_clear(h->regs);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

/* Keeps the copy until it is released, or one of the three has ended. */
static void keep_copy(struct mw_holder *h, struct mw_holder_report *report)
{
	const unsigned char *state = &h->tids->state[h->copy.child];
	enum mw_holder_event event = MW_EVENT_CHILD;

	while ((event == MW_EVENT_CHILD || event == MW_EVENT_TIMEOUT) &&
	       *state != MW_TID_FREE) {
		h->since_ns = mw_now_ns();
		event = mw_holder_wait(h, LONG_MS);
		mw_threads_note(h);
	}
	report->cut = event != MW_EVENT_RELEASE;
}

static void copy(struct mw_holder *h, struct mw_holder_report *report)
{
	struct mw_holder_report end = { 0 };

	make_copy(h, report);
	if (report->errnum) {
		/* It came too late, or the target was killed: no reason to leave it. */
		mw_copy_end(h, &end);
		if (end.what == MW_WHAT_ZOMBIE)
			*report = end;
		return;
	}
	tell(h, report);
	end.held_ns = report->held_ns;
	keep_copy(h, &end);
	mw_copy_end(h, &end);
	*report = end;
}

_Noreturn void mw_holder_run(struct mw_holder *h)
{
	struct mw_holder_report report = { 0 };

	settle(h);
	if (h->copies)
		copy(h, &report);
	else
		hold(h, &report);
	tell(h, &report);
	if (report.what == MW_WHAT_ZOMBIE)
		mw_copy_reap_late(h);
	_exit(0);
}
