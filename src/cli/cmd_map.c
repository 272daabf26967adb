// SPDX-License-Identifier: MIT
/* memwhy map PID: the address space, low to high. */
#include "base/num.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "view/map.h"

#include <string.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_ALL,      MW_OPT_SUMMARY, MW_OPT_AT,      MW_OPT_PAGES,
	MW_OPT_SORT,     MW_OPT_CLASS,   MW_OPT_LARGEST, MW_OPT_STOP,
	MW_OPT_MAX_STOP, MW_OPT_ENGINE,  MW_OPT_JOBS,    MW_OPT_END,
};

static struct mw_err *read_opts(const struct mw_cli *cli, struct mw_map_opts *ret)
{
	const char *sort = cli->opts.value[MW_OPT_SORT];
	*ret = (struct mw_map_opts){
		.all = mw_opt_set(&cli->opts, MW_OPT_ALL),
		.summary = mw_opt_set(&cli->opts, MW_OPT_SUMMARY),
		.class = cli->opts.value[MW_OPT_CLASS],
	};
	if (sort && !mw_map_sort_from_name(sort, &ret->sort))
		return mw_err_new(MW_ERR_USAGE, 0, sort, "--sort: no column %s; %s", sort,
				  mw_opt_get(MW_OPT_SORT)->help);
	return NULL;
}

/*
 * Pss of each region costs a pass over smaps where frames are hidden; only machines
 * are shown it, so people do not pay for it.
 */
static unsigned wants(const struct mw_cli *cli, const struct mw_map_opts *map)
{
	bool people = cli->out_opts.format == MW_FORMAT_TEXT && map->sort != MW_SORT_PSS;
	return MW_WANT_THREADS | (people ? MW_WANT_FRAMES : MW_WANT_PSS);
}

static struct mw_err *view(struct mw_cli *cli, struct mw_out *out,
			   const struct mw_map_answer *answer)
{
	const char *at = cli->opts.value[MW_OPT_AT];
	uint64_t addr;
	if (mw_opt_set(&cli->opts, MW_OPT_PAGES))
		return mw_view_pages(out, answer);
	if (!at)
		return mw_view_map(out, answer);
	if (!mw_parse_addr(at, &addr))
		return mw_err_new(MW_ERR_USAGE, 0, at, "--at: %s is not an address", at);
	return mw_view_at(out, answer, addr);
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_map_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = view(cli, out, answer);
	struct mw_err *write_err = mw_out_finish(out);
	if (!err)
		return write_err;
	mw_err_free(write_err);
	return err;
}

static struct mw_err *run_once(struct mw_cli *cli, pid_t pid,
			       const struct mw_map_opts *map)
{
	mw_auto_snapshot snap = NULL;
	mw_auto_layout layout = NULL;
	struct mw_arena arena = { 0 };
	struct mw_map_rows rows = { 0 };
	struct mw_stopped stopped;
	struct mw_err *err = mw_cli_snapshot(cli, pid, wants(cli, map), &snap);
	if (!err)
		err = mw_classify(snap, &layout);
	if (!err)
		err = mw_cli_release(cli, &stopped);
	if (!err)
		err = mw_map_rows_make(snap, layout, map, &arena, &rows);
	if (!err) {
		struct mw_map_answer answer = {
			.snap = snap,
			.layout = layout,
			.rows = &rows,
			.opts = map,
			.stop = { stopped.asked, stopped.held_ns, stopped.cut },
		};
		if (!(mw_snapshot_totals(snap)->sum.have & MW_HAVE_RSS) &&
		    mw_snapshot_process(snap)->vm_size != UINT64_MAX)
			cli->status = MW_EXIT_LIMITED;
		err = show(cli, &answer);
	}
	mw_vec_deinit(&rows);
	mw_arena_deinit(&arena);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_map_opts map;
	pid_t pid;
	struct mw_err *err = read_opts(cli, &map);
	if (!err)
		err = mw_cli_target(cli, &pid);
	return err ? err : run_once(cli, pid, &map);
}

const struct mw_cmd mw_cmd_map = {
	.name = "map",
	.summary = "the address space, region by region, classified",
	.usage = "[OPTION...] PID|NAME|--largest",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.opts = opts,
	.run = run,
};
