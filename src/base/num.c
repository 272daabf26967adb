// SPDX-License-Identifier: MIT
#include "base/num.h"

#include <string.h>

bool mw_take_dec(const char **pos, const char *end, uint64_t *ret)
{
	const char *p = *pos;
	uint64_t value = 0;
	while (p < end && *p >= '0' && *p <= '9') {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
		p++;
	}
	if (p == *pos)
		return false;
	*pos = p;
	*ret = value;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mw_take_hex(const char **pos, const char *end, uint64_t *ret)
{
	const char *p = *pos;
	uint64_t value = 0;
	int digit;
	while (p < end && (digit = hex_digit(*p)) >= 0) {
		if (value >> 60)
			return false;
		value = value << 4 | (unsigned)digit;
		p++;
	}
	if (p == *pos)
		return false;
	*pos = p;
	*ret = value;
	return true;
}

bool mw_take_char(const char **pos, const char *end, char c)
{
	if (*pos >= end || **pos != c)
		return false;
	(*pos)++;
	return true;
}

void mw_skip_blanks(const char **pos, const char *end)
{
	while (*pos < end && (**pos == ' ' || **pos == '\t'))
		(*pos)++;
}

const char *mw_line_end(const char *pos, const char *end)
{
	const char *eol = memchr(pos, '\n', (size_t)(end - pos));
	return eol ? eol : end;
}

bool mw_parse_u64(const char *str, uint64_t *ret)
{
	const char *end = str + strlen(str);
	uint64_t value;
	if (!mw_take_dec(&str, end, &value) || str != end)
		return false;
	*ret = value;
	return true;
}

bool mw_parse_addr(const char *str, uint64_t *ret)
{
	const char *end = str + strlen(str);
	uint64_t value;
	if (str[0] == '0' && (str[1] == 'x' || str[1] == 'X'))
		str += 2;
	if (!mw_take_hex(&str, end, &value) || str != end)
		return false;
	*ret = value;
	return true;
}

/* Two digits a division: half the divisions of the plain loop. */
char *mw_put_dec(char *at, uint64_t n)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324"
				    "25262728293031323334353637383940414243444546474849"
				    "50515253545556575859606162636465666768697071727374"
				    "75767778798081828384858687888990919293949596979899";
	char digits[MW_DIGITS_LEN];
	char *pos = digits + sizeof(digits);
	while (n >= 100) {
		pos -= 2;
		memcpy(pos, pairs + n % 100 * 2, 2);
		n /= 100;
	}
	if (n >= 10) {
		pos -= 2;
		memcpy(pos, pairs + n * 2, 2);
	} else {
		*--pos = (char)('0' + n);
	}
	size_t len = (size_t)(digits + sizeof(digits) - pos);
	memcpy(at, pos, len);
	return at + len;
}

char *mw_put_hex(char *at, uint64_t n)
{
	unsigned shift = n ? (63 - (unsigned)__builtin_clzll(n)) / 4 * 4 : 0;
	for (;; shift -= 4) {
		*at++ = "0123456789abcdef"[n >> shift & 15];
		if (!shift)
			return at;
	}
}
