// SPDX-License-Identifier: MIT
/*
 * What resident pages of a heap hold. A page is judged when the walk has passed it: all
 * kept bytes, or none, or a mixture, which live blocks or headers hold in memory: pins.
 */
#include "heap/glibc/walk.h"

#include <string.h>

/* More arenas than tables of 16 KiB are none of a sane program. */
enum { PAGE = MW_GLIBC_PAGE, MAX_PINS = 16, MAX_PIN_TABLES = 2048 };

static uint64_t page_of(uint64_t addr)
{
	return addr & ~(uint64_t)(PAGE - 1);
}

/* The first run that ends above `addr`. */
static size_t run_above(const struct mw_glibc_residency *at, uint64_t addr)
{
	size_t lo = 0, hi = at->n;
	if (at->next < at->n && at->runs[at->next].start <= addr)
		lo = at->next;
	/* Who goes upward is mostly one run further. */
	if (lo + 2 < hi && at->runs[lo + 2].start > addr)
		hi = lo + 2;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (at->runs[mid].start + at->runs[mid].n_pages * (uint64_t)PAGE <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Looks up the stretch of pages in the same state that holds `addr`. */
static void look(struct mw_glibc_residency *at, uint64_t addr)
{
	const unsigned no = MW_PAGE_ZERO | MW_PAGE_NOT_RSS;
	if (addr >= at->start && addr < at->end)
		return;
	size_t i = run_above(at, addr);
	at->next = i;
	at->start = addr;
	at->end = UINT64_MAX;
	at->resident = at->exclusive = false;
	if (i >= at->n)
		return;
	const struct mw_page_run *run = &at->runs[i];
	if (run->start > addr) {
		at->end = run->start;
		return;
	}
	at->end = run->start + run->n_pages * (uint64_t)PAGE;
	at->resident = (run->state & MW_PAGE_PRESENT) && !(run->state & no);
	at->exclusive = at->resident && (run->state & MW_PAGE_EXCLUSIVE);
}

static void credit(struct mw_glibc_pages *pages, enum mw_use use, uint64_t bytes,
		   bool exclusive)
{
	pages->area.resident[use] += bytes;
	if (exclusive)
		pages->area.exclusive[use] += bytes;
}

/* Whole pages [start, end) that hold one thing. */
static void add_range(struct mw_glibc_pages *pages, struct mw_glibc_residency *at,
		      uint64_t start, uint64_t end, enum mw_use use)
{
	while (start < end) {
		look(at, start);
		uint64_t to = at->end < end ? at->end : end;
		if (at->resident)
			credit(pages, use, to - start, at->exclusive);
		start = to;
	}
}

/* The usual sizes without a call: millions of blocks may be asked for theirs. */
static unsigned class_of(uint64_t len)
{
	return len - 1 < 1024 ? (unsigned)((len - 1) / 16) : mw_size_class(len);
}

/* Kept bytes on a page that these blocks hold. */
static struct mw_err *pin(struct mw_glibc_pages *pages, const struct mw_block *blocks,
			  size_t n, uint64_t kept)
{
	struct mw_glibc_tally *tally = pages->tally;
	if (!tally->pins) {
		if (pages->libc->n_pin_tables++ >= MAX_PIN_TABLES)
			return NULL;
		tally->pins = calloc(MW_SIZE_CLASSES, sizeof(*tally->pins));
	}
	if (!tally->pins)
		return mw_err_nomem();
	/* The first takes what cannot be split, and may have held the page before. */
	const uint64_t share = kept / n, last = tally->last_pin;
	tally->pins[class_of(blocks[0].len)].bytes += kept % n;
	tally->last_pin = blocks[n - 1].addr;
	for (size_t i = 0; i < n; i++) {
		struct mw_glibc_pin *class = &tally->pins[class_of(blocks[i].len)];
		class->bytes += share;
		if (blocks[i].addr <= last)
			continue;
		class->blocks++;
		class->usable += blocks[i].len;
		if (!class->sample)
			class->sample = blocks[i].addr;
	}
	return NULL;
}

/* Size words of live blocks that begin on the open page. */
static uint64_t headers_of(const struct mw_glibc_pages *pages)
{
	size_t n = pages->n - pages->first;
	if (n && pages->blocks[pages->first].addr - MW_CHUNK_HEADER < pages->page)
		n--;
	return 8 * (uint64_t)n;
}

static struct mw_err *close_page(struct mw_glibc_pages *pages)
{
	uint64_t kept = pages->bytes[MW_BYTES_KEPT];
	uint64_t unknown = pages->bytes[MW_BYTES_UNKNOWN];
	uint64_t overhead = pages->bytes[MW_BYTES_OVERHEAD] + headers_of(pages);
	look(&pages->at, pages->page);
	if (!pages->at.resident)
		return NULL;
	bool exclusive = pages->at.exclusive;
	/* UNTRIMMABLE is all that is wholly kept, until the end takes TRIMMABLE off. */
	if (kept)
		credit(pages, kept < PAGE ? MW_USE_PINNED : MW_USE_UNTRIMMABLE, kept,
		       exclusive);
	credit(pages, MW_USE_UNKNOWN, unknown, exclusive);
	credit(pages, MW_USE_OVERHEAD, overhead, exclusive);
	credit(pages, MW_USE_LIVE, PAGE - kept - unknown - overhead, exclusive);
	if (!kept || kept == PAGE || pages->n == pages->first)
		return NULL;
	return pin(pages, pages->blocks + pages->first, pages->n - pages->first, kept);
}

static void open_page(struct mw_glibc_pages *pages, uint64_t page)
{
	pages->page = page;
	for (int i = 0; i < MW_BYTES_COUNT; i++)
		pages->bytes[i] = 0;
}

struct mw_err *mw_glibc_pages_add(struct mw_glibc_pages *pages, uint64_t start,
				  uint64_t end, enum mw_glibc_bytes what)
{
	static const enum mw_use whole[MW_BYTES_COUNT] = {
		[MW_BYTES_LIVE] = MW_USE_LIVE,
		[MW_BYTES_KEPT] = MW_USE_UNTRIMMABLE,
		[MW_BYTES_OVERHEAD] = MW_USE_OVERHEAD,
		[MW_BYTES_UNKNOWN] = MW_USE_UNKNOWN,
	};
	uint64_t next = pages->page + PAGE;
	if (end < next) {
		pages->bytes[what] += end - start;
		return NULL;
	}
	pages->bytes[what] += next - start;
	struct mw_err *err = close_page(pages);
	add_range(pages, &pages->at, next, page_of(end), whole[what]);
	open_page(pages, page_of(end));
	pages->bytes[what] = end - page_of(end);
	/* A live block that reaches into the page may hold it. */
	pages->first = what == MW_BYTES_LIVE && pages->n ? pages->n - 1 : pages->n;
	return err;
}

void mw_glibc_pages_trim(struct mw_glibc_pages *pages, uint64_t start, uint64_t end)
{
	add_range(pages, &pages->back, start, end, MW_USE_TRIMMABLE);
}

struct mw_err *mw_glibc_pages_flush(struct mw_glibc_pages *pages)
{
	const struct mw_block_sink *sink = pages->libc->walk->opts->sink;
	struct mw_err *err = NULL;
	if (sink && pages->n > pages->sent)
		err = sink->blocks(sink->ctx, pages->blocks + pages->sent,
				   pages->n - pages->sent);
	/* Those of the open page are still needed. */
	size_t left = pages->n - pages->first;
	memmove(pages->blocks, pages->blocks + pages->first,
		left * sizeof(*pages->blocks));
	pages->n = pages->sent = left;
	pages->first = 0;
	return err;
}

static bool has_runs(const struct mw_glibc_pages *pages)
{
	const struct mw_snapshot *snap = pages->libc->walk->snap;
	const struct mw_region *region = mw_snapshot_find(snap, pages->area.start);
	return region && !region->whole &&
	       mw_snapshot_totals(snap)->engine != MW_ENGINE_SMAPS &&
	       !mw_source_facts(mw_snapshot_source(snap))->core;
}

struct mw_err *mw_glibc_pages_begin(struct mw_glibc_walk *libc,
				    struct mw_glibc_tally *tally,
				    const struct mw_heap_area *area,
				    struct mw_glibc_pages **ret)
{
	struct mw_glibc_pages *pages = libc->pages;
	if (!pages)
		pages = libc->pages = malloc(sizeof(*pages));
	if (!pages)
		return mw_err_nomem();
	*ret = pages;
	pages->libc = libc;
	pages->tally = tally;
	pages->area = *area;
	pages->at = pages->back = (struct mw_glibc_residency){ 0 };
	pages->area.split = has_runs(pages);
	if (pages->area.split) {
		pages->at.runs = mw_snapshot_runs(libc->walk->snap, &pages->at.n);
		pages->back = pages->at;
	}
	pages->n = pages->first = pages->sent = 0;
	open_page(pages, area->start);
	return mw_heap_area_add(libc->walk, &pages->area);
}

/* What the snapshot itself says of the range. */
static uint64_t rss_of(const struct mw_snapshot *snap, uint64_t start, uint64_t end)
{
	uint64_t rss = 0;
	while (start < end) {
		const struct mw_region *region = mw_snapshot_find(snap, start);
		if (!region)
			break;
		uint64_t to = region->end < end ? region->end : end;
		rss += mw_snapshot_count(snap, region, start, to).rss;
		start = to;
	}
	return rss;
}

struct mw_err *mw_glibc_pages_end(struct mw_glibc_pages *pages, size_t index)
{
	struct mw_heap_area *area = &pages->area;
	struct mw_glibc_walk *libc = pages->libc;
	pages->first = pages->n;
	struct mw_err *err = mw_glibc_pages_flush(pages);
	for (int i = 0; i < 2; i++) {
		uint64_t *sums = i ? area->exclusive : area->resident;
		sums[MW_USE_UNTRIMMABLE] -= sums[MW_USE_TRIMMABLE];
	}
	for (int use = 0; use < MW_USE_COUNT; use++) {
		libc->attributed += area->resident[use];
		if (pages->tally)
			pages->tally->resident[use] += area->resident[use];
	}
	if (area->split) {
		libc->rss += rss_of(libc->walk->snap, area->start, area->end);
		libc->split = true;
		if (pages->tally)
			pages->tally->split = true;
	}
	libc->walk->areas.items[index] = *area;
	return err;
}

/* The class with most pinned bytes that is not in the list yet. */
static const struct mw_glibc_pin *next_largest(const struct mw_glibc_pin *pins,
					       const bool *listed, unsigned *ret)
{
	const struct mw_glibc_pin *best = NULL;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++)
		if (!listed[i] && pins[i].blocks &&
		    (!best || pins[i].bytes > best->bytes)) {
			best = &pins[i];
			*ret = i;
		}
	return best;
}

static void read_head(struct mw_heap_walk *walk, struct mw_heap_pin *pin)
{
	unsigned char head[sizeof(pin->head)];
	/* The smallest block has 24 bytes. */
	size_t len = pin->size <= sizeof(head) ? 24 : sizeof(head);
	if (mw_memory_read(&walk->window, pin->sample, head, len))
		memcpy(pin->head, head, len);
}

struct mw_err *mw_glibc_pins_report(struct mw_heap_walk *walk,
				    const struct mw_glibc_tally *tally,
				    struct mw_heap_arena *ret)
{
	bool listed[MW_SIZE_CLASSES] = { false };
	if (!tally->pins)
		return NULL;
	struct mw_heap_pin *out = mw_arena_calloc(walk->arena, MAX_PINS, sizeof(*out));
	if (!out)
		return mw_err_nomem();
	ret->pins = out;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++) {
		ret->pinning.n += tally->pins[i].blocks;
		ret->pinning.bytes += tally->pins[i].usable;
	}
	for (size_t i = 0; i < MAX_PINS; i++) {
		unsigned class;
		const struct mw_glibc_pin *pin =
			next_largest(tally->pins, listed, &class);
		if (!pin)
			break;
		listed[class] = true;
		out[i] = (struct mw_heap_pin){ .size = mw_size_class_max(class),
					       .blocks = pin->blocks,
					       .bytes = pin->bytes,
					       .sample = pin->sample };
		read_head(walk, &out[i]);
		ret->n_pins++;
	}
	return NULL;
}

void mw_glibc_walk_deinit(struct mw_glibc_walk *libc)
{
	for (size_t i = 0; i < libc->n_tallies; i++)
		free(libc->tallies[i].pins);
	free(libc->pages);
	libc->pages = NULL;
	mw_vec_deinit(&libc->anchors);
	libc->anchors.of = NULL;
}
