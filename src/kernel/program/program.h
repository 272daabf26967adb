/* SPDX-License-Identifier: MIT */
/*
 * A program of ours, started to be watched: two pipes to talk over, and a keeper. The
 * keeper is a child process between us and the program. Whatever happens to either, it
 * ends the program with all its descendants (it is their subreaper) and puts back what
 * was promised to be put back. Ctrl-C reaches only us.
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct mw_program;

/*
 * Starts `path` with args (NULL at the end; args[0] too). The program finds its ends of
 * the pipes in the environment: MEMWHY_LAB=OUT,IN. Its standard input is empty, its
 * standard output goes where ours for errors goes. NOTFOUND, DENIED, IO.
 */
struct mw_err *mw_program_start(const char *path, char *const *args,
				struct mw_program **ret) MW_MUST_USE;

/* The program itself, not its keeper. */
pid_t mw_program_pid(const struct mw_program *program);

/*
 * The next line it writes, without its end, valid until the next call. *line is NULL
 * when it ended. A line of over 4 KiB, or a byte 0 in it, is FORMAT.
 */
struct mw_err *mw_program_line(struct mw_program *program, const char **line) MW_MUST_USE;

/* Lets it go on: one byte. GONE. */
struct mw_err *mw_program_go(struct mw_program *program) MW_MUST_USE;

/* What the keeper does at the end: in reverse order of being asked. */
enum mw_undo {
	MW_UNDO_REMOVE,  /* a file or an empty folder */
	MW_UNDO_RESTORE, /* writes the text to the file */
	MW_UNDO_CLEAR,   /* removes a folder "memwhy-lab-…" with all that is in it */
};

/* When this returns the keeper knows it. USAGE, IO. */
struct mw_err *mw_program_undo(struct mw_program *program, enum mw_undo how,
			       const char *path, const char *text) MW_MUST_USE;

/*
 * Ends it, waits until all is put back, frees. *status is as wait() gives it, when the
 * program had ended by itself, else -1; `status` may be NULL. NULL is fine.
 */
void mw_program_end(struct mw_program *program, int *status);
