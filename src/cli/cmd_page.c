// SPDX-License-Identifier: MIT
/* memwhy page: one page, its entry, its frame, and who shares it. */
#include "base/num.h"
#include "cli/cmd.h"
#include "model/access.h"
#include "model/machine/machine.h"
#include "model/memory.h"
#include "procfs/pagebits.h"
#include "view/page.h"

#include <stdlib.h>
#include <string.h>

static const enum mw_opt_id opts[] = { MW_OPT_SAME, MW_OPT_STOP, MW_OPT_MAX_STOP,
				       MW_OPT_END };

enum { MAX_PAGES = 1 << 16 };
#define KERNEL_HALF (UINT64_C(1) << 63)

struct range {
	uint64_t addr;       /* as given */
	uint64_t start, end; /* of its pages */
};

/* "ADDR" or "ADDR..ADDR", the end exclusive unless it is the same page. */
static struct mw_err *parse_range(const char *text, uint64_t page, struct range *ret)
{
	char first[64];
	const char *dots = strstr(text, "..");
	size_t len = dots ? (size_t)(dots - text) : strlen(text);
	uint64_t last;
	if (len >= sizeof(first))
		return mw_err_new(MW_ERR_USAGE, 0, text, "%s is no address", text);
	memcpy(first, text, len);
	first[len] = '\0';
	if (!mw_parse_addr(first, &ret->addr) ||
	    (dots && !mw_parse_addr(dots + 2, &last)))
		return mw_err_new(MW_ERR_USAGE, 0, text, "%s is no address", text);
	ret->start = ret->addr & ~(page - 1);
	if (!dots)
		last = ret->addr;
	else if (last-- <= ret->addr)
		return mw_err_new(MW_ERR_USAGE, 0, text, "%s is no range of addresses",
				  text);
	/* The last byte's page counts too; at the top of all the end wraps to 0. */
	ret->end = (last | (page - 1)) + 1;
	if ((ret->end - ret->start) / page > MAX_PAGES)
		return mw_err_new(MW_ERR_USAGE, 0, text,
				  "%s: at most %d pages can be shown", text, MAX_PAGES);
	return NULL;
}

static bool read_value(const struct mw_snapshot *snap, uint64_t addr, uint64_t *ret)
{
	mw_auto_memory mem = { 0 };
	mw_auto_err err = mw_memory_init(&mem, snap, MW_READ_CONTENTS, 0);
	return !err && mw_memory_word(&mem, addr & ~UINT64_C(7), ret);
}

/* Everything about the pages of one process. */
static struct mw_err *fill(struct mw_cli *cli, const struct range *range,
			   struct mw_arena *arena, struct mw_sharers *sharers,
			   struct mw_page_answer *answer)
{
	pid_t pid = mw_snapshot_process(answer->snap)->pid;
	uint64_t page = mw_source_facts(cli->src)->page_size;
	size_t n = (size_t)((range->end - range->start) / page);
	struct mw_frame *frames = mw_arena_calloc(arena, n, sizeof(*frames));
	const struct mw_region *region = mw_snapshot_find(answer->snap, range->addr);
	if (!frames)
		return mw_err_nomem();
	struct mw_err *err = NULL;
	/* The kernel's half has no page map. */
	for (size_t i = 0; range->start >= KERNEL_HALF && i < n; i++)
		frames[i] = (struct mw_frame){ .addr = range->start + i * page,
					       .flags = UINT64_MAX,
					       .count = UINT64_MAX,
					       .cgroup = UINT64_MAX };
	if (range->start < KERNEL_HALF)
		err = mw_frames_read(cli->src, pid, range->start, n, arena, frames,
				     &answer->no_frames);
	if (err)
		return err;
	answer->frames = frames;
	answer->n_frames = n;
	answer->levels = mw_paging_levels(cli->src);
	answer->remedy = mw_advice_privileged(cli->src)
				 ? ""
				 : mw_arena_printf(arena, "sudo memwhy page %d %s",
						   (int)pid, cli->args[cli->n_args - 1]);
	if (!answer->remedy)
		return mw_err_nomem();
	if (n == 1 && frames->cgroup && frames->cgroup != UINT64_MAX)
		err = mw_cgroup_by_inode(cli->src, frames->cgroup, arena,
					 &answer->cgroup);
	if (err)
		return err;
	answer->has_value =
		n == 1 && read_value(answer->snap, range->addr, &answer->value);
	if (n != 1 || !frames->pfn || !region || (frames->categories & MW_SCAN_PFNZERO))
		return NULL;
	answer->sharers = sharers;
	return mw_sharers_find(cli->src, region, frames, arena, sharers);
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_page_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, mw_view_page(out, answer));
}

static struct mw_err *look(struct mw_cli *cli, pid_t pid, const struct range *range,
			   struct mw_arena *arena, struct mw_sharers *sharers)
{
	mw_auto_snapshot snap = NULL;
	mw_auto_layout layout = NULL;
	struct mw_stopped stopped;
	struct mw_page_answer answer = {
		.addr = range->addr, .no_frames = "", .remedy = "", .cgroup = ""
	};
	struct mw_err *err = mw_cli_snapshot(cli, pid, MW_WANT_THREADS, &snap);
	if (!err)
		err = mw_classify(snap, NULL, &layout);
	answer.snap = snap;
	answer.layout = layout;
	if (!err)
		err = fill(cli, range, arena, sharers, &answer);
	if (!err)
		err = mw_cli_release(cli, snap, &stopped);
	return err ? err : show(cli, &answer);
}

static struct mw_err *run_one(struct mw_cli *cli)
{
	struct mw_arena arena = { 0 };
	struct mw_sharers sharers = { 0 };
	struct mw_cli target = *cli;
	struct range range = { 0 };
	pid_t pid = 0;
	bool recorded = mw_opt_set(&cli->opts, MW_OPT_ROOT) && cli->n_args == 1;
	if (cli->n_args != 2 && !recorded)
		return mw_err_new(MW_ERR_USAGE, 0, "",
				  "page takes a process and an address");
	target.n_args = cli->n_args - 1;
	struct mw_err *err = parse_range(cli->args[cli->n_args - 1],
					 mw_source_facts(cli->src)->page_size, &range);
	if (!err)
		err = mw_cli_target(&target, &pid);
	if (!err)
		err = look(cli, pid, &range, &arena, &sharers);
	free(sharers.items);
	mw_arena_deinit(&arena);
	return err;
}

/* One process of several; its snapshot stays open for its name. */
static struct mw_err *look_same(struct mw_cli *cli, char *operand,
				const struct range *range, struct mw_arena *arena,
				struct mw_snapshot **snap, struct mw_page_same *ret)
{
	struct mw_cli target = *cli;
	pid_t pid = 0;
	target.args = &operand;
	target.n_args = 1;
	struct mw_err *err = mw_cli_target(&target, &pid);
	if (!err)
		err = mw_cli_snapshot(cli, pid, 0, snap);
	if (err)
		return err;
	ret->process = mw_snapshot_process(*snap);
	ret->mapped = mw_snapshot_find(*snap, range->addr);
	ret->has_value = read_value(*snap, range->addr, &ret->value);
	err = mw_frames_read(cli->src, pid, range->start, 1, arena, &ret->frame,
			     &ret->no_frames);
	if (!err || err->code != MW_ERR_DENIED)
		return err;
	/* One that is closed to us does not hide the others. */
	ret->refused = true;
	cli->status = MW_EXIT_LIMITED;
	ret->frame.count = UINT64_MAX;
	ret->no_frames = mw_arena_strdup(arena, err->msg);
	mw_err_free(err);
	return ret->no_frames ? NULL : mw_err_nomem();
}

static struct mw_err *run_same(struct mw_cli *cli)
{
	size_t n = cli->n_args > 1 ? (size_t)cli->n_args - 1 : 0;
	struct mw_arena arena = { 0 };
	struct range range = { 0 };
	struct mw_out *out;
	if (n < 2)
		return mw_err_new(MW_ERR_USAGE, 0, "same",
				  "--same takes two processes or more, and an address");
	if (mw_opt_set(&cli->opts, MW_OPT_STOP))
		return mw_err_new(MW_ERR_USAGE, 0, "same",
				  "--stop holds one process: it does not go with --same");
	struct mw_err *err =
		parse_range(cli->args[n], mw_source_facts(cli->src)->page_size, &range);
	if (err)
		return err;
	struct mw_page_same *rows = mw_arena_calloc(&arena, n, sizeof(*rows));
	struct mw_snapshot **snaps =
		mw_arena_calloc(&arena, n, sizeof(struct mw_snapshot *));
	if (!rows || !snaps)
		err = mw_err_nomem();
	for (size_t i = 0; i < n && !err; i++)
		err = look_same(cli, cli->args[i], &range, &arena, &snaps[i], &rows[i]);
	if (!err)
		err = mw_cli_out(cli, &out);
	if (!err)
		err = mw_cli_finish(out, mw_view_page_same(out, range.addr, rows, n));
	for (size_t i = 0; i < n && snaps; i++)
		mw_snapshot_free(snaps[i]);
	mw_arena_deinit(&arena);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	return mw_opt_set(&cli->opts, MW_OPT_SAME) ? run_same(cli) : run_one(cli);
}

const struct mw_cmd mw_cmd_page = {
	.name = "page",
	.summary = "one page: the walk to it, its entry and frame, and who shares it",
	.usage = "[OPTION...] PID|NAME ADDR[..ADDR]",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 1 << 16,
	.opts = opts,
	.run = run,
};
