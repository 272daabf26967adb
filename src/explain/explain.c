// SPDX-License-Identifier: MIT
/* Puts classes, account and findings together, and says it in one sentence. */
#include "explain/impl.h"

#include <stdlib.h>
#include <string.h>

/* The i-th largest cause; what nobody could name takes its place among them. */
static bool nth_cause(const struct mw_account *a, size_t i, const char **title,
		      uint64_t *bytes)
{
	size_t before = 0; /* buckets larger than the rest */
	while (before < a->n_buckets && a->buckets[before].bytes >= a->rest)
		before++;
	if (a->rest && i == before) {
		*title = "not explained";
		*bytes = a->rest;
		return true;
	}
	i -= a->rest && i > before;
	if (i >= a->n_buckets || !a->buckets[i].bytes)
		return false;
	*title = a->buckets[i].title;
	*bytes = a->buckets[i].bytes;
	return true;
}

/* Two causes, a third when two do not make most of it; none that hardly counts. */
static const char *main_causes(struct mw_explain *ex)
{
	const struct mw_account *a = &ex->pub.account;
	uint64_t told = 0, bytes;
	const char *text = "", *title;
	for (size_t i = 0; i < 3 && nth_cause(a, i, &title, &bytes); i++) {
		if ((i == 2 && told >= a->rss / 4 * 3) || (i && bytes < a->rss / 50))
			break;
		told += bytes;
		text = mw_arena_printf(&ex->arena, "%s%s %s %s (%s)", text, i ? "," : ":",
				       title, mw_words(ex, bytes),
				       mw_percent(ex, bytes, a->rss));
		if (!text)
			return "";
	}
	return text;
}

/* Resident bytes of one cause. */
static uint64_t bytes_of(const struct mw_account *a, const char *cause)
{
	for (size_t i = 0; i < a->n_buckets; i++)
		if (!strcmp(a->buckets[i].cause, cause))
			return a->buckets[i].bytes;
	return 0;
}

/*
 * The question most often asked: freed memory that comes back to nobody is no leak. Only
 * where it is much, and more than what is live.
 */
static const char *retention(struct mw_explain *ex)
{
	const struct mw_account *a = &ex->pub.account;
	uint64_t kept = bytes_of(a, "heap-kept") + bytes_of(a, "heap-trimmable") +
			bytes_of(a, "python-kept");
	uint64_t live = bytes_of(a, "heap-live");
	const char *whose = "its allocators";
	if (!ex->pub.heap || !ex->pub.heap->settled || kept < a->rss / 5 * 2 ||
	    kept < live)
		return NULL;
	bool one = ex->pub.heap->n_allocators == 1;
	if (one)
		whose = ex->pub.heap->allocators[0].name;
	return mw_arena_printf(&ex->arena,
			       "; %s of it is freed heap that %s keep%s: retention, not "
			       "a leak",
			       mw_words(ex, kept), whose, one ? "s" : "");
}

/* The fair share: by frames, else by smaps_rollup; UINT64_MAX when neither was read. */
static uint64_t fair_share(const struct mw_totals *totals)
{
	if (totals->sum.have & MW_HAVE_PSS)
		return mw_counts_pss(&totals->sum);
	return totals->rollup_pss;
}

static const char *state_words(const struct mw_process *p)
{
	if (p->kthread)
		return "is a kernel thread: it has no user memory; what it uses is the "
		       "kernel's";
	if (p->state == 'Z' || p->state == 'X')
		return "is a zombie: its memory is already freed; only its exit status "
		       "waits";
	return "has no address space: it is exiting";
}

static struct mw_err *make_headline(struct mw_explain *ex)
{
	const struct mw_process *p = mw_snapshot_process(ex->pub.snap);
	uint64_t pss = fair_share(mw_snapshot_totals(ex->pub.snap));
	struct mw_arena *arena = &ex->arena;
	const char *causes = retention(ex);
	if (!causes)
		causes = main_causes(ex);
	if (p->vm_size == MW_UNKNOWN)
		ex->pub.headline = mw_arena_printf(arena, "%s (%d) %s.", p->comm, p->pid,
						   state_words(p));
	else if (pss != MW_UNKNOWN && pss < ex->pub.account.rss / 100 * 99)
		ex->pub.headline = mw_arena_printf(
			arena, "%s (%d) costs %s, its fair share of %s resident%s.",
			p->comm, p->pid, mw_words(ex, pss),
			mw_words(ex, ex->pub.account.rss), causes);
	else if (pss != MW_UNKNOWN)
		ex->pub.headline = mw_arena_printf(arena, "%s (%d) costs %s%s.", p->comm,
						   p->pid, mw_words(ex, pss), causes);
	else
		ex->pub.headline = mw_arena_printf(
			arena, "%s (%d) has %s resident%s.", p->comm, p->pid,
			mw_words(ex, ex->pub.account.rss), causes);
	return ex->pub.headline ? NULL : mw_err_nomem();
}

/* What a walk found wrong: how much of the heap is not known, and where to look. */
static struct mw_err *note_failed_checks(struct mw_explain *ex)
{
	const struct mw_heap *heap = ex->pub.heap;
	for (size_t i = 0; heap && i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		const struct mw_check *bad = NULL;
		size_t n = 0;
		for (size_t k = 0; k < a->n_checks; k++) {
			n += !a->checks[k].ok;
			bad = bad || a->checks[k].ok ? bad : &a->checks[k];
		}
		if (!bad)
			continue;
		const char *what = mw_arena_printf(&ex->arena, "the heap of %s, %s of it",
						   a->name, mw_words(ex, a->unknown));
		const char *why = mw_arena_printf(
			&ex->arena,
			"%zu of %zu checks failed: %s: expected %llu, found %llu", n,
			a->n_checks, bad->name, (unsigned long long)bad->expected,
			(unsigned long long)bad->found);
		const char *next = mw_next(ex, "heap", "--checks");
		struct mw_err *err = what && why && next
					     ? mw_explain_gap(ex, what, why, next)
					     : mw_err_nomem();
		if (err)
			return err;
	}
	return NULL;
}

/* Gaps of the snapshot, the layout, the heap and of this folder, in one list. */
static struct mw_err *join_gaps(struct mw_explain *ex)
{
	size_t n_snap, n_layout, n = 0;
	const struct mw_gap *snap = mw_snapshot_gaps(ex->pub.snap, &n_snap);
	const struct mw_gap *layout = mw_layout_gaps(ex->layout, &n_layout);
	const struct mw_heap *heap = ex->pub.heap;
	size_t n_heap = heap ? heap->n_gaps : 0;
	struct mw_gap *all = mw_arena_calloc(
		&ex->arena, n_snap + n_layout + n_heap + ex->gaps.n + 1, sizeof(*all));
	if (!all)
		return mw_err_nomem();
	for (size_t i = 0; i < n_snap; i++)
		all[n++] = snap[i];
	for (size_t i = 0; i < n_layout; i++)
		all[n++] = layout[i];
	for (size_t i = 0; i < n_heap; i++)
		all[n++] = heap->gaps[i];
	for (size_t i = 0; i < ex->gaps.n; i++)
		all[n++] = ex->gaps.items[i];
	ex->pub.gaps = all;
	ex->pub.n_gaps = n;
	return NULL;
}

static struct mw_err *fill(struct mw_explain *ex)
{
	struct mw_err *err = mw_classify(ex->pub.snap, ex->pub.heap, &ex->layout);
	if (err)
		return err;
	ex->pub.layout = ex->layout;
	if ((err = mw_account_make(ex)) || (err = mw_rules_apply(ex)) ||
	    (err = note_failed_checks(ex)) || (err = make_headline(ex)))
		return err;
	ex->pub.findings = ex->findings.items;
	ex->pub.n_findings = ex->findings.n;
	return join_gaps(ex);
}

struct mw_err *mw_explain(const struct mw_snapshot *snap, const struct mw_heap *heap,
			  struct mw_explanation **ret)
{
	struct mw_explain *ex = calloc(1, sizeof(*ex));
	if (!ex)
		return mw_err_nomem();
	ex->pub.snap = snap;
	ex->pub.heap = heap;
	struct mw_err *err = fill(ex);
	if (err)
		mw_explanation_free(&ex->pub);
	else
		*ret = &ex->pub;
	return err;
}

void mw_explanation_free(struct mw_explanation *pub)
{
	struct mw_explain *ex = (struct mw_explain *)pub;
	if (!ex)
		return;
	mw_layout_free(ex->layout);
	mw_vec_deinit(&ex->findings);
	mw_vec_deinit(&ex->gaps);
	mw_arena_deinit(&ex->arena);
	free(ex);
}
