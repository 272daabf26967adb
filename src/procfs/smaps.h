/* SPDX-License-Identifier: MIT */
/*
 * Parses smaps and smaps_rollup: a maps line, then "Key:   N kB" lines, then VmFlags.
 * Keys are matched by name; unknown keys are skipped, missing ones stay unknown (0
 * would be a claim). Pure. Format: Documentation/filesystems/proc.rst.
 */
#pragma once

#include "procfs/maps.h"

enum mw_smaps_key {
	MW_KEY_SIZE,
	MW_KEY_KERNEL_PAGE_SIZE,
	MW_KEY_MMU_PAGE_SIZE,
	MW_KEY_RSS,
	MW_KEY_PSS,
	MW_KEY_PSS_DIRTY,
	MW_KEY_PSS_ANON, /* rollup only, likewise the next two */
	MW_KEY_PSS_FILE,
	MW_KEY_PSS_SHMEM,
	MW_KEY_SHARED_CLEAN,
	MW_KEY_SHARED_DIRTY,
	MW_KEY_PRIVATE_CLEAN,
	MW_KEY_PRIVATE_DIRTY,
	MW_KEY_REFERENCED,
	MW_KEY_ANONYMOUS,
	MW_KEY_KSM,
	MW_KEY_LAZYFREE,
	MW_KEY_ANON_HUGE,
	MW_KEY_SHMEM_HUGE,
	MW_KEY_FILE_HUGE,
	MW_KEY_SHARED_HUGETLB,
	MW_KEY_PRIVATE_HUGETLB,
	MW_KEY_SWAP,
	MW_KEY_SWAP_PSS,
	MW_KEY_LOCKED,
	MW_KEY_COUNT,
};

struct mw_smaps_entry {
	struct mw_maps_line map;
	uint64_t bytes[MW_KEY_COUNT]; /* kB * 1024 */
	uint32_t known;               /* 1 << key */
	unsigned n_flags;
	char flags[64]; /* VmFlags, two letters each, unseparated, at most 32 */
};

/*
 * Parses the next entry from *pos, which moves past it. False at the end of the input,
 * and at a line that is no maps line (*pos then stays on it: *pos < end says broken).
 */
bool mw_smaps_next(const char **pos, const char *end, struct mw_smaps_entry *ret);

/*
 * Where the last entry of a piece of smaps begins: it may go on in the next piece.
 * `text` when no entry begins behind it.
 */
const char *mw_smaps_last(const char *text, const char *end);
