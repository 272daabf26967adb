/* SPDX-License-Identifier: MIT */
/*
 * The holder's side: a child process that must not allocate nor take a lock, for its
 * parent may have had threads. Everything it needs is prepared before it is forked.
 * Internal to this folder.
 *
 * It talks with memwhy over a socket pair: it reports once when the target stands still
 * (or was copied) and once when all is over; a byte, or memwhy's end closing, releases
 * it.
 */
#pragma once

#include "base/clock.h"

#include "kernel/hold/registers.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	MW_TID_MAX = 4 << 20, /* the kernel's own limit of pid_max */
	MW_REACH_MS = 1000,   /* to bring all threads to a stop */
	MW_GRACE_MS = 2000,   /* for the holder to answer, beyond the target's time */
};

enum mw_tid_state { MW_TID_FREE, MW_TID_RUNS, MW_TID_STANDS };

/* The threads; mapped lazily, so what is not used costs nothing. */
struct mw_tids {
	size_t n, n_running;
	pid_t list[MW_TID_MAX];
	unsigned char state[MW_TID_MAX]; /* enum mw_tid_state, by tid */
	unsigned char sig[MW_TID_MAX];   /* by tid: held back, delivered on release */
};

/* The copy of the target that a fork made; see copy.c. */
struct mw_copy {
	pid_t child;  /* as we see it; 0: none */
	pid_t inside; /* as the target sees it, perhaps in a pid namespace */
	int fd;       /* a pidfd of it when it is being ended; -1: none */
};

struct mw_holder {
	pid_t pid, parent;
	bool copies;    /* makes a copy and lets the target run, rather than hold it */
	bool released;  /* memwhy has said so, or is gone: there is work left, no news */
	int task;       /* the target's /proc/PID/task */
	int ended;      /* readable when the target has ended; -1: cannot be told */
	int sock, peer; /* our end, and memwhy's, which we must not keep open */
	int sigs;       /* tells of changes of threads */
	uint64_t site;  /* of a system call instruction in the target, or 0 */
	int resend;     /* a signal that came between: to be sent again */
	struct mw_copy copy;
	unsigned max_ms;
	uint64_t since_ns;
	struct mw_tids *tids;
	struct mw_regs_area *regs; /* shared with memwhy */
};

/* What an error number of a report is about. */
enum mw_holder_what {
	MW_WHAT_STOP,    /* a thread could not be stopped */
	MW_WHAT_UNSAFE,  /* no thread was where a system call can be put in between */
	MW_WHAT_SECCOMP, /* all such threads are under seccomp */
	MW_WHAT_CALL,    /* the system call itself failed */
	MW_WHAT_LATE,    /* it took longer than the target may stand */
	MW_WHAT_ZOMBIE,  /* the copy has ended, and could not be reaped */
};

struct mw_holder_report {
	int errnum; /* 0: it stands, or stood */
	enum mw_holder_what what;
	pid_t child; /* the copy */
	pid_t tid;   /* the thread concerned */
	bool cut;
	uint64_t held_ns;
};

enum mw_holder_event {
	MW_EVENT_CHILD,
	MW_EVENT_RELEASE,
	MW_EVENT_TIMEOUT,
	MW_EVENT_ENDED, /* the target */
};

/* Milliseconds from now to `after_ms` past `since_ns`, rounded up, never negative. */
int mw_ms_left(uint64_t since_ns, uint64_t after_ms);

/* Waits for a change of a thread, for the release, or until after_ms past the begin. */
enum mw_holder_event mw_holder_wait(struct mw_holder *h, uint64_t after_ms);

/* Notes every stop and end that is to be reported. */
void mw_threads_note(struct mw_holder *h);

/* Brings every thread to a stop. 0, or errno and the thread concerned. */
int mw_threads_stop(struct mw_holder *h, struct mw_holder_report *report);

/* Threads that are not yet standing are let go by the kernel when the holder exits. */
void mw_threads_release(struct mw_holder *h);

/* Only the n-th thread of those listed. 0, or errno; ENOENT: there are not so many. */
int mw_threads_stop_one(struct mw_holder *h, size_t n, struct mw_holder_report *report);

/* Forgets threads that were released, so that they may be stopped again. */
void mw_threads_forget(struct mw_holder *h);

/*
 * Waits for the next stop of one thread, for the rest of `ms` from `since_ns` on (ms < 0:
 * for ever). 0, ETIMEDOUT, or ESRCH when it ended.
 */
int mw_thread_wait(struct mw_holder *h, pid_t tid, uint64_t since_ns, int ms,
		   int *status);

/* The value of a numeric line of a thread's status; false when there is none. */
bool mw_thread_status(int task, pid_t tid, const char *key, uint64_t *ret);

/* Makes the copy; all threads stand. 0, or errno and what it is about. */
int mw_copy_make(struct mw_holder *h, struct mw_holder_report *report);

/* Ends the copy and reaps it in the target, which is stopped for that, once more. */
void mw_copy_end(struct mw_holder *h, struct mw_holder_report *report);

/* Goes on trying to reap it, for minutes: while somebody else traces the target. */
void mw_copy_reap_late(struct mw_holder *h);

/* The holder's whole life, in a child that was forked with all signals blocked. */
_Noreturn void mw_holder_run(struct mw_holder *h);
