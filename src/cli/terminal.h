/* SPDX-License-Identifier: MIT */
/*
 * What standard output is, and what the environment and options ask of it: format,
 * units, colour (NO_COLOR, TERM=dumb, --color), UTF-8, width.
 */
#pragma once

#include "cli/opts.h"
#include "out/out.h"

/* Fills the writer's options. USAGE: options that exclude each other. */
struct mw_err *mw_terminal_opts(const struct mw_opt_values *values,
				struct mw_out_opts *ret) MW_MUST_USE;

/* Lines of the window on standard output; 0: there is none. LINES overrides it. */
unsigned mw_terminal_height(void);

/* True for an error that only says the reader closed the pipe. */
bool mw_err_is_closed_pipe(const struct mw_err *err);

/* Says something on standard error; nothing in it can control the terminal. */
void mw_terminal_tell(const char *msg);
