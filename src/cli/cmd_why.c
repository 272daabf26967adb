// SPDX-License-Identifier: MIT
/* memwhy [why] PID: the account of every resident byte. */
#include "cli/cmd.h"
#include "view/view.h"
#include <memwhy/heap.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_LARGEST, MW_OPT_STOP, MW_OPT_NO_STOP, MW_OPT_MAX_STOP,
	MW_OPT_ENGINE,  MW_OPT_JOBS, MW_OPT_SMAPS,   MW_OPT_END,
};

/* CPU time a walk of the heap may take; a GiB takes about a third of a second. */
enum { WALK_MS = 1000 };

/* What is made of one look. */
struct answer {
	struct mw_heap *heap; /* NULL: there was too much of it */
	struct mw_explanation *ex;
	uint64_t deadline; /* of the walk, ms */
	bool late;
};

static uint64_t cpu_ms(void)
{
	struct timespec ts = { 0 };
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The walk tells of what it meets now and then: the place to end it. */
static struct mw_err *check_time(void *ctx)
{
	struct answer *answer = ctx;
	answer->late = cpu_ms() > answer->deadline;
	return answer->late ? mw_err_new(MW_ERR_UNSUPPORTED, ETIME, "", "too large")
			    : NULL;
}

static struct mw_err *on_area(void *ctx, const struct mw_heap_area *area)
{
	(void)area;
	return check_time(ctx);
}

static struct mw_err *on_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	(void)blocks, (void)n;
	return check_time(ctx);
}

/* The first answer comes within a second or so: a larger heap is left to `heap`. */
static struct mw_err *walk(struct answer *answer, const struct mw_snapshot *snap,
			   const struct mw_heap_opts *heap_opts)
{
	const struct mw_block_sink sink = { answer, on_area, on_blocks };
	struct mw_heap_opts timed = *heap_opts;
	timed.sink = &sink;
	answer->deadline = cpu_ms() + WALK_MS;
	struct mw_err *err = mw_heap_take(snap, &timed, &answer->heap);
	if (!err || !answer->late)
		return err;
	mw_err_free(err);
	return NULL;
}

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
	bool insist = mw_opt_set(&cli->opts, MW_OPT_STOP);
	struct mw_err *err = NULL;
	/* Without pages nothing could be made of it. */
	if (mw_snapshot_totals(snap)->engine != MW_ENGINE_SMAPS)
		err = insist ? mw_heap_take(snap, heap_opts, &answer->heap)
			     : walk(answer, snap, heap_opts);
	if (!err && insist)
		err = mw_explain(snap, answer->heap, &answer->ex);
	if (err)
		answer_free(answer);
	else
		*ret = answer;
	return err;
}

/* That the heap was not recorded, or is too large, limits an answer that has one. */
static struct mw_err *note_limits(struct mw_look *look, const struct answer *answer)
{
	const struct mw_account *account = &answer->ex->account;
	bool has_heap = false;
	for (size_t i = 0; i < account->n_buckets; i++)
		has_heap |= !strcmp(account->buckets[i].cause, "heap");
	if (answer->late)
		return mw_look_note(look, "live and free parts of the heap",
				    "so large a heap takes longer to walk", "heap");
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
	bool settled = answer->heap && answer->heap->settled;
	return mw_look_unrecorded(look) && !settled ? NULL : answer->heap;
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
		err = note_limits(look, answer);
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
