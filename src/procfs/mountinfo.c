// SPDX-License-Identifier: MIT
#include "procfs/mountinfo.h"

#include "base/num.h"

#include <string.h>

/* Moves past one word and the blank after it; false at the end of the line. */
static bool skip_word(const char **pos, const char *eol)
{
	const char *blank = memchr(*pos, ' ', (size_t)(eol - *pos));
	if (!blank)
		return false;
	*pos = blank + 1;
	return true;
}

/* "36 35 98:0 /root /mount opts [tag]... - type source super": the device of a line. */
static bool take_dev(const char **pos, const char *eol, uint64_t *ret)
{
	uint64_t major, minor;
	if (!skip_word(pos, eol) || !skip_word(pos, eol) ||
	    !mw_take_dec(pos, eol, &major) || !mw_take_char(pos, eol, ':') ||
	    !mw_take_dec(pos, eol, &minor) || !mw_take_char(pos, eol, ' '))
		return false;
	if (major >> 44 || minor >> 20)
		return false;
	*ret = major << 20 | minor;
	return true;
}

/*
 * The type stands after the word "-" that ends the optional tags. Blanks in paths are
 * escaped (\040), so words are counted safely: root, mount point, options come first.
 */
static bool take_type(const char *pos, const char *eol, char *type, size_t type_len)
{
	for (int i = 0; i < 3; i++)
		if (!skip_word(&pos, eol))
			return false;
	while (eol - pos < 2 || pos[0] != '-' || pos[1] != ' ')
		if (!skip_word(&pos, eol))
			return false;
	pos += 2;
	const char *stop = memchr(pos, ' ', (size_t)(eol - pos));
	size_t len = (size_t)((stop ? stop : eol) - pos);
	if (!len || len >= type_len)
		return false;
	memcpy(type, pos, len);
	type[len] = '\0';
	return true;
}

bool mw_mountinfo_fstype(const char *text, size_t len, uint64_t dev, char *type,
			 size_t type_len)
{
	const char *pos = text, *end = text + len;
	while (pos < end) {
		const char *eol = mw_line_end(pos, end);
		uint64_t line_dev;
		if (take_dev(&pos, eol, &line_dev) && line_dev == dev &&
		    take_type(pos, eol, type, type_len))
			return true;
		pos = eol < end ? eol + 1 : end;
	}
	return false;
}
