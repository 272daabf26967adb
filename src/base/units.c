// SPDX-License-Identifier: MIT
#include "base/units.h"

#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "4", ".97", " GiB": integers only, so that the writers' inner loop stays cheap. */
static char *put_scaled(char *at, uint64_t n, unsigned digits, const char *name)
{
	static const unsigned scales[] = { 1, 10, 100 };
	at = mw_put_dec(at, n / scales[digits]);
	unsigned rest = (unsigned)(n % scales[digits]);
	if (digits)
		*at++ = '.';
	if (digits == 2)
		*at++ = (char)('0' + rest / 10);
	if (digits)
		*at++ = (char)('0' + rest % 10);
	*at++ = ' ';
	size_t len = name[1] ? 3 : 1;
	memcpy(at, name, len);
	at[len] = '\0';
	return at + len;
}

/*
 * Three significant digits from integers alone, so that no value is rounded twice
 * and 1023.9 KiB never prints as "1024 KiB".
 */
static char *bytes_auto(uint64_t bytes, char buf[MW_UNITS_LEN])
{
	static const char names[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = bytes ? (63 - (unsigned)__builtin_clzll(bytes)) / 10 : 0;
	if (unit == 0)
		return put_scaled(buf, bytes, 0, names[0]);
	unsigned shift = 10 * unit;
	uint64_t whole = bytes >> shift;
	unsigned digits = whole < 10 ? 2 : whole < 100 ? 1 : 0;
	unsigned scale = digits == 2 ? 100 : digits == 1 ? 10 : 1;
	unsigned __int128 scaled = (unsigned __int128)bytes * scale;
	uint64_t rounded =
		(uint64_t)((scaled + ((unsigned __int128)1 << (shift - 1))) >> shift);
	if (digits && rounded >= 1000) {
		digits--;
		rounded /= 10;
	}
	if (rounded >= 1024 && digits == 0 && unit < 6)
		return put_scaled(buf, 100, 2, names[unit + 1]);
	return put_scaled(buf, rounded, digits, names[unit]);
}

char *mw_units_put_bytes(char buf[MW_UNITS_LEN], uint64_t bytes, enum mw_unit unit)
{
	if (unit == MW_UNIT_AUTO)
		return bytes_auto(bytes, buf);
	unsigned shift = 10 * (unsigned)(unit - MW_UNIT_B);
	uint64_t half = shift ? bytes >> (shift - 1) & 1 : 0;
	char *end = mw_put_dec(buf, (bytes >> shift) + half);
	*end = '\0';
	return end;
}

char *mw_units_bytes(uint64_t bytes, enum mw_unit unit, char buf[MW_UNITS_LEN])
{
	mw_units_put_bytes(buf, bytes, unit);
	return buf;
}

char *mw_units_duration(uint64_t ns, char buf[MW_UNITS_LEN])
{
	if (ns < 1000)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 " ns", ns);
	else if (ns < 999500) /* beyond, %.3g would round to 1e+03 */
		snprintf(buf, MW_UNITS_LEN, "%.3g us", (double)ns / 1e3);
	else if (ns < 999500000)
		snprintf(buf, MW_UNITS_LEN, "%.3g ms", (double)ns / 1e6);
	else
		snprintf(buf, MW_UNITS_LEN, "%.2f s", (double)ns / 1e9);
	return buf;
}
