/* SPDX-License-Identifier: MIT */
/*
 * A growing run of bytes. Not a string type: it may hold NUL bytes; mw_buf_str()
 * gives a terminated view. A zeroed struct is an empty buffer.
 */
#pragma once

#include <memwhy/err.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct mw_buf {
	char *data;
	size_t len;
	size_t cap;
};

/* Makes room for `extra` more bytes after len. False when memory is short. */
bool mw_buf_reserve(struct mw_buf *buf, size_t extra) MW_MUST_USE;

/* Appends bytes. False when memory is short; the buffer is then unchanged. */
bool mw_buf_add(struct mw_buf *buf, const void *bytes, size_t len) MW_MUST_USE;

/* Appends formatted text. False when memory is short. */
bool mw_buf_printf(struct mw_buf *buf, const char *fmt, ...) MW_PRINTF(2, 3) MW_MUST_USE;
bool mw_buf_vprintf(struct mw_buf *buf, const char *fmt, va_list args)
	MW_PRINTF(2, 0) MW_MUST_USE;

/* The bytes with a NUL after them ("" for an empty buffer); valid until the next change.
 */
const char *mw_buf_str(const struct mw_buf *buf);

/* Forgets the bytes, keeps the memory. */
void mw_buf_clear(struct mw_buf *buf);

/* Frees the memory; the buffer is empty and usable again. */
void mw_buf_deinit(struct mw_buf *buf);

#define mw_auto_buf __attribute__((cleanup(mw_buf_deinit))) struct mw_buf
