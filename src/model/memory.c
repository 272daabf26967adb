// SPDX-License-Identifier: MIT
#include "model/memory.h"

#include "procfs/pagebits.h"

#include <stdlib.h>
#include <string.h>

static uint64_t page_size(const struct mw_memory *mem)
{
	uint64_t page = mw_source_facts(mw_snapshot_source(mem->snap))->page_size;
	return page && !(page & (page - 1)) ? page : 4096;
}

struct mw_err *mw_memory_init(struct mw_memory *mem, const struct mw_snapshot *snap,
			      enum mw_purpose purpose, size_t window_len)
{
	*mem = (struct mw_memory){ .snap = snap, .purpose = purpose };
	if (!window_len)
		return NULL;
	uint64_t page = page_size(mem);
	mem->cap = (window_len + page - 1) & ~(page - 1);
	mem->ahead = page;
	mem->window = malloc(mem->cap);
	if (!mem->window)
		return mw_err_nomem();
	memset(mem->window, 1, mem->cap);
	return NULL;
}

void mw_memory_deinit(struct mw_memory *mem)
{
	free(mem->window);
	mem->window = NULL;
	mem->cap = mem->window_len = 0;
}

static void look_in_runs(struct mw_memory *mem, const struct mw_region *region,
			 uint64_t addr, uint64_t page)
{
	const unsigned no = MW_PAGE_ZERO | MW_PAGE_GUARD | MW_PAGE_NOT_RSS;
	/* Outside Rss as a device is, but memory. */
	const unsigned hugetlb = MW_PAGE_NOT_RSS | MW_PAGE_HUGE;
	size_t n_runs;
	const struct mw_page_run *runs = mw_snapshot_runs(mem->snap, &n_runs);
	mem->end = region->end;
	if (!runs || region->first_run > n_runs ||
	    region->n_runs > n_runs - region->first_run)
		return;
	size_t i = mw_region_run(mem->snap, region, addr);
	if (i == region->first_run + region->n_runs)
		return;
	if (runs[i].start > addr) {
		mem->end = runs[i].start;
		return;
	}
	mem->start = runs[i].start;
	mem->end = runs[i].start + runs[i].n_pages * page;
	mem->readable = (runs[i].state & MW_PAGE_PRESENT) &&
			(!(runs[i].state & no) || (runs[i].state & hugetlb) == hugetlb);
	mem->exclusive = runs[i].state & MW_PAGE_EXCLUSIVE;
}

static void look_in_pagemap(struct mw_memory *mem, uint64_t addr, uint64_t page)
{
	uint64_t word = 0, at = addr & ~(page - 1);
	mw_auto_err err =
		mw_source_read_pagemap(mw_snapshot_source(mem->snap),
				       mw_snapshot_process(mem->snap)->pid, at, 1, &word);
	mem->start = at;
	mem->end = at + page;
	mem->readable = !err && (word & MW_PM_PRESENT);
	mem->exclusive = false;
}

/* Finds out about the page at `addr` and those around it that are alike. */
static void look(struct mw_memory *mem, uint64_t addr)
{
	uint64_t page = page_size(mem);
	const struct mw_region *region = mw_snapshot_find(mem->snap, addr);
	mem->start = addr & ~(page - 1);
	mem->end = addr | (page - 1);
	if (mem->end != UINT64_MAX)
		mem->end++;
	mem->readable = mem->exclusive = false;
	if (!region)
		return;
	if (mw_snapshot_totals(mem->snap)->engine != MW_ENGINE_SMAPS && !region->whole)
		look_in_runs(mem, region, addr, page);
	else
		look_in_pagemap(mem, addr, page);
}

uint64_t mw_memory_stretch(struct mw_memory *mem, uint64_t addr, uint64_t limit)
{
	uint64_t pos = addr;
	while (pos < limit) {
		if (pos < mem->start || pos >= mem->end)
			look(mem, pos);
		if (!mem->readable)
			break;
		pos = mem->end;
	}
	return pos < limit ? pos : limit;
}

static bool read_some(struct mw_memory *mem, uint64_t addr, void *bytes, size_t len,
		      bool fast, size_t *got)
{
	struct mw_source *src = mw_snapshot_source(mem->snap);
	pid_t pid = mw_snapshot_process(mem->snap)->pid;
	*got = 0;
	mw_auto_err err = fast ? mw_source_read_private(src, pid, addr, bytes, len,
							mem->purpose, got)
			       : mw_source_read_memory(src, pid, addr, bytes, len,
						       mem->purpose, got);
	mem->n_read += *got;
	return !err;
}

bool mw_memory_read(struct mw_memory *mem, uint64_t addr, void *bytes, size_t len)
{
	uint64_t end;
	size_t got;
	if (!len || __builtin_add_overflow(addr, len, &end) ||
	    mw_memory_stretch(mem, addr, end) != end)
		return false;
	return read_some(mem, addr, bytes, len, false, &got) && got == len;
}

bool mw_memory_word(struct mw_memory *mem, uint64_t addr, uint64_t *ret)
{
	return mw_memory_read(mem, addr, ret, sizeof(*ret));
}

/* How much to read: all that was asked for, and more for who goes upward. */
static size_t plan(struct mw_memory *mem, uint64_t addr, size_t min)
{
	uint64_t page = page_size(mem);
	bool upward = addr >= mem->window_start &&
		      addr - mem->window_start <= 2 * mem->window_len;
	if (!upward)
		mem->ahead = page;
	else if (mem->ahead < mem->cap)
		mem->ahead = 2 * mem->ahead < mem->cap ? 2 * mem->ahead : mem->cap;
	size_t want = mem->ahead - (addr & (page - 1));
	return want > min ? want : min;
}

const unsigned char *mw_memory_lend(struct mw_memory *mem, uint64_t addr, size_t min,
				    size_t *len)
{
	uint64_t at = addr - mem->window_start, need, limit;
	if (addr >= mem->window_start && at < mem->window_len &&
	    mem->window_len - at >= min) {
		*len = mem->window_len - at;
		return mem->window + at;
	}
	if (min > mem->cap || __builtin_add_overflow(addr, min, &need))
		return NULL;
	size_t want = plan(mem, addr, min);
	if (__builtin_add_overflow(addr, want, &limit))
		limit = need;
	uint64_t end = mw_memory_stretch(mem, addr, need);
	if (end != need)
		return NULL;
	/* Pages that are this process's own are read in one piece, by the faster way. */
	bool fast = mem->still && mem->exclusive && mem->start <= addr;
	end = fast && mem->end < limit ? mem->end : mw_memory_stretch(mem, addr, limit);
	mem->window_start = addr;
	mem->window_len = 0;
	if (!read_some(mem, addr, mem->window, end - addr, fast, &mem->window_len) ||
	    mem->window_len < min)
		return NULL;
	*len = mem->window_len;
	return mem->window;
}
