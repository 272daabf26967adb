// SPDX-License-Identifier: MIT
/*
 * The linear walk: from chunk to chunk by their sizes, page by page. Whether a chunk is
 * in use stands in the header of the next one, so the one before is always `pending`.
 * What is common, a small chunk in use beside others on its page, is met in the loop
 * of meet_common(); everything else in meet().
 */
#include "heap/glibc/walk.h"

#include <string.h>

enum { PAGE = MW_GLIBC_PAGE, FENCES = 0x30, RETRIES = 8, MAX_FOREIGN = 256 };

/* A size of more is none; so sums of an address and a size cannot overflow. */
#define MAX_CHUNK (UINT64_C(1) << 47)

struct stream {
	struct mw_glibc_walk *libc;
	struct mw_glibc_tally *tally;
	const struct mw_glibc_piece *piece;
	struct mw_glibc_pages *pages;
	uint64_t p, word;  /* the pending chunk: address, size with flags */
	uint64_t links[2]; /* its fd and bk, if it is free */
	bool has_links;
	uint64_t run;     /* where a run of free chunks begins that trimming joins; 0 */
	uint64_t cached;  /* the next cached chunk */
	size_t n_foreign; /* times that someone else took memory from sbrk() */
	bool done, jumped;
	uint64_t small[PAGE / 16]; /* live chunks within a page, by size / 16 */
};

static uint64_t load(const unsigned char *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

static uint64_t size_of(uint64_t word)
{
	return word & ~(uint64_t)MW_CHUNK_FLAGS;
}

/* What malloc_trim(0) would give back of free chunks from `run` to `end`. */
static void end_run(struct stream *st, uint64_t end)
{
	uint64_t from = (st->run + 0x30 + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	uint64_t to = end & ~(uint64_t)(PAGE - 1);
	if (st->run && from < to)
		mw_glibc_pages_trim(st->pages, from, to);
	st->run = 0;
}

static void count_kept(struct stream *st, struct mw_blocks *kind, uint64_t size)
{
	struct mw_blocks *class = &st->libc->kept[mw_size_class(size - 8)];
	kind->n++;
	kind->bytes += size;
	class->n++;
	class->bytes += size;
}

static struct mw_err *add_live(struct stream *st, uint64_t size)
{
	struct mw_glibc_pages *pages = st->pages;
	struct mw_blocks *class = &st->libc->live[mw_size_class(size - 8)];
	pages->blocks[pages->n++] = (struct mw_block){ st->p + 16, size - 8 };
	st->tally->live.n++;
	st->tally->live.bytes += size - 8;
	st->tally->overhead += 8;
	class->n++;
	class->bytes += size - 8;
	end_run(st, st->p);
	return mw_glibc_pages_add(pages, st->p + 8, st->p + size + 8, MW_BYTES_LIVE);
}

/* A free chunk, as a node of the lists of bins. */
static void add_links(struct stream *st, uint64_t foot, uint64_t size)
{
	struct mw_glibc_tally *tally = st->tally;
	if (!st->has_links)
		st->has_links = mw_memory_read(&st->libc->walk->memory, st->p + 16,
					       st->links, sizeof(st->links));
	tally->nodes += mw_glibc_mix(st->p);
	if (st->has_links) {
		tally->forward += mw_glibc_mix(st->links[0]);
		tally->backward += mw_glibc_mix(st->links[1]);
	}
	tally->n_footed += foot == size;
}

static struct mw_err *add_free(struct stream *st, uint64_t foot, uint64_t size)
{
	add_links(st, foot, size);
	count_kept(st, &st->tally->bins, size);
	if (!st->run)
		st->run = st->p;
	return mw_glibc_pages_add(st->pages, st->p + 8, st->p + size + 8, MW_BYTES_KEPT);
}

/* A chunk that looks in use, but is in a cache, or is one. */
static struct mw_err *add_cached(struct stream *st, enum mw_cached_kind kind,
				 uint64_t size)
{
	enum mw_glibc_bytes what = MW_BYTES_KEPT;
	if (kind == MW_CACHED_FAST)
		count_kept(st, &st->tally->fast, size);
	else if (kind == MW_CACHED_TCACHE)
		count_kept(st, &st->tally->tcache, size);
	if (kind == MW_CACHED_STRUCT) {
		st->tally->overhead += size;
		what = MW_BYTES_OVERHEAD;
	}
	if (kind != MW_CACHED_FAST)
		end_run(st, st->p);
	else if (!st->run)
		st->run = st->p;
	st->libc->met[kind]++;
	return mw_glibc_pages_add(st->pages, st->p + 8, st->p + size + 8, what);
}

/* Passes the cached chunks below the pending one; whether it is one itself. */
static bool find_cached(struct stream *st, enum mw_cached_kind *ret)
{
	struct mw_glibc_walk *libc = st->libc;
	bool found = false;
	while (libc->next_cached < libc->n_cached &&
	       libc->cached[libc->next_cached].chunk <= st->p) {
		const struct mw_cached *cached = &libc->cached[libc->next_cached++];
		if (cached->chunk == st->p && cached->kind <= MW_CACHED_STRUCT) {
			found = true;
			*ret = (enum mw_cached_kind)cached->kind;
		}
	}
	st->cached = libc->next_cached < libc->n_cached
			     ? libc->cached[libc->next_cached].chunk
			     : UINT64_MAX;
	return found;
}

/* The pending chunk ends where a header says `word`, and `foot` before it. */
static struct mw_err *settle(struct stream *st, uint64_t word, uint64_t foot)
{
	uint64_t size = size_of(st->word);
	enum mw_cached_kind kind;
	bool cached = find_cached(st, &kind);
	if (!(word & MW_PREV_INUSE))
		return add_free(st, foot, size);
	if (cached)
		return add_cached(st, kind, size);
	/* What was left of a full heap, too small for a free chunk (sysmalloc). */
	if (!st->tally->arena->main && !size_of(word) && size == MW_CHUNK_MIN &&
	    !(st->word & MW_NON_MAIN_ARENA)) {
		st->tally->overhead += size;
		return mw_glibc_pages_add(st->pages, st->p + 8, st->p + size + 8,
					  MW_BYTES_OVERHEAD);
	}
	return add_live(st, size);
}

/* Makes the chunk at `at` the pending one; `page` is the page it begins on. */
static void take(struct stream *st, uint64_t at, uint64_t word, const unsigned char *page)
{
	uint64_t off = at & (PAGE - 1);
	st->p = at;
	st->word = word;
	st->has_links = off + 32 <= PAGE;
	if (st->has_links)
		memcpy(st->links, page + off + 16, sizeof(st->links));
}

static bool is_chunk(const struct stream *st, uint64_t at, uint64_t word)
{
	uint64_t size = size_of(word);
	return !(word & (MW_IS_MMAPPED | 8)) && size >= MW_CHUNK_MIN &&
	       size <= MAX_CHUNK && at + size <= st->piece->end;
}

/* The end of a piece that is not the last: headers that are no chunks. */
static bool is_fence(const struct stream *st, uint64_t at, uint64_t word)
{
	return size_of(word) <= MW_CHUNK_HEADER && (word & ~(uint64_t)7) % 16 == 0 &&
	       at + FENCES >= st->piece->end;
}

/* A window's page; NULL when it is not there, or is not of x86-64. */
static const unsigned char *lend_page(struct stream *st, uint64_t addr)
{
	size_t len;
	return mw_memory_lend(&st->libc->walk->window, addr & ~(uint64_t)(PAGE - 1), PAGE,
			      &len);
}

/* From `from` on nothing is understood. */
static struct mw_err *give_up(struct stream *st, uint64_t from)
{
	end_run(st, st->p);
	st->done = true;
	if (!st->tally->stopped)
		st->tally->stopped = from;
	return mw_glibc_pages_add(st->pages, from, st->piece->end, MW_BYTES_UNKNOWN);
}

/* Makes a chunk the pending one that was found by its address; false if it is none. */
static bool take_anchor(struct stream *st, uint64_t at)
{
	const unsigned char *page = lend_page(st, at);
	uint64_t word = page ? load(page + (at & (PAGE - 1)) + 8) : 0;
	if (page && is_chunk(st, at, word)) {
		take(st, at, word, page);
		return true;
	}
	/* Where top ends is known without its header. */
	if (page || !st->piece->last || at != st->tally->arena->top)
		return false;
	st->p = at;
	st->word = (st->piece->end - at) | MW_PREV_INUSE;
	st->has_links = false;
	return true;
}

/*
 * The header at `at` is on a page that cannot be read. All from `from` on is unknown up
 * to the next chunk that glibc knows by its address, and can be read.
 */
static struct mw_err *resume(struct stream *st, uint64_t from, uint64_t at)
{
	uint64_t next = at, last = st->p;
	do {
		struct mw_err *err =
			mw_glibc_anchor(st->libc, st->tally, st->piece, next, &next);
		if (err || !next)
			return err ? err : give_up(st, from);
	} while (!take_anchor(st, next));
	end_run(st, last);
	if (!st->tally->stopped)
		st->tally->stopped = from;
	return mw_glibc_pages_add(st->pages, from, next + 8, MW_BYTES_UNKNOWN);
}

/* The first of the headers behind fence posts at `at`; 0 when it is no such post. */
static uint64_t behind_fences(struct stream *st, uint64_t at, uint64_t *fences)
{
	struct mw_heap_walk *walk = st->libc->walk;
	const struct mw_glibc_arena *arena = st->tally->arena;
	uint64_t word;
	size_t n = 0;
	if (st->n_foreign++ >= MAX_FOREIGN)
		return 0; /* each is a search */
	while (n < 3 && mw_memory_word(&walk->memory, at + 16 * n + 8, &word) &&
	       size_of(word) == MW_CHUNK_HEADER)
		n++;
	for (; n >= 2; n--) {
		uint64_t next =
			mw_glibc_behind_fence(walk, arena, at + 16 * n, st->piece->end);
		*fences = at + 16 * n;
		if (next > *fences && next % 16 == 0 && next < st->piece->end)
			return next;
	}
	return 0;
}

/*
 * Someone else took memory from sbrk(), and malloc goes on behind it. The foreign bytes
 * are in system_mem, and are not understood.
 */
static struct mw_err *skip_foreign(struct stream *st, uint64_t at, uint64_t next,
				   uint64_t fences)
{
	uint64_t word = 0;
	const unsigned char *page = lend_page(st, next);
	if (page)
		word = load(page + (next & (PAGE - 1)) + 8);
	if (!page || !is_chunk(st, next, word))
		return give_up(st, at + 8);
	st->jumped = true;
	end_run(st, at);
	st->tally->overhead += fences - at;
	st->tally->foreign += next - fences;
	struct mw_err *err =
		mw_glibc_pages_add(st->pages, at + 8, fences, MW_BYTES_OVERHEAD);
	if (!err)
		err = mw_glibc_pages_add(st->pages, fences, next + 8, MW_BYTES_UNKNOWN);
	take(st, next, word, page);
	return err;
}

static struct mw_err *meet_foreign(struct stream *st, uint64_t at, uint64_t word,
				   uint64_t foot)
{
	uint64_t fences, next = behind_fences(st, at, &fences);
	if (!next)
		return give_up(st, st->p + 8);
	struct mw_err *err = settle(st, word, foot);
	return err ? err : skip_foreign(st, at, next, fences);
}

/* Whether the arena's top is there, or in a program that runs has reached it since. */
static bool is_top(const struct stream *st, uint64_t at)
{
	struct mw_heap_walk *walk = st->libc->walk;
	const struct mw_glibc_arena *arena = st->tally->arena;
	uint64_t top;
	if (at == arena->top)
		return true;
	return !walk->opts->still && st->piece->last &&
	       mw_memory_word(&walk->memory,
			      arena->address + st->libc->libc->layout->state.top, &top) &&
	       top <= at && top >= st->piece->first;
}

/* The header at the end of the pending chunk, whatever it is. */
static struct mw_err *meet(struct stream *st, const unsigned char *page)
{
	uint64_t at = st->p + size_of(st->word), off = at & (PAGE - 1);
	uint64_t foot = load(page + off), word = load(page + off + 8);
	bool fence = is_fence(st, at, word);
	if (!fence && st->tally->arena->main && size_of(word) == MW_CHUNK_HEADER)
		return meet_foreign(st, at, word, foot);
	/* A top that grew since its end was looked up. */
	if (!fence && !is_chunk(st, at, word) && is_top(st, at))
		word = (st->piece->end - at) | MW_PREV_INUSE;
	if (!fence && !is_chunk(st, at, word))
		return give_up(st, st->p + 8);
	struct mw_err *err = settle(st, word, foot);
	if (err || !fence) {
		take(st, at, word, page);
		return err;
	}
	end_run(st, at);
	st->done = true;
	st->tally->overhead += st->piece->end - at;
	return mw_glibc_pages_add(st->pages, at + 8, st->piece->end, MW_BYTES_OVERHEAD);
}

/*
 * Chunks in use that lie on the page of the pending one, which does so, too; up to the
 * first header that is anything else, or on another page.
 */
static void meet_common(struct stream *st, const unsigned char *page)
{
	const uint64_t base = st->p & ~(uint64_t)(PAGE - 1);
	uint64_t p = st->p, word = st->word, size = size_of(word), cached = st->cached;
	struct mw_block *blocks = st->pages->blocks + st->pages->n, *block = blocks;
	const uint64_t begin = p, left = st->piece->end - base;
	for (;;) {
		uint64_t off = p - base + size;
		if (off >= PAGE)
			break;
		uint64_t next = load(page + off + 8);
		if (p >= cached || (next & (MW_IS_MMAPPED | 8 | MW_PREV_INUSE)) != 1 ||
		    size_of(next) - MW_CHUNK_MIN > MAX_CHUNK ||
		    size_of(next) > left - off)
			break;
		*block++ = (struct mw_block){ p + 16, size - 8 };
		st->small[size / 16]++;
		p += size;
		word = next;
		size = size_of(word);
	}
	uint64_t n = (uint64_t)(block - blocks);
	if (!n)
		return;
	end_run(st, begin);
	st->pages->n += n;
	st->tally->live.n += n;
	st->tally->live.bytes += p - begin - 8 * n;
	st->tally->overhead += 8 * n;
	take(st, p, word, page);
}

/* One page with at least one header on it. */
static struct mw_err *walk_page(struct stream *st, const unsigned char *page)
{
	const uint64_t base = (st->p + size_of(st->word)) & ~(uint64_t)(PAGE - 1);
	struct mw_err *err = NULL;
	while (!err && !st->done) {
		uint64_t at = st->p + size_of(st->word);
		if (at >= base + PAGE || at >= st->piece->end)
			break;
		err = meet(st, page);
		/* Behind foreign memory another window is lent. */
		if (st->jumped)
			break;
		if (!err && !st->done)
			meet_common(st, page);
	}
	st->jumped = false;
	return err;
}

/* The piece ends with the arena's top, which is free and in no list. */
static struct mw_err *end_at_top(struct stream *st)
{
	const struct mw_glibc_arena *arena = st->tally->arena;
	uint64_t end = st->piece->end, from = st->run ? st->run : st->p;
	/* madvise() for huge pages may have split the heap inside of top. */
	const struct mw_region *region = mw_snapshot_find(st->libc->walk->snap, end - 1);
	uint64_t thp = st->libc->libc->params.thp_pagesize;
	uint64_t unit = thp && !(thp & (thp - 1)) && thp >= PAGE ? thp : PAGE;
	st->tally->top += end - st->p;
	/* systrim() asks whether it is at the end of the data segment. */
	if (arena->main && region && region->end == end &&
	    strcmp(region->name, "[heap]") == 0 && end - from > 33)
		mw_glibc_pages_trim(st->pages, end - ((end - from - 33) & ~(unit - 1)),
				    end);
	st->run = 0;
	st->done = true;
	return mw_glibc_pages_add(st->pages, st->p + 8, end, MW_BYTES_KEPT);
}

static struct mw_err *begin(struct stream *st)
{
	const struct mw_glibc_piece *piece = st->piece;
	const unsigned char *page = lend_page(st, piece->first);
	uint64_t area_start = st->pages->page, word = 0;
	struct mw_err *err =
		mw_glibc_pages_add(st->pages, area_start, piece->start, MW_BYTES_UNKNOWN);
	if (page)
		word = load(page + (piece->first & (PAGE - 1)) + 8);
	st->p = piece->start - 8;
	if (err)
		return err;
	if (!page)
		return resume(st, piece->start, piece->first);
	if (!is_chunk(st, piece->first, word))
		return give_up(st, piece->start);
	err = mw_glibc_pages_add(st->pages, piece->start, piece->first + 8,
				 MW_BYTES_OVERHEAD);
	st->tally->overhead += piece->first - piece->start;
	take(st, piece->first, word, page);
	return err;
}

/* Whether every header that will be met on this page may be one. */
static bool is_plausible(const struct stream *st, uint64_t at, const unsigned char *page)
{
	const uint64_t base = at & ~(uint64_t)(PAGE - 1);
	while (at < base + PAGE && at < st->piece->end) {
		uint64_t word = load(page + (at - base) + 8);
		if (is_fence(st, at, word) || size_of(word) == MW_CHUNK_HEADER)
			return true; /* what is behind it is another matter */
		if (!is_chunk(st, at, word))
			return is_top(st, at);
		at += size_of(word);
	}
	return true;
}

/* Reads the pending chunk again; false when it is the last, or is none any more. */
static bool look_again(struct stream *st)
{
	struct mw_heap_walk *walk = st->libc->walk;
	uint64_t word;
	walk->window.window_len = 0;
	if (walk->opts->still || !mw_memory_word(&walk->memory, st->p + 8, &word) ||
	    !is_chunk(st, st->p, word) || st->p + size_of(word) >= st->piece->end)
		return false;
	st->word = word;
	st->has_links = false;
	return true;
}

/*
 * The page with the next header. A program that runs changes chunks between two looks:
 * when a page makes no sense both it and the pending chunk are looked at again.
 */
static const unsigned char *next_page(struct stream *st)
{
	struct mw_heap_walk *walk = st->libc->walk;
	const unsigned char *page = lend_page(st, st->p + size_of(st->word));
	for (int i = 0; i < RETRIES && !walk->opts->still; i++) {
		if (page && is_plausible(st, st->p + size_of(st->word), page))
			break;
		if (!look_again(st))
			break;
		page = lend_page(st, st->p + size_of(st->word));
	}
	return page;
}

/* The page of the top's header is not there yet (see top_size() in pieces.c). */
static struct mw_err *meet_unwritten_top(struct stream *st)
{
	struct mw_err *err = settle(st, MW_PREV_INUSE, 0);
	st->p += size_of(st->word);
	st->word = (st->piece->end - st->p) | MW_PREV_INUSE;
	st->has_links = false;
	return err;
}

/* What follows the pending chunk lies on a page that cannot be read. */
static struct mw_err *meet_nothing(struct stream *st)
{
	uint64_t at = st->p + size_of(st->word);
	bool top = st->piece->last && is_top(st, at);
	return top ? meet_unwritten_top(st) : resume(st, st->p + 8, at);
}

static struct mw_err *walk_chunks(struct stream *st)
{
	struct mw_err *err = begin(st);
	while (!err && !st->done) {
		if (st->p + size_of(st->word) >= st->piece->end &&
		    (is_top(st, st->p) || !look_again(st)))
			break;
		const unsigned char *page = next_page(st);
		err = page ? walk_page(st, page) : meet_nothing(st);
		if (!err && st->pages->n >= MW_GLIBC_BATCH)
			err = mw_glibc_pages_flush(st->pages);
	}
	if (err || st->done)
		return err;
	if (st->piece->last && is_top(st, st->p))
		return end_at_top(st);
	return give_up(st, st->p + 8);
}

/* Chunks within a page were only counted, by size. */
static void add_small(struct stream *st)
{
	for (uint64_t i = MW_CHUNK_MIN / 16; i < PAGE / 16; i++) {
		struct mw_blocks *class = &st->libc->live[mw_size_class(16 * i - 8)];
		class->n += st->small[i];
		class->bytes += st->small[i] * (16 * i - 8);
	}
}

struct mw_err *mw_glibc_walk_piece(struct mw_glibc_walk *libc,
				   struct mw_glibc_tally *tally,
				   const struct mw_glibc_piece *piece)
{
	struct stream st = { .libc = libc, .tally = tally, .piece = piece };
	const struct mw_heap_area area = {
		.start = piece->start & ~(uint64_t)(PAGE - 1),
		.end = (piece->end + PAGE - 1) & ~(uint64_t)(PAGE - 1),
		.kind = tally->arena->main ? MW_AREA_MAIN : MW_AREA_ARENA,
		.allocator = libc->walk->allocators.n,
		.arena = tally->arena->address,
	};
	size_t index = libc->walk->areas.n;
	if (piece->start >= piece->end || piece->first < piece->start ||
	    piece->first >= piece->end || piece->first % 16 ||
	    piece->end > UINT64_MAX / 2)
		return NULL;
	struct mw_err *err = mw_glibc_pages_begin(libc, tally, &area, &st.pages);
	if (err)
		return err;
	find_cached(&st, &(enum mw_cached_kind){ 0 });
	err = walk_chunks(&st);
	add_small(&st);
	if (!err && area.end > piece->end)
		err = mw_glibc_pages_add(st.pages, piece->end, area.end,
					 MW_BYTES_UNKNOWN);
	if (!err)
		err = mw_glibc_pages_end(st.pages, index);
	return err;
}
