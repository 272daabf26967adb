/* SPDX-License-Identifier: MIT */
/*
 * What a capture wrote, schema memwhy.capture/1.
 */
#pragma once

#include "view/view.h"

struct mw_capture_answer {
	const struct mw_explanation *ex;
	const char *dir;
	uint64_t memory_bytes; /* contents recorded on request */
	bool scrubbed;
	struct mw_view_stop stop;
};

/* Says what is in the tree, and the command that reads it back. */
struct mw_err *mw_view_capture(struct mw_out *out,
			       const struct mw_capture_answer *answer) MW_MUST_USE;
