// SPDX-License-Identifier: MIT
/* memwhy map PID: the address space, low to high; once, compared, or again and again. */
#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "cli/terminal.h"
#include "view/diff.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_ALL,     MW_OPT_SUMMARY,  MW_OPT_AT,     MW_OPT_PAGES,       MW_OPT_SORT,
	MW_OPT_CLASS,   MW_OPT_DIFF,     MW_OPT_WATCH,  MW_OPT_COUNT_TIMES, MW_OPT_STOP,
	MW_OPT_LARGEST, MW_OPT_MAX_STOP, MW_OPT_ENGINE, MW_OPT_JOBS,        MW_OPT_CORE,
	MW_OPT_EXE,     MW_OPT_PMAP,     MW_OPT_END,
};

/* The largest earlier answer that is read: 60,000 regions take some 20 MiB. */
#define MAX_EARLIER (UINT64_C(1) << 28)

/* One look at the target, classified and laid out as rows. */
struct look {
	struct mw_snapshot *snap;
	struct mw_layout *layout;
	struct mw_arena arena;
	struct mw_map_rows rows;
	struct mw_stopped stopped;
};

static void look_deinit(struct look *look)
{
	mw_vec_deinit(&look->rows);
	mw_arena_deinit(&look->arena);
	mw_layout_free(look->layout);
	mw_snapshot_free(look->snap);
	*look = (struct look){ 0 };
}

/* Of options that make sense alone only; MW_OPT_END ends each line. */
static const enum mw_opt_id exclusive[][6] = {
	{ MW_OPT_SUMMARY, MW_OPT_AT, MW_OPT_PAGES, MW_OPT_DIFF },
	{ MW_OPT_WATCH, MW_OPT_AT, MW_OPT_PAGES },
	{ MW_OPT_WATCH, MW_OPT_DIFF },
	{ MW_OPT_SORT, MW_OPT_AT, MW_OPT_PAGES, MW_OPT_DIFF },
	{ MW_OPT_CLASS, MW_OPT_AT },
};

static struct mw_err *check_combination(const struct mw_cli *cli)
{
	enum mw_opt_id one;
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < sizeof(exclusive) / sizeof(exclusive[0]); i++)
		err = mw_opt_one_of(&cli->opts, exclusive[i], &one);
	if (!err && mw_opt_set(&cli->opts, MW_OPT_COUNT_TIMES) &&
	    !mw_opt_set(&cli->opts, MW_OPT_WATCH))
		err = mw_err_new(MW_ERR_USAGE, 0, "--count", "--count goes with --watch");
	return err;
}

static struct mw_err *read_opts(const struct mw_cli *cli, struct mw_map_opts *ret)
{
	const char *sort = cli->opts.value[MW_OPT_SORT];
	*ret = (struct mw_map_opts){
		.all = mw_opt_set(&cli->opts, MW_OPT_ALL) ||
		       mw_opt_set(&cli->opts, MW_OPT_AT) ||
		       mw_opt_set(&cli->opts, MW_OPT_DIFF) ||
		       cli->out_opts.format != MW_FORMAT_TEXT,
		.summary = mw_opt_set(&cli->opts, MW_OPT_SUMMARY),
		.class = cli->opts.value[MW_OPT_CLASS],
	};
	if (sort && !mw_map_sort_from_name(sort, &ret->sort))
		return mw_err_new(MW_ERR_USAGE, 0, sort, "--sort: no column %s; %s", sort,
				  mw_opt_get(MW_OPT_SORT)->help);
	if (ret->class && !mw_map_class_exists(ret->class))
		return mw_err_new(MW_ERR_USAGE, 0, ret->class,
				  "--class: there is no class or family %s; --summary "
				  "lists those of a process",
				  ret->class);
	if (mw_opt_set(&cli->opts, MW_OPT_WATCH) &&
	    cli->out_opts.format == MW_FORMAT_JSON)
		return mw_err_new(MW_ERR_USAGE, 0, "--json",
				  "--watch makes a stream: use --ndjson or --csv");
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

static struct mw_err *take_look(struct mw_cli *cli, pid_t pid,
				const struct mw_map_opts *map, struct look *ret)
{
	struct mw_err *err = mw_cli_snapshot(cli, pid, wants(cli, map), &ret->snap);
	if (!err)
		err = mw_classify(ret->snap, NULL, &ret->layout);
	if (!err)
		err = mw_cli_release(cli, ret->snap, &ret->stopped);
	if (!err)
		err = mw_map_rows_make(ret->snap, ret->layout, map, &ret->arena,
				       &ret->rows);
	if (!err && mw_cli_is_limited(ret->snap))
		cli->status = MW_EXIT_LIMITED;
	return err;
}

/* The rows of a recorded tree: of the same pid if it is in there, else of its largest. */
static struct mw_err *look_at_tree(struct mw_cli *cli, const char *dir, pid_t pid,
				   const struct mw_map_opts *map, struct look *ret,
				   struct mw_source **src)
{
	struct mw_cli earlier = { .opts = cli->opts, .out_opts = cli->out_opts };
	earlier.opts.value[MW_OPT_ROOT] = dir;
	earlier.opts.value[MW_OPT_STOP] = NULL;
	struct mw_err *err = mw_source_open_tree(dir, src);
	earlier.src = *src;
	if (!err)
		err = take_look(&earlier, pid, map, ret);
	if (!err || err->code != MW_ERR_NOTFOUND)
		return err;
	mw_err_free(err);
	look_deinit(ret);
	err = mw_cli_target(&earlier, &pid);
	return err ? err : take_look(&earlier, pid, map, ret);
}

static struct mw_err *load_file(const char *path, const char *class,
				struct mw_arena *arena, struct mw_map_earlier *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_cli_read_file(path, MAX_EARLIER, &text);
	if (err)
		return err;
	err = mw_map_earlier_load(mw_buf_str(&text), text.len, class, arena, ret);
	return mw_cli_blame(err, path);
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

static struct mw_map_answer answer_of(const struct look *look,
				      const struct mw_map_opts *map)
{
	return (struct mw_map_answer){
		.snap = look->snap,
		.layout = look->layout,
		.rows = &look->rows,
		.opts = map,
		.stop = { look->stopped.asked, look->stopped.held_ns, look->stopped.cut },
	};
}

static struct mw_err *show(struct mw_cli *cli, const struct look *look,
			   const struct mw_map_opts *map)
{
	struct mw_map_answer answer = answer_of(look, map);
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, view(cli, out, &answer));
}

static struct mw_err *show_diff(struct mw_cli *cli, const struct look *look,
				const struct mw_map_opts *map,
				const struct mw_map_earlier *before)
{
	struct mw_map_answer after = answer_of(look, map);
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, mw_view_diff(out, before, &after));
}

/* Nothing would be told as everything gone: where mappings are missing, so is the answer.
 */
static struct mw_err *need_regions(const struct look *look, const char *whose)
{
	size_t n, n_gaps;
	const struct mw_gap *gaps = mw_snapshot_gaps(look->snap, &n_gaps);
	mw_snapshot_regions(look->snap, &n);
	if (n)
		return NULL;
	bool denied = mw_snapshot_process(look->snap)->vm_size != UINT64_MAX;
	return mw_err_new(denied ? MW_ERR_DENIED : MW_ERR_UNSUPPORTED, 0, whose,
			  "%s has no mappings to compare%s%s", whose, n_gaps ? ": " : "",
			  n_gaps ? gaps[n_gaps - 1].why : "");
}

static struct mw_err *diff_tree(struct mw_cli *cli, const char *dir, pid_t pid,
				const struct mw_map_opts *map, const struct look *after)
{
	struct look look = { 0 };
	mw_auto_source src = NULL;
	struct mw_err *err = look_at_tree(cli, dir, pid, map, &look, &src);
	if (!err)
		err = need_regions(&look, dir);
	if (!err) {
		const struct mw_process *p = mw_snapshot_process(look.snap);
		struct mw_map_earlier before = { .pid = p->pid,
						 .name = p->comm,
						 .boot_id = p->boot_id,
						 .start_ticks = p->start_ticks,
						 .rows = look.rows };
		err = show_diff(cli, after, map, &before);
	}
	look_deinit(&look);
	return err;
}

static struct mw_err *diff_file(struct mw_cli *cli, const char *path,
				const struct mw_map_opts *map, const struct look *after)
{
	struct mw_map_earlier before = { 0 };
	struct mw_arena arena = { 0 };
	struct mw_err *err = load_file(path, map->class, &arena, &before);
	if (!err)
		err = show_diff(cli, after, map, &before);
	mw_vec_deinit(&before.rows);
	mw_arena_deinit(&arena);
	return err;
}

static struct mw_err *run_diff(struct mw_cli *cli, pid_t pid,
			       const struct mw_map_opts *map)
{
	const char *path = cli->opts.value[MW_OPT_DIFF];
	struct look after = { 0 };
	struct stat st;
	struct mw_err *err = take_look(cli, pid, map, &after);
	if (!err)
		err = need_regions(&after, "the process");
	if (!err && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		err = diff_tree(cli, path, pid, map, &after);
	else if (!err)
		err = diff_file(cli, path, map, &after);
	look_deinit(&after);
	return err;
}

static struct mw_err *run_once(struct mw_cli *cli, pid_t pid,
			       const struct mw_map_opts *map)
{
	struct look look = { 0 };
	struct mw_err *err = take_look(cli, pid, map, &look);
	if (!err)
		err = show(cli, &look, map);
	look_deinit(&look);
	return err;
}

/* Rows to compare the next look with: the same ones, by address. */
static struct mw_err *keep_rows(struct look *look, const struct mw_map_opts *map)
{
	struct mw_map_opts by_address = *map;
	by_address.sort = MW_SORT_ADDRESS;
	look->rows.n = 0;
	return mw_map_rows_make(look->snap, look->layout, &by_address, &look->arena,
				&look->rows);
}

/* What a window shows besides rows: sentence, heading, sums, drift, limits. */
enum { AROUND_ROWS = 9, LEAST_ROWS = 3 };

/* One look in a row of them: in a window of `height` lines, as much as fits, on top. */
static struct mw_err *show_again(struct mw_cli *cli, struct look *look,
				 const struct mw_map_opts *map,
				 const struct mw_map_rows *before, unsigned height)
{
	struct mw_map_answer answer = answer_of(look, map);
	struct mw_out *out;
	answer.before = before;
	if (height) {
		size_t max = height > AROUND_ROWS + LEAST_ROWS ? height - AROUND_ROWS
							       : LEAST_ROWS;
		fputs("\033[H\033[2J", stdout);
		answer.fitted = map->sort == MW_SORT_ADDRESS && look->rows.n > max;
		if (answer.fitted)
			answer.left_out =
				mw_map_rows_fit(&look->rows, before, map->summary, max);
	}
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, view(cli, out, &answer));
}

static struct mw_err *run_watch(struct mw_cli *cli, pid_t pid,
				const struct mw_map_opts *map)
{
	struct look looks[2] = { 0 };
	uint64_t seconds = 2, times = 0, done = 0;
	struct mw_err *err =
		mw_opt_number(&cli->opts, MW_OPT_WATCH, 1, 86400, 2, &seconds);
	if (!err)
		err = mw_opt_number(&cli->opts, MW_OPT_COUNT_TIMES, 1, UINT64_MAX, 0,
				    &times);
	bool people = cli->out_opts.format == MW_FORMAT_TEXT;
	while (!err) {
		struct look *now = &looks[done % 2], *last = &looks[(done + 1) % 2];
		look_deinit(now);
		err = take_look(cli, pid, map, now);
		if (!err)
			err = show_again(cli, now, map, &last->rows,
					 people ? mw_terminal_height() : 0);
		if (!err)
			err = keep_rows(now, map);
		if (err || ++done == times)
			break;
		nanosleep(&(struct timespec){ .tv_sec = (time_t)seconds }, NULL);
	}
	look_deinit(&looks[0]);
	look_deinit(&looks[1]);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_map_opts map;
	pid_t pid;
	struct mw_err *err = check_combination(cli);
	if (!err)
		err = read_opts(cli, &map);
	if (!err)
		err = mw_cli_target(cli, &pid);
	if (err)
		return err;
	if (mw_opt_set(&cli->opts, MW_OPT_DIFF))
		return run_diff(cli, pid, &map);
	if (mw_opt_set(&cli->opts, MW_OPT_WATCH))
		return run_watch(cli, pid, &map);
	return run_once(cli, pid, &map);
}

const struct mw_cmd mw_cmd_map = {
	.name = "map",
	.summary = "the address space, region by region, classified",
	.usage = "[OPTION...] PID|NAME|--largest",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.max_args = 1,
	.opts = opts,
	.run = run,
};
