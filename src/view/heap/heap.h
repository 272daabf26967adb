/* SPDX-License-Identifier: MIT */
/* The answer of `memwhy heap`: what is live, what is kept and why; schema memwhy.heap/1.
 */
#pragma once

#include "view/view.h"
#include <memwhy/heap.h>

struct mw_buf;

/* Which table people, CSV and NDJSON get; JSON has them all. */
enum mw_heap_table {
	MW_HEAP_SUMMARY, /* allocators; CSV and NDJSON: arenas */
	MW_HEAP_ARENAS,
	MW_HEAP_SIZES,
	MW_HEAP_THREADS,
	MW_HEAP_PINS,
	MW_HEAP_CHECKS,
};

struct mw_heap_answer {
	const struct mw_snapshot *snap; /* of whose heap it is */
	const struct mw_heap *heap;
	enum mw_heap_table table;
	bool contents, verbose;
	struct mw_view_stop stop;
	struct mw_gap_list gaps; /* of the look */
	const char *unread; /* why nothing can be said: "… may not be read"; or NULL */
};

/* All of it. NOMEM. */
struct mw_err *mw_view_heap(struct mw_out *out,
			    const struct mw_heap_answer *answer) MW_MUST_USE;

/* The JSON of all allocators: the list `allocators`. NOMEM. */
struct mw_err *mw_view_allocators(struct mw_out *out,
				  const struct mw_heap_answer *answer) MW_MUST_USE;

/* The rows of the table that was asked for, of all allocators. NOMEM. */
struct mw_err *mw_view_heap_table(struct mw_out *out,
				  const struct mw_heap_answer *answer) MW_MUST_USE;

/* Failing checks, for people who did not ask for them. */
void mw_view_failed_checks(struct mw_out *out, const struct mw_heap *heap);

/* {blocks, bytes} under a key. */
void mw_view_blocks(struct mw_out *out, const char *key, struct mw_blocks blocks);

/* The first bytes of a block: hex digits, or what of them is plain text, dots between. */
bool mw_view_hex(struct mw_buf *text, const unsigned char *bytes, size_t n);
bool mw_view_ascii(struct mw_buf *text, const unsigned char *bytes, size_t n);

/* "12,345" */
bool mw_view_number(struct mw_buf *text, uint64_t n);
