/* SPDX-License-Identifier: MIT */
/*
 * A source for tests that answers as another one does until its N-th call. A test that
 * loops over N reaches every error path of what it calls.
 */
#pragma once

#include <memwhy/source.h>

enum mw_flaky_mode {
	MW_FLAKY_IO,     /* call N fails with MW_ERR_IO, and only that one */
	MW_FLAKY_DENIED, /* call N fails with MW_ERR_DENIED, and only that one */
	MW_FLAKY_VANISH, /* from call N on, every process is gone */
	MW_FLAKY_REUSE,  /* from call N on, its pid belongs to another, small process */
};

struct mw_flaky_opts {
	size_t fail_at; /* N, from 1; 0: never */
	enum mw_flaky_mode mode;
};

/* Wraps `inner` (borrowed, must outlive it). Closing and resuming never fail. */
struct mw_err *mw_flaky_open(struct mw_source *inner, const struct mw_flaky_opts *opts,
			     struct mw_source **ret) MW_MUST_USE;

/* How many calls were made so far, failed ones too. */
size_t mw_flaky_calls(struct mw_source *flaky);
