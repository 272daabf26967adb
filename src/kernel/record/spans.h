/* SPDX-License-Identifier: MIT */
/*
 * Answers about ranges, compressed: sorted spans of positions (addresses, pages, frames,
 * offsets) whose values are constant or rise by a fixed step. A recording keeps scans,
 * page maps, frame counts and bytes this way.
 *
 * Positions nobody asked about lie in no span, which is not the same as value 0.
 */
#pragma once

#include "base/vec.h"

#include <memwhy/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Position p in [start, end) has the value `value + step * (p - start)`. */
struct mw_span {
	uint64_t start, end;
	uint64_t value, step;
};

/*
 * The first n_settled spans ascend without overlaps; those behind them are in the
 * order in which they were pushed. With `words`, values are pagemap words, and single
 * positions join into runs of consecutive frames.
 */
struct mw_spans {
	MW_VEC(struct mw_span);
	size_t n_settled;
	bool words;
};

/* Appends a span; an earlier answer to the same position stays. False: no memory. */
bool mw_spans_push(struct mw_spans *spans, struct mw_span span) MW_MUST_USE;

/* Sorts everything pushed so far and removes overlaps. False: no memory. */
bool mw_spans_settle(struct mw_spans *spans) MW_MUST_USE;

/* The first settled span that ends behind `pos`; spans->n_settled when there is none. */
size_t mw_spans_find(const struct mw_spans *spans, uint64_t pos);

/* Whether settled spans cover every position of [start, end). */
bool mw_spans_cover(const struct mw_spans *spans, uint64_t start, uint64_t end);

/* The value at a position inside the span. */
uint64_t mw_span_at(const struct mw_span *span, uint64_t pos);

/* By how much a pagemap word rises to the next frame, or swap slot; 0: not at all. */
uint64_t mw_span_word_step(uint64_t word);

/* Frees the spans. */
void mw_spans_deinit(struct mw_spans *spans);
