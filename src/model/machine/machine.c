// SPDX-License-Identifier: MIT
#include "model/machine/machine.h"

#include "base/buf.h"
#include "base/num.h"

#include <string.h>

#define UNKNOWN UINT64_MAX

static const struct {
	const char *key, *title;
} parts[MW_PART_COUNT] = {
	[MW_PART_FREE] = { "free", "free" },
	[MW_PART_ANON] = { "programs", "programs' own memory" },
	[MW_PART_SHMEM] = { "shared", "shared memory and tmpfs" },
	[MW_PART_FILES] = { "page-cache", "file cache" },
	[MW_PART_BUFFERS] = { "buffers", "block device cache" },
	[MW_PART_SLAB_CACHE] = { "kernel-cache", "kernel caches" },
	[MW_PART_SLAB] = { "kernel-objects", "kernel objects" },
	[MW_PART_PAGETABLES] = { "page-tables", "page tables" },
	[MW_PART_STACKS] = { "kernel-stacks", "kernel stacks" },
	[MW_PART_PERCPU] = { "percpu", "per-processor data" },
	[MW_PART_HUGETLB] = { "hugetlb", "reserved for huge pages" },
	[MW_PART_ZSWAP] = { "zswap", "compressed swap (zswap)" },
	[MW_PART_ZRAM] = { "zram", "compressed swap (zram)" },
	[MW_PART_UNACCOUNTED] = { "unaccounted", "unaccounted" },
};

const char *mw_part_key(enum mw_part part)
{
	return (unsigned)part < MW_PART_COUNT ? parts[part].key : "";
}

const char *mw_part_title(enum mw_part part)
{
	return (unsigned)part < MW_PART_COUNT ? parts[part].title : "";
}

static uint64_t known(uint64_t n)
{
	return n == UNKNOWN ? 0 : n;
}

/* clang-format off */
static const struct {
	const char *key;
	size_t offset;
} fields[] = {
#define FIELD(key, member) { key, offsetof(struct mw_machine, member) }
	FIELD("MemTotal", total), FIELD("MemFree", free),
	FIELD("MemAvailable", available), FIELD("Buffers", buffers),
	FIELD("Cached", cached), FIELD("SwapCached", swap_cached),
	FIELD("Shmem", shmem), FIELD("Slab", slab),
	FIELD("SReclaimable", s_reclaimable), FIELD("SUnreclaim", s_unreclaim),
	FIELD("AnonPages", anon), FIELD("PageTables", page_tables),
	FIELD("SecPageTables", sec_page_tables), FIELD("KernelStack", kernel_stack),
	FIELD("Percpu", percpu), FIELD("Hugetlb", hugetlb),
	FIELD("HugePages_Total", hugepages_total), FIELD("Hugepagesize", hugepage_size),
	FIELD("Zswap", zswap),
	FIELD("SwapTotal", swap_total), FIELD("SwapFree", swap_free),
	FIELD("LowTotal", low_total), FIELD("LowFree", low_free),
	FIELD("HighTotal", high_total), FIELD("HighFree", high_free),
	FIELD("CommitLimit", commit_limit), FIELD("Committed_AS", committed),
#undef FIELD
};
/* clang-format on */

static struct mw_err *read_meminfo(struct mw_source *src, struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(src, 0, 0, MW_FILE_MEMINFO, &text);
	if (err)
		return err;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		uint64_t n = mw_keyed_number(mw_buf_str(&text), text.len, fields[i].key);
		memcpy((char *)m + fields[i].offset, &n, sizeof(n));
	}
	if (m->total == UNKNOWN || m->free == UNKNOWN)
		return mw_err_new(MW_ERR_FORMAT, 0, "meminfo",
				  "meminfo does not say how much memory there is");
	return NULL;
}

/* What may be missing: its absence is an UNKNOWN, never an error. */
static bool read_quietly(struct mw_source *src, enum mw_file file, struct mw_buf *text)
{
	mw_auto_err err = mw_source_read_text(src, 0, 0, file, text);
	return !err;
}

static void read_vmstat(struct mw_source *src, struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	m->swap_in = m->swap_out = m->oom_kills = UNKNOWN;
	if (!read_quietly(src, MW_FILE_VMSTAT, &text))
		return;
	const char *bytes = mw_buf_str(&text);
	m->swap_in = mw_keyed_number(bytes, text.len, "pswpin");
	m->swap_out = mw_keyed_number(bytes, text.len, "pswpout");
	m->oom_kills = mw_keyed_number(bytes, text.len, "oom_kill");
}

static void read_pressure(struct mw_source *src, struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	if (!read_quietly(src, MW_FILE_PRESSURE, &text))
		return;
	m->has_pressure =
		mw_pressure_parse(mw_buf_str(&text), text.len, "some", &m->some) &&
		mw_pressure_parse(mw_buf_str(&text), text.len, "full", &m->full);
}

/* mm_stat: original, compressed, and third the memory it takes (blockdev/zram.rst). */
static void read_zram(struct mw_source *src, struct mw_machine *m)
{
	mw_auto_buf text = { 0 };
	uint64_t n[3];
	m->zram = UNKNOWN;
	if (!read_quietly(src, MW_FILE_ZRAM, &text))
		return;
	const char *pos = mw_buf_str(&text), *end = pos + text.len;
	for (size_t i = 0; i < 3; i++) {
		mw_skip_blanks(&pos, end);
		if (!mw_take_dec(&pos, end, &n[i]))
			return;
	}
	m->zram = n[2];
}

static uint64_t hugetlb_bytes(const struct mw_machine *m)
{
	uint64_t bytes;
	if (m->hugetlb != UNKNOWN)
		return m->hugetlb;
	if (m->hugepages_total == UNKNOWN || m->hugepage_size == UNKNOWN ||
	    __builtin_mul_overflow(m->hugepages_total, m->hugepage_size, &bytes))
		return 0;
	return bytes;
}

/*
 * Shmem is counted in Cached. SwapCached is no part: most of it is mapped, and counted in
 * AnonPages already; the rest, unmapped, is left unaccounted.
 */
static void split(struct mw_machine *m)
{
	uint64_t *part = m->part, sum = 0;
	part[MW_PART_FREE] = m->free;
	part[MW_PART_ANON] = known(m->anon);
	part[MW_PART_SHMEM] = known(m->shmem);
	part[MW_PART_FILES] = mw_less(known(m->cached), known(m->shmem));
	part[MW_PART_BUFFERS] = known(m->buffers);
	part[MW_PART_SLAB_CACHE] = known(m->s_reclaimable);
	part[MW_PART_SLAB] = m->s_unreclaim != UNKNOWN
				     ? m->s_unreclaim
				     : mw_less(known(m->slab), known(m->s_reclaimable));
	part[MW_PART_PAGETABLES] = known(m->page_tables) + known(m->sec_page_tables);
	part[MW_PART_STACKS] = known(m->kernel_stack);
	part[MW_PART_PERCPU] = known(m->percpu);
	part[MW_PART_HUGETLB] = hugetlb_bytes(m);
	part[MW_PART_ZSWAP] = known(m->zswap);
	part[MW_PART_ZRAM] = known(m->zram);
	part[MW_PART_UNACCOUNTED] = 0;
	for (unsigned i = 0; i < MW_PART_UNACCOUNTED; i++)
		sum += part[i];
	part[MW_PART_UNACCOUNTED] = mw_less(m->total, sum);
	m->overcount = mw_less(sum, m->total);
}

struct mw_err *mw_machine_read(struct mw_source *src, struct mw_machine *ret)
{
	struct mw_machine m = { 0 };
	struct mw_err *err = read_meminfo(src, &m);
	if (err)
		return err;
	read_vmstat(src, &m);
	read_pressure(src, &m);
	read_zram(src, &m);
	split(&m);
	*ret = m;
	return NULL;
}

const char *mw_stage_name(enum mw_stage stage)
{
	static const char *const names[MW_STAGE_COUNT] = { "free", "cache", "swap",
							   "tight", "oom" };
	return (unsigned)stage < MW_STAGE_COUNT ? names[stage] : "";
}

/*
 * What can be had without hurting anybody is `available`. Below a twentieth of memory the
 * kernel works for every page; below a hundredth, with no swap left, it will kill.
 */
enum mw_stage mw_machine_stage(const struct mw_machine *m)
{
	uint64_t left = m->available != UNKNOWN ? m->available : m->free;
	uint64_t swap_total = known(m->swap_total), swap_free = known(m->swap_free);
	bool swap_left = swap_free > swap_total / 20;
	bool waits = m->has_pressure && m->full.avg10 >= 1000;
	if (left < m->total / 100 && !swap_left)
		return MW_STAGE_OOM;
	if (waits || left < m->total / 20)
		return MW_STAGE_TIGHT;
	if (mw_less(swap_total, swap_free) > swap_total / 10)
		return MW_STAGE_SWAP;
	return m->free < m->total / 10 ? MW_STAGE_CACHE : MW_STAGE_FREE;
}
