// SPDX-License-Identifier: MIT
/* The main answer: sentence, account, what is beyond Rss, findings, limits. */
#include "view/view.h"

#include "base/arena.h"
#include "base/buf.h"
#include "model/access.h"

#include <string.h>

#define UNKNOWN UINT64_MAX

/* Nothing but the totals of status could be read. */
static bool is_blind(const struct mw_explanation *ex)
{
	return !(mw_snapshot_totals(ex->snap)->sum.have & MW_HAVE_RSS);
}

static void totals_fields(struct mw_out *out, const struct mw_explanation *ex)
{
	const struct mw_totals *t = mw_snapshot_totals(ex->snap);
	const struct mw_counts *sum = &t->sum;
	const struct mw_process *p = mw_snapshot_process(ex->snap);
	bool pss = sum->have & MW_HAVE_PSS, uss = sum->have & MW_HAVE_USS;
	bool rss = (sum->have & MW_HAVE_RSS) || p->vm_rss != UNKNOWN;
	bool swap = sum->have & MW_HAVE_SWAP;
	mw_out_field(out, "rss", MW_TYPE_BYTES, mw_cell_if(rss, ex->account.rss));
	mw_out_field(out, "pss", MW_TYPE_BYTES,
		     pss ? mw_cell_u(mw_counts_pss(sum)) : mw_cell_known(t->rollup_pss));
	mw_out_field(out, "uss", MW_TYPE_BYTES,
		     uss ? mw_cell_u(sum->uss) : mw_cell_known(t->rollup_uss));
	mw_out_field(out, "swap", MW_TYPE_BYTES,
		     swap ? mw_cell_u(sum->swap) : mw_cell_known(p->vm_swap));
	mw_out_field(out, "engine", MW_TYPE_TEXT,
		     mw_cell_s(is_blind(ex)                   ? "status"
			       : t->engine == MW_ENGINE_SMAPS ? "smaps"
							      : "pages"));
}

static bool any_swap(const struct mw_account *account)
{
	for (size_t i = 0; i < account->n_buckets; i++)
		if (account->buckets[i].swap && account->buckets[i].swap != UNKNOWN)
			return true;
	return false;
}

static void account_row(struct mw_out *out, const struct mw_bucket *b, uint64_t rss)
{
	struct mw_cell cells[] = {
		mw_cell_s(b->cause),
		mw_cell_s(b->title),
		mw_cell_u(b->bytes),
		mw_cell_u(mw_view_share(b->bytes, rss)),
		mw_cell_known(b->private_bytes),
		mw_cell_known(b->shared_bytes),
		mw_cell_known(b->swap),
		mw_cell_u(b->n),
		mw_cell_u(mw_view_share(b->bytes, rss)),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

static void account_table(struct mw_out *out, const struct mw_account *account)
{
	struct mw_col cols[] = {
		{ "cause", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "title", "cause", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "bytes", "Rss", MW_TYPE_BYTES, 0, 0 },
		{ "share", "share", MW_TYPE_SHARE, 0, 0 },
		{ "private", "private", MW_TYPE_BYTES, 0, 0 },
		{ "shared", "shared", MW_TYPE_BYTES, 0, 0 },
		{ "swap", "swap", MW_TYPE_BYTES, any_swap(account) ? 0 : MW_COL_NO_TEXT,
		  0 },
		{ "segments", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, 0 },
		{ "bar", "", MW_TYPE_BAR, MW_COL_NO_DATA, 0 },
	};
	struct mw_table table = { .key = "account",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(cols[0]),
				  .n_rows = account->n_buckets,
				  .is_main = true };
	mw_out_table(out, &table);
	for (size_t i = 0; i < account->n_buckets; i++)
		account_row(out, &account->buckets[i], account->rss);
	mw_out_table_end(out);
	mw_out_field(out, "rest", MW_TYPE_BYTES, mw_cell_u(account->rest));
}

/* " · " where the terminal can show it is the writer's affair; a comma reads anywhere. */
static bool add_words(struct mw_buf *text, const char *label, uint64_t bytes)
{
	char words[MW_UNITS_LEN];
	return mw_buf_printf(text, "%s%s %s", text->len ? ", " : "", label,
			     mw_units_bytes(bytes, MW_UNIT_AUTO, words));
}

static void sum_line(struct mw_out *out, const struct mw_explanation *ex)
{
	const struct mw_totals *t = mw_snapshot_totals(ex->snap);
	mw_auto_buf text = { 0 };
	bool ok = add_words(&text, "Rss", ex->account.rss) &&
		  add_words(&text, "unexplained", ex->account.rest);
	if (t->sum.have & MW_HAVE_PSS)
		ok = ok && add_words(&text, "Pss", mw_counts_pss(&t->sum));
	else if (t->rollup_pss != UNKNOWN)
		ok = ok && add_words(&text, "Pss", t->rollup_pss);
	if (t->sum.have & MW_HAVE_USS)
		ok = ok && add_words(&text, "private", t->sum.uss);
	if (ok)
		mw_out_note(out, 2, mw_buf_str(&text));
}

static void outside_line(struct mw_out *out, const struct mw_account *account)
{
	mw_auto_buf text = { 0 };
	bool ok = true;
	for (size_t i = 0; ok && i < account->n_outside; i++)
		if (account->outside[i].bytes && account->outside[i].bytes != UNKNOWN)
			ok = add_words(&text, account->outside[i].title,
				       account->outside[i].bytes);
	mw_auto_buf line = { 0 };
	if (ok && mw_buf_printf(&line, "beyond Rss: %s",
				text.len ? mw_buf_str(&text) : "nothing"))
		mw_out_note(out, 2, mw_buf_str(&line));
}

static void outside_table(struct mw_out *out, const struct mw_account *account)
{
	static const struct mw_col cols[] = {
		{ "cause", "cause", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "bytes", "bytes", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "how", "read from", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	};
	struct mw_table table = { .key = "outside",
				  .title = "",
				  .cols = cols,
				  .n_cols = 3,
				  .n_rows = account->n_outside };
	mw_out_table(out, &table);
	for (size_t i = 0; i < account->n_outside; i++) {
		const struct mw_outside *o = &account->outside[i];
		struct mw_cell cells[] = { mw_cell_s(o->cause), mw_cell_known(o->bytes),
					   mw_cell_s(o->how) };
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

static void findings_table(struct mw_out *out, const struct mw_explanation *ex)
{
	static const struct mw_col cols[] = {
		{ "id", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "claim", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "evidence", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "confidence", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "next", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "bytes", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	};
	struct mw_table table = { .key = "findings",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(cols[0]),
				  .n_rows = ex->n_findings };
	mw_out_table(out, &table);
	for (size_t i = 0; i < ex->n_findings; i++) {
		const struct mw_finding *f = &ex->findings[i];
		struct mw_cell cells[] = { mw_cell_s(f->id),
					   mw_cell_s(f->claim),
					   mw_cell_s(f->evidence),
					   mw_cell_s(mw_confidence_name(f->confidence)),
					   mw_cell_s(f->next),
					   mw_cell_u(f->bytes) };
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

/* For people: the claim and the command; the evidence where it is asked for. */
static struct mw_err *findings_items(struct mw_out *out, const struct mw_explanation *ex,
				     bool verbose)
{
	for (size_t i = 0; i < ex->n_findings; i++) {
		const struct mw_finding *f = &ex->findings[i];
		mw_auto_buf text = { 0 };
		bool ok = mw_buf_printf(&text, "%s", f->claim);
		if (verbose)
			ok = ok && mw_buf_printf(&text, " [%s; %s]", f->evidence,
						 mw_confidence_name(f->confidence));
		if (f->next[0])
			ok = ok && mw_buf_printf(&text, " See: %s", f->next);
		if (!ok)
			return mw_err_nomem();
		mw_out_item(out, (unsigned)(i + 1), mw_buf_str(&text));
	}
	return NULL;
}

/* One row of the evidence: a class, and what was seen of its first segment. */
struct class_sum {
	size_t n;
	uint64_t size, rss;
	const struct mw_segment *largest;
};

static void sum_classes(const struct mw_explanation *ex, struct class_sum *sums)
{
	size_t n;
	const struct mw_segment *segs = mw_layout_segments(ex->layout, &n);
	for (size_t i = 0; i < n; i++) {
		struct class_sum *sum = &sums[segs[i].class];
		sum->n++;
		sum->size += segs[i].end - segs[i].start;
		sum->rss += segs[i].counts.rss;
		if (!sum->largest || segs[i].counts.rss > sum->largest->counts.rss)
			sum->largest = &segs[i];
	}
}

static void classes_table(struct mw_out *out, const struct mw_explanation *ex,
			  bool verbose)
{
	unsigned hide = verbose ? 0 : MW_COL_NO_TEXT;
	const struct mw_col cols[] = {
		{ "class", "class", MW_TYPE_TEXT, hide, 0 },
		{ "segments", "segments", MW_TYPE_COUNT, hide, 0 },
		{ "size", "size", MW_TYPE_BYTES, hide, 0 },
		{ "bytes", "Rss", MW_TYPE_BYTES, hide, 0 },
		{ "confidence", "", MW_TYPE_TEXT, hide, 0 },
		{ "evidence", "evidence (of its largest segment)", MW_TYPE_TEXT,
		  hide | MW_COL_TRUNC, 0 },
	};
	struct class_sum sums[MW_CLASS_COUNT] = { 0 };
	struct mw_table table = { .key = "classes",
				  .title = verbose ? "evidence" : "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(cols[0]) };
	sum_classes(ex, sums);
	mw_out_table(out, &table);
	for (unsigned i = 0; i < MW_CLASS_COUNT; i++) {
		if (!sums[i].n)
			continue;
		struct mw_cell cells[] = {
			mw_cell_s(mw_class_key(i)),
			mw_cell_u(sums[i].n),
			mw_cell_u(sums[i].size),
			mw_cell_u(sums[i].rss),
			mw_cell_s(mw_confidence_name(sums[i].largest->confidence)),
			mw_cell_s(sums[i].largest->evidence),
		};
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
}

/*
 * Where the heap is the largest cause, it has more to tell; unless it is in a recording
 * from which it could not be walked.
 */
static bool is_heap(const struct mw_explanation *ex)
{
	const struct mw_account *a = &ex->account;
	bool live = mw_source_facts(mw_snapshot_source(ex->snap))->live;
	if (a->n_buckets && !strcmp(a->buckets[0].cause, "python-kept"))
		return true;
	if (!a->n_buckets || strncmp(a->buckets[0].cause, "heap", 4))
		return false;
	return a->buckets[0].cause[4] == '-' || live;
}

static void next_line(struct mw_out *out, const struct mw_explanation *ex)
{
	struct mw_arena arena = { 0 };
	struct mw_source *src = mw_snapshot_source(ex->snap);
	const struct mw_process *p = mw_snapshot_process(ex->snap);
	const char *text = NULL;
	if (p->vm_size != UNKNOWN && is_blind(ex))
		text = mw_advice_access(src, &arena, p->pid);
	else if (p->vm_size != UNKNOWN)
		text = mw_advice_command(src, &arena, is_heap(ex) ? "heap" : "map",
					 p->pid, "");
	if (text && text[0])
		mw_out_next(out, text);
	mw_arena_deinit(&arena);
}

struct mw_err *mw_view_why(struct mw_out *out, const struct mw_explanation *ex,
			   const struct mw_gap_list *gaps,
			   const struct mw_view_stop *stop, bool verbose)
{
	const struct mw_process *p = mw_snapshot_process(ex->snap);
	mw_out_begin(out, "memwhy.why/1");
	mw_out_headline(out, ex->headline);
	mw_view_process(out, p);
	totals_fields(out, ex);
	account_table(out, &ex->account);
	if (p->vm_size != UNKNOWN) {
		sum_line(out, ex);
		outside_line(out, &ex->account);
		mw_view_drift(out, mw_snapshot_totals(ex->snap));
	}
	outside_table(out, &ex->account);
	findings_table(out, ex);
	struct mw_err *err = findings_items(out, ex, verbose);
	if (err)
		return err;
	classes_table(out, ex, verbose);
	const struct mw_gap_list all[] = { { ex->gaps, ex->n_gaps }, *gaps };
	mw_view_gaps(out, all, 2, stop);
	mw_view_stopped(out, stop);
	next_line(out, ex);
	return NULL;
}
