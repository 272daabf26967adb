// SPDX-License-Identifier: MIT
/* What keys and the mouse do. */
#include "tui/impl.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { ESCAPE = 27, DELETE = 127 };

const struct mw_fleet_row *mw_tui_row(const struct mw_screen *screen)
{
	const struct mw_fleet_rows *rows = &screen->now->rows;
	return screen->selected < rows->n ? &rows->items[screen->selected] : NULL;
}

void mw_tui_select(struct mw_screen *screen, size_t row)
{
	struct mw_tui_places p = mw_tui_places();
	size_t height = p.n_rows > 0 ? (size_t)p.n_rows : 1;
	size_t last = screen->now->n_groups ? screen->now->n_groups - 1 : 0;
	screen->selected = row < last ? row : last;
	if (screen->selected < screen->top)
		screen->top = screen->selected;
	if (screen->selected >= screen->top + height)
		screen->top = screen->selected - height + 1;
	if (screen->top + height > screen->fetched)
		screen->stale = true;
	const struct mw_fleet_row *now = mw_tui_row(screen);
	screen->pid = now ? now->pid : 0;
	screen->name[0] = '\0';
	if (now)
		strncat(screen->name, now->name, sizeof(screen->name) - 1);
}

static void move_by(struct mw_screen *screen, long by)
{
	size_t at = screen->selected;
	if (by < 0)
		at = at > (size_t)-by ? at - (size_t)-by : 0;
	else
		at += (size_t)by;
	mw_tui_select(screen, at);
}

static void to_top(struct mw_screen *screen)
{
	screen->top = screen->selected = 0;
	screen->pid = 0;
	screen->name[0] = '\0';
	screen->stale = true;
}

/* The same key again turns the order round. */
static void sort_by(struct mw_screen *screen, enum mw_fleet_key key)
{
	struct mw_fleet_opts *opts = &screen->opts.fleet;
	opts->reverse = opts->key == key && !opts->reverse;
	opts->key = key;
	to_top(screen);
}

static void group_by(struct mw_screen *screen, enum mw_fleet_by by)
{
	screen->opts.fleet.by = by;
	screen->opts.fleet.tree = false;
	to_top(screen);
}

static void toggle_tree(struct mw_screen *screen)
{
	bool tree = !screen->opts.fleet.tree;
	group_by(screen, MW_BY_PROCESS);
	screen->opts.fleet.tree = tree;
}

static void set_filter(struct mw_screen *screen)
{
	screen->opts.fleet.filter = screen->filter[0] ? screen->filter : NULL;
	to_top(screen);
}

/* Of a user or a command the processes; of a process why it is so big. */
static struct mw_err *enter(struct mw_screen *screen)
{
	const struct mw_fleet_row *row = mw_tui_row(screen);
	enum mw_fleet_by by = screen->opts.fleet.by;
	if (by == MW_BY_PROCESS)
		return mw_tui_open(screen, "why");
	if (!row || (by != MW_BY_USER && by != MW_BY_COMMAND))
		return NULL;
	screen->filter[0] = '\0';
	strncat(screen->filter, row->name, sizeof(screen->filter) - 1);
	group_by(screen, MW_BY_PROCESS);
	set_filter(screen);
	return NULL;
}

static bool sort_letter(struct mw_screen *screen, wint_t input)
{
	static const char letters[] = "PURSTFGAIN"; /* in the order of the keys */
	const enum mw_fleet_key keys[] = {
		MW_RANK_PSS,    MW_RANK_USS,    MW_RANK_RSS, MW_RANK_SWAP, MW_RANK_TABLES,
		MW_RANK_FAULTS, MW_RANK_GROWTH, MW_RANK_AGE, MW_RANK_PID,  MW_RANK_NAME,
	};
	for (size_t i = 0; letters[i]; i++) {
		if (input != (wint_t)letters[i])
			continue;
		sort_by(screen, keys[i]);
		return true;
	}
	return false;
}

static bool group_letter(struct mw_screen *screen, wint_t input)
{
	static const char letters[MW_BY_COUNT + 1] = "pucgf";
	for (unsigned i = 0; i < MW_BY_COUNT; i++) {
		if (input != (wint_t)letters[i])
			continue;
		group_by(screen, i);
		return true;
	}
	return false;
}

static struct mw_err *letter(struct mw_screen *screen, wint_t input)
{
	if (sort_letter(screen, input) || group_letter(screen, input))
		return NULL;
	switch (input) {
	case 'q':
		screen->quit = true;
		break;
	case 'h':
	case '?':
		return mw_tui_help(screen);
	case 'm':
		return mw_tui_open(screen, "map");
	case '\n':
	case '\r':
		return enter(screen);
	case '/':
		screen->mode = MW_MODE_FILTER;
		break;
	case ESCAPE:
		screen->filter[0] = '\0';
		set_filter(screen);
		break;
	case 't':
		toggle_tree(screen);
		break;
	case 'K':
		screen->opts.fleet.kernel = !screen->opts.fleet.kernel;
		to_top(screen);
		break;
	case '%':
		screen->opts.percent = !screen->opts.percent;
		break;
	case ' ':
		screen->paused = !screen->paused;
		break;
	case 'j':
		move_by(screen, 1);
		break;
	case 'k':
		move_by(screen, -1);
		break;
	default:
		break;
	}
	return NULL;
}

static struct mw_err *function_key(struct mw_screen *screen, int number)
{
	const struct mw_fleet_opts *opts = &screen->opts.fleet;
	switch (number) {
	case 1:
		return mw_tui_help(screen);
	case 2:
		toggle_tree(screen);
		break;
	case 3:
		screen->mode = MW_MODE_FILTER;
		break;
	case 4:
		group_by(screen, (opts->by + 1) % MW_BY_COUNT);
		break;
	case 5:
		return mw_tui_open(screen, "map");
	case 6:
		sort_by(screen, (opts->key + 1) % MW_RANK_COUNT);
		break;
	case 10:
		screen->quit = true;
		break;
	default:
		break;
	}
	return NULL;
}

/* A heading sorts, a row is selected, a selected row opens, the bar is the F keys. */
static struct mw_err *click(struct mw_screen *screen, int y, int x)
{
	struct mw_tui_places p = mw_tui_places();
	if (y == p.bar)
		return function_key(screen, mw_tui_bar_at(screen, x));
	if (y == p.heads) {
		for (size_t i = screen->n_cols; i-- > 0;) {
			if (x < screen->cols[i].x)
				continue;
			sort_by(screen, mw_tui_key(&screen->cols[i]));
			break;
		}
		return NULL;
	}
	if (y < p.rows || y >= p.rows + p.n_rows)
		return NULL;
	size_t row = screen->top + (size_t)(y - p.rows);
	if (row == screen->selected)
		return enter(screen);
	if (row < screen->now->rows.n)
		mw_tui_select(screen, row);
	return NULL;
}

static struct mw_err *mouse_event(struct mw_screen *screen, const MEVENT *event)
{
	if (event->bstate & BUTTON4_PRESSED)
		move_by(screen, -3);
	else if (event->bstate & BUTTON5_PRESSED)
		move_by(screen, 3);
	else if (event->bstate & (BUTTON1_PRESSED | BUTTON1_CLICKED))
		return click(screen, event->y, event->x);
	return NULL;
}

/* Events that come at once are one key; curses gives the last of them first. */
static struct mw_err *mouse(struct mw_screen *screen)
{
	enum { AT_ONCE = 8 };
	MEVENT events[AT_ONCE];
	size_t n = 0;
	struct mw_err *err = NULL;
	while (n < AT_ONCE && getmouse(&events[n]) == OK)
		n++;
	while (n > 0 && !err)
		err = mouse_event(screen, &events[--n]);
	return err;
}

static struct mw_err *special(struct mw_screen *screen, wint_t input)
{
	struct mw_tui_places p = mw_tui_places();
	long page = p.n_rows > 1 ? p.n_rows - 1 : 1;
	switch (input) {
	case KEY_UP:
		move_by(screen, -1);
		break;
	case KEY_DOWN:
		move_by(screen, 1);
		break;
	case KEY_PPAGE:
		move_by(screen, -page);
		break;
	case KEY_NPAGE:
		move_by(screen, page);
		break;
	case KEY_HOME:
		mw_tui_select(screen, 0);
		break;
	case KEY_END:
		mw_tui_select(screen, SIZE_MAX);
		break;
	case KEY_ENTER:
		return enter(screen);
	case KEY_MOUSE:
		return mouse(screen);
	default:
		if (input > KEY_F0 && input <= KEY_F(12))
			return function_key(screen, (int)(input - KEY_F0));
	}
	return NULL;
}

/* Takes the last character off, all of its bytes. */
static void rub_out(struct mw_screen *screen)
{
	size_t len = strlen(screen->filter);
	while (len && ((unsigned char)screen->filter[len - 1] & 0xc0) == 0x80)
		len--;
	screen->filter[len ? len - 1 : 0] = '\0';
}

static void type(struct mw_screen *screen, wint_t input)
{
	char bytes[16];
	mbstate_t state = { 0 };
	size_t len = strlen(screen->filter), n = wcrtomb(bytes, (wchar_t)input, &state);
	if (n == (size_t)-1 || input < ' ' || len + n >= sizeof(screen->filter))
		return;
	memcpy(screen->filter + len, bytes, n);
	screen->filter[len + n] = '\0';
}

static void edit(struct mw_screen *screen, bool code, wint_t input)
{
	if (code && input == KEY_BACKSPACE)
		rub_out(screen);
	else if (code && input != KEY_ENTER)
		return;
	else if (code || input == '\n' || input == '\r')
		screen->mode = MW_MODE_TABLE;
	else if (input == DELETE || input == '\b')
		rub_out(screen);
	else if (input == ESCAPE)
		screen->filter[0] = '\0', screen->mode = MW_MODE_TABLE;
	else
		type(screen, input);
	set_filter(screen);
}

struct mw_err *mw_tui_input(struct mw_screen *screen, bool code, wint_t input)
{
	if (code && input == KEY_RESIZE) {
		if (screen->mode != MW_MODE_PAGER)
			mw_tui_select(screen, screen->selected);
		return NULL;
	}
	if (screen->mode == MW_MODE_PAGER) {
		mw_tui_pager_input(screen, code, input);
		return NULL;
	}
	if (screen->mode == MW_MODE_FILTER) {
		edit(screen, code, input);
		return NULL;
	}
	return code ? special(screen, input) : letter(screen, input);
}
