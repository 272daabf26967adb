/* SPDX-License-Identifier: MIT */
/*
 * Kernel interfaces newer than the headers memwhy is built with, defined here from
 * their documents: Documentation/admin-guide/mm/pagemap.rst (PAGEMAP_SCAN, 6.7),
 * Documentation/filesystems/proc.rst (PROCMAP_QUERY, 6.11), madvise(2)
 * (MADV_GUARD_INSTALL, 6.13), prctl(2) (PR_SET_VMA, 5.17).
 *
 * Whether the running kernel has them is found out by calling them.
 */
#pragma once

#include <stdint.h>
#include <sys/ioctl.h>

/* One run of pages with equal categories, as PAGEMAP_SCAN stores it. */
struct mw_uapi_page_region {
	uint64_t start, end;
	uint64_t categories;
};

struct mw_uapi_scan_arg {
	uint64_t size; /* of this struct */
	uint64_t flags;
	uint64_t start, end;
	uint64_t walk_end; /* set by the kernel; see the trap in live_pages.c */
	uint64_t vec;      /* address of mw_uapi_page_region[vec_len] */
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define MW_UAPI_PAGEMAP_SCAN _IOWR('f', 16, struct mw_uapi_scan_arg)

struct mw_uapi_procmap_query {
	uint64_t size; /* of this struct */
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start, vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint32_t vma_name_size, build_id_size;
	uint64_t vma_name_addr, build_id_addr;
};

#define MW_UAPI_PROCMAP_QUERY _IOWR('f', 17, struct mw_uapi_procmap_query)

enum {
	MW_UAPI_MADV_GUARD_INSTALL = 102,
	MW_UAPI_PR_SET_VMA = 0x53564d41,
	MW_UAPI_PR_SET_VMA_ANON_NAME = 0,
};
