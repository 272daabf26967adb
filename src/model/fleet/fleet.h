/* SPDX-License-Identifier: MIT */
/*
 * Every process by what it costs. Cheap files first: statm of all of them ranks (never
 * Rss of stat, which is a late counter); stat, status and the command line are read only
 * of the rows that are shown, or where a key, a filter or a group needs them of all.
 * smaps_rollup, which walks page tables and holds the target's mmap lock, is read of the
 * rows shown, largest Rss first, and within a budget of time. Pss and USS never exceed
 * Rss: so the first rows by them are proven as soon as the next Rss is smaller.
 *
 * What may not be read is MW_FLEET_UNKNOWN, never 0. It is no snapshot of one process:
 * see <memwhy/snapshot.h>.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include <memwhy/source.h>

#define MW_FLEET_UNKNOWN UINT64_MAX

enum mw_fleet_by {
	MW_BY_PROCESS,
	MW_BY_USER,
	MW_BY_COMMAND,
	MW_BY_CGROUP,
	MW_BY_FILE, /* mapped files: needs smaps of every process */
	MW_BY_COUNT,
};

enum mw_fleet_key {
	MW_RANK_PSS,
	MW_RANK_USS,
	MW_RANK_RSS,
	MW_RANK_SWAP,
	MW_RANK_TABLES,
	MW_RANK_FAULTS,
	MW_RANK_GROWTH,
	MW_RANK_AGE,
	MW_RANK_PID,
	MW_RANK_NAME,
	MW_RANK_COUNT,
};

/* Their names: "process", "pss"; NULL beyond the last. */
const char *mw_fleet_by_name(enum mw_fleet_by by);
const char *mw_fleet_key_name(enum mw_fleet_key key);
/* By name; false when there is none. */
bool mw_fleet_by_parse(const char *name, enum mw_fleet_by *ret);
bool mw_fleet_key_parse(const char *name, enum mw_fleet_key *ret);

/* A process, or several together. Bytes; strings are the fleet's. */
struct mw_fleet_row {
	pid_t pid, ppid; /* 0 of a group */
	unsigned depth;  /* below its parent, in a tree */
	bool kernel;
	unsigned have;        /* which files were read */
	uint64_t start_ticks; /* since boot */
	const char *name;     /* comm, user, cgroup, path */
	const char *command;  /* arguments joined by blanks; the name without them */
	const char *user;     /* or the number */
	const char *cgroup;
	uint64_t uid;
	uint64_t n, n_unread; /* processes in it; those without Pss */
	uint64_t rss, pss, uss, swap, swap_pss, tables, threads;
	uint64_t faults; /* since it began */
	uint64_t
		fault_rate; /* a second: since the last look, or on average of its life */
	uint64_t age_s;
	int64_t growth; /* of Rss, bytes a minute since the last look */
	bool has_growth;
};

struct mw_fleet_rows {
	MW_VEC(struct mw_fleet_row);
};

struct mw_fleet_opts {
	enum mw_fleet_by by;
	enum mw_fleet_key key;
	bool reverse; /* smallest first */
	bool tree;    /* children below their parents; MW_BY_PROCESS only */
	bool kernel;  /* kernel threads and zombies too: they have no memory of their own
		       */
	bool watch;   /* faults of all are needed by the next look */
	const char *filter; /* in name, command, user or pid; NULL: all */
	pid_t self; /* our own pid: a filter on our command line means others; 0: none */
	size_t n_rows;      /* at most so many; 0: all */
	uint64_t budget_ns; /* of wall time, for what walks page tables */
};

struct mw_fleet {
	struct mw_arena arena;
	struct mw_fleet_rows all;  /* every process that was meant, largest first */
	struct mw_fleet_rows rows; /* what is shown, in order */
	size_t n_groups;           /* rows there were before they were cut */
	struct mw_fleet_row total; /* of all; Pss and USS of those that were read */
	uint64_t unread_rss;       /* of those without Pss */
	size_t n_read, n_denied, n_late, n_vanished, n_failed;
	const char *failed_why, *denied_why; /* of the first of them, or "" */
	uint64_t walk_ns;                    /* spent on page tables */
	uint64_t cpu_ns;                     /* of this thread, for everything */
	uint64_t taken_ns;                   /* when: CLOCK_MONOTONIC */
	uint64_t since_ns; /* since the look before; 0: there was none */
	bool proven;       /* no row left out has a larger value than one shown */
};

/*
 * Looks at all processes. `before` (or NULL) is the last look, for rates; it is not
 * needed afterwards. What cannot be read of one process never fails the whole: NOMEM, or
 * that processes cannot be listed.
 */
struct mw_err *mw_fleet_take(struct mw_source *src, const struct mw_fleet_opts *opts,
			     const struct mw_fleet *before,
			     struct mw_fleet **ret) MW_MUST_USE;
void mw_fleet_free(struct mw_fleet *fleet);

static inline void mw_fleet_auto_free(struct mw_fleet **fleet)
{
	mw_fleet_free(*fleet);
}
#define mw_auto_fleet __attribute__((cleanup(mw_fleet_auto_free))) struct mw_fleet *
