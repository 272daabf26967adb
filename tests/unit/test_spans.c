// SPDX-License-Identifier: MIT
/*
 * Spans against a plain array: whatever is pushed in whatever order, the first answer to
 * each position stays, and what joins takes one span.
 */
#include "kernel/record/spans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_POS = 300, N_ROUNDS = 2000, N_PUSHES = 24 };

/* Values of one position; known says whether any was pushed. */
struct model {
	uint64_t value[N_POS];
	bool known[N_POS];
};

/* xorshift64: the same numbers in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A pagemap word of every kind, in ranges that join now and then. */
static uint64_t random_value(uint64_t *state, bool words)
{
	uint64_t r = next_random(state);
	if (!words)
		return r % 3;
	switch (r % 4) {
	case 0:
		return 0;
	case 1:
		return 1ull << 63 | (r >> 8) % 4;
	case 2:
		return 1ull << 62 | (r >> 8) % 4 * 32;
	default:
		return 1ull << 63;
	}
}

static void push_random(struct mw_spans *spans, struct model *model, uint64_t *state)
{
	uint64_t start = next_random(state) % N_POS;
	uint64_t len = 1 + next_random(state) % (next_random(state) % 4 ? 8 : 100);
	uint64_t end = start + len < N_POS ? start + len : N_POS;
	struct mw_span span = { start, end, random_value(state, spans->words), 0 };
	if (next_random(state) % 2)
		span.step = spans->words ? mw_span_word_step(span.value) : 1;
	for (uint64_t at = start; at < end; at++) {
		if (model->known[at])
			continue;
		model->known[at] = true;
		model->value[at] = mw_span_at(&span, at);
	}
	assert_true(mw_spans_push(spans, span));
}

static void check(const struct mw_spans *spans, const struct model *model)
{
	for (uint64_t at = 0; at < N_POS; at++) {
		size_t i = mw_spans_find(spans, at);
		bool known = i < spans->n && spans->items[i].start <= at;
		assert_int_equal(known, model->known[at]);
		assert_int_equal(mw_spans_cover(spans, at, at + 1), known);
		if (known)
			assert_int_equal(mw_span_at(&spans->items[i], at),
					 model->value[at]);
	}
	for (size_t i = 0; i < spans->n; i++) {
		assert_true(spans->items[i].start < spans->items[i].end);
		assert_true(!i || spans->items[i - 1].end <= spans->items[i].start);
	}
}

static void run_rounds(bool words)
{
	uint64_t state = 88172645463325252;
	for (size_t round = 0; round < N_ROUNDS; round++) {
		struct mw_spans spans = { .words = words };
		struct model model = { 0 };
		for (size_t i = 0; i < N_PUSHES; i++) {
			push_random(&spans, &model, &state);
			if (next_random(&state) % 8 == 0)
				assert_true(mw_spans_settle(&spans));
		}
		assert_true(mw_spans_settle(&spans));
		check(&spans, &model);
		mw_spans_deinit(&spans);
	}
}

static void first_answer_stays(void **state)
{
	(void)state;
	run_rounds(false);
}

static void first_word_stays(void **state)
{
	(void)state;
	run_rounds(true);
}

/* A million pages of one kind must not take a million spans. */
static void runs_join(void **state)
{
	(void)state;
	struct mw_spans spans = { .words = true };
	const uint64_t present = 1ull << 63, swapped = 1ull << 62;
	for (uint64_t i = 0; i < 1000000; i++)
		assert_true(mw_spans_push(
			&spans, (struct mw_span){ i, i + 1, present | (i + 7) }));
	assert_int_equal(spans.n, 1);
	for (uint64_t i = 1000000; i < 1000100; i++)
		assert_true(mw_spans_push(
			&spans, (struct mw_span){ i, i + 1, swapped | 3 | i * 32 }));
	assert_int_equal(spans.n, 2);
	for (uint64_t i = 1000100; i < 1000200; i++)
		assert_true(
			mw_spans_push(&spans, (struct mw_span){ i, i + 1, present | 5 }));
	assert_int_equal(spans.n, 3);
	assert_int_equal(mw_span_at(&spans.items[0], 999999), present | 1000006);
	assert_int_equal(mw_span_at(&spans.items[1], 1000099),
			 swapped | 3 | 1000099 * 32);
	assert_true(mw_spans_cover(&spans, 0, 1000200));
	assert_false(mw_spans_cover(&spans, 0, 1000201));
	mw_spans_deinit(&spans);
}

/* Frames come in no order; sorting them must not take for ever. */
static void any_order_settles(void **state)
{
	(void)state;
	enum { N = 300000 };
	struct mw_spans spans = { 0 };
	for (uint64_t i = 0; i < N; i++) {
		uint64_t pos = i * 7919 % N * 2;
		assert_true(mw_spans_push(&spans, (struct mw_span){ pos, pos + 1, i }));
	}
	assert_true(mw_spans_settle(&spans));
	assert_int_equal(spans.n, N);
	for (uint64_t i = 0; i < N; i++)
		assert_int_equal(spans.items[i].start, 2 * i);
	mw_spans_deinit(&spans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_answer_stays),
		cmocka_unit_test(first_word_stays),
		cmocka_unit_test(runs_join),
		cmocka_unit_test(any_order_settles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
