// SPDX-License-Identifier: MIT
/* The text window: a command's answer, or the help. */
#include "tui/impl.h"

#include "out/utf8.h"

#include <string.h>

static const char help_text[] =
	"Processes by what they truly cost.\n"
	"\n"
	"Pss     fair share: shared pages divided among those who have them\n"
	"USS     what nobody else has: it comes back when the process ends\n"
	"swap    moved to swap          Rss     resident, shared pages in full\n"
	"tables  page tables            flt/s   page faults a second\n"
	"grow/m  growth of Rss in a minute, since the last look\n"
	"\n"
	"sort    P Pss  U USS  R Rss  S swap  T tables  F faults  G growth\n"
	"        A age  I pid  N name; the same again: smallest first\n"
	"        F6 the next key; or a click on a heading\n"
	"rows    p processes  u by user  c by command  g by cgroup  f by file\n"
	"        F4 the next of them; t or F2 tree; K kernel threads too\n"
	"        / or F3 filter, Esc no filter; % shares; Space stop looking\n"
	"open    Enter why it is so big (a group: its processes); m or F5 its map\n"
	"move    arrows, j k, Page Up, Page Down, Home, End, the mouse\n"
	"leave   q or F10\n"
	"\n"
	"Figures with a dash could not be read: denied, or the budget of time\n"
	"for page tables (--budget) was spent. man memwhy-top tells more.\n";

static void open_window(struct mw_screen *screen, const char *title)
{
	screen->mode = MW_MODE_PAGER;
	screen->pager_title = title;
	screen->pager_top = 0;
	screen->pager_left = 0;
}

struct mw_err *mw_tui_help(struct mw_screen *screen)
{
	mw_buf_clear(&screen->pager);
	if (!mw_buf_add(&screen->pager, help_text, strlen(help_text)))
		return mw_err_nomem();
	open_window(screen, "help");
	return NULL;
}

struct mw_err *mw_tui_open(struct mw_screen *screen, const char *verb)
{
	const struct mw_fleet_row *row = mw_tui_row(screen);
	if (!row || !row->pid || !screen->opts.run)
		return NULL;
	mw_buf_clear(&screen->pager);
	struct mw_err *err = screen->opts.run(screen->opts.ctx, verb, row->pid,
					      (unsigned)COLS, &screen->pager);
	if (err && err->code == MW_ERR_NOMEM)
		return err;
	/* A process that ended, or is refused, is an answer too. */
	bool ok = !err || mw_buf_printf(&screen->pager, "%s\n", err->msg);
	mw_err_free(err);
	if (!ok)
		return mw_err_nomem();
	open_window(screen, verb);
	return NULL;
}

static size_t count_lines(const struct mw_buf *text)
{
	size_t n = 0;
	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

/* One line, made safe: an answer quotes names, and error messages are not escaped. */
static void draw_line(struct mw_screen *screen, int y, const char *line, size_t len)
{
	mw_auto_buf raw = { 0 }, safe = { 0 };
	size_t width = 0;
	if (!mw_buf_add(&raw, line, len) ||
	    !mw_escape_text(&safe, mw_buf_str(&raw), screen->opts.utf8, &width))
		return;
	size_t skip = mw_text_fit(mw_buf_str(&safe), safe.len, screen->pager_left);
	mw_tui_text(screen, y, 0, COLS, mw_buf_str(&safe) + skip);
}

void mw_tui_pager_draw(struct mw_screen *screen)
{
	const char *pos = mw_buf_str(&screen->pager), *end = pos + screen->pager.len;
	int height = LINES > 1 ? LINES - 1 : LINES;
	size_t n = 0;
	for (; pos < end; n++) {
		const char *eol = memchr(pos, '\n', (size_t)(end - pos));
		eol = eol ? eol : end;
		if (n >= screen->pager_top && n < screen->pager_top + (size_t)height)
			draw_line(screen, (int)(n - screen->pager_top), pos,
				  (size_t)(eol - pos));
		pos = eol < end ? eol + 1 : end;
	}
	if (LINES < 2)
		return;
	attron(A_REVERSE);
	mvhline(LINES - 1, 0, ' ', COLS);
	mw_tui_text(screen, LINES - 1, 0, COLS, screen->pager_title);
	mw_tui_text(screen, LINES - 1, (int)strlen(screen->pager_title) + 2,
		    COLS - (int)strlen(screen->pager_title) - 2,
		    "q back  arrows, Page Up, Page Down scroll");
	attroff(A_REVERSE);
}

static void scroll_by(struct mw_screen *screen, long lines)
{
	size_t height = LINES > 1 ? (size_t)LINES - 1 : 1;
	size_t n = count_lines(&screen->pager);
	size_t last = n > height ? n - height : 0;
	if (lines < 0 && screen->pager_top < (size_t)-lines)
		screen->pager_top = 0;
	else
		screen->pager_top += (size_t)lines;
	if (screen->pager_top > last)
		screen->pager_top = last;
}

static size_t longest_line(const struct mw_buf *text)
{
	const char *pos = mw_buf_str(text), *end = pos + text->len;
	size_t longest = 0;
	while (pos < end) {
		const char *eol = memchr(pos, '\n', (size_t)(end - pos));
		size_t len = (size_t)((eol ? eol : end) - pos);
		longest = len > longest ? len : longest;
		pos += len + 1;
	}
	return longest;
}

/* Half a screen sideways; to the left of everything is the table. */
static void scroll_sideways(struct mw_screen *screen, bool right)
{
	size_t step = COLS > 2 ? (size_t)COLS / 2 : 1;
	if (!right && !screen->pager_left)
		screen->mode = MW_MODE_TABLE;
	else if (!right)
		screen->pager_left -=
			step < screen->pager_left ? step : screen->pager_left;
	else if (screen->pager_left + (size_t)COLS < longest_line(&screen->pager))
		screen->pager_left += step;
}

static void scroll_code(struct mw_screen *screen, wint_t input)
{
	MEVENT event;
	long page = LINES > 2 ? LINES - 2 : 1;
	if (input == KEY_UP)
		scroll_by(screen, -1);
	else if (input == KEY_DOWN)
		scroll_by(screen, 1);
	else if (input == KEY_PPAGE)
		scroll_by(screen, -page);
	else if (input == KEY_NPAGE)
		scroll_by(screen, page);
	else if (input == KEY_HOME)
		screen->pager_top = 0;
	else if (input == KEY_END)
		scroll_by(screen, 1L << 40);
	else if (input == KEY_LEFT || input == KEY_RIGHT)
		scroll_sideways(screen, input == KEY_RIGHT);
	else if (input == KEY_F(10) || input == KEY_F(1))
		screen->mode = MW_MODE_TABLE;
	else if (input == KEY_MOUSE && getmouse(&event) == OK)
		scroll_by(screen, event.bstate & BUTTON4_PRESSED   ? -3
				  : event.bstate & BUTTON5_PRESSED ? 3
								   : 0);
}

void mw_tui_pager_input(struct mw_screen *screen, bool code, wint_t input)
{
	enum { ESCAPE = 27 };
	long page = LINES > 2 ? LINES - 2 : 1;
	if (code)
		scroll_code(screen, input);
	else if (input == 'q' || input == ESCAPE || input == 'h')
		screen->mode = MW_MODE_TABLE;
	else if (input == 'j' || input == '\n' || input == '\r')
		scroll_by(screen, 1);
	else if (input == 'k')
		scroll_by(screen, -1);
	else if (input == ' ')
		scroll_by(screen, page);
	else if (input == 'b')
		scroll_by(screen, -page);
}
