/* SPDX-License-Identifier: MIT */
/*
 * The inside of an explanation while it is made: account.c fills the buckets, rules.c
 * applies every rule, explain.c puts both together.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"
#include <memwhy/explain.h>

#define MW_UNKNOWN UINT64_MAX

struct mw_finding_vec {
	MW_VEC(struct mw_finding);
};
struct mw_explain_gaps {
	MW_VEC(struct mw_gap);
};

/* An explanation and what it is made with; the public struct comes first. */
struct mw_explain {
	struct mw_explanation pub;
	struct mw_arena arena;
	struct mw_layout *layout;
	struct mw_finding_vec findings;
	struct mw_explain_gaps gaps;
	uint64_t cow;       /* resident copies of file pages, bytes */
	uint64_t n_threads; /* with a known stack */
};

/* Fills pub.account, and the figures above. */
struct mw_err *mw_account_make(struct mw_explain *ex) MW_MUST_USE;

/* Applies all rules; findings come ordered by bytes. */
struct mw_err *mw_rules_apply(struct mw_explain *ex) MW_MUST_USE;

/* Notes a gap; strings are copied. NOMEM only. */
struct mw_err *mw_explain_gap(struct mw_explain *ex, const char *what, const char *why,
			      const char *remedy) MW_MUST_USE;

/* A count with its thousands apart: "41,200". Never NULL. */
const char *mw_number(struct mw_explain *ex, uint64_t n);

/* "memwhy VERB PID OPTIONS", or NULL when memory is short. */
const char *mw_next(struct mw_explain *ex, const char *verb, const char *options);

/* Large against what is resident: at least `floor` bytes and one `part`th of Rss. */
bool mw_matters(const struct mw_explain *ex, uint64_t bytes, uint64_t floor,
		uint64_t part);

/* Bytes in words, in the explanation's arena; never NULL ("?" when memory is short). */
const char *mw_words(struct mw_explain *ex, uint64_t bytes);

/* A share as "59 %", "<1 %". */
const char *mw_percent(struct mw_explain *ex, uint64_t part, uint64_t whole);

/* One rule's finding: texts are formatted into the arena before. NOMEM only. */
struct mw_err *mw_find(struct mw_explain *ex, struct mw_finding finding) MW_MUST_USE;

/* A rule looks at the explanation and adds at most one finding. NOMEM only. */
typedef struct mw_err *mw_rule_fn(struct mw_explain *ex);

/* Rules on totals: rules/totals.c. */
mw_rule_fn mw_rule_page_tables, mw_rule_locked, mw_rule_lazyfree, mw_rule_map_count,
	mw_rule_vsz, mw_rule_peak, mw_rule_swap;
/* Rules on segments: rules/segments.c. */
mw_rule_fn mw_rule_thread_stacks, mw_rule_arenas, mw_rule_deleted, mw_rule_cow,
	mw_rule_file_cache, mw_rule_huge_zero, mw_rule_unexplained;
/* True when glibc's heap was walked: rules on what it looks like from afar are silent. */
bool mw_heap_told(const struct mw_explain *ex);

/* Rules on the walked heap: rules/heap.c. */
mw_rule_fn mw_rule_leak_suspected, mw_rule_heap_arenas, mw_rule_heap_pinned,
	mw_rule_heap_trimmable, mw_rule_mmap_threshold, mw_rule_tcache,
	mw_rule_thread_tops, mw_rule_python_kept;
