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
