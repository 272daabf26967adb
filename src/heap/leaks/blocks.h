/* SPDX-License-Identifier: MIT */
/*
 * Which block an address lies in: all live blocks of a process, numbered by address,
 * in one bit for every 16 bytes of heap and two bytes a block.
 *
 * Heap is covered by tiles of 1 MiB, made where blocks begin; in a tile each KiB has a
 * cell, which tells where blocks begin in it and which was the last before it. So an
 * address in the middle of a large block is looked up as fast as its start. Blocks that
 * reach beyond their tile are few, and kept in a list besides.
 */
#pragma once

#include "base/vec.h"
#include <memwhy/heap.h>

enum {
	MW_GRANULE = 16,
	MW_CELL = 1 << 10,
	MW_TILE = 1 << 20,
	MW_TILE_CELLS = MW_TILE / MW_CELL,
	MW_TOP_TILES = 1 << 12, /* tiles in 4 GiB */
	MW_TOPS = 1 << 16,      /* 4 GiB each: addresses of 48 bits */
	MW_CELL_NONE = UINT16_MAX,
};

/* No block. */
#define MW_NO_BLOCK UINT32_MAX

struct mw_tile_cell {
	uint64_t starts; /* of its 64 granules, in which a block begins */
	uint32_t first;  /* the number of the first block that begins here or later */
	uint16_t last;   /* granule of the tile where the last one before it begins */
};

struct mw_tile {
	uint64_t start;
	struct mw_tile_cell *cells;
};

/* A heap area, and its blocks in the order they came. */
struct mw_piece {
	uint64_t start, end;
	uint32_t first, n; /* into lens, until they are in order */
	uint32_t base;     /* number of its first block, once they are */
};

struct mw_block_len {
	uint32_t block;
	uint64_t len;
};

/* A block that reaches into the next tile, or up to it. */
struct mw_span {
	uint64_t start, end;
	uint32_t block;
};

struct mw_block_map {
	struct mw_tile_cell ***tops; /* by bits 32 and up, then by tile; NULL: no tile */
	uint8_t *used;               /* a bit for each top with heap in it */
	struct {
		MW_VEC(struct mw_tile);
	} tiles; /* ascending, once finished */
	struct {
		MW_VEC(struct mw_piece);
	} pieces; /* ascending */
	struct {
		MW_VEC(uint16_t);
	} lens; /* by block, once finished; UINT16_MAX: in `large` */
	struct {
		MW_VEC(struct mw_block_len);
	} large; /* ascending, once finished */
	struct {
		MW_VEC(struct mw_span);
	} spans;            /* likewise */
	uint32_t n;         /* blocks */
	uint64_t bytes;     /* of them */
	uint64_t min, max;  /* all areas lie in [min, max) */
	uint64_t n_refused; /* blocks that could not be: outside, overlapping, too many */
	size_t current;     /* piece; SIZE_MAX: none, its blocks are passed over */
	uint64_t current_at; /* end of the last block that was added */
	uint64_t last;       /* its start */
};

/* An empty one. NOMEM; to be deinitialised in any case. */
struct mw_err *mw_block_map_init(struct mw_block_map *map) MW_MUST_USE;
void mw_block_map_deinit(struct mw_block_map *map);

/* A new area. One that overlaps another is passed over, with its blocks. NOMEM. */
struct mw_err *mw_block_map_area(struct mw_block_map *map, uint64_t start,
				 uint64_t end) MW_MUST_USE;

/* Blocks of that area, ascending; what does not fit is refused. NOMEM. */
struct mw_err *mw_block_map_add(struct mw_block_map *map, const struct mw_block *blocks,
				size_t n) MW_MUST_USE;

/* All came: numbers them by address. NOMEM. */
struct mw_err *mw_block_map_finish(struct mw_block_map *map) MW_MUST_USE;

/* Usable bytes of a block. */
uint64_t mw_block_len_large(const struct mw_block_map *map, uint32_t block);
static inline uint64_t mw_block_len(const struct mw_block_map *map, uint32_t block)
{
	uint16_t len = map->lens.items[block];
	return len != UINT16_MAX ? len : mw_block_len_large(map, block);
}

/* Whether there is heap within 4 GiB of an address below 2^48. */
static inline bool mw_block_map_near(const struct mw_block_map *map, uint64_t addr)
{
	uint64_t top = addr >> 32;
	return top < MW_TOPS && (map->used[top >> 3] >> (top & 7) & 1);
}

/* The cells of the tile an address lies in, or NULL. */
static inline struct mw_tile_cell *mw_block_cells(const struct mw_block_map *map,
						  uint64_t addr)
{
	struct mw_tile_cell **top = addr >> 48 ? NULL : map->tops[addr >> 32];
	return top ? top[addr / MW_TILE % MW_TOP_TILES] : NULL;
}

/* The block that holds an address, its end included, or MW_NO_BLOCK. */
uint32_t mw_block_find(const struct mw_block_map *map, uint64_t addr);

/* The block that begins just there, or MW_NO_BLOCK. */
static inline uint32_t mw_block_starting(const struct mw_block_map *map, uint64_t addr)
{
	const struct mw_tile_cell *cell = mw_block_cells(map, addr);
	uint64_t bit = UINT64_C(1) << (addr / MW_GRANULE % 64);
	if (addr % MW_GRANULE || !cell)
		return MW_NO_BLOCK;
	cell += addr / MW_CELL % MW_TILE_CELLS;
	if (!(cell->starts & bit))
		return MW_NO_BLOCK;
	return cell->first + (uint32_t)__builtin_popcountll(cell->starts & (bit - 1));
}

/* Goes through all blocks in order; zeroed, it stands before the first. */
struct mw_block_cursor {
	size_t tile;
	unsigned cell;
	uint64_t left; /* starts of the cell that are still to come */
	bool inside;   /* `left` is of that cell */
	uint32_t next; /* number */
};

/* The next block; false after the last. */
bool mw_block_next(const struct mw_block_map *map, struct mw_block_cursor *cursor,
		   struct mw_block *ret);

/* Where a block begins, by its number. */
uint64_t mw_block_addr(const struct mw_block_map *map, uint32_t block);
