/* SPDX-License-Identifier: MIT */
/*
 * Allocators in an image (image.h): a heap is taken of it, the promises of every report
 * are checked, and all of its words are spoilt one after the other. Reads are counted:
 * a walk that lies to itself about an end would show there.
 */
#pragma once

#include "image.h"
#include <memwhy/heap.h>

#define KIB UINT64_C(1024)
#define MIB (KIB << 10)

struct alloc_world {
	struct image image;
	struct mw_heap *heap;
	uint64_t n_reads, max_reads; /* so far; what a walk may need */
	uint64_t heads[2];           /* robust lists: how threads are found */
	/* What the sink was given. */
	struct mw_blocks fed;
	uint64_t last_fed, n_areas_fed;
};

static struct mw_err *alloc_read(struct mw_source *src, pid_t pid, uint64_t addr,
				 void *bytes, size_t len, enum mw_purpose purpose,
				 size_t *got)
{
	struct alloc_world *world = (struct alloc_world *)src;
	world->n_reads++;
	return image_memory(src, pid, addr, bytes, len, purpose, got);
}

static struct mw_err *alloc_robust(struct mw_source *src, pid_t pid, pid_t tid,
				   uint64_t *ret)
{
	const struct alloc_world *world = (const struct alloc_world *)src;
	(void)pid, (void)tid;
	*ret = world->heads[0];
	return NULL;
}

static struct mw_err *alloc_text(struct mw_source *src, pid_t pid, pid_t tid,
				 enum mw_file file, struct mw_buf *out)
{
	if (file == MW_FILE_COMM)
		return mw_buf_printf(out, "main\n") ? NULL : mw_err_nomem();
	return image_text(src, pid, tid, file, out);
}

static inline void alloc_init(struct alloc_world *world)
{
	static struct mw_source_ops ops;
	memset(world, 0, sizeof(*world));
	image_init(&world->image);
	ops = *world->image.src.ops;
	ops.read_text = alloc_text;
	ops.read_memory = alloc_read;
	ops.read_private = alloc_read;
	ops.robust_list = alloc_robust;
	world->image.src.ops = &ops;
	world->max_reads = 1 << 20;
}

static inline void alloc_deinit(struct alloc_world *world)
{
	mw_heap_free(world->heap);
	image_deinit(&world->image);
}

static struct mw_err *fed_area(void *ctx, const struct mw_heap_area *area)
{
	struct alloc_world *world = ctx;
	world->n_areas_fed++;
	world->last_fed = area->start;
	return NULL;
}

/* Blocks come upward, each behind the one before. */
static struct mw_err *fed_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	struct alloc_world *world = ctx;
	for (size_t i = 0; i < n; i++) {
		assert_true(blocks[i].addr >= world->last_fed);
		world->last_fed = blocks[i].addr + blocks[i].len;
		world->fed.n++;
		world->fed.bytes += blocks[i].len;
	}
	return NULL;
}

/* Parts sum up, and nothing is resident twice. */
static inline void check_report(const struct alloc_world *world)
{
	const struct mw_heap *heap = world->heap;
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *it = &heap->allocators[i];
		assert_true(it->name && it->version && it->object && it->note);
		if (it->depth == MW_HEAP_WALKED && strcmp(it->name, "glibc") != 0)
			assert_int_equal(it->live.bytes + it->overhead + it->unknown +
						 it->free.bytes,
					 it->system);
		assert_true(it->free.resident <= it->free.bytes);
	}
	for (size_t i = 0; i < heap->n_areas; i++) {
		const struct mw_heap_area *area = &heap->areas[i];
		uint64_t resident = 0, exclusive = 0;
		assert_true(area->start < area->end &&
			    area->allocator < heap->n_allocators);
		assert_true(!i || area->start >= area[-1].end);
		for (unsigned u = 0; u < MW_USE_COUNT; u++) {
			resident += area->resident[u];
			exclusive += area->exclusive[u];
		}
		assert_true(resident <= area->end - area->start && exclusive <= resident);
	}
}

static int by_addr(const void *a, const void *b)
{
	const struct image_page *const *x = a, *const *y = b;
	return (*x)->addr < (*y)->addr ? -1 : (*x)->addr > (*y)->addr;
}

/* Takes the heap; the snapshot is taken once, memory may change in between. */
static inline void alloc_take(struct alloc_world *world)
{
	static const struct mw_snapshot_opts snap = { .engine = MW_ENGINE_PAGES,
						      .want = MW_WANT_THREADS };
	struct mw_block_sink sink = { world, fed_area, fed_blocks };
	struct mw_heap_opts opts = { .still = true, .sink = &sink };
	struct image *image = &world->image;
	mw_heap_free(world->heap);
	world->heap = NULL;
	qsort(image->pages, image->n_pages, sizeof(*image->pages), by_addr);
	if (!image->snap)
		assert_null(
			mw_snapshot_take(&image->src, IMAGE_PID, &snap, &image->snap));
	world->n_reads = 0;
	world->fed = (struct mw_blocks){ 0 };
	assert_null(mw_heap_take(image->snap, &opts, &world->heap));
	assert_int_equal(image->n_faults, 0);
	assert_true(world->n_reads <= world->max_reads);
	check_report(world);
}

/* The only report of this name, or NULL. */
static inline const struct mw_allocator *alloc_named(const struct alloc_world *world,
						     const char *name)
{
	const struct mw_allocator *found = NULL;
	for (size_t i = 0; i < world->heap->n_allocators; i++) {
		if (strcmp(world->heap->allocators[i].name, name) != 0)
			continue;
		assert_null(found);
		found = &world->heap->allocators[i];
	}
	return found;
}

static inline bool all_checks_hold(const struct mw_allocator *it)
{
	for (size_t i = 0; i < it->n_checks; i++)
		if (!it->checks[i].ok)
			return false;
	return true;
}

/* Every word that is not zero becomes other things; each time the report must hold. */
static inline void alloc_spoil(struct alloc_world *world)
{
	unsigned n_takes = 0;
	struct image *image = &world->image;
	for (size_t p = 0; p < image->n_pages; p++) {
		for (unsigned at = 0; at < IMAGE_PAGE; at += 8) {
			uint64_t word, addr = image->pages[p]->addr + at;
			memcpy(&word, image->pages[p]->bytes + at, sizeof(word));
			if (!word)
				continue;
			const uint64_t other[] = {
				0,
				UINT64_MAX,
				word + 1,
				word + 0x1000,
				addr,
				word ^ UINT64_C(1) << 40,
				word << 32,
				word * 2,
				image->pages[0]->addr,
			};
			for (unsigned k = 0; k < sizeof(other) / sizeof(*other); k++) {
				memcpy(image->pages[p]->bytes + at, &other[k], 8);
				alloc_take(world);
				n_takes++;
			}
			memcpy(image->pages[p]->bytes + at, &word, sizeof(word));
		}
	}
	assert_true(n_takes > 100);
}

static inline uint64_t alloc_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* What hostile words are made of: numbers, addresses of what is there, noise. */
static inline uint64_t alloc_noise(const struct image *image, uint64_t *state)
{
	uint64_t roll = alloc_random(state);
	const struct image_page *page = image->pages[(roll >> 8) % image->n_pages];
	switch (roll & 3) {
	case 0:
		return alloc_random(state) & 0xffff;
	case 1:
		return page->addr + (alloc_random(state) & 0xff8);
	case 2:
		return alloc_random(state) >> (alloc_random(state) & 63);
	default:
		return page->addr & ~(MIB - 1);
	}
}

/* Many words at once, over and over, and put right again each time. */
static inline void alloc_storm(struct alloc_world *world, unsigned rounds)
{
	enum { MANY = 24 };
	struct image *image = &world->image;
	uint64_t state = 88172645463325252;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned char *at[MANY];
		uint64_t was[MANY], n = 1 + alloc_random(&state) % MANY;
		for (unsigned i = 0; i < n; i++) {
			struct image_page *page =
				image->pages[alloc_random(&state) % image->n_pages];
			uint64_t word, noise = alloc_noise(image, &state);
			/* Where something was put, as a rule. */
			for (unsigned try = 0; try < 64; try++) {
				at[i] = page->bytes + (alloc_random(&state) & 0xff8);
				memcpy(&word, at[i], sizeof(word));
				if (word)
					break;
			}
			memcpy(&was[i], at[i], 8);
			memcpy(at[i], &noise, 8);
		}
		alloc_take(world);
		while (n--)
			memcpy(at[n], &was[n], 8);
	}
}

#define ALLOC_TEST(test)                             \
	static void test(struct alloc_world *world); \
	static void run_##test(void **state)         \
	{                                            \
		(void)state;                         \
		struct alloc_world world;            \
		alloc_init(&world);                  \
		test(&world);                        \
		alloc_deinit(&world);                \
	}                                            \
	static void test(struct alloc_world *world)

/* A mapped file; each has an inode of its own. */
static inline void alloc_file(struct alloc_world *world, uint64_t start, uint64_t len,
			      const char *perms, unsigned ino, const char *name)
{
	assert_true(mw_buf_printf(&world->image.maps,
				  "%08llx-%08llx %s 00000000 08:01 %u          %s\n",
				  (unsigned long long)start,
				  (unsigned long long)(start + len), perms, ino, name));
}

#define PUT(world, addr, ...) IMAGE_WORDS(&(world)->image, addr, __VA_ARGS__)
