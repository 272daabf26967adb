// SPDX-License-Identifier: MIT
/*
 * HotSpot. A JVM writes its counters into a file that it maps, hsperfdata_USER/PID below
 * the temporary directory, which is how jstat works: used and committed bytes of every
 * space of the heap and of metaspace. They are read where the JVM has them mapped.
 *
 * It brings them up to date as it pleases: serial and parallel collectors about 20 times
 * a second, G1 at each collection. -XX:-UsePerfData turns them off.
 *
 * Format: src/hotspot/share/runtime/perfMemory.hpp, version 2.0.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	MAX_LEN = 1 << 20,
	MAX_ENTRIES = 4096,
	MAX_SPACES = 32,    /* generations and spaces have one digit */
	MAGIC = 0xc0c0feca, /* cafec0c0 in the file's first bytes */
	PAGE = 4096,
};

/* PerfDataPrologue, PerfDataEntry. */
struct prologue {
	uint32_t magic;
	uint8_t byte_order, major, minor, accessible;
	uint32_t used, overflow;
	uint64_t stamp;
	uint32_t first, n;
};
struct entry {
	uint32_t len, name_at, vector_len;
	uint8_t type, flags, units, variability;
	uint32_t data_at;
};

_Static_assert(sizeof(struct prologue) == 32 && sizeof(struct entry) == 20,
	       "as perfMemory.hpp has them");

struct space {
	char name[24];
	uint64_t used, capacity;
	bool seen;
};

struct jvm {
	struct mw_heap_walk *walk;
	unsigned char *bytes;
	size_t len;
	struct space spaces[MAX_SPACES];
	struct space metaspace;
	char version[48];
};

/* Pages that are not there come from the file. */
static bool read_page(struct mw_heap_walk *walk, const struct mw_region *region,
		      uint64_t addr, unsigned char *bytes)
{
	struct mw_object object = { .start = region->start,
				    .end = region->end,
				    .dev = region->dev,
				    .ino = region->ino,
				    .path = region->name };
	size_t got = 0;
	if (mw_memory_read(&walk->memory, addr, bytes, PAGE))
		return true;
	mw_auto_err err = mw_source_read_object(
		mw_snapshot_source(walk->snap), mw_snapshot_process(walk->snap)->pid,
		&object, region->offset + (addr - region->start), bytes, PAGE, &got);
	return !err && got == PAGE;
}

static bool read_region(struct jvm *jvm, const struct mw_region *region)
{
	jvm->len = region->end - region->start;
	if (jvm->len > MAX_LEN || jvm->len < PAGE || region->offset)
		return false;
	for (size_t at = 0; at < jvm->len; at += PAGE)
		if (!read_page(jvm->walk, region, region->start + at, jvm->bytes + at))
			memset(jvm->bytes + at, 0, PAGE);
	return true;
}

static const struct mw_region *find_file(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (regions[i].ino && strstr(regions[i].name, "/hsperfdata_"))
			return &regions[i];
	return NULL;
}

/* Digits of "sun.gc.generation.G.space.S.": which of the spaces; NULL when none. */
static struct space *space_of(struct jvm *jvm, const char *name, const char **rest)
{
	static const char gen[] = "sun.gc.generation.", space[] = ".space.";
	size_t gen_len = sizeof(gen) - 1, space_len = sizeof(space) - 1;
	if (!strncmp(name, "sun.gc.metaspace.", 17)) {
		*rest = name + 17;
		return &jvm->metaspace;
	}
	if (strncmp(name, gen, gen_len) != 0 || name[gen_len] < '0' ||
	    name[gen_len] > '3' || strncmp(name + gen_len + 1, space, space_len) != 0)
		return NULL;
	const char *digit = name + gen_len + 1 + space_len;
	if (*digit < '0' || *digit > '7' || digit[1] != '.')
		return NULL;
	*rest = digit + 2;
	return &jvm->spaces[(name[gen_len] - '0') * 8 + (*digit - '0')];
}

/* Copies what can be shown of a string. */
static void copy_text(char *to, size_t cap, const unsigned char *from, size_t len)
{
	size_t n = 0;
	while (n + 1 < cap && n < len && from[n] >= ' ' && from[n] < 127) {
		to[n] = (char)from[n];
		n++;
	}
	to[n] = '\0';
}

static void take_number(struct jvm *jvm, const char *name, uint64_t value)
{
	const char *rest;
	struct space *space = space_of(jvm, name, &rest);
	if (!space)
		return;
	if (!strcmp(rest, "used"))
		space->used = value;
	else if (!strcmp(rest, "capacity"))
		space->capacity = value;
	else
		return;
	space->seen = true;
}

static void take_text(struct jvm *jvm, const char *name, const unsigned char *text,
		      size_t len)
{
	const char *rest;
	struct space *space = space_of(jvm, name, &rest);
	if (space && !strcmp(rest, "name"))
		copy_text(space->name, sizeof(space->name), text, len);
	else if (!strcmp(name, "java.property.java.vm.version") ||
		 !strcmp(name, "java.rt.vmVersion"))
		copy_text(jvm->version, sizeof(jvm->version), text, len);
}

/* One entry of `len` bytes: its name and value lie in it. */
static void take_entry(struct jvm *jvm, const unsigned char *at,
		       const struct entry *entry)
{
	uint64_t value;
	if (entry->name_at >= entry->len || entry->data_at >= entry->len ||
	    !memchr(at + entry->name_at, 0, entry->len - entry->name_at))
		return;
	const char *name = (const char *)at + entry->name_at;
	const unsigned char *data = at + entry->data_at;
	size_t room = entry->len - entry->data_at;
	if (entry->type == 'J' && !entry->vector_len && room >= sizeof(value)) {
		memcpy(&value, data, sizeof(value));
		take_number(jvm, name, value);
	} else if (entry->type == 'B' && entry->vector_len) {
		take_text(jvm, name, data,
			  entry->vector_len < room ? entry->vector_len : room);
	}
}

static bool parse(struct jvm *jvm)
{
	struct prologue head;
	memcpy(&head, jvm->bytes, sizeof(head));
	if (head.magic != MAGIC || head.byte_order != 1 || head.major != 2 ||
	    head.n > MAX_ENTRIES)
		return false;
	uint64_t at = head.first;
	for (uint32_t i = 0; i < head.n; i++) {
		struct entry entry;
		if (at + sizeof(entry) > jvm->len)
			return false;
		memcpy(&entry, jvm->bytes + at, sizeof(entry));
		if (entry.len < sizeof(entry) || entry.len > jvm->len - at)
			return false;
		take_entry(jvm, jvm->bytes + at, &entry);
		at += entry.len;
	}
	return true;
}

static void add_space(struct mw_heap_walk *walk, struct mw_allocator *it,
		      struct mw_heap_arena *arena, const struct space *space,
		      const char *name)
{
	uint64_t used = space->used < space->capacity ? space->used : space->capacity;
	*arena = (struct mw_heap_arena){
		.name = mw_arena_strdup(walk->arena, name),
		.system = space->capacity,
		.live.bytes = used,
		.bins.bytes = space->capacity - used,
		.free.bytes = space->capacity - used,
	};
	if (!arena->name)
		arena->name = "space";
	it->system += arena->system;
	it->live.bytes += used;
	it->free.bytes += arena->free.bytes;
	it->n_arenas++;
}

static struct mw_err *report(struct jvm *jvm, const struct mw_region *text)
{
	struct mw_heap_walk *walk = jvm->walk;
	struct mw_heap_arena *arenas =
		mw_arena_calloc(walk->arena, MAX_SPACES + 1, sizeof(*arenas));
	struct mw_allocator it = {
		.name = mw_walker_jvm.name,
		.version = mw_arena_strdup(walk->arena, jvm->version),
		.object = text->name,
		.depth = MW_HEAP_COUNTED,
		.arenas = arenas,
		.note = "its own counters (hsperfdata): live is what is used, garbage "
			"included; G1 updates them at collections",
	};
	if (!arenas || !it.version)
		return mw_err_nomem();
	for (unsigned i = 0; i < MAX_SPACES; i++)
		if (jvm->spaces[i].seen)
			add_space(walk, &it, &arenas[it.n_arenas], &jvm->spaces[i],
				  jvm->spaces[i].name);
	if (jvm->metaspace.seen)
		add_space(walk, &it, &arenas[it.n_arenas], &jvm->metaspace, "metaspace");
	return mw_vec_add(&walk->allocators, it) ? NULL : mw_err_nomem();
}

static struct mw_err *walk_jvm(struct mw_heap_walk *walk)
{
	const struct mw_region *text = mw_alloc_object(walk->snap, "libjvm.so");
	const struct mw_region *file = text ? find_file(walk->snap) : NULL;
	if (!text)
		return NULL;
	struct jvm *jvm = calloc(1, sizeof(*jvm));
	if (jvm)
		jvm->bytes = malloc(MAX_LEN);
	if (!jvm || !jvm->bytes) {
		free(jvm);
		return mw_err_nomem();
	}
	jvm->walk = walk;
	struct mw_err *err =
		file && read_region(jvm, file) && parse(jvm)
			? report(jvm, text)
			: mw_alloc_recognised(walk, &mw_walker_jvm, "", text->name,
					      file ? "its counters (hsperfdata) are not "
						     "of a known format"
						   : "its counters are off "
						     "(-XX:-UsePerfData)");
	free(jvm->bytes);
	free(jvm);
	return err;
}

const struct mw_walker mw_walker_jvm = { "jvm", walk_jvm };
