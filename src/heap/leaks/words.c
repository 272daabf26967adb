// SPDX-License-Identifier: MIT
/*
 * Words that lie as a pointer would lie, and whose value is in a block or just behind
 * it, are pointers. Two things only hint at one: a word whose lower 48 bits are the
 * address of a block while the rest is a tag (NaN boxing, counted pointers), and such
 * an address at a place that is no multiple of eight (packed structures, code).
 */
#include "heap/leaks/reach.h"

#include <string.h>

enum { AHEAD = sizeof((struct mw_words_in){ 0 }.ahead) / 16, ADDR_BITS = 48 };

static const uint64_t ADDR_MASK = (UINT64_C(1) << ADDR_BITS) - 1;

void mw_words_begin(struct mw_words_in *in, struct mw_reach *reach)
{
	*in = (struct mw_words_in){ .reach = reach, .lo = 1, .hi = 0 };
	if (reach->map.min >= reach->map.max)
		return;
	in->lo = (int32_t)(reach->map.min >> 32);
	in->hi = (int32_t)(reach->map.max >> 32);
}

static void hint(struct mw_words_in *in, uint32_t from, uint64_t addr)
{
	struct mw_reach *reach = in->reach;
	if (!mw_block_map_near(&reach->map, addr))
		return;
	uint32_t to = mw_block_starting(&reach->map, addr);
	if (to == MW_NO_BLOCK || to == from || in->err)
		return;
	if (from == MW_NO_BLOCK)
		mw_bit_set(reach->edges.hinted, to);
	else
		in->err = mw_edges_hint(&reach->edges, from, to);
}

static void resolve(struct mw_words_in *in, uint64_t addr, uint32_t from)
{
	struct mw_reach *reach = in->reach;
	uint32_t to = mw_block_find(&reach->map, addr);
	if (to == MW_NO_BLOCK || to == from || in->err)
		return;
	if (from == MW_NO_BLOCK)
		mw_bit_set(reach->rooted, to);
	else
		in->err = mw_edges_add(&reach->edges, from, to);
}

/* A pointer's cell is asked for now and looked at sixteen pointers later. */
static void pointer(struct mw_words_in *in, uint64_t addr, uint32_t from)
{
	const struct mw_tile_cell *cells = mw_block_cells(&in->reach->map, addr);
	if (cells)
		__builtin_prefetch(&cells[addr / MW_CELL % MW_TILE_CELLS]);
	unsigned at = in->next;
	in->next = (in->next + 1) % AHEAD;
	if (in->n_ahead == AHEAD)
		resolve(in, in->ahead[at].addr, in->ahead[at].from);
	else
		in->n_ahead++;
	in->ahead[at].addr = addr;
	in->ahead[at].from = from;
}

struct mw_err *mw_words_end(struct mw_words_in *in)
{
	unsigned at = (in->next + AHEAD - in->n_ahead) % AHEAD;
	for (; in->n_ahead; in->n_ahead--, at = (at + 1) % AHEAD)
		resolve(in, in->ahead[at].addr, in->ahead[at].from);
	struct mw_err *err = in->err;
	in->err = NULL;
	return err;
}

static void aligned(struct mw_words_in *in, uint32_t from, const unsigned char *bytes,
		    size_t len)
{
	const struct mw_block_map *map = &in->reach->map;
	uint64_t min = map->min, span = map->max - map->min, word;
	for (size_t i = 0; i < len; i += 8) {
		memcpy(&word, bytes + i, 8);
		/* One past the end of the last block counts as well. */
		if (word - min <= span) {
			if (mw_block_map_near(map, word))
				pointer(in, word, from);
		} else if ((word & ADDR_MASK) - min <= span) {
			hint(in, from, word & ADDR_MASK);
		}
	}
}

typedef int32_t lanes __attribute__((vector_size(16)));

/* Bit i: the four bytes at i may be the upper half of an address of heap. */
static inline unsigned upper_halves(const struct mw_words_in *in,
				    const unsigned char *bytes)
{
	const lanes lo = { in->lo, in->lo, in->lo, in->lo };
	const lanes hi = { in->hi, in->hi, in->hi, in->hi };
	/* Those at 4 and 12 belong to words that lie as they should. */
	const lanes odd[4] = { { 1, 0, 1 << 8, 0 },
			       { 1 << 1, 1 << 5, 1 << 9, 1 << 13 },
			       { 1 << 2, 1 << 6, 1 << 10, 1 << 14 },
			       { 1 << 3, 1 << 7, 1 << 11, 1 << 15 } };
	lanes found = { 0 };
	for (unsigned i = 0; i < 4; i++) {
		lanes word;
		memcpy(&word, bytes + i, sizeof(word));
		found |= (word >= lo) & (word <= hi) & odd[i];
	}
	return (unsigned)(found[0] | found[1] | found[2] | found[3]);
}

/* Sixteen bytes at a time; reads 3 beyond them, so the last ones are done from a copy. */
static void unaligned(struct mw_words_in *in, uint32_t from, const unsigned char *bytes,
		      size_t len)
{
	for (size_t at = 0; at < len; at += 16) {
		unsigned char copy[32] = { 0 };
		const unsigned char *part = bytes + at;
		if (len - at < 16 + 3) {
			memcpy(copy, part, len - at);
			part = copy;
		}
		unsigned found = upper_halves(in, part);
		for (; found; found &= found - 1) {
			size_t upper = at + (unsigned)__builtin_ctz(found);
			uint64_t word;
			if (upper < 4 || upper + 4 > len)
				continue;
			memcpy(&word, bytes + upper - 4, 8);
			hint(in, from, word);
		}
	}
}

void mw_words_take(struct mw_words_in *in, uint32_t from, const unsigned char *bytes,
		   size_t len)
{
	if (in->lo > in->hi)
		return;
	aligned(in, from, bytes, len);
	unaligned(in, from, bytes, len);
}
