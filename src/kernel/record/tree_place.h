/* SPDX-License-Identifier: MIT */
/*
 * What the names of a recorded tree's files mean.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum mw_tree_kind {
	MW_KIND_NONE,
	MW_KIND_MANIFEST,
	MW_KIND_FEATURES,
	MW_KIND_ERRORS,
	MW_KIND_KPAGECOUNT, /* these three as in enum mw_kpage */
	MW_KIND_KPAGEFLAGS,
	MW_KIND_KPAGECGROUP,
	MW_KIND_IDS,
	MW_KIND_FDS,
	MW_KIND_PAGES,
	MW_KIND_PAGEMAP,
	MW_KIND_ZEROS,
	MW_KIND_MEMORY,
	MW_KIND_ROBUST,
	MW_KIND_OBJECTS,
	MW_KIND_REGISTERS,
	MW_KIND_KEPT,
	MW_KIND_RAW, /* a text file as it was read */
};

/* What a path says. */
struct mw_tree_place {
	enum mw_tree_kind kind;
	pid_t pid, tid;
	unsigned file, seq;
};

/* False when the path, relative to the tree, is none of a tree's files. */
bool mw_tree_find_place(const char *path, struct mw_tree_place *ret);
