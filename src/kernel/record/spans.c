// SPDX-License-Identifier: MIT
#include "kernel/record/spans.h"

/* So many unsettled spans may wait, beside as many as are settled. */
enum { MAX_WAITING = 1 << 16 };

uint64_t mw_span_at(const struct mw_span *span, uint64_t pos)
{
	return span->value + span->step * (pos - span->start);
}

/*
 * Bit 63: present, bits 0-54 are the frame. Bit 62: swapped, bits 0-4 the swap type
 * and 5-54 the offset. Both are 0 for those who may not see them.
 */
uint64_t mw_span_word_step(uint64_t word)
{
	if (!(word & ((1ull << 55) - 1)))
		return 0;
	if (word >> 63)
		return 1;
	return word >> 62 ? 32 : 0;
}

/* Whether a step may begin at this span: a single word has none yet. */
static bool may_step(const struct mw_spans *spans, const struct mw_span *span,
		     uint64_t step)
{
	if (!spans->words || span->end - span->start > 1)
		return span->step == step;
	return step == 0 || step == mw_span_word_step(span->value);
}

/* Extends `last` by `next` when one rule describes both. */
static bool join(const struct mw_spans *spans, struct mw_span *last,
		 const struct mw_span *next)
{
	if (last->end != next->start)
		return false;
	uint64_t step = last->step;
	if (spans->words && last->end - last->start == 1)
		step = next->value - last->value;
	if (!may_step(spans, last, step) ||
	    next->value != last->value + step * (last->end - last->start))
		return false;
	if (!(spans->words && next->end - next->start == 1) && next->step != step)
		return false;
	last->end = next->end;
	last->step = step;
	return true;
}

/* Appends behind everything, joining where possible; never settles. */
static bool append(struct mw_spans *spans, struct mw_span span)
{
	if (span.start >= span.end)
		return true;
	if (spans->words && span.end - span.start == 1)
		span.step = 0;
	struct mw_span *last = spans->n ? &spans->items[spans->n - 1] : NULL;
	if (last && join(spans, last, &span))
		return true;
	bool ascends = spans->n_settled == spans->n && (!last || last->end <= span.start);
	if (!mw_vec_add(spans, span))
		return false;
	if (ascends)
		spans->n_settled = spans->n;
	return true;
}

bool mw_spans_push(struct mw_spans *spans, struct mw_span span)
{
	size_t waiting = spans->n - spans->n_settled;
	if (waiting > spans->n_settled && waiting > MAX_WAITING &&
	    !mw_spans_settle(spans))
		return false;
	return append(spans, span);
}

static void cut_front(struct mw_span *span, uint64_t to)
{
	if (to <= span->start)
		return;
	span->value = mw_span_at(span, to);
	span->start = to < span->end ? to : span->end;
}

/* Merges two settled lists; where both answer, `old` does. */
static bool overlay(const struct mw_spans *old, const struct mw_spans *young,
		    struct mw_spans *out)
{
	size_t i = 0;
	uint64_t done = 0;

	for (size_t j = 0; j < young->n; j++) {
		struct mw_span rest = young->items[j];
		while (rest.start < rest.end) {
			for (; i < old->n && old->items[i].start <= rest.start; i++) {
				if (!append(out, old->items[i]))
					return false;
				done = old->items[i].end;
			}
			if (rest.start < done) {
				cut_front(&rest, done);
				continue;
			}
			struct mw_span piece = rest;
			if (i < old->n && old->items[i].start < piece.end)
				piece.end = old->items[i].start;
			if (!append(out, piece))
				return false;
			cut_front(&rest, piece.end);
		}
	}
	for (; i < old->n; i++)
		if (!append(out, old->items[i]))
			return false;
	return true;
}

static bool ascends(const struct mw_span *items, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (items[i].start < items[i - 1].end)
			return false;
	return true;
}

/* Settles n spans in the order of their age: a merge sort, natural where it can be. */
static bool settle_items(const struct mw_span *items, size_t n, struct mw_spans *out)
{
	if (ascends(items, n)) {
		for (size_t i = 0; i < n; i++)
			if (!append(out, items[i]))
				return false;
		return true;
	}
	struct mw_spans old = { .words = out->words }, young = { .words = out->words };
	bool ok = settle_items(items, n / 2, &old) &&
		  settle_items(items + n / 2, n - n / 2, &young) &&
		  overlay(&old, &young, out);
	mw_spans_deinit(&old);
	mw_spans_deinit(&young);
	return ok;
}

bool mw_spans_settle(struct mw_spans *spans)
{
	if (spans->n_settled == spans->n)
		return true;
	struct mw_spans out = { .words = spans->words };
	struct mw_spans young = { .words = spans->words };
	struct mw_spans old = *spans;
	old.n = old.n_settled;
	bool ok = settle_items(spans->items + old.n, spans->n - old.n, &young) &&
		  overlay(&old, &young, &out);
	mw_spans_deinit(&young);
	if (!ok) {
		mw_spans_deinit(&out);
		return false;
	}
	mw_spans_deinit(spans);
	*spans = out;
	return true;
}

size_t mw_spans_find(const struct mw_spans *spans, uint64_t pos)
{
	size_t lo = 0, hi = spans->n_settled;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (spans->items[mid].end > pos)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

bool mw_spans_cover(const struct mw_spans *spans, uint64_t start, uint64_t end)
{
	for (size_t i = mw_spans_find(spans, start); start < end; i++) {
		if (i >= spans->n_settled || spans->items[i].start > start)
			return false;
		start = spans->items[i].end;
	}
	return true;
}

void mw_spans_deinit(struct mw_spans *spans)
{
	mw_vec_deinit(spans);
	spans->n_settled = 0;
}
