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
	uint32_t lo = (uint32_t)(reach->map.min >> 32);
	uint32_t hi = (uint32_t)(reach->map.max >> 32);
	*in = (struct mw_words_in){ .reach = reach };
	/* Compared as signed numbers, because that is what vectors can do. */
	in->bias = UINT32_C(0x80000000) - lo;
	in->limit = (int32_t)(UINT32_C(0x80000000) + (hi - lo));
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

/* A word that lies as it should: a pointer, or one with a tag. */
static void take_aligned(struct mw_words_in *in, uint32_t from, uint64_t word)
{
	const struct mw_block_map *map = &in->reach->map;
	uint64_t span = map->max - map->min;
	/* One past the end of the last block counts as well. */
	if (word - map->min <= span) {
		if (mw_block_map_near(map, word))
			pointer(in, word, from);
	} else if ((word & ADDR_MASK) - map->min <= span) {
		hint(in, from, word & ADDR_MASK);
	}
}

typedef int32_t lanes __attribute__((vector_size(16)));
typedef uint32_t unsigned_lanes __attribute__((vector_size(16)));

/* Whether what all addresses of heap have in common is in each of four halves of a word:
 * the smallest is taken off, and what is left compared. */
static inline lanes in_range(const struct mw_words_in *in, lanes halves)
{
	const unsigned_lanes bias = { in->bias, in->bias, in->bias, in->bias };
	const lanes limit = { in->limit, in->limit, in->limit, in->limit };
	return (lanes)((unsigned_lanes)halves + bias) <= limit;
}

/*
 * Bit i of what is found: the four bytes at i may be the upper half of an address of
 * heap. Bits 20 and 28: so may those at 4 and 12, if their tag is taken off. Reads 19
 * bytes. Most memory holds neither, and gets no further than the last line.
 */
static inline bool upper_halves(const struct mw_words_in *in, const unsigned char *bytes,
				uint32_t *found)
{
	static const lanes places[4] = { { 1, 1 << 4, 1 << 8, 1 << 12 },
					 { 1 << 1, 1 << 5, 1 << 9, 1 << 13 },
					 { 1 << 2, 1 << 6, 1 << 10, 1 << 14 },
					 { 1 << 3, 1 << 7, 1 << 11, 1 << 15 } };
	static const lanes tags = { 0, 1 << 20, 0, 1 << 28 };
	static const lanes untagged = { 0xffff, 0xffff, 0xffff, 0xffff };
	lanes all = { 0 }, halves;
	uint64_t parts[2];
	for (unsigned i = 0; i < 4; i++) {
		memcpy(&halves, bytes + i, sizeof(halves));
		all |= in_range(in, halves) & places[i];
	}
	memcpy(&halves, bytes, sizeof(halves));
	all |= in_range(in, halves & untagged) & tags;
	memcpy(parts, &all, sizeof(parts));
	parts[0] |= parts[1];
	*found = (uint32_t)parts[0] | (uint32_t)(parts[0] >> 32);
	return *found;
}

/* Up to sixteen bytes at `at`, in which something was found. */
static void take_found(struct mw_words_in *in, uint32_t from, uint32_t found,
		       const unsigned char *bytes, size_t len, size_t at)
{
	uint64_t word;
	/* The same two words, with a tag or without. */
	found = (found | found >> 16) & 0xffff;
	for (; found; found &= found - 1) {
		size_t upper = at + (unsigned)__builtin_ctz(found);
		if (upper < 4 || upper + 4 > len)
			continue;
		memcpy(&word, bytes + upper - 4, 8);
		if (upper % 8 == 4)
			take_aligned(in, from, word);
		else
			hint(in, from, word);
	}
}

void mw_words_take(struct mw_words_in *in, uint32_t from, const unsigned char *bytes,
		   size_t len)
{
	enum { STEP = 16, READ = STEP + 3 };
	uint32_t found;
	if (in->reach->map.min >= in->reach->map.max)
		return;
	for (size_t at = 0; at < len; at += STEP) {
		unsigned char copy[READ] = { 0 };
		const unsigned char *part = bytes + at;
		if (len - at < READ) {
			memcpy(copy, part, len - at);
			part = copy;
		}
		if (upper_halves(in, part, &found))
			take_found(in, from, found, bytes, len, at);
	}
}
