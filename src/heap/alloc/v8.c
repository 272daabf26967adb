// SPDX-License-Identifier: MIT
/*
 * V8 up to 11 (node 16 to 20), without pointer compression: chunks aligned to 256 KiB
 * begin with their length, flags, the Heap they belong to, the area objects lie in, how
 * much of it is allocated, and the space that owns them. Chunks that name the same Heap
 * prove each other.
 *
 * These are V8's own counters. They are what v8.getHeapSpaceStatistics() adds up, except
 * in the new space, where allocation only moves a pointer: start, top and limit of what
 * it allocates from are three words beside the Heap, and the pages before that one in
 * the list of the semispace are full. What is garbage, only V8 could tell.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 256 << 10,
	HEADER_MAX = 64 << 10, /* area_start lies this near, guard pages included */
	MIN_TEXT = 8 << 20,    /* nothing that contains V8 has less code */
	PROBES = 256,          /* regions whose start is looked at */
	BUDGET = 65536,
	PATIENCE = 16, /* addresses of a region without a chunk before giving up */
	MAX_CHUNKS = 1 << 20,
	SPACE_ID = 16, /* of Space */
	MAX_SPACES = 16,
	FROM_PAGE = 1 << 3, /* flags: the half of the new space that is empty */
	TO_PAGE = 1 << 4,
	LINKS_MIN = 20, /* words of the header the list of pages may be in */
	LINKS_MAX = 60,
	HEADER_WORDS = LINKS_MAX + 2,
	BESIDE = 128 << 10, /* bytes before the Heap: Isolate and its data */
};

#define MAX_CHUNK_LEN (UINT64_C(4) << 30)

struct chunk {
	uint64_t start, len, flags, heap;
	uint64_t area, area_end, allocated, owner;
};

struct space {
	uint64_t heap, id, owner;
	uint64_t system, area, used;
	bool moving; /* the new space */
};

struct v8 {
	struct mw_heap_walk *walk;
	const struct mw_region *text;
	MW_VEC(struct chunk); /* by heap, then by address */
	struct mw_tally tally;
	struct mw_heap_arena *arenas;
	size_t n_arenas;
	unsigned n_lost; /* heaps whose allocation pointer was not found */
};

static bool accessible(const struct mw_region *region)
{
	return !(region->perms & MW_PERM_SHARED) && !region->ino &&
	       (region->perms & MW_PERM_READ) && region->name[0] != '[';
}

static bool read_chunk(struct mw_heap_walk *walk, uint64_t addr, struct chunk *ret)
{
	uint64_t word[9];
	if (!mw_memory_read(&walk->memory, addr, word, sizeof(word)))
		return false;
	*ret = (struct chunk){ addr,    word[0], word[1], word[2],
			       word[3], word[4], word[5], word[8] };
	return ret->len && !(ret->len & 4095) && ret->len <= MAX_CHUNK_LEN &&
	       !(ret->heap & 7) && !(ret->flags >> 32) && ret->area > addr &&
	       ret->area - addr <= HEADER_MAX && ret->area < ret->area_end &&
	       ret->area_end - addr <= ret->len &&
	       ret->allocated <= ret->area_end - ret->area &&
	       mw_alloc_is_covered(walk->snap, addr, addr + ret->len);
}

/* Two chunks at the starts of regions that name one heap: V8 is here. */
static bool probe(struct mw_heap_walk *walk)
{
	size_t n;
	unsigned left = PROBES;
	uint64_t heaps[PROBES];
	unsigned n_heaps = 0;
	const struct mw_region *regions = mw_snapshot_regions(walk->snap, &n);
	for (size_t i = 0; i < n && left; i++) {
		struct chunk chunk;
		if (!accessible(&regions[i]) || (regions[i].start & (CHUNK - 1)))
			continue;
		left--;
		if (!read_chunk(walk, regions[i].start, &chunk) || !chunk.heap)
			continue;
		for (unsigned k = 0; k < n_heaps; k++)
			if (heaps[k] == chunk.heap)
				return true;
		heaps[n_heaps++] = chunk.heap;
	}
	return false;
}

static struct mw_err *scan_region(struct v8 *v8, const struct mw_region *region,
				  unsigned *budget)
{
	unsigned misses = 0;
	uint64_t addr = mw_alloc_up(region->start, CHUNK), next;
	for (; addr < region->end && *budget && misses < PATIENCE; addr = next) {
		struct chunk chunk;
		next = addr + CHUNK;
		--*budget;
		if (!read_chunk(v8->walk, addr, &chunk)) {
			misses++;
			continue;
		}
		misses = 0;
		next = mw_alloc_up(addr + chunk.len, CHUNK);
		if (v8->n >= MAX_CHUNKS)
			return NULL;
		if (!mw_vec_add(v8, chunk))
			return mw_err_nomem();
	}
	return NULL;
}

static int by_heap(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;
	if (x->heap != y->heap)
		return x->heap < y->heap ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static struct mw_err *find_chunks(struct v8 *v8)
{
	size_t n;
	unsigned budget = BUDGET;
	const struct mw_region *regions = mw_snapshot_regions(v8->walk->snap, &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++)
		if (accessible(&regions[i]))
			err = scan_region(v8, &regions[i], &budget);
	if (v8->n)
		qsort(v8->items, v8->n, sizeof(*v8->items), by_heap);
	return err;
}

/* The chunk of this heap that begins at `addr`, among [first, end). */
static const struct chunk *chunk_at(const struct v8 *v8, size_t first, size_t end,
				    uint64_t addr)
{
	while (first < end) {
		size_t mid = first + (end - first) / 2;
		if (v8->items[mid].start == addr)
			return &v8->items[mid];
		if (v8->items[mid].start < addr)
			first = mid + 1;
		else
			end = mid;
	}
	return NULL;
}

/* Chunks of one heap, and where the new space allocates. */
struct heap {
	size_t first, end;
	const struct chunk *current;
	uint64_t top;
};

/* start, top, limit: in one page of the semispace in use. */
static bool is_lab(const struct v8 *v8, struct heap *heap, const uint64_t word[3])
{
	if (word[0] > word[1] || word[1] > word[2] || !word[0])
		return false;
	const struct chunk *chunk =
		chunk_at(v8, heap->first, heap->end, mw_alloc_down(word[0], CHUNK));
	if (!chunk || !(chunk->flags & TO_PAGE) || word[0] < chunk->area ||
	    word[2] > chunk->area_end)
		return false;
	heap->current = chunk;
	heap->top = word[1];
	return true;
}

/* Nearest to the Heap first: the data of the Isolate lies close before it. */
static bool find_top(struct v8 *v8, struct heap *heap)
{
	uint64_t words[4096 / 8 + 2], at = v8->items[heap->first].heap;
	uint64_t low = at > BESIDE ? at - BESIDE : 0;
	for (at = mw_alloc_down(at, 4096); at >= low && at; at -= 4096) {
		/* Two words of the page above, for what lies across. */
		if (!mw_memory_read(&v8->walk->memory, at, words, sizeof(words)))
			continue;
		for (unsigned i = 0; i < 4096 / 8; i++)
			if (is_lab(v8, heap, &words[i]))
				return true;
	}
	return false;
}

static bool read_header(struct v8 *v8, uint64_t chunk, uint64_t word[HEADER_WORDS])
{
	return mw_memory_read(&v8->walk->memory, chunk, word, HEADER_WORDS * 8);
}

/* Where in a header the list of pages is: a neighbour must point back. */
static unsigned find_links(struct v8 *v8, const struct heap *heap)
{
	uint64_t word[HEADER_WORDS], other[HEADER_WORDS], addr = heap->current->start;
	if (!read_header(v8, addr, word))
		return 0;
	for (unsigned i = LINKS_MIN; i <= LINKS_MAX; i++) {
		const struct chunk *next = chunk_at(v8, heap->first, heap->end, word[i]);
		const struct chunk *prev =
			chunk_at(v8, heap->first, heap->end, word[i + 1]);
		if (next && read_header(v8, next->start, other) && other[i + 1] == addr)
			return i;
		if (prev && read_header(v8, prev->start, other) && other[i] == addr)
			return i;
	}
	return 0;
}

/* Bytes allocated in the new space: full pages, and the current one up to top. */
static uint64_t moved_bytes(struct v8 *v8, const struct heap *heap)
{
	uint64_t word[HEADER_WORDS], bytes = heap->top - heap->current->area;
	const struct chunk *chunk = heap->current;
	unsigned at = find_links(v8, heap);
	for (size_t n = heap->first; at && n < heap->end; n++) {
		if (!read_header(v8, chunk->start, word))
			break;
		chunk = chunk_at(v8, heap->first, heap->end, word[at + 1]);
		if (!chunk || !(chunk->flags & TO_PAGE))
			break;
		bytes += chunk->area_end - chunk->area;
	}
	return bytes;
}

static struct space *space_of(struct v8 *v8, struct space *spaces, size_t *n,
			      const struct chunk *chunk)
{
	uint32_t id = 0;
	if (chunk->owner &&
	    !mw_memory_read(&v8->walk->memory, chunk->owner + SPACE_ID, &id, sizeof(id)))
		id = UINT32_MAX;
	for (size_t i = 0; i < *n; i++)
		if (spaces[i].id == id)
			return &spaces[i];
	if (*n == MAX_SPACES)
		return &spaces[MAX_SPACES - 1];
	spaces[*n] =
		(struct space){ .heap = chunk->heap, .id = id, .owner = chunk->owner };
	return &spaces[(*n)++];
}

/*
 * The names of spaces by their number: until V8 10 the new space came last of those
 * with small objects.
 */
static const char *name_of(const struct space *space, uint64_t new_id)
{
	static const char *const names[] = {
		"read only", "new",   "old",         "code",          "shared",
		"new large", "large", "code, large", "shared, large",
	};
	if (space->moving)
		return "new";
	if (new_id == 1 && space->id < sizeof(names) / sizeof(*names))
		return names[space->id];
	return space->id ? "space" : "read only";
}

static void add_arena(struct v8 *v8, const struct space *space, uint64_t new_id)
{
	struct mw_allocator *it = &v8->tally.it;
	struct mw_heap_arena *arena = &v8->arenas[v8->n_arenas];
	*arena = (struct mw_heap_arena){
		.address = space->owner,
		.name = name_of(space, new_id),
		.main = space->id == 2,
		.system = space->system,
		.live.bytes = space->used,
		.bins.bytes = space->area - space->used,
		.overhead = space->system - space->area,
		.free.bytes = space->area - space->used,
	};
	v8->n_arenas++;
	it->system += arena->system;
	it->live.bytes += arena->live.bytes;
	it->overhead += arena->overhead;
	it->free.bytes += arena->free.bytes;
}

static void report_heap(struct v8 *v8, struct heap *heap)
{
	struct space spaces[MAX_SPACES];
	size_t n = 0;
	uint64_t new_id = 0, moving = 0;
	bool known = find_top(v8, heap);
	for (size_t i = heap->first; i < heap->end; i++) {
		const struct chunk *chunk = &v8->items[i];
		struct space *space = space_of(v8, spaces, &n, chunk);
		space->system += chunk->len;
		space->area += chunk->area_end - chunk->area;
		if (chunk->flags & (TO_PAGE | FROM_PAGE)) {
			space->moving = true;
			new_id = space->id;
			moving += chunk->flags & TO_PAGE ? chunk->allocated : 0;
		} else {
			space->used += chunk->allocated;
		}
	}
	v8->n_lost += !known && new_id;
	for (size_t i = 0; i < n; i++) {
		if (spaces[i].moving)
			spaces[i].used = known ? moved_bytes(v8, heap) : moving;
		if (spaces[i].used > spaces[i].area)
			spaces[i].used = spaces[i].area;
		add_arena(v8, &spaces[i], new_id);
	}
}

static int by_start(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Chunks that follow each other are one area. */
static struct mw_err *add_areas(struct v8 *v8)
{
	struct mw_err *err = NULL;
	qsort(v8->items, v8->n, sizeof(*v8->items), by_start);
	for (size_t i = 0, k; i < v8->n && !err; i = k) {
		uint64_t end = v8->items[i].start;
		for (k = i; k < v8->n && v8->items[k].start <= end; k++)
			if (v8->items[k].start + v8->items[k].len > end)
				end = v8->items[k].start + v8->items[k].len;
		err = mw_tally_area(&v8->tally, v8->items[i].start, end);
	}
	return err;
}

/* Chunks of a heap that no other names are chance; a read-only one names none. */
static struct mw_err *report(struct v8 *v8)
{
	size_t kept = 0;
	struct mw_allocator *it = &v8->tally.it;
	struct mw_err *err = mw_tally_init(&v8->tally, v8->walk, &mw_walker_v8);
	v8->arenas = mw_arena_calloc(v8->walk->arena, v8->n + 1, sizeof(*v8->arenas));
	if (!err && !v8->arenas)
		err = mw_err_nomem();
	for (size_t i = 0, k; i < v8->n && !err; i = k) {
		for (k = i; k < v8->n && v8->items[k].heap == v8->items[i].heap; k++)
			;
		struct heap heap = { .first = i, .end = k };
		if (v8->items[i].heap && k - i < 2)
			continue;
		report_heap(v8, &heap);
		memmove(v8->items + kept, v8->items + i, (k - i) * sizeof(*v8->items));
		kept += k - i;
	}
	v8->n = kept;
	if (!err)
		err = add_areas(v8);
	if (err)
		return err;
	it->depth = MW_HEAP_COUNTED;
	it->object = v8->text->name;
	it->arenas = v8->arenas;
	it->n_arenas = v8->n_arenas;
	it->note = v8->n_lost ? "its own counters, garbage included; how far the new "
				"space is used was not found"
			      : "its own counters: live is what is allocated, garbage "
				"included; how much of the rest is resident is not told";
	return mw_tally_publish(&v8->tally);
}

static const struct mw_region *big_object(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if ((regions[i].perms & MW_PERM_EXEC) && regions[i].ino &&
		    regions[i].end - regions[i].start >= MIN_TEXT)
			return &regions[i];
	return NULL;
}

static struct mw_err *walk_v8(struct mw_heap_walk *walk)
{
	const struct mw_region *text = big_object(walk->snap);
	if (!text)
		return NULL;
	if (!probe(walk))
		return mw_alloc_object(walk->snap, "node")
			       ? mw_alloc_recognised(walk, &mw_walker_v8, "", text->name,
						     "chunks of V8 up to 11 were not "
						     "found; newer ones keep their "
						     "counters elsewhere")
			       : NULL;
	struct v8 *v8 = calloc(1, sizeof(*v8));
	if (!v8)
		return mw_err_nomem();
	v8->walk = walk;
	v8->text = text;
	struct mw_err *err = find_chunks(v8);
	if (!err)
		err = report(v8);
	mw_tally_deinit(&v8->tally);
	mw_vec_deinit(v8);
	free(v8);
	return err;
}

const struct mw_walker mw_walker_v8 = { "v8", walk_v8 };
