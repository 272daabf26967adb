/* SPDX-License-Identifier: MIT */
/*
 * The live source: this machine's /proc. Internal to live*.c.
 *
 * A process is held by a descriptor of its /proc directory, so a pid that is reused
 * meanwhile answers "gone" and never with another process's data. Its page map and
 * memory stay open beside it: a snapshot asks for them thousands of times. Only a
 * bounded number of processes and mapped files is held.
 */
#pragma once

#include "base/vec.h"
#include "kernel/hold/hold.h"
#include "kernel/source.h"

#include <pthread.h>

/* Descriptors of one process, -1 when not open. */
struct mw_live_proc {
	pid_t pid;
	int dir;
	int pagemap, mem;
	unsigned users;    /* calls under way: not to be evicted */
	bool gone;         /* it was seen to have ended */
	uint64_t used_seq; /* when it was used last */
};

/* A mapped file that was opened and verified. */
struct mw_live_object {
	uint64_t dev, ino; /* as maps prints them */
	int fd;
	uint64_t used_seq;
};

enum { MW_LIVE_PROCS = 32, MW_LIVE_OBJECTS = 32, MW_LIVE_NAME = 64 };

struct mw_live {
	struct mw_source base;
	int proc; /* the /proc directory */
	char *release;
	pthread_mutex_t lock; /* of everything below */
	uint64_t seq;
	struct {
		MW_VEC(struct mw_live_proc *);
	} procs;
	struct mw_live_object objects[MW_LIVE_OBJECTS];
	size_t n_objects;
	int kpage[MW_KPAGE_KINDS];
	bool no_guard;        /* this kernel's scan does not know MW_SCAN_GUARD */
	struct mw_hold *hold; /* the last stop, perhaps over; or NULL */
};

static inline struct mw_live *mw_live_of(struct mw_source *src)
{
	return (struct mw_live *)src;
}

/* Whether its directory is open already. */
bool mw_live_is_open(struct mw_live *live, pid_t pid);

/* Finds or opens a process; every take needs a drop. NOTFOUND, GONE, DENIED. */
struct mw_err *mw_live_take(struct mw_live *live, pid_t pid,
			    struct mw_live_proc **ret) MW_MUST_USE;
void mw_live_drop(struct mw_live *live, struct mw_live_proc *proc);

/* The descriptor of "pagemap" or "mem", opened once; owned by `proc`. */
struct mw_err *mw_live_pagemap(struct mw_live *live, struct mw_live_proc *proc,
			       int *ret) MW_MUST_USE;
struct mw_err *mw_live_mem(struct mw_live *live, struct mw_live_proc *proc,
			   int *ret) MW_MUST_USE;

/*
 * Closes both: they stay bound to the address space they were opened on, which an
 * exec replaces. Called where a new look at the process begins.
 */
void mw_live_renew(struct mw_live *live, struct mw_live_proc *proc);

/* Forgets processes that were seen to have ended, so that their pids may be reused. */
void mw_live_forget_gone(struct mw_live *live);

/* Whether the process is still there (perhaps as a zombie). */
bool mw_live_there(struct mw_live *live, struct mw_live_proc *proc);

/*
 * The error for a failed call on `name` below the process's directory: tells a process
 * that ended from one without memory, and a refusal with what lifts it.
 */
struct mw_err *mw_live_fail(struct mw_live *live, struct mw_live_proc *proc,
			    const char *name, int errnum) MW_MUST_USE;

/* The error for an address space that ended while it was read (exit or exec). */
struct mw_err *mw_live_mm_gone(struct mw_live *live, struct mw_live_proc *proc,
			       const char *name) MW_MUST_USE;

/*
 * Appends everything a descriptor gives, in few calls; closes nothing. 0 or errno.
 * `one_record`: the kernel prints it all at once, so a read that leaves room is the last.
 */
int mw_live_slurp(int fd, bool one_record, struct mw_buf *out);

/* The same of a file below an open directory. */
int mw_live_slurp_at(int dir, const char *name, bool one_record, struct mw_buf *out);

/* Appends a line for every group of the memory controller: MW_FILE_CGROUPS. */
struct mw_err *mw_live_list_cgroups(struct mw_buf *out) MW_MUST_USE;

struct mw_file_place;

/* Appends a file of the process's memory cgroup (MW_SCOPE_CGROUP). */
struct mw_err *mw_live_read_cgroup(struct mw_live *live, struct mw_live_proc *proc,
				   const struct mw_file_place *place,
				   struct mw_buf *out) MW_MUST_USE;

/*
 * As mw_live_slurp(), but what `take` has used makes room for what comes next; with
 * `ahead` a thread reads on meanwhile, if the file is long. Errors of reading in *errnum,
 * those of `take` returned.
 */
struct mw_err *mw_live_stream(int fd, bool ahead, mw_text_sink *take, void *ctx,
			      int *errnum) MW_MUST_USE;

/* The operations that have a file of their own; see source.h for what they do. */
struct mw_err *mw_live_scan(struct mw_source *src, pid_t pid, uint64_t start,
			    uint64_t end, struct mw_page_ranges *out) MW_MUST_USE;
struct mw_err *mw_live_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_live_read_kpage(struct mw_source *src, enum mw_kpage which,
				  uint64_t pfn, size_t n, uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_live_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				   void *bytes, size_t len, enum mw_purpose purpose,
				   size_t *got) MW_MUST_USE;
struct mw_err *mw_live_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
				    void *bytes, size_t len, enum mw_purpose purpose,
				    size_t *got) MW_MUST_USE;
struct mw_err *mw_live_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				  uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_live_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				   uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_live_read_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got) MW_MUST_USE;
struct mw_err *mw_live_list_fds(struct mw_source *src, pid_t pid,
				struct mw_fds *out) MW_MUST_USE;
struct mw_err *mw_live_stop(struct mw_source *src, pid_t pid,
			    unsigned max_ms) MW_MUST_USE;
struct mw_err *mw_live_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
			    pid_t *child) MW_MUST_USE;
struct mw_err *mw_live_resume(struct mw_source *src, uint64_t *held_ns,
			      bool *cut) MW_MUST_USE;
struct mw_err *mw_live_list_registers(struct mw_source *src, pid_t pid,
				      struct mw_registers_list *out) MW_MUST_USE;
struct mw_err *mw_live_list_kept(struct mw_source *src, pid_t pid,
				 struct mw_words *out) MW_MUST_USE;
struct mw_err *mw_live_probe(struct mw_source *src, enum mw_feature feature,
			     bool *ret) MW_MUST_USE;
