/* SPDX-License-Identifier: MIT */
/*
 * Where each text file of <memwhy/source.h> lives: one table for the live source,
 * which opens it, and for a recorded tree, which keeps it under the same name.
 *
 * Kernel document: Documentation/filesystems/proc.rst.
 */
#pragma once

#include <memwhy/source.h>

enum mw_file_scope {
	MW_SCOPE_PROCESS, /* /proc/PID/ */
	MW_SCOPE_THREAD,  /* /proc/PID/, and /proc/PID/task/TID/ when a tid is given */
	MW_SCOPE_CGROUP,  /* of the process's memory cgroup, below /sys/fs/cgroup */
	MW_SCOPE_PROC,    /* the machine's, /proc/ */
	MW_SCOPE_SYS,     /* the machine's, /sys/ */
};

struct mw_file_place {
	const char *path; /* relative to the scope's directory, no leading slash */
	enum mw_file_scope scope;
	const char *v1, *v2; /* of a cgroup: its name there; a recording has `path` */
	bool one_record;     /* the kernel prints it all at once (single_open) */
};

/* Where a file lives; NULL when `file` is none of the enum. */
const struct mw_file_place *mw_file_place(enum mw_file file);

/*
 * USAGE unless the ids fit the file: a machine's file takes neither, a process's a
 * pid, and only some of those a tid.
 */
struct mw_err *mw_file_check(enum mw_file file, pid_t pid, pid_t tid) MW_MUST_USE;
