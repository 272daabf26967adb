/* SPDX-License-Identifier: MIT */
/*
 * Parses /proc/PID/status and /proc/PID/stat. Pure. Formats: proc(5) and
 * Documentation/filesystems/proc.rst.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes; UINT64_MAX when the line is missing (kernel threads and zombies have no Vm
 * lines). */
struct mw_status {
	uint64_t vm_peak, vm_size, vm_lck, vm_pin, vm_hwm, vm_rss;
	uint64_t rss_anon, rss_file, rss_shmem;
	uint64_t vm_pte, vm_swap, hugetlb;
	uint64_t uid; /* effective */
	uint64_t n_threads;
	uint64_t kthread; /* "Kthread: 1"; UINT64_MAX where older kernels do not print it
			   */
	uint64_t cap_eff; /* hex mask */
	uint64_t seccomp;
	uint64_t ns_pid; /* the last of NSpid */
	unsigned n_ns;   /* how many ids NSpid lists */
};

/* Never fails: what is not there stays UINT64_MAX. */
void mw_status_parse(const char *text, size_t len, struct mw_status *ret);

struct mw_stat {
	uint64_t pid, ppid;
	char comm[64]; /* between the first ( and the last ), terminated */
	char state;
	uint64_t flags; /* field 9; PF_KTHREAD is 0x00200000 */
	uint64_t min_flt, maj_flt;
	uint64_t start_ticks;                            /* field 22 */
	uint64_t vsize;                                  /* 23; 0: no memory */
	uint64_t rss_pages;                              /* 24; lags behind */
	uint64_t start_stack;                            /* 28 */
	uint64_t start_data, end_data, start_brk;        /* 45, 46, 47 */
	uint64_t arg_start, arg_end, env_start, env_end; /* 48 to 51 */
};

/* False when fields are missing or not numbers. Fields 45 to 51 may be missing: 0. */
bool mw_stat_parse(const char *text, size_t len, struct mw_stat *ret);
