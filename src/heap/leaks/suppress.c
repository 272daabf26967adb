// SPDX-License-Identifier: MIT
/*
 * A suppressions file: one rule a line, `key=glob` parted by blanks, all of which must
 * match; "#" begins a comment. Keys: size (bytes of a block), arena ("main", "mmapped",
 * an address), symbol, object.
 */
#include "heap/leaks/reach.h"

#include "base/num.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEY_SIZE, KEY_ARENA, KEY_SYMBOL, KEY_OBJECT, N_KEYS };

static const char *const keys[N_KEYS] = { "size", "arena", "symbol", "object" };

struct rule {
	const char *text;
	const char *globs[N_KEYS]; /* NULL: anything */
	bool used;
};

struct rules {
	MW_VEC(struct rule);
};

static struct mw_err *bad_rule(const char *line, size_t len)
{
	return mw_err_new(MW_ERR_USAGE, 0, "suppressions",
			  "no rule: %.*s; a line is key=glob, and keys are size, arena, "
			  "symbol, object",
			  len < 80 ? (int)len : 80, line);
}

/* A symbol has blanks in it: a value ends where the next key begins. */
static const char *value_end(const char *value, const char *end)
{
	for (const char *pos = value; pos < end; pos++) {
		if (*pos != ' ' && *pos != '\t')
			continue;
		for (int i = 0; i < N_KEYS; i++) {
			size_t len = strlen(keys[i]);
			if ((size_t)(end - pos - 1) > len && pos[1 + len] == '=' &&
			    !strncmp(pos + 1, keys[i], len))
				return pos;
		}
	}
	return end;
}

static struct mw_err *parse_rule(const char *line, const char *end,
				 struct mw_arena *arena, struct rule *ret)
{
	const char *pos = line;
	struct rule rule = { .text = mw_arena_strndup(arena, line,
						      (size_t)(end - line)) };
	if (!rule.text)
		return mw_err_nomem();
	while (pos < end) {
		int key = 0;
		while (key < N_KEYS && ((size_t)(end - pos) <= strlen(keys[key]) ||
					strncmp(pos, keys[key], strlen(keys[key])) != 0 ||
					pos[strlen(keys[key])] != '='))
			key++;
		if (key == N_KEYS)
			return bad_rule(line, (size_t)(end - line));
		const char *value = pos + strlen(keys[key]) + 1;
		const char *stop = value_end(value, end);
		rule.globs[key] = mw_arena_strndup(arena, value, (size_t)(stop - value));
		if (!rule.globs[key])
			return mw_err_nomem();
		pos = stop;
		mw_skip_blanks(&pos, end);
	}
	*ret = rule;
	return NULL;
}

static struct mw_err *parse(const char *text, struct mw_arena *arena, struct rules *ret)
{
	const char *end = text + strlen(text);
	for (const char *pos = text; pos < end;) {
		const char *stop = mw_line_end(pos, end), *last = stop;
		struct rule rule;
		mw_skip_blanks(&pos, stop);
		while (last > pos && strchr(" \t\r", last[-1]))
			last--;
		if (pos < last && *pos != '#') {
			struct mw_err *err = parse_rule(pos, last, arena, &rule);
			if (err)
				return err;
			if (!mw_vec_add(ret, rule))
				return mw_err_nomem();
		}
		pos = stop < end ? stop + 1 : end;
	}
	return NULL;
}

static bool fits(const char *glob, const char *text)
{
	return !glob || fnmatch(glob, text, 0) == 0;
}

static const char *arena_name(const struct mw_heap *heap, uint64_t address)
{
	if (!address)
		return "mmapped";
	for (size_t i = 0; i < heap->n_allocators; i++)
		for (size_t j = 0; j < heap->allocators[i].n_arenas; j++)
			if (heap->allocators[i].arenas[j].address == address &&
			    heap->allocators[i].arenas[j].main)
				return "main";
	return "thread";
}

static bool matches(const struct rule *rule, const struct mw_leak_group *group,
		    const struct mw_heap *heap)
{
	char size[32], address[32];
	snprintf(size, sizeof(size), "%" PRIu64, group->size);
	snprintf(address, sizeof(address), "0x%" PRIx64, group->arena);
	return fits(rule->globs[KEY_SIZE], size) &&
	       (fits(rule->globs[KEY_ARENA], arena_name(heap, group->arena)) ||
		fits(rule->globs[KEY_ARENA], address)) &&
	       fits(rule->globs[KEY_SYMBOL], group->symbol) &&
	       fits(rule->globs[KEY_OBJECT], group->object);
}

static struct mw_err *list_unused(const struct rules *rules, struct mw_arena *arena,
				  const char *const **ret, size_t *n)
{
	const char **unused = mw_arena_calloc(arena, rules->n + 1, sizeof(*unused));
	size_t n_unused = 0;
	if (!unused)
		return mw_err_nomem();
	for (size_t i = 0; i < rules->n; i++)
		if (!rules->items[i].used)
			unused[n_unused++] = rules->items[i].text;
	*ret = unused;
	*n = n_unused;
	return NULL;
}

struct mw_err *mw_leaks_suppress(const char *text, struct mw_leak_group *groups, size_t n,
				 const struct mw_heap *heap, struct mw_arena *arena,
				 const char *const **unused, size_t *n_unused)
{
	struct rules rules = { 0 };
	struct mw_err *err = parse(text, arena, &rules);
	for (size_t i = 0; i < n && !err; i++) {
		for (size_t j = 0; j < rules.n; j++) {
			if (!matches(&rules.items[j], &groups[i], heap))
				continue;
			rules.items[j].used = groups[i].suppressed = true;
			break;
		}
	}
	if (!err)
		err = list_unused(&rules, arena, unused, n_unused);
	mw_vec_deinit(&rules);
	return err;
}

struct mw_err *mw_leaks_check_rules(const char *text)
{
	struct mw_arena arena = { 0 };
	struct rules rules = { 0 };
	struct mw_err *err = parse(text, &arena, &rules);
	mw_vec_deinit(&rules);
	mw_arena_deinit(&arena);
	return err;
}
