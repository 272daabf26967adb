/* SPDX-License-Identifier: MIT */
/*
 * The text files that a source is asked for. What is in them is parsed in src/procfs.
 * Kernel documents: Documentation/filesystems/proc.rst, admin-guide/cgroup-v2.rst.
 */
#pragma once

/* Text files. Those up to MW_FILE_LAST_PROC belong to a process (some to a thread too).
 */
enum mw_file {
	MW_FILE_MAPS,
	MW_FILE_SMAPS,
	MW_FILE_SMAPS_ROLLUP,
	MW_FILE_STATUS, /* process or thread */
	MW_FILE_STATM,
	MW_FILE_STAT, /* process or thread */
	MW_FILE_COMM, /* process or thread */
	MW_FILE_CMDLINE,
	MW_FILE_AUXV, /* binary: pairs of native words */
	MW_FILE_MOUNTINFO,
	MW_FILE_SYSCALL, /* thread */
	MW_FILE_CGROUP,
	/*
	 * Of the memory cgroup, v1 or v2, that the process is in: the nearest one,
	 * upward, that has a limit; without any limit its own.
	 */
	MW_FILE_CGROUP_USAGE,
	MW_FILE_CGROUP_LIMIT, /* "max", or a number; one beyond all memory means none */
	MW_FILE_CGROUP_SWAP,
	MW_FILE_CGROUP_STAT,
	MW_FILE_CGROUP_PATH, /* of that group, as in MW_FILE_CGROUP; no file of its own */
	MW_FILE_LAST_PROC = MW_FILE_CGROUP_PATH,
	MW_FILE_MEMINFO, /* from here on: the machine, pid 0 */
	MW_FILE_BOOT_ID,
	MW_FILE_MAX_MAP_COUNT,
	MW_FILE_THP_ENABLED,
	MW_FILE_THP_SIZE, /* bytes of a PMD-sized huge page */
	MW_FILE_YAMA_SCOPE,
	MW_FILE_VMSTAT,
	MW_FILE_PRESSURE, /* of memory */
	MW_FILE_SWAPS,
	MW_FILE_CPUINFO,
	MW_FILE_ZRAM,          /* what the first compressed swap device holds */
	MW_FILE_RANDOMIZE,     /* of addresses: 0 none, 1 some, 2 also the heap */
	MW_FILE_MMAP_RND_BITS, /* of where mappings begin; only root may read it */
	MW_FILE_MMAP_MIN_ADDR,
	MW_FILE_CGROUPS, /* "INODE PATH" of every memory cgroup; no file of its own */
	MW_FILE_COUNT,
};

/* The name below /proc (or /sys): "maps", "sys/vm/max_map_count"; for messages. */
const char *mw_file_name(enum mw_file file);
