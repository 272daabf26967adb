/* SPDX-License-Identifier: MIT */
/*
 * Stops a process with ptrace, held by a child process of its own: whatever happens to
 * memwhy or to that child, the target runs again. See ptrace(2), PTRACE_SEIZE.
 *
 * Unlike SIGSTOP it changes no state that others see, and a target that was stopped
 * before stays so. Like every stop it may end a few system calls of the target with
 * EINTR (signal(7), "Interruption of system calls and library functions by stop
 * signals"): that is why memwhy stops only on request.
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_stop;

/*
 * Stops all threads of `pid` for max_ms at most. `task` is an open descriptor of its
 * /proc/PID/task. DENIED, GONE; IO when a thread does not stop within the time.
 */
struct mw_err *mw_stop_take(pid_t pid, int task, unsigned max_ms,
			    struct mw_stop **ret) MW_MUST_USE;

/*
 * Lets the process run, frees `stop` (NULL is fine). *held_ns: how long any thread of
 * it stood still; *cut: the stop had ended before, by its time-out or because its
 * holder died.
 */
void mw_stop_release(struct mw_stop *stop, uint64_t *held_ns, bool *cut);
