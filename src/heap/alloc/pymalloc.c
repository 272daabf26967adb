// SPDX-License-Identifier: MIT
/*
 * CPython's allocator of small objects (Objects/obmalloc.c, 3.6 to 3.13), in arenas of
 * 256 KiB cut into pools of 4 KiB, or 1 MiB and 16 KiB since 3.10. Above 512 bytes Python
 * asks malloc, which is another allocator's report.
 *
 * The array of arena objects is found through the one variable of the interpreter that
 * points to it: every entry must be an arena with its pools, or an unused one, and the
 * pools must carry the entry's index. From it all is known: pools never cut, pools that
 * are free, and in each pool in use, by its list of free blocks, every block.
 *
 * The free-threaded build has no pools; it uses mimalloc.
 */
#include "heap/alloc/alloc.h"

#include <stdlib.h>
#include <string.h>

enum {
	PAGE = 4096,
	HEADER_LEN = 48,
	MIN_ENTRIES = 16, /* INITIAL_ARENA_OBJECTS; it doubles */
	MAX_ENTRIES = 1 << 22,
	MAX_CLASS = 64,
	MAX_BLOCKS = (16 << 10) / 8,
	MAX_TRIES = 1 << 16, /* words of the variables that are followed */
};

/* struct arena_object. */
struct arena {
	uint64_t address, pool_address;
	uint32_t n_free, n_pools;
	uint64_t free_pools, next, prev;
};

/* struct pool_header. */
struct pool {
	uint32_t n_used, pad;
	uint64_t free_block, next, prev;
	uint32_t arena, class, next_offset, max_next_offset;
};

_Static_assert(sizeof(struct arena) == 48 && sizeof(struct pool) == HEADER_LEN,
	       "as obmalloc.c has them");

struct entry {
	struct arena arena;
	uint32_t index;
};

struct python {
	struct mw_heap_walk *walk;
	uint64_t pool_len, arena_len, step; /* step: the alignment of blocks */
	uint64_t array;
	unsigned tries;
	MW_VEC(struct entry);
	struct mw_tally tally;
	uint64_t n_free_pools, n_found_free, /* as arenas say; as met */
		n_blocks_free, n_bad;
	bool free[MAX_BLOCKS];
};

static uint64_t first_pool(const struct python *py, const struct arena *arena)
{
	return mw_alloc_up(arena->address, py->pool_len);
}

/* A link of the lists of arenas: none, or an entry of the array. */
static bool is_link(uint64_t link, uint64_t array)
{
	return !link || (link >= array && (link - array) % sizeof(struct arena) == 0 &&
			 (link - array) / sizeof(struct arena) < MAX_ENTRIES);
}

static bool is_unused(const struct arena *arena, uint64_t array)
{
	return !arena->address && is_link(arena->next, array);
}

static bool is_used(const struct python *py, const struct arena *arena, uint64_t array)
{
	uint64_t first = first_pool(py, arena);
	uint64_t whole = py->arena_len / py->pool_len;
	return arena->address && !(arena->address & 15) &&
	       mw_alloc_in_heapish(py->walk->snap, arena->address,
				   arena->address + py->arena_len) &&
	       arena->n_pools == whole - (first != arena->address) &&
	       arena->n_free <= arena->n_pools && arena->pool_address >= first &&
	       arena->pool_address <= first + arena->n_pools * py->pool_len &&
	       !((arena->pool_address - first) % py->pool_len) &&
	       (arena->n_free == 0 ||
		(is_link(arena->next, array) && is_link(arena->prev, array)));
}

/* The length of one block, or 0 when the header does not fit itself. */
static uint64_t block_len(const struct python *py, uint64_t addr, const struct pool *pool)
{
	uint64_t len = (uint64_t)(pool->class + 1) * py->step;
	if (pool->class >= MAX_CLASS || pool->max_next_offset != py->pool_len - len ||
	    pool->next_offset < HEADER_LEN + len || pool->next_offset > py->pool_len ||
	    (pool->next_offset - HEADER_LEN) % len ||
	    pool->n_used > (py->pool_len - HEADER_LEN) / len)
		return 0;
	if (pool->free_block && (pool->free_block < addr + HEADER_LEN ||
				 pool->free_block >= addr + py->pool_len))
		return 0;
	return len;
}

/* The lowest pool of a used arena shows what the array is worth. */
static bool has_own_pools(const struct python *py, const struct arena *arena,
			  uint32_t index)
{
	struct pool pool;
	uint64_t addr = first_pool(py, arena);
	if (arena->pool_address == addr)
		return true;
	return mw_memory_read(&py->walk->memory, addr, &pool, sizeof(pool)) &&
	       pool.arena == index && block_len(py, addr, &pool);
}

/* Appends the used ones of [from, to); false when they are no arena objects. */
static bool read_entries(struct python *py, uint64_t array, uint32_t from, uint32_t to,
			 bool *nomem)
{
	struct arena block[MIN_ENTRIES];
	for (uint32_t i = from; i < to; i += MIN_ENTRIES) {
		if (!mw_memory_read(&py->walk->memory, array + i * sizeof(*block), block,
				    sizeof(block)))
			return false;
		for (uint32_t k = 0; k < MIN_ENTRIES; k++) {
			if (is_unused(&block[k], array))
				continue;
			if (!is_used(py, &block[k], array) ||
			    !has_own_pools(py, &block[k], i + k))
				return false;
			if (!mw_vec_add(py, (struct entry){ block[k], i + k })) {
				*nomem = true;
				return false;
			}
		}
	}
	return true;
}

/* A word of the variables: the array, when at least its first entries fit. */
static bool try_word(void *ctx, uint64_t addr, uint64_t word)
{
	struct python *py = ctx;
	bool nomem = false;
	(void)addr;
	if (!word || (word & 15) || !py->tries ||
	    !mw_alloc_in_heapish(py->walk->snap, word,
				 word + MIN_ENTRIES * sizeof(struct arena)))
		return false;
	py->tries--;
	py->n = 0;
	if (!read_entries(py, word, 0, MIN_ENTRIES, &nomem) || !py->n)
		return nomem;
	py->array = word;
	return true;
}

/* The array doubles as it grows; what lies behind its end does not fit. */
static struct mw_err *read_array(struct python *py)
{
	bool nomem = false, more = true;
	for (uint32_t n = MIN_ENTRIES; more && n < MAX_ENTRIES; n *= 2) {
		size_t before = py->n;
		more = read_entries(py, py->array, n, 2 * n, &nomem);
		if (!more)
			py->n = before;
	}
	return nomem ? mw_err_nomem() : NULL;
}

/* Marks the free blocks of a pool; false when its list does not add up. */
static bool read_free_list(struct python *py, uint64_t addr, const unsigned char *bytes,
			   const struct pool *pool, uint64_t len)
{
	uint64_t total = (pool->next_offset - HEADER_LEN) / len;
	uint64_t n = 0, block = pool->free_block;
	memset(py->free, 0, total * sizeof(*py->free));
	while (block && n <= total) {
		uint64_t at = block - addr - HEADER_LEN;
		if (block < addr + HEADER_LEN || at % len || at / len >= total ||
		    py->free[at / len])
			return false;
		py->free[at / len] = true;
		n++;
		memcpy(&block, bytes + HEADER_LEN + at, sizeof(block));
	}
	return total - n == pool->n_used;
}

static struct mw_err *tell_blocks(struct python *py, uint64_t addr,
				  const struct pool *pool, uint64_t len)
{
	struct mw_tally *tally = &py->tally;
	struct mw_err *err = NULL;
	uint64_t at = addr + HEADER_LEN, end = addr + pool->next_offset;
	mw_tally_part(tally, addr, at, MW_PART_OVERHEAD);
	for (unsigned i = 0; at < end && !err; i++, at += len) {
		if (py->free[i])
			mw_tally_kept(tally, at, len);
		else
			err = mw_tally_live(tally, at, len);
		py->n_blocks_free += py->free[i];
	}
	/* Blocks never handed out; what is left is too short for one. */
	uint64_t uncut = (addr + py->pool_len - end) / len * len;
	py->n_blocks_free += uncut / len;
	mw_tally_part(tally, end, end + uncut, MW_PART_KEPT);
	mw_tally_part(tally, end + uncut, addr + py->pool_len, MW_PART_OVERHEAD);
	return err;
}

/*
 * Lends a pool up to the link in the last block that was ever handed out; pages behind
 * that may be absent. *len is that of a block, 0 when the header does not fit itself.
 */
static const unsigned char *lend_pool(struct python *py, uint64_t addr, struct pool *pool,
				      uint64_t *len)
{
	size_t got;
	struct mw_memory *window = &py->walk->window;
	const unsigned char *bytes = mw_memory_lend(window, addr, sizeof(*pool), &got);
	*len = 0;
	if (!bytes)
		return NULL;
	memcpy(pool, bytes, sizeof(*pool));
	*len = block_len(py, addr, pool);
	uint64_t need = pool->next_offset - *len + 8;
	return *len && need > got ? mw_memory_lend(window, addr, need, &got) : bytes;
}

static struct mw_err *walk_pool(struct python *py, uint64_t addr, uint32_t index)
{
	struct pool pool;
	uint64_t len;
	const unsigned char *bytes = lend_pool(py, addr, &pool, &len);
	if (bytes && !pool.n_used && pool.arena == index) {
		py->n_found_free++;
		mw_tally_part(&py->tally, addr, addr + py->pool_len, MW_PART_KEPT);
		return NULL;
	}
	if (bytes && len && pool.arena == index &&
	    read_free_list(py, addr, bytes, &pool, len))
		return tell_blocks(py, addr, &pool, len);
	py->n_bad++;
	mw_tally_part(&py->tally, addr, addr + py->pool_len, MW_PART_UNKNOWN);
	return NULL;
}

static struct mw_err *walk_arena(struct python *py, const struct entry *entry)
{
	const struct arena *arena = &entry->arena;
	uint64_t page = py->walk->page_size;
	uint64_t start = first_pool(py, arena), pool = start;
	uint64_t end = start + arena->n_pools * py->pool_len;
	struct mw_err *err = mw_tally_open(
		&py->tally, mw_alloc_down(arena->address, page),
		mw_alloc_up(arena->address + py->arena_len, page),
		py->array + entry->index * sizeof(*arena), MW_PART_OVERHEAD);
	for (; pool < arena->pool_address && !err; pool += py->pool_len)
		err = walk_pool(py, pool, entry->index);
	mw_tally_part(&py->tally, pool, end, MW_PART_KEPT);
	py->n_free_pools += arena->n_free;
	/* Free pools are those that were cut and came back, and those never cut. */
	py->n_found_free += (end - pool) / py->pool_len;
	return err ? err : mw_tally_close(&py->tally);
}

static int by_address(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->arena.address < y->arena.address ? -1
						   : x->arena.address > y->arena.address;
}

static struct mw_err *report(struct python *py, const struct mw_region *text,
			     const char *version)
{
	struct mw_tally *tally = &py->tally;
	struct mw_err *err = NULL;
	uint64_t above = 0;
	qsort(py->items, py->n, sizeof(*py->items), by_address);
	for (size_t i = 0; i < py->n && !err; i++) {
		/* Entries that overlap cannot both be arenas. */
		if (py->items[i].arena.address < above) {
			tally->overlaps++;
			continue;
		}
		err = walk_arena(py, &py->items[i]);
		above = mw_alloc_up(py->items[i].arena.address + py->arena_len,
				    py->walk->page_size);
	}
	if (err)
		return err;
	tally->it.version = version;
	tally->it.object = text->name;
	tally->it.note = "objects up to 512 bytes; larger ones are malloc's";
	mw_tally_check(tally, "free pools found are those the arenas count",
		       py->n_free_pools, py->n_found_free);
	mw_tally_check(tally, "pools whose free list does not add up", 0, py->n_bad);
	return mw_tally_publish(tally);
}

/* "python3.11", "libpython3.9.so.1.0": the minor version; 0 not known. */
static unsigned minor_of(const struct mw_region *text)
{
	const char *at = strstr(mw_alloc_file_name(text), "python3.");
	return at ? (unsigned)strtoul(at + strlen("python3."), NULL, 10) : 0;
}

static void choose(struct python *py, bool modern, uint64_t step)
{
	py->pool_len = modern ? 16 << 10 : 4 << 10;
	py->arena_len = modern ? 1 << 20 : 256 << 10;
	py->step = step;
	py->tries = MAX_TRIES;
	py->array = 0;
	py->n = 0;
}

static struct mw_err *run(struct python *py, const struct mw_region *text,
			  const char *version, unsigned minor)
{
	const struct mw_alloc_words words = { .ctx = py, .visit = try_word };
	bool modern = !minor || minor >= 10;
	choose(py, modern, 16);
	mw_alloc_variables(py->walk, text, &words);
	/* Blocks were 8 bytes apart up to 3.7.3. */
	if (!py->array && !modern && minor <= 7) {
		choose(py, modern, 8);
		mw_alloc_variables(py->walk, text, &words);
	}
	if (!py->array)
		return mw_alloc_recognised(py->walk, &mw_walker_pymalloc, version,
					   text->name,
					   "the interpreter is here; its arenas were "
					   "not found (PYTHONMALLOC=malloc, another "
					   "build, or none made yet)");
	struct mw_err *err = read_array(py);
	if (!err)
		err = mw_tally_init(&py->tally, py->walk, &mw_walker_pymalloc);
	return err ? err : report(py, text, version);
}

static struct mw_err *walk_pymalloc(struct mw_heap_walk *walk)
{
	const struct mw_region *text = mw_alloc_object(walk->snap, "libpython");
	if (!text)
		text = mw_alloc_object(walk->snap, "python");
	if (!text)
		return NULL;
	unsigned minor = minor_of(text);
	const char *version = minor ? mw_arena_printf(walk->arena, "3.%u", minor) : "";
	struct python *py = calloc(1, sizeof(*py));
	if (!py || !version) {
		free(py);
		return mw_err_nomem();
	}
	py->walk = walk;
	struct mw_err *err = run(py, text, version, minor);
	mw_tally_deinit(&py->tally);
	mw_vec_deinit(py);
	free(py);
	return err;
}

const struct mw_walker mw_walker_pymalloc = { "pymalloc", walk_pymalloc };
