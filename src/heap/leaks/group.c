// SPDX-License-Identifier: MIT
/* Leaked blocks that are alike make one group; live ones of one size and symbol too. */
#include "heap/leaks/reach.h"

#include <string.h>

/* What makes blocks alike. */
struct key {
	unsigned class;
	bool direct, possible;
	uint64_t arena, shape;
	const char *symbol, *object; /* interned: of an address each is one pointer */
};

struct bucket {
	struct key key;
	struct mw_leak_group group;
};

struct grouping {
	struct mw_reach *reach;
	const struct mw_losses *losses;
	struct mw_names *names;
	struct mw_memory mem;
	bool contents;
	struct {
		MW_VEC(struct bucket);
	} buckets;
	uint32_t *slots; /* index + 1 */
	size_t n_slots;
	const struct mw_heap_area *area; /* found last */
};

static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t hash_key(const struct key *key)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = hash_text(key->symbol);
	hash = (hash ^ key->arena) * odd;
	hash = (hash ^ key->shape) * odd;
	hash = (hash ^ (key->class * 4u + key->direct * 2u + key->possible)) * odd;
	return hash >> 20;
}

static bool same_key(const struct key *a, const struct key *b)
{
	return a->class == b->class && a->direct == b->direct &&
	       a->possible == b->possible && a->arena == b->arena &&
	       a->shape == b->shape && !strcmp(a->symbol, b->symbol) &&
	       !strcmp(a->object, b->object);
}

static struct mw_err *grow_slots(struct grouping *g)
{
	size_t n = g->n_slots ? g->n_slots * 2 : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));
	if (!slots)
		return mw_err_nomem();
	for (size_t i = 0; i < g->buckets.n; i++) {
		size_t at = hash_key(&g->buckets.items[i].key) & (n - 1);
		while (slots[at])
			at = (at + 1) & (n - 1);
		slots[at] = (uint32_t)i + 1;
	}
	free(g->slots);
	g->slots = slots;
	g->n_slots = n;
	return NULL;
}

static struct mw_err *find_bucket(struct grouping *g, const struct key *key,
				  struct bucket **ret)
{
	if (2 * g->buckets.n >= g->n_slots) {
		struct mw_err *err = grow_slots(g);
		if (err)
			return err;
	}
	size_t at = hash_key(key) & (g->n_slots - 1);
	for (; g->slots[at]; at = (at + 1) & (g->n_slots - 1)) {
		*ret = &g->buckets.items[g->slots[at] - 1];
		if (same_key(&(*ret)->key, key))
			return NULL;
	}
	if (!mw_vec_add(&g->buckets, (struct bucket){ .key = *key }))
		return mw_err_nomem();
	g->slots[at] = (uint32_t)g->buckets.n;
	*ret = &g->buckets.items[g->buckets.n - 1];
	return NULL;
}

/* The arena of the area an address lies in; blocks come in the order of addresses. */
static uint64_t arena_of(struct grouping *g, uint64_t addr)
{
	const struct mw_heap *heap = g->reach->heap;
	if (g->area && addr >= g->area->start && addr < g->area->end)
		return g->area->arena;
	size_t lo = 0, hi = heap->n_areas;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (heap->areas[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	g->area = lo < heap->n_areas && heap->areas[lo].start <= addr ? &heap->areas[lo]
								      : NULL;
	return g->area ? g->area->arena : 0;
}

/* The name of what a block begins with; it is still there, since nobody leads to it. */
static struct mw_err *name_block(struct grouping *g, const struct mw_block *block,
				 struct mw_name *ret)
{
	size_t len = 0, want = 8 * MW_HEAD_WORDS;
	want = block->len < want ? block->len & ~UINT64_C(7) : want;
	*ret = (struct mw_name){ "", "" };
	/* When they were counted, no block of this size began with an address. */
	if (!g->reach->kinds.worded[mw_size_class(block->len)])
		return NULL;
	const unsigned char *bytes =
		want ? mw_memory_lend(&g->mem, block->addr, want, &len) : NULL;
	for (size_t i = 0; bytes && i < want && !ret->symbol[0]; i += 8) {
		uint64_t word = mw_kinds_word(&g->reach->kinds, bytes + i, 8);
		struct mw_err *err = mw_names_find(g->names, word, ret);
		if (err)
			return err;
	}
	return NULL;
}

static void count_in(struct mw_leak_group *group, const struct key *key,
		     const struct mw_block *block, const struct mw_direct *direct)
{
	if (!group->blocks.n) {
		group->sample = block->addr;
		group->direct = key->direct;
		group->arena = key->arena;
		group->symbol = key->symbol;
		group->object = key->object;
		group->confidence = key->possible ? MW_LEAK_POSSIBLE : MW_LEAK_LIKELY;
	}
	group->blocks.n++;
	group->blocks.bytes += block->len;
	if (block->len > group->size)
		group->size = block->len;
	if (!direct)
		return;
	group->owned.n += direct->owned.n;
	group->owned.bytes += direct->owned.bytes;
}

static struct mw_err *add_lost(struct grouping *g, size_t i)
{
	const struct mw_lost *lost = &g->losses->lost.items[i];
	const struct mw_direct *direct = mw_lost_is_direct(g->losses, i)
						 ? &g->losses->direct.items[lost->owner]
						 : NULL;
	struct mw_block block = { mw_block_addr(&g->reach->map, lost->block),
				  mw_block_len(&g->reach->map, lost->block) };
	struct mw_name name;
	struct bucket *bucket = NULL;
	struct mw_err *err = name_block(g, &block, &name);
	if (err)
		return err;
	struct key key = {
		.class = mw_size_class(block.len),
		.direct = direct != NULL,
		.possible = lost->possible || g->reach->unsure,
		.arena = arena_of(g, block.addr),
		.shape = direct ? direct->shape : 0,
		.symbol = name.symbol,
		.object = name.object,
	};
	err = find_bucket(g, &key, &bucket);
	if (!err && bucket)
		count_in(&bucket->group, &key, &block, direct);
	return err;
}

/* By bytes with what is owned, descending; direct ones first, then by address. */
static int by_weight(const void *a, const void *b)
{
	const struct mw_leak_group *x = a, *y = b;
	uint64_t xw = x->blocks.bytes + x->owned.bytes;
	uint64_t yw = y->blocks.bytes + y->owned.bytes;
	if (xw != yw)
		return xw > yw ? -1 : 1;
	if (x->direct != y->direct)
		return x->direct ? -1 : 1;
	return x->sample < y->sample ? -1 : x->sample > y->sample;
}

/* Samples of the largest groups; who has more groups than that looks at no sample. */
static void read_samples(struct grouping *g, struct mw_leak_group *groups, size_t n)
{
	enum { MAX_SAMPLES = 1 << 16 };
	for (size_t i = 0; i < n && i < MAX_SAMPLES; i++) {
		struct mw_leak_group *group = &groups[i];
		uint32_t block = mw_block_starting(&g->reach->map, group->sample);
		uint64_t len =
			block != MW_NO_BLOCK ? mw_block_len(&g->reach->map, block) : 0;
		size_t want = len < sizeof(group->head) ? len : sizeof(group->head);
		if (want && mw_memory_read(&g->mem, group->sample, group->head, want))
			group->head_len = want;
	}
}

static struct mw_err *publish(struct grouping *g, struct mw_arena *arena,
			      struct mw_leak_group **ret, size_t *n)
{
	struct mw_leak_group *groups =
		mw_arena_calloc(arena, g->buckets.n ? g->buckets.n : 1, sizeof(*groups));
	if (!groups)
		return mw_err_nomem();
	for (size_t i = 0; i < g->buckets.n; i++)
		groups[i] = g->buckets.items[i].group;
	qsort(groups, g->buckets.n, sizeof(*groups), by_weight);
	if (g->contents)
		read_samples(g, groups, g->buckets.n);
	*ret = groups;
	*n = g->buckets.n;
	return NULL;
}

struct mw_err *mw_leaks_group(struct mw_reach *reach, const struct mw_losses *losses,
			      struct mw_names *names, struct mw_arena *arena,
			      bool contents, struct mw_leak_group **ret, size_t *n)
{
	enum { WINDOW = 64 << 10 };
	struct grouping g = {
		.reach = reach, .losses = losses, .names = names, .contents = contents
	};
	struct mw_err *err =
		mw_memory_init(&g.mem, reach->snap, MW_READ_CONTENTS, WINDOW);
	for (size_t i = 0; i < losses->lost.n && !err; i++)
		err = add_lost(&g, i);
	if (!err)
		err = publish(&g, arena, ret, n);
	mw_memory_deinit(&g.mem);
	mw_vec_deinit(&g.buckets);
	free(g.slots);
	return err;
}

struct live_groups {
	MW_VEC(struct mw_live_group);
};

static int by_size(const void *a, const void *b)
{
	const struct mw_live_group *x = a, *y = b;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->symbol, y->symbol);
}

/* The largest kinds get their names first: there are only so many. */
static int by_bytes(const void *a, const void *b)
{
	const struct mw_kind *x = a, *y = b;
	if (x->blocks.bytes != y->blocks.bytes)
		return x->blocks.bytes > y->blocks.bytes ? -1 : 1;
	if (x->word != y->word)
		return x->word < y->word ? -1 : 1;
	return x->class < y->class ? -1 : x->class > y->class;
}

static struct mw_err *add_live(struct live_groups *ret, unsigned class,
			       const char *symbol, const struct mw_blocks *blocks)
{
	struct mw_live_group group = { mw_size_class_max(class), symbol, *blocks };
	if (!blocks->n)
		return NULL;
	return mw_vec_add(ret, group) ? NULL : mw_err_nomem();
}

static struct mw_err *list_live(struct mw_reach *reach, struct mw_names *names,
				struct live_groups *ret)
{
	struct mw_kinds *kinds = &reach->kinds;
	struct mw_err *err = NULL;
	if (kinds->cap)
		qsort(kinds->table, kinds->cap, sizeof(*kinds->table), by_bytes);
	for (unsigned i = 0; i < MW_SIZE_CLASSES && !err; i++)
		err = add_live(ret, i, "", &kinds->plain[i]);
	for (size_t i = 0; i < kinds->cap && kinds->table[i].blocks.n && !err; i++) {
		struct mw_name name;
		err = mw_names_find(names, kinds->table[i].word, &name);
		if (!err)
			err = add_live(ret, kinds->table[i].class, name.symbol,
				       &kinds->table[i].blocks);
	}
	return err;
}

struct mw_err *mw_leaks_live(struct mw_reach *reach, struct mw_names *names,
			     struct mw_arena *arena, struct mw_live_group **ret,
			     size_t *n)
{
	struct live_groups all = { 0 };
	struct mw_err *err = list_live(reach, names, &all);
	struct mw_live_group *groups = NULL;
	size_t n_groups = 0;
	if (!err && !(groups = mw_arena_calloc(arena, all.n + 1, sizeof(*groups))))
		err = mw_err_nomem();
	if (!err && all.n)
		qsort(all.items, all.n, sizeof(*all.items), by_size);
	for (size_t i = 0; i < all.n && !err; i++) {
		struct mw_live_group *last = n_groups ? &groups[n_groups - 1] : NULL;
		if (last && !by_size(last, &all.items[i])) {
			last->blocks.n += all.items[i].blocks.n;
			last->blocks.bytes += all.items[i].blocks.bytes;
		} else {
			groups[n_groups++] = all.items[i];
		}
	}
	mw_vec_deinit(&all);
	if (err)
		return err;
	*ret = groups;
	*n = n_groups;
	return NULL;
}
