// SPDX-License-Identifier: MIT
/*
 * Threads whose thread pointer nobody knows have caches, too. Their structures lie in
 * chunks of known size; so all chunks are walked once before, and those of that size are
 * tried. It costs a second walk, and is rare: a target that may not be stopped.
 */
#include "heap/glibc/walk.h"

enum { MAX_CANDIDATES = 1 << 16 };

struct candidates {
	const struct mw_tcache_layout *tcache;
	MW_VEC(uint64_t); /* chunks */
};

static struct mw_err *on_area(void *ctx, const struct mw_heap_area *area)
{
	(void)ctx;
	(void)area;
	return NULL;
}

static struct mw_err *on_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	struct candidates *all = ctx;
	for (size_t i = 0; i < n && all->n < MAX_CANDIDATES; i++) {
		uint64_t len = blocks[i].len + 8;
		if (!mw_tcache_chunk_fits(all->tcache, len))
			continue;
		if (!mw_vec_add(all, blocks[i].addr - MW_CHUNK_HEADER))
			return mw_err_nomem();
	}
	return NULL;
}

/* Live blocks of all arenas go into `all`; nothing is reported. */
static struct mw_err *collect(struct mw_heap_walk *walk, const struct mw_glibc *libc,
			      const struct mw_glibc_arena *arenas, size_t n_arenas,
			      struct candidates *all)
{
	const struct mw_block_sink sink = { all, on_area, on_blocks };
	const struct mw_heap_opts *opts = walk->opts;
	struct mw_heap_opts own = *opts;
	struct mw_glibc_walk *state = calloc(1, sizeof(*state));
	size_t n_areas = walk->areas.n;
	struct mw_glibc_tally tally = { 0 };
	struct mw_err *err = state ? NULL : mw_err_nomem();
	own.sink = &sink;
	walk->opts = &own;
	for (size_t i = 0; i < n_arenas && !err; i++) {
		*state = (struct mw_glibc_walk){
			.walk = walk, .libc = libc, .tallies = &tally, .n_tallies = 1
		};
		tally = (struct mw_glibc_tally){ .arena = &arenas[i] };
		for (size_t j = 0; j < arenas[i].n_pieces && !err; j++)
			err = mw_glibc_walk_piece(state, &tally, &arenas[i].pieces[j]);
		mw_glibc_walk_deinit(state);
	}
	walk->opts = opts;
	walk->areas.n = n_areas;
	free(state);
	return err;
}

struct mw_err *mw_glibc_find_lost(struct mw_heap_walk *walk, struct mw_glibc *libc,
				  const struct mw_glibc_arena *arenas, size_t n_arenas,
				  struct mw_cached_vec *cached)
{
	struct candidates all = { .tcache = &libc->layout->tcache };
	size_t lost = libc->n_lost_threads;
	if (!lost || !all.tcache->n_bins)
		return NULL;
	struct mw_err *err = collect(walk, libc, arenas, n_arenas, &all);
	for (size_t i = 0; i < all.n && lost && !err; i++) {
		struct mw_blocks found = { 0 };
		err = mw_glibc_cached_candidate(walk, libc, arenas, n_arenas,
						all.items[i], cached, &found);
		lost -= found.n > 0;
	}
	mw_vec_deinit(&all);
	return err;
}
