/* SPDX-License-Identifier: MIT */
/*
 * The answer of `memwhy page`: one page and the walk to it, a range of pages, or one
 * address in several processes; schema memwhy.page/1.
 */
#pragma once

#include "model/frame/frame.h"
#include "out/out.h"
#include "symbols/object.h"
#include <memwhy/explain.h>

struct mw_page_answer {
	const struct mw_snapshot *snap;
	const struct mw_layout *layout;
	uint64_t addr;   /* as asked for, of the first page */
	unsigned levels; /* of page tables; 0: not known */
	const struct mw_frame *frames;
	size_t n_frames;
	const struct mw_sharers *sharers; /* of a single page, or NULL */
	const char *no_frames;            /* why frames are hidden, or "" */
	const char *remedy;               /* the command that would show more, or "" */
	const char *cgroup;               /* path of the group it is charged to, or "" */
	bool has_value;                   /* the word at addr was read */
	uint64_t value;
};

/* One page (n_frames 1), or a range. NOMEM. */
struct mw_err *mw_view_page(struct mw_out *out,
			    const struct mw_page_answer *answer) MW_MUST_USE;

/* The same address in several processes. */
struct mw_page_same {
	const struct mw_process *process;
	struct mw_frame frame;
	bool mapped, has_value;
	uint64_t value;
	const char *no_frames;
	bool refused; /* its page map may not be read: no_frames says why */
};

/* NOMEM. */
struct mw_err *mw_view_page_same(struct mw_out *out, uint64_t addr,
				 const struct mw_page_same *rows, size_t n) MW_MUST_USE;
