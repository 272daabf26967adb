// SPDX-License-Identifier: MIT
#include "procfs/keyed.h"

#include "base/num.h"

#include <string.h>

/* Where what follows the key begins; NULL when the line is another one's. */
static const char *after_key(const char *line, const char *end, const char *key)
{
	size_t len = strlen(key);
	if ((size_t)(end - line) <= len || memcmp(line, key, len) != 0)
		return NULL;
	return line[len] == ':' || line[len] == ' ' ? line + len + 1 : NULL;
}

static const char *find_line(const char *text, size_t len, const char *key,
			     const char **line_end)
{
	const char *pos = text, *end = text + len;
	while (pos < end) {
		*line_end = mw_line_end(pos, end);
		const char *value = after_key(pos, *line_end, key);
		if (value)
			return value;
		pos = *line_end + 1;
	}
	return NULL;
}

uint64_t mw_keyed_number(const char *text, size_t len, const char *key)
{
	const char *end;
	uint64_t n;
	const char *pos = len ? find_line(text, len, key, &end) : NULL;
	if (!pos)
		return UINT64_MAX;
	mw_skip_blanks(&pos, end);
	if (!mw_take_dec(&pos, end, &n))
		return UINT64_MAX;
	mw_skip_blanks(&pos, end);
	if (end - pos >= 2 && !memcmp(pos, "kB", 2) &&
	    __builtin_mul_overflow(n, UINT64_C(1024), &n))
		return UINT64_MAX;
	return n;
}

/* "avg10=1.23", and the blank behind it. */
static bool take_average(const char **pos, const char *end, const char *name,
			 uint32_t *ret)
{
	uint64_t whole, part;
	size_t len = strlen(name);
	if ((size_t)(end - *pos) < len || memcmp(*pos, name, len) != 0)
		return false;
	*pos += len;
	if (!mw_take_dec(pos, end, &whole) || !mw_take_char(pos, end, '.'))
		return false;
	const char *start = *pos;
	if (!mw_take_dec(pos, end, &part) || *pos - start != 2 || whole > 100)
		return false;
	mw_skip_blanks(pos, end);
	*ret = (uint32_t)(whole * 100 + part);
	return true;
}

bool mw_pressure_parse(const char *text, size_t len, const char *line,
		       struct mw_pressure *ret)
{
	struct mw_pressure p;
	const char *end;
	const char *pos = len ? find_line(text, len, line, &end) : NULL;
	if (!pos || !take_average(&pos, end, "avg10=", &p.avg10) ||
	    !take_average(&pos, end, "avg60=", &p.avg60) ||
	    !take_average(&pos, end, "avg300=", &p.avg300))
		return false;
	if (end - pos < 6 || memcmp(pos, "total=", 6) != 0)
		return false;
	pos += 6;
	if (!mw_take_dec(&pos, end, &p.total))
		return false;
	*ret = p;
	return true;
}
