// SPDX-License-Identifier: MIT
#include "cli/terminal.h"

#include "base/num.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct mw_err *format_option(const struct mw_opt_values *values,
				    enum mw_format *ret)
{
	static const enum mw_opt_id ids[] = { MW_OPT_JSON, MW_OPT_NDJSON, MW_OPT_CSV,
					      MW_OPT_END };
	enum mw_opt_id id;
	struct mw_err *err = mw_opt_one_of(values, ids, &id);
	*ret = id == MW_OPT_JSON     ? MW_FORMAT_JSON
	       : id == MW_OPT_NDJSON ? MW_FORMAT_NDJSON
	       : id == MW_OPT_CSV    ? MW_FORMAT_CSV
				     : MW_FORMAT_TEXT;
	return err;
}

static struct mw_err *unit_option(const struct mw_opt_values *values, enum mw_unit *ret)
{
	static const enum mw_opt_id ids[] = { MW_OPT_BYTES, MW_OPT_KIB, MW_OPT_MIB,
					      MW_OPT_GIB, MW_OPT_END };
	enum mw_opt_id id;
	struct mw_err *err = mw_opt_one_of(values, ids, &id);
	*ret = id ? (enum mw_unit)(MW_UNIT_B + (id - MW_OPT_BYTES)) : MW_UNIT_AUTO;
	return err;
}

/* no-color.org: any non-empty value switches colour off; --color overrides it. */
static struct mw_err *colour_option(const struct mw_opt_values *values, bool tty,
				    bool *ret)
{
	const char *when = values->value[MW_OPT_COLOR];
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	*ret = tty && !(no_color && no_color[0]) && !(term && !strcmp(term, "dumb"));
	if (!when || !strcmp(when, "auto"))
		return NULL;
	if (!strcmp(when, "always") || !when[0])
		*ret = true;
	else if (!strcmp(when, "never"))
		*ret = false;
	else
		return mw_err_new(MW_ERR_USAGE, 0, when,
				  "--color: %s is none of auto, always, never", when);
	return NULL;
}

/* The window's width; COLUMNS overrides it, also where there is no window. */
static unsigned terminal_width(bool tty)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;
	if (columns && mw_parse_u64(columns, &n) && n > 0 && n <= 10000)
		return (unsigned)n;
	if (tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return tty ? 80 : 0;
}

unsigned mw_terminal_height(void)
{
	const char *lines = getenv("LINES");
	struct winsize size;
	uint64_t n;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (lines && mw_parse_u64(lines, &n) && n > 0 && n <= 10000)
		return (unsigned)n;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row)
		return size.ws_row;
	return 24;
}

struct mw_err *mw_terminal_opts(const struct mw_opt_values *values,
				struct mw_out_opts *ret)
{
	bool tty = isatty(STDOUT_FILENO);
	struct mw_err *err = format_option(values, &ret->format);
	if (!err)
		err = unit_option(values, &ret->unit);
	if (!err)
		err = colour_option(values, tty, &ret->colour);
	ret->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	ret->width = terminal_width(tty);
	return err;
}

bool mw_err_is_closed_pipe(const struct mw_err *err)
{
	return err->errnum == EPIPE;
}

/* A message may quote a name that somebody else chose: no control reaches the terminal.
 */
void mw_terminal_tell(const char *msg)
{
	fputs("memwhy: ", stderr);
	for (; *msg; msg++) {
		unsigned char c = (unsigned char)*msg, next = (unsigned char)msg[1];
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
		bool control = (c < ' ' && c != '\n') || c == 0x7f || c1;
		fputc(control ? '?' : c, stderr);
		msg += c1;
	}
	fputc('\n', stderr);
}
