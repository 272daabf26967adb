// SPDX-License-Identifier: MIT
#include "base/num.h"
#include "procfs/status.h"

#include <string.h>

/* Field numbers of proc(5), counted from 1. */
enum { FIELD_STATE = 3, FIELD_REQUIRED = 28, FIELD_LAST = 51 };

struct stat_field {
	unsigned short number, at;
};

#define FIELD(number, member)                            \
	{                                                \
		number, offsetof(struct mw_stat, member) \
	}
static const struct stat_field fields[] = {
	FIELD(4, ppid),       FIELD(9, flags),        FIELD(10, min_flt),
	FIELD(12, maj_flt),   FIELD(22, start_ticks), FIELD(23, vsize),
	FIELD(24, rss_pages), FIELD(28, start_stack), FIELD(45, start_data),
	FIELD(46, end_data),  FIELD(47, start_brk),   FIELD(48, arg_start),
	FIELD(49, arg_end),   FIELD(50, env_start),   FIELD(51, env_end),
};
#undef FIELD
enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

/*
 * The fields after the state. Only those wanted must be numbers: others (tpgid, nice)
 * may be negative. Returns the number of the last field seen whole, 0 when a wanted one
 * is no number.
 */
static unsigned take_fields(const char *pos, const char *end, struct mw_stat *ret)
{
	unsigned number = FIELD_STATE;
	size_t next = 0;
	while (number < FIELD_LAST) {
		mw_skip_blanks(&pos, end);
		const char *stop = pos;
		while (stop < end && *stop != ' ' && *stop != '\n')
			stop++;
		if (stop == pos)
			break;
		number++;
		if (next < N_FIELDS && fields[next].number == number) {
			uint64_t value;
			if (!mw_take_dec(&pos, stop, &value) || pos != stop)
				return 0;
			memcpy((char *)ret + fields[next].at, &value, sizeof(value));
			next++;
		}
		pos = stop;
	}
	return number;
}

/*
 * comm is the only free text and is not escaped: it may hold ") R 1 (" and newlines. No
 * field after it holds a parenthesis, so the last one ends it.
 */
bool mw_stat_parse(const char *text, size_t len, struct mw_stat *ret)
{
	struct mw_stat stat = { 0 };
	const char *pos = text, *end = text + len;
	if (!mw_take_dec(&pos, end, &stat.pid) || !mw_take_char(&pos, end, ' ') ||
	    !mw_take_char(&pos, end, '('))
		return false;
	const char *close = memrchr(pos, ')', (size_t)(end - pos));
	if (!close || end - close < 4 || close[1] != ' ' || close[3] != ' ')
		return false;
	size_t comm_len = (size_t)(close - pos);
	if (comm_len >= sizeof(stat.comm))
		comm_len = sizeof(stat.comm) - 1;
	memcpy(stat.comm, pos, comm_len);
	stat.state = close[2];
	if (take_fields(close + 3, end, &stat) < FIELD_REQUIRED)
		return false;
	*ret = stat;
	return true;
}
