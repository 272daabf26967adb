// SPDX-License-Identifier: MIT
/*
 * Memory that was dumped. A page is "present" when it is in the file: pages that a hole
 * of the file stands for were left out by who wrote it, being absent or all zeros.
 */
#include "kernel/core/core.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Present, and of this process alone, as far as anybody can say. */
#define PRESENT_WORD (UINT64_C(1) << 63 | UINT64_C(1) << 56)

/* The first load that ends above `addr`; loads.n when there is none. */
static size_t find_load(const struct mw_core *core, uint64_t addr)
{
	size_t lo = 0, hi = core->loads.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (core->loads.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Reads as far as memory was dumped without a break. */
static size_t read_dumped(const struct mw_core *core, uint64_t addr, char *bytes,
			  size_t len)
{
	size_t done = 0;

	for (size_t i = find_load(core, addr); done < len && i < core->loads.n; i++) {
		const struct mw_core_load *load = &core->loads.items[i];
		uint64_t at = addr + done;
		if (load->start > at || at - load->start >= load->len)
			break;
		uint64_t n = load->len - (at - load->start);
		n = n < len - done ? n : len - done;
		if (!mw_core_read_file(core, load->off + (at - load->start), bytes + done,
				       (size_t)n))
			break;
		done += (size_t)n;
	}
	return done;
}

bool mw_core_bytes(const struct mw_core *core, uint64_t addr, void *bytes, size_t len)
{
	return addr <= UINT64_MAX - len && read_dumped(core, addr, bytes, len) == len;
}

struct mw_err *mw_core_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				   void *bytes, size_t len, enum mw_purpose purpose,
				   size_t *got)
{
	const struct mw_core *core = mw_core_of(src);
	struct mw_err *err = mw_core_check_pid(core, pid);

	(void)purpose; /* only a recording tells them apart */
	if (err)
		return err;
	if (len > UINT64_MAX - addr)
		len = (size_t)(UINT64_MAX - addr);
	size_t done = read_dumped(core, addr, bytes, len);
	if (len && !done)
		return mw_err_new(MW_ERR_NOTFOUND, 0, core->path,
				  "%s has nothing of 0x%llx", core->path,
				  (unsigned long long)addr);
	*got = done;
	return NULL;
}

/*
 * The next stretch of a load's bytes from `pos` on (an offset in the load) that is no
 * hole. False when there is none. A file system that knows no holes has no holes.
 */
static bool next_data(const struct mw_core *core, const struct mw_core_load *load,
		      uint64_t pos, uint64_t *from, uint64_t *to)
{
	if (pos >= load->len)
		return false;
	*from = pos;
	*to = load->len;
	off_t data = lseek(core->fd, (off_t)(load->off + pos), SEEK_DATA);
	if (data < 0)
		return errno != ENXIO;
	if ((uint64_t)data >= load->off + load->len)
		return false;
	if ((uint64_t)data > load->off + pos)
		*from = (uint64_t)data - load->off;
	off_t hole = lseek(core->fd, data, SEEK_HOLE);
	if (hole > data && (uint64_t)hole < load->off + load->len)
		*to = (uint64_t)hole - load->off;
	return true;
}

typedef bool take_fn(void *ctx, uint64_t start, uint64_t end);

/*
 * Gives the pages of one load in [start, end) that are in the file, as rising ranges. A
 * page counts when some of it is no hole, and when all of it is there.
 */
static bool each_present(const struct mw_core *core, const struct mw_core_load *load,
			 uint64_t start, uint64_t end, take_fn *take, void *ctx)
{
	uint64_t page = core->base.facts.page_size, from, to;
	uint64_t whole = load->len & ~(page - 1); /* what follows was cut */
	uint64_t pos = start > load->start ? start - load->start : 0;
	uint64_t limit = (end < load->end ? end : load->end) - load->start;

	limit = limit < whole ? limit : whole;
	while (pos < limit && next_data(core, load, pos, &from, &to)) {
		from &= ~(page - 1);
		to = (to + page - 1) & ~(page - 1);
		from = from > pos ? from : pos;
		to = to < limit ? to : limit;
		if (from >= to)
			break;
		if (!take(ctx, load->start + from, load->start + to))
			return false;
		pos = to;
	}
	return true;
}

static bool take_range(void *ctx, uint64_t start, uint64_t end)
{
	struct mw_page_ranges *out = ctx;
	return mw_vec_add(out, (struct mw_page_range){ start, end, MW_SCAN_PRESENT });
}

struct mw_err *mw_core_scan(struct mw_source *src, pid_t pid, uint64_t start,
			    uint64_t end, struct mw_page_ranges *out)
{
	const struct mw_core *core = mw_core_of(src);
	size_t before = out->n;
	struct mw_err *err = mw_core_check_pid(core, pid);

	if (err)
		return err;
	for (size_t i = find_load(core, start); i < core->loads.n; i++) {
		const struct mw_core_load *load = &core->loads.items[i];
		if (load->start >= end)
			break;
		if (each_present(core, load, start, end, take_range, out))
			continue;
		out->n = before;
		return mw_err_nomem();
	}
	return NULL;
}

struct words {
	uint64_t addr, page;
	uint64_t *ret;
};

static bool take_words(void *ctx, uint64_t start, uint64_t end)
{
	const struct words *words = ctx;
	uint64_t i = (start - words->addr) / words->page;
	for (; start < end; start += words->page)
		words->ret[i++] = PRESENT_WORD;
	return true;
}

struct mw_err *mw_core_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret)
{
	const struct mw_core *core = mw_core_of(src);
	struct words words = { addr, core->base.facts.page_size, ret };
	uint64_t end = addr + n_pages * words.page; /* was checked to fit */
	struct mw_err *err = mw_core_check_pid(core, pid);

	if (err)
		return err;
	memset(ret, 0, n_pages * sizeof(*ret));
	for (size_t i = find_load(core, addr); i < core->loads.n; i++) {
		const struct mw_core_load *load = &core->loads.items[i];
		if (load->start >= end)
			break;
		(void)each_present(core, load, addr, end, take_words, &words);
	}
	return NULL;
}

struct mw_err *mw_core_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				  uint64_t *ret)
{
	const struct mw_core *core = mw_core_of(src);
	uint64_t page = core->base.facts.page_size, word = 0, n = 0;
	char bytes[512];

	struct mw_err *err = mw_core_read_pagemap(src, pid, addr, 1, &word);
	if (err)
		return err;
	for (uint64_t i = 0; i < page; i += sizeof(bytes)) {
		if (!word || !mw_core_bytes(core, addr + i, bytes, sizeof(bytes)))
			return mw_err_new(MW_ERR_NOTFOUND, 0, core->path,
					  "%s lacks the page at 0x%llx", core->path,
					  (unsigned long long)addr);
		for (size_t k = 0; k < sizeof(bytes); k++)
			n += bytes[k] == 0;
	}
	*ret = n;
	return NULL;
}
