// SPDX-License-Identifier: MIT
/* The walker of glibc's malloc: every libc of the process, and the report on each. */
#include "heap/glibc/walk.h"

#include <string.h>

/* A piece of an arena or a single block, in the order of addresses. */
struct place {
	uint64_t start;
	struct mw_glibc_tally *tally;       /* NULL: a single block */
	const struct mw_glibc_piece *piece; /* or NULL */
	const struct mw_glibc_mmapped *mmapped;
};

/* What belongs to one libc, until it is reported. */
struct one {
	struct mw_heap_walk *walk;
	struct mw_glibc *libc;
	struct mw_glibc_arena *arenas;
	size_t n_arenas;
	struct mw_cached_vec cached;
	struct mw_glibc_mmapped_vec mmapped;
	struct mw_heap_thread *threads;
	size_t n_threads;
	struct place *places;
	size_t n_places;
	struct mw_glibc_walk state;
};

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Pieces and single blocks, ascending. */
static bool list_places(struct one *one)
{
	size_t n = one->mmapped.n;
	for (size_t i = 0; i < one->n_arenas; i++)
		n += one->arenas[i].n_pieces;
	one->places = calloc(n + 1, sizeof(*one->places));
	if (!one->places)
		return false;
	for (size_t i = 0; i < one->n_arenas; i++)
		for (size_t j = 0; j < one->arenas[i].n_pieces; j++) {
			const struct mw_glibc_piece *piece = &one->arenas[i].pieces[j];
			one->places[one->n_places++] =
				(struct place){ .start = piece->start,
						.tally = &one->state.tallies[i],
						.piece = piece };
		}
	for (size_t i = 0; i < one->mmapped.n; i++)
		one->places[one->n_places++] =
			(struct place){ .start = one->mmapped.items[i].start,
					.mmapped = &one->mmapped.items[i] };
	qsort(one->places, one->n_places, sizeof(*one->places), by_place);
	return true;
}

static bool make_tallies(struct one *one)
{
	struct mw_glibc_walk *state = &one->state;
	state->walk = one->walk;
	state->libc = one->libc;
	state->tallies =
		mw_arena_calloc(one->walk->arena, one->n_arenas, sizeof(*state->tallies));
	if (!state->tallies)
		return false;
	state->n_tallies = one->n_arenas;
	for (size_t i = 0; i < one->n_arenas; i++)
		state->tallies[i].arena = &one->arenas[i];
	return true;
}

/* Hostile structures may name a range twice; areas never overlap. */
static struct mw_err *walk_place(struct one *one, const struct place *place,
				 uint64_t *reached)
{
	uint64_t page = MW_GLIBC_PAGE - 1;
	if (place->start < *reached)
		return NULL;
	if (place->mmapped) {
		*reached = place->mmapped->end;
		return mw_glibc_walk_mmapped(&one->state, place->mmapped);
	}
	const struct mw_glibc_piece *piece = place->piece;
	*reached = (piece->end + page) & ~page;
	return mw_glibc_walk_piece(&one->state, place->tally, piece);
}

static struct mw_err *walk_places(struct one *one)
{
	struct mw_err *err = NULL;
	uint64_t reached = 0;
	one->state.cached = one->cached.items;
	one->state.n_cached = one->cached.n;
	for (size_t i = 0; i < one->n_places && !err; i++)
		err = walk_place(one, &one->places[i], &reached);
	for (size_t i = 0; i < one->state.n_tallies; i++) {
		struct mw_glibc_tally *tally = &one->state.tallies[i];
		tally->walked = tally->live.bytes + tally->tcache.bytes +
				tally->fast.bytes + tally->bins.bytes + tally->top +
				tally->overhead;
	}
	return err;
}

static void report_kept(const struct mw_glibc_tally *tally, struct mw_kept *ret)
{
	ret->bytes =
		tally->tcache.bytes + tally->fast.bytes + tally->bins.bytes + tally->top;
	ret->trimmable = tally->resident[MW_USE_TRIMMABLE];
	ret->pinned = tally->resident[MW_USE_PINNED];
	ret->untrimmable = tally->resident[MW_USE_UNTRIMMABLE];
	ret->resident = ret->trimmable + ret->pinned + ret->untrimmable;
	if (tally->split || !ret->bytes)
		return;
	ret->trimmable = ret->pinned = ret->untrimmable = ret->resident = UINT64_MAX;
}

/* What is wrong with the chunk where a walk ended; a guess, in the order of likelihood.
 */
static const char *stop_reason(const struct mw_heap_walk *walk, uint64_t stopped)
{
	const struct mw_facts *facts = mw_source_facts(mw_snapshot_source(walk->snap));
	const struct mw_region *region = mw_snapshot_find(walk->snap, stopped);
	if (region &&
	    mw_snapshot_count(walk->snap, region, region->start, region->end).swap)
		return "none, or is swapped out: reading it would bring it back";
	if (facts->root || facts->core)
		return "none, or was not recorded";
	return walk->opts->still ? "none" : "none, or the program was just changing it";
}

/* Why the walk of an arena ended early, or left something out. */
static struct mw_err *note_stop(struct mw_heap_walk *walk,
				const struct mw_glibc_tally *tally, uint64_t unknown)
{
	const struct mw_facts *facts = mw_source_facts(mw_snapshot_source(walk->snap));
	const char *what = mw_arena_printf(walk->arena, "heap of arena 0x%llx",
					   (unsigned long long)tally->arena->address);
	const char *why = mw_arena_printf(
		walk->arena,
		"%llu bytes are not understood: first at 0x%llx, what should be a chunk "
		"is %s",
		(unsigned long long)unknown, (unsigned long long)tally->stopped,
		stop_reason(walk, tally->stopped));
	if (!what || !why)
		return mw_err_nomem();
	return mw_heap_gap(walk, what, why,
			   facts->root ? "memwhy capture --stop --memory" : "");
}

static struct mw_err *report_arena(struct mw_heap_walk *walk,
				   const struct mw_glibc_tally *tally,
				   struct mw_heap_arena *ret)
{
	const struct mw_glibc_arena *arena = tally->arena;
	*ret = (struct mw_heap_arena){
		.address = arena->address,
		.name = arena->main ? "main" : "thread",
		.main = arena->main,
		.locked = arena->locked,
		.threads = arena->attached,
		.heaps = (unsigned)arena->n_pieces,
		.system = arena->system_mem,
		.live = tally->live,
		.tcache = tally->tcache,
		.fast = tally->fast,
		.bins = tally->bins,
		.top = tally->top,
		.overhead = tally->overhead,
	};
	if (arena->system_mem > tally->walked)
		ret->unknown = arena->system_mem - tally->walked;
	report_kept(tally, &ret->free);
	walk->locked = walk->locked || arena->locked;
	struct mw_err *err = mw_glibc_pins_report(walk, tally, ret);
	if (!err && tally->stopped)
		err = note_stop(walk, tally, ret->unknown);
	return err;
}

static void add_blocks(struct mw_blocks *to, const struct mw_blocks *what)
{
	to->n += what->n;
	to->bytes += what->bytes;
}

static void add_known(uint64_t *to, uint64_t what)
{
	*to = *to == UINT64_MAX || what == UINT64_MAX ? UINT64_MAX : *to + what;
}

static void add_arena(struct mw_allocator *it, const struct mw_heap_arena *arena)
{
	it->system += arena->system;
	add_blocks(&it->live, &arena->live);
	add_blocks(&it->tcache, &arena->tcache);
	it->overhead += arena->overhead;
	it->unknown += arena->unknown;
	it->free.bytes += arena->free.bytes;
	add_known(&it->free.resident, arena->free.resident);
	add_known(&it->free.trimmable, arena->free.trimmable);
	add_known(&it->free.pinned, arena->free.pinned);
	add_known(&it->free.untrimmable, arena->free.untrimmable);
}

static struct mw_err *report_arenas(struct one *one, struct mw_allocator *it)
{
	struct mw_heap_arena *arenas =
		mw_arena_calloc(one->walk->arena, one->n_arenas, sizeof(*arenas));
	struct mw_err *err = arenas ? NULL : mw_err_nomem();
	for (size_t i = 0; i < one->n_arenas && !err; i++) {
		err = report_arena(one->walk, &one->state.tallies[i], &arenas[i]);
		add_arena(it, &arenas[i]);
	}
	it->arenas = arenas;
	it->n_arenas = one->n_arenas;
	return err;
}

static struct mw_err *report_sizes(struct one *one, struct mw_allocator *it)
{
	const struct mw_glibc_walk *state = &one->state;
	size_t n = 0;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++)
		n += state->live[i].n || state->kept[i].n;
	struct mw_heap_size *sizes = mw_arena_calloc(one->walk->arena, n, sizeof(*sizes));
	if (!sizes)
		return mw_err_nomem();
	it->sizes = sizes;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++)
		if (state->live[i].n || state->kept[i].n)
			sizes[it->n_sizes++] =
				(struct mw_heap_size){ .size = mw_size_class_max(i),
						       .live = state->live[i],
						       .kept = state->kept[i] };
	return NULL;
}

static void report_mmapped(const struct one *one, struct mw_allocator *it)
{
	const struct mw_glibc_walk *state = &one->state;
	const struct mw_malloc_params *params = &one->libc->params;
	it->mmapped = state->mmapped;
	add_blocks(&it->live, &state->mmapped);
	it->system += state->mapped;
	it->overhead += state->mapped - state->mmapped.bytes;
	/* Those that were not found. */
	if (one->libc->mp && params->n_mmaps > state->mmapped.n &&
	    params->mmapped_mem > state->mapped) {
		it->system += params->mmapped_mem - state->mapped;
		it->unknown += params->mmapped_mem - state->mapped;
	}
}

/* What the report rests on; NULL when memory is short. */
static const char *note_of(const struct one *one)
{
	const char *searched = one->libc->searched
				       ? "no relocations of its file told where it lies: "
					 "it was found by what its structures look like"
				       : "";
	uint64_t foreign = 0;
	for (size_t i = 0; i < one->state.n_tallies; i++)
		foreign += one->state.tallies[i].foreign;
	if (!foreign)
		return searched;
	return mw_arena_printf(one->walk->arena,
			       "%s%s%llu of the unknown bytes are not its own: somebody "
			       "else took them with sbrk(), and glibc counts them",
			       searched, *searched ? "; " : "",
			       (unsigned long long)foreign);
}

static struct mw_err *report(struct one *one)
{
	struct mw_heap_walk *walk = one->walk;
	struct mw_allocator it = {
		.name = "glibc",
		.version = one->libc->version,
		.object = one->libc->object,
		.depth = MW_HEAP_WALKED,
		.note = note_of(one),
		.threads = one->threads,
		.n_threads = one->n_threads,
		.params = one->libc->params,
	};
	struct mw_err *err = report_arenas(one, &it);
	report_mmapped(one, &it);
	if (!err)
		err = report_sizes(one, &it);
	if (!err)
		err = mw_glibc_check(&one->state, &it);
	if (!err && (!it.note || !mw_vec_add(&walk->allocators, it)))
		err = mw_err_nomem();
	return err;
}

/* A libc may be loaded, and another allocator do its work. */
static bool is_used(const struct one *one)
{
	if (one->libc->mp && one->libc->params.n_mmaps)
		return true;
	for (size_t i = 0; i < one->n_arenas; i++)
		if (one->arenas[i].system_mem || one->arenas[i].n_pieces)
			return true;
	return false;
}

static struct mw_err *walk_used(struct one *one)
{
	struct mw_err *err =
		mw_glibc_cached(one->walk, one->libc, one->arenas, one->n_arenas,
				&one->cached, &one->threads, &one->n_threads);
	if (!err)
		err = mw_glibc_find_lost(one->walk, one->libc, one->arenas, one->n_arenas,
					 &one->cached);
	if (!err)
		err = mw_glibc_find_mmapped(one->walk, one->libc, one->arenas,
					    one->n_arenas, &one->mmapped);
	if (!err && (!make_tallies(one) || !list_places(one)))
		err = mw_err_nomem();
	if (!err)
		err = walk_places(one);
	if (!err)
		err = report(one);
	return err;
}

static struct mw_err *walk_one(struct mw_heap_walk *walk, struct mw_glibc *libc)
{
	struct one *one = calloc(1, sizeof(*one));
	if (!one)
		return mw_err_nomem();
	one->walk = walk;
	one->libc = libc;
	struct mw_err *err = mw_glibc_arenas(walk, libc, &one->arenas, &one->n_arenas);
	if (!err && is_used(one))
		err = walk_used(one);
	mw_glibc_walk_deinit(&one->state);
	mw_vec_deinit(&one->cached);
	mw_vec_deinit(&one->mmapped);
	free(one->places);
	free(one);
	return err;
}

static struct mw_err *walk_glibc(struct mw_heap_walk *walk)
{
	struct mw_glibc_vec libcs = { 0 };
	struct mw_err *err = mw_glibc_find(walk, &libcs);
	if (!err && libcs.n && walk->page_size != MW_GLIBC_PAGE)
		err = mw_heap_gap(walk, "glibc's heap",
				  "only x86-64's layout with 4 KiB pages is known", "");
	else
		for (size_t i = 0; i < libcs.n && !err; i++)
			err = walk_one(walk, &libcs.items[i]);
	mw_vec_deinit(&libcs);
	return err;
}

const struct mw_walker mw_walker_glibc = { "glibc", walk_glibc };
