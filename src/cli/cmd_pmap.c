// SPDX-License-Identifier: MIT
/* memwhy map --pmap, and a link called pmap: procps' pmap. */
#include "base/num.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "cli/terminal.h"
#include "view/pmap/rc.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_PMAP_EXTENDED,
	MW_OPT_PMAP_MORE,
	MW_OPT_PMAP_DEVICE,
	MW_OPT_PMAP_QUIET,
	MW_OPT_PMAP_PATH,
	MW_OPT_PMAP_RANGE,
	MW_OPT_PMAP_RC,
	MW_OPT_PMAP_RC_FROM,
	MW_OPT_PMAP_NEW_RC,
	MW_OPT_PMAP_NEW_RC_TO,
	MW_OPT_PMAP_KERNEL_NAME,
	MW_OPT_PMAP_IGNORED,
	MW_OPT_END,
};

/* What prints tables as procps does has no other formats and units. */
static const enum mw_opt_id common[] = { MW_OPT_ROOT, MW_OPT_HELP, MW_OPT_VERSION,
					 MW_OPT_END };

/* Procps' exit statuses. */
enum { EXIT_PROBLEM = 1, EXIT_MISSING = 42 };

/* "LOW" is the mapping that holds it, "LOW,HIGH" all between, "LOW," all above. */
static struct mw_err *take_range(const char *text, struct mw_pmap_opts *ret)
{
	char low[32];
	const char *comma = strchr(text, ',');
	size_t len = comma ? (size_t)(comma - text) : strlen(text);
	bool ok = len < sizeof(low);
	if (ok) {
		memcpy(low, text, len);
		low[len] = '\0';
		ok = len ? mw_parse_addr(low, &ret->low) : comma != NULL;
	}
	ret->high = comma ? UINT64_MAX : ret->low;
	if (ok && comma && comma[1])
		ok = mw_parse_addr(comma + 1, &ret->high);
	if (!ok)
		return mw_err_new(MW_ERR_USAGE, 0, text,
				  "--range: %s is no LOW[,HIGH] in hex", text);
	ret->ranged = true;
	return NULL;
}

static struct mw_err *own_rc(struct mw_arena *arena, const char **ret)
{
	const char *home = getenv("HOME");
	if (!home || !home[0])
		return mw_err_new(MW_ERR_USAGE, 0, NULL,
				  "HOME is not set: where ~/.pmaprc is cannot be said");
	*ret = mw_arena_printf(arena, "%s/.pmaprc", home);
	return *ret ? NULL : mw_err_nomem();
}

/* The one option that says what is to be shown, or made. */
static struct mw_err *take_mode(const struct mw_opt_values *values, enum mw_opt_id *ret)
{
	static const enum mw_opt_id modes[] = {
		MW_OPT_PMAP_EXTENDED,  MW_OPT_PMAP_MORE,    MW_OPT_PMAP_DEVICE,
		MW_OPT_PMAP_RC,        MW_OPT_PMAP_RC_FROM, MW_OPT_PMAP_NEW_RC,
		MW_OPT_PMAP_NEW_RC_TO, MW_OPT_END,
	};
	struct mw_err *err = mw_opt_one_of(values, modes, ret);
	if (!err)
		return NULL;
	mw_err_free(err);
	return mw_err_new(MW_ERR_USAGE, 0, NULL,
			  "-c, -C, -d, -n, -N, -x and -X exclude each other");
}

static struct mw_err *take_opts(const struct mw_cli *cli, enum mw_opt_id mode,
				struct mw_arena *arena, struct mw_pmap_opts *ret)
{
	const struct mw_opt_values *values = &cli->opts;
	const char *rc = values->value[MW_OPT_PMAP_RC_FROM];
	mw_auto_buf warnings = { 0 };
	struct mw_err *err = NULL;
	*ret = (struct mw_pmap_opts){
		.mode = mode == MW_OPT_PMAP_EXTENDED ? MW_PMAP_EXTENDED
			: mode == MW_OPT_PMAP_DEVICE ? MW_PMAP_DEVICE
			: mode == MW_OPT_END         ? MW_PMAP_SHORT
						     : MW_PMAP_DETAIL,
		.quiet = mw_opt_set(values, MW_OPT_PMAP_QUIET),
		.paths = mw_opt_set(values, MW_OPT_PMAP_PATH),
		.utf8 = cli->out_opts.utf8,
		.kernel_names = mw_opt_set(values, MW_OPT_PMAP_KERNEL_NAME),
		.fields.all = values->times[MW_OPT_PMAP_MORE] > 1,
	};
	if (mode == MW_OPT_PMAP_RC)
		err = own_rc(arena, &rc);
	if (!err && rc)
		err = mw_pmap_rc_read(rc, arena, ret, &warnings);
	if (!err && warnings.len)
		mw_terminal_tell(mw_buf_str(&warnings));
	if (!err && mw_opt_set(values, MW_OPT_PMAP_RANGE))
		err = take_range(values->value[MW_OPT_PMAP_RANGE], ret);
	return err;
}

/* "123", or "/proc/123" as a shell completes it. */
static bool parse_pid(const char *text, pid_t *ret)
{
	uint64_t pid;
	const char *slash = strrchr(text, '/');
	if (text[0] == '/' && slash - text >= 5 && !memcmp(slash - 4, "proc", 4))
		text = slash + 1;
	if (!mw_parse_u64(text, &pid) || pid == 0 || pid > INT_MAX)
		return false;
	*ret = (pid_t)pid;
	return true;
}

/* A process that is not there, or not ours, does not hide the others. */
static struct mw_err *show_one(struct mw_cli *cli, struct mw_out *out, pid_t pid,
			       const struct mw_pmap_opts *pmap, struct mw_buf *problems)
{
	size_t n_rows = 0;
	mw_auto_err err = mw_pmap_show(out, cli->src, pid, pmap, &n_rows);
	if (!err && !n_rows)
		fprintf(stderr,
			"memwhy: process %d maps nothing: a kernel thread, or a zombie\n",
			(int)pid);
	if (!err || err->code == MW_ERR_NOMEM) {
		struct mw_err *ret = err;
		err = NULL;
		return ret;
	}
	bool missing = err->code == MW_ERR_NOTFOUND || err->code == MW_ERR_GONE;
	if (missing && !cli->status)
		cli->status = EXIT_MISSING;
	else if (!missing)
		cli->status = EXIT_PROBLEM;
	if (missing)
		return NULL;
	return mw_buf_printf(problems, "%s%s", problems->len ? "\n" : "", err->msg)
		       ? NULL
		       : mw_err_nomem();
}

/* The operands; of a recording that names none, the process that is in it. */
static struct mw_err *take_pids(struct mw_cli *cli, struct mw_ids *ret)
{
	pid_t pid;
	if (!cli->n_args && mw_opt_set(&cli->opts, MW_OPT_ROOT)) {
		struct mw_err *err = mw_cli_target(cli, &pid);
		return err ? err : mw_vec_add(ret, pid) ? NULL : mw_err_nomem();
	}
	if (!cli->n_args)
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "which process? give pids");
	for (int i = 0; i < cli->n_args; i++) {
		if (!parse_pid(cli->args[i], &pid))
			return mw_err_new(MW_ERR_USAGE, 0, cli->args[i], "%s is no pid",
					  cli->args[i]);
		if (!mw_vec_add(ret, pid))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_ids *pids,
			   const struct mw_pmap_opts *pmap)
{
	mw_auto_buf problems = { 0 };
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	for (size_t i = 0; !err && i < pids->n && !mw_out_failed(out); i++)
		err = show_one(cli, out, pids->items[i], pmap, &problems);
	err = mw_cli_finish(out, err);
	if (err || !problems.len)
		return err;
	return mw_err_new(MW_ERR_DENIED, 0, NULL, "%s", mw_buf_str(&problems));
}

static struct mw_err *show_all(struct mw_cli *cli, enum mw_opt_id mode,
			       struct mw_arena *arena)
{
	struct mw_pmap_opts pmap;
	struct mw_ids pids = { 0 };
	struct mw_err *err = take_pids(cli, &pids);
	if (!err)
		err = take_opts(cli, mode, arena, &pmap);
	if (!err)
		err = show(cli, &pids, &pmap);
	mw_vec_deinit(&pids);
	return err;
}

static struct mw_err *create(struct mw_cli *cli, enum mw_opt_id mode,
			     struct mw_arena *arena)
{
	const char *path = cli->opts.value[MW_OPT_PMAP_NEW_RC_TO];
	struct mw_err *err = NULL;
	if (cli->n_args)
		return mw_err_new(MW_ERR_USAGE, 0, cli->args[0],
				  "with -n and -N no process can be named");
	if (mode == MW_OPT_PMAP_NEW_RC)
		err = own_rc(arena, &path);
	if (!err)
		err = mw_pmap_rc_create(path);
	if (!err)
		fprintf(stderr, "%s is there; edit it as you like\n", path);
	return err;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_arena arena = { 0 };
	enum mw_opt_id mode;
	struct mw_err *err = take_mode(&cli->opts, &mode);
	if (!err)
		err = mode == MW_OPT_PMAP_NEW_RC || mode == MW_OPT_PMAP_NEW_RC_TO
			      ? create(cli, mode, &arena)
			      : show_all(cli, mode, &arena);
	mw_arena_deinit(&arena);
	if (err && !cli->status && !mw_err_is_closed_pipe(err))
		cli->status = EXIT_PROBLEM;
	return err;
}

const struct mw_cmd mw_cmd_pmap = {
	.name = "pmap",
	.summary = "the tables of procps' pmap, to the byte (also: map --pmap)",
	.usage = "[OPTION...] PID...",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 1 << 20,
	.opts = opts,
	.common = common,
	.usage_status = EXIT_PROBLEM,
	.run = run,
};
