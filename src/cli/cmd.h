/* SPDX-License-Identifier: MIT */
/*
 * A command is one constant object in a file of its own, listed in main.c; help,
 * completions and the test that every command has a man page read that list.
 */
#pragma once

#include "cli/opts.h"
#include "out/out.h"
#include <memwhy/source.h>

/* What a command is given. */
struct mw_cli {
	struct mw_opt_values opts;
	char **args; /* operands */
	int n_args;
	struct mw_out_opts out_opts;
	struct mw_source *src; /* open when the command needs one */
	int status;            /* what to exit with; 0 unless the command sets it */
};

/* Exit statuses (memwhy(1)). */
enum {
	MW_EXIT_OK = 0,
	MW_EXIT_FINDING = 1,
	MW_EXIT_USAGE = 2,
	MW_EXIT_LIMITED = 3,
	MW_EXIT_GONE = 4,
	MW_EXIT_FAILED = 5,
};

enum {
	MW_NEEDS_SOURCE = 1 << 0,
	MW_NEEDS_PID = 1 << 1, /* an operand that names a process, or --largest */
};

struct mw_cmd {
	const char *name;
	const char *summary;
	const char *usage; /* after "memwhy NAME " */
	unsigned needs;
	int max_args;               /* operands */
	const enum mw_opt_id *opts; /* its own; ends with MW_OPT_END */
	struct mw_err *(*run)(struct mw_cli *cli);
};

extern const struct mw_cmd mw_cmd_why, mw_cmd_map, mw_cmd_capture, mw_cmd_doctor;

/* The process the operands and --largest name. AMBIGUOUS lists all that fit. */
struct mw_err *mw_cli_target(struct mw_cli *cli, pid_t *ret) MW_MUST_USE;

struct mw_snapshot;
struct mw_snapshot_opts;

/* How a snapshot was held still. */
struct mw_stopped {
	bool asked;
	uint64_t held_ns;
	bool cut; /* the time-out ended it early: the answer may have drifted */
};

/*
 * Takes a snapshot as --engine, --jobs, --stop and --max-stop say. With --stop the
 * target stays stopped: call mw_cli_release() once everything was read.
 */
struct mw_err *mw_cli_snapshot(struct mw_cli *cli, pid_t pid, unsigned want,
			       struct mw_snapshot **ret) MW_MUST_USE;

/*
 * Everything was read: makes sure that it was all of one process (GONE), and ends the
 * stop of mw_cli_snapshot(), if there is one.
 */
struct mw_err *mw_cli_release(struct mw_cli *cli, const struct mw_snapshot *snap,
			      struct mw_stopped *ret) MW_MUST_USE;

/* A writer on standard output, as the options say. */
struct mw_err *mw_cli_out(struct mw_cli *cli, struct mw_out **ret) MW_MUST_USE;

/* Finishes the document whatever happened; of `err` and its own the first counts. */
struct mw_err *mw_cli_finish(struct mw_out *out, struct mw_err *err) MW_MUST_USE;
