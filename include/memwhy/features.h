/* SPDX-License-Identifier: MIT */
/*
 * What a kernel has and what memwhy may do with it; mw_source_probe() finds out.
 */
#pragma once

/* What a process may be asked to do, and a kernel to have; probed, never guessed. */
enum mw_feature {
	MW_FEATURE_PAGEMAP_SCAN,  /* ioctl PAGEMAP_SCAN, Linux 6.7 */
	MW_FEATURE_PROCMAP_QUERY, /* ioctl PROCMAP_QUERY, Linux 6.11 */
	MW_FEATURE_FRAMES,        /* page frame numbers in pagemap */
	MW_FEATURE_KPAGECOUNT,
	MW_FEATURE_KPAGEFLAGS,
	MW_FEATURE_SOFT_DIRTY,
	MW_FEATURE_IDLE_BITMAP,
	MW_FEATURE_ANON_NAMES, /* prctl PR_SET_VMA_ANON_NAME */
	MW_FEATURE_MADV_GUARD, /* madvise MADV_GUARD_INSTALL, Linux 6.13 */
	MW_FEATURE_PERFMON,    /* effective CAP_PERFMON */
	MW_FEATURE_SYS_PTRACE, /* effective capabilities of memwhy itself */
	MW_FEATURE_SYS_ADMIN,
	MW_FEATURE_DAC_READ_SEARCH,
	MW_FEATURE_COUNT,
};

/* The feature's stable name: "pagemap-scan". */
const char *mw_feature_name(enum mw_feature feature);
