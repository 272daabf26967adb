// SPDX-License-Identifier: MIT
/* Every rule there is, and the order of what they find. */
#include "explain/impl.h"

#include <stdlib.h>
#include <string.h>

static mw_rule_fn *const rules[] = {
	mw_rule_thread_stacks,  mw_rule_arenas,      mw_rule_page_tables,
	mw_rule_deleted,        mw_rule_cow,         mw_rule_huge_zero,
	mw_rule_file_cache,     mw_rule_lazyfree,    mw_rule_locked,
	mw_rule_map_count,      mw_rule_swap,        mw_rule_unexplained,
	mw_rule_peak,           mw_rule_vsz,         mw_rule_leak_suspected,
	mw_rule_heap_arenas,    mw_rule_heap_pinned, mw_rule_mmap_threshold,
	mw_rule_heap_trimmable, mw_rule_tcache,      mw_rule_thread_tops,
	mw_rule_python_kept,
};

static int by_bytes(const void *a, const void *b)
{
	const struct mw_finding *x = a, *y = b;
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->id, y->id);
}

struct mw_err *mw_rules_apply(struct mw_explain *ex)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct mw_err *err = rules[i](ex);
		if (err)
			return err;
	}
	if (ex->findings.n)
		qsort(ex->findings.items, ex->findings.n, sizeof(*ex->findings.items),
		      by_bytes);
	return NULL;
}
