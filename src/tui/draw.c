// SPDX-License-Identifier: MIT
/* Drawing: title, what the look cost, headings, rows, legend, the bar of F keys. */
#include "tui/impl.h"

#include "out/utf8.h"
#include "view/top/top.h"

#include <stdio.h>
#include <string.h>

struct mw_tui_places mw_tui_places(void)
{
	int height = LINES;
	struct mw_tui_places p = { -1, -1, -1, 0, 0, -1, -1 };
	int at = 0;
	if (height >= 4)
		p.title = at++;
	if (height >= 8)
		p.cost = at++;
	if (height >= 3)
		p.heads = at++;
	p.rows = at;
	if (height >= 2)
		p.bar = --height;
	if (height >= 12)
		p.legend = --height;
	p.n_rows = height > at ? height - at : 0;
	return p;
}

void mw_tui_text(const struct mw_screen *screen, int y, int x, int width,
		 const char *text)
{
	mw_auto_buf cut = { 0 };
	size_t len = strlen(text);
	if (y < 0 || width <= 0 || x >= COLS)
		return;
	if (mw_text_width(text, len) <= (size_t)width)
		mvaddstr(y, x, text);
	else if (mw_cut_text(&cut, text, len, (size_t)width, screen->opts.utf8))
		mvaddstr(y, x, mw_buf_str(&cut));
}

static void fill(int y)
{
	mvhline(y, 0, ' ', COLS);
}

/* What is listed, in one line. */
static bool title_words(const struct mw_screen *screen, struct mw_buf *text)
{
	const struct mw_fleet *now = screen->now;
	const struct mw_fleet_opts *opts = &screen->opts.fleet;
	char pss[MW_UNITS_LEN], rest[MW_UNITS_LEN];
	bool ok = mw_buf_printf(text, "memwhy top: %zu processes", now->all.n);
	if (ok && now->total.pss != MW_FLEET_UNKNOWN)
		ok = mw_buf_printf(text, ", %zu hold %s", now->n_read,
				   mw_units_bytes(now->total.pss, MW_UNIT_AUTO, pss));
	if (ok && now->unread_rss)
		ok = mw_buf_printf(text, ", others <= %s",
				   mw_units_bytes(now->unread_rss, MW_UNIT_AUTO, rest));
	if (ok && opts->by != MW_BY_PROCESS)
		ok = mw_buf_printf(text, "; %zu by %s", now->n_groups,
				   mw_fleet_by_name(opts->by));
	return ok && mw_buf_printf(text, "; by %s%s%s", mw_fleet_key_name(opts->key),
				   opts->tree ? ", tree" : "",
				   screen->paused ? ", paused" : "");
}

static struct mw_err *draw_head(struct mw_screen *screen, const struct mw_tui_places *p)
{
	mw_auto_buf title = { 0 }, cost = { 0 };
	size_t width = 0;
	if (!title_words(screen, &title))
		return mw_err_nomem();
	attron(A_BOLD);
	mw_tui_text(screen, p->title, 0, COLS, mw_buf_str(&title));
	attroff(A_BOLD);
	struct mw_err *err = mw_top_cost(screen->now, &screen->opts.fleet, &cost);
	if (err)
		return err;
	mw_buf_clear(&title);
	if (screen->filter[0] &&
	    !(mw_buf_printf(&title, "filter ") &&
	      mw_escape_text(&title, screen->filter, screen->opts.utf8, &width) &&
	      mw_buf_printf(&title, "; ")))
		return mw_err_nomem();
	if (!mw_buf_printf(&title, "%s", mw_buf_str(&cost)))
		return mw_err_nomem();
	mw_tui_text(screen, p->cost, 0, COLS, mw_buf_str(&title));
	return NULL;
}

/* The column that rows are sorted by has a mark beside it where there is room. */
static void draw_heading(const struct mw_screen *screen, const struct mw_tui_col *col,
			 int y)
{
	const char *words = mw_tui_heading(screen, col);
	const struct mw_fleet_opts *opts = &screen->opts.fleet;
	bool sorted = mw_tui_key(col) == opts->key &&
		      !(col->width == 8 && opts->key == MW_RANK_NAME);
	int len = (int)strlen(words) + (sorted ? 1 : 0);
	int x = col->x +
		(mw_tui_is_words(col) || len > col->width ? 0 : col->width - len);
	if (sorted)
		attron(A_BOLD | A_UNDERLINE);
	mw_tui_text(screen, y, x, col->width, words);
	if (sorted && len <= col->width)
		addstr(screen->opts.utf8 ? (opts->reverse ? "▲" : "▼")
					 : (opts->reverse ? "^" : "v"));
	attroff(A_BOLD | A_UNDERLINE);
}

static void draw_heads(const struct mw_screen *screen, int y)
{
	if (y < 0)
		return;
	attron(A_REVERSE);
	fill(y);
	for (size_t i = 0; i < screen->n_cols; i++) {
		attron(A_REVERSE);
		draw_heading(screen, &screen->cols[i], y);
	}
	attroff(A_REVERSE);
}

static unsigned pair_of(const struct mw_fleet_row *row)
{
	if (row->has_growth && row->growth > 0)
		return MW_PAIR_GREW;
	if (row->has_growth && row->growth < 0)
		return MW_PAIR_SHRANK;
	return row->pss == MW_FLEET_UNKNOWN ? MW_PAIR_UNREAD : MW_PAIR_PLAIN;
}

static bool draw_row(struct mw_screen *screen, const struct mw_fleet_row *row, int y,
		     bool selected)
{
	attr_t attr = selected ? A_REVERSE : A_NORMAL;
	unsigned pair = screen->opts.colour ? pair_of(row) : MW_PAIR_PLAIN;
	bool ok = true;
	attron(attr);
	if (pair)
		attron(COLOR_PAIR(pair));
	if (selected)
		fill(y);
	for (size_t i = 0; ok && i < screen->n_cols; i++) {
		const struct mw_tui_col *col = &screen->cols[i];
		ok = mw_tui_cell(screen, col, row);
		const char *text = mw_buf_str(&screen->scratch);
		int wide = (int)mw_text_width(text, screen->scratch.len);
		bool left = mw_tui_is_words(col) || wide > col->width;
		mw_tui_text(screen, y, col->x + (left ? 0 : col->width - wide),
			    col->width, text);
	}
	attrset(A_NORMAL);
	return ok;
}

static struct mw_err *draw_rows(struct mw_screen *screen, const struct mw_tui_places *p)
{
	const struct mw_fleet_rows *rows = &screen->now->rows;
	for (int i = 0; i < p->n_rows && screen->top + (size_t)i < rows->n; i++) {
		size_t at = screen->top + (size_t)i;
		if (!draw_row(screen, &rows->items[at], p->rows + i,
			      at == screen->selected))
			return mw_err_nomem();
	}
	if (!rows->n)
		mw_tui_text(screen, p->rows, 0, p->n_rows ? COLS : 0,
			    screen->filter[0] ? "nothing fits the filter"
					      : "nothing here");
	return NULL;
}

/* Each sign with what it means, in its own colour. */
static void draw_legend(const struct mw_screen *screen, int y)
{
	static const struct {
		unsigned pair;
		const char *words, *ascii;
	} signs[] = {
		{ MW_PAIR_GREW, "+ grew", "+ grew" },
		{ MW_PAIR_SHRANK, "- shrank", "- shrank" },
		{ MW_PAIR_UNREAD, "– denied or not read", "- alone: denied or not read" },
	};
	int x = 0;
	for (size_t i = 0; y >= 0 && i < sizeof(signs) / sizeof(*signs); i++) {
		const char *words = screen->opts.utf8 ? signs[i].words : signs[i].ascii;
		if (screen->opts.colour)
			attron(COLOR_PAIR(signs[i].pair));
		mw_tui_text(screen, y, x, COLS - x, words);
		attrset(A_NORMAL);
		x += (int)mw_text_width(words, strlen(words)) + 3;
	}
	if (y >= 0)
		mw_tui_text(screen, y, x, COLS - x, "K M G: powers of 1024");
}

static const struct {
	int key;
	const char *words;
} bar[] = {
	{ 1, "help" }, { 2, "tree" }, { 3, "filter" }, { 4, "group" },
	{ 5, "map" },  { 6, "sort" }, { 10, "quit" },
};
enum { N_BAR = sizeof(bar) / sizeof(*bar) };

/* On a narrow terminal the F and the words are the first to go. */
static int bar_text(size_t i, char *buf, size_t len)
{
	bool whole = COLS >= 64;
	return snprintf(buf, len, whole ? "F%d %s" : "%d%.4s", bar[i].key, bar[i].words);
}

int mw_tui_bar_at(const struct mw_screen *screen, int x)
{
	char buf[32];
	int at = 0;
	for (size_t i = 0; screen->mode == MW_MODE_TABLE && i < N_BAR; i++) {
		int wide = bar_text(i, buf, sizeof(buf));
		if (x >= at && x < at + wide)
			return bar[i].key;
		at += wide + (COLS >= 64 ? 2 : 1);
	}
	return 0;
}

static void draw_keys(const struct mw_screen *screen, int y)
{
	char buf[32];
	int at = 0;
	for (size_t i = 0; i < N_BAR && at < COLS; i++) {
		int wide = bar_text(i, buf, sizeof(buf));
		mw_tui_text(screen, y, at, COLS - at, buf);
		at += wide + (COLS >= 64 ? 2 : 1);
	}
	if (COLS >= 76)
		mw_tui_text(screen, y, at, COLS - at, "Enter why");
}

static struct mw_err *draw_bar(const struct mw_screen *screen, int y)
{
	mw_auto_buf text = { 0 };
	size_t width = 0;
	if (y < 0)
		return NULL;
	attron(A_REVERSE);
	fill(y);
	if (screen->mode == MW_MODE_FILTER) {
		if (!mw_buf_printf(&text, "/") ||
		    !mw_escape_text(&text, screen->filter, screen->opts.utf8, &width))
			return mw_err_nomem();
		mw_tui_text(screen, y, 0, COLS, mw_buf_str(&text));
	} else {
		draw_keys(screen, y);
	}
	attroff(A_REVERSE);
	return NULL;
}

static struct mw_err *draw_table(struct mw_screen *screen)
{
	struct mw_tui_places p = mw_tui_places();
	mw_tui_columns(screen, COLS);
	struct mw_err *err = draw_head(screen, &p);
	if (err)
		return err;
	draw_heads(screen, p.heads);
	err = draw_rows(screen, &p);
	if (err)
		return err;
	draw_legend(screen, p.legend);
	return draw_bar(screen, p.bar);
}

struct mw_err *mw_tui_draw(struct mw_screen *screen)
{
	struct mw_err *err = NULL;
	erase();
	if (screen->mode == MW_MODE_PAGER)
		mw_tui_pager_draw(screen);
	else
		err = draw_table(screen);
	refresh();
	return err;
}
