// SPDX-License-Identifier: MIT
/* Which columns there are, which fit, and what stands in them. */
#include "tui/impl.h"

#include "out/utf8.h"
#include "view/top/top.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum col_id {
	COL_PID,
	COL_USER,
	COL_PSS,
	COL_USS,
	COL_SWAP,
	COL_RSS,
	COL_TABLES,
	COL_FAULTS,
	COL_GROWTH,
	COL_AGE,
	COL_COMMAND,
	COL_COUNT,
};
_Static_assert((int)COL_COUNT == MW_TUI_COLS, "one place a column");

/* `rank`: those with the largest number give way first. */
static const struct {
	const char *heading;
	int width, rank;
	enum mw_fleet_key key;
} columns[COL_COUNT] = {
	[COL_PID] = { "pid", 7, 1, MW_RANK_PID },
	[COL_USER] = { "user", 8, 4, MW_RANK_NAME },
	[COL_PSS] = { "Pss", 6, 0, MW_RANK_PSS },
	[COL_USS] = { "USS", 6, 2, MW_RANK_USS },
	[COL_SWAP] = { "swap", 6, 5, MW_RANK_SWAP },
	[COL_RSS] = { "Rss", 6, 3, MW_RANK_RSS },
	[COL_TABLES] = { "tables", 6, 9, MW_RANK_TABLES },
	[COL_FAULTS] = { "flt/s", 6, 7, MW_RANK_FAULTS },
	[COL_GROWTH] = { "grow/m", 7, 6, MW_RANK_GROWTH },
	[COL_AGE] = { "age", 6, 8, MW_RANK_AGE },
	[COL_COMMAND] = { "command", 0, 0, MW_RANK_NAME },
};

enum { COMMAND_LEAST = 16, LAST_RANK = 9 };

/* Groups have no pid and no user; files have no more than sizes. */
static bool applies(const struct mw_screen *screen, enum col_id id)
{
	enum mw_fleet_by by = screen->opts.fleet.by;
	if (id == COL_USER)
		return by == MW_BY_PROCESS;
	if (id == COL_TABLES || id == COL_FAULTS || id == COL_GROWTH || id == COL_AGE)
		return by != MW_BY_FILE;
	return true;
}

/* How wide all columns up to this rank are, without the command. */
static int width_of(const struct mw_screen *screen, int rank)
{
	int width = 0;
	for (unsigned id = 0; id < COL_COMMAND; id++)
		if (applies(screen, id) && columns[id].rank <= rank)
			width += columns[id].width + 1;
	return width;
}

void mw_tui_columns(struct mw_screen *screen, int width)
{
	int rank = LAST_RANK, x = 0;
	/* Where nothing else fits, the command may be as short as a name. */
	while (rank > 0 && width_of(screen, rank) + COMMAND_LEAST > width)
		rank--;
	screen->n_cols = 0;
	for (unsigned id = 0; id < COL_COUNT; id++) {
		int wide = id == COL_COMMAND ? width - x : columns[id].width;
		if (!applies(screen, id) || columns[id].rank > rank || wide <= 0)
			continue;
		screen->cols[screen->n_cols++] = (struct mw_tui_col){ id, x, wide };
		x += wide + 1;
	}
}

const char *mw_tui_heading(const struct mw_screen *screen, const struct mw_tui_col *col)
{
	enum mw_fleet_by by = screen->opts.fleet.by;
	if (by != MW_BY_PROCESS && col->id == COL_PID)
		return "procs";
	if (by != MW_BY_PROCESS && col->id == COL_COMMAND)
		return mw_fleet_by_name(by);
	return columns[col->id].heading;
}

enum mw_fleet_key mw_tui_key(const struct mw_tui_col *col)
{
	return columns[col->id].key;
}

bool mw_tui_is_words(const struct mw_tui_col *col)
{
	return col->id == COL_USER || col->id == COL_COMMAND;
}

/* Three digits and a letter: "1.02G", "96.7M", "512K"; at most five columns. */
static void compact(uint64_t bytes, char buf[MW_UNITS_LEN])
{
	static const char letters[] = "BKMGTPE";
	unsigned unit = 0;
	uint64_t tenths = bytes >= UINT64_MAX / 100 ? UINT64_MAX : bytes * 100;
	while (tenths >= 99950 && letters[unit + 1]) {
		tenths = tenths / 1024 + (tenths % 1024 >= 512);
		unit++;
	}
	if (unit == 0 || tenths >= 9995)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 "%c", (tenths + 50) / 100,
			 letters[unit]);
	else if (tenths >= 1000)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 ".%" PRIu64 "%c",
			 (tenths + 5) / 100, (tenths + 5) % 100 / 10, letters[unit]);
	else
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 ".%02" PRIu64 "%c", tenths / 100,
			 tenths % 100, letters[unit]);
}

static const char *size(const struct mw_screen *screen, uint64_t value,
			char buf[MW_UNITS_LEN])
{
	uint64_t total = screen->opts.total;
	if (!screen->opts.percent || !total)
		compact(value, buf);
	else
		snprintf(buf, MW_UNITS_LEN, "%.1f%%",
			 (double)value * 100 / (double)total);
	return buf;
}

static const char *growth(const struct mw_fleet_row *row, char buf[MW_UNITS_LEN])
{
	uint64_t n = row->growth < 0 ? -(uint64_t)row->growth : (uint64_t)row->growth;
	char size_of[MW_UNITS_LEN];
	compact(n, size_of);
	snprintf(buf, MW_UNITS_LEN, "%s%.20s",
		 !n                ? ""
		 : row->growth < 0 ? "-"
				   : "+",
		 n ? size_of : "0");
	return buf;
}

static const char *plain(uint64_t value, char buf[MW_UNITS_LEN])
{
	snprintf(buf, MW_UNITS_LEN, "%" PRIu64, value);
	return buf;
}

/* NULL: not known. */
static const char *figure(const struct mw_screen *screen, enum col_id id,
			  const struct mw_fleet_row *row, char buf[MW_UNITS_LEN])
{
	const uint64_t sizes[] = {
		[COL_PSS] = row->pss, [COL_USS] = row->uss,       [COL_SWAP] = row->swap,
		[COL_RSS] = row->rss, [COL_TABLES] = row->tables,
	};
	switch (id) {
	case COL_PID:
		return plain(screen->opts.fleet.by == MW_BY_PROCESS ? (uint64_t)row->pid
								    : row->n,
			     buf);
	case COL_FAULTS:
		return row->fault_rate == MW_FLEET_UNKNOWN ? NULL
							   : plain(row->fault_rate, buf);
	case COL_GROWTH:
		return row->has_growth ? growth(row, buf) : NULL;
	case COL_AGE:
		return row->age_s == MW_FLEET_UNKNOWN ? NULL
						      : mw_top_age(row->age_s, buf);
	default:
		return sizes[id] == MW_FLEET_UNKNOWN ? NULL
						     : size(screen, sizes[id], buf);
	}
}

bool mw_tui_cell(struct mw_screen *screen, const struct mw_tui_col *col,
		 const struct mw_fleet_row *row)
{
	char buf[MW_UNITS_LEN];
	size_t width = 0;
	bool utf8 = screen->opts.utf8;
	mw_buf_clear(&screen->scratch);
	if (col->id == COL_USER)
		return mw_escape_text(&screen->scratch, row->user, utf8, &width);
	if (col->id == COL_COMMAND) {
		/* As deep as it is, as far as there is room. */
		int indent = row->depth < 10 ? (int)row->depth * 2 : 20;
		return mw_buf_printf(&screen->scratch, "%*s", indent, "") &&
		       mw_escape_text(&screen->scratch, row->command, utf8, &width);
	}
	const char *text = figure(screen, col->id, row, buf);
	return mw_buf_printf(&screen->scratch, "%s", text ? text : utf8 ? "–" : "-");
}
