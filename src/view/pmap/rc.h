/* SPDX-License-Identifier: MIT */
/*
 * pmap's configuration files: which columns a detailed table has, and whether names are
 * whole paths. A section in brackets, then a name a line; # behind a blank
 * begins a comment.
 */
#pragma once

#include "base/arena.h"
#include "view/pmap/pmap.h"

/*
 * Reads one into `opts`; names are in the arena. Lines that are not understood are no
 * failure: they are told in `warnings`, a line each. IO, FORMAT, NOMEM.
 */
struct mw_err *mw_pmap_rc_read(const char *path, struct mw_arena *arena,
			       struct mw_pmap_opts *opts,
			       struct mw_buf *warnings) MW_MUST_USE;

/* Writes one that names every column as a comment; an existing file is left alone. */
struct mw_err *mw_pmap_rc_create(const char *path) MW_MUST_USE;
