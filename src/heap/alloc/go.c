// SPDX-License-Identifier: MIT
/*
 * Go. The program itself says which version built it: .go.buildinfo holds the text since
 * 1.18, two pointers to it before.
 *
 * Its heap is counted span by span. mheap_.allspans is a slice among the runtime's
 * variables, found by what it holds: pointers to mspans, which name their first page
 * and their length. Where in an mspan the size of its objects is differs between
 * versions, and is found too: behind it stands the end of the last object, so the two
 * prove each other; before it, the number of objects, the class and the state (runtime
 * /mheap.go; seen so in 1.19 to 1.24). What is garbage, only the collector could tell.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	INFO_LEN = 96,
	FLAGS_AT = 15,
	INLINE = 2, /* flag: the text follows */
	TEXT_AT = 32,
	POINTER_AT = 16,
	MAX_VERSION = 48,
	PAGE = 8192, /* the runtime's */
	START = 3,   /* words of mspan: first address, pages */
	PAGES = 4,
	LEN_MIN = 11, /* where the size of objects may be */
	LEN_MAX = 19,
	SPAN_WORDS = LEN_MAX + 2,
	SAMPLE = 8, /* spans that prove a slice */
	MAX_SPANS = 1 << 24,
	MAX_TRIES = 1 << 14,
	IN_USE = 1, /* states: objects; stacks and the like */
	MANUAL = 2,
};

struct span {
	uint64_t start, n_pages, len, n_used;
	unsigned state;
};

struct go {
	struct mw_heap_walk *walk;
	uint64_t before[2]; /* the two words met last: a slice is three */
	uint64_t spans, n_spans;
	unsigned size_at, tries; /* size_at: of mspan, in words; 0: not found */
	struct mw_tally tally;
	struct mw_heap_arena *arenas;
	struct mw_blocks objects;
	uint64_t object_pages, stack_pages; /* bytes */
	uint64_t n_bad;
};

static bool is_version(const char *text)
{
	return !strncmp(text, "go1", 3) || !strncmp(text, "devel", 5);
}

/* A length of seven bits (longer versions do not exist), then the text. */
static void read_inline(const unsigned char *info, char version[MAX_VERSION])
{
	size_t len = info[TEXT_AT];
	if (len < MAX_VERSION && len < INFO_LEN - TEXT_AT - 1)
		memcpy(version, info + TEXT_AT + 1, len);
}

/* A pointer to a Go string: address and length. */
static void read_pointer(struct mw_heap_walk *walk, const unsigned char *info,
			 char version[MAX_VERSION])
{
	uint64_t at, string[2];
	memcpy(&at, info + POINTER_AT, sizeof(at));
	if (!mw_memory_read(&walk->memory, at, string, sizeof(string)) ||
	    string[1] >= MAX_VERSION ||
	    !mw_memory_read(&walk->memory, string[0], version, string[1]))
		version[0] = '\0';
}

/* True for a Go program; its version where it can be read. */
static bool read_info(struct mw_heap_walk *walk, struct mw_alloc_elf *elf,
		      char version[MAX_VERSION])
{
	static const char magic[] = "\xff Go buildinf:";
	const struct mw_elf_section *section = NULL;
	unsigned char info[INFO_LEN];
	size_t got = 0;
	mw_auto_err err = mw_elf_find_section(elf->elf, ".go.buildinfo", &section);
	if (err || !section)
		return false;
	mw_auto_err failed =
		mw_object_read(&elf->file, section->offset, info, sizeof(info), &got);
	if (failed || got < sizeof(info) || memcmp(info, magic, sizeof(magic) - 1) != 0)
		return true;
	if (info[FLAGS_AT] & INLINE)
		read_inline(info, version);
	else
		read_pointer(walk, info, version);
	for (size_t i = 0; version[i]; i++)
		if (version[i] < ' ' || version[i] > '~')
			version[i] = '?';
	return true;
}

static bool read_words(struct go *go, uint64_t at, uint64_t word[SPAN_WORDS])
{
	return !(at & 7) && mw_memory_read(&go->walk->memory, at, word, SPAN_WORDS * 8) &&
	       word[START] && !(word[START] & (PAGE - 1)) && word[PAGES] &&
	       word[PAGES] < UINT64_C(1) << 35 && word[START] < UINT64_C(1) << 47;
}

/* The end of the last object of a span whose objects are so long. */
static uint64_t limit_of(const uint64_t word[SPAN_WORDS], uint64_t len)
{
	uint64_t bytes = word[PAGES] * PAGE;
	return len && len <= bytes ? word[START] + bytes / len * len : 0;
}

/* Whether a span that holds objects of this length ends where it says. */
static bool ends_well(const uint64_t word[SPAN_WORDS], uint64_t len, uint64_t limit)
{
	uint64_t bytes = word[PAGES] * PAGE;
	/* One large object may end before its last page does. */
	return limit_of(word, len) == limit ||
	       (len == bytes && limit > word[START] && limit <= word[START] + bytes);
}

/* Where the size of objects is, as one span shows it; 0 when it does not. */
static unsigned find_size(const uint64_t word[SPAN_WORDS])
{
	for (unsigned i = LEN_MIN; i <= LEN_MAX; i++)
		if (word[i] >= 8 && limit_of(word, word[i]) == word[i + 1])
			return i;
	return 0;
}

/* The first spans of what may be the slice: all are spans, and some show sizes. */
static bool is_slice(struct go *go, uint64_t spans, uint64_t n)
{
	uint64_t at[SAMPLE], word[SPAN_WORDS];
	unsigned found[LEN_MAX + 1] = { 0 }, best = 0;
	if (!mw_memory_read(&go->walk->memory, spans, at, sizeof(at)))
		return false;
	for (unsigned i = 0; i < SAMPLE; i++) {
		if (!read_words(go, at[i], word))
			return false;
		found[find_size(word)]++;
	}
	for (unsigned i = LEN_MIN; i <= LEN_MAX; i++)
		if (found[i] > found[best] || !best)
			best = i;
	if (found[best] < 3)
		return false;
	go->size_at = best;
	go->spans = spans;
	go->n_spans = n;
	return true;
}

/* Address, length, capacity: three words of the variables. */
static bool try_word(void *ctx, uint64_t addr, uint64_t word)
{
	struct go *go = ctx;
	uint64_t spans = go->before[0], n = go->before[1];
	(void)addr;
	go->before[0] = n;
	go->before[1] = word;
	if (n < SAMPLE || n > word || word > MAX_SPANS || !spans || (spans & 7) ||
	    !go->tries || !mw_alloc_in_heapish(go->walk->snap, spans, spans + word * 8))
		return false;
	go->tries--;
	return is_slice(go, spans, n);
}

/* A span that is in use; false for one that is dead, or lies. */
static bool read_span(struct go *go, uint64_t at, struct span *ret)
{
	uint64_t word[SPAN_WORDS], state;
	if (!read_words(go, at, word))
		return false;
	/* uint16 number of objects, uint8 class, uint8 state. */
	state = word[go->size_at - 1];
	*ret = (struct span){
		.start = word[START],
		.n_pages = word[PAGES],
		.len = word[go->size_at],
		.n_used = state & 0xffff,
		.state = state >> 24 & 0xff,
	};
	if (ret->state != IN_USE)
		return ret->state == MANUAL;
	if (ret->len && ends_well(word, ret->len, word[go->size_at + 1]) &&
	    ret->n_used <= ret->n_pages * PAGE / ret->len)
		return true;
	go->n_bad++;
	return false;
}

static void count_span(struct go *go, const struct span *span)
{
	uint64_t bytes = span->n_pages * PAGE, used = span->n_used * span->len;
	if (span->state == MANUAL) {
		go->stack_pages += bytes;
		return;
	}
	struct mw_heap_size *size = &go->tally.sizes[mw_size_class(span->len)];
	size->live.n += span->n_used;
	size->live.bytes += used;
	size->kept.n += bytes / span->len - span->n_used;
	size->kept.bytes += bytes - used;
	go->objects.n += span->n_used;
	go->objects.bytes += used;
	go->object_pages += bytes;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Regions that hold spans are the heap's: their starts come upward. */
static struct mw_err *add_areas(struct go *go, uint64_t *starts, size_t n)
{
	struct mw_err *err = NULL;
	uint64_t above = 0;
	qsort(starts, n, sizeof(*starts), by_value);
	for (size_t i = 0; i < n && !err; i++) {
		const struct mw_region *region =
			mw_snapshot_find(go->walk->snap, starts[i]);
		if (starts[i] < above || !region)
			continue;
		above = region->end;
		go->tally.it.system += region->end - region->start;
		err = mw_tally_area(&go->tally, region->start, region->end);
	}
	return err;
}

static struct mw_err *count_spans(struct go *go)
{
	uint64_t at, *starts = calloc(go->n_spans, sizeof(*starts));
	size_t n = 0, got;
	struct span span;
	if (!starts)
		return mw_err_nomem();
	for (uint64_t i = 0; i < go->n_spans; i++) {
		const unsigned char *bytes = mw_memory_lend(
			&go->walk->window, go->spans + i * 8, sizeof(at), &got);
		if (!bytes)
			continue;
		memcpy(&at, bytes, sizeof(at));
		if (!read_span(go, at, &span))
			continue;
		if (!mw_alloc_in_heapish(go->walk->snap, span.start,
					 span.start + span.n_pages * PAGE)) {
			go->n_bad++;
			continue;
		}
		count_span(go, &span);
		starts[n++] = span.start;
	}
	struct mw_err *err = add_areas(go, starts, n);
	free(starts);
	return err;
}

static void add_arena(struct go *go, const char *name, uint64_t system,
		      struct mw_blocks live)
{
	struct mw_allocator *it = &go->tally.it;
	go->arenas[it->n_arenas++] = (struct mw_heap_arena){
		.name = name,
		.system = system,
		.live = live,
		.bins.bytes = system - live.bytes,
		.free.bytes = system - live.bytes,
	};
	it->live.n += live.n;
	it->live.bytes += live.bytes;
	it->free.bytes += system - live.bytes;
}

static struct mw_err *report(struct go *go)
{
	struct mw_allocator *it = &go->tally.it;
	struct mw_blocks stacks = { .bytes = go->stack_pages }, none = { 0 };
	uint64_t used = go->object_pages + go->stack_pages;
	go->arenas = mw_arena_calloc(go->walk->arena, 3, sizeof(*go->arenas));
	if (!go->arenas)
		return mw_err_nomem();
	add_arena(go, "objects", go->object_pages, go->objects);
	add_arena(go, "stacks", go->stack_pages, stacks);
	add_arena(go, "idle", it->system > used ? it->system - used : 0, none);
	it->arenas = go->arenas;
	it->depth = MW_HEAP_COUNTED;
	it->note = "by its spans: live is what is allocated, garbage that was not swept "
		   "included; how much of the rest is resident is not told";
	mw_tally_check(&go->tally, "spans that do not add up", 0, go->n_bad);
	return mw_tally_publish(&go->tally);
}

static struct mw_err *run(struct go *go, const struct mw_region *text,
			  const char *version)
{
	const struct mw_alloc_words words = { .ctx = go, .visit = try_word };
	go->tries = MAX_TRIES;
	mw_alloc_variables(go->walk, text, &words);
	if (!go->size_at)
		return mw_alloc_recognised(go->walk, &mw_walker_go, version, text->name,
					   "a Go program; its spans were not found");
	struct mw_err *err = mw_tally_init(&go->tally, go->walk, &mw_walker_go);
	go->tally.it.version = version;
	go->tally.it.object = text->name;
	if (!err)
		err = count_spans(go);
	return err ? err : report(go);
}

static struct mw_err *walk_go(struct mw_heap_walk *walk)
{
	char version[MAX_VERSION] = "";
	mw_auto_alloc_elf elf = { 0 };
	const struct mw_region *text = mw_alloc_program(walk->snap);
	if (!text || !mw_alloc_elf_open(walk->snap, text, &elf) ||
	    !read_info(walk, &elf, version))
		return NULL;
	const char *kept =
		mw_arena_strdup(walk->arena, is_version(version) ? version : "");
	struct go *go = calloc(1, sizeof(*go));
	struct mw_err *err = NULL;
	if (kept && go) {
		go->walk = walk;
		err = run(go, text, kept);
		mw_tally_deinit(&go->tally);
	} else {
		err = mw_err_nomem();
	}
	free(go);
	return err;
}

const struct mw_walker mw_walker_go = { "go", walk_go };
