// SPDX-License-Identifier: MIT
#include "out/utf8.h"

#include <string.h>
#include <wchar.h>

unsigned mw_utf8_take(const char *str, const char *end, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)*str;
	unsigned len = first < 0x80   ? 1
		       : first < 0xc0 ? 0
		       : first < 0xe0 ? 2
		       : first < 0xf0 ? 3
		       : first < 0xf8 ? 4
				      : 0;
	if (!len || (size_t)(end - str) < len)
		return 0;
	uint32_t code = len == 1 ? first : first & (0x7fu >> len);
	for (unsigned i = 1; i < len; i++) {
		unsigned char byte = (unsigned char)str[i];
		if ((byte & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return len;
}

bool mw_utf8_unsafe(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0, 0x1f },        { 0x7f, 0x9f },       { 0xad, 0xad },
		{ 0x61c, 0x61c },   { 0x180e, 0x180e },   { 0x200b, 0x200f },
		{ 0x2028, 0x202e }, { 0x2060, 0x206f },   { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	if (code >= ' ' && code < 0x7f)
		return false;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

size_t mw_ascii_span(const char *str)
{
	size_t n = 0;
	while (str[n] >= ' ' && str[n] < 0x7f)
		n++;
	return n;
}

static bool add_escaped(struct mw_buf *buf, const char *bytes, unsigned len,
			size_t *width)
{
	static const char hex[] = "0123456789abcdef";
	for (unsigned i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)bytes[i];
		char text[4] = { '\\', 'x', hex[byte >> 4], hex[byte & 15] };
		size_t text_len = 4;
		if (byte == '\n' || byte == '\t' || byte == '\r') {
			text[1] = byte == '\n' ? 'n' : byte == '\t' ? 't' : 'r';
			text_len = 2;
		}
		if (!mw_buf_add(buf, text, text_len))
			return false;
		*width += text_len;
	}
	return true;
}

/* What our own sentences use beyond ASCII, for terminals that have only that. */
static const char *ascii_sign(uint32_t code)
{
	static const struct {
		uint32_t code;
		const char *ascii;
	} signs[] = {
		{ 0x2013, "-" },  { 0x2014, "-" }, { 0x2026, "..." }, { 0xb7, "-" },
		{ 0x2192, "->" }, { 0xd7, "x" },   { 0x2265, ">=" },  { 0x2264, "<=" },
		{ 0xb5, "u" },    { 0x2018, "'" }, { 0x2019, "'" },   { 0x201c, "\"" },
		{ 0x201d, "\"" }, { 0x2212, "-" }, { 0xa0, " " },     { 0x2248, "~" },
	};
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (signs[i].code == code)
			return signs[i].ascii;
	return NULL;
}

static size_t code_width(uint32_t code)
{
	if (code < 0x300)
		return 1;
	int width = wcwidth((wchar_t)code);
	return width < 0 ? 1 : (size_t)width;
}

/* What the locale does not know has no width to count on, and is escaped too. */
static bool has_width(uint32_t code)
{
	return code < 0x300 || wcwidth((wchar_t)code) >= 0;
}

static bool add_code(struct mw_buf *buf, const char *str, unsigned len, uint32_t code,
		     bool utf8, size_t *width)
{
	if (mw_utf8_unsafe(code))
		return add_escaped(buf, str, len, width);
	if (!utf8 && code >= 0x80) {
		const char *ascii = ascii_sign(code);
		if (!ascii)
			return add_escaped(buf, str, len, width);
		*width += strlen(ascii);
		return mw_buf_add(buf, ascii, strlen(ascii));
	}
	if (!has_width(code))
		return add_escaped(buf, str, len, width);
	*width += code_width(code);
	return mw_buf_add(buf, str, len);
}

bool mw_escape_text(struct mw_buf *buf, const char *str, bool utf8, size_t *width)
{
	const char *end = str + strlen(str);
	while (str < end) {
		size_t plain = mw_ascii_span(str);
		if (!mw_buf_add(buf, str, plain))
			return false;
		*width += plain;
		str += plain;
		if (str == end)
			break;
		uint32_t code;
		unsigned len = mw_utf8_take(str, end, &code);
		bool ok = len ? add_code(buf, str, len, code, utf8, width)
			      : add_escaped(buf, str, 1, width);
		if (!ok)
			return false;
		str += len ? len : 1;
	}
	return true;
}

size_t mw_text_fit(const char *str, size_t len, size_t width)
{
	const char *pos = str, *end = str + len;
	while (pos < end) {
		uint32_t code = ' ';
		unsigned n = mw_utf8_take(pos, end, &code);
		size_t wide = code_width(code);
		if (wide > width)
			break;
		width -= wide;
		pos += n ? n : 1;
	}
	return (size_t)(pos - str);
}

size_t mw_text_width(const char *str, size_t len)
{
	size_t width = 0;
	for (const char *pos = str, *end = str + len; pos < end;) {
		uint32_t code = ' ';
		unsigned n = mw_utf8_take(pos, end, &code);
		width += code_width(code);
		pos += n ? n : 1;
	}
	return width;
}

bool mw_cut_text(struct mw_buf *buf, const char *str, size_t len, size_t width, bool utf8)
{
	if (mw_text_width(str, len) <= width)
		return mw_buf_add(buf, str, len);
	if (!width)
		return true;
	const char *mark = utf8 ? "…" : "~";
	const char *tail = memrchr(str, '/', len);
	size_t tail_len = tail ? len - (size_t)(tail - str) : 0;
	size_t tail_width = tail ? mw_text_width(tail, tail_len) : 0;
	if (tail_width + 1 > width)
		tail_len = tail_width = 0;
	size_t head_len = mw_text_fit(str, len, width - 1 - tail_width);
	return mw_buf_add(buf, str, head_len) && mw_buf_add(buf, mark, strlen(mark)) &&
	       mw_buf_add(buf, str + len - tail_len, tail_len);
}
