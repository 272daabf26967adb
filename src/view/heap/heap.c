// SPDX-License-Identifier: MIT
/* `memwhy heap`: the sentence, a table, what was checked, what is in force. */
#include "view/heap/heap.h"

#include "base/arena.h"
#include "base/buf.h"
#include "model/access.h"

#include <inttypes.h>

/* Sums over allocators; what lies in another's blocks is in them already. */
struct sums {
	struct mw_blocks live, pinning;
	struct mw_kept kept;
	uint64_t unknown, resident; /* resident: of what is live */
	uint64_t pinned_by;         /* of kept.pinned, what `pinning` holds */
	size_t n, n_walked, n_checks, n_failed;
	const char *keeper; /* the one allocator, or what to call several */
};

static void add_checks(struct sums *sums, const struct mw_allocator *a)
{
	sums->n_checks += a->n_checks;
	for (size_t i = 0; i < a->n_checks; i++)
		sums->n_failed += !a->checks[i].ok;
}

/* One that is not known makes the sum unknown. */
static void add_resident(uint64_t *sum, uint64_t bytes)
{
	*sum = *sum == UINT64_MAX || bytes == UINT64_MAX ? UINT64_MAX : *sum + bytes;
}

static void add_walked(struct sums *sums, const struct mw_allocator *a)
{
	sums->keeper = sums->n_walked++ ? "the allocators" : a->name;
	sums->live.n += a->live.n;
	sums->live.bytes += a->live.bytes;
	sums->kept.bytes += a->free.bytes;
	add_resident(&sums->kept.resident, a->free.resident);
	add_resident(&sums->kept.trimmable, a->free.trimmable);
	add_resident(&sums->kept.pinned, a->free.pinned);
	sums->unknown += a->unknown;
	for (size_t k = 0; k < a->n_arenas; k++) {
		sums->pinning.n += a->arenas[k].pinning.n;
		sums->pinning.bytes += a->arenas[k].pinning.bytes;
		if (a->arenas[k].pinning.n)
			sums->pinned_by += a->arenas[k].free.pinned;
	}
}

static struct sums sum_up(const struct mw_heap *heap)
{
	struct sums ret = { .keeper = "the allocators" };
	for (size_t i = 0; i < heap->n_areas; i++)
		ret.resident += heap->areas[i].resident[MW_USE_LIVE];
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		add_checks(&ret, a);
		ret.n++;
		if (a->depth == MW_HEAP_WALKED && !a->nested)
			add_walked(&ret, a);
	}
	return ret;
}

static bool add_bytes(struct mw_buf *text, const char *before, uint64_t bytes,
		      const char *after)
{
	char words[MW_UNITS_LEN];
	return mw_buf_printf(text, "%s%s%s", before,
			     mw_units_bytes(bytes, MW_UNIT_AUTO, words), after);
}

/* Blocks are counted whole; what of them was never touched is not resident. */
static bool live_words(struct mw_buf *text, const struct sums *s)
{
	bool ok = add_bytes(text, " has ", s->live.bytes, " live in ") &&
		  mw_view_number(text, s->live.n) &&
		  mw_buf_printf(text, " block%s", s->live.n == 1 ? "" : "s");
	if (s->resident && s->resident < s->live.bytes / 10 * 9)
		ok = ok && add_bytes(text, " (", s->resident, " resident)");
	return ok;
}

static bool kept_words(struct mw_buf *text, const struct sums *s)
{
	if (!s->kept.bytes)
		return mw_buf_printf(text, "; %s keep%s nothing free", s->keeper,
				     s->n_walked == 1 ? "s" : "");
	bool ok = mw_buf_printf(text, "; %s keep%s ", s->keeper,
				s->n_walked == 1 ? "s" : "") &&
		  add_bytes(text, "", s->kept.bytes, " free");
	if (s->kept.resident == UINT64_MAX || s->kept.trimmable == UINT64_MAX ||
	    s->kept.pinned == UINT64_MAX)
		return ok && mw_buf_printf(text, "; how much of it was resident is not "
						 "known");
	ok = ok && add_bytes(text, ", ", s->kept.resident, " of it resident");
	if (s->kept.trimmable)
		ok = ok && add_bytes(text, ": ", s->kept.trimmable, " trimmable");
	if (!s->kept.pinned)
		return ok;
	ok = ok &&
	     add_bytes(text, s->kept.trimmable ? ", " : ": ", s->kept.pinned, " pinned");
	/* Not every allocator tells which blocks hold what it keeps. */
	if (!s->pinning.n || s->pinned_by != s->kept.pinned)
		return ok;
	return ok && mw_buf_printf(text, " by ") && mw_view_number(text, s->pinning.n) &&
	       mw_buf_printf(text, " live block%s", s->pinning.n == 1 ? "" : "s");
}

/* What other allocators say of themselves: their own counters, or nothing. */
static bool counted_words(struct mw_buf *text, const struct mw_heap *heap)
{
	bool ok = true;
	for (size_t i = 0; ok && i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		if (a->depth != MW_HEAP_COUNTED)
			continue;
		ok = mw_buf_printf(text, "; %s counts ", a->name) &&
		     add_bytes(text, "", a->live.bytes, " live and ") &&
		     add_bytes(text, "", a->free.bytes, " free");
	}
	return ok;
}

static struct mw_err *headline(struct mw_out *out, const struct mw_heap_answer *answer,
			       const struct sums *s)
{
	const struct mw_process *p = mw_snapshot_process(answer->snap);
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%s (%d)", p->comm, p->pid);
	if (answer->unread)
		ok = ok && mw_buf_printf(&text, ": %s", answer->unread);
	else if (!s->n)
		ok = ok &&
		     mw_buf_printf(&text, ": no allocator %s in it",
				   answer->heap->n_gaps ? "could be read" : "was found");
	else if (s->n_walked)
		ok = ok && live_words(&text, s) && kept_words(&text, s);
	else
		ok = ok && mw_buf_printf(&text, " has no heap that could be walked");
	ok = ok && counted_words(&text, answer->heap);
	if (s->unknown && !answer->unread)
		ok = ok && add_bytes(&text, "; ", s->unknown, " of it are unknown");
	if (!ok || !mw_buf_printf(&text, "."))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

/* What is not in the table of allocators. */
static void beside(struct mw_out *out, const struct mw_allocator *a, bool named)
{
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%s%s", named ? a->name : "", named ? ": " : "");
	if (a->depth == MW_HEAP_RECOGNISED) {
		ok = ok && mw_buf_printf(&text, "%s", a->note);
	} else {
		ok = ok && add_bytes(&text, "", a->system, " from the kernel");
		if (a->mmapped.n)
			ok = ok &&
			     add_bytes(&text, ", ", a->mmapped.bytes,
				       " in mapped blocks (") &&
			     mw_view_number(&text, a->mmapped.n) &&
			     mw_buf_printf(&text, ")");
		if (a->tcache.n)
			ok = ok &&
			     add_bytes(&text, ", ", a->tcache.bytes, " in thread caches");
		if (a->note[0])
			ok = ok && mw_buf_printf(&text, "; %s", a->note);
	}
	if (ok && text.len)
		mw_out_note(out, 2, mw_buf_str(&text));
}

static void params_note(struct mw_out *out, const struct mw_malloc_params *p)
{
	mw_auto_buf text = { 0 };
	bool ok = add_bytes(&text, "in force: trim_threshold ", p->trim_threshold, "") &&
		  add_bytes(&text, ", top_pad ", p->top_pad, "") &&
		  add_bytes(&text, ", mmap_threshold ", p->mmap_threshold,
			    p->dynamic ? " (follows freed blocks)" : " (fixed)") &&
		  mw_buf_printf(&text, ", arena_max ");
	if (p->arena_max)
		ok = ok && mw_buf_printf(&text, "%" PRIu64, p->arena_max);
	else
		ok = ok && mw_buf_printf(&text, "8 a core");
	if (p->tcache_bins)
		ok = ok &&
		     mw_buf_printf(&text, ", tcache_count %" PRIu64, p->tcache_count) &&
		     add_bytes(&text, ", tcache_max ", p->tcache_max_bytes, "");
	if (p->hp_pagesize)
		ok = ok && add_bytes(&text, ", huge pages of ", p->hp_pagesize, "");
	if (ok)
		mw_out_note(out, 2, mw_buf_str(&text));
}

static void notes(struct mw_out *out, const struct mw_heap_answer *answer,
		  const struct sums *s)
{
	const struct mw_heap *heap = answer->heap;
	mw_auto_buf text = { 0 };
	for (size_t i = 0; i < heap->n_allocators; i++) {
		beside(out, &heap->allocators[i], heap->n_allocators > 1);
		if (answer->verbose && heap->allocators[i].params.known)
			params_note(out, &heap->allocators[i].params);
	}
	if (!s->n_checks)
		return;
	bool ok = s->n_failed ? mw_buf_printf(&text, "%zu of %zu checks failed",
					      s->n_failed, s->n_checks)
			      : mw_buf_printf(&text, "all %zu checks hold", s->n_checks);
	if (ok)
		mw_out_note(out, 2, mw_buf_str(&text));
}

/* Pins explain what is kept; where little is, the sizes of what is live do. */
static void next_line(struct mw_out *out, const struct mw_heap_answer *answer,
		      const struct sums *s)
{
	struct mw_arena arena = { 0 };
	pid_t pid = mw_snapshot_process(answer->snap)->pid;
	struct mw_source *src = mw_snapshot_source(answer->snap);
	const char *options =
		s->n_failed ? "--checks"
		: s->kept.pinned != UINT64_MAX && s->kept.pinned > s->live.bytes
			? "--pins"
			: "--sizes";
	const char *text = NULL;
	if (s->n_walked && !answer->unread && answer->table == MW_HEAP_SUMMARY)
		text = mw_advice_command(src, &arena, "heap", pid, options);
	else if (s->n_walked && !answer->unread)
		text = mw_advice_command(src, &arena, "leaks", pid, "");
	if (text && text[0])
		mw_out_next(out, text);
	mw_arena_deinit(&arena);
}

/* What could not be read has no figures: people are spared them. */
static struct mw_err *tables(struct mw_out *out, const struct mw_heap_answer *answer,
			     const struct sums *s)
{
	if (mw_out_is_text(out) && (answer->unread || !answer->heap->n_allocators))
		return NULL;
	struct mw_err *err = mw_view_heap_table(out, answer);
	if (err)
		return err;
	notes(out, answer, s);
	if (answer->table != MW_HEAP_CHECKS)
		mw_view_failed_checks(out, answer->heap);
	return NULL;
}

struct mw_err *mw_view_heap(struct mw_out *out, const struct mw_heap_answer *answer)
{
	const struct mw_heap *heap = answer->heap;
	struct sums sums = sum_up(heap);
	mw_out_begin(out, "memwhy.heap/1");
	struct mw_err *err = headline(out, answer, &sums);
	if (err)
		return err;
	mw_view_process(out, mw_snapshot_process(answer->snap));
	if ((err = mw_view_allocators(out, answer)) || (err = tables(out, answer, &sums)))
		return err;
	mw_out_field(out, "settled", MW_TYPE_BOOL, mw_cell_u(heap->settled));
	const struct mw_gap_list gaps[] = { mw_snapshot_gap_list(answer->snap),
					    { heap->gaps, heap->n_gaps },
					    answer->gaps };
	mw_view_gaps(out, gaps, 3, &answer->stop);
	mw_view_stopped(out, &answer->stop);
	next_line(out, answer, &sums);
	return NULL;
}
