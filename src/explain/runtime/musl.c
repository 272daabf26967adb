// SPDX-License-Identifier: MIT
/*
 * musl's mallocng (1.2.1 and later). Its records lie in pages of their own, in [heap]
 * or mapped: each begins with one 8-byte secret of the process, the next such page, and
 * the number of slots; a slot describes a group of blocks, and the group's first word
 * points back to the slot. That back pointer is the proof. Groups with a map length are
 * mappings; the others are inside a larger group or in the pages the loader donated.
 */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

enum {
	PAGE = 4096,
	SLOT_LEN = 40,
	HEAD_LEN = 24,
	MAX_SLOTS = (PAGE - HEAD_LEN) / SLOT_LEN,
	MAX_AREAS = 1 << 20,
	CLASS_MMAPPED = 63,
	CLASS_MAX = 48,
};

/* struct meta: prev, next, mem, avail and freed masks, packed bits. */
struct slot {
	uint64_t prev, next, mem, masks, bits;
};

struct area {
	uint64_t check, next;
	uint32_t n_slots, pad;
	struct slot slots[MAX_SLOTS];
};

_Static_assert(sizeof(struct area) <= PAGE, "an area is one page");

struct walk {
	struct mw_classify *cx;
	uint64_t secret;
	unsigned n_groups;
};

static bool sane_slot(const struct slot *slot)
{
	uint64_t bits = le64toh(slot->bits), class = bits >> 6 & 63;
	return le64toh(slot->mem) && (le64toh(slot->mem) & 15) == 0 &&
	       (class < CLASS_MAX || class == CLASS_MMAPPED);
}

/* A group in use points back to its slot. */
static bool is_group(struct walk *walk, uint64_t slot_addr, const struct slot *slot)
{
	uint64_t back;
	return sane_slot(slot) && mw_rt_word(walk->cx, le64toh(slot->mem), &back) &&
	       back == slot_addr;
}

static struct mw_err *claim(struct mw_classify *cx, uint64_t start, uint64_t end,
			    const char *evidence)
{
	return mw_claim(cx, &(struct mw_claim){
				    .start = start,
				    .end = end,
				    .class = MW_CLASS_HEAP_MUSL,
				    .confidence = MW_CERTAIN,
				    .rank = MW_RANK_HEADER,
				    .evidence = evidence,
			    });
}

static struct mw_err *walk_slot(struct walk *walk, uint64_t addr, const struct slot *slot)
{
	uint64_t mem = le64toh(slot->mem), pages = le64toh(slot->bits) >> 12, len, end;
	if (!is_group(walk, addr, slot))
		return NULL;
	walk->n_groups++;
	if (!pages || __builtin_mul_overflow(pages, UINT64_C(4096), &len) ||
	    __builtin_add_overflow(mem, len, &end) ||
	    !mw_rt_in_heapish(walk->cx, mem, end))
		return NULL;
	return claim(walk->cx, mem, end,
		     "a mallocng group, whose record and memory point at each other");
}

static bool read_area(struct walk *walk, uint64_t addr, struct area *area)
{
	if (!mw_peek(walk->cx, addr, area, sizeof(*area)))
		return false;
	uint64_t next = le64toh(area->next);
	return area->check && (!walk->secret || area->check == walk->secret) &&
	       !(next & (PAGE - 1)) && next != addr &&
	       le32toh(area->n_slots) <= MAX_SLOTS && area->n_slots;
}

/* The first area is found by its groups, the others by the list. */
static bool proves(struct walk *walk, uint64_t addr, const struct area *area)
{
	for (uint32_t i = 0; i < le32toh(area->n_slots); i++)
		if (is_group(walk, addr + HEAD_LEN + i * SLOT_LEN, &area->slots[i]))
			return true;
	return false;
}

static struct mw_err *claim_area(struct walk *walk, uint64_t addr,
				 const struct area *area)
{
	struct mw_err *err = claim(walk->cx, addr, addr + PAGE,
				   "a page of mallocng's records, by the shared secret");
	for (uint32_t i = 0; i < le32toh(area->n_slots) && !err; i++)
		err = walk_slot(walk, addr + HEAD_LEN + i * SLOT_LEN, &area->slots[i]);
	return err;
}

/* A hostile list may be a circle: a mark that moves on ever more rarely meets it. */
static struct mw_err *walk_areas(struct walk *walk, uint64_t addr)
{
	struct area area;
	struct mw_err *err = NULL;
	uint64_t mark = 0;
	for (unsigned n = 1; addr && addr != mark && n < MAX_AREAS && !err; n++) {
		if (!read_area(walk, addr, &area))
			break;
		err = claim_area(walk, addr, &area);
		if (!(n & (n - 1)))
			mark = addr;
		addr = le64toh(area.next);
	}
	return err;
}

/* [heap] holds nothing but areas; without brk they are mapped one by one. */
static struct mw_err *find_areas(struct walk *walk, bool brk_only)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(walk->cx), &n);
	for (size_t i = 0; i < n; i++) {
		struct area area;
		bool brk = !strcmp(regions[i].name, "[heap]");
		if (brk != brk_only || (!brk && !mw_rt_is_heapish(&regions[i])) ||
		    !(regions[i].perms & MW_PERM_WRITE))
			continue;
		uint64_t addr = regions[i].start;
		walk->secret = 0;
		if (!read_area(walk, addr, &area) || !proves(walk, addr, &area))
			continue;
		walk->secret = area.check;
		return walk_areas(walk, addr);
	}
	return NULL;
}

/*
 * A dynamic program has musl's loader, which is its libc; a static one has no loader at
 * all, like many that are not musl's: there only the records tell.
 */
struct mw_err *mw_classify_musl(struct mw_classify *cx)
{
	struct mw_seen *seen = mw_classify_seen(cx);
	struct walk walk = { .cx = cx };
	bool loaded = mw_rt_object(cx, "ld-musl") ||
		      (!seen->glibc && mw_rt_object(cx, "libc.so") &&
		       !mw_rt_object(cx, "libc.so.6"));
	if (seen->glibc || (seen->loader_base && !loaded))
		return NULL;
	struct mw_err *err = find_areas(&walk, true);
	if (!err && !walk.n_groups && loaded)
		err = find_areas(&walk, false);
	if (err || (!walk.n_groups && !loaded))
		return err;
	seen->musl = true;
	return mw_rt_claim_rest(cx, MW_CLASS_HEAP_MUSL, MW_LIKELY,
				"a program of musl, and nothing else claims it");
}
