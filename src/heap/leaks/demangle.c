// SPDX-License-Identifier: MIT
/*
 * The plain part of the Itanium C++ ABI's mangling: names in namespaces and classes,
 * their tables, constructors and destructors. Templates and whatever else needs
 * substitutions stay as they are.
 */
#include "heap/leaks/reach.h"

#include "base/buf.h"
#include "base/num.h"

#include <string.h>

static const struct {
	const char *prefix, *words;
} specials[] = {
	{ "_ZTV", "vtable for " },   { "_ZTC", "construction vtable for " },
	{ "_ZTI", "typeinfo for " }, { "_ZTS", "typeinfo name for " },
	{ "_ZTT", "VTT for " },      { "_Z", "" },
};

/* "4Node"; *part is the name alone. */
static bool take_name(const char **pos, const char *end, const char **part, size_t *len)
{
	uint64_t n;
	if (!mw_take_dec(pos, end, &n) || n == 0 || n > (uint64_t)(end - *pos))
		return false;
	*part = *pos;
	*len = (size_t)n;
	*pos += n;
	return true;
}

static bool add_part(struct mw_buf *text, const char *part, size_t len)
{
	bool unnamed = len >= 11 && !strncmp(part, "_GLOBAL__N_", 11);
	return unnamed ? mw_buf_printf(text, "(anonymous namespace)")
		       : mw_buf_add(text, part, len);
}

/* Inside N…E: names, and C1 or D2 for the class named last. */
static bool take_nested(const char **pos, const char *end, struct mw_buf *text)
{
	const char *part = "";
	size_t len = 0;
	bool first = true;
	while (*pos < end && strchr("KVrRO", **pos))
		++*pos;
	for (; *pos < end && **pos != 'E'; first = false) {
		if (!first && !mw_buf_printf(text, "::"))
			return false;
		if (end - *pos >= 2 && (!strncmp(*pos, "St", 2))) {
			*pos += 2;
			if (!first || !mw_buf_printf(text, "std"))
				return false;
		} else if (len && end - *pos >= 2 && (**pos == 'C' || **pos == 'D')) {
			bool is_dtor = **pos == 'D';
			*pos += 2;
			if ((is_dtor && !mw_buf_printf(text, "~")) ||
			    !add_part(text, part, len))
				return false;
		} else if (!take_name(pos, end, &part, &len) ||
			   !add_part(text, part, len)) {
			return false;
		}
	}
	return mw_take_char(pos, end, 'E') && !first;
}

static bool take_encoding(const char **pos, const char *end, struct mw_buf *text)
{
	const char *part;
	size_t len;
	if (mw_take_char(pos, end, 'N'))
		return take_nested(pos, end, text);
	if (end - *pos >= 2 && !strncmp(*pos, "St", 2)) {
		*pos += 2;
		if (!mw_buf_printf(text, "std::"))
			return false;
	}
	return take_name(pos, end, &part, &len) && add_part(text, part, len) &&
	       (*pos == end || **pos != 'I');
}

const char *mw_symbol_plain(struct mw_arena *arena, const char *symbol)
{
	const char *end = symbol + strlen(symbol);
	for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
		size_t len = strlen(specials[i].prefix);
		const char *pos = symbol + len;
		mw_auto_buf text = { 0 };
		if (strncmp(symbol, specials[i].prefix, len) != 0)
			continue;
		if (mw_buf_printf(&text, "%s", specials[i].words) &&
		    take_encoding(&pos, end, &text))
			return mw_arena_strndup(arena, text.data, text.len);
		break;
	}
	return mw_arena_strdup(arena, symbol);
}
