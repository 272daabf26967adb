// SPDX-License-Identifier: MIT
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Always keeps one byte past len for the NUL of mw_buf_str(). */
bool mw_buf_reserve(struct mw_buf *buf, size_t extra)
{
	size_t need;
	if (__builtin_add_overflow(buf->len, extra, &need) ||
	    __builtin_add_overflow(need, 1, &need))
		return false;
	if (need <= buf->cap)
		return true;
	size_t cap = buf->cap ? buf->cap : 256;
	while (cap < need)
		if (__builtin_mul_overflow(cap, 2, &cap))
			return false;
	char *data = realloc(buf->data, cap);
	if (!data)
		return false;
	buf->data = data;
	buf->cap = cap;
	data[buf->len] = '\0';
	return true;
}

bool mw_buf_add(struct mw_buf *buf, const void *bytes, size_t len)
{
	if (!mw_buf_reserve(buf, len))
		return false;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return true;
}

bool mw_buf_vprintf(struct mw_buf *buf, const char *fmt, va_list args)
{
	va_list again;
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	bool ok = len >= 0 && mw_buf_reserve(buf, (size_t)len);
	if (ok) {
		vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, again);
		buf->len += (size_t)len;
	}
	va_end(again);
	return ok;
}

bool mw_buf_printf(struct mw_buf *buf, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	bool ok = mw_buf_vprintf(buf, fmt, args);
	va_end(args);
	return ok;
}

const char *mw_buf_str(const struct mw_buf *buf)
{
	return buf->data ? buf->data : "";
}

void mw_buf_clear(struct mw_buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void mw_buf_deinit(struct mw_buf *buf)
{
	free(buf->data);
	*buf = (struct mw_buf){ 0 };
}
