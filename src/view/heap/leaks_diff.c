// SPDX-License-Identifier: MIT
/*
 * Two answers of `leaks` compared: which sizes and kinds of blocks became more. That
 * finds the leak that is none by the book: a list or a cache that only grows.
 */
#include "view/heap/leaks.h"

#include "base/buf.h"
#include "view/heap/heap.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS = 20 };

struct change {
	const struct mw_leaks_row *row; /* of either; the later where there is one */
	bool leaked;
	struct mw_blocks before, after;
};

struct changes {
	MW_VEC(struct change);
};

static int by_kind(const void *a, const void *b)
{
	const struct mw_leaks_row *x = a, *y = b;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->symbol, y->symbol);
}

/* Sorted, with one row for each size and symbol. */
static void merge(struct mw_leaks_rows *rows)
{
	size_t n = 0;
	if (!rows->n)
		return;
	qsort(rows->items, rows->n, sizeof(*rows->items), by_kind);
	for (size_t i = 1; i < rows->n; i++) {
		struct mw_leaks_row *last = &rows->items[n];
		if (by_kind(last, &rows->items[i])) {
			rows->items[++n] = rows->items[i];
			continue;
		}
		last->blocks.n += rows->items[i].blocks.n;
		last->blocks.bytes += rows->items[i].blocks.bytes;
	}
	rows->n = n + 1;
}

static struct mw_err *compare(const struct mw_leaks_rows *before,
			      const struct mw_leaks_rows *after, bool leaked,
			      struct changes *ret)
{
	size_t b = 0, a = 0;
	while (b < before->n || a < after->n) {
		const struct mw_leaks_row *old = b < before->n ? &before->items[b] : NULL;
		const struct mw_leaks_row *new = a < after->n ? &after->items[a] : NULL;
		int order = !old ? 1 : !new ? -1 : by_kind(old, new);
		struct change change = { .row = order < 0 ? old : new, .leaked = leaked };
		if (order <= 0)
			change.before = before->items[b++].blocks;
		if (order >= 0)
			change.after = after->items[a++].blocks;
		if (change.before.n == change.after.n &&
		    change.before.bytes == change.after.bytes)
			continue;
		if (!mw_vec_add(ret, change))
			return mw_err_nomem();
	}
	return NULL;
}

static int64_t grown(const struct change *change)
{
	return (int64_t)(change->after.bytes - change->before.bytes);
}

/* By growth in bytes, then in blocks; what leaked before what only lives. */
static int by_growth(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int64_t xn = (int64_t)(x->after.n - x->before.n);
	int64_t yn = (int64_t)(y->after.n - y->before.n);
	if (grown(x) != grown(y))
		return grown(x) > grown(y) ? -1 : 1;
	if (xn != yn)
		return xn > yn ? -1 : 1;
	if (x->leaked != y->leaked)
		return x->leaked ? -1 : 1;
	return by_kind(x->row, y->row);
}

static struct mw_err *rows_of(const struct mw_leaks *leaks, struct mw_leaks_rows *live,
			      struct mw_leaks_rows *leaked)
{
	for (size_t i = 0; i < leaks->n_live_groups; i++) {
		const struct mw_live_group *g = &leaks->live_groups[i];
		struct mw_leaks_row row = { g->size, g->symbol, g->blocks };
		if (!mw_vec_add(live, row))
			return mw_err_nomem();
	}
	for (size_t i = 0; i < leaks->n_groups; i++) {
		const struct mw_leak_group *g = &leaks->groups[i];
		struct mw_leaks_row row = { g->size, g->symbol, g->blocks };
		if (!g->suppressed && !mw_vec_add(leaked, row))
			return mw_err_nomem();
	}
	return NULL;
}

/* All changes of both sorts; rows of the later answer are kept in `now`. */
static struct mw_err *list_changes(const struct mw_leaks_earlier *before,
				   const struct mw_leaks *after,
				   struct mw_leaks_rows old[2],
				   struct mw_leaks_rows now[2], struct changes *ret)
{
	struct mw_err *err = rows_of(after, &now[0], &now[1]);
	const struct mw_leaks_rows *lists[] = { &before->live_groups,
						&before->leaked_groups };
	for (int i = 0; i < 2 && !err; i++) {
		for (size_t k = 0; k < lists[i]->n && !err; k++)
			if (!mw_vec_add(&old[i], lists[i]->items[k]))
				err = mw_err_nomem();
		merge(&old[i]);
		merge(&now[i]);
		if (!err)
			err = compare(&old[i], &now[i], i == 1, ret);
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), by_growth);
	return err;
}

/* What is known of both is compared. */
static bool is_other(const struct mw_leaks_earlier *before, const struct mw_process *p)
{
	return before->pid != p->pid ||
	       (before->start_ticks && p->start_ticks &&
		before->start_ticks != p->start_ticks) ||
	       (before->boot_id[0] && p->boot_id[0] &&
		strcmp(before->boot_id, p->boot_id) != 0);
}

/* "grew by 3.2 MiB in 20,000 blocks" */
static bool change_words(struct mw_buf *text, const char *what,
			 const struct mw_blocks *before, const struct mw_blocks *after)
{
	bool more = after->bytes >= before->bytes;
	uint64_t n = after->n >= before->n ? after->n - before->n : before->n - after->n;
	char words[MW_UNITS_LEN];
	if (after->bytes == before->bytes && after->n == before->n)
		return mw_buf_printf(text, "%s is the same", what);
	mw_units_bytes(more ? after->bytes - before->bytes : before->bytes - after->bytes,
		       MW_UNIT_AUTO, words);
	return mw_buf_printf(text, "%s %s by %s, ", what, more ? "grew" : "shrank",
			     words) &&
	       mw_view_number(text, n) &&
	       mw_buf_printf(text, " block%s %s", n == 1 ? "" : "s",
			     after->n >= before->n ? "more" : "fewer");
}

static struct mw_err *headline(struct mw_out *out, const struct mw_leaks_earlier *before,
			       const struct mw_leaks_answer *after)
{
	const struct mw_process *p = mw_snapshot_process(after->snap);
	const struct mw_blocks leaked = mw_leaks_counted(after);
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%s (%d)", p->comm, p->pid);
	if (is_other(before, p))
		ok = ok &&
		     mw_buf_printf(&text, ", beside another process, %s (%" PRId64 ")",
				   before->name, before->pid);
	ok = ok && mw_buf_printf(&text, ": ") &&
	     change_words(&text, "what is live", &before->live, &after->leaks->live) &&
	     mw_buf_printf(&text, "; ") &&
	     change_words(&text, "what leaked", &before->leaked, &leaked) &&
	     mw_buf_printf(&text, ".");
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static struct mw_err *change_row(struct mw_out *out, const struct change *change)
{
	mw_auto_buf count = { 0 };
	bool more = change->after.n >= change->before.n;
	uint64_t n = more ? change->after.n - change->before.n
			  : change->before.n - change->after.n;
	if (!mw_buf_printf(&count, "%s",
			   !n     ? ""
			   : more ? "+"
				  : "-") ||
	    !mw_view_number(&count, n))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_s(change->leaked ? "leaked" : "live"),
		mw_cell_i(grown(change)),
		mw_cell_s(mw_buf_str(&count)),
		mw_cell_i((int64_t)(change->after.n - change->before.n)),
		mw_cell_u(change->row->size),
		mw_cell_u(change->after.n),
		mw_cell_u(change->after.bytes),
		mw_cell_s(change->row->symbol),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

static struct mw_err *changes_table(struct mw_out *out, const struct changes *changes,
				    bool all)
{
	static const struct mw_col cols[] = {
		{ "what", "", MW_TYPE_TEXT, 0, 0 },
		{ "bytes", "bytes", MW_TYPE_DELTA, 0, 0 },
		{ "count", "blocks", MW_TYPE_TEXT, MW_COL_NO_DATA, 0 },
		{ "blocks", "", MW_TYPE_DELTA, MW_COL_NO_TEXT, 0 },
		{ "size", "size", MW_TYPE_BYTES, 0, 0 },
		{ "blocks_now", "blocks now", MW_TYPE_COUNT, 0, 0 },
		{ "bytes_now", "bytes now", MW_TYPE_BYTES, 0, 0 },
		{ "symbol", "begins with", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
	};
	size_t n = changes->n;
	if (mw_out_is_text(out) && !all && n > ROWS)
		n = ROWS;
	struct mw_table table = { .key = "changes",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(cols[0]),
				  .n_rows = n,
				  .is_main = true };
	struct mw_err *err = NULL;
	mw_out_table(out, &table);
	for (size_t i = 0; i < n && !err; i++)
		err = change_row(out, &changes->items[i]);
	mw_out_table_end(out);
	return err;
}

static void whose(struct mw_out *out, const struct mw_leaks_earlier *before,
		  const struct mw_leaks_answer *after)
{
	const struct mw_process *p = mw_snapshot_process(after->snap);
	mw_view_process(out, p);
	mw_out_object(out, "earlier");
	mw_out_field(out, "pid", MW_TYPE_COUNT, mw_cell_u((uint64_t)before->pid));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(before->name));
	mw_out_field(out, "same_process", MW_TYPE_BOOL, mw_cell_u(!is_other(before, p)));
	mw_view_blocks(out, "live", before->live);
	mw_view_blocks(out, "leaked", before->leaked);
	mw_out_object_end(out);
	mw_view_blocks(out, "live", after->leaks->live);
	mw_view_blocks(out, "leaked", mw_leaks_counted(after));
}

struct mw_err *mw_view_leaks_diff(struct mw_out *out,
				  const struct mw_leaks_earlier *before,
				  const struct mw_leaks_answer *after)
{
	struct changes changes = { 0 };
	struct mw_leaks_rows old[2] = { 0 }, now[2] = { 0 };
	struct mw_err *err = list_changes(before, after->leaks, old, now, &changes);
	if (!err) {
		mw_out_begin(out, "memwhy.leaks-diff/1");
		err = headline(out, before, after);
	}
	if (!err) {
		whose(out, before, after);
		err = changes_table(out, &changes, after->all);
	}
	if (!err)
		mw_view_leaks_limits(out, after);
	mw_vec_deinit(&changes);
	for (int i = 0; i < 2; i++) {
		mw_vec_deinit(&old[i]);
		mw_vec_deinit(&now[i]);
	}
	return err;
}
