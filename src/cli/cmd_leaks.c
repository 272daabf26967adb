// SPDX-License-Identifier: MIT
/* memwhy leaks PID: live blocks that nothing leads to; and what grew since before. */
#include "base/buf.h"
#include "base/num.h"
#include "cli/cmd.h"
#include "cli/terminal.h"
#include "view/heap/leaks.h"

#include <stdio.h>
#include <string.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_ALL,      MW_OPT_DIFF,        MW_OPT_SUPPRESSIONS, MW_OPT_THRESHOLD,
	MW_OPT_POSSIBLE, MW_OPT_NO_CONTENTS, MW_OPT_STOP,         MW_OPT_NO_STOP,
	MW_OPT_SNAPSHOT, MW_OPT_MAX_STOP,    MW_OPT_LARGEST,      MW_OPT_CORE,
	MW_OPT_EXE,      MW_OPT_END,
};

/* All blocks are read, not only their headers. */
enum { MAX_STOP = 3000 };

/* The largest files that are read. */
#define MAX_EARLIER (UINT64_C(1) << 28)
#define MAX_RULES (UINT64_C(1) << 20)

static struct mw_err *take(void *ctx, const struct mw_snapshot *snap,
			   const struct mw_heap_opts *heap_opts, void **ret)
{
	struct mw_leaks_opts *leaks_opts = ctx;
	struct mw_reach *reach = NULL;
	leaks_opts->heap = *heap_opts;
	struct mw_err *err = mw_reach_gather(snap, leaks_opts, &reach);
	if (!err)
		*ret = reach;
	return err;
}

static const struct mw_heap *heap_of(const void *taken)
{
	return mw_reach_heap(taken);
}

static void drop(void *taken)
{
	mw_reach_free(taken);
}

/* Everything there is to know before a target is touched. */
struct wish {
	struct mw_leaks_opts leaks;
	struct mw_buf rules, earlier_text;
	struct mw_arena arena;
	struct mw_leaks_earlier earlier;
	uint64_t threshold;
};

static void wish_deinit(struct wish *wish)
{
	mw_buf_deinit(&wish->rules);
	mw_buf_deinit(&wish->earlier_text);
	mw_leaks_earlier_deinit(&wish->earlier);
	mw_arena_deinit(&wish->arena);
}

static struct mw_err *read_rules(const struct mw_cli *cli, struct wish *wish)
{
	const char *path = cli->opts.value[MW_OPT_SUPPRESSIONS];
	if (!path)
		return NULL;
	struct mw_err *err = mw_cli_read_file(path, MAX_RULES, &wish->rules);
	if (err)
		return err;
	wish->leaks.suppressions = mw_buf_str(&wish->rules);
	if (strlen(wish->leaks.suppressions) != wish->rules.len)
		return mw_err_new(MW_ERR_USAGE, 0, path, "%s is no text", path);
	return mw_leaks_check_rules(wish->leaks.suppressions);
}

static struct mw_err *read_earlier(const struct mw_cli *cli, struct wish *wish)
{
	const char *path = cli->opts.value[MW_OPT_DIFF];
	if (!path)
		return NULL;
	struct mw_err *err = mw_cli_read_file(path, MAX_EARLIER, &wish->earlier_text);
	if (err)
		return err;
	err = mw_leaks_earlier_load(mw_buf_str(&wish->earlier_text),
				    wish->earlier_text.len, &wish->arena, &wish->earlier);
	mw_buf_deinit(&wish->earlier_text);
	return mw_cli_blame(err, path);
}

static struct mw_err *read_wish(const struct mw_cli *cli, struct wish *ret)
{
	ret->leaks.contents = !mw_opt_set(&cli->opts, MW_OPT_NO_CONTENTS);
	struct mw_err *err = mw_opt_number(&cli->opts, MW_OPT_THRESHOLD, 0, UINT64_MAX, 0,
					   &ret->threshold);
	if (!err)
		err = read_rules(cli, ret);
	return err ? err : read_earlier(cli, ret);
}

static struct mw_err *show(struct mw_cli *cli, const struct wish *wish,
			   const struct mw_leaks_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	return mw_cli_finish(out,
			     mw_opt_set(&cli->opts, MW_OPT_DIFF)
				     ? mw_view_leaks_diff(out, &wish->earlier, answer)
				     : mw_view_leaks(out, answer));
}

static struct mw_err *tell_unused(const struct mw_leaks *leaks)
{
	for (size_t i = 0; i < leaks->n_unused; i++) {
		mw_auto_buf text = { 0 };
		if (!mw_buf_printf(&text, "this rule suppressed nothing: %s",
				   leaks->unused[i]))
			return mw_err_nomem();
		mw_terminal_tell(mw_buf_str(&text));
	}
	return NULL;
}

static int status_of(const struct mw_leaks_answer *answer, uint64_t threshold)
{
	if (mw_leaks_counted(answer).bytes > threshold)
		return MW_EXIT_FINDING;
	return mw_cli_is_limited(answer->snap) ? MW_EXIT_LIMITED : MW_EXIT_OK;
}

/*
 * What a stop gathered is judged while the target runs again; a copy is kept until its
 * leaks have names.
 */
static struct mw_err *look_and_judge(struct mw_cli *cli, pid_t pid, struct wish *wish,
				     struct mw_look **look, struct mw_leaks **leaks,
				     struct mw_stopped *stopped)
{
	const struct mw_looker looker = { .ctx = &wish->leaks,
					  .hold = MW_HOLD_ALWAYS,
					  .max_stop_ms = MAX_STOP,
					  .take = take,
					  .heap = heap_of,
					  .free = drop };
	struct mw_err *err = mw_cli_look(cli, pid, &looker, look);
	if (err)
		return err;
	wish->leaks.heap.still = !mw_look_stopped(*look)->cut;
	err = mw_reach_judge(mw_look_taken(*look), &wish->leaks, leaks);
	if (!err && mw_look_unrecorded(*look) && !mw_cli_is_limited(mw_look_whose(*look)))
		err = mw_look_note_unrecorded(*look);
	if (!err)
		err = mw_look_end(*look, stopped);
	return err;
}

/* Why there is no heap to look through; NULL when there may be one. */
static const char *why_unread(const struct mw_snapshot *snap)
{
	if (mw_cli_is_limited(snap))
		return "its heap may not be read";
	return mw_snapshot_process(snap)->vm_size == UINT64_MAX
		       ? "it has no memory of its own"
		       : NULL;
}

static struct mw_err *answer(struct mw_cli *cli, struct wish *wish)
{
	mw_auto_look look = NULL;
	struct mw_leaks *leaks = NULL;
	struct mw_stopped stopped;
	pid_t pid;
	struct mw_err *err = mw_cli_target(cli, &pid);
	if (!err)
		err = look_and_judge(cli, pid, wish, &look, &leaks, &stopped);
	if (!err) {
		struct mw_leaks_answer told = {
			.leaks = leaks,
			.snap = mw_look_whose(look),
			.stop = mw_cli_view_stop(&stopped),
			.unread = why_unread(mw_look_whose(look)),
			.contents = wish->leaks.contents,
			.count_possible = mw_opt_set(&cli->opts, MW_OPT_POSSIBLE),
			.all = mw_opt_set(&cli->opts, MW_OPT_ALL),
		};
		told.gaps.items = mw_look_gaps(look, &told.gaps.n);
		cli->status = status_of(&told, wish->threshold);
		err = show(cli, wish, &told);
		if (!err)
			err = tell_unused(leaks);
	}
	mw_leaks_free(leaks);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct wish wish = { 0 };
	struct mw_err *err = read_wish(cli, &wish);
	if (!err)
		err = answer(cli, &wish);
	wish_deinit(&wish);
	return err;
}

const struct mw_cmd mw_cmd_leaks = {
	.name = "leaks",
	.summary = "live blocks that nothing leads to, and what grew since before",
	.usage = "[OPTION...] PID|NAME|--largest",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.max_args = 1,
	.opts = opts,
	.run = run,
};
