/* SPDX-License-Identifier: MIT */
/*
 * Holds a process still with ptrace, or forks a copy of it, by a child process of
 * memwhy's own: the holder. Whatever happens to memwhy, the holder lets the target go;
 * whatever happens to the holder of a stop, the kernel does. See ptrace(2),
 * PTRACE_SEIZE.
 *
 * Unlike SIGSTOP it changes no state that others see, and a target that was stopped
 * before stays so. Like every stop it may end a few system calls of the target with
 * EINTR (signal(7), "Interruption of system calls and library functions by stop
 * signals"): that is why memwhy stops only on request.
 */
#pragma once

#include <memwhy/hold.h>

struct mw_hold;

/*
 * Stops all threads of `pid` for max_ms at most. `dir` is an open descriptor of its
 * /proc/PID. DENIED, GONE; IO when a thread does not stop within the time.
 */
struct mw_err *mw_hold_stop(pid_t pid, int dir, unsigned max_ms,
			    struct mw_hold **ret) MW_MUST_USE;

/*
 * Makes a copy of `pid` by a fork that is run in it, and lets it go on; the process
 * stands for max_ms at most, but for the thread that forks. DENIED also under seccomp,
 * IO when no process may be made or no thread is where that can be done: nothing has
 * changed then.
 */
struct mw_err *mw_hold_fork(pid_t pid, int dir, unsigned max_ms, struct mw_hold **ret,
			    pid_t *child) MW_MUST_USE;

/*
 * Lets the process run, or ends the copy. *held_ns: how long any thread of it stood
 * still; *cut: it had ended before: by the stop's time-out, because the holder died, or
 * because the copy was killed or the process ended. Once only. Fails when the copy could
 * not be reaped.
 */
struct mw_err *mw_hold_end(struct mw_hold *hold, uint64_t *held_ns,
			   bool *cut) MW_MUST_USE;

/* Whether it has not yet been ended. NULL is fine: false. */
bool mw_hold_active(const struct mw_hold *hold);

/* Whether `pid` is what is, or was, held, or the copy. NULL is fine: false. */
bool mw_hold_is_of(const struct mw_hold *hold, pid_t pid);

/* Of a copy whose original this is held: the original; else pid itself. */
pid_t mw_hold_origin(const struct mw_hold *hold, pid_t pid);

/* Appends the threads' registers as they were; also after the end. */
struct mw_err *mw_hold_registers(const struct mw_hold *hold,
				 struct mw_registers_list *out) MW_MUST_USE;

/* Ends it if need be, and frees it. NULL is fine. */
void mw_hold_free(struct mw_hold *hold);
