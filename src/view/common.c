// SPDX-License-Identifier: MIT
/* What several views say alike: who, what could not be seen, how still it stood. */
#include "view/view.h"

#include "base/buf.h"

#include <string.h>

uint64_t mw_view_share(uint64_t part, uint64_t whole)
{
	uint64_t ret = whole ? (uint64_t)((unsigned __int128)part * 10000 / whole) : 0;
	return part && !ret ? 1 : ret;
}

void mw_view_process(struct mw_out *out, const struct mw_process *process)
{
	mw_out_object(out, "process");
	mw_out_field(out, "pid", MW_TYPE_COUNT, mw_cell_u((uint64_t)process->pid));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(process->comm));
	mw_out_field(out, "start_time", MW_TYPE_COUNT,
		     mw_cell_if(process->start_time != 0, process->start_time));
	mw_out_field(out, "start_ticks", MW_TYPE_COUNT, mw_cell_u(process->start_ticks));
	mw_out_field(out, "boot_id", MW_TYPE_TEXT, mw_cell_s(process->boot_id));
	mw_out_field(out, "exe", MW_TYPE_TEXT, mw_cell_s(process->exe));
	mw_out_field(out, "threads", MW_TYPE_COUNT, mw_cell_u(process->n_threads));
	mw_out_object_end(out);
}

static void emit_gaps(struct mw_out *out, const struct mw_gap_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct mw_cell cells[] = { mw_cell_s(list->items[i].what),
					   mw_cell_s(list->items[i].why),
					   mw_cell_s(list->items[i].remedy) };
		mw_out_row(out, cells, MW_PLAIN);
	}
}

struct mw_gap_list mw_snapshot_gap_list(const struct mw_snapshot *snap)
{
	struct mw_gap_list ret;
	ret.items = mw_snapshot_gaps(snap, &ret.n);
	return ret;
}

struct mw_gap_list mw_layout_gap_list(const struct mw_layout *layout)
{
	struct mw_gap_list ret;
	ret.items = mw_layout_gaps(layout, &ret.n);
	return ret;
}

/* As a table they would be cut on this terminal. */
static bool is_wide(const struct mw_out *out, const struct mw_gap_list *list)
{
	unsigned width = mw_out_width(out);
	size_t longest[3] = { strlen("could not be read"), 0, 0 };
	for (size_t i = 0; i < list->n; i++) {
		const char *const cells[] = { list->items[i].what, list->items[i].why,
					      list->items[i].remedy };
		for (unsigned c = 0; c < 3; c++)
			if (strlen(cells[c]) > longest[c])
				longest[c] = strlen(cells[c]);
	}
	return width && list->n && longest[0] + longest[1] + longest[2] + 6 > width;
}

/* Whole sentences, broken where the terminal ends. */
static void tell_gaps(struct mw_out *out, const struct mw_gap_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct mw_gap *gap = &list->items[i];
		mw_auto_buf text = { 0 };
		bool ok = mw_buf_printf(&text, "%s: %s", gap->what, gap->why);
		if (ok && gap->remedy[0])
			ok = mw_buf_printf(&text, " (%s)", gap->remedy);
		mw_out_note(out, 2, ok ? mw_buf_str(&text) : gap->what);
	}
}

void mw_view_gaps(struct mw_out *out, const struct mw_gap_list *lists, size_t n_lists,
		  const struct mw_view_stop *stop)
{
	static const struct mw_gap cut = {
		.what = "the target at rest",
		.why = "--max-stop let it run on before everything was read",
		.remedy = "a larger --max-stop",
	};
	static const struct mw_col cols[] = {
		{ "what", "could not be read", MW_TYPE_TEXT, 0, 0 },
		{ "why", "why", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "remedy", "remedy", MW_TYPE_TEXT, 0, 0 },
	};
	const struct mw_gap_list stopped = { &cut, stop->cut };
	size_t n = stopped.n;
	bool wide = is_wide(out, &stopped);
	for (size_t i = 0; i < n_lists; i++) {
		n += lists[i].n;
		wide |= is_wide(out, &lists[i]);
	}
	if (wide) {
		mw_out_raw(out, "\n", 1);
		mw_out_note(out, 0, "limits");
		for (size_t i = 0; i < n_lists; i++)
			tell_gaps(out, &lists[i]);
		tell_gaps(out, &stopped);
		return;
	}
	struct mw_table table = {
		.key = "limits", .title = "limits", .cols = cols, .n_cols = 3, .n_rows = n
	};
	mw_out_table(out, &table);
	for (size_t i = 0; i < n_lists; i++)
		emit_gaps(out, &lists[i]);
	emit_gaps(out, &stopped);
	mw_out_table_end(out);
}

/* "target stopped 31 ms", and how often. */
static bool stop_words(const struct mw_view_stop *stop, struct mw_buf *text)
{
	char all[MW_UNITS_LEN], longest[MW_UNITS_LEN];
	mw_units_duration(stop->held_ns, all);
	mw_units_duration(stop->longest_ns, longest);
	if (stop->forked)
		return mw_buf_printf(text, "target stopped %s, to be copied", all);
	if (stop->n > 1)
		return mw_buf_printf(text,
				     "target stopped %u times, %s in all, %s at longest",
				     stop->n, all, longest);
	return mw_buf_printf(text, "target stopped %s", all);
}

void mw_view_stopped(struct mw_out *out, const struct mw_view_stop *stop)
{
	mw_auto_buf text = { 0 };
	mw_out_field(out, "stop_ms", MW_TYPE_COUNT,
		     mw_cell_u((stop->held_ns + 999999) / 1000000));
	mw_out_field(out, "stop_cut", MW_TYPE_BOOL, mw_cell_u(stop->cut));
	if (stop->asked && stop_words(stop, &text) &&
	    mw_buf_printf(&text, "%s",
			  stop->cut ? "; --max-stop ended it early, so the "
				      "answer may have drifted"
				    : ""))
		mw_out_note(out, 0, mw_buf_str(&text));
}

/*
 * What VmRSS says about the pages that were found, or "": that the target moved, or that
 * the counter is behind. Linux before 6.16 adds to it late, by some hundred KiB a thread.
 */
static bool drift_words(const struct mw_totals *totals, struct mw_buf *text)
{
	enum { NOTICEABLE = 64 }; /* of so many bytes one */
	char before[MW_UNITS_LEN], after[MW_UNITS_LEN];
	uint64_t kept = totals->rss_before, found = totals->sum.rss;
	uint64_t behind = kept < found ? found - kept : kept - found;
	mw_units_bytes(totals->rss_before, MW_UNIT_AUTO, before);
	mw_units_bytes(totals->rss_after, MW_UNIT_AUTO, after);
	if (totals->rss_before != totals->rss_after)
		return mw_buf_printf(text,
				     "It moved while it was read: VmRSS %s before, %s "
				     "after. --stop holds it still.",
				     before, after);
	if (behind <= found / NOTICEABLE)
		return true;
	return mw_buf_printf(text,
			     "VmRSS says %s: before Linux 6.16 that counter is behind. "
			     "The pages were counted.",
			     before);
}

void mw_view_drift(struct mw_out *out, const struct mw_totals *totals)
{
	mw_auto_buf text = { 0 };
	bool known = totals->rss_before != UINT64_MAX && totals->rss_after != UINT64_MAX;
	mw_out_object(out, "drift");
	mw_out_field(out, "rss_before", MW_TYPE_BYTES,
		     mw_cell_if(known, totals->rss_before));
	mw_out_field(out, "rss_after", MW_TYPE_BYTES,
		     mw_cell_if(known, totals->rss_after));
	mw_out_object_end(out);
	if (known && (totals->sum.have & MW_HAVE_RSS) && drift_words(totals, &text) &&
	    text.len)
		mw_out_note(out, 2, mw_buf_str(&text));
}
