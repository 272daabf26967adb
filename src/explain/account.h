/* SPDX-License-Identifier: MIT */
/*
 * The causes of resident bytes, while the account is made: account.c fills one bucket a
 * cause from segments, account_heap.c then divides those of heaps that were walked.
 */
#pragma once

#include "explain/impl.h"

enum mw_cause {
	CAUSE_REST, /* class UNKNOWN: not a bucket */
	CAUSE_HEAP, /* where nothing tells live from free */
	CAUSE_HEAP_LIVE,
	CAUSE_HEAP_TRIMMABLE,
	CAUSE_HEAP_KEPT, /* free, and malloc_trim() leaves it */
	CAUSE_HEAP_OVERHEAD,
	CAUSE_JAVA_HEAP,
	CAUSE_JVM_CODE,
	CAUSE_JVM,
	CAUSE_V8,
	CAUSE_GO_HEAP,
	CAUSE_GO_RUNTIME,
	CAUSE_PYTHON,
	CAUSE_PYTHON_KEPT,
	CAUSE_THREADS,
	CAUSE_STACK,
	CAUSE_PROGRAM,
	CAUSE_PROGRAM_DATA,
	CAUSE_LIBRARIES,
	CAUSE_LIBRARY_DATA,
	CAUSE_COW,
	CAUSE_FILES,
	CAUSE_SHARED,
	CAUSE_JIT,
	CAUSE_KERNEL,
	CAUSE_NAMED,
	CAUSE_RESERVED,
	CAUSE_COUNT,
};

/* The cause of a class's bytes, copies of file pages aside. */
enum mw_cause mw_cause_of(enum mw_class class);

/*
 * Moves what was walked of heaps from their buckets (CAUSE_COUNT of them) to those of
 * its uses. An area whose pages are not those of its segments stays where it is.
 */
void mw_account_walked(const struct mw_explain *ex, struct mw_bucket *buckets);
