// SPDX-License-Identifier: MIT
/*
 * main_arena from memory alone, where the file cannot be read or tells nothing: the
 * arenas form a ring by `next`, and the bins of an arena in use are lists whose heads lie
 * in the arena itself, in pairs of words. 127 such pairs in a row are nothing else.
 */
#include "heap/glibc/find.h"

#include <string.h>

enum {
	BIN_PAIRS = MW_GLIBC_BINS / 2,
	MIN_GOOD = 120,       /* pairs; a few may be in flux in a running process */
	MAX_RING = 16384,     /* arenas */
	MAX_BYTES = 64 << 20, /* searched in one object */
	MAX_CHECKS = 65536,   /* of words that could be `next` */
	PAR_NEAR = 64 << 10,  /* malloc_par lies at most this far from main_arena */
	HEAP_ALIGN = 1 << 20,
	OLD_NEXT = 0x868, /* up to 2.26 */
};

/* The bins of a malloc_state: bin i's header is taken to begin 16 bytes before it. */
static bool bins_hold(struct mw_memory *mem, uint64_t state,
		      const struct mw_state_layout *layout)
{
	uint64_t bins[MW_GLIBC_BINS], back, forth;
	unsigned good = 0;
	if (!mw_memory_read(mem, state + layout->bins, bins, sizeof(bins)))
		return false;
	for (unsigned i = 0; i < BIN_PAIRS && good + BIN_PAIRS - i >= MIN_GOOD; i++) {
		uint64_t head = state + layout->bins + 16 * i - MW_CHUNK_HEADER;
		uint64_t first = bins[2 * i], last = bins[2 * i + 1];
		if (first == head || last == head)
			good += first == last;
		else if (!(first & 15) && !(last & 15) &&
			 mw_memory_word(mem, first + 24, &back) && back == head &&
			 mw_memory_word(mem, last + 16, &forth) && forth == head)
			good++;
	}
	return good >= MIN_GOOD;
}

/* Whether the arenas lead around and back. */
static bool ring_closes(struct mw_memory *mem, uint64_t state,
			const struct mw_state_layout *layout)
{
	uint64_t at = state;
	for (unsigned n = 0; n < MAX_RING; n++) {
		if (!mw_memory_word(mem, at + layout->next, &at))
			return false;
		if (at == state)
			return true;
	}
	return false;
}

/* Whether the word at `where` may be a `next`: of itself, or of a thread's arena. */
static bool may_be_next(uint64_t where, uint64_t value,
			const struct mw_state_layout *layout)
{
	uint64_t in_heap = value & (HEAP_ALIGN - 1);
	return value == where - layout->next ||
	       (value > HEAP_ALIGN && (in_heap == 0x20 || in_heap == 0x30));
}

/* malloc_par as it may be after tunables and mallopt(): what nothing changes. */
static bool may_be_par(const unsigned char *bytes, const struct mw_par_layout *par)
{
	uint64_t words[5], bins, count;
	uint32_t n_mmaps_max;
	memcpy(words, bytes, sizeof(words));
	memcpy(&n_mmaps_max, bytes + par->n_mmaps_max, sizeof(n_mmaps_max));
	if (!words[0] || !words[2] || words[3] != 8 || n_mmaps_max != 65536)
		return false;
	if (par->tcache_bins == UINT16_MAX)
		return true;
	memcpy(&bins, bytes + par->tcache_bins, sizeof(bins));
	memcpy(&count, bytes + par->tcache_count, sizeof(count));
	return bins <= 64 && count <= UINT16_MAX;
}

/* A stretch of writable data, and what is done with each of its words. */
struct range {
	uint64_t start, end;
};
typedef bool word_fn(void *ctx, uint64_t where, const unsigned char *bytes);

/* Gives every aligned word of what is present, with `need` bytes in view from it on. */
static void each_word(struct mw_heap_walk *walk, struct range range, size_t need,
		      word_fn *take, void *ctx)
{
	uint64_t at = (range.start + 7) & ~UINT64_C(7);
	while (range.end - at >= need && at < range.end) {
		size_t len = 0;
		const unsigned char *bytes =
			mw_memory_lend(&walk->window, at, need, &len);
		if (!bytes) {
			at = (at | (walk->page_size - 1)) + 1;
			continue;
		}
		size_t i = 0;
		for (; len - i >= need && i < len && at + i < range.end; i += 8)
			if (!take(ctx, at + i, bytes + i))
				return;
		at += i;
	}
}

struct par_search {
	struct mw_glibc *libc;
	size_t n_found;
};

static bool take_par(void *ctx, uint64_t where, const unsigned char *bytes)
{
	struct par_search *search = ctx;
	struct mw_glibc *libc = search->libc;
	size_t n_layouts;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n_layouts);
	for (size_t i = n_layouts; i-- > 0;) {
		const struct mw_par_layout *par = &layouts[i].par;
		if (layouts[i].state.next != libc->facts.next || !may_be_par(bytes, par))
			continue;
		search->n_found++;
		libc->mp = where;
		libc->facts.n_mmaps_max = par->n_mmaps_max;
		libc->facts.tcache = par->tcache_bins == UINT16_MAX ? -1 : 1;
		break;
	}
	return true;
}

static void find_par(struct mw_heap_walk *walk, struct mw_glibc *libc, struct range range)
{
	struct par_search search = { .libc = libc };
	if (libc->main_arena - range.start > PAR_NEAR)
		range.start = libc->main_arena - PAR_NEAR;
	if (range.end - libc->main_arena > PAR_NEAR)
		range.end = libc->main_arena + PAR_NEAR;
	each_word(walk, range, MW_GLIBC_PAR_LEN, take_par, &search);
	if (search.n_found == 1)
		return;
	libc->mp = 0;
	libc->facts.n_mmaps_max = 0;
	libc->facts.tcache = 0;
}

struct arena_search {
	struct mw_heap_walk *walk;
	struct range range;
	uint64_t main_arena;
	uint16_t next;
	int attached;
	size_t n_checks;
};

/*
 * attached_threads follows next and next_free; before 2.23 that is system_mem. Where
 * next lies tells the same for later layouts.
 */
static int has_attached(struct mw_memory *mem, uint64_t state,
			const struct mw_state_layout *layout)
{
	uint64_t word;
	if (layout->next != OLD_NEXT)
		return 1;
	return mw_memory_word(mem, state + layout->next + 16, &word) && word < 4096 ? 1
										    : -1;
}

static bool take_next(void *ctx, uint64_t where, const unsigned char *bytes)
{
	struct arena_search *search = ctx;
	struct mw_memory *mem = &search->walk->memory;
	size_t n_layouts;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n_layouts);
	uint64_t value;
	memcpy(&value, bytes, sizeof(value));
	if (!value)
		return true;
	for (size_t i = 0; i < n_layouts; i++) {
		const struct mw_state_layout *state = &layouts[i].state;
		uint64_t at = where - state->next;
		if ((i && state->next == layouts[i - 1].state.next) ||
		    !may_be_next(where, value, state) || at < search->range.start ||
		    at > where)
			continue;
		if (search->n_checks++ >= MAX_CHECKS)
			return false;
		if (!bins_hold(mem, at, state) || !ring_closes(mem, at, state))
			continue;
		search->main_arena = at;
		search->next = state->next;
		search->attached = has_attached(mem, at, state);
		return false;
	}
	return true;
}

/* The object's data, and the anonymous memory behind it that the kernel calls bss. */
static struct range data_of(const struct mw_heap_walk *walk,
			    const struct mw_region *region)
{
	struct range range = { region->start, region->end };
	const struct mw_region *bss = mw_snapshot_find(walk->snap, region->end);
	if (bss && !bss->ino && (bss->perms & MW_PERM_WRITE))
		range.end = bss->end;
	if (range.end - range.start > MAX_BYTES)
		range.end = range.start + MAX_BYTES;
	return range;
}

struct mw_err *mw_glibc_scan(struct mw_heap_walk *walk, const struct mw_region *region,
			     struct mw_glibc_vec *ret)
{
	struct arena_search search = { .walk = walk, .range = data_of(walk, region) };
	each_word(walk, search.range, sizeof(uint64_t), take_next, &search);
	if (!search.main_arena)
		return NULL;
	struct mw_glibc libc = {
		.main_arena = search.main_arena,
		.version = "",
		.object = region->name,
		.searched = true,
		.facts = { .next = search.next, .attached = search.attached },
	};
	find_par(walk, &libc, search.range);
	if (!mw_glibc_complete(walk, &libc))
		return NULL;
	return mw_vec_add(ret, libc) ? NULL : mw_err_nomem();
}
