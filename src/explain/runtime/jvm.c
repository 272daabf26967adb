// SPDX-License-Identifier: MIT
/*
 * HotSpot. libjvm.so exports gHotSpotVMStructs, a table of (type, field, offset or
 * address) made for the serviceability agent. With it the heap, the code heaps, the
 * card table and the metaspace are read from the VM's own variables, whatever the
 * version; what the table does not name (mark bitmaps, region tables, compiler arenas)
 * stays "the JVM's, not told apart".
 *
 * JDK 8 to 21; structures that a version lacks are skipped. ZGC has no one reserved
 * range: its heap is a memfd named java_heap, mapped several times (JDK 17: two or
 * three views, each of which counts into Rss).
 */
#include "explain/runtime/runtime.h"

#include <endian.h>
#include <string.h>

enum {
	MAX_FIELDS = 8192,
	MAX_HEAPS = 16,
	MAX_LOADERS = 1024,
	MAX_CLASSES = 8192,
	NAME_LEN = 48,
	BLOCK = 16, /* entries read at once */
	/* JEP 387 (JDK 16): metaspace is made of root chunks of this size. */
	ROOT_CHUNK = 4 << 20,
};

/* The fields asked for. */
enum field {
	VM_VERSION,
	UNIVERSE_HEAP,
	HEAP_RESERVED,
	RANGE_START,
	RANGE_WORDS,
	CODE_HEAPS,
	CODE_HEAP_OLD,
	ARRAY_LEN,
	ARRAY_LEN_OLD,
	ARRAY_DATA,
	CODE_MEMORY,
	CODE_SEGMAP,
	SPACE_LOW,
	SPACE_HIGH,
	LOADERS,
	LOADER_NEXT,
	LOADER_CLASSES,
	CLASS_NEXT,
	CLASS_CONSTANTS,
	BARRIERS,
	BARRIERS_CARDS,
	CARDS_MAP,
	CARDS_LEN,
	N_FIELDS,
};

static const struct {
	const char *type, *field;
} wanted[N_FIELDS] = {
	[VM_VERSION] = { "Abstract_VM_Version", "_vm_major_version" },
	[UNIVERSE_HEAP] = { "Universe", "_collectedHeap" },
	[HEAP_RESERVED] = { "CollectedHeap", "_reserved" },
	[RANGE_START] = { "MemRegion", "_start" },
	[RANGE_WORDS] = { "MemRegion", "_word_size" },
	[CODE_HEAPS] = { "CodeCache", "_heaps" },
	[CODE_HEAP_OLD] = { "CodeCache", "_heap" },
	[ARRAY_LEN] = { "GrowableArrayBase", "_len" },
	[ARRAY_LEN_OLD] = { "GenericGrowableArray", "_len" },
	[ARRAY_DATA] = { "GrowableArray<int>", "_data" },
	[CODE_MEMORY] = { "CodeHeap", "_memory" },
	[CODE_SEGMAP] = { "CodeHeap", "_segmap" },
	[SPACE_LOW] = { "VirtualSpace", "_low_boundary" },
	[SPACE_HIGH] = { "VirtualSpace", "_high_boundary" },
	[LOADERS] = { "ClassLoaderDataGraph", "_head" },
	[LOADER_NEXT] = { "ClassLoaderData", "_next" },
	[LOADER_CLASSES] = { "ClassLoaderData", "_klasses" },
	[CLASS_NEXT] = { "Klass", "_next_link" },
	[CLASS_CONSTANTS] = { "InstanceKlass", "_constants" },
	[BARRIERS] = { "BarrierSet", "_barrier_set" },
	[BARRIERS_CARDS] = { "CardTableBarrierSet", "_card_table" },
	[CARDS_MAP] = { "CardTable", "_byte_map" },
	[CARDS_LEN] = { "CardTable", "_byte_map_size" },
};

/* VMStructEntry of vmStructs.hpp; the same since JDK 6 on 64-bit machines. */
struct entry {
	uint64_t type_name, field_name, type_string;
	uint32_t is_static, pad;
	uint64_t offset, address;
};

struct vm {
	struct mw_classify *cx;
	uint64_t value[N_FIELDS]; /* the offset, or a static's address */
	uint32_t known;           /* 1 << field */
};

static bool has(const struct vm *vm, enum field field)
{
	return vm->known & (1u << field);
}

/* A pointer-sized field of an object, or (object 0) a static. */
static bool get(struct vm *vm, enum field field, uint64_t object, uint64_t *ret)
{
	return has(vm, field) && mw_rt_word(vm->cx, object + vm->value[field], ret);
}

static bool get_int(struct vm *vm, enum field field, uint64_t object, uint32_t *ret)
{
	uint32_t value;
	if (!has(vm, field) ||
	    !mw_peek(vm->cx, object + vm->value[field], &value, sizeof(value)))
		return false;
	*ret = le32toh(value);
	return true;
}

static bool read_name(struct vm *vm, uint64_t addr, char name[NAME_LEN])
{
	/* The string may be the last thing that is mapped. */
	for (size_t len = NAME_LEN - 1; len >= 1; len /= 2) {
		if (!addr || !mw_rt_read(vm->cx, addr, name, len))
			continue;
		name[len] = '\0';
		return true;
	}
	return false;
}

static void read_entry(struct vm *vm, const struct entry *entry, const char *type)
{
	char field[NAME_LEN];
	if (!read_name(vm, le64toh(entry->field_name), field))
		return;
	for (unsigned i = 0; i < N_FIELDS; i++) {
		if (strcmp(type, wanted[i].type) != 0 ||
		    strcmp(field, wanted[i].field) != 0)
			continue;
		vm->value[i] = le32toh(entry->is_static) ? le64toh(entry->address)
							 : le64toh(entry->offset);
		vm->known |= 1u << i;
	}
}

static bool wanted_type(const char *type)
{
	for (unsigned i = 0; i < N_FIELDS; i++)
		if (!strcmp(type, wanted[i].type))
			return true;
	return false;
}

/* The end of the table may lie just before the end of what is mapped. */
static unsigned read_entries(struct vm *vm, uint64_t addr, struct entry *entries)
{
	if (mw_rt_read(vm->cx, addr, entries, BLOCK * sizeof(*entries)))
		return BLOCK;
	return mw_rt_read(vm->cx, addr, entries, sizeof(*entries)) ? 1 : 0;
}

/* Fields of one type follow each other and share their name's address. */
static void read_table(struct vm *vm, uint64_t table)
{
	uint64_t last = 0;
	char type[NAME_LEN] = "";
	bool is_wanted = false;
	struct entry entries[BLOCK] = { 0 };
	unsigned n = 0, used = 0;
	for (unsigned i = 0; i < MAX_FIELDS; i++, used++) {
		if (used == n) {
			table += n * sizeof(*entries);
			n = read_entries(vm, table, entries);
			used = 0;
		}
		if (!n || !entries[used].type_name)
			return;
		if (entries[used].type_name != last) {
			last = entries[used].type_name;
			is_wanted =
				read_name(vm, le64toh(last), type) && wanted_type(type);
		}
		if (is_wanted)
			read_entry(vm, &entries[used], type);
	}
}

static bool read_fields(struct vm *vm, const struct mw_region *text)
{
	uint64_t symbol, table;
	mw_auto_alloc_elf file = { 0 };
	if (!mw_alloc_elf_open(mw_classify_snapshot(vm->cx), text, &file) ||
	    !mw_alloc_elf_value(&file, "gHotSpotVMStructs", &symbol) ||
	    !mw_rt_word(vm->cx, symbol, &table))
		return false;
	read_table(vm, table);
	return vm->known != 0;
}

static bool sane(uint64_t start, uint64_t end)
{
	return start && start < end && !(start & 4095) && end <= UINT64_C(1) << 47;
}

static struct mw_err *claim_java_heap(struct vm *vm)
{
	uint64_t heap, start, words, len, end;
	if (!get(vm, UNIVERSE_HEAP, 0, &heap) || !has(vm, HEAP_RESERVED))
		return NULL;
	uint64_t range = heap + vm->value[HEAP_RESERVED];
	if (!get(vm, RANGE_START, range, &start) || !get(vm, RANGE_WORDS, range, &words))
		return NULL;
	if (__builtin_mul_overflow(words, UINT64_C(8), &len) ||
	    __builtin_add_overflow(start, len, &end) || !sane(start, end))
		return NULL;
	return mw_rt_claim(vm->cx, &(struct mw_claim){
					   .start = start,
					   .end = end,
					   .class = MW_CLASS_JVM_HEAP,
					   .confidence = MW_CERTAIN,
					   .rank = MW_RANK_HEADER,
					   .name = "Java heap",
					   .evidence = "CollectedHeap::_reserved, read "
						       "through gHotSpotVMStructs",
				   });
}

static struct mw_err *claim_space(struct vm *vm, uint64_t space, const char *name)
{
	uint64_t low, high;
	if (!get(vm, SPACE_LOW, space, &low) || !get(vm, SPACE_HIGH, space, &high) ||
	    !sane(low, high))
		return NULL;
	return mw_rt_claim(vm->cx, &(struct mw_claim){
					   .start = low,
					   .end = high,
					   .class = MW_CLASS_JVM_CODE,
					   .confidence = MW_CERTAIN,
					   .rank = MW_RANK_HEADER,
					   .name = name,
					   .evidence = "a VirtualSpace of a CodeHeap, "
						       "read through "
						       "gHotSpotVMStructs",
				   });
}

static struct mw_err *claim_code_heap(struct vm *vm, uint64_t heap)
{
	struct mw_err *err = NULL;
	if (has(vm, CODE_MEMORY))
		err = claim_space(vm, heap + vm->value[CODE_MEMORY], "code heap");
	if (!err && has(vm, CODE_SEGMAP))
		err = claim_space(vm, heap + vm->value[CODE_SEGMAP],
				  "code heap's segment map");
	return err;
}

/* JDK 9 and later have up to three code heaps in an array, JDK 8 has one. */
static struct mw_err *claim_code(struct vm *vm)
{
	uint64_t array, data, heap;
	uint32_t n;
	struct mw_err *err = NULL;
	if (get(vm, CODE_HEAP_OLD, 0, &heap))
		return claim_code_heap(vm, heap);
	if (!get(vm, CODE_HEAPS, 0, &array) || !get(vm, ARRAY_DATA, array, &data) ||
	    (!get_int(vm, ARRAY_LEN, array, &n) &&
	     !get_int(vm, ARRAY_LEN_OLD, array, &n)))
		return NULL;
	for (uint32_t i = 0; i < n && i < MAX_HEAPS && !err; i++)
		if (mw_rt_word(vm->cx, data + i * 8, &heap))
			err = claim_code_heap(vm, heap);
	return err;
}

static struct mw_err *claim_cards(struct vm *vm)
{
	uint64_t set, table, map, len;
	if (!get(vm, BARRIERS, 0, &set) || !get(vm, BARRIERS_CARDS, set, &table) ||
	    !get(vm, CARDS_MAP, table, &map) || !get(vm, CARDS_LEN, table, &len) ||
	    len > UINT64_C(1) << 40 || !sane(map & ~UINT64_C(4095), map + len))
		return NULL;
	return mw_rt_claim(vm->cx, &(struct mw_claim){
					   .start = map,
					   .end = map + len,
					   .class = MW_CLASS_JVM_OTHER,
					   .confidence = MW_CERTAIN,
					   .rank = MW_RANK_HEADER,
					   .name = "card table",
					   .evidence = "CardTable::_byte_map, read "
						       "through gHotSpotVMStructs",
				   });
}

/*
 * A class or its constant pool lies in a root chunk, and all of a root chunk is
 * metaspace. Before JDK 16 chunks were smaller and the claim is only likely.
 */
static struct mw_err *claim_metadata(struct vm *vm, uint64_t addr, uint64_t *last)
{
	uint64_t start = mw_alloc_down(addr, ROOT_CHUNK), end = start + ROOT_CHUNK;
	const struct mw_region *region =
		mw_snapshot_find(mw_classify_snapshot(vm->cx), addr);
	uint32_t version = 0;
	if (start == *last || !region || !mw_rt_is_heapish(region))
		return NULL;
	*last = start;
	bool modern = get_int(vm, VM_VERSION, 0, &version) && version >= 16;
	if (!modern && region->start > start)
		start = region->start;
	if (!modern && region->end < end)
		end = region->end;
	return mw_rt_claim(vm->cx, &(struct mw_claim){
					   .start = start,
					   .end = end,
					   .class = MW_CLASS_JVM_METASPACE,
					   .confidence = modern ? MW_CERTAIN : MW_LIKELY,
					   .rank = MW_RANK_HEADER,
					   .evidence = "holds classes found through "
						       "ClassLoaderDataGraph::_head",
				   });
}

static struct mw_err *claim_classes(struct vm *vm, uint64_t class, unsigned *budget)
{
	uint64_t last_class = 0, last_pool = 0, pool;
	struct mw_err *err = NULL;
	for (; class && *budget && !err; --*budget) {
		err = claim_metadata(vm, class, &last_class);
		if (!err && get(vm, CLASS_CONSTANTS, class, &pool))
			err = claim_metadata(vm, pool, &last_pool);
		if (!get(vm, CLASS_NEXT, class, &class))
			break;
	}
	return err;
}

static struct mw_err *claim_metaspace(struct vm *vm)
{
	uint64_t loader, class;
	unsigned budget = MAX_CLASSES;
	struct mw_err *err = NULL;
	if (!get(vm, LOADERS, 0, &loader))
		return NULL;
	for (unsigned i = 0; loader && i < MAX_LOADERS && !err; i++) {
		if (get(vm, LOADER_CLASSES, loader, &class))
			err = claim_classes(vm, class, &budget);
		if (!get(vm, LOADER_NEXT, loader, &loader))
			break;
	}
	return err;
}

/* Magic numbers of static and dynamic archives: CDS_ARCHIVE_MAGIC and its sibling. */
static bool is_archive(struct mw_classify *cx, const struct mw_region *region)
{
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	struct mw_object obj = { .start = region->start,
				 .end = region->end,
				 .dev = region->dev,
				 .ino = region->ino,
				 .path = region->name };
	uint32_t magic = 0;
	size_t got = 0;
	mw_auto_err err = mw_source_read_object(mw_snapshot_source(snap),
						mw_snapshot_process(snap)->pid, &obj, 0,
						&magic, sizeof(magic), &got);
	magic = le32toh(magic);
	return !err && got == sizeof(magic) &&
	       (magic == 0xf00baba2 || magic == 0xf00baba8);
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);
	return len >= end_len && !strcmp(name + len - end_len, end);
}

/* Mappings of files: class data sharing archives, and ZGC's heap. */
static struct mw_err *claim_files(struct mw_classify *cx)
{
	size_t n;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n && !err; i++) {
		struct mw_claim claim = { .start = regions[i].start,
					  .end = regions[i].end,
					  .confidence = MW_CERTAIN,
					  .rank = MW_RANK_HEADER,
					  .name = regions[i].name };
		if (!strcmp(regions[i].name, "/memfd:java_heap (deleted)")) {
			claim.class = MW_CLASS_JVM_HEAP;
			claim.evidence = "the memfd that ZGC names java_heap";
		} else if (ends_with(regions[i].name, ".jsa") &&
			   is_archive(cx, &regions[i])) {
			claim.class = MW_CLASS_JVM_CDS;
			claim.evidence = "a class data sharing archive, by its magic";
		} else {
			continue;
		}
		err = mw_claim(cx, &claim);
	}
	return err;
}

struct mw_err *mw_classify_jvm(struct mw_classify *cx)
{
	const struct mw_region *text = mw_rt_object(cx, "libjvm.so");
	struct vm vm = { .cx = cx };
	if (!text)
		return NULL;
	mw_classify_seen(cx)->jvm = true;
	struct mw_err *err = mw_rt_claim_rest(
		cx, MW_CLASS_JVM_OTHER, MW_LIKELY,
		"libjvm.so is loaded and nothing else claims it: GC tables, compiler and "
		"VM structures");
	if (!err && !read_fields(&vm, text))
		err = mw_classify_gap(cx, "parts of the JVM",
				      "libjvm.so's gHotSpotVMStructs could not be read",
				      "");
	if (!err)
		err = claim_java_heap(&vm);
	if (!err)
		err = claim_code(&vm);
	if (!err)
		err = claim_cards(&vm);
	if (!err)
		err = claim_metaspace(&vm);
	return err ? err : claim_files(cx);
}
