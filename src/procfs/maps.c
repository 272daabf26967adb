// SPDX-License-Identifier: MIT
#include "procfs/maps.h"

#include "base/num.h"

#include <memwhy/perms.h>
#include <string.h>

/* The digit's value + 1; 0 for what is no hex digit. A table beats the comparisons of
 * mw_take_hex(): a process may have 60,000 lines of 32 digits. */
static const unsigned char hex_value[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

/* One to sixteen hex digits, then `after`. Returns the place past it, or NULL. */
static inline const char *take_hex(const char *pos, const char *eol, char after,
				   uint64_t *ret)
{
	const char *limit = eol - pos > 17 ? pos + 17 : eol;
	const char *start = pos;
	uint64_t value = 0;
	unsigned digit;
	while (pos < limit && (digit = hex_value[(unsigned char)*pos])) {
		value = value << 4 | (digit - 1);
		pos++;
	}
	if (pos == start || pos == limit || *pos != after)
		return NULL;
	*ret = value;
	return pos + 1;
}

/* "rwxp": '-' or the letter, the last one p or s. */
static bool take_perms(const char *pos, unsigned *ret)
{
	static const char letters[] = "rwx";
	static const unsigned bits[] = { MW_PERM_READ, MW_PERM_WRITE, MW_PERM_EXEC };
	unsigned perms = 0;
	for (int i = 0; i < 3; i++) {
		if (pos[i] == letters[i])
			perms |= bits[i];
		else if (pos[i] != '-')
			return false;
	}
	if (pos[3] == 's')
		perms |= MW_PERM_SHARED;
	else if (pos[3] != 'p')
		return false;
	*ret = perms;
	return true;
}

/*
 * The kernel pads with blanks up to column 73, then the name, or leaves one blank and
 * no name. No name of the kernel's begins with a blank: paths begin with '/' or
 * "(unreachable)", the rest with '[' or a word. Trailing blanks belong to the name.
 */
bool mw_maps_parse_line(const char *pos, const char *eol, struct mw_maps_line *ret)
{
	struct mw_maps_line line;
	uint64_t major, minor;
	pos = take_hex(pos, eol, '-', &line.start);
	if (!pos || !(pos = take_hex(pos, eol, ' ', &line.end)) || line.end < line.start)
		return false;
	if (eol - pos < 5 || !take_perms(pos, &line.perms) || pos[4] != ' ')
		return false;
	pos = take_hex(pos + 5, eol, ' ', &line.offset);
	if (!pos || !(pos = take_hex(pos, eol, ':', &major)) ||
	    !(pos = take_hex(pos, eol, ' ', &minor)) || major >> 44 || minor >> 20)
		return false;
	line.dev = major << 20 | minor;
	if (!mw_take_dec(&pos, eol, &line.ino) || (pos < eol && *pos != ' '))
		return false;
	while (pos < eol && *pos == ' ')
		pos++;
	line.name = pos;
	line.name_len = (size_t)(eol - pos);
	*ret = line;
	return true;
}

size_t mw_maps_unescape(const char *name, size_t len, char *dst)
{
	size_t n = 0;
	for (size_t i = 0; i < len;) {
		if (name[i] == '\\' && len - i >= 4 && !memcmp(name + i, "\\012", 4)) {
			dst[n++] = '\n';
			i += 4;
		} else {
			dst[n++] = name[i++];
		}
	}
	dst[n] = '\0';
	return n;
}

bool mw_maps_is_deleted(const char *name, size_t len)
{
	static const char suffix[] = " (deleted)";
	size_t suffix_len = sizeof(suffix) - 1;
	return len >= suffix_len && !memcmp(name + len - suffix_len, suffix, suffix_len);
}
