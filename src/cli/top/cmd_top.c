// SPDX-License-Identifier: MIT
/* memwhy top: processes by their true cost; once, again and again, or on a screen. */
#include "cli/cmd.h"
#include "cli/top/top.h"
#include "model/machine/machine.h"
#include "view/top/top.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_TOP_BY,      MW_OPT_TOP_SORT, MW_OPT_TOP_REVERSE, MW_OPT_TOP_FILTER,
	MW_OPT_TOP_ROWS,    MW_OPT_TOP_TREE, MW_OPT_TOP_PERCENT, MW_OPT_TOP_KERNEL,
	MW_OPT_TOP_BUDGET,  MW_OPT_TOP_ONCE, MW_OPT_TOP_COLUMNS, MW_OPT_WATCH,
	MW_OPT_COUNT_TIMES, MW_OPT_END,
};

enum { SHOWN = 20, DEFAULT_BUDGET_MS = 200, DEFAULT_PAUSE_S = 2, MAX_ROWS = 1000000 };

static struct mw_err *bad_name(enum mw_opt_id id, const char *name)
{
	return mw_err_new(MW_ERR_USAGE, 0, name, "--%s: %s is none of: %s",
			  mw_opt_get(id)->name, name, mw_opt_get(id)->help);
}

static struct mw_err *take_opts(const struct mw_cli *cli, struct mw_fleet_opts *ret)
{
	const struct mw_opt_values *values = &cli->opts;
	const char *by = values->value[MW_OPT_TOP_BY];
	const char *key = values->value[MW_OPT_TOP_SORT];
	bool text = cli->out_opts.format == MW_FORMAT_TEXT;
	uint64_t budget, n;
	*ret = (struct mw_fleet_opts){
		.filter = values->value[MW_OPT_TOP_FILTER],
		.reverse = mw_opt_set(values, MW_OPT_TOP_REVERSE),
		.tree = mw_opt_set(values, MW_OPT_TOP_TREE),
		.kernel = mw_opt_set(values, MW_OPT_TOP_KERNEL),
		.watch = mw_opt_set(values, MW_OPT_WATCH),
		.self = mw_source_facts(cli->src)->live ? getpid() : 0,
	};
	if (by && !mw_fleet_by_parse(by, &ret->by))
		return bad_name(MW_OPT_TOP_BY, by);
	if (key && !mw_fleet_key_parse(key, &ret->key))
		return bad_name(MW_OPT_TOP_SORT, key);
	if (ret->tree && ret->by != MW_BY_PROCESS)
		return mw_err_new(MW_ERR_USAGE, 0, by, "--tree is of processes: no --by");
	struct mw_err *err = mw_opt_number(values, MW_OPT_TOP_BUDGET, 0, 3600000,
					   DEFAULT_BUDGET_MS, &budget);
	if (!err)
		err = mw_opt_number(values, MW_OPT_TOP_ROWS, 0, MAX_ROWS,
				    text ? SHOWN : 0, &n);
	if (err)
		return err;
	ret->budget_ns = budget * 1000000;
	ret->n_rows = n;
	return NULL;
}

static struct mw_err *take_pace(const struct mw_cli *cli, struct mw_top_pace *ret)
{
	uint64_t seconds;
	bool watch = mw_opt_set(&cli->opts, MW_OPT_WATCH);
	if (mw_opt_set(&cli->opts, MW_OPT_COUNT_TIMES) && !watch)
		return mw_err_new(MW_ERR_USAGE, 0, "--count",
				  "--count goes with --watch");
	if (watch && cli->out_opts.format == MW_FORMAT_JSON)
		return mw_err_new(MW_ERR_USAGE, 0, "--json",
				  "--watch makes a stream: use --ndjson or --csv");
	struct mw_err *err = mw_opt_number(&cli->opts, MW_OPT_WATCH, 1, 3600,
					   DEFAULT_PAUSE_S, &seconds);
	if (!err)
		err = mw_opt_number(&cli->opts, MW_OPT_COUNT_TIMES, 1, UINT32_MAX,
				    watch ? 0 : 1, &ret->times);
	if (!err)
		ret->seconds = (unsigned)seconds;
	return err;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_fleet *fleet,
			   const struct mw_top_opts *view)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	return mw_cli_finish(out, mw_view_top(out, fleet, view));
}

/* Memory of the machine, for shares; 0 when it is not known. */
static struct mw_err *read_total(struct mw_cli *cli, const struct mw_top_opts *view,
				 bool screen, uint64_t *ret)
{
	struct mw_machine machine;
	*ret = 0;
	/* Half a dozen files, which a plain table does without. */
	if (cli->out_opts.format == MW_FORMAT_TEXT && !view->percent && !screen)
		return NULL;
	struct mw_err *err = mw_machine_read(cli->src, &machine);
	*ret = err ? 0 : machine.total;
	if (err && view->percent)
		return err;
	mw_err_free(err);
	return NULL;
}

static struct mw_err *look_on(struct mw_cli *cli, const struct mw_top_opts *view,
			      const struct mw_top_pace *pace)
{
	mw_auto_fleet before = NULL;
	struct mw_err *err = NULL;
	for (uint64_t i = 0; !err; i++) {
		struct mw_fleet *fleet = NULL;
		err = mw_fleet_take(cli->src, view->fleet, before, &fleet);
		if (err)
			return err;
		mw_fleet_free(before);
		before = fleet;
		err = show(cli, fleet, view);
		if (fleet->n_denied && fleet->n_denied == fleet->all.n)
			cli->status = MW_EXIT_LIMITED;
		if (err || (pace->times && i + 1 >= pace->times))
			return err;
		if (cli->out_opts.format == MW_FORMAT_TEXT)
			fputc('\n', stdout);
		fflush(stdout);
		nanosleep(&(struct timespec){ .tv_sec = pace->seconds }, NULL);
	}
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_fleet_opts fleet_opts;
	struct mw_top_pace pace = { 0 };
	struct mw_top_opts view = {
		.fleet = &fleet_opts,
		.percent = mw_opt_set(&cli->opts, MW_OPT_TOP_PERCENT),
		.columns = cli->opts.value[MW_OPT_TOP_COLUMNS],
	};
	bool screen = mw_top_has_screen(cli);
	struct mw_err *err = take_opts(cli, &fleet_opts);
	if (!err && view.columns)
		err = mw_top_check_columns(&view);
	if (!err)
		err = take_pace(cli, &pace);
	if (!err)
		err = read_total(cli, &view, screen, &view.total);
	if (err || !screen)
		return err ? err : look_on(cli, &view, &pace);
	err = mw_top_screen(cli, &view, &pace);
	if (!err || err->code != MW_ERR_UNSUPPORTED)
		return err;
	mw_err_free(err);
	return look_on(cli, &view, &pace);
}

const struct mw_cmd mw_cmd_top = {
	.name = "top",
	.summary = "processes by what they truly cost",
	.usage = "[OPTION...]",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 0,
	.opts = opts,
	.run = run,
};
