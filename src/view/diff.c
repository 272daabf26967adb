// SPDX-License-Identifier: MIT
#include "view/diff.h"

#include "base/buf.h"
#include "base/vec.h"

#include <inttypes.h>
#include <string.h>

/* A row of either side, or of both. */
struct change {
	const struct mw_map_row *before, *after;
};

struct changes {
	MW_VEC(struct change);
};

/* The same thing, moved its edges: overlapping, and alike by class and name. */
static bool is_same(const struct mw_map_row *a, const struct mw_map_row *b)
{
	return a->start < b->end && b->start < a->end && !strcmp(a->class, b->class) &&
	       !strcmp(a->name, b->name);
}

/* Walks both lists by address. Each row of either appears once. */
static bool pair_rows(const struct mw_map_rows *before, const struct mw_map_rows *after,
		      struct changes *ret)
{
	size_t b = 0, a = 0;
	while (b < before->n || a < after->n) {
		const struct mw_map_row *old = b < before->n ? &before->items[b] : NULL;
		const struct mw_map_row *new = a < after->n ? &after->items[a] : NULL;
		struct change change = { old, new };
		if (old && new && !is_same(old, new))
			*(old->end <= new->end ? &change.after : &change.before) = NULL;
		b += change.before != NULL;
		a += change.after != NULL;
		if (!mw_vec_add(ret, change))
			return false;
	}
	return true;
}

static int64_t delta(uint64_t before, uint64_t after)
{
	return (int64_t)(after - before);
}

/* What was read on one side only has changed by nobody knows how much. */
struct deltas {
	unsigned have; /* MW_HAVE_*, of both sides */
	int64_t size, rss, private_bytes, swap;
};

#define ALL_COMPARED (MW_HAVE_RSS | MW_HAVE_USS | MW_HAVE_SWAP)

static struct deltas deltas_of(const struct change *change)
{
	static const struct mw_counts nothing = { .have = ALL_COMPARED };
	static const struct mw_map_row none = { .counts = &nothing };
	const struct mw_map_row *b = change->before ? change->before : &none;
	const struct mw_map_row *a = change->after ? change->after : &none;
	struct deltas d = { .have = b->counts->have & a->counts->have,
			    .size = delta(b->size, a->size) };
	if (d.have & MW_HAVE_RSS)
		d.rss = delta(b->counts->rss, a->counts->rss);
	if (d.have & MW_HAVE_USS)
		d.private_bytes = delta(b->counts->uss, a->counts->uss);
	if (d.have & MW_HAVE_SWAP)
		d.swap = delta(b->counts->swap, a->counts->swap);
	return d;
}

/* Came and went, and whatever moved in size or content. */
static bool is_change(const struct change *change)
{
	struct deltas d = deltas_of(change);
	return !change->before || !change->after || d.size || d.rss || d.private_bytes ||
	       d.swap;
}

static struct mw_cell delta_cell(const struct deltas *d, unsigned which, int64_t value)
{
	return d->have & which ? mw_cell_i(value) : mw_cell_null();
}

static const struct mw_col cols[] = {
	{ "change", "change", MW_TYPE_TEXT, 0, 8 },
	{ "start", "address", MW_TYPE_ADDR, 0, 12 },
	{ "end", "", MW_TYPE_ADDR, MW_COL_NO_TEXT, 12 },
	{ "class", "class", MW_TYPE_TEXT, 0, 14 },
	{ "size", "size", MW_TYPE_DELTA, 0, 10 },
	{ "rss", "Rss", MW_TYPE_DELTA, 0, 10 },
	{ "private", "private", MW_TYPE_DELTA, 0, 10 },
	{ "swap", "swap", MW_TYPE_DELTA, 0, 10 },
	{ "name", "name", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
};

static void emit_change(struct mw_out *out, const struct change *change)
{
	const struct mw_map_row *row = change->after ? change->after : change->before;
	struct deltas d = deltas_of(change);
	const char *word = !change->before ? "new" : !change->after ? "gone" : "changed";
	struct mw_cell cells[] = {
		mw_cell_s(word),
		mw_cell_u(row->start),
		mw_cell_u(row->end),
		mw_cell_s(row->class),
		mw_cell_i(d.size),
		delta_cell(&d, MW_HAVE_RSS, d.rss),
		delta_cell(&d, MW_HAVE_USS, d.private_bytes),
		delta_cell(&d, MW_HAVE_SWAP, d.swap),
		mw_cell_s(row->name),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

static struct deltas sum_up(const struct changes *changes, size_t *n)
{
	struct deltas sum = { .have = ALL_COMPARED };
	*n = 0;
	for (size_t i = 0; i < changes->n; i++) {
		struct deltas d = deltas_of(&changes->items[i]);
		sum.have &= d.have;
		sum.size += d.size;
		sum.rss += d.rss;
		sum.private_bytes += d.private_bytes;
		sum.swap += d.swap;
		*n += is_change(&changes->items[i]);
	}
	return sum;
}

/* What is known of both is compared; of an answer that tells nothing, nothing is said. */
static bool is_other(const struct mw_map_earlier *before, const struct mw_process *p)
{
	return (before->pid && before->pid != p->pid) ||
	       (before->start_ticks && p->start_ticks &&
		before->start_ticks != p->start_ticks) ||
	       (before->boot_id[0] && p->boot_id[0] &&
		strcmp(before->boot_id, p->boot_id) != 0);
}

static bool add_change(struct mw_buf *text, const struct deltas *sum, bool other)
{
	char words[MW_UNITS_LEN];
	uint64_t by = (uint64_t)(sum->rss < 0 ? -sum->rss : sum->rss);
	if (!(sum->have & MW_HAVE_RSS))
		return mw_buf_printf(text, "Rss could not be compared; ");
	if (!sum->rss)
		return mw_buf_printf(text, "Rss is %s; ",
				     other ? "the same" : "what it was");
	mw_units_bytes(by, MW_UNIT_AUTO, words);
	if (other)
		return mw_buf_printf(text, "Rss is %s %s; ", words,
				     sum->rss < 0 ? "less" : "more");
	return mw_buf_printf(text, "Rss %s by %s; ", sum->rss < 0 ? "shrank" : "grew",
			     words);
}

/* "redis-server (42): Rss grew by …", "bash (43), beside redis-server (42): Rss is …" */
static struct mw_err *headline(struct mw_out *out, const struct mw_map_earlier *before,
			       const struct mw_process *process, const struct deltas *sum,
			       size_t n)
{
	mw_auto_buf text = { 0 };
	bool other = is_other(before, process);
	bool ok = mw_buf_printf(&text, "%s (%d)", process->comm, process->pid);
	if (other && before->pid == process->pid)
		ok = ok && mw_buf_printf(&text, ", beside an earlier process %d, %s",
					 process->pid, before->name);
	else if (other)
		ok = ok && mw_buf_printf(&text, ", beside %s (%" PRId64 ")", before->name,
					 before->pid);
	ok = ok && mw_buf_printf(&text, ": ") && add_change(&text, sum, other) &&
	     mw_buf_printf(&text, "%zu segment%s %s.", n, n == 1 ? "" : "s",
			   other ? n == 1 ? "differs" : "differ" : "changed");
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static void whose(struct mw_out *out, const struct mw_map_earlier *before,
		  const struct mw_process *process)
{
	mw_view_process(out, process);
	mw_out_object(out, "earlier");
	mw_out_field(out, "pid", MW_TYPE_COUNT,
		     mw_cell_if(before->pid != 0, (uint64_t)before->pid));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(before->name));
	mw_out_field(out, "same_process", MW_TYPE_BOOL,
		     mw_cell_u(!is_other(before, process)));
	mw_out_object_end(out);
}

static void totals(struct mw_out *out, const struct deltas *sum)
{
	mw_out_object(out, "totals");
	mw_out_field(out, "size", MW_TYPE_DELTA, mw_cell_i(sum->size));
	mw_out_field(out, "rss", MW_TYPE_DELTA, delta_cell(sum, MW_HAVE_RSS, sum->rss));
	mw_out_field(out, "private", MW_TYPE_DELTA,
		     delta_cell(sum, MW_HAVE_USS, sum->private_bytes));
	mw_out_field(out, "swap", MW_TYPE_DELTA,
		     delta_cell(sum, MW_HAVE_SWAP, sum->swap));
	mw_out_object_end(out);
}

static void emit_changes(struct mw_out *out, const struct changes *changes, size_t n)
{
	struct mw_table table = { .key = "changes",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(cols[0]),
				  .n_rows = n,
				  .is_main = true };
	mw_out_table(out, &table);
	for (size_t i = 0; i < changes->n; i++)
		if (is_change(&changes->items[i]))
			emit_change(out, &changes->items[i]);
	mw_out_table_end(out);
}

static void limits(struct mw_out *out, const struct mw_map_answer *after,
		   const struct deltas *sum)
{
	static const struct mw_gap unknown = {
		.what = "some changes",
		.why = "a figure of one of the two answers was not read then",
		.remedy = "",
	};
	mw_view_map_limits(out, after, sum->have != ALL_COMPARED ? &unknown : NULL);
}

struct mw_err *mw_view_diff(struct mw_out *out, const struct mw_map_earlier *before,
			    const struct mw_map_answer *after)
{
	const struct mw_process *process = mw_snapshot_process(after->snap);
	struct changes changes = { 0 };
	size_t n;
	if (!pair_rows(&before->rows, after->rows, &changes)) {
		mw_vec_deinit(&changes);
		return mw_err_nomem();
	}
	struct deltas sum = sum_up(&changes, &n);
	mw_out_begin(out, "memwhy.map-diff/1");
	struct mw_err *err = headline(out, before, process, &sum, n);
	if (!err) {
		whose(out, before, process);
		emit_changes(out, &changes, n);
		totals(out, &sum);
		limits(out, after, &sum);
	}
	mw_vec_deinit(&changes);
	return err;
}
