// SPDX-License-Identifier: MIT
/*
 * Live blocks by size class and by what they begin with, counted while they are read. A
 * word is told apart when it lies in a mapped file, where it may be the address of a
 * vtable, a type object, a function.
 */
#include "heap/leaks/reach.h"

#include <string.h>

enum { MAX_KINDS = 1 << 16, GRAIN = 16 };

/* Bits 16 and up, of which some hundred are in use and most heap addresses differ. */
static unsigned hash_grain(uint64_t addr)
{
	return (unsigned)((addr >> GRAIN) * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

static struct mw_err *add_file(struct mw_kinds *kinds, uint64_t start, uint64_t end)
{
	enum { MAX_GRAINS = 1 << 15 };
	unsigned left = MAX_GRAINS;
	for (uint64_t at = start >> GRAIN; at <= (end - 1) >> GRAIN && left;
	     at++, left--) {
		unsigned bit = hash_grain(at << GRAIN);
		kinds->filter[bit / 8] |= (uint8_t)(1 << bit % 8);
	}
	return mw_vec_add(&kinds->files, (struct mw_file_range){ start, end })
		       ? NULL
		       : mw_err_nomem();
}

struct mw_err *mw_kinds_init(struct mw_kinds *kinds, const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	struct mw_err *err = NULL;
	kinds->filter = calloc(MW_FILE_FILTER / 8, 1);
	if (!kinds->filter)
		return mw_err_nomem();
	for (size_t i = 0; i < n && !err; i++)
		if (regions[i].ino && !(regions[i].perms & MW_PERM_SHARED))
			err = add_file(kinds, regions[i].start, regions[i].end);
	return err;
}

void mw_kinds_deinit(struct mw_kinds *kinds)
{
	mw_vec_deinit(&kinds->files);
	free(kinds->filter);
	free(kinds->table);
	kinds->filter = NULL;
	kinds->table = NULL;
}

static bool in_file(struct mw_kinds *kinds, uint64_t addr)
{
	unsigned bit = hash_grain(addr);
	if (!(kinds->filter[bit / 8] >> (bit % 8) & 1))
		return false;
	const struct mw_file_range *files = kinds->files.items;
	size_t lo = 0, hi = kinds->files.n;
	if (kinds->last < hi && addr >= files[kinds->last].start &&
	    addr < files[kinds->last].end)
		return true;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (files[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	kinds->last = lo;
	return lo < kinds->files.n && addr >= files[lo].start;
}

uint64_t mw_kinds_word(struct mw_kinds *kinds, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i + 8 <= len && i < 8 * MW_HEAD_WORDS; i += 8) {
		uint64_t word;
		memcpy(&word, bytes + i, 8);
		if (word >> 16 && !(word >> 48) && in_file(kinds, word))
			return word;
	}
	return 0;
}

static size_t slot_of(const struct mw_kind *table, size_t cap, uint64_t word,
		      unsigned class)
{
	uint64_t hash = (word + class * UINT64_C(0x632be59bd9b4e019)) *
			UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (hash >> 32) & (cap - 1);
	while (table[at].word && (table[at].word != word || table[at].class != class))
		at = (at + 1) & (cap - 1);
	return at;
}

static struct mw_err *grow(struct mw_kinds *kinds)
{
	size_t cap = kinds->cap ? kinds->cap * 2 : 1024;
	struct mw_kind *table = calloc(cap, sizeof(*table));
	if (!table)
		return mw_err_nomem();
	for (size_t i = 0; i < kinds->cap; i++) {
		const struct mw_kind *old = &kinds->table[i];
		if (old->word)
			table[slot_of(table, cap, old->word, old->class)] = *old;
	}
	free(kinds->table);
	kinds->table = table;
	kinds->cap = cap;
	return NULL;
}

struct mw_err *mw_kinds_count(struct mw_kinds *kinds, uint64_t word, uint64_t len)
{
	unsigned class = mw_size_class(len);
	struct mw_blocks *blocks = &kinds->plain[class];
	if (word) {
		kinds->worded[class] = true;
		if (2 * kinds->n >= kinds->cap) {
			struct mw_err *err = grow(kinds);
			if (err)
				return err;
		}
		size_t at = slot_of(kinds->table, kinds->cap, word, class);
		struct mw_kind *kind = &kinds->table[at];
		/* A heap where every block begins otherwise names nothing. */
		if (!kind->word && kinds->n < MAX_KINDS) {
			kind->word = word;
			kind->class = class;
			kinds->n++;
		}
		if (kind->word)
			blocks = &kind->blocks;
	}
	blocks->n++;
	blocks->bytes += len;
	return NULL;
}
