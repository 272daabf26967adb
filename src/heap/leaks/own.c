// SPDX-License-Identifier: MIT
/*
 * Of lost blocks, who leads to whom. One that no other leads to is direct and owns all
 * that it leads to and nobody owns before. What is left then are circles, and what hangs
 * on them: the first block of one is taken as direct, and gives that up again when
 * another one turns out to lead to it. So each block is counted once, and none vanishes.
 *
 * Blocks that something hints at are looked at apart from those nothing does.
 */
#include "heap/leaks/reach.h"

#include <string.h>

enum { NOBODY = INT32_MAX };

struct owning {
	struct mw_reach *reach;
	struct mw_losses *losses;
	uint32_t *ranks;   /* for 64 blocks each: how many before them are lost */
	uint64_t *pointed; /* bits, by index of lost: another one leads to it */
	struct {
		MW_VEC(uint32_t);
	} stack;
};

static bool make_ranks(struct owning *owning)
{
	const struct mw_reach *reach = owning->reach;
	size_t n_words = (size_t)reach->map.n / 64 + 1;
	uint32_t sum = 0;
	owning->ranks = malloc(n_words * sizeof(*owning->ranks));
	for (size_t i = 0; owning->ranks && i < n_words; i++) {
		owning->ranks[i] = sum;
		sum += (uint32_t)__builtin_popcountll(~reach->rooted[i]);
	}
	return owning->ranks;
}

/* Index of a lost block. */
static uint32_t index_of(const struct owning *owning, uint32_t block)
{
	uint64_t below = (UINT64_C(1) << (block % 64)) - 1;
	uint64_t lost = ~owning->reach->rooted[block / 64] & below;
	return owning->ranks[block / 64] + (uint32_t)__builtin_popcountll(lost);
}

/* The next of a block's edges that leads to a lost block of the same sort. */
static bool next_lost(const struct owning *owning, uint32_t from, const uint32_t *edges,
		      size_t n, size_t *at, uint32_t *ret)
{
	const struct mw_lost *lost = owning->losses->lost.items;
	while (*at < n) {
		uint32_t block = edges[(*at)++];
		if (mw_bit(owning->reach->rooted, block))
			continue;
		*ret = index_of(owning, block);
		if (lost[*ret].possible == lost[from].possible)
			return true;
	}
	return false;
}

static void find_pointed(struct owning *owning)
{
	const struct mw_losses *losses = owning->losses;
	for (uint32_t i = 0; i < losses->lost.n; i++) {
		size_t n, at = 0;
		uint32_t to;
		const uint32_t *edges = mw_edges_of(&owning->reach->edges,
						    losses->lost.items[i].block, &n);
		while (next_lost(owning, i, edges, n, &at, &to))
			mw_bit_set(owning->pointed, to);
	}
}

static void add_owned(struct owning *owning, struct mw_direct *direct, uint32_t lost)
{
	uint32_t block = owning->losses->lost.items[lost].block;
	uint64_t len = mw_block_len(&owning->reach->map, block);
	uint64_t hash = mw_size_class(len) * UINT64_C(0x9e3779b97f4a7c15);
	direct->owned.n++;
	direct->owned.bytes += len;
	direct->shape |= UINT64_C(1) << (hash >> 58);
}

/* `direct` leads to what was taken as direct before: it owns that and all below. */
static void absorb(struct owning *owning, uint32_t direct, uint32_t other)
{
	struct mw_direct *items = owning->losses->direct.items;
	struct mw_direct *to = &items[direct], *from = &items[other];
	from->into = direct;
	to->owned.n += from->owned.n;
	to->owned.bytes += from->owned.bytes;
	to->shape |= from->shape;
	add_owned(owning, to, from->lost);
	owning->losses->lost.items[from->lost].owner = direct;
}

static struct mw_err *own_from(struct owning *owning, uint32_t lost, uint32_t direct)
{
	struct mw_losses *losses = owning->losses;
	if (!mw_vec_add(&owning->stack, lost))
		return mw_err_nomem();
	while (owning->stack.n) {
		size_t n, at = 0;
		uint32_t to, from = owning->stack.items[--owning->stack.n];
		const uint32_t *edges = mw_edges_of(&owning->reach->edges,
						    losses->lost.items[from].block, &n);
		while (next_lost(owning, from, edges, n, &at, &to)) {
			uint32_t owner = losses->lost.items[to].owner;
			if (owner != NOBODY && owner != direct &&
			    losses->direct.items[owner].lost == to)
				absorb(owning, direct, owner);
			if (owner != NOBODY)
				continue;
			losses->lost.items[to].owner = direct & NOBODY;
			add_owned(owning, &losses->direct.items[direct], to);
			if (!mw_vec_add(&owning->stack, to))
				return mw_err_nomem();
		}
	}
	return NULL;
}

/* Those that nothing leads to, or (`circles`) what they all left over. */
static struct mw_err *own_all(struct owning *owning, bool circles)
{
	struct mw_losses *losses = owning->losses;
	struct mw_err *err = NULL;
	for (uint32_t i = 0; i < losses->lost.n && !err; i++) {
		uint32_t n = (uint32_t)losses->direct.n;
		if (losses->lost.items[i].owner != NOBODY ||
		    (!circles && mw_bit(owning->pointed, i)))
			continue;
		if (!mw_vec_add(&losses->direct,
				(struct mw_direct){ .lost = i, .into = n }))
			return mw_err_nomem();
		losses->lost.items[i].owner = n & NOBODY;
		err = own_from(owning, i, n);
	}
	return err;
}

/* Owners that were absorbed hand on what is theirs; chains become short on the way. */
static void settle(struct mw_losses *losses)
{
	struct mw_direct *direct = losses->direct.items;
	/* An absorber came later than what it absorbed, so it is settled before. */
	for (size_t i = losses->direct.n; i-- > 0;)
		direct[i].into = direct[direct[i].into].into;
	for (size_t i = 0; i < losses->lost.n; i++)
		losses->lost.items[i].owner =
			direct[losses->lost.items[i].owner].into & NOBODY;
}

struct mw_err *mw_reach_own(struct mw_reach *reach, struct mw_losses *losses)
{
	struct owning owning = { .reach = reach, .losses = losses };
	struct mw_err *err = NULL;
	if (!losses->lost.n)
		return NULL;
	owning.pointed = mw_bits_new((uint32_t)losses->lost.n);
	if (!owning.pointed || !make_ranks(&owning))
		err = mw_err_nomem();
	if (!err) {
		find_pointed(&owning);
		err = own_all(&owning, false);
	}
	if (!err)
		err = own_all(&owning, true);
	if (!err)
		settle(losses);
	mw_vec_deinit(&owning.stack);
	free(owning.pointed);
	free(owning.ranks);
	return err;
}
