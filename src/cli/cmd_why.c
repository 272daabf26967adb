// SPDX-License-Identifier: MIT
/* memwhy [why] PID: the account of every resident byte. */
#include "cli/cmd.h"
#include "view/view.h"

static const enum mw_opt_id opts[] = { MW_OPT_LARGEST, MW_OPT_STOP, MW_OPT_MAX_STOP,
				       MW_OPT_ENGINE,  MW_OPT_JOBS, MW_OPT_SMAPS,
				       MW_OPT_END };

static struct mw_err *show(struct mw_cli *cli, const struct mw_explanation *ex,
			   const struct mw_stopped *stopped)
{
	struct mw_view_stop stop = { stopped->asked, stopped->held_ns, stopped->cut };
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err
		   : mw_cli_finish(out,
				   mw_view_why(out, ex, &stop,
					       mw_opt_set(&cli->opts, MW_OPT_VERBOSE)));
}

/* Limited: regions were wanted and denied; a kernel thread simply has none. */
static bool is_limited(const struct mw_snapshot *snap)
{
	return mw_snapshot_process(snap)->vm_size != UINT64_MAX &&
	       !(mw_snapshot_totals(snap)->sum.have & MW_HAVE_RSS);
}

static struct mw_err *run(struct mw_cli *cli)
{
	mw_auto_snapshot snap = NULL;
	mw_auto_explanation ex = NULL;
	struct mw_stopped stopped;
	pid_t pid;
	unsigned want = MW_WANT_FRAMES | MW_WANT_CHEAP_ROLLUP | MW_WANT_THREADS;
	if (mw_opt_set(&cli->opts, MW_OPT_SMAPS))
		want |= MW_WANT_ROLLUP;
	struct mw_err *err = mw_cli_target(cli, &pid);
	if (!err)
		err = mw_cli_snapshot(cli, pid, want, &snap);
	if (!err)
		err = mw_explain(snap, NULL, &ex);
	if (!err)
		err = mw_cli_release(cli, snap, &stopped);
	if (err)
		return err;
	cli->status = is_limited(snap) ? MW_EXIT_LIMITED : MW_EXIT_OK;
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
