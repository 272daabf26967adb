/* SPDX-License-Identifier: MIT */
/*
 * Holding a process still while it is read, and what only a held one can tell: its
 * registers. A source holds one process at a time. Man page ptrace(2).
 *
 * Errors as in source.h.
 */
#pragma once

#include <memwhy/source.h>

/*
 * What a thread held in its registers when it was stopped: every general register, and
 * those of the vector unit, as words, because a pointer may be in any of them.
 */
enum { MW_REGISTER_WORDS = 384 };
struct mw_registers {
	pid_t tid;
	uint64_t pc, sp;
	uint64_t tp; /* thread pointer: fs_base on x86-64 */
	size_t n;    /* of `words` */
	uint64_t words[MW_REGISTER_WORDS];
};

struct mw_registers_list {
	struct mw_registers *items;
	size_t n, cap;
};

/* Words of a process. */
struct mw_words {
	uint64_t *items;
	size_t n, cap;
};

/*
 * Stops every thread of `pid` until mw_source_resume(), or for max_ms at most,
 * whatever happens to memwhy: the stop is a ptrace seizure held by a child process,
 * which ends it on its own time-out, and the kernel ends it when that child dies. A
 * recording does not move: there it does nothing.
 */
struct mw_err *mw_source_stop(struct mw_source *src, pid_t pid,
			      unsigned max_ms) MW_MUST_USE;

/* Ends the stop. *held_ns: how long it lasted; *cut: it ended by its own time-out. */
struct mw_err *mw_source_resume(struct mw_source *src, uint64_t *held_ns,
				bool *cut) MW_MUST_USE;

/*
 * Appends the registers of every thread, as they were when the process was stopped (or
 * forked from, or dumped); they stay known when it runs on, until the next stop.
 * UNSUPPORTED when it was not stopped.
 */
struct mw_err *mw_source_list_registers(struct mw_source *src, pid_t pid,
					struct mw_registers_list *out) MW_MUST_USE;

/*
 * Appends the words that the kernel keeps for the process and gives back to it later:
 * epoll data, the values of timers. They may be the only pointer to a block.
 */
struct mw_err *mw_source_list_kept(struct mw_source *src, pid_t pid,
				   struct mw_words *out) MW_MUST_USE;

/*
 * Makes the process fork a copy-on-write child that never runs, and lets it go on: the
 * child is looked at in its place, at leisure. mw_source_resume() ends it: the child is
 * killed and reaped, *held_ns is how long the process itself stood still, *cut that the
 * child had ended before. Registers and kept words are listed for the child as for the
 * process. A recording is its own copy.
 *
 * This runs a system call in the target, and is done on explicit request only; how, and
 * what of it can be noticed, is in docs/kernel-notes.md. DENIED under seccomp and where
 * ptrace is; IO when it may have no more processes, takes longer than max_ms, or
 * has no thread in which a call can be run: then nothing has changed.
 *
 * It holds whatever happens to memwhy, SIGKILL included, but not whatever happens to
 * the process that holds it for memwhy: that one killed in the middle of the call
 * leaves a thread with the registers of it, and killed later, a zombie in the target.
 */
struct mw_err *mw_source_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
			      pid_t *child) MW_MUST_USE;
