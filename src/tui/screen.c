// SPDX-License-Identifier: MIT
/*
 * The loop: look, draw, wait for a key, a signal or the next look. Signals that end a
 * program are taken from a descriptor, so the terminal is restored on every way out.
 */
#include "tui/impl.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { INPUT, SIGNALS, N_FDS };

/* The row that was selected may stand elsewhere by now. */
static void find_selected(struct mw_screen *screen)
{
	const struct mw_fleet_rows *rows = &screen->now->rows;
	bool process = screen->opts.fleet.by == MW_BY_PROCESS;
	size_t at = screen->selected;
	for (size_t i = 0; (screen->pid || screen->name[0]) && i < rows->n; i++) {
		const struct mw_fleet_row *row = &rows->items[i];
		if (process ? row->pid == screen->pid
			    : !strncmp(row->name, screen->name,
				       sizeof(screen->name) - 1)) {
			at = i;
			break;
		}
	}
	/* At the top one watches the top, not a process. */
	if (screen->top == 0 && screen->selected == 0)
		at = 0;
	mw_tui_select(screen, at);
}

/*
 * `again`: at its time, so that rates refer to the look before from here on. A look in
 * between, for another order, keeps the old reference.
 */
static struct mw_err *look(struct mw_screen *screen, bool again)
{
	struct mw_tui_places p = mw_tui_places();
	size_t height = p.n_rows > 0 ? (size_t)p.n_rows : 1;
	struct mw_fleet *fleet;
	struct mw_fleet_opts opts = screen->opts.fleet;
	opts.watch = true;
	opts.n_rows = screen->top + height + height / 2;
	const struct mw_fleet *before = again ? screen->now : screen->base;
	struct mw_err *err = mw_fleet_take(screen->src, &opts, before, &fleet);
	if (err)
		return err;
	if (again) {
		mw_fleet_free(screen->base);
		screen->base = screen->now;
	} else {
		mw_fleet_free(screen->now);
	}
	screen->now = fleet;
	screen->fetched = opts.n_rows;
	screen->stale = false;
	find_selected(screen);
	/* Those that were to be seen are fewer now: one look more is not needed for it.
	 */
	if (fleet->rows.n >= fleet->n_groups)
		screen->stale = false;
	return NULL;
}

/* Keys that come at once act one after the other, each on what the last one made. */
static struct mw_err *take_keys(struct mw_screen *screen)
{
	wint_t input;
	int got = OK;
	struct mw_err *err = NULL;
	while (!err && !screen->quit && !screen->stale) {
		got = get_wch(&input);
		if (got == ERR)
			break;
		err = mw_tui_input(screen, got == KEY_CODE_YES, input);
	}
	screen->pending = got != ERR;
	return err;
}

/* Waits for a key, a signal (*sig) or the time of the next look. */
static struct mw_err *wait_for(struct mw_screen *screen, int signals, uint64_t due,
			       int *sig)
{
	struct pollfd fds[N_FDS] = {
		[INPUT] = { .fd = STDIN_FILENO, .events = POLLIN },
		[SIGNALS] = { .fd = signals, .events = POLLIN },
	};
	struct signalfd_siginfo info;
	uint64_t now = mw_now_ns();
	int ms = due > now ? (int)((due - now) / 1000000 + 1) : 0;
	int got = poll(fds, N_FDS, screen->pending ? 0 : ms);
	if (got < 0 && errno != EINTR)
		return mw_err_sys(errno, "terminal");
	if (got > 0 && (fds[SIGNALS].revents & POLLIN) &&
	    read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		*sig = (int)info.ssi_signo;
		screen->quit = true;
	} else if (got > 0 && (fds[INPUT].revents & (POLLHUP | POLLERR | POLLNVAL))) {
		screen->quit = true; /* the terminal is gone */
	}
	/* Interrupted: the window's size changed, and curses has a key for that. */
	return screen->quit ? NULL : take_keys(screen);
}

static struct mw_err *loop(struct mw_screen *screen, int signals, int *sig)
{
	const uint64_t pause = (uint64_t)screen->opts.seconds * 1000000000;
	struct mw_err *err = look(screen, false);
	uint64_t due = mw_now_ns() + pause;
	while (!err && !screen->quit) {
		bool again = mw_now_ns() >= due;
		bool idle = screen->paused || screen->mode == MW_MODE_PAGER;
		if (screen->stale || (again && !idle))
			err = look(screen, again);
		if (again)
			due = mw_now_ns() + pause;
		if (!err)
			err = mw_tui_draw(screen);
		if (!err)
			err = wait_for(screen, signals, due, sig);
	}
	return err;
}

static void begin(struct mw_screen *screen)
{
	set_escdelay(25);
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	mousemask(BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON4_PRESSED | BUTTON5_PRESSED,
		  NULL);
	mouseinterval(0);
	screen->opts.colour = screen->opts.colour && has_colors();
	if (!screen->opts.colour)
		return;
	start_color();
	use_default_colors();
	init_pair(MW_PAIR_GREW, COLOR_RED, -1);
	init_pair(MW_PAIR_SHRANK, COLOR_GREEN, -1);
	init_pair(MW_PAIR_UNREAD, COLOR_CYAN, -1);
}

static struct mw_err *show(struct mw_screen *screen, int signals, int *sig)
{
	SCREEN *terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "terminal",
				  "this terminal cannot show a screen");
	begin(screen);
	struct mw_err *err = loop(screen, signals, sig);
	endwin();
	delscreen(terminal);
	return err;
}

struct mw_err *mw_screen_run(struct mw_source *src, const struct mw_screen_opts *opts,
			     int *sig)
{
	struct mw_screen screen = { .src = src, .opts = *opts };
	sigset_t ours, before;
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGQUIT);
	if (opts->fleet.filter)
		strncat(screen.filter, opts->fleet.filter, sizeof(screen.filter) - 1);
	screen.opts.fleet.filter = screen.filter[0] ? screen.filter : NULL;
	*sig = 0;
	int signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return mw_err_sys(errno, "signals");
	sigprocmask(SIG_BLOCK, &ours, &before);
	struct mw_err *err = show(&screen, signals, sig);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(signals);
	mw_fleet_free(screen.base);
	mw_fleet_free(screen.now);
	mw_buf_deinit(&screen.pager);
	mw_buf_deinit(&screen.scratch);
	return err;
}
