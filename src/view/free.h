/* SPDX-License-Identifier: MIT */
/*
 * The answer of `memwhy free`: where all of the machine's memory is, in rows that add
 * up, schema memwhy.free/1; or laid down as procps' free(1) prints it, to the byte.
 */
#pragma once

#include "model/machine/machine.h"
#include "out/out.h"

struct mw_free_answer {
	const struct mw_machine *machine;
	const struct mw_machine *before;       /* the look before, or NULL */
	uint64_t elapsed_ns;                   /* since then */
	const struct mw_cgroup *cgroup;        /* or NULL */
	const struct mw_cgroup_bridge *bridge; /* from it to Pss, or NULL */
	const char *no_cgroup;                 /* why there is none, "" when there is */
	bool recorded; /* it is not this machine that was looked at */
};

/* Rows for people and machines. NOMEM. */
struct mw_err *mw_view_free(struct mw_out *out,
			    const struct mw_free_answer *answer) MW_MUST_USE;

struct mw_free_classic {
	unsigned power; /* of 1024 or 1000: 0 bytes, 1 KiB (the default), … 5 */
	bool chosen;    /* the unit was asked for */
	bool human, si, low_high, line, total, committed, wide;
};

/* Procps' table. NOMEM. */
struct mw_err *mw_view_free_classic(struct mw_out *out, const struct mw_machine *machine,
				    const struct mw_free_classic *opts) MW_MUST_USE;
