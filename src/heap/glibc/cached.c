// SPDX-License-Identifier: MIT
/*
 * Blocks that look in use and are not: tcache and fastbins keep freed chunks with their
 * in-use bit set, in single linked lists. Since 2.32 a link is stored xor-ed with its own
 * address shifted by a page (PROTECT_PTR); heads are plain.
 *
 * The lists are in memory that the target writes: a list may be a ring, may lead
 * anywhere, and may be longer than the heap. So a chunk in a list must have the list's
 * size, rings are noticed (Brent's algorithm), and no more entries are taken than chunks
 * of the smallest size fit into the heap.
 *
 * Source: glibc malloc/malloc.c (tcache_put, tcache_get, _int_free).
 */
#include "heap/glibc/cached.h"

#include <string.h>

enum {
	LINK_SHIFT = 12, /* PROTECT_PTR */
	SMALL_BINS = 64, /* of tcache: one size each */
	MAX_COUNT = 65535,
	SLACK = 1, /* lists that a thread may have been stopped in the middle of */
	MAX_ENTRIES = 1 << 26,
	GLANCE = 16,      /* links of a fastbin that are tried */
	MAX_SAMPLES = 32, /* threads whose TLS is searched */
};

static int by_span(const void *a, const void *b)
{
	const struct mw_glibc_span *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

const struct mw_glibc_span *mw_glibc_span_of(const struct mw_glibc_cache *cache,
					     uint64_t addr)
{
	size_t lo = 0, hi = cache->n_spans;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (cache->spans[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < cache->n_spans && cache->spans[lo].start <= addr ? &cache->spans[lo]
								     : NULL;
}

static struct mw_err *cache_init(struct mw_glibc_cache *cache)
{
	size_t n = 0;
	for (size_t i = 0; i < cache->n_arenas; i++) {
		n += cache->arenas[i].n_pieces;
		cache->broken |= cache->arenas[i].broken;
	}
	cache->spans = calloc(n ? n : 1, sizeof(*cache->spans));
	if (!cache->spans)
		return mw_err_nomem();
	for (size_t i = 0; i < cache->n_arenas; i++)
		for (size_t j = 0; j < cache->arenas[i].n_pieces; j++) {
			const struct mw_glibc_piece *piece = &cache->arenas[i].pieces[j];
			cache->spans[cache->n_spans++] =
				(struct mw_glibc_span){ piece->start, piece->end, i };
			cache->left += (piece->end - piece->start) / MW_CHUNK_MIN;
		}
	if (cache->left > MAX_ENTRIES)
		cache->left = MAX_ENTRIES;
	qsort(cache->spans, cache->n_spans, sizeof(*cache->spans), by_span);
	return mw_link_reader_init(&cache->reader, cache->walk);
}

static void cache_deinit(struct mw_glibc_cache *cache)
{
	mw_link_reader_deinit(&cache->reader);
	free(cache->spans);
}

/* Where pieces are missing, other writable memory may be heap as well. */
static bool may_be_heap(const struct mw_glibc_cache *cache, uint64_t addr)
{
	if (mw_glibc_span_of(cache, addr))
		return true;
	const struct mw_region *region =
		cache->broken ? mw_snapshot_find(cache->walk->snap, addr) : NULL;
	return region && (region->perms & MW_PERM_WRITE);
}

/* One list. Positions are those of blocks: 16 bytes behind their chunks. */
struct list {
	uint64_t size; /* of its chunks; 0: any */
	bool safe;     /* links are protected */
	bool to_chunk; /* links lead to chunks, not to blocks */
};

/* The size of the chunk, and the block behind `at`; false when it is none of the list. */
static bool step(struct mw_glibc_cache *cache, const struct list *list, uint64_t at,
		 uint64_t *size, uint64_t *next)
{
	uint64_t link;
	if ((at & 15) || at < MW_CHUNK_HEADER ||
	    !may_be_heap(cache, at - MW_CHUNK_HEADER) ||
	    !mw_link_read(&cache->reader, at - 8, size, sizeof(*size)) ||
	    !mw_link_read(&cache->reader, at, &link, sizeof(link)))
		return false;
	bool mapped = *size & MW_IS_MMAPPED;
	*size &= ~(uint64_t)MW_CHUNK_FLAGS;
	if (mapped || (list->size ? *size != list->size : *size < MW_CHUNK_MIN))
		return false;
	if (list->safe)
		link ^= at >> LINK_SHIFT;
	*next = link && list->to_chunk ? link + MW_CHUNK_HEADER : link;
	return true;
}

/*
 * Takes a list's chunks. What was taken before it broke is kept: those chunks are in
 * the list whatever follows.
 */
static struct mw_err *take_list(struct mw_glibc_cache *cache, const struct list *list,
				uint64_t at, enum mw_cached_kind kind,
				struct mw_blocks *sum)
{
	uint64_t size, next = 0, seen = 0, n = 0, power = 1;
	for (; at; at = next) {
		struct mw_cached entry = { at - MW_CHUNK_HEADER, kind };
		if (at == seen || !cache->left || !step(cache, list, at, &size, &next)) {
			cache->libc->n_broken_lists++;
			return NULL;
		}
		if (++n == power) {
			seen = at;
			power *= 2;
		}
		cache->left--;
		sum->n++;
		sum->bytes += size;
		if (!mw_vec_add(cache->ret, entry))
			return mw_err_nomem();
	}
	return NULL;
}

static struct list tcache_list(const struct mw_glibc_layout *layout, unsigned bin)
{
	return (struct list){
		.size = bin < SMALL_BINS ? MW_CHUNK_MIN + 16 * bin : 0,
		.safe = layout->safe_linking,
	};
}

/* What a counter can be at most, where malloc_par is not known. */
static uint64_t default_count(const struct mw_glibc_layout *layout)
{
	if (!layout->tcache.counts_free)
		return MAX_COUNT;
	return layout->first < 43 ? 7 : 16; /* TCACHE_FILL_COUNT */
}

bool mw_glibc_tcache_read(struct mw_glibc_cache *cache, uint64_t address,
			  const struct mw_glibc_layout *layout, struct mw_tcache *ret)
{
	unsigned char bytes[MW_TCACHE_MAX_LEN];
	const struct mw_tcache_layout *at = &layout->tcache;
	const struct mw_malloc_params *params = &cache->libc->params;
	size_t len = at->entries + (size_t)at->n_bins * 8;
	uint64_t max = params->known ? params->tcache_count : default_count(layout);
	if (!at->n_bins || len > sizeof(bytes) ||
	    !mw_memory_read(&cache->walk->memory, address, bytes, len))
		return false;
	*ret = (struct mw_tcache){ .address = address, .n_bins = at->n_bins };
	for (unsigned i = 0; i < at->n_bins; i++) {
		uint16_t count = 0;
		memcpy(&count, bytes + (size_t)i * at->count_len, at->count_len);
		if (count > max)
			return false;
		ret->counts[i] = at->counts_free ? (uint32_t)max - count : count;
		memcpy(&ret->heads[i], bytes + at->entries + (size_t)i * 8, 8);
		if (ret->heads[i] & 15)
			return false;
		ret->n += ret->counts[i];
	}
	return true;
}

/* Whether a list is as long as its counter says, and of its size. */
static bool list_fits(struct mw_glibc_cache *cache, const struct list *list, uint64_t at,
		      uint32_t count)
{
	uint64_t size;
	for (; at && count; count--)
		if (!step(cache, list, at, &size, &at))
			return false;
	return !at && !count;
}

static bool lists_fit(struct mw_glibc_cache *cache, const struct mw_tcache *tcache,
		      const struct mw_glibc_layout *layout, unsigned slack)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < tcache->n_bins && wrong <= slack; i++) {
		struct list list = tcache_list(layout, i);
		wrong += !list_fits(cache, &list, tcache->heads[i], tcache->counts[i]);
	}
	return wrong <= slack;
}

/* The layout for a chunk of this size and version, if the lists agree with it. */
static bool try_layout(struct mw_glibc_cache *cache, uint64_t address, uint16_t chunk_len,
		       unsigned minor, unsigned slack, struct mw_tcache *ret,
		       const struct mw_glibc_layout **layout)
{
	struct mw_glibc_facts facts = cache->libc->facts;
	facts.chunk_len = chunk_len;
	facts.minor = minor ? minor : facts.minor;
	*layout = mw_glibc_layout_select(&facts);
	return *layout && mw_glibc_tcache_read(cache, address, *layout, ret) &&
	       lists_fit(cache, ret, *layout, slack);
}

/*
 * The version that the banner says first. Only links tell 2.31 from 2.32: where it says
 * nothing, or lies, they decide; so none is taken with slack that another fits without.
 */
bool mw_glibc_tcache_verify(struct mw_glibc_cache *cache, uint64_t address,
			    struct mw_tcache *ret, const struct mw_glibc_layout **layout)
{
	static const unsigned minors[] = { 0, 32, 31 };
	uint64_t size;
	if ((address & 15) || !mw_memory_word(&cache->walk->memory, address - 8, &size))
		return false;
	size &= ~(uint64_t)MW_CHUNK_FLAGS;
	if (size > UINT16_MAX)
		return false;
	for (unsigned slack = 0; slack <= SLACK; slack++)
		for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++)
			if (try_layout(cache, address, (uint16_t)size, minors[i], slack,
				       ret, layout))
				return true;
	return false;
}

/* A structure's chunk and all its entries. */
static struct mw_err *take_tcache(struct mw_glibc_cache *cache,
				  const struct mw_tcache *tcache, struct mw_blocks *sum)
{
	struct mw_glibc *libc = cache->libc;
	struct mw_cached holder = { tcache->address - MW_CHUNK_HEADER, MW_CACHED_STRUCT };
	struct mw_err *err = mw_vec_add(cache->ret, holder) ? NULL : mw_err_nomem();
	for (unsigned i = 0; i < tcache->n_bins && !err; i++) {
		struct list list = tcache_list(libc->layout, i);
		err = take_list(cache, &list, tcache->heads[i], MW_CACHED_TCACHE, sum);
	}
	libc->tcache_counted += tcache->n;
	libc->tcache_listed += sum->n;
	return err;
}

/* How many fastbins make no sense, as far as one looks, if links are protected or not. */
static size_t broken_fastbins(struct mw_glibc_cache *cache, bool safe)
{
	size_t broken = 0;
	for (size_t i = 0; i < cache->n_arenas; i++)
		for (unsigned bin = 0; bin < MW_GLIBC_FASTBINS; bin++) {
			struct list list = { MW_CHUNK_MIN + 16 * bin, safe, true };
			uint64_t at = cache->arenas[i].fastbins[bin], size;
			at = at ? at + MW_CHUNK_HEADER : 0;
			for (unsigned n = 0; at && n < GLANCE; n++)
				if (!step(cache, &list, at, &size, &at)) {
					broken++;
					break;
				}
		}
	return broken;
}

/* Without a version 2.31 and 2.32 look alike where tcache has no list of two. */
static void decide_links(struct mw_glibc_cache *cache)
{
	struct mw_glibc *libc = cache->libc;
	struct mw_glibc_facts facts = libc->facts;
	bool safe = libc->layout->safe_linking;
	facts.minor = safe ? 31 : 32;
	const struct mw_glibc_layout *other = mw_glibc_layout_select(&facts);
	if (!libc->facts.minor && other && other->safe_linking != safe &&
	    other->tcache.entries == libc->layout->tcache.entries &&
	    broken_fastbins(cache, safe) > broken_fastbins(cache, !safe))
		libc->layout = other;
}

static struct mw_err *take_fastbins(struct mw_glibc_cache *cache)
{
	decide_links(cache);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < cache->n_arenas; i++)
		for (unsigned bin = 0; bin < MW_GLIBC_FASTBINS && !err; bin++) {
			uint64_t head = cache->arenas[i].fastbins[bin];
			struct mw_blocks sum = { 0 };
			struct list list = {
				.size = MW_CHUNK_MIN + 16 * bin,
				.safe = cache->libc->layout->safe_linking,
				.to_chunk = true,
			};
			err = take_list(cache, &list, head ? head + MW_CHUNK_HEADER : 0,
					MW_CACHED_FAST, &sum);
		}
	return err;
}

/* What a thread's own words lead to. Its cache may be gone, or not be there yet. */
static struct mw_err *take_thread(struct mw_glibc_cache *cache, uint64_t pointer,
				  struct mw_heap_thread *thread)
{
	const struct mw_glibc *libc = cache->libc;
	struct mw_memory *mem = &cache->walk->memory;
	struct mw_tcache tcache;
	uint64_t arena, address;
	if (libc->thread_arena_offset &&
	    mw_memory_word(mem, pointer + (uint64_t)libc->thread_arena_offset, &arena))
		for (size_t i = 0; i < cache->n_arenas && !thread->arena; i++)
			if (cache->arenas[i].address == arena)
				thread->arena = arena;
	if (!libc->tcache_offset ||
	    !mw_memory_word(mem, pointer + (uint64_t)libc->tcache_offset, &address) ||
	    !address || !may_be_heap(cache, address) ||
	    !mw_glibc_tcache_read(cache, address, libc->layout, &tcache))
		return NULL;
	thread->tcache = address;
	return take_tcache(cache, &tcache, &thread->cached);
}

/* glibc's thread pointer points to a structure that begins with its own address. */
static uint64_t checked_pointer(const struct mw_glibc_cache *cache, uint64_t pointer)
{
	uint64_t self;
	return pointer && mw_memory_word(&cache->walk->memory, pointer, &self) &&
			       self == pointer
		       ? pointer
		       : 0;
}

/* Thread pointers by tid: as they are in the registers, else as the snapshot has them. */
struct pointer {
	pid_t tid;
	uint64_t value;
};

struct pointers {
	struct pointer *items;
	size_t n;
};

static int by_tid(const void *a, const void *b)
{
	const struct pointer *x = a, *y = b;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static const struct pointer *pointer_of(const struct pointers *pointers, pid_t tid)
{
	struct pointer key = { .tid = tid };
	return pointers->n
		       ? bsearch(&key, pointers->items, pointers->n, sizeof(key), by_tid)
		       : NULL;
}

static struct mw_err *take_registers(const struct mw_glibc_cache *cache,
				     struct pointers *ret)
{
	const struct mw_registers_list *list = cache->walk->opts->registers;
	size_t n = list ? list->n : 0;
	ret->items = mw_arena_calloc(cache->walk->arena, n + 1, sizeof(*ret->items));
	if (!ret->items)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++)
		ret->items[ret->n++] =
			(struct pointer){ list->items[i].tid, list->items[i].tp };
	if (n)
		qsort(ret->items, n, sizeof(*ret->items), by_tid);
	return NULL;
}

struct threads {
	struct mw_heap_thread *items;
	uint64_t *pointers; /* 0: not known */
	size_t n;
};

static void add_thread(struct mw_glibc_cache *cache, struct threads *threads, pid_t tid,
		       uint64_t pointer)
{
	threads->items[threads->n].tid = tid;
	threads->pointers[threads->n++] = checked_pointer(cache, pointer);
	cache->libc->n_lost_threads += !threads->pointers[threads->n - 1];
}

/* Threads that the snapshot saw (by tid), and those that only the stop met. */
static struct mw_err *list_threads(struct mw_glibc_cache *cache, struct threads *ret)
{
	size_t n;
	const struct mw_thread *seen = mw_snapshot_threads(cache->walk->snap, &n);
	struct pointers pointers = { 0 };
	struct mw_err *err = take_registers(cache, &pointers);
	if (err)
		return err;
	size_t max = n + pointers.n + 1;
	ret->items = mw_arena_calloc(cache->walk->arena, max, sizeof(*ret->items));
	ret->pointers = mw_arena_calloc(cache->walk->arena, max, sizeof(*ret->pointers));
	if (!ret->items || !ret->pointers)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++) {
		const struct pointer *held = pointer_of(&pointers, seen[i].tid);
		/* Of a forked copy, its only thread: a stop met all there are. */
		if (pointers.n && !held)
			continue;
		add_thread(cache, ret, seen[i].tid,
			   held && held->value ? held->value : seen[i].tcb);
	}
	for (size_t i = 0, at = 0; i < pointers.n; i++) {
		while (at < n && seen[at].tid < pointers.items[i].tid)
			at++;
		if (at == n || seen[at].tid != pointers.items[i].tid)
			add_thread(cache, ret, pointers.items[i].tid,
				   pointers.items[i].value);
	}
	return NULL;
}

static void find_tls(struct mw_glibc_cache *cache, const struct threads *threads)
{
	uint64_t known[MAX_SAMPLES];
	size_t n = 0;
	for (size_t i = 0; i < threads->n && n < MAX_SAMPLES; i++)
		if (threads->pointers[i])
			known[n++] = threads->pointers[i];
	mw_glibc_find_tls(cache, known, n);
}

static struct mw_err *take_threads(struct mw_glibc_cache *cache, struct threads *threads)
{
	struct mw_err *err = list_threads(cache, threads);
	if (err)
		return err;
	find_tls(cache, threads);
	for (size_t i = 0; i < threads->n && !err; i++)
		if (threads->pointers[i])
			err = take_thread(cache, threads->pointers[i],
					  &threads->items[i]);
	return err;
}

static int by_chunk(const void *a, const void *b)
{
	const struct mw_cached *x = a, *y = b;
	return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

/* A chunk may be in two lists of a broken heap, or in one twice. */
static void sort_unique(struct mw_cached_vec *vec)
{
	size_t n = 0;
	if (vec->n)
		qsort(vec->items, vec->n, sizeof(*vec->items), by_chunk);
	for (size_t i = 0; i < vec->n; i++)
		if (!n || vec->items[n - 1].chunk != vec->items[i].chunk)
			vec->items[n++] = vec->items[i];
	vec->n = n;
}

struct mw_err *mw_glibc_cached(struct mw_heap_walk *walk, struct mw_glibc *libc,
			       const struct mw_glibc_arena *arenas, size_t n_arenas,
			       struct mw_cached_vec *ret, struct mw_heap_thread **threads,
			       size_t *n_threads)
{
	struct mw_glibc_cache cache = { walk, libc, arenas, n_arenas, .ret = ret };
	struct threads found = { 0 };
	struct mw_err *err = cache_init(&cache);
	if (!err)
		err = take_threads(&cache, &found);
	if (!err)
		err = take_fastbins(&cache);
	cache_deinit(&cache);
	if (err)
		return err;
	sort_unique(ret);
	if (!libc->facts.minor)
		libc->version = libc->layout->versions;
	*threads = found.items;
	*n_threads = found.n;
	return NULL;
}

struct mw_err *mw_glibc_cached_candidate(struct mw_heap_walk *walk, struct mw_glibc *libc,
					 const struct mw_glibc_arena *arenas,
					 size_t n_arenas, uint64_t chunk,
					 struct mw_cached_vec *ret,
					 struct mw_blocks *found)
{
	struct mw_glibc_cache cache = { walk, libc, arenas, n_arenas, .ret = ret };
	const struct mw_glibc_layout *layout;
	struct mw_cached key = { .chunk = chunk };
	struct mw_tcache tcache;
	uint64_t address = chunk + MW_CHUNK_HEADER;
	/* Without entries any block of zeros would do. Most candidates end here. */
	if ((ret->n && bsearch(&key, ret->items, ret->n, sizeof(key), by_chunk)) ||
	    !mw_glibc_tcache_read(&cache, address, libc->layout, &tcache) || !tcache.n)
		return NULL;
	struct mw_err *err = cache_init(&cache);
	if (!err && mw_glibc_tcache_verify(&cache, address, &tcache, &layout) &&
	    layout == libc->layout) {
		struct mw_blocks sum = { 0 };
		err = take_tcache(&cache, &tcache, &sum);
		found->n += sum.n;
		found->bytes += sum.bytes;
		sort_unique(ret);
	}
	cache_deinit(&cache);
	return err;
}
