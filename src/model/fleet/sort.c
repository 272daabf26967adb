// SPDX-License-Identifier: MIT
/* Names of keys and groups; order; sums. */
#include "model/fleet/impl.h"

#include <stdlib.h>
#include <string.h>

static const char *const by_names[MW_BY_COUNT] = {
	[MW_BY_PROCESS] = "process", [MW_BY_USER] = "user", [MW_BY_COMMAND] = "command",
	[MW_BY_CGROUP] = "cgroup",   [MW_BY_FILE] = "file",
};

static const char *const key_names[MW_RANK_COUNT] = {
	[MW_RANK_PSS] = "pss",           [MW_RANK_USS] = "uss",
	[MW_RANK_RSS] = "rss",           [MW_RANK_SWAP] = "swap",
	[MW_RANK_TABLES] = "pagetables", [MW_RANK_FAULTS] = "faults",
	[MW_RANK_GROWTH] = "growth",     [MW_RANK_AGE] = "age",
	[MW_RANK_PID] = "pid",           [MW_RANK_NAME] = "name",
};

const char *mw_fleet_by_name(enum mw_fleet_by by)
{
	return (unsigned)by < MW_BY_COUNT ? by_names[by] : NULL;
}

const char *mw_fleet_key_name(enum mw_fleet_key key)
{
	return (unsigned)key < MW_RANK_COUNT ? key_names[key] : NULL;
}

bool mw_fleet_by_parse(const char *name, enum mw_fleet_by *ret)
{
	for (unsigned i = 0; i < MW_BY_COUNT; i++) {
		if (strcmp(name, by_names[i]) != 0)
			continue;
		*ret = i;
		return true;
	}
	return false;
}

bool mw_fleet_key_parse(const char *name, enum mw_fleet_key *ret)
{
	for (unsigned i = 0; i < MW_RANK_COUNT; i++) {
		if (strcmp(name, key_names[i]) != 0)
			continue;
		*ret = i;
		return true;
	}
	return false;
}

bool mw_fleet_value(const struct mw_fleet_row *row, enum mw_fleet_key key, uint64_t *ret)
{
	uint64_t value = MW_FLEET_UNKNOWN;
	switch (key) {
	case MW_RANK_PSS:
		value = row->pss;
		break;
	case MW_RANK_USS:
		value = row->uss;
		break;
	case MW_RANK_RSS:
		value = row->rss;
		break;
	case MW_RANK_SWAP:
		value = row->swap;
		break;
	case MW_RANK_TABLES:
		value = row->tables;
		break;
	case MW_RANK_FAULTS:
		value = row->fault_rate;
		break;
	case MW_RANK_GROWTH:
		/* Shifted, so that order holds without a sign. */
		value = (uint64_t)row->growth ^ UINT64_C(1) << 63;
		*ret = value;
		return row->has_growth;
	case MW_RANK_AGE:
		value = row->age_s;
		break;
	case MW_RANK_PID:
	case MW_RANK_NAME:
	case MW_RANK_COUNT:
		return false;
	}
	*ret = value;
	return value != MW_FLEET_UNKNOWN;
}

static int by_rss(const struct mw_fleet_row *a, const struct mw_fleet_row *b)
{
	uint64_t x = a->rss == MW_FLEET_UNKNOWN ? 0 : a->rss;
	uint64_t y = b->rss == MW_FLEET_UNKNOWN ? 0 : b->rss;
	if (x != y)
		return x < y ? 1 : -1;
	return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : strcmp(a->name, b->name);
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct mw_fleet_row *ra = a, *rb = b;
	const struct mw_fleet_opts *opts = ctx;
	int turn = opts->reverse ? -1 : 1;
	uint64_t x, y;
	if (opts->key == MW_RANK_PID && ra->pid != rb->pid)
		return ra->pid < rb->pid ? -turn : turn;
	if (opts->key == MW_RANK_NAME && strcmp(ra->name, rb->name) != 0)
		return turn * strcmp(ra->name, rb->name);
	bool has_a = mw_fleet_value(ra, opts->key, &x);
	bool has_b = mw_fleet_value(rb, opts->key, &y);
	if (has_a != has_b)
		return has_a ? -1 : 1;
	if (has_a && x != y)
		return x < y ? turn : -turn;
	return by_rss(ra, rb);
}

void mw_fleet_sort(struct mw_fleet_row *rows, size_t n, const struct mw_fleet_opts *opts)
{
	if (n)
		qsort_r(rows, n, sizeof(*rows), compare, (void *)(uintptr_t)opts);
}

/* A sum of what is known; unknown when nothing is, or when it does not fit. */
static void add(uint64_t *to, uint64_t value)
{
	if (value == MW_FLEET_UNKNOWN)
		return;
	if (*to == MW_FLEET_UNKNOWN)
		*to = value;
	else if (__builtin_add_overflow(*to, value, to))
		*to = MW_FLEET_UNKNOWN;
}

void mw_fleet_add(struct mw_fleet_row *to, const struct mw_fleet_row *row)
{
	to->n += row->n;
	to->n_unread += row->n_unread;
	add(&to->rss, row->rss);
	add(&to->pss, row->pss);
	add(&to->uss, row->uss);
	add(&to->swap, row->swap);
	add(&to->swap_pss, row->swap_pss);
	add(&to->tables, row->tables);
	add(&to->threads, row->threads);
	add(&to->faults, row->faults);
	add(&to->fault_rate, row->fault_rate);
	if (row->age_s != MW_FLEET_UNKNOWN &&
	    (to->age_s == MW_FLEET_UNKNOWN || row->age_s > to->age_s))
		to->age_s = row->age_s;
	if (row->has_growth &&
	    !__builtin_add_overflow(to->growth, row->growth, &to->growth))
		to->has_growth = true;
}
