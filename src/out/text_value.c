// SPDX-License-Identifier: MIT
#include "base/num.h"
#include "out/text.h"

static char *put(char *at, const char *str)
{
	size_t len = strlen(str);
	memcpy(at, str, len);
	return at + len;
}

static char *put_size(char *at, uint64_t bytes, enum mw_unit unit)
{
	return mw_units_put_bytes(at, bytes, unit);
}

static char *put_delta(char *at, int64_t delta, enum mw_unit unit)
{
	if (delta)
		*at++ = delta < 0 ? '-' : '+';
	return put_size(at, delta < 0 ? 0 - (uint64_t)delta : (uint64_t)delta, unit);
}

/* Small but there: neither 0 % nor a full 1 %. */
static char *put_share(char *at, uint64_t share)
{
	if (share && share < 100)
		return put(at, "<1 %");
	return put(mw_put_dec(at, share / 100 + (share % 100 >= 50)), " %");
}

/* Eighth blocks (U+2588…U+258F), so that a bar is exact to 1/160 of its full length. */
static char *put_bar(char *at, uint64_t share, bool utf8, size_t *width)
{
	unsigned steps = utf8 ? 8 : 1;
	uint64_t capped = share < 10000 ? share : 10000;
	unsigned n = (unsigned)((capped * MW_BAR_WIDTH * steps + 5000) / 10000);
	if (share && !n)
		n = 1;
	*width = (n + steps - 1) / steps;
	for (; n >= steps; n -= steps) {
		memcpy(at, utf8 ? "█" : "#", utf8 ? 3 : 1);
		at += utf8 ? 3 : 1;
	}
	if (n) {
		static const char eighths[][4] = {
			"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"
		};
		at = put(at, eighths[n]);
	}
	return at;
}

char *mw_text_value(char *at, const struct mw_out_opts *opts, enum mw_type type,
		    struct mw_cell cell, size_t *width)
{
	char *start = at;
	if (cell.null && type == MW_TYPE_BAR) {
		*width = 0;
		return at;
	}
	if (cell.null) {
		*width = 1;
		return put(at, opts->utf8 ? "–" : "-");
	}
	switch (type) {
	case MW_TYPE_TEXT:
		break;
	case MW_TYPE_COUNT:
		at = mw_put_dec(at, cell.u);
		break;
	case MW_TYPE_NUMBER:
		if (cell.i < 0)
			*at++ = '-';
		at = mw_put_dec(at, cell.i < 0 ? 0 - cell.u : cell.u);
		break;
	case MW_TYPE_BYTES:
		at = put_size(at, cell.u, opts->unit);
		break;
	case MW_TYPE_ADDR:
		at = mw_put_hex(at, cell.u);
		break;
	case MW_TYPE_SHARE:
		at = put_share(at, cell.u);
		break;
	case MW_TYPE_BAR:
		return put_bar(at, cell.u, opts->utf8, width);
	case MW_TYPE_BOOL:
		at = put(at, cell.u ? "yes" : "no");
		break;
	case MW_TYPE_DELTA:
		at = put_delta(at, cell.i, opts->unit);
		break;
	}
	*width = (size_t)(at - start);
	return at;
}

size_t mw_text_type_width(enum mw_type type, enum mw_unit unit)
{
	/* "1023 MiB"; a terabyte in bytes, KiB, MiB; 47-bit addresses. */
	static const unsigned char bytes[] = { 8, 13, 10, 7, 4 };
	switch (type) {
	case MW_TYPE_BYTES:
		return bytes[unit];
	case MW_TYPE_DELTA:
		return bytes[unit] + 1u;
	case MW_TYPE_ADDR:
		return 12;
	case MW_TYPE_SHARE:
		return 5;
	case MW_TYPE_BAR:
		return MW_BAR_WIDTH;
	case MW_TYPE_BOOL:
		return 3;
	case MW_TYPE_COUNT:
	case MW_TYPE_NUMBER:
		return 6;
	case MW_TYPE_TEXT:
		break;
	}
	return 0;
}
