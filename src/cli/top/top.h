/* SPDX-License-Identifier: MIT */
/* What the files of `memwhy top` share. */
#pragma once

#include "cli/cmd.h"

struct mw_top_opts;

/* How often, and how long between two looks. */
struct mw_top_pace {
	uint64_t times; /* 0: until interrupted */
	unsigned seconds;
};

/* True when a screen is to be opened: a terminal, and no format that excludes it. */
bool mw_top_has_screen(const struct mw_cli *cli);

/* Opens it; returns when the user quits. UNSUPPORTED: the terminal cannot. */
struct mw_err *mw_top_screen(struct mw_cli *cli, const struct mw_top_opts *view,
			     const struct mw_top_pace *pace) MW_MUST_USE;
