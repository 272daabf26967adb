// SPDX-License-Identifier: MIT
/*
 * Marking: what is reached from a set of blocks, by flooding. Nothing recurses, and the
 * stack has a bound: a block that finds no room on it stays marked without being done,
 * and is found again by going through the bits.
 */
#include "heap/leaks/reach.h"

#include <string.h>

enum { STACK = 1 << 18, AHEAD = 16 };

struct flood {
	const struct mw_edges *edges;
	const uint64_t *outside; /* bits: blocks that are not entered; or NULL */
	uint64_t *seen, *done;
	bool hints; /* these lead on, too */
	uint32_t *stack;
	size_t n;
	bool overflow;
	/* Blocks on their way: first their line of counts is fetched, then the edges. */
	uint32_t line[AHEAD];
	unsigned line_at, n_line;
	struct {
		const uint32_t *items;
		size_t n;
	} edge[AHEAD];
	unsigned edge_at, n_edge;
};

static void enter(struct flood *flood, uint32_t block)
{
	if (mw_bit(flood->seen, block) ||
	    (flood->outside && mw_bit(flood->outside, block)))
		return;
	mw_bit_set(flood->seen, block);
	if (flood->n < STACK)
		flood->stack[flood->n++] = block;
	else
		flood->overflow = true;
}

static void enter_hints(struct flood *flood, uint32_t block)
{
	size_t n;
	const struct mw_hint *hints = mw_hints_of(flood->edges, block, &n);
	for (size_t i = 0; i < n; i++)
		enter(flood, hints[i].to);
}

/* The oldest block whose edges are fetched leads on to where they point. */
static void follow(struct flood *flood)
{
	unsigned at = (flood->edge_at + AHEAD - flood->n_edge) % AHEAD;
	const uint32_t *items = flood->edge[at].items;
	flood->n_edge--;
	for (size_t i = 0; i < flood->edge[at].n; i++)
		enter(flood, items[i]);
}

static void fetch_edges(struct flood *flood)
{
	unsigned at = (flood->line_at + AHEAD - flood->n_line) % AHEAD;
	uint32_t block = flood->line[at];
	size_t n;
	flood->n_line--;
	const uint32_t *items = mw_edges_of(flood->edges, block, &n);
	if (flood->hints)
		enter_hints(flood, block);
	if (!n)
		return;
	__builtin_prefetch(items);
	if (flood->n_edge == AHEAD)
		follow(flood);
	flood->edge[flood->edge_at].items = items;
	flood->edge[flood->edge_at].n = n;
	flood->edge_at = (flood->edge_at + 1) % AHEAD;
	flood->n_edge++;
}

static void fetch_line(struct flood *flood, uint32_t block)
{
	__builtin_prefetch(&flood->edges->lines[block / MW_LINE_BLOCKS]);
	mw_bit_set(flood->done, block);
	if (flood->n_line == AHEAD)
		fetch_edges(flood);
	flood->line[flood->line_at] = block;
	flood->line_at = (flood->line_at + 1) % AHEAD;
	flood->n_line++;
}

static void drain(struct flood *flood)
{
	for (;;) {
		if (flood->n) {
			uint32_t block = flood->stack[--flood->n];
			if (!mw_bit(flood->done, block))
				fetch_line(flood, block);
		} else if (flood->n_line)
			fetch_edges(flood);
		else if (flood->n_edge)
			follow(flood);
		else
			break;
	}
}

/* All that is seen and not done yet, until there is no more of it. */
static void run(struct flood *flood)
{
	size_t n_words = (size_t)flood->edges->n_blocks / 64 + 1;
	do {
		flood->overflow = false;
		for (size_t i = 0; i < n_words; i++) {
			uint64_t left;
			while ((left = flood->seen[i] & ~flood->done[i])) {
				unsigned bit = (unsigned)__builtin_ctzll(left);
				fetch_line(flood, (uint32_t)(i * 64 + bit));
				if (flood->n > STACK / 2)
					drain(flood);
			}
		}
		drain(flood);
	} while (flood->overflow);
}

static struct mw_err *flood_all(const struct mw_edges *edges, uint64_t *seen,
				const uint64_t *outside, bool hints)
{
	struct flood flood = {
		.edges = edges, .outside = outside, .seen = seen, .hints = hints
	};
	flood.stack = malloc(STACK * sizeof(*flood.stack));
	flood.done = mw_bits_new(edges->n_blocks);
	if (flood.stack && flood.done)
		run(&flood);
	bool ok = flood.stack && flood.done;
	free(flood.stack);
	free(flood.done);
	return ok ? NULL : mw_err_nomem();
}

/* What hints lead to, from roots and from blocks that are reached, and all below. */
static struct mw_err *mark_possible(const struct mw_edges *edges, const uint64_t *reached,
				    uint64_t *possible)
{
	bool any = false;
	for (size_t i = 0; i <= edges->n_blocks / 64; i++) {
		possible[i] = edges->hinted[i] & ~reached[i];
		any = any || possible[i];
	}
	for (size_t i = 0; i < edges->hints.n; i++) {
		const struct mw_hint *hint = &edges->hints.items[i];
		if (mw_bit(reached, hint->from) && !mw_bit(reached, hint->to)) {
			mw_bit_set(possible, hint->to);
			any = true;
		}
	}
	return any ? flood_all(edges, possible, reached, edges->hints.n > 0) : NULL;
}

static struct mw_err *list_lost(const struct mw_reach *reach, const uint64_t *possible,
				struct mw_losses *ret)
{
	const uint32_t n = reach->map.n, max = UINT32_MAX >> 1;
	for (uint32_t i = 0; i < n; i++) {
		if (i % 64 == 0 && reach->rooted[i / 64] == UINT64_MAX) {
			i += 63;
			continue;
		}
		if (mw_bit(reach->rooted, i))
			continue;
		struct mw_lost lost = { i, mw_bit(possible, i), max };
		if (ret->lost.n >= max - 1 || !mw_vec_add(&ret->lost, lost))
			return mw_err_nomem();
	}
	return NULL;
}

struct mw_err *mw_reach_mark(struct mw_reach *reach, struct mw_losses *ret)
{
	uint64_t *possible = mw_bits_new(reach->map.n);
	struct mw_err *err =
		possible ? flood_all(&reach->edges, reach->rooted, NULL, false)
			 : mw_err_nomem();
	if (!err)
		err = mark_possible(&reach->edges, reach->rooted, possible);
	if (!err)
		err = list_lost(reach, possible, ret);
	free(possible);
	return err;
}

void mw_losses_deinit(struct mw_losses *losses)
{
	mw_vec_deinit(&losses->lost);
	mw_vec_deinit(&losses->direct);
}
