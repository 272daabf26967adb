/* SPDX-License-Identifier: MIT */
/*
 * One page: what user space may see of its page-table entry, the frame behind it, and
 * who else maps that frame. Unlike a snapshot it asks about few pages, and tells all.
 *
 * Sources: admin-guide/mm/pagemap.rst, linux/kernel-page-flags.h, and for the levels of
 * the page table arch/x86/mm.rst (x86-64, 4 or 5 levels).
 */
#pragma once

#include "base/arena.h"
#include <memwhy/snapshot.h>

/* How an address is split. Offsets and indexes of other machines are not known here. */
struct mw_split {
	unsigned levels;   /* 4 or 5 */
	uint16_t index[5]; /* from the top: (PML5,) PML4, PDPT, PD, PT */
	uint16_t offset;
};

/* The name of level i of a table of `levels`: "PML4". */
const char *mw_level_name(unsigned levels, unsigned i);

/* Splits it; `levels` is 4 or 5. */
void mw_split_address(uint64_t addr, unsigned levels, struct mw_split *ret);

/* 5 when this machine's kernel runs with five levels, else 4; 0: no x86-64. */
unsigned mw_paging_levels(struct mw_source *src);

struct mw_frame {
	uint64_t addr;       /* of the page */
	uint64_t word;       /* pagemap's; 0: nothing there */
	uint64_t categories; /* of PAGEMAP_SCAN; 0 where the kernel has none */
	uint64_t pfn;        /* 0: hidden, or not present */
	/* What the frame's own files say; UINT64_MAX: not read. */
	uint64_t flags, count, cgroup;
};

/* Swap type and offset of a swapped page. */
unsigned mw_frame_swap_type(const struct mw_frame *frame);
uint64_t mw_frame_swap_offset(const struct mw_frame *frame);

/*
 * Reads n pages from `addr` on. Frames that are hidden or denied leave pfn or flags
 * unknown; *why is the first refusal's message in the arena, "" when there was none.
 * DENIED, GONE, NOTFOUND when not even pagemap can be read.
 */
struct mw_err *mw_frames_read(struct mw_source *src, pid_t pid, uint64_t addr, size_t n,
			      struct mw_arena *arena, struct mw_frame *ret,
			      const char **why) MW_MUST_USE;

/* The name of bit i of kpageflags, or NULL: "dirty", "lru", "mmap". */
const char *mw_kpageflag_name(unsigned i);

/* A mapping of the same frame by another process. */
struct mw_sharer {
	pid_t pid;
	const char *comm;
	uint64_t addr;
};

struct mw_sharers {
	struct mw_sharer *items;
	size_t n, cap;
	size_t n_denied; /* processes that could not be asked */
	size_t n_asked;
};

/*
 * Finds who maps the frame, the process itself too: every process at the same address
 * (what a fork shares), and where the page is of a file, every mapping of that part of
 * it. A page that another process moved (mremap) or that the kernel merged (KSM) is not
 * found: the map count then says more than there are rows. Strings are in the arena.
 * NOMEM.
 */
struct mw_err *mw_sharers_find(struct mw_source *src, const struct mw_region *region,
			       const struct mw_frame *frame, struct mw_arena *arena,
			       struct mw_sharers *ret) MW_MUST_USE;
