// SPDX-License-Identifier: MIT
/*
 * Addresses as symbols. An object is opened once, an address looked up once; of both only
 * so many. A symbol counts when the address is its start, as that of a function or of
 * a type object is, or lies in a table of virtual functions.
 */
#include "heap/leaks/reach.h"

#include "symbols/elf.h"
#include "symbols/object.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_OBJECTS = 256, MAX_NAMES = 1 << 13, SLOTS = 1 << 14 };

struct object {
	struct mw_object_reader reader;
	struct mw_elf *elf; /* NULL: it cannot be read */
};

struct entry {
	uint64_t addr; /* 0: empty */
	struct mw_name name;
};

struct mw_names {
	const struct mw_snapshot *snap;
	struct mw_arena *arena;
	struct object *objects[MAX_OBJECTS];
	size_t n_objects, n_entries;
	struct entry entries[SLOTS];
};

struct mw_err *mw_names_new(const struct mw_snapshot *snap, struct mw_arena *arena,
			    struct mw_names **ret)
{
	struct mw_names *names = calloc(1, sizeof(*names));
	if (!names)
		return mw_err_nomem();
	names->snap = snap;
	names->arena = arena;
	*ret = names;
	return NULL;
}

void mw_names_free(struct mw_names *names)
{
	for (size_t i = 0; names && i < names->n_objects; i++) {
		mw_elf_free(names->objects[i]->elf);
		free(names->objects[i]);
	}
	free(names);
}

static bool is_same(const struct mw_object *object, const struct mw_region *region)
{
	return object->dev == region->dev && object->ino == region->ino &&
	       !strcmp(object->path, region->name);
}

/* The open object behind a region; NULL when it cannot be had. */
static struct mw_elf *open_object(struct mw_names *names, const struct mw_region *region)
{
	for (size_t i = 0; i < names->n_objects; i++)
		if (is_same(&names->objects[i]->reader.object, region))
			return names->objects[i]->elf;
	if (names->n_objects == MAX_OBJECTS)
		return NULL;
	struct object *object = calloc(1, sizeof(*object));
	if (!object)
		return NULL;
	mw_object_reader_init(&object->reader, names->snap, region);
	mw_err_free(mw_elf_open(mw_object_read, &object->reader, &object->elf));
	names->objects[names->n_objects++] = object;
	return object->elf;
}

static bool is_vtable(const char *symbol)
{
	return !strncmp(symbol, "_ZTV", 4) || !strncmp(symbol, "_ZTC", 4);
}

/* Without symbols, what lies among relocated constants is still a type of its own. */
static const char *symbol_of(struct mw_names *names, const struct mw_region *region,
			     uint64_t addr, const struct mw_place *place)
{
	const char *base = strrchr(region->name, '/');
	if (place->symbol[0])
		return place->offset && !is_vtable(place->symbol)
			       ? ""
			       : mw_symbol_plain(names->arena, place->symbol);
	if (strncmp(place->section, ".data.rel.ro", 12) != 0)
		return "";
	return mw_arena_printf(names->arena, "%s+0x%" PRIx64,
			       base ? base + 1 : region->name,
			       addr - region->start + region->offset);
}

static struct mw_err *look_up(struct mw_names *names, uint64_t addr, struct mw_name *ret)
{
	const struct mw_region *region = mw_snapshot_find(names->snap, addr);
	uint64_t page = mw_source_facts(mw_snapshot_source(names->snap))->page_size;
	struct mw_elf *elf = region && region->ino ? open_object(names, region) : NULL;
	struct mw_place place;
	*ret = (struct mw_name){ "", "" };
	if (!elf)
		return NULL;
	mw_place_in(elf, region, page, addr, &place);
	mw_err_free(place.err);
	ret->symbol = symbol_of(names, region, addr, &place);
	if (ret->symbol && ret->symbol[0])
		ret->object = mw_arena_strdup(names->arena, region->name);
	return ret->symbol && ret->object ? NULL : mw_err_nomem();
}

struct mw_err *mw_names_find(struct mw_names *names, uint64_t addr, struct mw_name *ret)
{
	size_t at = (addr * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
	struct mw_name name;
	*ret = (struct mw_name){ "", "" };
	if (!addr)
		return NULL;
	while (names->entries[at].addr && names->entries[at].addr != addr)
		at = (at + 1) % SLOTS;
	if (names->entries[at].addr) {
		*ret = names->entries[at].name;
		return NULL;
	}
	if (names->n_entries == MAX_NAMES)
		return NULL;
	struct mw_err *err = look_up(names, addr, &name);
	if (err)
		return err;
	names->n_entries++;
	names->entries[at] = (struct entry){ addr, name };
	*ret = name;
	return NULL;
}
