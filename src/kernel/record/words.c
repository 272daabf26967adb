// SPDX-License-Identifier: MIT
#include "kernel/record/words.h"

#include "base/num.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

bool mw_add_escaped(struct mw_buf *out, const char *text)
{
	/* An empty word would vanish between blanks. */
	if (!*text)
		return mw_buf_add(out, "-", 1);
	if (!strcmp(text, "-"))
		return mw_buf_add(out, "\\x2d", 4);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		bool plain = *c > ' ' && *c < 0x7f && *c != '\\';
		if (plain ? !mw_buf_add(out, c, 1) : !mw_buf_printf(out, "\\x%02x", *c))
			return false;
	}
	return true;
}

bool mw_take_id(const char **pos, const char *end, pid_t *ret)
{
	uint64_t number;
	if (!mw_take_dec(pos, end, &number) || number > INT_MAX)
		return false;
	*ret = (pid_t)number;
	return true;
}

bool mw_take_blank(const char **pos, const char *end)
{
	return mw_take_char(pos, end, ' ');
}

bool mw_take_hex_word(const char **pos, const char *end, uint64_t *ret)
{
	return mw_take_hex(pos, end, ret) && mw_take_blank(pos, end);
}

bool mw_take_dec_word(const char **pos, const char *end, uint64_t *ret)
{
	return mw_take_dec(pos, end, ret) && mw_take_blank(pos, end);
}

/* A word of mw_add_escaped(), up to a blank or the end, undone into `out`. */
bool mw_take_escaped(const char **pos, const char *end, struct mw_buf *out)
{
	const char *p = *pos;
	mw_buf_clear(out);
	if (end - p >= 1 && *p == '-' && (end - p == 1 || p[1] == ' ')) {
		*pos = p + 1;
		return mw_buf_reserve(out, 0);
	}
	while (p < end && *p != ' ') {
		char c = *p++;
		if (c == '\\') {
			uint64_t code;
			const char *stop = p + 3;
			if (end - p < 3 || !mw_take_char(&p, end, 'x') ||
			    !mw_take_hex(&p, stop, &code) || p != stop || !code)
				return false;
			c = (char)code;
		} else if (!c) {
			return false;
		}
		if (!mw_buf_add(out, &c, 1))
			return false;
	}
	if (p == *pos)
		return false;
	*pos = p;
	return true;
}

bool mw_add_registers(struct mw_buf *out, const struct mw_registers *regs)
{
	if (!mw_buf_printf(out, "%d %" PRIx64 " %" PRIx64 " %" PRIx64, regs->tid,
			   regs->pc, regs->sp, regs->tp))
		return false;
	for (size_t i = 0; i < regs->n; i++)
		if (!mw_buf_printf(out, " %" PRIx64, regs->words[i]))
			return false;
	return true;
}

bool mw_take_registers(const char **pos, const char *end, struct mw_registers *ret)
{
	*ret = (struct mw_registers){ 0 };
	if (!mw_take_id(pos, end, &ret->tid) || !mw_take_blank(pos, end) ||
	    !mw_take_hex_word(pos, end, &ret->pc) ||
	    !mw_take_hex_word(pos, end, &ret->sp) || !mw_take_hex(pos, end, &ret->tp))
		return false;
	for (; ret->n < MW_REGISTER_WORDS && mw_take_blank(pos, end); ret->n++)
		if (!mw_take_hex(pos, end, &ret->words[ret->n]))
			return false;
	return true;
}

bool mw_take_word(const char **pos, const char *end, const char *word)
{
	size_t len = strlen(word);
	if ((size_t)(end - *pos) < len || memcmp(*pos, word, len))
		return false;
	*pos += len;
	return true;
}

/* The value of two hexadecimal digits; mw_take_hex() would also take one. */
bool mw_take_byte(const char **pos, const char *end, unsigned char *ret)
{
	uint64_t value;
	const char *stop = *pos + 2;
	if (end - *pos < 2 || !mw_take_hex(pos, stop, &value) || *pos != stop)
		return false;
	*ret = (unsigned char)value;
	return true;
}
