/* SPDX-License-Identifier: MIT */
/*
 * What the files of the screen share. ncurses has its own state; all of ours is in one
 * struct.
 */
#pragma once

#define NCURSES_WIDECHAR 1

#include "base/buf.h"
#include "base/units.h"
#include "tui/screen.h"

#include <curses.h>

enum mw_mode { MW_MODE_TABLE, MW_MODE_FILTER, MW_MODE_PAGER };

enum { MW_FILTER_LEN = 64, MW_TUI_COLS = 11 };

/* Colour pairs; colour is never the only sign. */
enum { MW_PAIR_PLAIN, MW_PAIR_GREW, MW_PAIR_SHRANK, MW_PAIR_UNREAD, MW_PAIR_BAR };

/* A column as it is laid out now. */
struct mw_tui_col {
	unsigned id; /* of the table in columns.c */
	int x, width;
};

struct mw_screen {
	struct mw_source *src;
	struct mw_screen_opts opts;
	struct mw_fleet *base, *now; /* the look before, which rates refer to; the last */
	size_t fetched;              /* rows that were asked for */
	size_t top, selected;        /* row numbers */
	pid_t pid;                   /* of the selected row */
	char name[64];               /* likewise */
	enum mw_mode mode;
	char filter[MW_FILTER_LEN];
	struct mw_buf pager; /* lines of the text window */
	const char *pager_title;
	size_t pager_top, pager_left; /* its first line and column on the screen */
	bool paused, quit;
	bool stale;   /* what is shown is not what was asked for: look before the next key
		       */
	bool pending; /* keys may be waiting inside curses */
	struct mw_tui_col cols[MW_TUI_COLS];
	size_t n_cols;
	struct mw_buf scratch;
};

/* Where things stand, for the size the terminal has now; -1: no room. */
struct mw_tui_places {
	int title, cost, heads, rows, n_rows, legend, bar;
};
struct mw_tui_places mw_tui_places(void);

/* Lays the columns out for a width. */
void mw_tui_columns(struct mw_screen *screen, int width);
/* The heading of a column, and the key it sorts by. */
const char *mw_tui_heading(const struct mw_screen *screen, const struct mw_tui_col *col);
enum mw_fleet_key mw_tui_key(const struct mw_tui_col *col);
/* Numbers stand right, words left. */
bool mw_tui_is_words(const struct mw_tui_col *col);
/* A cell's text, safe to show, in screen->scratch. False: no memory. */
bool mw_tui_cell(struct mw_screen *screen, const struct mw_tui_col *col,
		 const struct mw_fleet_row *row);

/* Draws everything. NOMEM. */
struct mw_err *mw_tui_draw(struct mw_screen *screen) MW_MUST_USE;

/* At (y, x), safe text cut to `width` columns. */
void mw_tui_text(const struct mw_screen *screen, int y, int x, int width,
		 const char *text);

/* A key, or a character when `code` is false. NOMEM. */
struct mw_err *mw_tui_input(struct mw_screen *screen, bool code,
			    wint_t input) MW_MUST_USE;

/* Numbers of the F keys in the bar: which stands at column x; 0: none. */
int mw_tui_bar_at(const struct mw_screen *screen, int x);

/* Opens the text window on a command's answer, on the help. NOMEM. */
struct mw_err *mw_tui_open(struct mw_screen *screen, const char *verb) MW_MUST_USE;
struct mw_err *mw_tui_help(struct mw_screen *screen) MW_MUST_USE;
void mw_tui_pager_draw(struct mw_screen *screen);
void mw_tui_pager_input(struct mw_screen *screen, bool code, wint_t input);

/* The selected row, or NULL. */
const struct mw_fleet_row *mw_tui_row(const struct mw_screen *screen);
/* Moves the selection, and what is shown with it. */
void mw_tui_select(struct mw_screen *screen, size_t row);
