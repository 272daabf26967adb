// SPDX-License-Identifier: MIT
/* memwhy [why] PID: the account of every resident byte. */
#include "cli/cmd.h"
#include "view/view.h"
#include <memwhy/heap.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_LARGEST, MW_OPT_STOP,  MW_OPT_NO_STOP, MW_OPT_MAX_STOP, MW_OPT_ENGINE,
	MW_OPT_JOBS,    MW_OPT_SMAPS, MW_OPT_CORE,    MW_OPT_EXE,      MW_OPT_END,
};

static struct mw_err *show(struct mw_cli *cli, const struct mw_explanation *ex,
			   const struct mw_stopped *stopped)
{
	struct mw_view_stop stop = mw_cli_view_stop(stopped);
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err
		   : mw_cli_finish(out,
				   mw_view_why(out, ex, &stop,
					       mw_opt_set(&cli->opts, MW_OPT_VERBOSE)));
}

static struct mw_err *run(struct mw_cli *cli)
{
	mw_auto_look look = NULL;
	mw_auto_heap heap = NULL;
	mw_auto_explanation ex = NULL;
	struct mw_stopped stopped;
	struct mw_looker looker = mw_looker_heap;
	pid_t pid;
	looker.hold = MW_HOLD_UNSETTLED;
	looker.want = MW_WANT_FRAMES | MW_WANT_CHEAP_ROLLUP;
	if (mw_opt_set(&cli->opts, MW_OPT_SMAPS))
		looker.want |= MW_WANT_ROLLUP;
	struct mw_err *err = mw_cli_target(cli, &pid);
	if (!err)
		err = mw_cli_look(cli, pid, &looker, &look);
	if (err)
		return err;
	heap = mw_look_taken(look);
	err = mw_explain(mw_look_snapshot(look), heap, &ex);
	if (!err)
		err = mw_look_end(look, &stopped);
	if (err)
		return err;
	cli->status =
		mw_cli_is_limited(mw_look_snapshot(look)) ? MW_EXIT_LIMITED : MW_EXIT_OK;
	return show(cli, ex, &stopped);
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
