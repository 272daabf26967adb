// SPDX-License-Identifier: MIT
/*
 * All malloc_state of a libc, and where their chunks lie. A thread's arena lives at the
 * start of its first heap, behind heap_info; heaps are aligned to their maximal size,
 * and lead from the newest to the oldest. So an arena proves itself: the heap it is in
 * must name it.
 *
 * Sources: glibc malloc/arena.c (heap_info, new_heap, _int_new_arena), malloc/malloc.c
 * (malloc_state, sysmalloc).
 */
#include "heap/glibc/arenas.h"

#include <inttypes.h>
#include <string.h>

enum {
	MAX_ARENAS = 16384,  /* 8 a core by default */
	MAX_HEAPS = 1 << 18, /* in all arenas together */
	NONCONTIGUOUS = 2,   /* malloc_state.flags */
	INFO_WORDS = 3,      /* heap_info: ar_ptr, prev, size */
	STATE_MAX = 0x8c0,   /* longer than any malloc_state */
	HEAP_MAX = 64 << 20, /* HEAP_MAX_SIZE */
};

struct arena_vec {
	MW_VEC(struct mw_glibc_arena);
};

struct ring {
	struct mw_heap_walk *walk;
	const struct mw_glibc *libc;
	struct arena_vec arenas;
	struct mw_glibc_piece_vec pieces; /* of the arena at hand */
	struct mw_glibc_piece_vec taken;  /* of all threads' arenas */
	size_t n_heaps;
};

static const uint64_t ALIGN_MASK = 15;
static const uint64_t ADDRESS_END = UINT64_C(1) << 56; /* 57 bits, half of them */

uint64_t mw_glibc_chunk_size(struct mw_memory *mem, uint64_t chunk, uint64_t *flags)
{
	uint64_t word;
	if (!mw_memory_word(mem, chunk + 8, &word))
		return 0;
	*flags = word & MW_CHUNK_FLAGS;
	return word & ~(uint64_t)MW_CHUNK_FLAGS;
}

static uint64_t take_word(const unsigned char *state, uint16_t at)
{
	uint64_t word = 0;
	if (at != UINT16_MAX)
		memcpy(&word, state + at, sizeof(word));
	return word;
}

/* Reads a malloc_state; `next` is the arena behind it in the ring. */
static bool read_state(struct ring *ring, uint64_t address, struct mw_glibc_arena *ret,
		       uint64_t *next)
{
	unsigned char bytes[STATE_MAX];
	uint32_t mutex, flags;
	const struct mw_state_layout *at = &ring->libc->layout->state;
	if (!mw_memory_read(&ring->walk->memory, address, bytes, at->size))
		return false;
	memcpy(&mutex, bytes, sizeof(mutex));
	memcpy(&flags, bytes + 4, sizeof(flags));
	*ret = (struct mw_glibc_arena){
		.address = address,
		.main = address == ring->libc->main_arena,
		.locked = mutex != 0,
		.noncontiguous = flags & NONCONTIGUOUS,
		.attached = (unsigned)take_word(bytes, at->attached),
		.top = take_word(bytes, at->top),
		.system_mem = take_word(bytes, at->system_mem),
	};
	if (at->fastbins != UINT16_MAX)
		memcpy(ret->fastbins, bytes + at->fastbins, sizeof(ret->fastbins));
	memcpy(ret->bins, bytes + at->bins, sizeof(ret->bins));
	*next = take_word(bytes, at->next);
	return true;
}

/* Heaps are aligned to heap_max_size(); which it is, the newest heap proves. */
static uint64_t heap_of(struct ring *ring, const struct mw_glibc_arena *arena,
			uint64_t *max)
{
	const uint64_t sizes[] = { ring->libc->heap_max, HEAP_MAX };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t owner, heap = arena->top & ~(sizes[i] - 1);
		*max = sizes[i];
		if (mw_memory_word(&ring->walk->memory, heap, &owner) &&
		    owner == arena->address)
			return heap;
	}
	return 0;
}

/* Where the first chunk of a heap begins: behind heap_info, and malloc_state if any. */
static uint64_t first_chunk(const struct ring *ring, uint64_t heap,
			    const struct mw_glibc_arena *arena)
{
	uint64_t first = heap + ring->libc->layout->heap_info_len;
	if (arena->address == first)
		first += ring->libc->layout->state.size;
	return (first + ALIGN_MASK) & ~ALIGN_MASK;
}

/*
 * The heaps of a thread's arena, newest first. system_mem is the sum of their sizes, so
 * a ring of heaps ends where more was found than that.
 */
static struct mw_err *thread_pieces(struct ring *ring, struct mw_glibc_arena *arena)
{
	uint64_t info[INFO_WORDS], max, sum = 0;
	arena->broken = true;
	for (uint64_t heap = heap_of(ring, arena, &max); heap; heap = info[1]) {
		struct mw_glibc_piece piece = { .start = heap };
		if (ring->n_heaps++ >= MAX_HEAPS || (heap & (max - 1)) ||
		    heap >= ADDRESS_END ||
		    !mw_memory_read(&ring->walk->memory, heap, info, sizeof(info)) ||
		    info[0] != arena->address || info[2] > max || (info[2] & 15))
			return NULL;
		piece.end = heap + info[2];
		piece.first = first_chunk(ring, heap, arena);
		piece.last = arena->top >= piece.start && arena->top < piece.end;
		if (piece.first >= piece.end || info[2] > arena->system_mem - sum)
			return NULL;
		sum += info[2];
		if (!mw_vec_add(&ring->pieces, piece))
			return mw_err_nomem();
		arena->broken = info[1] != 0;
	}
	return NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct mw_glibc_piece *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Ascending, and without those that begin inside another. */
static struct mw_err *keep_pieces(struct ring *ring, struct mw_glibc_arena *arena)
{
	struct mw_glibc_piece_vec *pieces = &ring->pieces;
	if (!pieces->n)
		return NULL;
	qsort(pieces->items, pieces->n, sizeof(*pieces->items), by_start);
	arena->pieces =
		mw_arena_calloc(ring->walk->arena, pieces->n, sizeof(*arena->pieces));
	if (!arena->pieces)
		return mw_err_nomem();
	for (size_t i = 0; i < pieces->n; i++) {
		uint64_t end =
			arena->n_pieces ? arena->pieces[arena->n_pieces - 1].end : 0;
		if (pieces->items[i].start < end)
			arena->broken = true;
		else
			arena->pieces[arena->n_pieces++] = pieces->items[i];
	}
	return NULL;
}

static struct mw_err *find_pieces(struct ring *ring, struct mw_glibc_arena *arena)
{
	struct mw_err *err;
	bool whole = true;
	ring->pieces.n = 0;
	if (!arena->main) {
		err = thread_pieces(ring, arena);
	} else if (!arena->system_mem) {
		arena->top = 0; /* initial_top() lies in malloc_state itself */
		return NULL;
	} else {
		err = mw_glibc_main_pieces(ring->walk, ring->libc, arena, &ring->taken,
					   &ring->pieces, &whole);
		arena->broken = !whole;
	}
	return err ? err : keep_pieces(ring, arena);
}

static struct mw_err *tell_broken(struct ring *ring, uint64_t address, const char *why)
{
	const char *what =
		mw_arena_printf(ring->walk->arena, "arena 0x%" PRIx64, address);
	return what ? mw_heap_gap(ring->walk, what, why, "") : mw_err_nomem();
}

/* A thread's arena follows the heap_info of its first heap. */
static bool may_be_arena(const struct ring *ring, uint64_t address)
{
	const uint64_t len = ring->libc->layout->heap_info_len;
	const uint64_t max = ring->libc->heap_max < HEAP_MAX ? ring->libc->heap_max
							     : (uint64_t)HEAP_MAX;
	return address < ADDRESS_END && (address & (max - 1)) == len;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* The first arena that came twice, counted in ring order; all of them if none did. */
static size_t until_repeated(const struct arena_vec *arenas)
{
	size_t lo = 0, hi = arenas->n;
	uint64_t *sorted = calloc(arenas->n ? arenas->n : 1, sizeof(*sorted));
	/* How many of the first n are distinct grows up to the first repetition. */
	while (sorted && lo < hi) {
		size_t n = lo + (hi - lo + 1) / 2, n_equal = 0;
		for (size_t i = 0; i < n; i++)
			sorted[i] = arenas->items[i].address;
		qsort(sorted, n, sizeof(*sorted), by_address);
		for (size_t i = 1; i < n; i++)
			n_equal += sorted[i] == sorted[i - 1];
		if (n_equal)
			hi = n - 1;
		else
			lo = n;
	}
	free(sorted);
	return lo;
}

/* Why malloc_state could not be read. */
static const char *unread_reason(const struct ring *ring, uint64_t address)
{
	const struct mw_snapshot *snap = ring->walk->snap;
	const struct mw_region *region = mw_snapshot_find(snap, address);
	if (region && mw_snapshot_count(snap, region, region->start, region->end).swap)
		return "malloc_state could not be read: it may be swapped out, and is "
		       "not brought back to be read";
	return "malloc_state could not be read";
}

/* Follows the ring until it closes; one that does not is cut where it repeats. */
static struct mw_err *read_ring(struct ring *ring)
{
	uint64_t address = ring->libc->main_arena, next;
	const char *why = NULL;
	do {
		struct mw_glibc_arena arena;
		if (ring->arenas.n && !may_be_arena(ring, address))
			why = "the list of arenas leads to none";
		else if (ring->arenas.n >= MAX_ARENAS)
			why = "the list of arenas does not end";
		else if (!read_state(ring, address, &arena, &next))
			why = unread_reason(ring, address);
		else if (!mw_vec_add(&ring->arenas, arena))
			return mw_err_nomem();
		if (why)
			break;
		address = next;
	} while (address != ring->libc->main_arena);
	if (!why)
		return NULL;
	ring->arenas.n = until_repeated(&ring->arenas);
	return tell_broken(ring, address, why);
}

/* The bins of a main_arena that was never used are zero; in use they are lists. */
static bool is_used(const struct arena_vec *arenas)
{
	return arenas->n && arenas->items[0].bins[0];
}

static struct mw_err *take_pieces(struct ring *ring, const struct mw_glibc_arena *arena)
{
	for (size_t i = 0; i < arena->n_pieces; i++)
		if (!mw_vec_add(&ring->taken, arena->pieces[i]))
			return mw_err_nomem();
	return NULL;
}

/* main_arena, the first, comes last: its pieces are searched where nobody else's are. */
static struct mw_err *find_all_pieces(struct ring *ring)
{
	struct mw_err *err = NULL;
	for (size_t i = ring->arenas.n; i-- > 0 && !err;) {
		struct mw_glibc_arena *arena = &ring->arenas.items[i];
		if (i == 0 && ring->taken.n)
			qsort(ring->taken.items, ring->taken.n,
			      sizeof(*ring->taken.items), by_start);
		err = find_pieces(ring, arena);
		ring->walk->locked |= arena->locked;
		if (!err)
			err = take_pieces(ring, arena);
		if (!err && arena->broken)
			err = tell_broken(ring, arena->address,
					  "not all of its heaps could be found");
	}
	return err;
}

struct mw_err *mw_glibc_arenas(struct mw_heap_walk *walk, const struct mw_glibc *libc,
			       struct mw_glibc_arena **ret, size_t *n)
{
	struct ring ring = { .walk = walk, .libc = libc };
	struct mw_glibc_arena *arenas = NULL;
	struct mw_err *err = read_ring(&ring);
	bool used = !err && is_used(&ring.arenas);
	if (used)
		err = find_all_pieces(&ring);
	if (!err && used) {
		arenas = mw_arena_calloc(walk->arena, ring.arenas.n, sizeof(*arenas));
		err = arenas ? NULL : mw_err_nomem();
	}
	if (!err) {
		*n = used ? ring.arenas.n : 0;
		if (arenas)
			memcpy(arenas, ring.arenas.items, *n * sizeof(*arenas));
		*ret = arenas;
	}
	mw_vec_deinit(&ring.arenas);
	mw_vec_deinit(&ring.pieces);
	mw_vec_deinit(&ring.taken);
	return err;
}
