// SPDX-License-Identifier: MIT
/*
 * The table of procps-ng 4.0's free(1). Its columns do not add up ("used" is what is not
 * available, and so overlaps both "free" and "buff/cache"), and they are shown as there.
 */
#include "base/buf.h"
#include "view/free.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CELL_LEN = 32 };

static uint64_t known(uint64_t n)
{
	return n == UINT64_MAX ? 0 : n;
}

static double power_of(double base, unsigned n)
{
	double ret = 1;
	while (n--)
		ret *= base;
	return ret;
}

/* The first unit in which the number fits: one decimal, else none. */
static void human(char cell[CELL_LEN], int64_t kib, bool si)
{
	static const char letters[] = "BKMGTPEZY";
	const double base = si ? 1000.0 : 1024.0;
	double bytes = (double)kib * 1024.0;
	const char *i = si ? "" : "i";
	int fits = si ? 4 : 5;
	if (snprintf(cell, CELL_LEN, "%.0fB", bytes) <= 4)
		return;
	for (unsigned n = 1; n < sizeof(letters) - 1; n++) {
		double scaled = bytes / power_of(base, n);
		if (snprintf(cell, CELL_LEN, "%.1f%c%s", scaled, letters[n], i) <= fits ||
		    snprintf(cell, CELL_LEN, "%.0f%c%s", (double)(int64_t)scaled,
			     letters[n], i) <= fits)
			return;
	}
}

/* Signed: more may be committed than there is. */
static const char *cell(char text[CELL_LEN], uint64_t unsigned_bytes,
			const struct mw_free_classic *opts)
{
	int64_t bytes = (int64_t)unsigned_bytes;
	double base = opts->si ? 1000.0 : 1024.0;
	if (opts->human)
		human(text, bytes / 1024, opts->si);
	else if (!opts->chosen && !opts->si)
		snprintf(text, CELL_LEN, "%" PRId64, bytes / 1024);
	else
		snprintf(text, CELL_LEN, "%" PRId64,
			 (int64_t)((double)bytes / power_of(base, opts->power)));
	return text;
}

static bool add(struct mw_buf *text, const char *name, const uint64_t *bytes, size_t n,
		const struct mw_free_classic *opts)
{
	char t[CELL_LEN];
	bool ok = mw_buf_printf(text, "%-8s", name);
	for (size_t i = 0; ok && i < n; i++)
		ok = mw_buf_printf(text, "%s%11s", i ? " " : " ",
				   cell(t, bytes[i], opts));
	return ok && mw_buf_printf(text, "\n");
}

struct columns {
	uint64_t total, used, free, shared, buffers, cache, available;
	uint64_t swap_total, swap_used, swap_free;
};

static struct columns take_columns(const struct mw_machine *m)
{
	struct columns c = { .total = m->total, .free = m->free };
	c.available = m->available == UINT64_MAX ? m->free : m->available;
	c.used = c.total > c.available ? c.total - c.available : 0;
	c.shared = known(m->shmem);
	c.buffers = known(m->buffers);
	c.cache = known(m->cached) + known(m->s_reclaimable);
	c.swap_total = known(m->swap_total);
	c.swap_free = known(m->swap_free);
	c.swap_used = c.swap_total - c.swap_free;
	return c;
}

static bool add_line(struct mw_buf *text, const struct columns *c,
		     const struct mw_free_classic *opts)
{
	char t[4][CELL_LEN];
	return mw_buf_printf(
		text, "SwapUse %11s CachUse %11s  MemUse %11s MemFree %11s \n",
		cell(t[0], c->swap_used, opts), cell(t[1], c->buffers + c->cache, opts),
		cell(t[2], c->used, opts), cell(t[3], c->free, opts));
}

static bool add_memory(struct mw_buf *text, const struct columns *c,
		       const struct mw_free_classic *opts)
{
	const uint64_t wide[] = { c->total,   c->used,  c->free,     c->shared,
				  c->buffers, c->cache, c->available };
	const uint64_t narrow[] = {
		c->total, c->used, c->free, c->shared, c->buffers + c->cache, c->available
	};
	static const char head[] = "               total        used        free      "
				   "shared  buff/cache   available\n";
	static const char wide_head[] = "               total        used        free   "
					"   shared     buffers       cache   available\n";
	return mw_buf_printf(text, "%s", opts->wide ? wide_head : head) &&
	       add(text, "Mem:", opts->wide ? wide : narrow, opts->wide ? 7 : 6, opts);
}

/* Without high memory (64 bits) all of it is low. */
static bool add_low_high(struct mw_buf *text, const struct mw_machine *m,
			 const struct mw_free_classic *opts)
{
	bool split = m->low_total != UINT64_MAX;
	uint64_t total = split ? m->low_total : m->total;
	uint64_t left = split ? known(m->low_free) : m->free;
	uint64_t high = known(m->high_total), high_free = known(m->high_free);
	const uint64_t low_cells[] = { total, total - left, left };
	const uint64_t high_cells[] = { high, high - high_free, high_free };
	return add(text, "Low:", low_cells, 3, opts) &&
	       add(text, "High:", high_cells, 3, opts);
}

struct mw_err *mw_view_free_classic(struct mw_out *out, const struct mw_machine *machine,
				    const struct mw_free_classic *opts)
{
	struct columns c = take_columns(machine);
	const uint64_t swap[] = { c.swap_total, c.swap_used, c.swap_free };
	const uint64_t sum[] = { c.total + c.swap_total, c.used + c.swap_used,
				 c.free + c.swap_free };
	uint64_t limit = known(machine->commit_limit), used = known(machine->committed);
	const uint64_t committed[] = { limit, used, limit - used };
	mw_auto_buf text = { 0 };
	bool ok = true;
	if (opts->line)
		ok = add_line(&text, &c, opts);
	else
		ok = add_memory(&text, &c, opts) &&
		     (!opts->low_high || add_low_high(&text, machine, opts)) &&
		     add(&text, "Swap:", swap, 3, opts) &&
		     (!opts->total || add(&text, "Total:", sum, 3, opts)) &&
		     (!opts->committed || add(&text, "Comm:", committed, 3, opts));
	if (!ok)
		return mw_err_nomem();
	mw_out_raw(out, text.data, text.len);
	return NULL;
}
