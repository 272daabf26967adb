/* SPDX-License-Identifier: MIT */
/*
 * The whole machine's memory: what meminfo says, split so that the parts sum to the
 * whole, and what stands beside it: swap, pressure, the limit of the cgroup that one
 * process is in. Bytes; UINT64_MAX where the kernel does not tell.
 *
 * It is not what processes hold: see <memwhy/snapshot.h>.
 */
#pragma once

#include "base/arena.h"
#include "procfs/keyed.h"
#include <memwhy/source.h>

/* Parts of MemTotal that do not overlap, as far as the kernel tells. */
enum mw_part {
	MW_PART_FREE,
	MW_PART_ANON,       /* private memory of programs */
	MW_PART_SHMEM,      /* tmpfs, shared memory */
	MW_PART_FILES,      /* page cache, without shmem */
	MW_PART_BUFFERS,    /* block devices' cache */
	MW_PART_SLAB_CACHE, /* kernel objects that can be dropped */
	MW_PART_SLAB,       /* kernel objects that cannot */
	MW_PART_PAGETABLES,
	MW_PART_STACKS, /* of the kernel, one a thread */
	MW_PART_PERCPU,
	MW_PART_HUGETLB, /* reserved for huge pages, used or not */
	MW_PART_ZSWAP,   /* compressed swap in memory */
	MW_PART_ZRAM,
	MW_PART_UNACCOUNTED, /* what no counter names: drivers, vmalloc, the network */
	MW_PART_COUNT,
};

const char *mw_part_key(enum mw_part part);   /* "page-cache" */
const char *mw_part_title(enum mw_part part); /* "file cache" */

struct mw_machine {
	/* meminfo, as it names them. */
	uint64_t total, free, available, buffers, cached, swap_cached, shmem, slab,
		s_reclaimable, s_unreclaim, anon, page_tables, sec_page_tables,
		kernel_stack, percpu, hugetlb, hugepages_total, hugepage_size, zswap,
		swap_total, swap_free, low_total, low_free, high_total, high_free,
		commit_limit, committed;
	uint64_t part[MW_PART_COUNT]; /* sum to total + overcount */
	uint64_t overcount; /* counters that overlap, or moved while they were read */
	uint64_t zram;      /* bytes of memory that compressed swap devices take */
	uint64_t swap_in, swap_out, major_faults,
		oom_kills; /* pages, times; since boot */
	bool has_pressure;
	struct mw_pressure some, full;
};

/* Reads it. DENIED, UNSUPPORTED (a recording without it), FORMAT without MemTotal. */
struct mw_err *mw_machine_read(struct mw_source *src, struct mw_machine *ret) MW_MUST_USE;

enum { MW_CGROUP_PATH = 1024 };

/* The memory cgroup of one process. */
struct mw_cgroup {
	bool v1;
	char path[MW_CGROUP_PATH]; /* of the process's own group */
	uint64_t usage, limit, swap;
	uint64_t anon, file, shmem, kernel, mapped; /* of memory.stat */
};

/* NOTFOUND when it is in none, or none can be seen. */
struct mw_err *mw_cgroup_read(struct mw_source *src, pid_t pid,
			      struct mw_cgroup *ret) MW_MUST_USE;

/*
 * The path of the memory cgroup that a page is charged to, in the arena, by the inode
 * number that kpagecgroup tells; "" when it is not known. NOMEM.
 */
struct mw_err *mw_cgroup_by_inode(struct mw_source *src, uint64_t inode,
				  struct mw_arena *arena, const char **ret) MW_MUST_USE;

/*
 * From what a group is charged to what its processes have: usage - unmapped - kernel +
 * elsewhere == pss, to the byte.
 */
struct mw_cgroup_bridge {
	uint64_t pss;      /* of its processes, and of those in groups below */
	uint64_t unmapped; /* file cache that nobody maps */
	uint64_t kernel;   /* all that is neither of programs nor of files */
	int64_t elsewhere; /* mapped here and charged to another group, or the reverse */
	size_t n, n_denied;
};

/* Reads smaps_rollup of every process in it. DENIED, NOTFOUND, NOMEM. */
struct mw_err *mw_cgroup_bridge(struct mw_source *src, pid_t pid,
				const struct mw_cgroup *cg,
				struct mw_cgroup_bridge *ret) MW_MUST_USE;

/* How far the machine is on the way to killing processes. */
enum mw_stage {
	MW_STAGE_FREE,  /* unused memory is left */
	MW_STAGE_CACHE, /* caches give way, and can */
	MW_STAGE_SWAP,  /* programs' own pages go to swap */
	MW_STAGE_TIGHT, /* tasks wait for memory, little is left */
	MW_STAGE_OOM,   /* next to nothing can be freed */
	MW_STAGE_COUNT,
};
const char *mw_stage_name(enum mw_stage stage); /* "free", "cache", … */
enum mw_stage mw_machine_stage(const struct mw_machine *machine);
