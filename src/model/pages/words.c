// SPDX-License-Identifier: MIT
/* One chunk of the page walk: its words of pagemap, and the pieces they make. */
#include "model/pages/walk.h"
#include "procfs/pagebits.h"

#include <stdlib.h>
#include <time.h>

enum { GENTLE_PAGES = 256 /* reading this many is worth a pause */ };

static uint16_t state_of(uint64_t word)
{
	uint16_t state = 0;
	if (word & MW_PM_PRESENT)
		state |= MW_PAGE_PRESENT;
	if (word & MW_PM_GUARD)
		state |= MW_PAGE_GUARD; /* a marker: its swap bit is no swap entry */
	else if (word & MW_PM_SWAP)
		state |= MW_PAGE_SWAPPED;
	if (word & MW_PM_FILE)
		state |= MW_PAGE_FILE;
	if (word & MW_PM_EXCLUSIVE)
		state |= MW_PAGE_EXCLUSIVE;
	if (word & MW_PM_SOFT_DIRTY)
		state |= MW_PAGE_SOFT_DIRTY;
	if (word & MW_PM_UFFD_WP)
		state |= MW_PAGE_UFFD_WP;
	return state;
}

#define STATE_BITS                                                                 \
	(MW_PM_PRESENT | MW_PM_GUARD | MW_PM_SWAP | MW_PM_FILE | MW_PM_EXCLUSIVE | \
	 MW_PM_SOFT_DIRTY | MW_PM_UFFD_WP)
#define SEEN_BITS (MW_PM_PRESENT | MW_PM_SWAP | MW_PM_GUARD)

/* How many of the n words from w on look like the first, with rising frames if asked. */
static size_t run_length(const uint64_t *w, size_t n, bool frames)
{
	uint64_t want = w[0] & STATE_BITS, pfn = w[0] & MW_PM_PFN_MASK;
	size_t i = 1;
	if (!frames) {
		while (i < n && (w[i] & STATE_BITS) == want)
			i++;
		return i;
	}
	while (i < n && (w[i] & STATE_BITS) == want && (w[i] & MW_PM_PFN_MASK) == pfn + i)
		i++;
	return i;
}

/*
 * False when no huge page-table entry can map any of these words: it would cover frames
 * in a row from a round address and a round frame on. Hidden frames prove nothing.
 */
static bool maybe_huge(const struct mw_chunk *chunk, const uint64_t *words, size_t i,
		       size_t n, uint64_t page)
{
	size_t least = mw_least_huge(page), end = i + n;
	if (n < least)
		return false;
	i += (least - (chunk->start / page + i) % least) % least;
	for (; i + least <= end; i += least) {
		uint64_t pfn = words[i] & MW_PM_PFN_MASK;
		uint64_t last = words[i + least - 1] & MW_PM_PFN_MASK;
		if (!pfn || (pfn % least == 0 && last == pfn + least - 1))
			return true;
	}
	return false;
}

/* Cuts one span's share of the words into pieces. */
static bool cut_words(struct mw_chunk *chunk, const uint64_t *words, size_t i,
		      size_t limit, uint64_t page)
{
	while (i < limit) {
		if (!(words[i] & SEEN_BITS)) {
			i++;
			continue;
		}
		bool frames = (words[i] & MW_PM_PRESENT) &&
			      !(words[i] & MW_PM_EXCLUSIVE) &&
			      (words[i] & MW_PM_PFN_MASK);
		size_t n = run_length(words + i, limit - i, frames);
		if (!mw_vec_add(
			    &chunk->pieces,
			    (struct mw_piece){
				    .start = chunk->start + i * page,
				    .pfn = frames ? words[i] & MW_PM_PFN_MASK : 0,
				    .n_pages = (uint32_t)n,
				    .state = state_of(words[i]),
				    .maybe_huge = maybe_huge(chunk, words, i, n, page),
			    }))
			return false;
		i += n;
	}
	return true;
}

/*
 * The kernel takes the target's mmap lock for each page table it reads, some 15 us. A
 * reader that comes back at once takes it before the writer it has just woken: the
 * target's mmap() then waits until the lock is handed over by force, 4 ms and more. A
 * pause as long as it takes to wake a CPU that sleeps lets it through: after 1 us its
 * 99th percentile was 3 ms on an idle machine, after 50 us it is 60 us, 40 being what it
 * takes when nobody looks (docs/performance.md).
 */
static void give_way(void)
{
	static const struct timespec moment = { .tv_nsec = 50000 };
	(void)nanosleep(&moment, NULL);
}

/* Reads a chunk's words; gently means one page table at a time. */
static struct mw_err *read_words(const struct mw_reading *r, const struct mw_chunk *chunk,
				 uint64_t *words)
{
	uint64_t table = r->page * (r->page / sizeof(*words)); /* bytes it maps */
	size_t done = 0;
	while (done < chunk->n_pages) {
		uint64_t at = chunk->start + done * r->page;
		size_t n = chunk->n_pages - done;
		size_t to_table_end = (size_t)((table - at % table) / r->page);
		if (r->gentle && n > to_table_end)
			n = to_table_end;
		struct mw_err *err =
			mw_source_read_pagemap(r->src, r->pid, at, n, words + done);
		if (err)
			return err;
		done += n;
		/* A few pages here and there are over before anybody waits. */
		if (r->gentle && n >= GENTLE_PAGES)
			give_way();
	}
	return NULL;
}

/* Room for a chunk's words; what was in it is of no interest. */
static bool make_room(struct mw_word_vec *words, size_t n)
{
	if (words->cap >= n)
		return true;
	mw_vec_deinit(words);
	words->items = malloc(n * sizeof(*words->items));
	words->cap = words->items ? n : 0;
	return words->items;
}

struct mw_err *mw_chunk_read(const struct mw_reading *r, struct mw_chunk *chunk,
			     struct mw_word_vec *words)
{
	if (!make_room(words, chunk->n_pages))
		return mw_err_nomem();
	struct mw_err *err = read_words(r, chunk, words->items);
	for (size_t i = 0; !err && i < chunk->spans.n; i++) {
		const struct mw_span *span = &chunk->spans.items[i];
		size_t first = (span->start - chunk->start) / r->page;
		size_t end = (span->end - chunk->start) / r->page;
		if (!cut_words(chunk, words->items, first, end, r->page))
			err = mw_err_nomem();
	}
	return err;
}
