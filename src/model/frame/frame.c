// SPDX-License-Identifier: MIT
#include "model/frame/frame.h"

#include "base/buf.h"
#include "base/vec.h"
#include "procfs/pagebits.h"

#include <string.h>

#define UNKNOWN UINT64_MAX

enum { INDEX_BITS = 9, OFFSET_BITS = 12, SWAP_TYPE_BITS = 5 };

const char *mw_level_name(unsigned levels, unsigned i)
{
	static const char *const names[] = { "PML5", "PML4", "PDPT", "PD", "PT" };
	unsigned at = levels < 5 ? i + 5 - levels : i;
	return at < 5 ? names[at] : "";
}

void mw_split_address(uint64_t addr, unsigned levels, struct mw_split *ret)
{
	*ret = (struct mw_split){ .levels = levels,
				  .offset = addr & ((1 << OFFSET_BITS) - 1) };
	for (unsigned i = 0; i < levels && i < 5; i++)
		ret->index[i] = (addr >> (OFFSET_BITS + INDEX_BITS * (levels - 1 - i))) &
				((1 << INDEX_BITS) - 1);
}

/* The kernel takes the flag away where it does not use it (no5lvl). */
unsigned mw_paging_levels(struct mw_source *src)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(src, 0, 0, MW_FILE_CPUINFO, &text);
	const char *cpu = err ? "" : mw_buf_str(&text);
	const char *flags = strstr(cpu, "\nflags");
	if (!flags || mw_source_facts(src)->page_size != 1 << OFFSET_BITS)
		return 0;
	const char *end = strchr(flags + 1, '\n');
	size_t len = end ? (size_t)(end - flags) : strlen(flags);
	/* "lm": long mode, 64 bits. */
	if (!memmem(flags, len, " lm ", 4))
		return 0;
	return memmem(flags, len, " la57", 5) ? 5 : 4;
}

unsigned mw_frame_swap_type(const struct mw_frame *frame)
{
	return frame->word & ((1 << SWAP_TYPE_BITS) - 1);
}

uint64_t mw_frame_swap_offset(const struct mw_frame *frame)
{
	return (frame->word & MW_PM_PFN_MASK) >> SWAP_TYPE_BITS;
}

/* From linux/kernel-page-flags.h; what only the kernel's own use is left out. */
const char *mw_kpageflag_name(unsigned i)
{
	static const char *const names[64] = {
		[0] = "locked",         [1] = "error",          [2] = "referenced",
		[3] = "uptodate",       [4] = "dirty",          [5] = "lru",
		[6] = "active",         [7] = "slab",           [8] = "writeback",
		[9] = "reclaim",        [10] = "buddy",         [11] = "mmap",
		[12] = "anon",          [13] = "swapcache",     [14] = "swapbacked",
		[15] = "compound-head", [16] = "compound-tail", [17] = "huge",
		[18] = "unevictable",   [19] = "hwpoison",      [20] = "nopage",
		[21] = "ksm",           [22] = "thp",           [23] = "offline",
		[24] = "zero-page",     [25] = "idle",          [26] = "page-table",
		[32] = "reserved",      [33] = "mlocked",       [34] = "mappedtodisk",
		[35] = "private",       [36] = "private-2",     [37] = "owner-private",
		[38] = "arch",          [39] = "uncached",      [40] = "softdirty",
	};
	return i < 64 ? names[i] : NULL;
}

/* The first refusal is kept, and says what would help. */
static struct mw_err *note(struct mw_arena *arena, struct mw_err *err, const char **why)
{
	mw_auto_err owned = err;
	if (!err)
		return NULL;
	if (err->code == MW_ERR_NOMEM) {
		owned = NULL;
		return err;
	}
	if ((*why)[0])
		return NULL;
	*why = mw_arena_strdup(arena, err->msg);
	return *why ? NULL : mw_err_nomem();
}

static struct mw_err *read_frame(struct mw_source *src, struct mw_arena *arena,
				 struct mw_frame *frame, const char **why)
{
	static const enum mw_kpage kinds[] = { MW_KPAGE_FLAGS, MW_KPAGE_COUNT,
					       MW_KPAGE_CGROUP };
	uint64_t *const places[] = { &frame->flags, &frame->count, &frame->cgroup };
	struct mw_err *err = NULL;
	for (size_t i = 0; i < 3 && !err; i++)
		err = note(arena,
			   mw_source_read_kpage(src, kinds[i], frame->pfn, 1, places[i]),
			   why);
	return err;
}

static void take_categories(const struct mw_page_ranges *ranges, struct mw_frame *frames,
			    size_t n)
{
	size_t r = 0;
	for (size_t i = 0; i < n; i++) {
		while (r < ranges->n && ranges->items[r].end <= frames[i].addr)
			r++;
		if (r < ranges->n && ranges->items[r].start <= frames[i].addr)
			frames[i].categories = ranges->items[r].categories;
	}
}

/* The marker of MADV_GUARD_INSTALL looks like a swap entry, and is none. */
static void clear_guards(struct mw_frame *frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((frames[i].word & MW_PM_GUARD) ||
		    (frames[i].categories & MW_SCAN_GUARD))
			frames[i].word =
				(frames[i].word & ~(MW_PM_SWAP | MW_PM_PFN_MASK)) |
				MW_PM_GUARD;
}

struct mw_err *mw_frames_read(struct mw_source *src, pid_t pid, uint64_t addr, size_t n,
			      struct mw_arena *arena, struct mw_frame *ret,
			      const char **why)
{
	uint64_t page = mw_source_facts(src)->page_size;
	struct mw_page_ranges ranges = { 0 };
	uint64_t *words = mw_arena_calloc(arena, n, sizeof(*words));
	if (!words)
		return mw_err_nomem();
	*why = "";
	struct mw_err *err = mw_source_read_pagemap(src, pid, addr, n, words);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		bool present = words[i] & MW_PM_PRESENT;
		ret[i] = (struct mw_frame){
			.addr = addr + i * page,
			.word = words[i],
			.pfn = present ? words[i] & MW_PM_PFN_MASK : 0,
			.flags = UNKNOWN,
			.count = UNKNOWN,
			.cgroup = UNKNOWN,
		};
	}
	mw_err_free(mw_source_scan(src, pid, addr, addr + n * page, &ranges));
	take_categories(&ranges, ret, n);
	mw_vec_deinit(&ranges);
	clear_guards(ret, n);
	for (size_t i = 0; i < n && !err; i++)
		if (ret[i].pfn)
			err = read_frame(src, arena, &ret[i], why);
	return err;
}
