// SPDX-License-Identifier: MIT
/* Opens the screen of `memwhy top`, and runs other commands for it. */
#include "cli/terminal.h"
#include "cli/top/top.h"
#include "view/top/top.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef MW_TUI
#include "base/buf.h"
#include "tui/screen.h"

/* Runs `why` or `map` with a source of its own: what this one keeps open may be old. */
static struct mw_err *run_command(void *ctx, const char *verb, pid_t pid, unsigned width,
				  struct mw_buf *text)
{
	const struct mw_cli *cli = ctx;
	const struct mw_cmd *cmd = strcmp(verb, "map") == 0 ? &mw_cmd_map : &mw_cmd_why;
	const char *root = cli->opts.value[MW_OPT_ROOT];
	char number[16], *args[] = { number, NULL };
	char *bytes = NULL;
	size_t len = 0;
	snprintf(number, sizeof(number), "%d", (int)pid);
	struct mw_cli sub = { .args = args, .n_args = 1, .out_opts = cli->out_opts };
	sub.opts.value[MW_OPT_ROOT] = root;
	sub.out_opts.colour = false;
	sub.out_opts.width = width;
	struct mw_err *err = root ? mw_source_open_tree(root, &sub.src)
				  : mw_source_open_live(&sub.src);
	if (err)
		return err;
	sub.to = open_memstream(&bytes, &len);
	err = sub.to ? cmd->run(&sub) : mw_err_nomem();
	if (sub.to && fclose(sub.to) == 0 && len && !mw_buf_add(text, bytes, len) && !err)
		err = mw_err_nomem();
	free(bytes);
	mw_source_close(sub.src);
	return err;
}

/* Ncurses would draw on it all the same, each screen below the last. */
static bool is_dumb(void)
{
	const char *term = getenv("TERM");
	return term && !strcmp(term, "dumb");
}

bool mw_top_has_screen(const struct mw_cli *cli)
{
	return cli->out_opts.format == MW_FORMAT_TEXT && !is_dumb() &&
	       isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
	       !mw_opt_set(&cli->opts, MW_OPT_TOP_ONCE) &&
	       !mw_opt_set(&cli->opts, MW_OPT_TOP_COLUMNS) &&
	       !mw_opt_set(&cli->opts, MW_OPT_COUNT_TIMES);
}

struct mw_err *mw_top_screen(struct mw_cli *cli, const struct mw_top_opts *view,
			     const struct mw_top_pace *pace)
{
	struct mw_screen_opts opts = {
		.fleet = *view->fleet,
		.seconds = pace->seconds,
		.colour = cli->out_opts.colour,
		.utf8 = cli->out_opts.utf8,
		.percent = view->percent,
		.total = view->total,
		.run = run_command,
		.ctx = cli,
	};
	int sig;
	struct mw_err *err = mw_screen_run(cli->src, &opts, &sig);
	if (!sig)
		return err;
	mw_err_free(err);
	mw_source_close(cli->src);
	cli->src = NULL;
	/* Ends as the sender meant it, with the terminal restored. */
	signal(sig, SIG_DFL);
	raise(sig);
	return NULL;
}
#else
bool mw_top_has_screen(const struct mw_cli *cli)
{
	if (cli->out_opts.format == MW_FORMAT_TEXT && isatty(STDOUT_FILENO) &&
	    !mw_opt_set(&cli->opts, MW_OPT_TOP_ONCE) &&
	    !mw_opt_set(&cli->opts, MW_OPT_WATCH))
		mw_terminal_tell("built without ncurses: no screen, --watch looks again");
	return false;
}

struct mw_err *mw_top_screen(struct mw_cli *cli, const struct mw_top_opts *view,
			     const struct mw_top_pace *pace)
{
	(void)cli, (void)view, (void)pace;
	return mw_err_new(MW_ERR_UNSUPPORTED, 0, "screen", "built without ncurses");
}
#endif
