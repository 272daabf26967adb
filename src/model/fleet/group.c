// SPDX-License-Identifier: MIT
/* Rows that are several processes: by user, command, cgroup. And parents. */
#include "model/fleet/impl.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *name, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

/* The slot of a name: its own, or the free one where it belongs. */
static uint32_t *slot_of(const struct mw_fleet_index *index,
			 const struct mw_fleet_rows *rows, const char *name, size_t len)
{
	size_t at = hash_of(name, len) & (index->cap - 1);
	while (index->slots[at]) {
		const char *here = rows->items[index->slots[at] - 1].name;
		if (!strncmp(here, name, len) && !here[len])
			break;
		at = (at + 1) & (index->cap - 1);
	}
	return &index->slots[at];
}

/* Twice as many slots as before, never more than half of them taken. */
static bool grow(struct mw_fleet_index *index, const struct mw_fleet_rows *rows)
{
	size_t cap = index->cap ? index->cap * 2 : 64;
	struct mw_fleet_index larger = { calloc(cap, sizeof(uint32_t)), cap };
	if (!larger.slots || rows->n > UINT32_MAX / 2) {
		free(larger.slots);
		return false;
	}
	for (size_t i = 0; i < rows->n; i++) {
		const char *name = rows->items[i].name;
		*slot_of(&larger, rows, name, strlen(name)) = (uint32_t)i + 1;
	}
	free(index->slots);
	*index = larger;
	return true;
}

struct mw_fleet_row *mw_fleet_index_get(struct mw_fleet_index *index,
					struct mw_fleet *fleet, const char *name,
					size_t len)
{
	struct mw_fleet_rows *rows = &fleet->rows;
	if (2 * rows->n >= index->cap && !grow(index, rows))
		return NULL;
	uint32_t *slot = slot_of(index, rows, name, len);
	if (*slot)
		return &rows->items[*slot - 1];
	struct mw_fleet_row row;
	mw_fleet_row_init(&row);
	row.name = mw_arena_strndup(&fleet->arena, name, len);
	row.command = row.name;
	if (!row.name || !mw_vec_add(rows, row))
		return NULL;
	*slot = (uint32_t)rows->n;
	return &rows->items[rows->n - 1];
}

void mw_fleet_index_deinit(struct mw_fleet_index *index)
{
	free(index->slots);
	*index = (struct mw_fleet_index){ 0 };
}

static const char *group_name(const struct mw_fleet_row *row, enum mw_fleet_by by)
{
	const char *name = by == MW_BY_USER     ? row->user
			   : by == MW_BY_CGROUP ? row->cgroup
						: row->name;
	return name[0] ? name : "?";
}

struct mw_err *mw_fleet_group(struct mw_fleet_look *look)
{
	struct mw_fleet *fleet = look->fleet;
	struct mw_fleet_index index = { 0 };
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < fleet->all.n; i++) {
		struct mw_fleet_row *row = &fleet->all.items[i];
		const char *name = group_name(row, look->opts->by);
		struct mw_fleet_row *group =
			mw_fleet_index_get(&index, fleet, name, strlen(name));
		row->n_unread = row->pss == MW_FLEET_UNKNOWN;
		if (group)
			mw_fleet_add(group, row);
		else
			err = mw_err_nomem();
	}
	mw_fleet_index_deinit(&index);
	return err;
}

/* A process's place while the tree is laid out; numbers are of rows, from 1. */
struct node {
	uint32_t first, last, next; /* children; the next child of its parent */
	bool child, done;
};

struct by_pid {
	pid_t pid;
	uint32_t number;
};

static int compare_pids(const void *a, const void *b)
{
	const struct by_pid *x = a, *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void link_children(const struct mw_fleet_row *rows, size_t n, struct node *nodes,
			  struct by_pid *pids)
{
	for (size_t i = 0; i < n; i++)
		pids[i] = (struct by_pid){ rows[i].pid, (uint32_t)i + 1 };
	qsort(pids, n, sizeof(*pids), compare_pids);
	for (size_t i = 0; i < n; i++) {
		struct by_pid key = { .pid = rows[i].ppid };
		const struct by_pid *parent =
			bsearch(&key, pids, n, sizeof(key), compare_pids);
		if (!parent || parent->number == i + 1)
			continue;
		struct node *node = &nodes[parent->number - 1];
		nodes[i].child = true;
		if (node->last)
			nodes[node->last - 1].next = (uint32_t)i + 1;
		else
			node->first = (uint32_t)i + 1;
		node->last = (uint32_t)i + 1;
	}
}

/*
 * Lays out what is below row `root`, without recursion: `path` holds the way down. Links
 * come from several readings and could even close a circle: each is laid out once.
 */
static size_t lay_out(const struct mw_fleet_row *rows, struct node *nodes, uint32_t root,
		      uint32_t *path, struct mw_fleet_row *to)
{
	size_t depth = 0, n = 0;
	path[0] = root;
	for (;;) {
		struct node *node = &nodes[path[depth] - 1];
		if (!node->done) {
			node->done = true;
			to[n] = rows[path[depth] - 1];
			to[n++].depth = (unsigned)depth;
		}
		uint32_t next = node->first;
		node->first = next ? nodes[next - 1].next : 0;
		if (next && !nodes[next - 1].done)
			path[++depth] = next;
		else if (!next && depth)
			depth--;
		else if (!next)
			return n;
	}
}

struct mw_err *mw_fleet_tree(struct mw_fleet_row *rows, size_t n)
{
	struct mw_arena arena = { 0 };
	if (!n)
		return NULL;
	struct node *nodes = mw_arena_calloc(&arena, n, sizeof(*nodes));
	struct by_pid *pids = mw_arena_calloc(&arena, n, sizeof(*pids));
	uint32_t *path = mw_arena_calloc(&arena, n + 1, sizeof(*path));
	struct mw_fleet_row *to = mw_arena_calloc(&arena, n, sizeof(*to));
	bool ok = nodes && pids && path && to;
	size_t done = 0;
	if (ok)
		link_children(rows, n, nodes, pids);
	for (size_t i = 0; ok && i < n; i++)
		if (!nodes[i].child)
			done += lay_out(rows, nodes, (uint32_t)i + 1, path, to + done);
	for (size_t i = 0; ok && i < n; i++)
		if (!nodes[i].done)
			done += lay_out(rows, nodes, (uint32_t)i + 1, path, to + done);
	for (size_t i = 0; ok && i < n; i++)
		rows[i] = to[i];
	mw_arena_deinit(&arena);
	return ok ? NULL : mw_err_nomem();
}
