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

struct mw_holder {
	pid_t parent;
	int task;       /* the target's /proc/PID/task */
	int sock, peer; /* our end, and memwhy's, which we must not keep open */
	int sigs;       /* tells of changes of threads */
	unsigned max_ms;
	uint64_t since_ns;
	struct mw_tids *tids;
	struct mw_regs_area *regs; /* shared with memwhy */
};

struct mw_holder_report {
	int errnum; /* 0: it stands, or stood */
	pid_t tid;  /* the thread concerned */
	bool cut;
	uint64_t held_ns;
};

enum mw_holder_event { MW_EVENT_CHILD, MW_EVENT_RELEASE, MW_EVENT_TIMEOUT };

/* The time, for measuring. */
uint64_t mw_now_ns(void);

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

/* The holder's whole life, in a child that was forked with all signals blocked. */
_Noreturn void mw_holder_run(struct mw_holder *h);
