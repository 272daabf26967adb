// SPDX-License-Identifier: MIT
#include "heap/leaks/edges.h"

#include <string.h>

/* Beyond so many hints it is only kept that there was one: a heap full of boxed values
 * must not cost more than one full of pointers. */
enum { LEAST_HINTS = 1 << 16, BLOCKS_A_HINT = 8 };

struct mw_err *mw_edges_init(struct mw_edges *edges, uint32_t n_blocks)
{
	size_t n_lines = (size_t)n_blocks / MW_LINE_BLOCKS + 1;
	*edges = (struct mw_edges){ .n_blocks = n_blocks };
	edges->lines =
		aligned_alloc(sizeof(*edges->lines), n_lines * sizeof(*edges->lines));
	edges->hinted = mw_bits_new(n_blocks);
	if (!edges->lines || !edges->hinted)
		return mw_err_nomem();
	memset(edges->lines, 0, n_lines * sizeof(*edges->lines));
	return NULL;
}

void mw_edges_deinit(struct mw_edges *edges)
{
	free(edges->lines);
	free(edges->hinted);
	mw_vec_deinit(&edges->targets);
	mw_vec_deinit(&edges->many);
	mw_vec_deinit(&edges->hints);
	*edges = (struct mw_edges){ 0 };
}

static void open_lines(struct mw_edges *edges, uint32_t line)
{
	while (edges->opened <= line)
		edges->lines[edges->opened++].at = edges->targets.n;
}

static struct mw_err *count(struct mw_edges *edges, struct mw_edge_line *line,
			    uint32_t from)
{
	uint8_t *n = &line->counts[from % MW_LINE_BLOCKS];
	if (*n == MW_MANY_EDGES) {
		edges->many.items[edges->many.n - 1].n++;
		return NULL;
	}
	if (++*n < MW_MANY_EDGES)
		return NULL;
	line->many = 1;
	struct mw_edge_count many = { from, MW_MANY_EDGES };
	return mw_vec_add(&edges->many, many) ? NULL : mw_err_nomem();
}

struct mw_err *mw_edges_add(struct mw_edges *edges, uint32_t from, uint32_t to)
{
	uint32_t at = from / MW_LINE_BLOCKS;
	struct mw_edge_line *line = &edges->lines[at];
	if (edges->opened <= at)
		open_lines(edges, at);
	if (line->counts[from % MW_LINE_BLOCKS] &&
	    edges->targets.items[edges->targets.n - 1] == to)
		return NULL;
	if (!mw_vec_add(&edges->targets, to))
		return mw_err_nomem();
	return count(edges, line, from);
}

struct mw_err *mw_edges_hint(struct mw_edges *edges, uint32_t from, uint32_t to)
{
	struct mw_hint hint = { from, to };
	size_t n = edges->hints.n;
	if (n && edges->hints.items[n - 1].from == from &&
	    edges->hints.items[n - 1].to == to)
		return NULL;
	if (n >= LEAST_HINTS + edges->n_blocks / BLOCKS_A_HINT) {
		mw_bit_set(edges->hinted, to);
		return NULL;
	}
	return mw_vec_add(&edges->hints, hint) ? NULL : mw_err_nomem();
}

static uint32_t count_many(const struct mw_edges *edges, uint32_t block)
{
	size_t lo = 0, hi = edges->many.n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (edges->many.items[mid].block <= block)
			lo = mid;
		else
			hi = mid;
	}
	return edges->many.items[lo].n;
}

static uint64_t sum_many(const struct mw_edges *edges, const struct mw_edge_line *line,
			 uint32_t first, unsigned n)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum += line->counts[i] < MW_MANY_EDGES ? line->counts[i]
						       : count_many(edges, first + i);
	return sum;
}

/* The sum of n counts, eight at a time; reads beyond them, but not beyond the line. */
static uint64_t sum(const struct mw_edge_line *line, unsigned first, unsigned n)
{
	const uint64_t even = UINT64_C(0x00ff00ff00ff00ff);
	uint64_t lanes = 0, word;
	for (unsigned i = 0; i < n; i += 8) {
		unsigned from = first + i, len = n - i < 8 ? n - i : 8;
		unsigned over = from + 8 > MW_LINE_BLOCKS ? from + 8 - MW_LINE_BLOCKS : 0;
		memcpy(&word, line->counts + from - over, 8);
		word >>= 8 * over;
		if (len < 8)
			word &= ~(~UINT64_C(0) << (8 * len));
		lanes += (word & even) + (word >> 8 & even);
	}
	return lanes * UINT64_C(0x0001000100010001) >> 48;
}

static void sum_parts(struct mw_edge_line *line)
{
	uint64_t before = 0;
	for (unsigned part = 0; part + 1 < MW_LINE_PARTS; part++) {
		before += sum(line, part * MW_LINE_PART, MW_LINE_PART);
		line->before[part] = (uint16_t)before;
	}
}

void mw_edges_finish(struct mw_edges *edges)
{
	uint32_t last = edges->n_blocks / MW_LINE_BLOCKS;
	open_lines(edges, last);
	for (uint32_t i = 0; i <= last; i++)
		if (!edges->lines[i].many)
			sum_parts(&edges->lines[i]);
}

static uint64_t edges_before(const struct mw_edge_line *line, unsigned nth)
{
	unsigned part = nth / MW_LINE_PART;
	return (part ? line->before[part - 1] : 0) +
	       sum(line, part * MW_LINE_PART, nth % MW_LINE_PART);
}

const uint32_t *mw_edges_of(const struct mw_edges *edges, uint32_t block, size_t *n)
{
	const struct mw_edge_line *line = &edges->lines[block / MW_LINE_BLOCKS];
	unsigned nth = block % MW_LINE_BLOCKS;
	uint64_t before = line->many ? sum_many(edges, line, block - nth, nth)
				     : edges_before(line, nth);
	*n = line->counts[nth] < MW_MANY_EDGES ? line->counts[nth]
					       : count_many(edges, block);
	if (!*n)
		return NULL;
	return edges->targets.items + line->at + before;
}

const struct mw_hint *mw_hints_of(const struct mw_edges *edges, uint32_t block, size_t *n)
{
	size_t lo = 0, hi = edges->hints.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (edges->hints.items[mid].from < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == edges->hints.n) {
		*n = 0;
		return NULL;
	}
	for (hi = lo; hi < edges->hints.n && edges->hints.items[hi].from == block;)
		hi++;
	*n = hi - lo;
	return edges->hints.items + lo;
}
