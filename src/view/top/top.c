// SPDX-License-Identifier: MIT
#include "view/top/top.h"

#include "base/buf.h"
#include "view/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In words, or what says that nothing is known. */
static const char *bytes_words(uint64_t n, char buf[MW_UNITS_LEN])
{
	return n == MW_FLEET_UNKNOWN ? "an unknown amount"
				     : mw_units_bytes(n, MW_UNIT_AUTO, buf);
}

char *mw_top_age(uint64_t seconds, char buf[MW_UNITS_LEN])
{
	uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
	if (seconds < 60)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 "s", seconds);
	else if (minutes < 60)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 "m%02" PRIu64, minutes,
			 seconds % 60);
	else if (hours < 24)
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 "h%02" PRIu64, hours,
			 minutes % 60);
	else
		snprintf(buf, MW_UNITS_LEN, "%" PRIu64 "d%02" PRIu64 "h", days,
			 hours % 24);
	return buf;
}

static const char *const nouns[MW_BY_COUNT] = {
	[MW_BY_PROCESS] = "process", [MW_BY_USER] = "user",
	[MW_BY_COMMAND] = "command", [MW_BY_CGROUP] = "cgroup",
	[MW_BY_FILE] = "mapping",
};

/* The row with the largest Pss of those shown; without any, the largest Rss. */
static const struct mw_fleet_row *largest(const struct mw_fleet *fleet)
{
	const struct mw_fleet_row *best = NULL;
	uint64_t most = 0;
	for (int rss = 0; rss < 2 && !best; rss++)
		for (size_t i = 0; i < fleet->rows.n; i++) {
			const struct mw_fleet_row *row = &fleet->rows.items[i];
			uint64_t value = rss ? row->rss : row->pss;
			if (value == MW_FLEET_UNKNOWN || (best && value <= most))
				continue;
			best = row;
			most = value;
		}
	return best;
}

/* True when a row that could not be read may be larger. */
static bool is_surpassed(const struct mw_fleet *fleet, uint64_t pss)
{
	for (size_t i = 0; i < fleet->rows.n; i++) {
		const struct mw_fleet_row *row = &fleet->rows.items[i];
		if (row->pss == MW_FLEET_UNKNOWN && row->rss != MW_FLEET_UNKNOWN &&
		    row->rss > pss)
			return true;
	}
	return false;
}

static bool add_largest(struct mw_buf *text, const struct mw_fleet *fleet,
			enum mw_fleet_by by)
{
	const struct mw_fleet_row *row = largest(fleet);
	char size[MW_UNITS_LEN];
	if (!row)
		return mw_buf_printf(text, ".");
	bool pss = row->pss != MW_FLEET_UNKNOWN;
	const char *of =
		pss && is_surpassed(fleet, row->pss) ? " that could be read" : "";
	bytes_words(pss ? row->pss : row->rss, size);
	if (by == MW_BY_PROCESS)
		return mw_buf_printf(text, "; the largest%s is %s (%d), %s%s.", of,
				     row->name, (int)row->pid, size,
				     pss ? "" : " resident");
	return mw_buf_printf(text, "; the largest %s%s is %s, %s%s.", nouns[by], of,
			     row->name, size, pss ? "" : " resident");
}

static struct mw_err *headline(struct mw_out *out, const struct mw_fleet *fleet,
			       enum mw_fleet_by by)
{
	char pss[MW_UNITS_LEN], rest[MW_UNITS_LEN];
	mw_auto_buf text = { 0 };
	size_t unread = fleet->all.n - fleet->n_read;
	bool ok = mw_buf_printf(&text, "%zu process%s", fleet->all.n,
				fleet->all.n == 1 ? "" : "es");
	bytes_words(fleet->total.pss, pss);
	mw_units_bytes(fleet->unread_rss, MW_UNIT_AUTO, rest);
	if (ok && !fleet->all.n)
		ok = true;
	else if (ok && !unread)
		ok = mw_buf_printf(&text, ", %s by fair share", pss);
	else if (ok && fleet->n_read)
		ok = mw_buf_printf(&text,
				   ": %zu hold%s %s by fair share, the others at "
				   "most %s",
				   fleet->n_read, fleet->n_read == 1 ? "s" : "", pss,
				   rest);
	else if (ok)
		ok = mw_buf_printf(&text, ", at most %s", rest);
	if (!ok || !add_largest(&text, fleet, by))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

enum { COL_MAX = 24 };

/* Columns and the cells under them are built side by side. */
struct sheet {
	struct mw_col cols[COL_MAX];
	struct mw_cell cells[COL_MAX];
	size_t n;
	char age[MW_UNITS_LEN];
};

static void put(struct sheet *sheet, const char *key, const char *title,
		enum mw_type type, unsigned flags, struct mw_cell cell)
{
	sheet->cols[sheet->n] = (struct mw_col){ key, title, type, flags, 0 };
	sheet->cells[sheet->n++] = cell;
}

/* A size; with --percent its share of the machine, beside the bytes for machines. */
static void put_bytes(struct sheet *sheet, const struct mw_top_opts *opts,
		      const char *const keys[2], const char *title, uint64_t value)
{
	bool share = opts->percent && opts->total;
	put(sheet, keys[0], title, MW_TYPE_BYTES, share ? MW_COL_NO_TEXT : 0,
	    mw_cell_known(value));
	if (share)
		put(sheet, keys[1], title, MW_TYPE_SHARE, 0,
		    mw_cell_if(value != MW_FLEET_UNKNOWN,
			       value == MW_FLEET_UNKNOWN
				       ? 0
				       : mw_view_share(value, opts->total)));
}

static void put_sizes(struct sheet *sheet, const struct mw_top_opts *opts,
		      const struct mw_fleet_row *row)
{
	static const char *const keys[][2] = {
		{ "pss", "pss_share" },
		{ "uss", "uss_share" },
		{ "swap", "swap_share" },
		{ "rss", "rss_share" },
		{ "page_tables", "page_tables_share" },
	};
	put_bytes(sheet, opts, keys[0], "Pss", row->pss);
	put_bytes(sheet, opts, keys[1], "USS", row->uss);
	put_bytes(sheet, opts, keys[2], "swap", row->swap);
	put(sheet, "swap_pss", "", MW_TYPE_BYTES, MW_COL_NO_TEXT,
	    mw_cell_known(row->swap_pss));
	put_bytes(sheet, opts, keys[3], "Rss", row->rss);
	if (opts->fleet->by != MW_BY_FILE)
		put_bytes(sheet, opts, keys[4], "tables", row->tables);
}

static void put_rates(struct sheet *sheet, const struct mw_fleet *fleet,
		      const struct mw_fleet_row *row)
{
	unsigned growth = fleet->since_ns ? 0 : MW_COL_NO_TEXT;
	bool has_age = row->age_s != MW_FLEET_UNKNOWN;
	put(sheet, "faults", "", MW_TYPE_COUNT, MW_COL_NO_TEXT,
	    mw_cell_known(row->faults));
	put(sheet, "faults_per_s", "faults/s", MW_TYPE_COUNT, 0,
	    mw_cell_known(row->fault_rate));
	put(sheet, "growth_per_min", "growth/min", MW_TYPE_DELTA, growth,
	    row->has_growth ? mw_cell_i(row->growth) : mw_cell_null());
	put(sheet, "age_s", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, mw_cell_known(row->age_s));
	put(sheet, "", "age", MW_TYPE_TEXT, MW_COL_NO_DATA,
	    has_age ? mw_cell_s(mw_top_age(row->age_s, sheet->age)) : mw_cell_null());
}

static void put_process(struct sheet *sheet, const struct mw_fleet_row *row)
{
	bool has_user = row->uid != MW_FLEET_UNKNOWN;
	put(sheet, "pid", "pid", MW_TYPE_COUNT, 0,
	    mw_cell_if(row->pid != 0, (uint64_t)row->pid));
	put(sheet, "ppid", "", MW_TYPE_COUNT, MW_COL_NO_TEXT,
	    mw_cell_if(row->have != 0, (uint64_t)row->ppid));
	put(sheet, "user", "user", MW_TYPE_TEXT, 0,
	    has_user ? mw_cell_s(row->user) : mw_cell_null());
	put(sheet, "uid", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, mw_cell_known(row->uid));
}

/* One row, with all columns it may stand under. */
static void lay_out_all(struct sheet *sheet, const struct mw_fleet *fleet,
			const struct mw_top_opts *opts, const struct mw_fleet_row *row)
{
	enum mw_fleet_by by = opts->fleet->by;
	sheet->n = 0;
	if (by == MW_BY_PROCESS)
		put_process(sheet, row);
	else
		put(sheet, "processes", "processes", MW_TYPE_COUNT, 0, mw_cell_u(row->n));
	if (by != MW_BY_PROCESS && by != MW_BY_FILE)
		put(sheet, "unread", "unread", MW_TYPE_COUNT, 0,
		    mw_cell_u(row->n_unread));
	put_sizes(sheet, opts, row);
	if (by != MW_BY_FILE)
		put_rates(sheet, fleet, row);
	if (by == MW_BY_PROCESS) {
		put(sheet, "threads", "", MW_TYPE_COUNT, MW_COL_NO_TEXT,
		    mw_cell_known(row->threads));
		put(sheet, "name", "", MW_TYPE_TEXT, MW_COL_NO_TEXT,
		    mw_cell_s(row->name));
		put(sheet, "command", "command", MW_TYPE_TEXT, MW_COL_TRUNC,
		    mw_cell_s(row->command));
	} else {
		put(sheet, mw_fleet_by_name(by), mw_fleet_by_name(by), MW_TYPE_TEXT,
		    MW_COL_TRUNC, mw_cell_s(row->name));
	}
}

/* A column for machines and one for people may be two: "pss" and its share, an age. */
static bool is_of(const struct mw_col *col, const char *key, size_t len)
{
	if (col->flags & MW_COL_NO_DATA)
		return len == strlen(col->title) && !memcmp(col->title, key, len);
	return !strncmp(col->key, key, len) &&
	       (!col->key[len] || !strcmp(col->key + len, "_share") ||
		!strcmp(col->key + len, "_s"));
}

/* Adds the columns of `all` that one key names; shown also where it usually is not. */
static bool choose_one(const struct sheet *all, const char *key, size_t len,
		       struct sheet *ret)
{
	size_t first = ret->n;
	for (size_t i = 0; i < all->n && ret->n < COL_MAX; i++) {
		if (!is_of(&all->cols[i], key, len))
			continue;
		ret->cols[ret->n] = all->cols[i];
		ret->cells[ret->n++] = all->cells[i];
	}
	if (ret->n == first + 1) {
		struct mw_col *col = &ret->cols[first];
		col->flags &= ~(unsigned)MW_COL_NO_TEXT;
		col->title = col->title[0] ? col->title : col->key;
	}
	return ret->n > first;
}

/* Those that --columns names, in its order. Gives the first that is none, or NULL. */
static const char *choose(const struct sheet *all, const char *columns, struct sheet *ret)
{
	const char *bad = NULL;
	ret->n = 0;
	for (const char *pos = columns; *pos && !bad;) {
		size_t len = strcspn(pos, ", ");
		if (len && !choose_one(all, pos, len, ret))
			bad = pos;
		pos += len + (pos[len] != '\0');
	}
	return bad;
}

/* One row, with the columns it stands under. */
static void lay_out(struct sheet *sheet, const struct mw_fleet *fleet,
		    const struct mw_top_opts *opts, const struct mw_fleet_row *row)
{
	struct sheet all;
	lay_out_all(opts->columns ? &all : sheet, fleet, opts, row);
	if (!opts->columns)
		return;
	choose(&all, opts->columns, sheet);
	/* One of the cells points at it. */
	memcpy(sheet->age, all.age, sizeof(all.age));
	for (size_t i = 0; i < sheet->n; i++)
		if (sheet->cols[i].flags & MW_COL_NO_DATA && !sheet->cells[i].null)
			sheet->cells[i].s = sheet->age;
}

struct mw_err *mw_top_check_columns(const struct mw_top_opts *opts)
{
	const struct mw_fleet fleet = { 0 };
	const struct mw_fleet_row row = { .user = "", .name = "", .command = "" };
	struct sheet all, chosen;
	mw_auto_buf keys = { 0 };
	lay_out_all(&all, &fleet, opts, &row);
	const char *bad = choose(&all, opts->columns, &chosen);
	if (!bad && chosen.n)
		return NULL;
	if (!bad)
		bad = "nothing";
	for (size_t i = 0; i < all.n; i++)
		if (all.cols[i].key[0] && !mw_buf_printf(&keys, " %s", all.cols[i].key))
			return mw_err_nomem();
	return mw_err_new(MW_ERR_USAGE, 0, "--columns", "--columns: %.*s is none of:%s",
			  (int)strcspn(bad, ", "), bad, mw_buf_str(&keys));
}

static void table(struct mw_out *out, const struct mw_fleet *fleet,
		  const struct mw_top_opts *opts)
{
	struct sheet sheet;
	struct mw_fleet_row total = fleet->total;
	total.command = total.name = "total";
	total.age_s = MW_FLEET_UNKNOWN;
	lay_out(&sheet, fleet, opts, &total);
	struct mw_table table = {
		.key = opts->fleet->by == MW_BY_PROCESS ? "processes" : "groups",
		.title = "",
		.cols = sheet.cols,
		.n_cols = sheet.n,
		.n_rows = fleet->rows.n + 1,
		.is_main = true,
	};
	mw_out_table(out, &table);
	for (size_t i = 0; i < fleet->rows.n; i++) {
		lay_out(&sheet, fleet, opts, &fleet->rows.items[i]);
		mw_out_row(out, sheet.cells, MW_PLAIN);
	}
	lay_out(&sheet, fleet, opts, &total);
	if (mw_out_is_text(out))
		mw_out_row(out, sheet.cells, MW_STRONG);
	mw_out_table_end(out);
}

static void fields(struct mw_out *out, const struct mw_fleet *fleet,
		   const struct mw_top_opts *opts)
{
	const struct mw_fleet_row *t = &fleet->total;
	uint64_t budget = opts->fleet->budget_ns;
	mw_out_field(out, "by", MW_TYPE_TEXT,
		     mw_cell_s(mw_fleet_by_name(opts->fleet->by)));
	mw_out_field(out, "sort", MW_TYPE_TEXT,
		     mw_cell_s(mw_fleet_key_name(opts->fleet->key)));
	mw_out_field(out, "memory_total", MW_TYPE_BYTES,
		     mw_cell_if(opts->total != 0, opts->total));
	mw_out_field(out, "since_ms", MW_TYPE_COUNT,
		     mw_cell_if(fleet->since_ns != 0, fleet->since_ns / 1000000));
	mw_out_object(out, "totals");
	mw_out_field(out, "processes", MW_TYPE_COUNT, mw_cell_u(fleet->all.n));
	mw_out_field(out, "groups", MW_TYPE_COUNT, mw_cell_u(fleet->n_groups));
	mw_out_field(out, "read", MW_TYPE_COUNT, mw_cell_u(fleet->n_read));
	mw_out_field(out, "pss", MW_TYPE_BYTES, mw_cell_known(t->pss));
	mw_out_field(out, "uss", MW_TYPE_BYTES, mw_cell_known(t->uss));
	mw_out_field(out, "rss", MW_TYPE_BYTES, mw_cell_known(t->rss));
	mw_out_field(out, "unread_rss", MW_TYPE_BYTES, mw_cell_u(fleet->unread_rss));
	mw_out_object_end(out);
	mw_out_object(out, "cost");
	mw_out_field(out, "budget_ms", MW_TYPE_COUNT, mw_cell_u(budget / 1000000));
	mw_out_field(out, "walk_us", MW_TYPE_COUNT, mw_cell_u(fleet->walk_ns / 1000));
	mw_out_field(out, "cpu_us", MW_TYPE_COUNT, mw_cell_u(fleet->cpu_ns / 1000));
	mw_out_field(out, "denied", MW_TYPE_COUNT, mw_cell_u(fleet->n_denied));
	mw_out_field(out, "late", MW_TYPE_COUNT, mw_cell_u(fleet->n_late));
	mw_out_field(out, "vanished", MW_TYPE_COUNT, mw_cell_u(fleet->n_vanished));
	mw_out_field(out, "proven", MW_TYPE_BOOL, mw_cell_u(fleet->proven));
	mw_out_object_end(out);
}

struct mw_err *mw_top_cost(const struct mw_fleet *fleet, const struct mw_fleet_opts *opts,
			   struct mw_buf *text)
{
	char walk[MW_UNITS_LEN], budget[MW_UNITS_LEN], cpu[MW_UNITS_LEN];
	bool ok = mw_buf_printf(text,
				"Pss of %zu read in %s of %s allowed, %s of CPU in "
				"all",
				fleet->n_read, mw_units_duration(fleet->walk_ns, walk),
				mw_units_duration(opts->budget_ns, budget),
				mw_units_duration(fleet->cpu_ns, cpu));
	if (ok && fleet->n_late)
		ok = mw_buf_printf(text, "; %zu left without for lack of time",
				   fleet->n_late);
	if (ok && fleet->n_denied)
		ok = mw_buf_printf(text, "; %zu denied", fleet->n_denied);
	return ok ? NULL : mw_err_nomem();
}

/* At most one for each way of not being read. */
enum { MAX_GAPS = 4 };

static size_t gaps(const struct mw_fleet *fleet, const struct mw_fleet_opts *opts,
		   struct mw_arena *arena, struct mw_gap *ret)
{
	size_t n = 0;
	bool ok = true;
	char budget[MW_UNITS_LEN];
	mw_units_duration(opts->budget_ns, budget);
	if (fleet->n_denied)
		ret[n++] = (struct mw_gap){ mw_arena_printf(arena,
							    "Pss, USS of %zu process(es)",
							    fleet->n_denied),
					    fleet->denied_why, "memwhy doctor" };
	if (fleet->n_late)
		ret[n++] = (struct mw_gap){
			mw_arena_printf(arena, "Pss, USS of %zu process(es)",
					fleet->n_late),
			mw_arena_printf(arena, "the budget of %s was spent", budget),
			"memwhy top --budget 10000"
		};
	if (fleet->n_vanished)
		ret[n++] = (struct mw_gap){ mw_arena_printf(arena, "%zu process(es)",
							    fleet->n_vanished),
					    "they ended while they were read", "" };
	if (fleet->n_failed)
		ret[n++] = (struct mw_gap){ mw_arena_printf(arena, "%zu file(s)",
							    fleet->n_failed),
					    fleet->failed_why, "" };
	for (size_t i = 0; i < n; i++)
		ok = ok && ret[i].what && ret[i].why;
	return ok ? n : SIZE_MAX;
}

static struct mw_err *limits(struct mw_out *out, const struct mw_fleet *fleet,
			     const struct mw_fleet_opts *opts)
{
	struct mw_arena arena = { 0 };
	struct mw_gap items[MAX_GAPS];
	size_t n = gaps(fleet, opts, &arena, items);
	struct mw_gap_list gap_list = { items, n };
	if (n != SIZE_MAX)
		mw_view_gaps(out, &gap_list, 1, &(struct mw_view_stop){ 0 });
	mw_arena_deinit(&arena);
	return n == SIZE_MAX ? mw_err_nomem() : NULL;
}

static struct mw_err *notes(struct mw_out *out, const struct mw_fleet *fleet,
			    const struct mw_top_opts *opts)
{
	mw_auto_buf text = { 0 };
	size_t hidden = fleet->n_groups - fleet->rows.n;
	bool ok = true;
	if (hidden)
		ok = mw_buf_printf(&text, "%zu more rows; -n 0 shows all. ", hidden);
	struct mw_err *err = ok ? mw_top_cost(fleet, opts->fleet, &text) : mw_err_nomem();
	if (err)
		return err;
	mw_out_note(out, 2, mw_buf_str(&text));
	return NULL;
}

static struct mw_err *next(struct mw_out *out, const struct mw_fleet *fleet,
			   enum mw_fleet_by by)
{
	const struct mw_fleet_row *row = largest(fleet);
	mw_auto_buf text = { 0 };
	bool ok = by == MW_BY_PROCESS && row
			  ? mw_buf_printf(&text, "memwhy %d", (int)row->pid)
		  : by == MW_BY_PROCESS ? mw_buf_printf(&text, "memwhy free")
					: mw_buf_printf(&text, "memwhy top");
	if (!ok)
		return mw_err_nomem();
	mw_out_next(out, mw_buf_str(&text));
	return NULL;
}

struct mw_err *mw_view_top(struct mw_out *out, const struct mw_fleet *fleet,
			   const struct mw_top_opts *opts)
{
	mw_out_begin(out, "memwhy.top/1");
	struct mw_err *err = headline(out, fleet, opts->fleet->by);
	if (err)
		return err;
	fields(out, fleet, opts);
	table(out, fleet, opts);
	err = notes(out, fleet, opts);
	if (!err)
		err = limits(out, fleet, opts->fleet);
	return err ? err : next(out, fleet, opts->fleet->by);
}
