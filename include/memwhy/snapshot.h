/* SPDX-License-Identifier: MIT */
/*
 * A snapshot is what was seen of one process: who it is, its mappings, the state of
 * their pages as runs, its threads, and the gaps. It is const once taken and owns
 * everything inside in one arena.
 *
 * It says nothing about what a mapping is for: that is explain.h.
 *
 * Two engines fill it. `pages`: maps, then PAGEMAP_SCAN and pagemap, then kpagecount on
 * frames that are not exclusive. `smaps`: one pass over smaps, where its own columns
 * are wanted, or where page maps are not permitted. All sizes are bytes, all ranges
 * half open. Sources: Documentation/filesystems/proc.rst, admin-guide/mm/pagemap.rst.
 */
#pragma once

#include <memwhy/counts.h>
#include <memwhy/err.h>
#include <memwhy/perms.h>
#include <memwhy/source.h>

/* Something that could not be seen: neither an error nor a zero. */
struct mw_gap {
	const char *what;   /* "Pss", "page frames", "region 7f…-7f…" */
	const char *why;    /* "kpagecount: Permission denied" */
	const char *remedy; /* an exact command, or "" */
};

/* smaps columns the page engine cannot give; bytes. */
enum mw_smaps_field {
	MW_SMAPS_SHARED_CLEAN,
	MW_SMAPS_SHARED_DIRTY,
	MW_SMAPS_PRIVATE_CLEAN,
	MW_SMAPS_PRIVATE_DIRTY,
	MW_SMAPS_REFERENCED,
	MW_SMAPS_KSM,
	MW_SMAPS_LAZYFREE,
	MW_SMAPS_LOCKED,
	MW_SMAPS_SWAP_PSS,
	MW_SMAPS_SHMEM_HUGE,
	MW_SMAPS_FILE_HUGE,
	MW_SMAPS_KERNEL_PAGE_SIZE,
	MW_SMAPS_MMU_PAGE_SIZE,
	MW_SMAPS_COUNT,
};

/* One region's own columns of smaps; without MW_WANT_SMAPS only its flags. */
struct mw_smaps {
	uint64_t bytes[MW_SMAPS_COUNT];
	uint32_t known; /* 1 << field, for those the kernel printed */
	uint32_t n_flags;
	char flags[64]; /* VmFlags codes, two letters each, not separated */
};

/* True when the region's VmFlags contain this two-letter code. */
bool mw_smaps_has_flag(const struct mw_smaps *smaps, const char code[2]);

/* One mapping (VMA). */
struct mw_region {
	uint64_t start, end;
	uint64_t offset; /* in the file */
	uint64_t dev;    /* major << 20 | minor */
	uint64_t ino;
	const char *name; /* as in maps with its \012 escapes undone, "" when anonymous */
	unsigned perms;   /* MW_PERM_* */
	bool deleted;     /* the name ended in " (deleted)"; it is kept in name */
	bool whole;       /* counters hold for the whole region alone: it has no runs */
	bool shmem;       /* what is not anonymous in it counts as RssShmem */
	struct mw_counts counts;
	size_t first_run, n_runs;     /* into mw_snapshot_runs() */
	const struct mw_smaps *smaps; /* NULL unless smaps was read */
};

/* States of a page, the same for all pages of a run. */
enum {
	MW_PAGE_PRESENT = 1 << 0,
	MW_PAGE_SWAPPED = 1 << 1,
	MW_PAGE_FILE = 1 << 2,      /* page cache or shared memory: not anonymous */
	MW_PAGE_EXCLUSIVE = 1 << 3, /* mapped by this process alone */
	MW_PAGE_ZERO = 1 << 4,      /* the zero page: present, but not part of Rss */
	MW_PAGE_HUGE = 1 << 5,      /* PMD mapped */
	MW_PAGE_GUARD = 1 << 6,     /* MADV_GUARD_INSTALL */
	MW_PAGE_SOFT_DIRTY = 1 << 7,
	MW_PAGE_UFFD_WP = 1 << 8,
	MW_PAGE_NOT_RSS = 1 << 9, /* present, yet outside Rss: device memory, hugetlbfs */
};

/* Pages in the same state; never crosses a region's end. */
struct mw_page_run {
	uint64_t start;
	uint32_t n_pages;
	uint16_t state;
	uint16_t map_count; /* 0: not known; capped at 65535 */
};

/* One thread; the stack is known for glibc and musl threads (no stop needed). */
struct mw_thread {
	pid_t tid;
	const char *comm;
	uint64_t tcb; /* thread pointer; 0 when not known */
	uint64_t stack,
		end;        /* the whole block, guard, stack, TLS and TCB: [stack, end) */
	uint64_t guard_len; /* at the low end of the block */
	bool has_stack;     /* stack, end, guard_len are verified */
};

/* A pid alone names nothing: it is reused. */
struct mw_process {
	pid_t pid;
	uint64_t start_ticks; /* since boot, clock ticks: stat field 22 */
	uint64_t start_time;  /* wall clock, seconds since the epoch; 0 unknown */
	const char *boot_id;  /* "" unknown */
	const char *comm, *exe, *cmdline; /* cmdline: arguments joined by blanks */
	bool exe_deleted;
	unsigned uid;
	char state;     /* as in stat: R S D T t Z X I */
	bool kthread;   /* a kernel thread: no user memory */
	bool ns_nested; /* lives in another pid namespace than the one /proc shows */
	pid_t ns_pid;   /* its own idea of its pid */
	unsigned n_threads;
	/* From stat, 0 when the kernel hid them (they need ptrace permission). */
	uint64_t start_brk, start_stack, arg_start, arg_end, env_start, env_end;
	/* From status; UINT64_MAX when not printed. */
	uint64_t vm_size, vm_peak, vm_hwm, vm_rss, rss_anon, rss_file, rss_shmem;
	uint64_t vm_lck, vm_pin, vm_pte, vm_swap, hugetlb;
};

enum mw_engine { MW_ENGINE_AUTO, MW_ENGINE_PAGES, MW_ENGINE_SMAPS };

/* What is wanted; the engine follows. */
enum {
	MW_WANT_PSS = 1 << 0,   /* per region, by frames or by smaps */
	MW_WANT_SMAPS = 1 << 1, /* mw_region.smaps for every region */
	MW_WANT_FRAMES =
		1 << 2, /* per region by frames where permitted, else not at all */
	MW_WANT_ROLLUP = 1 << 3, /* totals of smaps_rollup, also where its walk is dear */
	MW_WANT_CHEAP_ROLLUP = 1 << 4, /* the same, but only of small processes, and where
					  nothing else can give Pss */
	MW_WANT_THREADS = 1 << 5,
};

struct mw_snapshot_opts {
	unsigned want;
	enum mw_engine engine; /* AUTO, or insist */
	unsigned jobs;         /* threads for the page walk; 0: as many as pay */
	bool gentle; /* one thread, which lets the target's own memory calls go first */
};

/* Totals, and what they were checked against. UINT64_MAX: not read. */
struct mw_totals {
	struct mw_counts sum; /* of all regions */
	uint64_t rss_before;  /* VmRSS before the walk, and after it: the drift */
	uint64_t rss_after;
	uint64_t rollup_rss, rollup_pss, rollup_uss, rollup_lazyfree, rollup_locked,
		rollup_ksm, rollup_swap_pss;
	enum mw_engine engine; /* the one used */
	uint64_t walk_ns;      /* how long the walk took */
};

struct mw_snapshot;

/*
 * Takes a snapshot. A zombie, a kernel thread, or a process whose maps are denied
 * gives a snapshot without regions and with gaps; only a pid that is not there (or
 * became another process meanwhile) is an error. `src` must outlive the snapshot.
 */
struct mw_err *mw_snapshot_take(struct mw_source *src, pid_t pid,
				const struct mw_snapshot_opts *opts,
				struct mw_snapshot **ret) MW_MUST_USE;
void mw_snapshot_free(struct mw_snapshot *snap);

/*
 * Whether the pid still names the process the snapshot is of: GONE when not. Asked
 * after more of the target was read than the snapshot holds, to classify it.
 */
struct mw_err *mw_snapshot_recheck(const struct mw_snapshot *snap) MW_MUST_USE;

/* What it was taken from, and its parts; all live as long as the snapshot. */
struct mw_source *mw_snapshot_source(const struct mw_snapshot *snap);
const struct mw_process *mw_snapshot_process(const struct mw_snapshot *snap);
const struct mw_totals *mw_snapshot_totals(const struct mw_snapshot *snap);
const struct mw_region *mw_snapshot_regions(const struct mw_snapshot *snap, size_t *n);
const struct mw_page_run *mw_snapshot_runs(const struct mw_snapshot *snap, size_t *n);
const struct mw_thread *mw_snapshot_threads(const struct mw_snapshot *snap, size_t *n);
const struct mw_gap *mw_snapshot_gaps(const struct mw_snapshot *snap, size_t *n);

/* The region that holds `addr`, or NULL. */
const struct mw_region *mw_snapshot_find(const struct mw_snapshot *snap, uint64_t addr);

/*
 * The index of the region's first run that ends above `addr`; that after its last when
 * there is none.
 */
size_t mw_region_run(const struct mw_snapshot *snap, const struct mw_region *region,
		     uint64_t addr);

/*
 * Counts the pages of [start, end) of one region from its runs. Without runs (engine
 * smaps) the whole region gives its own counters, a part of it counts with have = 0.
 * Pss of a part is known by frames, or where smaps leaves only one possible answer.
 */
struct mw_counts mw_snapshot_count(const struct mw_snapshot *snap,
				   const struct mw_region *region, uint64_t start,
				   uint64_t end);

static inline void mw_snapshot_auto_free(struct mw_snapshot **snap)
{
	mw_snapshot_free(*snap);
}
#define mw_auto_snapshot \
	__attribute__((cleanup(mw_snapshot_auto_free))) struct mw_snapshot *
