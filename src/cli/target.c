// SPDX-License-Identifier: MIT
/* From operands and options to a process, a snapshot and a writer. */
#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "model/find.h"
#include "view/view.h"
#include <memwhy/hold.h>
#include <memwhy/snapshot.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LISTED = 20, CMDLINE_SHOWN = 100, DEFAULT_MAX_STOP = 1000 };

/* Control bytes of a hostile command line would otherwise reach the terminal. */
static bool add_clean(struct mw_buf *text, const char *str)
{
	char shown[CMDLINE_SHOWN + 1];
	size_t n = 0;
	for (; *str && n < CMDLINE_SHOWN; str++)
		shown[n++] = *str >= ' ' && *str < 0x7f ? *str : '?';
	shown[n] = '\0';
	return mw_buf_printf(text, "%s%s", shown, *str ? "..." : "");
}

static struct mw_err *ambiguous(const char *name, const struct mw_candidates *found)
{
	mw_auto_buf text = { 0 };
	char size[MW_UNITS_LEN];
	bool ok = mw_buf_printf(&text, "%zu processes are called ", found->n) &&
		  add_clean(&text, name) &&
		  mw_buf_printf(&text, "; give the pid of one:");
	for (size_t i = 0; ok && i < found->n && i < LISTED; i++) {
		const struct mw_candidate *c = &found->items[i];
		ok = mw_buf_printf(&text, "\n  %7d  %10s  ", c->pid,
				   mw_units_bytes(c->rss, MW_UNIT_AUTO, size)) &&
		     add_clean(&text, c->cmdline);
	}
	if (ok && found->n > LISTED)
		ok = mw_buf_printf(&text, "\n  and %zu more", found->n - LISTED);
	if (!ok)
		return mw_err_nomem();
	return mw_err_new(MW_ERR_AMBIGUOUS, 0, name, "%s", mw_buf_str(&text));
}

static struct mw_err *no_such_name(const char *name)
{
	mw_auto_buf shown = { 0 };
	if (!add_clean(&shown, name))
		return mw_err_nomem();
	return mw_err_new(MW_ERR_NOTFOUND, 0, name, "no process is called %s",
			  mw_buf_str(&shown));
}

static struct mw_err *by_name(struct mw_cli *cli, const char *name, pid_t *ret)
{
	struct mw_arena arena = { 0 };
	struct mw_candidates found = { 0 };
	struct mw_err *err = mw_find_by_name(cli->src, name, getpid(), &arena, &found);
	if (!err && found.n == 0)
		err = no_such_name(name);
	else if (!err && found.n > 1)
		err = ambiguous(name, &found);
	else if (!err)
		*ret = found.items[0].pid;
	mw_vec_deinit(&found);
	mw_arena_deinit(&arena);
	return err;
}

/* A recording most often holds one process, readable or not: that is meant then. */
static struct mw_err *recorded(struct mw_cli *cli, pid_t *ret)
{
	struct mw_arena arena = { 0 };
	struct mw_candidates found = { 0 };
	struct mw_err *err = mw_find_by_name(cli->src, NULL, 0, &arena, &found);
	bool one = !err && found.n == 1;
	if (one)
		*ret = found.items[0].pid;
	mw_vec_deinit(&found);
	mw_arena_deinit(&arena);
	return err || one ? err : mw_find_largest(cli->src, 0, ret);
}

struct mw_err *mw_cli_target(struct mw_cli *cli, pid_t *ret)
{
	const char *operand = cli->n_args ? cli->args[0] : NULL;
	uint64_t pid;
	if (operand && mw_opt_set(&cli->opts, MW_OPT_LARGEST))
		return mw_err_new(MW_ERR_USAGE, 0, operand,
				  "--largest and a process exclude each other");
	if (operand && !operand[0])
		return mw_err_new(MW_ERR_USAGE, 0, operand,
				  "no process has an empty name");
	if (!operand && mw_opt_set(&cli->opts, MW_OPT_LARGEST))
		return mw_find_largest(cli->src, getpid(), ret);
	if (!operand &&
	    (mw_opt_set(&cli->opts, MW_OPT_ROOT) || mw_opt_set(&cli->opts, MW_OPT_CORE)))
		return recorded(cli, ret);
	if (!operand)
		return mw_err_new(MW_ERR_USAGE, 0, "",
				  "which process? give a pid or a name, or --largest");
	if (!mw_parse_u64(operand, &pid))
		return by_name(cli, operand, ret);
	if (pid == 0 || pid > INT_MAX)
		return mw_err_new(MW_ERR_NOTFOUND, 0, operand, "no process %s", operand);
	*ret = (pid_t)pid;
	return NULL;
}

static struct mw_err *engine_option(const struct mw_cli *cli, enum mw_engine *ret)
{
	const char *name = cli->opts.value[MW_OPT_ENGINE];
	if (!name || !strcmp(name, "auto"))
		*ret = MW_ENGINE_AUTO;
	else if (!strcmp(name, "pages"))
		*ret = MW_ENGINE_PAGES;
	else if (!strcmp(name, "smaps"))
		*ret = MW_ENGINE_SMAPS;
	else
		return mw_err_new(MW_ERR_USAGE, 0, name,
				  "--engine: %s is none of auto, pages, smaps", name);
	return NULL;
}

struct mw_err *mw_cli_snapshot_opts(const struct mw_cli *cli, unsigned want, bool still,
				    struct mw_snapshot_opts *ret)
{
	struct mw_snapshot_opts opts = { .want = want };
	uint64_t jobs;
	struct mw_err *err = engine_option(cli, &opts.engine);
	if (!err)
		err = mw_opt_number(&cli->opts, MW_OPT_JOBS, 1, 64, 0, &jobs);
	if (err)
		return err;
	opts.jobs = (unsigned)jobs;
	/* Who asks for threads is in a hurry; who is stopped waits for nothing else. */
	opts.gentle = !jobs && !still;
	*ret = opts;
	return NULL;
}

struct mw_err *mw_cli_max_stop(const struct mw_cli *cli, unsigned *ret)
{
	uint64_t ms;
	struct mw_err *err = mw_opt_number(&cli->opts, MW_OPT_MAX_STOP, 1, 600000,
					   DEFAULT_MAX_STOP, &ms);
	if (!err)
		*ret = (unsigned)ms;
	return err;
}

struct mw_err *mw_cli_snapshot(struct mw_cli *cli, pid_t pid, unsigned want,
			       struct mw_snapshot **ret)
{
	struct mw_snapshot_opts opts;
	unsigned max_stop;
	bool stop = mw_opt_set(&cli->opts, MW_OPT_STOP);
	struct mw_err *err = mw_cli_snapshot_opts(cli, want, stop, &opts);
	if (!err)
		err = mw_cli_max_stop(cli, &max_stop);
	if (!err && stop)
		err = mw_source_stop(cli->src, pid, max_stop);
	return err ? err : mw_snapshot_take(cli->src, pid, &opts, ret);
}

struct mw_err *mw_cli_release(struct mw_cli *cli, const struct mw_snapshot *snap,
			      struct mw_stopped *ret)
{
	struct mw_err *err = mw_snapshot_recheck(snap);
	*ret = (struct mw_stopped){ .asked = mw_opt_set(&cli->opts, MW_OPT_STOP) };
	if (err || !ret->asked)
		return err;
	return mw_source_resume(cli->src, &ret->held_ns, &ret->cut);
}

struct mw_view_stop mw_cli_view_stop(const struct mw_stopped *stopped)
{
	return (struct mw_view_stop){ .asked = stopped->asked,
				      .held_ns = stopped->held_ns,
				      .cut = stopped->cut,
				      .n = stopped->n,
				      .longest_ns = stopped->longest_ns,
				      .forked = stopped->forked };
}

/* What was resident no core knows: that is no one's refusal. */
bool mw_cli_is_limited(const struct mw_snapshot *snap)
{
	return !mw_source_facts(mw_snapshot_source(snap))->core &&
	       mw_snapshot_process(snap)->vm_size != UINT64_MAX &&
	       !(mw_snapshot_totals(snap)->sum.have & MW_HAVE_RSS);
}

struct mw_err *mw_cli_out(struct mw_cli *cli, struct mw_out **ret)
{
	return mw_out_create(&cli->out_opts, cli->to ? cli->to : stdout, ret);
}

struct mw_err *mw_cli_finish(struct mw_out *out, struct mw_err *err)
{
	struct mw_err *write_err = mw_out_finish(out);
	if (!err)
		return write_err;
	mw_err_free(write_err);
	return err;
}
