// SPDX-License-Identifier: MIT
/* memwhy [why] PID: the account of every resident byte. */
#include "cli/cmd.h"
#include "view/view.h"
#include <memwhy/heap.h>

#include <stdlib.h>
#include <string.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_LARGEST, MW_OPT_STOP,  MW_OPT_NO_STOP, MW_OPT_MAX_STOP, MW_OPT_ENGINE,
	MW_OPT_JOBS,    MW_OPT_SMAPS, MW_OPT_CORE,    MW_OPT_EXE,      MW_OPT_END,
};

/* What is made of one look. */
struct answer {
	struct mw_heap *heap;
	struct mw_explanation *ex;
};

static void answer_free(void *taken)
{
	struct answer *answer = taken;
	if (!answer)
		return;
	mw_explanation_free(answer->ex);
	mw_heap_free(answer->heap);
	free(answer);
}

static void answer_auto_free(struct answer **answer)
{
	answer_free(*answer);
}

static const struct mw_heap *answer_heap(const void *taken)
{
	return ((const struct answer *)taken)->heap;
}

/* Who asks for a stop wants all of one moment: then it is explained before it runs on. */
static struct mw_err *take(void *ctx, const struct mw_snapshot *snap,
			   const struct mw_heap_opts *heap_opts, void **ret)
{
	const struct mw_cli *cli = ctx;
	struct answer *answer = calloc(1, sizeof(*answer));
	if (!answer)
		return mw_err_nomem();
	struct mw_err *err = mw_heap_take(snap, heap_opts, &answer->heap);
	if (!err && mw_opt_set(&cli->opts, MW_OPT_STOP))
		err = mw_explain(snap, answer->heap, &answer->ex);
	if (err)
		answer_free(answer);
	else
		*ret = answer;
	return err;
}

/* That the heap was not recorded limits an answer that has one. */
static struct mw_err *note_limits(struct mw_look *look, const struct mw_explanation *ex)
{
	const struct mw_account *account = &ex->account;
	bool has_heap = false;
	for (size_t i = 0; i < account->n_buckets; i++)
		has_heap |= !strcmp(account->buckets[i].cause, "heap");
	return has_heap && mw_look_unrecorded(look) ? mw_look_note_unrecorded(look)
						    : NULL;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_explanation *ex,
			   const struct mw_look *look, const struct mw_stopped *stopped)
{
	struct mw_view_stop stop = mw_cli_view_stop(stopped);
	struct mw_gap_list gaps;
	struct mw_out *out;
	gaps.items = mw_look_gaps(look, &gaps.n);
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err
		   : mw_cli_finish(out,
				   mw_view_why(out, ex, &gaps, &stop,
					       mw_opt_set(&cli->opts, MW_OPT_VERBOSE)));
}

/* A walk that fails because the recording has gaps is as good as none. */
static const struct mw_heap *usable(const struct mw_look *look,
				    const struct answer *answer)
{
	return mw_look_unrecorded(look) && !answer->heap->settled ? NULL : answer->heap;
}

static struct mw_err *explain(struct mw_cli *cli, pid_t pid,
			      const struct mw_looker *looker)
{
	mw_auto_look look = NULL;
	struct answer *answer __attribute__((cleanup(answer_auto_free))) = NULL;
	struct mw_stopped stopped;
	struct mw_err *err = mw_cli_look(cli, pid, looker, &look);
	if (err)
		return err;
	answer = mw_look_taken(look);
	if (!answer->ex)
		err = mw_explain(mw_look_snapshot(look), usable(look, answer),
				 &answer->ex);
	if (!err)
		err = mw_look_end(look, &stopped);
	if (!err)
		err = note_limits(look, answer->ex);
	if (err)
		return err;
	cli->status =
		mw_cli_is_limited(mw_look_snapshot(look)) ? MW_EXIT_LIMITED : MW_EXIT_OK;
	return show(cli, answer->ex, look, &stopped);
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_looker looker = {
		.ctx = cli,
		.want = MW_WANT_FRAMES | MW_WANT_CHEAP_ROLLUP,
		.hold = MW_HOLD_UNSETTLED,
		.take = take,
		.heap = answer_heap,
		.free = answer_free,
	};
	pid_t pid;
	if (mw_opt_set(&cli->opts, MW_OPT_SMAPS))
		looker.want |= MW_WANT_ROLLUP;
	struct mw_err *err = mw_cli_target(cli, &pid);
	return err ? err : explain(cli, pid, &looker);
}

const struct mw_cmd mw_cmd_why = {
	.name = "why",
	.summary =
		"why is its memory this big? every resident byte by cause (the default)",
	.usage = "[OPTION...] PID|NAME|--largest",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.max_args = 1,
	.opts = opts,
	.run = run,
};
