// SPDX-License-Identifier: MIT
/* `memwhy leaks`: the sentence, groups of blocks that are alike, what it cannot see. */
#include "view/heap/leaks.h"

#include "base/buf.h"
#include "model/access.h"
#include "view/heap/heap.h"

#include <inttypes.h>
#include <stdio.h>

enum { ROWS = 20, SAMPLE = 16 };

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct mw_blocks mw_leaks_counted(const struct mw_leaks_answer *answer)
{
	struct mw_blocks ret = answer->leaks->leaked;
	if (answer->count_possible) {
		ret.n += answer->leaks->possible.n;
		ret.bytes += answer->leaks->possible.bytes;
	}
	return ret;
}

bool mw_view_blocks_words(struct mw_buf *text, const struct mw_blocks *blocks)
{
	char words[MW_UNITS_LEN];
	return mw_buf_printf(text, "%s in ",
			     mw_units_bytes(blocks->bytes, MW_UNIT_AUTO, words)) &&
	       mw_view_number(text, blocks->n) &&
	       mw_buf_printf(text, " block%s", blocks->n == 1 ? "" : "s");
}

static bool found_words(struct mw_buf *text, const struct mw_leaks_answer *answer)
{
	const struct mw_leaks *leaks = answer->leaks;
	const struct mw_blocks counted = mw_leaks_counted(answer);
	bool rest = leaks->possible.n && !answer->count_possible;
	bool ok = counted.n ? mw_view_blocks_words(text, &counted) &&
				      mw_buf_printf(text, " that nothing in use leads to")
			    : mw_buf_printf(text, "no leaks among ") &&
				      mw_view_number(text, leaks->live.n) &&
				      mw_buf_printf(text, " live blocks");
	if (rest)
		ok = ok &&
		     mw_buf_printf(text, "; possibly %s", counted.n ? "another " : "") &&
		     mw_view_blocks_words(text, &leaks->possible);
	if (leaks->suppressed.n)
		ok = ok && mw_buf_printf(text, "; ") &&
		     mw_view_blocks_words(text, &leaks->suppressed) &&
		     mw_buf_printf(text, " suppressed");
	return ok;
}

static struct mw_err *headline(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	const struct mw_process *p = mw_snapshot_process(answer->snap);
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%s (%d): ", p->comm, p->pid);
	if (!answer->leaks->live.n)
		ok = ok && mw_buf_printf(&text, "%s, so no leaks were looked for",
					 answer->unread ? answer->unread
							: "no heap was found whose "
							  "blocks can be walked");
	else
		ok = ok && found_words(&text, answer);
	if (!ok || !mw_buf_printf(&text, "."))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

/* For people: the symbol, else what the block begins with. */
static bool begins_with(struct mw_buf *text, const struct mw_leak_group *group,
			bool contents)
{
	size_t n = group->head_len < SAMPLE ? group->head_len : SAMPLE, printable = 0;
	if (group->symbol[0])
		return mw_buf_printf(text, "%s", group->symbol);
	if (!contents || !n)
		return true;
	while (printable < n && group->head[printable] >= ' ' &&
	       group->head[printable] < 0x7f)
		printable++;
	return printable >= 4 ? mw_view_ascii(text, group->head, n)
			      : mw_view_hex(text, group->head, n);
}

static struct mw_err *group_row(struct mw_out *out, const struct mw_leak_group *group,
				bool contents)
{
	mw_auto_buf begin = { 0 }, hex = { 0 };
	bool known = contents && group->head_len;
	if (!begins_with(&begin, group, contents) ||
	    !mw_view_hex(&hex, group->head, known ? group->head_len : 0))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_u(group->blocks.n),
		mw_cell_u(group->blocks.bytes),
		mw_cell_u(group->size),
		mw_cell_s(group->direct ? "direct" : "indirect"),
		mw_cell_u(group->direct),
		mw_cell_u(group->owned.n),
		mw_cell_u(group->owned.bytes),
		mw_cell_s(group->suppressed ? "suppressed"
					    : mw_leak_confidence_name(group->confidence)),
		mw_cell_s(mw_leak_confidence_name(group->confidence)),
		mw_cell_u(group->suppressed),
		mw_cell_if(group->arena != 0, group->arena),
		mw_cell_u(group->sample),
		mw_cell_s(mw_buf_str(&begin)),
		mw_cell_s(group->symbol),
		mw_cell_s(group->object),
		known ? mw_cell_s(mw_buf_str(&hex)) : mw_cell_null(),
	};
	mw_out_row(out, cells, group->suppressed ? MW_FAINT : MW_PLAIN);
	return NULL;
}

static struct mw_err *groups_table(struct mw_out *out,
				   const struct mw_leaks_answer *answer)
{
	const unsigned no_text = MW_COL_NO_TEXT, no_data = MW_COL_NO_DATA;
	const struct mw_col cols[] = {
		{ "blocks", "blocks", MW_TYPE_COUNT, 0, 0 },
		{ "bytes", "bytes", MW_TYPE_BYTES, 0, 0 },
		{ "size", "size", MW_TYPE_BYTES, 0, 0 },
		{ "kind", "", MW_TYPE_TEXT, no_data, 0 },
		{ "direct", "", MW_TYPE_BOOL, no_text, 0 },
		{ "owned_blocks", "owned", MW_TYPE_COUNT, 0, 0 },
		{ "owned_bytes", "bytes", MW_TYPE_BYTES, 0, 0 },
		{ "sure", "", MW_TYPE_TEXT, no_data, 0 },
		{ "confidence", "", MW_TYPE_TEXT, no_text, 0 },
		{ "suppressed", "", MW_TYPE_BOOL, no_text, 0 },
		{ "arena", "", MW_TYPE_ADDR, no_text, 0 },
		{ "sample", "sample", MW_TYPE_ADDR, 0, 0 },
		{ "begins", "begins with", MW_TYPE_TEXT, no_data | MW_COL_TRUNC, 0 },
		{ "symbol", "", MW_TYPE_TEXT, no_text, 0 },
		{ "object", "", MW_TYPE_TEXT, no_text, 0 },
		{ "contents", "", MW_TYPE_TEXT, no_text, 0 },
	};
	const struct mw_leaks *leaks = answer->leaks;
	size_t n = leaks->n_groups;
	if (mw_out_is_text(out) && !answer->all && n > ROWS)
		n = ROWS;
	struct mw_table table = { .key = "groups",
				  .title = "",
				  .cols = cols,
				  .n_cols = N(cols),
				  .n_rows = n,
				  .is_main = true };
	struct mw_err *err = NULL;
	mw_out_table(out, &table);
	for (size_t i = 0; i < n && !err && !mw_out_failed(out); i++)
		err = group_row(out, &leaks->groups[i], answer->contents);
	mw_out_table_end(out);
	return err;
}

static void left_out(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	const struct mw_leaks *leaks = answer->leaks;
	mw_auto_buf text = { 0 };
	struct mw_blocks rest = { 0 };
	if (answer->all || leaks->n_groups <= ROWS)
		return;
	for (size_t i = ROWS; i < leaks->n_groups; i++) {
		rest.n += leaks->groups[i].blocks.n;
		rest.bytes += leaks->groups[i].blocks.bytes;
	}
	if (mw_buf_printf(&text, "and %zu smaller groups with ",
			  leaks->n_groups - ROWS) &&
	    mw_view_blocks_words(&text, &rest) &&
	    mw_buf_printf(&text, " (--all shows them)"))
		mw_out_note(out, 2, mw_buf_str(&text));
}

static void live_list(struct mw_out *out, const struct mw_leaks *leaks)
{
	mw_out_list(out, "live_groups");
	for (size_t i = 0; i < leaks->n_live_groups && !mw_out_failed(out); i++) {
		const struct mw_live_group *group = &leaks->live_groups[i];
		mw_out_object(out, NULL);
		mw_out_field(out, "size", MW_TYPE_BYTES, mw_cell_u(group->size));
		mw_out_field(out, "symbol", MW_TYPE_TEXT, mw_cell_s(group->symbol));
		mw_out_field(out, "blocks", MW_TYPE_COUNT, mw_cell_u(group->blocks.n));
		mw_out_field(out, "bytes", MW_TYPE_BYTES, mw_cell_u(group->blocks.bytes));
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
}

/* What no reading of memory can tell; it goes with every answer. */
static void blind_spots(struct mw_out *out, const struct mw_leaks *leaks)
{
	mw_out_list(out, "blind");
	for (size_t i = 0; i < leaks->n_blind; i++) {
		mw_out_object(out, NULL);
		mw_out_field(out, "what", MW_TYPE_TEXT, mw_cell_s(leaks->blind[i]));
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
	if (!leaks->live.n)
		return;
	mw_out_note(out, 0, "what this cannot see:");
	for (size_t i = 0; i < leaks->n_blind; i++)
		mw_out_note(out, 2, leaks->blind[i]);
}

static void totals(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	const struct mw_leaks *leaks = answer->leaks;
	mw_view_blocks(out, "leaked", mw_leaks_counted(answer));
	mw_view_blocks(out, "possible", leaks->possible);
	mw_view_blocks(out, "direct", leaks->direct);
	mw_view_blocks(out, "indirect", leaks->indirect);
	mw_view_blocks(out, "suppressed", leaks->suppressed);
	mw_view_blocks(out, "live", leaks->live);
	mw_out_field(out, "edges", MW_TYPE_COUNT, mw_cell_u(leaks->n_edges));
	mw_out_field(out, "root_bytes", MW_TYPE_BYTES, mw_cell_u(leaks->root_bytes));
}

/* What there is around a leaked block; where nothing leaked, what the heap is full of. */
static void next_line(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	struct mw_arena arena = { 0 };
	char options[64] = "--sizes";
	const struct mw_leaks *leaks = answer->leaks;
	bool found = leaks->n_groups > 0;
	if (answer->unread)
		return;
	pid_t pid = mw_snapshot_process(answer->snap)->pid;
	if (found)
		snprintf(options, sizeof(options), "--at 0x%" PRIx64,
			 leaks->groups[0].sample);
	const char *text = mw_advice_command(mw_snapshot_source(answer->snap), &arena,
					     found ? "map" : "heap", pid, options);
	if (text && text[0])
		mw_out_next(out, text);
	mw_arena_deinit(&arena);
}

void mw_view_leaks_limits(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	const struct mw_gap_list gaps[] = { mw_snapshot_gap_list(answer->snap),
					    { answer->leaks->gaps,
					      answer->leaks->n_gaps },
					    answer->gaps };
	mw_view_gaps(out, gaps, N(gaps), &answer->stop);
	mw_view_stopped(out, &answer->stop);
}

struct mw_err *mw_view_leaks(struct mw_out *out, const struct mw_leaks_answer *answer)
{
	mw_out_begin(out, "memwhy.leaks/1");
	struct mw_err *err = headline(out, answer);
	if (err)
		return err;
	mw_view_process(out, mw_snapshot_process(answer->snap));
	totals(out, answer);
	if ((err = groups_table(out, answer)))
		return err;
	left_out(out, answer);
	live_list(out, answer->leaks);
	blind_spots(out, answer->leaks);
	mw_view_leaks_limits(out, answer);
	next_line(out, answer);
	return NULL;
}
