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
	FILE *to;              /* what commands print goes here; NULL: standard output */
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
	int max_args;                 /* operands */
	const enum mw_opt_id *opts;   /* its own; ends with MW_OPT_END */
	const enum mw_opt_id *common; /* instead of those that all commands have */
	int usage_status;             /* instead of MW_EXIT_USAGE */
	struct mw_err *(*run)(struct mw_cli *cli);
};

extern const struct mw_cmd mw_cmd_why, mw_cmd_map, mw_cmd_heap, mw_cmd_leaks, mw_cmd_pmap,
	mw_cmd_page, mw_cmd_free, mw_cmd_top, mw_cmd_size, mw_cmd_lab, mw_cmd_capture,
	mw_cmd_doctor;

/* The process the operands and --largest name. AMBIGUOUS lists all that fit. */
struct mw_err *mw_cli_target(struct mw_cli *cli, pid_t *ret) MW_MUST_USE;

struct mw_gap;
struct mw_snapshot;
struct mw_snapshot_opts;

/* How a snapshot was held still. */
struct mw_stopped {
	bool asked;
	uint64_t held_ns; /* all stops together */
	bool cut;         /* the time-out ended it early: the answer may have drifted */
	unsigned n;       /* stops */
	uint64_t longest_ns; /* of them */
	bool forked;         /* a copy was looked at: held only while it was made */
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

/* How a snapshot is to be taken, of a target at rest or running; USAGE. */
struct mw_err *mw_cli_snapshot_opts(const struct mw_cli *cli, unsigned want, bool still,
				    struct mw_snapshot_opts *ret) MW_MUST_USE;

/* --max-stop, milliseconds. USAGE. */
struct mw_err *mw_cli_max_stop(const struct mw_cli *cli, unsigned *ret) MW_MUST_USE;

/* When a target is stopped for its heap to be read; --no-stop and --snapshot overrule. */
enum mw_hold {
	MW_HOLD_ALWAYS,    /* `heap`, `leaks` */
	MW_HOLD_UNSETTLED, /* `why`: only where looking at the running target fails */
};

struct mw_heap;
struct mw_heap_opts;

/* What is done with a target at rest: mw_heap_take() or mw_reach_gather(). */
struct mw_looker {
	void *ctx;
	unsigned want; /* of the snapshot, besides threads */
	enum mw_hold hold;
	unsigned max_stop_ms; /* where --max-stop says nothing; 0: as usual */
	/* Reads all that must be read at rest. Errors end the look. */
	struct mw_err *(*take)(void *ctx, const struct mw_snapshot *snap,
			       const struct mw_heap_opts *opts, void **ret);
	/* The heap in what take() made tells whether to look again; NULL: not walked. */
	const struct mw_heap *(*heap)(const void *taken);
	void (*free)(void *taken);
};

struct mw_look;

/*
 * Looks at a process: stops it, takes a snapshot with registers, runs `looker`, and lets
 * it go on; again, at most five times and --max-stop in all, when an allocator was met
 * in the middle of a change. What came out best is kept. Where the target may not be
 * stopped it is looked at as it runs, and a gap says why. Recordings and cores lie still.
 * A copy made by --snapshot stays until mw_look_end().
 */
struct mw_err *mw_cli_look(struct mw_cli *cli, pid_t pid, const struct mw_looker *looker,
			   struct mw_look **ret) MW_MUST_USE;

/* The snapshot looked at (of the copy, with --snapshot); lives as long as `look`. */
const struct mw_snapshot *mw_look_snapshot(const struct mw_look *look);

/* The same, but always of the process that was meant: for its name. */
const struct mw_snapshot *mw_look_whose(const struct mw_look *look);

/* What looker->take() made; the caller's from here on. NULL the second time. */
void *mw_look_taken(struct mw_look *look);

/* How the target was held until now. */
const struct mw_stopped *mw_look_stopped(const struct mw_look *look);

/* What was not as wished, such as that the target could not be stopped. */
const struct mw_gap *mw_look_gaps(const struct mw_look *look, size_t *n);

/* True when the answer comes from a recording that lacks what a heap is read from. */
bool mw_look_unrecorded(const struct mw_look *look);

/* Adds a gap to those of the look: that its heap is not in the recording. NOMEM. */
struct mw_err *mw_look_note_unrecorded(struct mw_look *look) MW_MUST_USE;

/* Adds what of the source could not be read, for who does not classify. NOMEM. */
struct mw_err *mw_look_note_refusals(struct mw_look *look) MW_MUST_USE;

/* Adds any other, whose remedy is the command `verb` on the same process. NOMEM. */
struct mw_err *mw_look_note(struct mw_look *look, const char *what, const char *why,
			    const char *verb) MW_MUST_USE;

/*
 * All was read, also what naming and judging needed: checks that it was of one process
 * (GONE), ends the copy of --snapshot.
 */
struct mw_err *mw_look_end(struct mw_look *look, struct mw_stopped *ret) MW_MUST_USE;
void mw_look_free(struct mw_look *look);

static inline void mw_look_auto_free(struct mw_look **look)
{
	mw_look_free(*look);
}
#define mw_auto_look __attribute__((cleanup(mw_look_auto_free))) struct mw_look *

/* What is done for `heap`: mw_heap_take(). */
extern const struct mw_looker mw_looker_heap;

struct mw_view_stop;

/* The same for views, which know no commands. */
struct mw_view_stop mw_cli_view_stop(const struct mw_stopped *stopped);

/* True when mappings were wanted and denied; a kernel thread simply has none. */
bool mw_cli_is_limited(const struct mw_snapshot *snap);

struct mw_buf;

/* Appends a file that the user named; FORMAT when it is longer than `max` bytes. */
struct mw_err *mw_cli_read_file(const char *path, uint64_t max,
				struct mw_buf *ret) MW_MUST_USE;

/* What is wrong with a file is said with its name. Takes the error over. */
struct mw_err *mw_cli_blame(struct mw_err *err, const char *path) MW_MUST_USE;

/* A writer on standard output, as the options say. */
struct mw_err *mw_cli_out(struct mw_cli *cli, struct mw_out **ret) MW_MUST_USE;

/* Finishes the document whatever happened; of `err` and its own the first counts. */
struct mw_err *mw_cli_finish(struct mw_out *out, struct mw_err *err) MW_MUST_USE;
