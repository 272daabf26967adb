/* SPDX-License-Identifier: MIT */
/*
 * Memory counters of a range of pages: plain figures, each known or not. Where they are
 * from and what they belong to is snapshot.h.
 */
#pragma once

#include <stdint.h>

/* Which of the figures below are known. */
enum {
	MW_HAVE_RSS = 1 << 0,   /* rss */
	MW_HAVE_KINDS = 1 << 1, /* anon, file, shmem */
	MW_HAVE_USS = 1 << 2,   /* uss (and so rss - uss, shared) */
	MW_HAVE_PSS = 1 << 3,
	MW_HAVE_SWAP = 1 << 4,
	MW_HAVE_HUGE = 1 << 5, /* huge */
	MW_HAVE_HUGETLB = 1 << 6,
};

/* Memory counters of a range, in bytes. rss = anon + file + shmem. */
struct mw_counts {
	uint64_t rss;
	uint64_t anon, file, shmem;
	uint64_t uss;     /* mapped by this process alone */
	uint64_t pss_q12; /* proportional share in 1/4096 byte: pages / map count */
	uint64_t swap;
	uint64_t huge;    /* in PMD-mapped transparent huge pages; part of rss */
	uint64_t hugetlb; /* hugetlbfs pages: never part of rss */
	unsigned have;    /* MW_HAVE_* */
};

/* Adds `b` to `a`; only what both know stays known. */
void mw_counts_add(struct mw_counts *a, const struct mw_counts *b);

/* Proportional share in whole bytes, rounded to nearest. */
static inline uint64_t mw_counts_pss(const struct mw_counts *c)
{
	return (c->pss_q12 + 2048) >> 12;
}
