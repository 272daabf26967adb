// SPDX-License-Identifier: MIT
/*
 * Go. A program is Go's when it has a .go.buildinfo or .gopclntab section. Its heap is
 * found without symbols: mheap_.arenas points to a table of 2^22 pointers, 32 MiB
 * mapped on its own, with one entry for each 64 MiB arena of the address space (runtime
 * /mheap.go, arenaIndex: (address - arenaBaseOffset) / 64 MiB). The pointer to it lies
 * in the program's own data, and every entry must name a mapped arena. That holds for
 * Go 1.11 and later, stripped or not, wherever the heap was put: 0xc000000000 is only
 * where older versions began.
 *
 * What is left of anonymous memory is the runtime's: spans, bitmaps, stacks of threads
 * without libc.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

enum {
	PAGE = 4096,
	PAGE_WORDS = PAGE / 8,
	MAX_DATA_PAGES = 16384, /* of the program's data that are searched */
	MAX_ARENAS = 65536,
	MAX_TRIES = 256, /* pointers that might be the table */
};

#define ARENA_LEN (UINT64_C(64) << 20)
#define TABLE_LEN (UINT64_C(32) << 20)
#define ARENA_BASE (UINT64_C(1) << 47) /* minus arenaBaseOffset, amd64 */

static bool is_go(struct mw_alloc_elf *file)
{
	static const char *const names[] = { ".go.buildinfo", ".gopclntab" };
	const struct mw_elf_section *section = NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !section; i++) {
		mw_auto_err err = mw_elf_find_section(file->elf, names[i], &section);
		if (err)
			return false;
	}
	return section;
}

/* What the entries of a table of arenas say, page by page; only present pages. */
struct table {
	struct mw_classify *cx;
	uint64_t addr;
	unsigned n_arenas;
};

static uint64_t arena_of(const struct table *table, uint64_t entry)
{
	return ((entry - table->addr) / 8) * ARENA_LEN - ARENA_BASE;
}

/* heapArena is metadata: anonymous, and not in the arena that it describes. */
static bool entry_fits(const struct table *table, uint64_t arena, uint64_t meta)
{
	size_t n, i = mw_rt_first(table->cx, arena);
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(table->cx), &n);
	if (arena >= ARENA_BASE || i >= n || regions[i].start >= arena + ARENA_LEN ||
	    !mw_rt_is_anon(&regions[i]))
		return false;
	return (meta < arena || meta >= arena + ARENA_LEN) &&
	       mw_rt_in_heapish(table->cx, meta, meta + 8);
}

static struct mw_err *claim_arena(struct mw_classify *cx, uint64_t arena)
{
	return mw_rt_claim(cx, &(struct mw_claim){
				       .start = arena,
				       .end = arena + ARENA_LEN,
				       .class = MW_CLASS_GO_HEAP,
				       .confidence = MW_CERTAIN,
				       .rank = MW_RANK_HEADER,
				       .evidence = "an arena in the Go runtime's own "
						   "table (mheap_.arenas)",
			       });
}

/* Checks (claim false) or claims every arena of one page of the table. */
static bool walk_page(struct table *table, uint64_t page, bool claim, struct mw_err **err)
{
	uint64_t words[PAGE_WORDS];
	if (!mw_peek(table->cx, page, words, sizeof(words)))
		return true;
	for (unsigned i = 0; i < PAGE_WORDS && !*err; i++) {
		uint64_t meta = le64toh(words[i]);
		uint64_t arena = arena_of(table, page + i * 8);
		if (!meta)
			continue;
		if (!entry_fits(table, arena, meta) || table->n_arenas >= MAX_ARENAS)
			return false;
		table->n_arenas++;
		if (claim)
			*err = claim_arena(table->cx, arena);
	}
	return true;
}

/* The table is sparse: only the pages that are there can have entries. */
static bool walk_table(struct table *table, bool claim, struct mw_err **err)
{
	size_t n_runs;
	const struct mw_snapshot *snap = mw_classify_snapshot(table->cx);
	const struct mw_page_run *runs = mw_snapshot_runs(snap, &n_runs);
	const struct mw_region *region = mw_snapshot_find(snap, table->addr);
	table->n_arenas = 0;
	if (!region || !region->n_runs) {
		for (uint64_t at = 0; at < TABLE_LEN && !*err; at += PAGE)
			if (!walk_page(table, table->addr + at, claim, err))
				return false;
		return true;
	}
	for (size_t r = region->first_run; r < region->first_run + region->n_runs; r++)
		for (uint32_t p = 0; p < runs[r].n_pages && !*err; p++) {
			uint64_t page = runs[r].start + (uint64_t)p * PAGE;
			if (page < table->addr || page - table->addr >= TABLE_LEN)
				continue;
			if (!walk_page(table, page, claim, err))
				return false;
		}
	return true;
}

static bool is_table(struct mw_classify *cx, uint64_t addr)
{
	struct table table = { .cx = cx, .addr = addr };
	mw_auto_err err = NULL;
	return walk_table(&table, false, &err) && table.n_arenas > 0;
}

struct search {
	struct mw_classify *cx;
	unsigned pages, tries; /* left */
};

/* Words of [start, end) that point to memory as long as the table. */
static uint64_t search_range(struct search *search, uint64_t start, uint64_t end)
{
	uint64_t words[PAGE_WORDS];
	for (uint64_t page = mw_alloc_down(start, PAGE); page < end && search->pages;
	     page += PAGE) {
		search->pages--;
		if (!mw_peek(search->cx, page, words, sizeof(words)))
			continue;
		for (unsigned i = 0; i < PAGE_WORDS && search->tries; i++) {
			uint64_t addr = le64toh(words[i]);
			if (!addr || (addr & (PAGE - 1)) ||
			    !mw_rt_in_heapish(search->cx, addr, addr + TABLE_LEN))
				continue;
			search->tries--;
			if (is_table(search->cx, addr))
				return addr;
		}
	}
	return 0;
}

/* mheap_ is a variable without pointers to the heap; only the runtime's are searched. */
static uint64_t find_table(struct mw_classify *cx, struct mw_alloc_elf *file)
{
	static const char *const names[] = { ".noptrbss", ".bss" };
	struct search search = { .cx = cx, .pages = MAX_DATA_PAGES, .tries = MAX_TRIES };
	uint64_t addr = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !addr; i++) {
		const struct mw_elf_section *section;
		mw_auto_err err = mw_elf_find_section(file->elf, names[i], &section);
		uint64_t start, end;
		if (err || !section ||
		    __builtin_add_overflow(file->bias, section->addr, &start) ||
		    __builtin_add_overflow(start, section->len, &end))
			continue;
		addr = search_range(&search, start, end);
	}
	return addr;
}

/* Go 1.25 and later names its memory where the kernel keeps such names. */
static struct mw_err *claim_names(struct mw_classify *cx)
{
	bool found = false;
	struct mw_err *err = mw_rt_claim_named(cx, "Go: ", MW_CLASS_GO_RUNTIME, &found);
	return err ? err : mw_rt_claim_named(cx, "Go: heap", MW_CLASS_GO_HEAP, &found);
}

struct mw_err *mw_classify_go(struct mw_classify *cx)
{
	const struct mw_region *text = mw_rt_program(cx);
	mw_auto_alloc_elf file = { 0 };
	if (!text || !mw_alloc_elf_open(mw_classify_snapshot(cx), text, &file) ||
	    !is_go(&file))
		return NULL;
	mw_classify_seen(cx)->go = true;
	struct mw_err *err = mw_rt_claim_rest(
		cx, MW_CLASS_GO_RUNTIME, MW_LIKELY,
		"a Go program's, outside its arenas: spans, bitmaps, summaries");
	if (!err)
		err = claim_names(cx);
	struct table table = { .cx = cx, .addr = err ? 0 : find_table(cx, &file) };
	if (!table.addr)
		return err;
	walk_table(&table, true, &err);
	return err;
}
