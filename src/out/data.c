// SPDX-License-Identifier: MIT
/* Values as machines read them: the same in JSON and CSV. */
#include "base/num.h"
#include "out/format.h"

static char *put_word(char *at, const char *word)
{
	size_t len = strlen(word);
	memcpy(at, word, len);
	return at + len;
}

/* 5937 of 10000: 0.5937 */
static char *put_fraction(char *at, uint64_t share)
{
	at = mw_put_dec(at, share / 10000);
	unsigned rest = (unsigned)(share % 10000);
	*at++ = '.';
	for (unsigned scale = 1000; scale; scale /= 10)
		*at++ = (char)('0' + rest / scale % 10);
	return at;
}

char *mw_put_data(char *at, enum mw_type type, struct mw_cell cell)
{
	switch (type) {
	case MW_TYPE_ADDR:
		return mw_put_hex(put_word(at, "0x"), cell.u);
	case MW_TYPE_SHARE:
	case MW_TYPE_BAR:
		return put_fraction(at, cell.u);
	case MW_TYPE_BOOL:
		return put_word(at, cell.u ? "true" : "false");
	case MW_TYPE_DELTA:
	case MW_TYPE_NUMBER:
		if (cell.i < 0)
			*at++ = '-';
		return mw_put_dec(at, cell.i < 0 ? 0 - cell.u : cell.u);
	case MW_TYPE_TEXT:
	case MW_TYPE_COUNT:
	case MW_TYPE_BYTES:
		break;
	}
	return mw_put_dec(at, cell.u);
}
