/* SPDX-License-Identifier: MIT */
/*
 * Runs one system call in a stopped thread, in place of what it was about to do, and
 * puts everything back: registers, signal mask, and an interrupted system call, which
 * goes on as after any stop. Nothing is written into the target's memory: the
 * instruction is one that is there.
 *
 * ptrace(2), "Syscall-stops"; arch/x86/kernel/signal.c for how calls are restarted.
 */
#pragma once

#include "kernel/hold/holder.h"

struct mw_call {
	long nr;
	uint64_t args[5];
	long ret;      /* what it gave, or -errno */
	pid_t child;   /* that it started, attached to and stopped; 0: none */
	bool was_late; /* it took longer than the others may stand: they were let go */
};

/* Where a thread runs the call, and where it goes on afterwards. */
struct mw_site {
	uint64_t addr, back;
};

/* Picks a stopped thread in which a call may be run now. 0: none, *what tells why. */
pid_t mw_inject_choose(struct mw_holder *h, struct mw_site *site,
		       enum mw_holder_what *what);

/* Runs it. 0 also when the call itself failed; errno when it could not be run. */
int mw_inject_run(struct mw_holder *h, pid_t tid, const struct mw_site *site,
		  struct mw_call *call);

/* Whether all this is known for the machine memwhy was built for. */
bool mw_inject_is_known(void);
