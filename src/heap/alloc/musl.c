// SPDX-License-Identifier: MIT
/*
 * musl's mallocng (1.2.1 and later). Records lie in pages of their own: each begins with
 * one 8-byte secret of the process, the next such page and the number of records. A
 * record describes a group of up to 32 slots, and the group's first word points back to
 * it. A group has a mapping of its own, lies in a slot of a larger group, or in a piece
 * that the loader gave away at the end of an object's variables. Behind a block's start
 * stands how much of its slot was not asked for, so block sizes are the sizes asked for.
 *
 * Source: src/malloc/mallocng/meta.h of 1.2.3.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 4096,
	HEAD_LEN = 24,
	SLOT_LEN = 40,
	MAX_RECORDS = (PAGE - HEAD_LEN) / SLOT_LEN,
	MAX_AREAS = 1 << 20,
	MAX_DEPTH = 16,
	UNIT = 16,
	CLASS_MAPPED = 63,
	CLASSES = 48,
	HAS_LONG_TAIL = 5, /* how much was not asked for is told elsewhere */
	IS_GROUP = 6,
	IS_SHIFTED = 7, /* the block begins further on in its slot */
};

/* Slot lengths of the size classes, in units of 16 bytes. */
static const uint16_t classes[CLASSES] = {
	1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   12,   15,
	18,   20,   25,   31,   36,   42,   50,   63,   72,   84,   102,  127,
	146,  170,  204,  255,  292,  340,  409,  511,  584,  682,  818,  1023,
	1169, 1364, 1637, 2047, 2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
};

/* struct meta. */
struct record {
	uint64_t prev, next, mem;
	uint32_t available, freed;
	uint64_t bits; /* last slot 5, freeable 1, class 6, pages 52 */
};

struct area {
	uint64_t secret, next;
	uint32_t n, pad;
	struct record records[MAX_RECORDS];
};

_Static_assert(sizeof(struct record) == SLOT_LEN && sizeof(struct area) <= PAGE,
	       "as meta.h has them");

struct group {
	uint64_t mem, end, stride;
	uint32_t free; /* a bit for each slot */
	uint8_t last;
	bool mapped, seen;
};

struct group_vec {
	MW_VEC(struct group);
};

/* A group whose slots are being walked. */
struct level {
	size_t group;
	unsigned slot;
};

struct musl {
	struct mw_heap_walk *walk;
	const struct mw_region *text; /* its loader; NULL in a static program */
	uint64_t secret;
	struct group_vec groups; /* ascending once all are found */
	MW_VEC(uint64_t);        /* pages of records */
	struct mw_tally tally;
	struct level levels[MAX_DEPTH];
	unsigned depth;
	uint64_t n_bad, n_lost; /* blocks; slots with groups that no record names */
};

/* The group of a record in use; false when there is none, or it does not point back. */
static bool read_group(struct musl *musl, uint64_t at, const struct record *record,
		       struct group *ret)
{
	uint64_t back, class = record->bits >> 6 & 63, pages = record->bits >> 12;
	unsigned last = record->bits & 31;
	uint64_t len, end;
	if (!record->mem || (record->mem & (UNIT - 1)) ||
	    (class >= CLASSES && (class != CLASS_MAPPED || !pages || last)) ||
	    pages >> 35 || !mw_memory_word(&musl->walk->memory, record->mem, &back) ||
	    back != at)
		return false;
	uint64_t stride =
		pages && !last ? pages * PAGE - UNIT : classes[class % CLASSES] * UNIT;
	len = pages ? pages * PAGE : UNIT + (last + 1) * stride;
	if (__builtin_add_overflow(record->mem, len, &end) ||
	    UNIT + (last + 1) * stride > len)
		return false;
	*ret = (struct group){
		.mem = record->mem,
		.end = end,
		.stride = stride,
		.free = record->available | record->freed,
		.last = (uint8_t)last,
		.mapped = pages,
	};
	return !pages || (!(record->mem & (PAGE - 1)) &&
			  mw_alloc_in_heapish(musl->walk->snap, record->mem, end));
}

static bool read_area(struct musl *musl, uint64_t addr, struct area *area)
{
	return mw_memory_read(&musl->walk->memory, addr, area, sizeof(*area)) &&
	       area->secret && (!musl->secret || area->secret == musl->secret) &&
	       !(area->next & (PAGE - 1)) && area->next != addr && area->n &&
	       area->n <= MAX_RECORDS;
}

/* Adds the groups of one page of records. */
static struct mw_err *add_groups(struct musl *musl, uint64_t addr,
				 const struct area *area)
{
	for (uint32_t i = 0; i < area->n; i++) {
		struct group group;
		if (read_group(musl, addr + HEAD_LEN + i * SLOT_LEN, &area->records[i],
			       &group) &&
		    !mw_vec_add(&musl->groups, group))
			return mw_err_nomem();
	}
	return NULL;
}

/* A hostile list may be a circle: a mark that moves on ever more rarely meets it. */
static struct mw_err *follow_areas(struct musl *musl, uint64_t addr)
{
	struct area area;
	struct mw_err *err = NULL;
	uint64_t mark = 0;
	for (unsigned n = 1; addr && addr != mark && n < MAX_AREAS && !err; n++) {
		if (!read_area(musl, addr, &area))
			break;
		if (!mw_vec_add(musl, addr))
			return mw_err_nomem();
		err = add_groups(musl, addr, &area);
		if (!(n & (n - 1)))
			mark = addr;
		addr = area.next;
	}
	return err;
}

/* The first page is known by a group that points back; [heap] begins with it. */
static struct mw_err *find_areas(struct musl *musl, bool brk_only)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(musl->walk->snap, &n);
	for (size_t i = 0; i < n; i++) {
		struct area area;
		bool brk = !strcmp(regions[i].name, "[heap]");
		if (brk != brk_only || !mw_alloc_is_heapish(&regions[i]))
			continue;
		musl->secret = 0;
		if (!read_area(musl, regions[i].start, &area))
			continue;
		struct mw_err *err = add_groups(musl, regions[i].start, &area);
		bool proved = musl->groups.n;
		musl->groups.n = 0;
		if (err)
			return err;
		if (!proved)
			continue;
		musl->secret = area.secret;
		return follow_areas(musl, regions[i].start);
	}
	return NULL;
}

static int by_mem(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	return x->mem < y->mem ? -1 : x->mem > y->mem;
}

/* The group at an address that lies in [addr, end) whole; n when there is none. */
static size_t group_at(const struct musl *musl, uint64_t addr, uint64_t end)
{
	size_t lo = 0, n = musl->groups.n;
	const struct group *groups = musl->groups.items;
	for (size_t hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (groups[mid].mem < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && groups[lo].mem == addr && groups[lo].end <= end &&
			       !groups[lo].mapped && !groups[lo].seen
		       ? lo
		       : n;
}

/* Bytes at an address of a group; what goes upward is read in windows. */
static bool peek(struct musl *musl, uint64_t addr, void *bytes, size_t len)
{
	size_t got;
	const unsigned char *at = mw_memory_lend(&musl->walk->window, addr, len, &got);
	if (at)
		memcpy(bytes, at, len);
	return at;
}

/* A slot in use: where its block is, and what of it was asked for. */
struct block {
	uint64_t addr, len;
	bool is_group;
};

static bool read_block(struct musl *musl, uint64_t slot, uint64_t end, struct block *ret)
{
	struct {
		unsigned char wide, bits;
		uint16_t offset;
	} head;
	uint64_t addr = slot;
	if (!peek(musl, addr - 4, &head, sizeof(head)))
		return false;
	if (head.bits >> 5 == IS_SHIFTED) {
		addr += (uint64_t)head.offset * UNIT;
		if (addr <= slot || addr >= end ||
		    !peek(musl, addr - 4, &head, sizeof(head)))
			return false;
	}
	/* The last four bytes of a slot are the header of the next one. */
	unsigned kind = head.bits >> 5;
	uint32_t tail = kind;
	if (kind == HAS_LONG_TAIL && !peek(musl, end - 8, &tail, sizeof(tail)))
		return false;
	*ret = (struct block){ addr, end - 4 - addr - tail, kind == IS_GROUP };
	return kind != IS_SHIFTED && tail <= end - 4 - addr;
}

static struct mw_err *walk_slot(struct musl *musl, const struct group *group,
				unsigned index)
{
	struct block block;
	uint64_t slot = group->mem + UNIT + index * group->stride;
	uint64_t end = slot + group->stride;
	if (group->free >> index & 1) {
		mw_tally_kept(&musl->tally, slot, group->stride - 4);
		return NULL;
	}
	if (!read_block(musl, slot, end, &block)) {
		musl->n_bad++;
		mw_tally_part(&musl->tally, slot, end - 4, MW_PART_UNKNOWN);
		return NULL;
	}
	if (!block.is_group)
		return mw_tally_live(&musl->tally, block.addr, block.len);
	size_t inner = group_at(musl, block.addr, end);
	if (inner == musl->groups.n || musl->depth == MAX_DEPTH) {
		musl->n_lost++;
		mw_tally_part(&musl->tally, block.addr, end - 4, MW_PART_UNKNOWN);
		return NULL;
	}
	musl->groups.items[inner].seen = true;
	musl->levels[musl->depth++] = (struct level){ inner, 0 };
	return NULL;
}

/* Walks a group and those in its slots, upward. */
static struct mw_err *walk_group(struct musl *musl, size_t first)
{
	struct mw_err *err = NULL;
	musl->groups.items[first].seen = true;
	musl->levels[0] = (struct level){ first, 0 };
	musl->depth = 1;
	while (musl->depth && !err) {
		struct level *level = &musl->levels[musl->depth - 1];
		const struct group *group = &musl->groups.items[level->group];
		if (level->slot > group->last)
			musl->depth--;
		else
			err = walk_slot(musl, group, level->slot++);
	}
	return err;
}

/* Groups with a mapping first; what they do not hold was given away by the loader. */
static struct mw_err *walk_groups(struct musl *musl, bool mapped)
{
	struct mw_err *err = NULL;
	uint64_t above = 0;
	for (size_t i = 0; i < musl->groups.n && !err; i++) {
		const struct group *group = &musl->groups.items[i];
		if (group->mapped != mapped || group->seen)
			continue;
		if (group->mem < above) {
			musl->tally.overlaps++;
			continue;
		}
		above = group->end;
		err = mapped ? mw_tally_open(&musl->tally, group->mem, group->end, 0,
					     MW_PART_OVERHEAD)
			     : mw_tally_open_inside(&musl->tally, group->mem, group->end,
						    MW_PART_OVERHEAD);
		if (!err)
			err = walk_group(musl, i);
		if (!err)
			err = mw_tally_close(&musl->tally);
	}
	return err;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static struct mw_err *walk_areas(struct musl *musl)
{
	struct mw_err *err = NULL;
	qsort(musl->items, musl->n, sizeof(*musl->items), by_value);
	musl->tally.feed = false;
	for (size_t i = 0, k; i < musl->n && !err; i = k) {
		uint64_t end = musl->items[i] + PAGE;
		for (k = i + 1; k < musl->n && musl->items[k] <= end; k++)
			end = musl->items[k] + PAGE;
		err = mw_tally_open(&musl->tally, musl->items[i], end, 0,
				    MW_PART_OVERHEAD);
		if (!err)
			err = mw_tally_close(&musl->tally);
	}
	return err;
}

static struct mw_err *report(struct musl *musl)
{
	struct mw_tally *tally = &musl->tally;
	struct mw_err *err = mw_tally_init(tally, musl->walk, &mw_walker_musl);
	tally->feed = true;
	qsort(musl->groups.items, musl->groups.n, sizeof(*musl->groups.items), by_mem);
	if (!err)
		err = walk_groups(musl, true);
	if (!err)
		err = walk_groups(musl, false);
	if (!err)
		err = walk_areas(musl);
	if (err)
		return err;
	const struct mw_region *program = mw_alloc_program(musl->walk->snap);
	tally->it.object = musl->text ? musl->text->name : program ? program->name : "";
	tally->it.version = "mallocng";
	tally->it.note = "sizes are those that were asked for";
	mw_tally_check(tally, "blocks whose header does not add up", 0, musl->n_bad);
	mw_tally_check(tally, "slots that hold a group without a record", 0,
		       musl->n_lost);
	return mw_tally_publish(tally);
}

static struct mw_err *run(struct musl *musl)
{
	struct mw_err *err = find_areas(musl, true);
	if (!err && !musl->groups.n && musl->text)
		err = find_areas(musl, false);
	if (err)
		return err;
	if (musl->groups.n)
		return report(musl);
	return musl->text ? mw_alloc_recognised(musl->walk, &mw_walker_musl, "",
						musl->text->name,
						"its libc is here; no records of "
						"mallocng were found")
			  : NULL;
}

/* A dynamic program has musl's loader, which is its libc; a static one has none. */
static struct mw_err *walk_musl(struct mw_heap_walk *walk)
{
	const struct mw_region *text = mw_alloc_object(walk->snap, "ld-musl");
	if (mw_alloc_object(walk->snap, "libc.so.6") ||
	    mw_alloc_object(walk->snap, "ld-linux"))
		return NULL;
	if (!text)
		text = mw_alloc_object(walk->snap, "libc.so");
	struct musl *musl = calloc(1, sizeof(*musl));
	if (!musl)
		return mw_err_nomem();
	musl->walk = walk;
	musl->text = text;
	struct mw_err *err = run(musl);
	mw_tally_deinit(&musl->tally);
	mw_vec_deinit(&musl->groups);
	mw_vec_deinit(musl);
	free(musl);
	return err;
}

const struct mw_walker mw_walker_musl = { "musl", walk_musl };
