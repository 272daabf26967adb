/* SPDX-License-Identifier: MIT */
/*
 * The screen of `memwhy top`: the same looks as its one-shot table, again and again, with
 * keys. It knows no commands: who opens it says how to run one on a process.
 */
#pragma once

#include "model/fleet/fleet.h"

struct mw_buf;

struct mw_screen_opts {
	struct mw_fleet_opts fleet; /* n_rows is the screen's own business */
	unsigned seconds;           /* between two looks */
	bool colour, utf8, percent;
	uint64_t total; /* the machine's memory; 0 unknown */
	/* Runs a command ("why", "map") on a process; its text, or what went wrong. */
	struct mw_err *(*run)(void *ctx, const char *verb, pid_t pid, unsigned width,
			      struct mw_buf *text);
	void *ctx;
};

/*
 * Shows it until the user quits, and restores the terminal. *signal: what ended it
 * instead (SIGTERM, …), or 0; that is the caller's to pass on. UNSUPPORTED when the
 * terminal cannot show a screen. NOMEM.
 */
struct mw_err *mw_screen_run(struct mw_source *src, const struct mw_screen_opts *opts,
			     int *signal) MW_MUST_USE;
