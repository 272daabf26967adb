/* SPDX-License-Identifier: MIT */
/*
 * The questions that failed, so that a denied read replays as denied. An answer to the
 * same question, if there is one, comes before an error.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"

#include <memwhy/source.h>

enum mw_rec_op {
	MW_REC_TEXT,
	MW_REC_EXE_LINK,
	MW_REC_LIST,
	MW_REC_FDS,
	MW_REC_SCAN,
	MW_REC_PAGEMAP,
	MW_REC_KPAGE,
	MW_REC_MEMORY,
	MW_REC_ZERO_BYTES,
	MW_REC_ROBUST,
	MW_REC_OBJECT,
	MW_REC_PROBE,
	MW_REC_REGISTERS,
	MW_REC_KEPT,
	MW_REC_N_OPS,
};

/* Which question: `sub` is the file, feature, kpage or device, `addr` also an inode. */
struct mw_rec_query {
	enum mw_rec_op op;
	pid_t pid, tid;
	uint64_t sub, addr;
};

struct mw_rec_error {
	struct mw_rec_query query;
	bool any_addr; /* the question fails wherever it is asked */
	enum mw_errc code;
	int errnum;
	const char *what, *msg;
};

/* Sorted by query; strings lie in the arena given to mw_rec_add_error(). */
struct mw_rec_errors {
	MW_VEC(struct mw_rec_error);
};

/* The operation's name on disk: "pagemap". */
const char *mw_rec_op_name(enum mw_rec_op op);

/* Keeps a failed question unless it is known; strings are copied. False: no memory. */
bool mw_rec_add_error(struct mw_rec_errors *errors, struct mw_arena *arena,
		      const struct mw_rec_error *error) MW_MUST_USE;

/* The error that answers a question; NULL when none is recorded. */
const struct mw_rec_error *mw_rec_find_error(const struct mw_rec_errors *errors,
					     const struct mw_rec_query *query);
