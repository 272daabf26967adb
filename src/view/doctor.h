/* SPDX-License-Identifier: MIT */
/*
 * What may be read here, and what opens the rest; schema memwhy.doctor/1.
 */
#pragma once

#include "model/access.h"
#include "view/view.h"

/* One process it was tried on. */
struct mw_doctor_target {
	pid_t pid;
	const char *who; /* "itself", "process 1" */
	struct mw_accesses access;
};

struct mw_doctor_answer {
	const struct mw_doctor_target *targets;
	size_t n_targets;
	bool known[MW_FEATURE_COUNT], present[MW_FEATURE_COUNT];
	const char *release;
	uint64_t page_size;
};

/* Access by process, then features of kernel and credentials. */
struct mw_err *mw_view_doctor(struct mw_out *out,
			      const struct mw_doctor_answer *answer) MW_MUST_USE;
