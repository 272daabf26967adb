/* SPDX-License-Identifier: MIT */
/*
 * The words of pagemap, kpagecount and kpageflags. Facts only, no I/O.
 * Sources: Documentation/admin-guide/mm/pagemap.rst, linux/kernel-page-flags.h.
 */
#pragma once

#include <stdint.h>

#define MW_PM_PFN_MASK ((UINT64_C(1) << 55) - 1) /* 0 without CAP_SYS_ADMIN */
#define MW_PM_SOFT_DIRTY (UINT64_C(1) << 55)
#define MW_PM_EXCLUSIVE (UINT64_C(1) << 56)
#define MW_PM_UFFD_WP (UINT64_C(1) << 57)
#define MW_PM_GUARD (UINT64_C(1) << 58) /* Linux 6.15 */
#define MW_PM_FILE (UINT64_C(1) << 61)
#define MW_PM_SWAP (UINT64_C(1) << 62)
#define MW_PM_PRESENT (UINT64_C(1) << 63)

#define MW_KPF_MMAP (UINT64_C(1) << 11)
#define MW_KPF_ANON (UINT64_C(1) << 12)
#define MW_KPF_SWAPBACKED (UINT64_C(1) << 14)
#define MW_KPF_HUGE (UINT64_C(1) << 17)
#define MW_KPF_HWPOISON (UINT64_C(1) << 19)
#define MW_KPF_KSM (UINT64_C(1) << 21)
#define MW_KPF_THP (UINT64_C(1) << 22)
#define MW_KPF_ZERO_PAGE (UINT64_C(1) << 24)
