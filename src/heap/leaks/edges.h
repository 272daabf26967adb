/* SPDX-License-Identifier: MIT */
/*
 * Pointers from block to block, as numbers: four bytes each, and little more than one
 * byte a block. They are added in the order of the blocks they are in. Also what is not
 * a pointer but hints at one.
 */
#pragma once

#include "base/vec.h"
#include <memwhy/err.h>
#include <stdint.h>

enum {
	MW_LINE_BLOCKS = 48,
	MW_LINE_PART = 12, /* counts that are added up for a look */
	MW_LINE_PARTS = MW_LINE_BLOCKS / MW_LINE_PART,
	MW_MANY_EDGES = UINT8_MAX,
};

/* The counts of 48 blocks, and where the first one's edges are: one cache line. */
struct mw_edge_line {
	uint64_t at;
	uint16_t
		before[MW_LINE_PARTS - 1]; /* edges in front of each part but the first */
	uint8_t many; /* one of the counts is MW_MANY_EDGES: see `many` below */
	uint8_t unused;
	uint8_t counts[MW_LINE_BLOCKS];
};

struct mw_edge_count {
	uint32_t block, n;
};

/* A value in one block that may be the address of another in disguise. */
struct mw_hint {
	uint32_t from, to;
};

struct mw_edges {
	struct mw_edge_line *lines;
	uint32_t n_blocks, opened; /* lines whose `at` is set */
	struct {
		MW_VEC(uint32_t);
	} targets;
	struct {
		MW_VEC(struct mw_edge_count);
	} many; /* blocks with so many that a byte does not hold it */
	struct {
		MW_VEC(struct mw_hint);
	} hints;          /* by `from` */
	uint64_t *hinted; /* bits: blocks that something outside the heap hints at */
};

/* Without edges, of so many blocks. NOMEM; to be deinitialised in any case. */
struct mw_err *mw_edges_init(struct mw_edges *edges, uint32_t n_blocks) MW_MUST_USE;
void mw_edges_deinit(struct mw_edges *edges);

/* An edge; `from` never decreases. Repeated ones in a row count once. NOMEM. */
struct mw_err *mw_edges_add(struct mw_edges *edges, uint32_t from,
			    uint32_t to) MW_MUST_USE;

/* A hint; `from` never decreases. NOMEM. */
struct mw_err *mw_edges_hint(struct mw_edges *edges, uint32_t from,
			     uint32_t to) MW_MUST_USE;

/* All were added. */
void mw_edges_finish(struct mw_edges *edges);

/* The edges of a block. */
const uint32_t *mw_edges_of(const struct mw_edges *edges, uint32_t block, size_t *n);

/* The hints in a block. */
const struct mw_hint *mw_hints_of(const struct mw_edges *edges, uint32_t block,
				  size_t *n);

/* Bits, one for each block. */
static inline uint64_t *mw_bits_new(uint32_t n)
{
	return calloc((size_t)n / 64 + 1, sizeof(uint64_t));
}
static inline bool mw_bit(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}
static inline void mw_bit_set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void mw_bit_clear(uint64_t *bits, uint32_t i)
{
	bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}
