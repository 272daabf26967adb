/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot means: its segments (classify.h), resident bytes partitioned by cause,
 * and findings.
 *
 * The interior of heaps is walked elsewhere (heap.h). Who has that result hands it in:
 * classes get certain, and the heap's bytes fall into live and kept.
 */
#pragma once

#include <memwhy/classify.h>

/* Why bytes are resident: coarser than classes, one row of the account each. */
struct mw_bucket {
	const char *cause; /* stable key: "heap", "libraries", "thread-stacks" */
	const char *title; /* for people: "thread stacks and TLS (68)" */
	uint64_t bytes;    /* resident */
	/* UINT64_MAX: not known; else their sum is bytes. */
	uint64_t private_bytes, shared_bytes;
	uint64_t swap; /* UINT64_MAX: not known */
	size_t n;      /* segments */
};

/* Memory the process costs that Rss does not contain. */
struct mw_outside {
	/* "page-tables", "swap", "hugetlb", "kernel-stacks", …; the same for people */
	const char *cause, *title;
	uint64_t bytes;  /* UINT64_MAX: could not be read; a gap says why */
	const char *how; /* where the figure is from: "status VmPTE" */
};

struct mw_account {
	uint64_t rss;  /* sum of buckets and rest */
	uint64_t rest; /* resident, but of class UNKNOWN: nobody knows what it is */
	const struct mw_bucket *buckets; /* by bytes, descending */
	size_t n_buckets;
	const struct mw_outside *outside;
	size_t n_outside;
};

/* A claim with its evidence. */
struct mw_finding {
	const char *id;       /* stable: "thread-stacks", "deleted-files" */
	const char *claim;    /* one or two sentences */
	const char *evidence; /* figures and where they were read */
	const char *next;     /* the exact command that goes deeper, or "" */
	enum mw_confidence confidence;
	uint64_t bytes; /* what it is about; findings are ordered by it */
};

/* The whole answer to "why is its memory this big?". Owns everything inside. */
struct mw_explanation {
	const struct mw_snapshot *snap; /* borrowed */
	const struct mw_heap *heap;     /* borrowed; NULL: it was not walked */
	const struct mw_layout *layout; /* owned */
	const char *headline;           /* one sentence */
	struct mw_account account;
	const struct mw_finding *findings;
	size_t n_findings;
	const struct mw_gap *gaps; /* of snapshot, layout, account and rules together */
	size_t n_gaps;
};

/*
 * Classifies, accounts and applies the rules. `heap` is what was walked of this snapshot,
 * or NULL. Both must outlive the result.
 */
struct mw_err *mw_explain(const struct mw_snapshot *snap, const struct mw_heap *heap,
			  struct mw_explanation **ret) MW_MUST_USE;
void mw_explanation_free(struct mw_explanation *ex);

static inline void mw_explanation_auto_free(struct mw_explanation **ex)
{
	mw_explanation_free(*ex);
}
#define mw_auto_explanation \
	__attribute__((cleanup(mw_explanation_auto_free))) struct mw_explanation *
