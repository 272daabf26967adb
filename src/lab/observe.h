/* SPDX-License-Identifier: MIT */
/*
 * What the kernel shows of a lab's processes at one moment: a snapshot of each with its
 * segments, its counters, and the machine. The probes of expressions ask it.
 *
 * Page-exact figures are counted from page runs, never from the kernel's counters,
 * which lag (mm_counter is per CPU since Linux 6.2). Pss and the like, which need
 * frames, are unknown where frames are hidden, with one exception: the sums of a whole
 * process, which smaps_rollup gives to anybody.
 */
#pragma once

#include "lab/expr.h"

/* A process under a name; several of one name are a group. */
struct mw_lab_process {
	const char *name; /* "" the program itself */
	pid_t pid;
};

struct mw_lab_processes {
	struct mw_lab_process *items;
	size_t n, cap;
};

struct mw_observation;

/*
 * Looks at all of them. One that has ended is simply not there: its probes are unknown.
 * Heaps, frames and contents are read when first asked for.
 */
struct mw_err *mw_observe(struct mw_source *src, const struct mw_lab_processes *processes,
			  struct mw_observation **ret) MW_MUST_USE;
/* The processes go on: from now on only what was already read is known. */
void mw_observation_close(struct mw_observation *seen);
void mw_observation_free(struct mw_observation *seen);

/* A probe: `func` of `process`. All sums are 0 where nothing is mapped. */
struct mw_err *mw_probe(struct mw_observation *seen, struct mw_arena *arena,
			const char *process, const char *func,
			const struct mw_value *args, size_t n,
			struct mw_value *ret) MW_MUST_USE;

/* A name that is not the program's: "page", "aslr", …; unknown when there is none. */
struct mw_err *mw_lab_constant(struct mw_source *src, struct mw_arena *arena,
			       const char *name, struct mw_value *ret) MW_MUST_USE;

/* Whether a probe or a constant of this name exists: for checking a description. */
bool mw_probe_exists(const char *func, size_t n_args);
bool mw_lab_constant_exists(const char *name);

/* One watched range; strings in the arena. *pid is 0 when there is no such process. */
struct mw_err *mw_lab_look(struct mw_observation *seen, struct mw_arena *arena,
			   const char *process, uint64_t addr, uint64_t len, pid_t *pid,
			   struct mw_lab_seen *ret) MW_MUST_USE;
