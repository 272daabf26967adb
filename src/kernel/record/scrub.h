/* SPDX-License-Identifier: MIT */
/*
 * Takes the names out of a record: process, thread and mapping names and paths become
 * made-up ones, the same one wherever the same name stood. Paths that every system has
 * (/usr, /lib, …) and names that the kernel gave stay.
 *
 * docs/trees.md lists what is replaced and what is not. It does not look into memory.
 */
#pragma once

#include "kernel/record/record.h"

struct mw_scrub;

/* No names yet; NULL: no memory. */
struct mw_scrub *mw_scrub_new(void);

/* NULL is fine. */
void mw_scrub_free(struct mw_scrub *scrub);

/*
 * Replaces the names of everything in the record; a second time, of what was added
 * since. False: no memory, and some names may still be there.
 */
bool mw_scrub_record(struct mw_scrub *scrub, struct mw_record *rec) MW_MUST_USE;

/* Appends a path, as it is or made up; `escaped`: with \ooo, as in maps. */
bool mw_scrub_path(struct mw_scrub *scrub, const char *path, size_t len, bool escaped,
		   struct mw_buf *out) MW_MUST_USE;

/* Appends the made-up name for a name. */
bool mw_scrub_name(struct mw_scrub *scrub, const char *name, size_t len,
		   struct mw_buf *out) MW_MUST_USE;
