// SPDX-License-Identifier: MIT
/* memwhy heap PID: what is live in the heap, what the allocator keeps, and why. */
#include "cli/cmd.h"
#include "view/heap/heap.h"

static const enum mw_opt_id opts[] = {
	MW_OPT_ARENAS,   MW_OPT_SIZES,       MW_OPT_THREADS, MW_OPT_PINS,
	MW_OPT_CHECKS,   MW_OPT_NO_CONTENTS, MW_OPT_STOP,    MW_OPT_NO_STOP,
	MW_OPT_SNAPSHOT, MW_OPT_MAX_STOP,    MW_OPT_LARGEST, MW_OPT_CORE,
	MW_OPT_EXE,      MW_OPT_END,
};

static struct mw_err *take(void *ctx, const struct mw_snapshot *snap,
			   const struct mw_heap_opts *heap_opts, void **ret)
{
	struct mw_heap *heap = NULL;
	(void)ctx;
	struct mw_err *err = mw_heap_take(snap, heap_opts, &heap);
	if (!err)
		*ret = heap;
	return err;
}

static const struct mw_heap *same(const void *taken)
{
	return taken;
}

static void drop(void *taken)
{
	mw_heap_free(taken);
}

const struct mw_looker mw_looker_heap = {
	.hold = MW_HOLD_ALWAYS,
	.take = take,
	.heap = same,
	.free = drop,
};

static struct mw_err *which_table(const struct mw_cli *cli, enum mw_heap_table *ret)
{
	static const enum mw_opt_id tables[] = { MW_OPT_ARENAS,  MW_OPT_SIZES,
						 MW_OPT_THREADS, MW_OPT_PINS,
						 MW_OPT_CHECKS,  MW_OPT_END };
	enum mw_opt_id which;
	struct mw_err *err = mw_opt_one_of(&cli->opts, tables, &which);
	*ret = which == MW_OPT_ARENAS    ? MW_HEAP_ARENAS
	       : which == MW_OPT_SIZES   ? MW_HEAP_SIZES
	       : which == MW_OPT_THREADS ? MW_HEAP_THREADS
	       : which == MW_OPT_PINS    ? MW_HEAP_PINS
	       : which == MW_OPT_CHECKS  ? MW_HEAP_CHECKS
					 : MW_HEAP_SUMMARY;
	return err;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_heap_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, mw_view_heap(out, answer));
}

/* Why there is nothing to tell, where that is so. */
static struct mw_err *fill(struct mw_look *look, struct mw_heap_answer *answer)
{
	struct mw_err *err = mw_look_note_refusals(look);
	answer->snap = mw_look_whose(look);
	if (!err && mw_look_unrecorded(look) && !mw_cli_is_limited(answer->snap)) {
		err = mw_look_note_unrecorded(look);
		if (!answer->heap->n_allocators || !answer->heap->settled)
			answer->unread = "its heap is not in this recording";
	}
	if (mw_snapshot_process(answer->snap)->vm_size == UINT64_MAX)
		answer->unread = "it has no memory of its own";
	if (mw_cli_is_limited(answer->snap))
		answer->unread = "its heap may not be read";
	if (!err && !answer->unread && !answer->heap->n_allocators)
		err = mw_look_note(look, "the heap", "no allocator known here was found",
				   "map");
	answer->gaps.items = mw_look_gaps(look, &answer->gaps.n);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	mw_auto_look look = NULL;
	mw_auto_heap heap = NULL;
	struct mw_stopped stopped;
	struct mw_heap_answer answer = {
		.contents = !mw_opt_set(&cli->opts, MW_OPT_NO_CONTENTS),
		.verbose = mw_opt_set(&cli->opts, MW_OPT_VERBOSE),
	};
	pid_t pid;
	struct mw_err *err = which_table(cli, &answer.table);
	if (!err)
		err = mw_cli_target(cli, &pid);
	if (!err)
		err = mw_cli_look(cli, pid, &mw_looker_heap, &look);
	if (!err)
		err = mw_look_end(look, &stopped);
	if (err)
		return err;
	heap = mw_look_taken(look);
	answer.heap = heap;
	err = fill(look, &answer);
	if (err)
		return err;
	answer.stop = mw_cli_view_stop(&stopped);
	cli->status = mw_cli_is_limited(answer.snap) ? MW_EXIT_LIMITED : MW_EXIT_OK;
	return show(cli, &answer);
}

const struct mw_cmd mw_cmd_heap = {
	.name = "heap",
	.summary = "what is live in its heap, what the allocator keeps, and why",
	.usage = "[OPTION...] PID|NAME|--largest",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.max_args = 1,
	.opts = opts,
	.run = run,
};
