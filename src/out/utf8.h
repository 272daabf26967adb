/* SPDX-License-Identifier: MIT */
/*
 * Strings that anybody may have written, made safe to show: UTF-8 checked byte by byte
 * (RFC 3629: no surrogates, nothing overlong), display widths, and the cutting of text
 * to a width. Nothing here reads the locale; wcwidth() does, where the tool set one.
 */
#pragma once

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* The bytes of the code point at `str`, 0 when it is not UTF-8; `str` < `end`. */
unsigned mw_utf8_take(const char *str, const char *end, uint32_t *ret);

/*
 * True for what must not reach a terminal: control codes (C0, DEL, C1), marks that
 * reorder text (bidi), and what has no shape (zero width, tags, line separators).
 */
bool mw_utf8_unsafe(uint32_t code);

/*
 * How many leading bytes of `str` are plain printable ASCII: the part that every format
 * may copy as it is.
 */
size_t mw_ascii_span(const char *str);

/*
 * Appends `str` made safe: unsafe and broken bytes as \n or \x1b. Without `utf8`, common
 * typographic signs become ASCII and the rest is escaped too. Adds the columns it takes
 * to *width. False when memory is short.
 */
bool mw_escape_text(struct mw_buf *buf, const char *str, bool utf8,
		    size_t *width) MW_MUST_USE;

/* The columns that safe text takes. */
size_t mw_text_width(const char *str, size_t len);

/* How many leading bytes of safe text fit into `width` columns. */
size_t mw_text_fit(const char *str, size_t len, size_t width);

/*
 * Appends safe text cut to `width` columns with an ellipsis; of a path the middle is cut
 * and the last component kept, if that fits. False when memory is short.
 */
bool mw_cut_text(struct mw_buf *buf, const char *str, size_t len, size_t width,
		 bool utf8) MW_MUST_USE;
