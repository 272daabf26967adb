// SPDX-License-Identifier: MIT
/* Which processes there are, which of them are shown, and what is read of which. */
#include "model/fleet/fleet.h"

#include "model/fleet/impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What must be read of every process before any is left out. */
static unsigned needs(const struct mw_fleet_opts *opts)
{
	unsigned ret = 0;
	if (opts->filter && opts->by != MW_BY_FILE)
		ret |= MW_FLEET_STAT | MW_FLEET_STATUS | MW_FLEET_COMMAND;
	if (opts->watch || opts->tree || opts->kernel || opts->key == MW_RANK_FAULTS ||
	    opts->key == MW_RANK_GROWTH || opts->key == MW_RANK_AGE ||
	    opts->key == MW_RANK_NAME)
		ret |= MW_FLEET_STAT;
	if (opts->key == MW_RANK_SWAP || opts->key == MW_RANK_TABLES)
		ret |= MW_FLEET_STATUS;
	if (opts->by == MW_BY_CGROUP)
		ret |= MW_FLEET_CGROUP;
	if (opts->by != MW_BY_PROCESS && opts->by != MW_BY_FILE)
		ret |= MW_FLEET_STAT | MW_FLEET_STATUS;
	return ret;
}

static bool fits(const struct mw_fleet_row *row, const char *filter, pid_t self)
{
	char pid[16];
	if (row->pid == self)
		return false;
	snprintf(pid, sizeof(pid), "%d", (int)row->pid);
	return strcasestr(row->name, filter) || strcasestr(row->command, filter) ||
	       !strcmp(row->user, filter) || !strcmp(pid, filter);
}

static int by_pid(const void *a, const void *b)
{
	const struct mw_fleet_row *ra = a, *rb = b;
	return (ra->pid > rb->pid) - (ra->pid < rb->pid);
}

static int64_t a_minute(uint64_t now, uint64_t then, uint64_t ns)
{
	__int128 delta = (__int128)now - then;
	__int128 rate = delta * 60 * 1000000000 / ns;
	return rate > INT64_MAX   ? INT64_MAX
	       : rate < INT64_MIN ? INT64_MIN
				  : (int64_t)rate;
}

/* Rates since the look before; a pid that names another process by now has none. */
static void take_rates(const struct mw_fleet_look *look, struct mw_fleet_row *row)
{
	const struct mw_fleet *before = look->before;
	const struct mw_fleet_row key = { .pid = row->pid };
	uint64_t ns = look->fleet->since_ns;
	if (!before || !ns || !(row->have & MW_FLEET_STAT))
		return;
	row->fault_rate = MW_FLEET_UNKNOWN;
	const struct mw_fleet_row *old =
		before->all.n ? bsearch(&key, before->all.items, before->all.n,
					sizeof(key), by_pid)
			      : NULL;
	if (!old || !(old->have & MW_FLEET_STAT) || old->start_ticks != row->start_ticks)
		return;
	if (row->faults != MW_FLEET_UNKNOWN && old->faults != MW_FLEET_UNKNOWN &&
	    row->faults >= old->faults)
		row->fault_rate =
			(uint64_t)((unsigned __int128)(row->faults - old->faults) *
				   1000000000 / ns);
	if (row->rss == MW_FLEET_UNKNOWN || old->rss == MW_FLEET_UNKNOWN)
		return;
	row->growth = a_minute(row->rss, old->rss, ns);
	row->has_growth = true;
}

/* *keep: it is one of those that were meant. */
static struct mw_err *consider(struct mw_fleet_look *look, struct mw_fleet_row *row,
			       bool *keep)
{
	const struct mw_fleet_opts *opts = look->opts;
	unsigned want = needs(opts);
	struct mw_err *err = mw_fleet_read_statm(look, row);
	*keep = false;
	/* Without memory: a kernel thread, a zombie; or a recording without statm. */
	bool live = mw_source_facts(look->src)->live;
	bool empty = row->rss == MW_FLEET_UNKNOWN;
	if (err || (row->have & MW_FLEET_GONE) || (empty && live && !opts->kernel))
		goto out;
	if (empty)
		want |= MW_FLEET_STATUS;
	err = mw_fleet_read(look, row, want);
	if (err)
		return err;
	empty = row->rss == MW_FLEET_UNKNOWN;
	*keep = !(row->have & MW_FLEET_GONE) && (!empty || opts->kernel) &&
		(!opts->filter || opts->by == MW_BY_FILE ||
		 fits(row, opts->filter, opts->self));
	if (*keep)
		take_rates(look, row);
out:
	if (row->have & MW_FLEET_GONE)
		look->fleet->n_vanished++;
	else if (!err && (row->have & MW_FLEET_DENIED) && !*keep)
		look->fleet->n_denied++;
	return err;
}

static struct mw_err *list(struct mw_fleet_look *look)
{
	struct mw_ids ids = { 0 };
	struct mw_err *err = mw_source_list(look->src, 0, &ids);
	for (size_t i = 0; !err && i < ids.n; i++) {
		struct mw_fleet_row row;
		bool keep;
		mw_fleet_row_init(&row);
		row.pid = ids.items[i];
		row.n = 1;
		err = consider(look, &row, &keep);
		if (!err && keep && !mw_vec_add(&look->fleet->all, row))
			err = mw_err_nomem();
	}
	mw_vec_deinit(&ids);
	return err;
}

/* The largest values so far, largest first; at most `cap` of them. */
struct best {
	uint64_t *values;
	size_t n, cap;
};

static void best_add(struct best *best, uint64_t value)
{
	size_t at = best->n;
	if (at == best->cap && best->values[at - 1] >= value)
		return;
	at -= at == best->cap;
	for (; at > 0 && best->values[at - 1] < value; at--)
		best->values[at] = best->values[at - 1];
	best->values[at] = value;
	best->n += best->n < best->cap;
}

/*
 * The first rows by Pss or USS: largest Rss first, until the last of them is at least
 * the Rss of whatever comes next. Rows are in order of Rss.
 */
static struct mw_err *walk_until_proven(struct mw_fleet_look *look, size_t n_rows)
{
	struct mw_fleet_rows *all = &look->fleet->all;
	struct best best = { .cap = n_rows };
	struct mw_err *err = NULL;
	best.values = calloc(n_rows + 1, sizeof(*best.values));
	if (!best.values)
		return mw_err_nomem();
	for (size_t i = 0; !err && i < all->n; i++) {
		struct mw_fleet_row *row = &all->items[i];
		uint64_t value;
		if (best.n == n_rows && best.values[n_rows - 1] >= row->rss)
			break;
		err = mw_fleet_walk(look, row);
		if (mw_fleet_value(row, look->opts->key, &value))
			best_add(&best, value);
		else if (!(row->have & MW_FLEET_GONE))
			look->fleet->proven = false;
	}
	free(best.values);
	return err;
}

static struct mw_err *walk_all(struct mw_fleet_look *look)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < look->fleet->all.n; i++)
		err = mw_fleet_walk(look, &look->fleet->all.items[i]);
	return err;
}

/* Those that ended meanwhile are no longer listed. */
static void drop_gone(struct mw_fleet *fleet)
{
	size_t kept = 0;
	for (size_t i = 0; i < fleet->all.n; i++) {
		if (fleet->all.items[i].have & MW_FLEET_GONE)
			fleet->n_vanished++;
		else
			fleet->all.items[kept++] = fleet->all.items[i];
	}
	fleet->all.n = kept;
}

static int larger_first(const void *a, const void *b)
{
	const struct mw_fleet_row *ra = *(struct mw_fleet_row *const *)a;
	const struct mw_fleet_row *rb = *(struct mw_fleet_row *const *)b;
	return (ra->rss < rb->rss) - (ra->rss > rb->rss);
}

/* What the first n rows show; the dear file of the largest first. */
static struct mw_err *complete(struct mw_fleet_look *look, size_t n)
{
	struct mw_fleet_row *rows = look->fleet->all.items;
	struct mw_fleet_row **order = calloc(n + 1, sizeof(struct mw_fleet_row *));
	struct mw_err *err = order ? NULL : mw_err_nomem();
	for (size_t i = 0; !err && i < n; i++) {
		order[i] = &rows[i];
		bool rates = !(rows[i].have & MW_FLEET_STAT);
		err = mw_fleet_read(look, &rows[i],
				    MW_FLEET_STAT | MW_FLEET_STATUS | MW_FLEET_COMMAND);
		if (!err && rates)
			take_rates(look, &rows[i]);
	}
	if (!err && n)
		qsort(order, n, sizeof(*order), larger_first);
	for (size_t i = 0; !err && i < n; i++)
		err = mw_fleet_walk(look, order[i]);
	free(order);
	return err;
}

static size_t shown(const struct mw_fleet_look *look, size_t n)
{
	size_t most = look->opts->n_rows;
	return most && most < n ? most : n;
}

static struct mw_err *show_processes(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	const struct mw_fleet_opts *opts = look->opts;
	bool bounded = opts->key == MW_RANK_PSS || opts->key == MW_RANK_USS;
	struct mw_err *err = NULL;
	if (bounded && !opts->tree)
		err = opts->n_rows && opts->n_rows < fleet->all.n && !opts->reverse
			      ? walk_until_proven(look, opts->n_rows)
			      : walk_all(look);
	if (err)
		return err;
	drop_gone(fleet);
	mw_fleet_sort(fleet->all.items, fleet->all.n, opts);
	if (opts->tree)
		err = mw_fleet_tree(fleet->all.items, fleet->all.n);
	if (!err)
		err = complete(look, shown(look, fleet->all.n));
	if (err)
		return err;
	drop_gone(fleet);
	fleet->n_groups = fleet->all.n;
	size_t n = shown(look, fleet->all.n);
	/* What was read of them may have changed the order: swap of smaps_rollup. */
	if (!opts->tree)
		mw_fleet_sort(fleet->all.items, n, opts);
	for (size_t i = 0; i < n; i++)
		if (!mw_vec_add(&fleet->rows, fleet->all.items[i]))
			return mw_err_nomem();
	return NULL;
}

static struct mw_err *show_groups(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	bool files = look->opts->by == MW_BY_FILE;
	struct mw_err *err = files ? mw_fleet_files(look) : walk_all(look);
	drop_gone(fleet);
	if (!err && !files)
		err = mw_fleet_group(look);
	if (err)
		return err;
	mw_fleet_sort(fleet->rows.items, fleet->rows.n, look->opts);
	fleet->n_groups = fleet->rows.n;
	fleet->rows.n = shown(look, fleet->rows.n);
	return NULL;
}

/* A sum that lacks some of its parts is none; Pss and USS say how many they are of. */
static void forget_partial_sums(struct mw_fleet *fleet)
{
	struct mw_fleet_row *total = &fleet->total;
	unsigned have = ~0u;
	for (size_t i = 0; i < fleet->all.n; i++)
		have &= fleet->all.items[i].have;
	if (!(have & MW_FLEET_STATUS))
		total->swap = total->swap_pss = total->tables = total->threads =
			MW_FLEET_UNKNOWN;
	if (!(have & MW_FLEET_STAT))
		total->faults = total->fault_rate = total->age_s = MW_FLEET_UNKNOWN;
}

/* Sums, and what was not read: of all in groups, else of the rows that are shown. */
static void count(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	size_t n = look->opts->by == MW_BY_PROCESS ? fleet->rows.n : fleet->all.n;
	for (size_t i = 0; i < fleet->all.n; i++) {
		struct mw_fleet_row *row = &fleet->all.items[i];
		row->n_unread = row->pss == MW_FLEET_UNKNOWN;
		mw_fleet_add(&fleet->total, row);
		fleet->n_read += row->pss != MW_FLEET_UNKNOWN;
		fleet->n_denied += row->have & MW_FLEET_DENIED ? 1 : 0;
		if (row->pss == MW_FLEET_UNKNOWN && row->rss != MW_FLEET_UNKNOWN)
			fleet->unread_rss += row->rss;
	}
	forget_partial_sums(fleet);
	const struct mw_fleet_row *rows =
		look->opts->by == MW_BY_PROCESS ? fleet->rows.items : fleet->all.items;
	for (size_t i = 0; i < n; i++)
		fleet->n_late += rows[i].rss != MW_FLEET_UNKNOWN &&
				 !(rows[i].have & (MW_FLEET_WALKED | MW_FLEET_DENIED));
	fleet->proven = fleet->proven && !fleet->n_late;
	if (fleet->all.n)
		qsort(fleet->all.items, fleet->all.n, sizeof(*fleet->all.items), by_pid);
}

static struct mw_err *take(struct mw_fleet_look *look)
{
	static const struct mw_fleet_opts rank = { .key = MW_RANK_RSS };
	struct mw_fleet *fleet = look->fleet;
	struct mw_err *err = list(look);
	if (err)
		return err;
	mw_fleet_sort(fleet->all.items, fleet->all.n, &rank);
	err = look->opts->by == MW_BY_PROCESS ? show_processes(look) : show_groups(look);
	if (!err)
		count(look);
	return err;
}

static void begin(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	const struct mw_facts *facts = mw_source_facts(look->src);
	uint64_t up = facts->live ? mw_fleet_clock_ns(CLOCK_BOOTTIME) : 0;
	look->now_ticks =
		(uint64_t)((unsigned __int128)up * facts->clock_ticks / 1000000000);
	fleet->taken_ns = mw_fleet_clock_ns(CLOCK_MONOTONIC);
	if (look->before && fleet->taken_ns > look->before->taken_ns)
		fleet->since_ns = fleet->taken_ns - look->before->taken_ns;
	fleet->failed_why = fleet->denied_why = "";
	fleet->proven = true;
	mw_fleet_row_init(&fleet->total);
}

struct mw_err *mw_fleet_take(struct mw_source *src, const struct mw_fleet_opts *opts,
			     const struct mw_fleet *before, struct mw_fleet **ret)
{
	uint64_t cpu = mw_fleet_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct mw_fleet *fleet = calloc(1, sizeof(*fleet));
	struct mw_fleet_look look = {
		.src = src, .opts = opts, .before = before, .fleet = fleet
	};
	if (!fleet)
		return mw_err_nomem();
	begin(&look);
	struct mw_err *err = take(&look);
	mw_buf_deinit(&look.text);
	mw_vec_deinit(&look.users);
	fleet->cpu_ns = mw_fleet_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	if (err)
		mw_fleet_free(fleet);
	else
		*ret = fleet;
	return err;
}

void mw_fleet_free(struct mw_fleet *fleet)
{
	if (!fleet)
		return;
	mw_vec_deinit(&fleet->all);
	mw_vec_deinit(&fleet->rows);
	mw_arena_deinit(&fleet->arena);
	free(fleet);
}
