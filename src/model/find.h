/* SPDX-License-Identifier: MIT */
/*
 * Which process is meant: by name, or the largest one. Reads only what every user may
 * read of every process (stat, statm, cmdline), and nothing that walks page tables.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/source.h>

/* A process that fits; strings are in the caller's arena. */
struct mw_candidate {
	pid_t pid;
	uint64_t rss;        /* bytes, from statm */
	const char *cmdline; /* arguments joined by blanks, or the comm in brackets */
};

struct mw_candidates {
	struct mw_candidate *items;
	size_t n, cap;
};

/*
 * Appends every process, kernel threads and `self` left out, whose comm, first
 * argument's base name, or that argument as typed equals `name`; by pid. NULL: every one.
 */
struct mw_err *mw_find_by_name(struct mw_source *src, const char *name, pid_t self,
			       struct mw_arena *arena,
			       struct mw_candidates *ret) MW_MUST_USE;

/* The process with the largest Rss whose mappings this user may read. NOTFOUND. */
struct mw_err *mw_find_largest(struct mw_source *src, pid_t self, pid_t *ret) MW_MUST_USE;
