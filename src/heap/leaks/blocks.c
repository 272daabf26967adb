// SPDX-License-Identifier: MIT
#include "heap/leaks/blocks.h"

#include <string.h>

struct mw_err *mw_block_map_init(struct mw_block_map *map)
{
	*map = (struct mw_block_map){ .min = UINT64_MAX, .current = SIZE_MAX };
	map->tops = calloc(MW_TOPS, sizeof(*map->tops));
	map->used = calloc(MW_TOPS / 8, 1);
	return map->tops && map->used ? NULL : mw_err_nomem();
}

void mw_block_map_deinit(struct mw_block_map *map)
{
	for (size_t i = 0; i < map->tiles.n; i++)
		free(map->tiles.items[i].cells);
	for (size_t i = 0; map->tops && i < MW_TOPS; i++)
		free(map->tops[i]);
	free(map->tops);
	free(map->used);
	mw_vec_deinit(&map->tiles);
	mw_vec_deinit(&map->pieces);
	mw_vec_deinit(&map->lens);
	mw_vec_deinit(&map->large);
	mw_vec_deinit(&map->spans);
	*map = (struct mw_block_map){ 0 };
}

/* The first piece that ends above `addr`. */
static size_t piece_above(const struct mw_block_map *map, uint64_t addr)
{
	size_t lo = 0, hi = map->pieces.n;
	/* They almost always come in order. */
	if (hi && map->pieces.items[hi - 1].end <= addr)
		return hi;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (map->pieces.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void mark_used(struct mw_block_map *map, uint64_t start, uint64_t end)
{
	for (uint64_t top = start >> 32; top <= (end - 1) >> 32; top++)
		map->used[top >> 3] |= (uint8_t)(1 << (top & 7));
	if (start < map->min)
		map->min = start;
	if (end > map->max)
		map->max = end;
}

struct mw_err *mw_block_map_area(struct mw_block_map *map, uint64_t start, uint64_t end)
{
	map->current = SIZE_MAX;
	if (start >= end || (end - 1) >> 48)
		return NULL;
	size_t at = piece_above(map, start);
	if (at < map->pieces.n && map->pieces.items[at].start < end)
		return NULL;
	if (!mw_vec_add(&map->pieces, (struct mw_piece){ 0 }))
		return mw_err_nomem();
	struct mw_piece *piece = &map->pieces.items[at];
	memmove(piece + 1, piece, (map->pieces.n - 1 - at) * sizeof(*piece));
	*piece = (struct mw_piece){ .start = start, .end = end, .first = map->n };
	map->current = at;
	map->current_at = start;
	mark_used(map, start, end);
	return NULL;
}

static struct mw_tile_cell *make_tile(struct mw_block_map *map, uint64_t addr)
{
	struct mw_tile_cell ***top = &map->tops[addr >> 32];
	if (!*top)
		*top = calloc(MW_TOP_TILES, sizeof(**top));
	struct mw_tile_cell *cells = *top ? calloc(MW_TILE_CELLS, sizeof(*cells)) : NULL;
	struct mw_tile tile = { addr & ~(uint64_t)(MW_TILE - 1), cells };
	if (!cells || !mw_vec_add(&map->tiles, tile)) {
		free(cells);
		return NULL;
	}
	return (*top)[addr / MW_TILE % MW_TOP_TILES] = cells;
}

static bool add_len(struct mw_block_map *map, uint64_t len)
{
	if (len >= UINT16_MAX &&
	    !mw_vec_add(&map->large, (struct mw_block_len){ map->n, len }))
		return false;
	return mw_vec_add(&map->lens, len < UINT16_MAX ? (uint16_t)len : UINT16_MAX);
}

static bool may_be(const struct mw_block_map *map, const struct mw_block *block)
{
	const struct mw_piece *piece = &map->pieces.items[map->current];
	return block->addr >= map->current_at && block->addr < piece->end &&
	       block->len <= piece->end - block->addr && map->n < MW_NO_BLOCK - 1;
}

/* Blocks of eight bytes share a granule: they are looked at as one. */
static bool add_to_last(struct mw_block_map *map, const struct mw_block *block)
{
	const struct mw_piece *piece = &map->pieces.items[map->current];
	if (!piece->n || block->addr / MW_GRANULE != map->last / MW_GRANULE)
		return false;
	map->lens.items[map->n - 1] = (uint16_t)(block->addr + block->len - map->last);
	map->bytes += block->len;
	map->current_at = block->addr + block->len;
	return true;
}

static struct mw_err *add_one(struct mw_block_map *map, const struct mw_block *block)
{
	uint64_t start = block->addr & ~(uint64_t)(MW_GRANULE - 1);
	uint64_t end = block->addr + block->len;
	struct mw_tile_cell *cells = mw_block_cells(map, start);
	if (add_to_last(map, block))
		return NULL;
	if (!cells)
		cells = make_tile(map, start);
	if (!cells || !add_len(map, end - start))
		return mw_err_nomem();
	if (start / MW_TILE != end / MW_TILE &&
	    !mw_vec_add(&map->spans, (struct mw_span){ start, end, map->n }))
		return mw_err_nomem();
	cells[start / MW_CELL % MW_TILE_CELLS].starts |= UINT64_C(1)
							 << (start / MW_GRANULE % 64);
	map->last = start;
	map->current_at = end > start ? end : end + 1;
	map->pieces.items[map->current].n++;
	map->bytes += block->len;
	map->n++;
	return NULL;
}

struct mw_err *mw_block_map_add(struct mw_block_map *map, const struct mw_block *blocks,
				size_t n)
{
	struct mw_err *err = NULL;
	if (map->current == SIZE_MAX)
		return NULL;
	for (size_t i = 0; i < n && !err; i++) {
		if (may_be(map, &blocks[i]))
			err = add_one(map, &blocks[i]);
		else
			map->n_refused++;
	}
	return err;
}

/* Blocks came in the order of pieces as they were found; their numbers follow addresses.
 */
static uint32_t renumber(const struct mw_block_map *map, uint32_t came, uint64_t addr)
{
	const struct mw_piece *piece = &map->pieces.items[piece_above(map, addr)];
	return piece->base + (came - piece->first);
}

static struct mw_err *order_lens(struct mw_block_map *map)
{
	bool ordered = true;
	uint32_t base = 0;
	for (size_t i = 0; i < map->pieces.n; i++) {
		struct mw_piece *piece = &map->pieces.items[i];
		ordered = ordered && (piece->first == base || !piece->n);
		piece->base = base;
		base += piece->n;
	}
	if (ordered)
		return NULL;
	uint16_t *lens = malloc(map->n * sizeof(*lens));
	if (!lens)
		return mw_err_nomem();
	for (size_t i = 0; i < map->pieces.n; i++) {
		const struct mw_piece *piece = &map->pieces.items[i];
		memcpy(lens + piece->base, map->lens.items + piece->first,
		       piece->n * sizeof(*lens));
	}
	free(map->lens.items);
	map->lens.items = lens;
	map->lens.cap = map->n;
	return NULL;
}

static int by_tile(const void *a, const void *b)
{
	const struct mw_tile *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_span(const void *a, const void *b)
{
	const struct mw_span *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_block(const void *a, const void *b)
{
	const struct mw_block_len *x = a, *y = b;
	return x->block < y->block ? -1 : x->block > y->block;
}

static uint32_t number_tile(struct mw_tile *tile, uint32_t first)
{
	uint16_t last = MW_CELL_NONE;
	for (unsigned i = 0; i < MW_TILE_CELLS; i++) {
		struct mw_tile_cell *cell = &tile->cells[i];
		cell->first = first;
		cell->last = last;
		if (!cell->starts)
			continue;
		first += (uint32_t)__builtin_popcountll(cell->starts);
		last = (uint16_t)(i * 64 + 63 - (unsigned)__builtin_clzll(cell->starts));
	}
	return first;
}

/* In which piece a block lies is told by the order in which it came. */
static uint32_t number_of_large(const struct mw_block_map *map,
				const struct mw_piece *const *by_first, uint32_t came)
{
	size_t lo = 0, hi = map->pieces.n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (by_first[mid]->first <= came)
			lo = mid;
		else
			hi = mid;
	}
	return by_first[lo]->base + (came - by_first[lo]->first);
}

/* Of pieces that came at the same count only the last has blocks. */
static int by_came(const void *a, const void *b)
{
	const struct mw_piece *x = *(const struct mw_piece *const *)a;
	const struct mw_piece *y = *(const struct mw_piece *const *)b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->n < y->n ? -1 : x->n > y->n;
}

static struct mw_err *order_large(struct mw_block_map *map)
{
	if (!map->large.n)
		return NULL;
	const struct mw_piece **by_first = calloc(map->pieces.n, sizeof(*by_first));
	if (!by_first)
		return mw_err_nomem();
	for (size_t i = 0; i < map->pieces.n; i++)
		by_first[i] = &map->pieces.items[i];
	qsort(by_first, map->pieces.n, sizeof(*by_first), by_came);
	for (size_t i = 0; i < map->large.n; i++)
		map->large.items[i].block =
			number_of_large(map, by_first, map->large.items[i].block);
	free(by_first);
	qsort(map->large.items, map->large.n, sizeof(*map->large.items), by_block);
	return NULL;
}

struct mw_err *mw_block_map_finish(struct mw_block_map *map)
{
	struct mw_err *err = order_lens(map);
	if (!err)
		err = order_large(map);
	if (err)
		return err;
	for (size_t i = 0; i < map->spans.n; i++) {
		struct mw_span *span = &map->spans.items[i];
		span->block = renumber(map, span->block, span->start);
	}
	if (map->spans.n)
		qsort(map->spans.items, map->spans.n, sizeof(*map->spans.items), by_span);
	if (map->tiles.n)
		qsort(map->tiles.items, map->tiles.n, sizeof(*map->tiles.items), by_tile);
	uint32_t first = 0;
	for (size_t i = 0; i < map->tiles.n; i++)
		first = number_tile(&map->tiles.items[i], first);
	return NULL;
}

uint64_t mw_block_len_large(const struct mw_block_map *map, uint32_t block)
{
	const struct mw_block_len key = { .block = block };
	const struct mw_block_len *found =
		map->large.n ? bsearch(&key, map->large.items, map->large.n,
				       sizeof(*map->large.items), by_block)
			     : NULL;
	return found ? found->len : UINT16_MAX;
}

/*
 * A pointer one past the end counts; but where a block ends with a page, what begins
 * there is another mapping, and the pointer is to that.
 */
static bool holds(uint64_t end, uint64_t addr)
{
	const uint64_t page = 4096;
	return addr < end || (addr == end && addr % page);
}

/* The block that reaches over a border of tiles and holds `addr`. */
static uint32_t find_span(const struct mw_block_map *map, uint64_t addr)
{
	size_t lo = 0, hi = map->spans.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (map->spans.items[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && holds(map->spans.items[lo - 1].end, addr)
		       ? map->spans.items[lo - 1].block
		       : MW_NO_BLOCK;
}

uint32_t mw_block_find(const struct mw_block_map *map, uint64_t addr)
{
	const struct mw_tile_cell *cell = mw_block_cells(map, addr);
	if (!cell)
		return find_span(map, addr);
	cell += addr / MW_CELL % MW_TILE_CELLS;
	uint64_t below = cell->starts & (~UINT64_C(0) >> (63 - addr / MW_GRANULE % 64));
	uint64_t start;
	uint32_t block;
	if (below) {
		start = (addr & ~(uint64_t)(MW_CELL - 1)) +
			MW_GRANULE * (63 - (unsigned)__builtin_clzll(below));
		block = cell->first + (uint32_t)__builtin_popcountll(below) - 1;
	} else if (cell->last != MW_CELL_NONE) {
		start = (addr & ~(uint64_t)(MW_TILE - 1)) + MW_GRANULE * cell->last;
		block = cell->first - 1;
	} else {
		return find_span(map, addr);
	}
	/* Most addresses are of starts: then the length need not be fetched. */
	if (addr == start || holds(start + mw_block_len(map, block), addr))
		return block;
	return MW_NO_BLOCK;
}

bool mw_block_next(const struct mw_block_map *map, struct mw_block_cursor *cursor,
		   struct mw_block *ret)
{
	while (!cursor->left) {
		if (cursor->inside && ++cursor->cell == MW_TILE_CELLS) {
			cursor->tile++;
			cursor->cell = 0;
		}
		if (cursor->tile >= map->tiles.n)
			return cursor->inside = false;
		cursor->inside = true;
		cursor->left = map->tiles.items[cursor->tile].cells[cursor->cell].starts;
	}
	unsigned bit = (unsigned)__builtin_ctzll(cursor->left);
	cursor->left &= cursor->left - 1;
	ret->addr = map->tiles.items[cursor->tile].start +
		    (uint64_t)cursor->cell * MW_CELL + (uint64_t)bit * MW_GRANULE;
	ret->len = mw_block_len(map, cursor->next++);
	return true;
}

uint64_t mw_block_addr(const struct mw_block_map *map, uint32_t block)
{
	size_t lo = 0, hi = map->tiles.n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (map->tiles.items[mid].cells[0].first <= block)
			lo = mid;
		else
			hi = mid;
	}
	const struct mw_tile_cell *cells = map->tiles.items[lo].cells;
	unsigned low = 0, high = MW_TILE_CELLS;
	while (high - low > 1) {
		unsigned mid = low + (high - low) / 2;
		if (cells[mid].first <= block)
			low = mid;
		else
			high = mid;
	}
	uint64_t starts = cells[low].starts;
	for (uint32_t skip = block - cells[low].first; skip && starts; skip--)
		starts &= starts - 1;
	return map->tiles.items[lo].start + (uint64_t)low * MW_CELL +
	       (starts ? (uint64_t)__builtin_ctzll(starts) * MW_GRANULE : 0);
}
