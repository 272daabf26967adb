// SPDX-License-Identifier: MIT
#include "view/capture.h"

#include "base/buf.h"

struct mw_err *mw_view_capture(struct mw_out *out, const struct mw_capture_answer *answer)
{
	const struct mw_process *p = mw_snapshot_process(answer->ex->snap);
	mw_auto_buf line = { 0 }, next = { 0 };
	char words[MW_UNITS_LEN];
	size_t n;
	mw_snapshot_regions(answer->ex->snap, &n);
	const char *name = answer->scrubbed ? "the process" : p->comm;
	bool ok = mw_buf_printf(
		&line, "%s (%d) is recorded: %zu mappings, %s resident%s.", name, p->pid,
		n, mw_units_bytes(answer->ex->account.rss, MW_UNIT_AUTO, words),
		answer->scrubbed ? "; names and paths replaced" : "");
	ok = ok && mw_buf_printf(&next, "memwhy --root %s %d", answer->dir, p->pid);
	if (!ok)
		return mw_err_nomem();
	mw_out_begin(out, "memwhy.capture/1");
	mw_out_headline(out, mw_buf_str(&line));
	mw_view_process(out, p);
	mw_out_field(out, "directory", MW_TYPE_TEXT, mw_cell_s(answer->dir));
	mw_out_field(out, "regions", MW_TYPE_COUNT, mw_cell_u(n));
	mw_out_field(out, "rss", MW_TYPE_BYTES, mw_cell_u(answer->ex->account.rss));
	mw_out_field(out, "memory_bytes", MW_TYPE_BYTES, mw_cell_u(answer->memory_bytes));
	mw_out_field(out, "scrubbed", MW_TYPE_BOOL, mw_cell_u(answer->scrubbed));
	const struct mw_gap_list gaps = { answer->ex->gaps, answer->ex->n_gaps };
	mw_view_gaps(out, &gaps, 1, &answer->stop);
	mw_view_stopped(out, &answer->stop);
	mw_out_next(out, mw_buf_str(&next));
	return NULL;
}
