// SPDX-License-Identifier: MIT
/* Arenas, their pieces, and cached blocks; on memory made by hand, sane and hostile. */
#include "libc_image.h"

#define RUN(name, minor)                                       \
	static void name(struct libc *libc);                   \
	static void run_##name(void **state)                   \
	{                                                      \
		struct libc libc;                              \
		(void)state;                                   \
		libc_init(&libc, libc_layout(minor));          \
		libc_file(&libc, LIBC_RELA, minor);            \
		libc_load(&libc, LIBC_BASE, "/lib/libc.so.6"); \
		name(&libc);                                   \
		libc_deinit(&libc);                            \
	}                                                      \
	static void name(struct libc *libc)

static const uint64_t MIB = 1 << 20;
static const uint64_t HEAP = 0x7e0000000000; /* of a thread's arena */
static const uint64_t MMAP = 0x7d0000000000; /* of a main arena without sbrk() */

static size_t count(const struct libc *libc, enum mw_cached_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < libc->cached.n; i++)
		n += libc->cached.items[i].kind == kind;
	return n;
}

/* A list of `n` new chunks; its head, the block of the last. */
static uint64_t put_list(struct libc *libc, uint64_t size, unsigned n, uint64_t shift)
{
	uint64_t head = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t chunk = libc_chunk(libc, size);
		libc_link(libc, chunk + 16, head);
		head = chunk + 16 - shift;
	}
	return head;
}

/* A heap with 3 blocks of 32 bytes in tcache, 4 of 48 in a fastbin. */
static void put_cached(struct libc *libc)
{
	libc_heap(libc);
	uint64_t tcache = libc->layout->tcache.n_bins ? libc_tcache(libc) : 0;
	if (tcache)
		libc_tcache_list(libc, tcache, 0, 3, put_list(libc, 0x20, 3, 0));
	if (libc->layout->state.fastbins != UINT16_MAX)
		libc_set(libc, (uint16_t)(libc->layout->state.fastbins + 8),
			 put_list(libc, 0x30, 4, 16));
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
}

static void one_layout(struct libc *libc)
{
	bool caches = libc->layout->tcache.n_bins;
	bool fast = libc->layout->state.fastbins != UINT16_MAX;
	libc_file(libc, LIBC_RELA, libc->layout->first);
	libc_load(libc, LIBC_BASE, "/lib/libc.so.6");
	put_cached(libc);
	libc_look(libc);
	assert_int_equal(libc->n_arenas, 1);
	assert_int_equal(libc->arenas[0].n_pieces, 1);
	assert_int_equal(libc->arenas[0].pieces[0].start, LIBC_HEAP);
	assert_int_equal(libc->arenas[0].pieces[0].end, LIBC_HEAP + LIBC_HEAP_LEN);
	assert_int_equal(count(libc, MW_CACHED_TCACHE), caches ? 3 : 0);
	assert_int_equal(count(libc, MW_CACHED_STRUCT), caches);
	assert_int_equal(count(libc, MW_CACHED_FAST), fast ? 4 : 0);
	const struct mw_glibc *found = &libc->found.items[0];
	assert_int_equal(found->thread_arena_offset, -LIBC_THREAD_ARENA);
	assert_int_equal(found->tcache_offset, caches ? -LIBC_TCACHE : 0);
	assert_int_equal(found->tcache_counted, found->tcache_listed);
	assert_int_equal(found->n_broken_lists, 0);
	assert_int_equal(found->n_lost_threads, 0);
	assert_int_equal(libc->n_threads, 1);
	assert_int_equal(libc->threads[0].tid, LIBC_TID);
	assert_int_equal(libc->threads[0].arena, libc->main_arena);
	assert_int_equal(libc->threads[0].cached.n, caches ? 3 : 0);
	assert_int_equal(libc->threads[0].cached.bytes, caches ? 96 : 0);
	for (size_t i = 1; i < libc->cached.n; i++)
		assert_true(libc->cached.items[i - 1].chunk <
			    libc->cached.items[i].chunk);
}

static void every_layout(void **state)
{
	size_t n;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n);
	(void)state;
	for (size_t i = 0; i < n; i++) {
		struct libc libc;
		libc_init(&libc, &layouts[i]);
		one_layout(&libc);
		libc_deinit(&libc);
	}
}

/* The banner says 2.31, links are protected: the links decide. */
RUN(links_decide, 32)
{
	libc_file(libc, LIBC_RELA, 31);
	put_cached(libc);
	libc_look(libc);
	assert_string_equal(libc->found.items[0].layout->versions, "2.32-2.34");
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 3);
	assert_int_equal(count(libc, MW_CACHED_FAST), 4);
}

/* No banner, nothing in tcache: fastbins decide. */
RUN(fastbins_decide, 30)
{
	libc_file(libc, LIBC_RELA, 0);
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc);
	libc_set(libc, (uint16_t)(libc->layout->state.fastbins + 8),
		 put_list(libc, 0x30, 4, 16));
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
	libc_look(libc);
	assert_string_equal(libc->found.items[0].layout->versions, "2.30-2.31");
	assert_int_equal(count(libc, MW_CACHED_FAST), 4);
}

/* The program has 64 KiB of thread-local data between libc's and the thread pointer. */
RUN(far_from_the_pointer, 35)
{
	uint64_t tp = LIBC_TLS + 0x20000, block = LIBC_TLS + 0x8010, dtv = tp + 0x100;
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc);
	libc_tcache_list(libc, tcache, 0, 3, put_list(libc, 0x20, 3, 0));
	libc_top(libc);
	image_map(&libc->image, LIBC_TLS, 0x21000, "rw-p", "");
	for (uint64_t at = LIBC_TLS; at < LIBC_TLS + 0x21000; at += IMAGE_PAGE)
		IMAGE_WORDS(&libc->image, at, 0);
	IMAGE_WORDS(&libc->image, block + 0x20, tcache, 0, libc->main_arena);
	IMAGE_WORDS(&libc->image, tp, tp, dtv);
	IMAGE_WORDS(&libc->image, dtv - 16, 3, 0, 1, 0, tp - 0x10000, 0, block, 0);
	libc->registers.tp = tp;
	libc_look(libc);
	const struct mw_glibc *found = &libc->found.items[0];
	assert_int_equal(found->tcache_offset, (int64_t)(block + 0x20 - tp));
	assert_int_equal(found->thread_arena_offset, (int64_t)(block + 0x30 - tp));
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 3);
}

/* The banner says 2.31, the structure is of 2.29: its chunk decides. */
RUN(chunk_decides, 27)
{
	libc_file(libc, LIBC_RELA, 31);
	put_cached(libc);
	libc_look(libc);
	assert_string_equal(libc->found.items[0].layout->versions, "2.27-2.29");
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 3);
}

RUN(no_thread_pointer, 35)
{
	put_cached(libc);
	libc->registers.tp += 8;
	libc_look(libc);
	struct mw_glibc *found = &libc->found.items[0];
	assert_int_equal(found->n_lost_threads, 1);
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 0);
	/* Every live chunk is tried; one of them is it. */
	struct mw_blocks sum = { 0 };
	for (int twice = 0; twice < 2; twice++)
		for (uint64_t at = LIBC_HEAP; at < LIBC_HEAP + 0x400; at += 16)
			assert_null(mw_glibc_cached_candidate(
				&libc->walk, found, libc->arenas, libc->n_arenas, at,
				&libc->cached, &sum));
	assert_int_equal(sum.n, 3);
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 3);
	assert_int_equal(count(libc, MW_CACHED_STRUCT), 1);
}

/* A tcache list that leads back into itself, and a fastbin that does. */
RUN(rings, 35)
{
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc), first = libc->heap_at + 16;
	put_list(libc, 0x20, 5, 0);
	libc_link(libc, first, first + 64);
	libc_tcache_list(libc, tcache, 0, 5, first + 128);
	uint64_t fast = libc->heap_at;
	put_list(libc, 0x30, 7, 16);
	libc_link(libc, fast + 16, fast);
	libc_set(libc, (uint16_t)(libc->layout->state.fastbins + 8), fast);
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
	libc_look(libc);
	assert_int_equal(libc->found.items[0].n_broken_lists, 2);
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 5);
	assert_int_equal(count(libc, MW_CACHED_FAST), 1);
}

RUN(links_to_anywhere, 35)
{
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc), head = put_list(libc, 0x20, 2, 0);
	libc_link(libc, head, 0x123456789000);
	libc_tcache_list(libc, tcache, 0, 3, head);
	/* The right place, but of another size. */
	uint64_t fast = put_list(libc, 0x60, 3, 16);
	libc_set(libc, (uint16_t)(libc->layout->state.fastbins + 8), fast);
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
	libc_look(libc);
	const struct mw_glibc *found = &libc->found.items[0];
	assert_int_equal(found->n_broken_lists, 2);
	assert_int_equal(count(libc, MW_CACHED_TCACHE), 1);
	assert_int_equal(count(libc, MW_CACHED_FAST), 0);
	assert_int_equal(found->tcache_counted, 3);
	assert_int_equal(found->tcache_listed, 1);
}

/* One chunk in two lists is taken once. */
RUN(in_two_lists, 35)
{
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc), head = put_list(libc, 0x20, 2, 0);
	libc_tcache_list(libc, tcache, 0, 2, head);
	libc_set(libc, libc->layout->state.fastbins, head - 16);
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
	libc_look(libc);
	assert_int_equal(libc->cached.n, 3);
}

/* A million entries would not fit into the heap; 100 do, and are read page by page. */
RUN(long_list, 35)
{
	libc_heap(libc);
	uint64_t tcache = libc_tcache(libc);
	libc_set(libc, (uint16_t)(libc->layout->state.fastbins + 8),
		 put_list(libc, 0x30, 200, 16));
	libc_top(libc);
	libc_thread(libc, tcache, libc->main_arena);
	libc_look(libc);
	assert_int_equal(count(libc, MW_CACHED_FAST), 200);
	assert_int_equal(libc->found.items[0].n_broken_lists, 0);
}

/* A heap of a thread's arena; the first holds malloc_state. */
static void put_heap(struct libc *libc, uint64_t heap, uint64_t prev, uint64_t len,
		     uint64_t arena)
{
	image_map(&libc->image, heap, len, "rw-p", "");
	image_map(&libc->image, heap + len, 64 * MIB - len, "---p", "");
	IMAGE_WORDS(&libc->image, heap, arena, prev, len, len);
}

/* An arena with two heaps behind main_arena in the ring. */
static uint64_t put_arena(struct libc *libc)
{
	const struct mw_state_layout *at = &libc->layout->state;
	uint64_t arena = HEAP + libc->layout->heap_info_len;
	libc_heap(libc);
	libc_top(libc);
	put_heap(libc, HEAP, 0, 0x4000, arena);
	put_heap(libc, HEAP + 64 * MIB, HEAP, 0x6000, arena);
	IMAGE_WORDS(&libc->image, arena + at->top, HEAP + 64 * MIB + 0x2000);
	IMAGE_WORDS(&libc->image, arena + at->system_mem, 0xa000);
	IMAGE_WORDS(&libc->image, arena + at->next, libc->main_arena);
	libc_bins(libc, arena);
	libc_set(libc, at->next, arena);
	return arena;
}

static void two_heaps(struct libc *libc)
{
	uint64_t arena = put_arena(libc), header = libc->layout->heap_info_len;
	libc_look(libc);
	assert_int_equal(libc->n_arenas, 2);
	assert_true(libc->arenas[0].main);
	const struct mw_glibc_arena *got = &libc->arenas[1];
	assert_int_equal(got->address, arena);
	assert_false(got->broken);
	assert_int_equal(got->n_pieces, 2);
	assert_int_equal(got->pieces[0].start, HEAP);
	assert_int_equal(got->pieces[0].end, HEAP + 0x4000);
	assert_int_equal(got->pieces[0].first,
			 HEAP + ((header + libc->layout->state.size + 15) & ~15));
	assert_false(got->pieces[0].last);
	assert_int_equal(got->pieces[1].first, HEAP + 64 * MIB + header);
	assert_true(got->pieces[1].last);
	assert_int_equal(libc->walk.gaps.n, 0);
}

RUN(thread_arena_2_23, 23)
{
	two_heaps(libc);
}

RUN(thread_arena_2_35, 35)
{
	two_heaps(libc);
}

RUN(thread_arena_2_43, 43)
{
	two_heaps(libc);
}

RUN(ring_of_heaps, 35)
{
	put_arena(libc);
	IMAGE_WORDS(&libc->image, HEAP + 8, HEAP + 64 * MIB);
	libc_look(libc);
	assert_int_equal(libc->n_arenas, 2);
	assert_true(libc->arenas[1].broken);
	assert_int_equal(libc->arenas[1].n_pieces, 2);
	assert_int_equal(libc->walk.gaps.n, 1);
}

/* The arenas go round without main_arena. */
RUN(ring_without_main, 35)
{
	uint64_t arena = put_arena(libc);
	IMAGE_WORDS(&libc->image, arena + libc->layout->state.next, arena);
	libc_look(libc);
	assert_int_equal(libc->n_arenas, 2);
	assert_int_equal(libc->walk.gaps.n, 1);
}

RUN(ring_to_nowhere, 35)
{
	uint64_t arena = put_arena(libc);
	IMAGE_WORDS(&libc->image, arena + libc->layout->state.next, HEAP + 0x80);
	libc_look(libc);
	assert_int_equal(libc->n_arenas, 2);
	assert_int_equal(libc->walk.gaps.n, 1);
}

RUN(locked, 35)
{
	put_cached(libc);
	IMAGE_WORDS(&libc->image, libc->main_arena, 1);
	libc_look(libc);
	assert_true(libc->arenas[0].locked);
	assert_true(libc->walk.locked);
}

/* malloc_par is wrong about where the heap began: system_mem tells. */
RUN(base_unknown, 35)
{
	put_cached(libc);
	libc_set_par(libc, libc->layout->par.sbrk_base, 0);
	libc_look(libc);
	assert_int_equal(libc->arenas[0].n_pieces, 1);
	assert_int_equal(libc->arenas[0].pieces[0].start, LIBC_HEAP);
}

/* The program's break was not aligned when malloc first moved it. */
RUN(base_unaligned, 35)
{
	libc_heap(libc);
	libc->heap_at += 16;
	libc_top(libc);
	libc_set_par(libc, libc->layout->par.sbrk_base, LIBC_HEAP + 8);
	libc_set(libc, libc->layout->state.system_mem, LIBC_HEAP_LEN - 8);
	libc_look(libc);
	assert_int_equal(libc->arenas[0].pieces[0].start, LIBC_HEAP + 8);
	assert_int_equal(libc->arenas[0].pieces[0].first, LIBC_HEAP + 16);
}

RUN(top_beyond_memory, 35)
{
	libc_heap(libc);
	libc_set(libc, libc->layout->state.top, libc->heap_at);
	libc_chunk(libc, UINT64_C(1) << 40);
	libc_look(libc);
	assert_true(libc->arenas[0].broken);
	assert_int_equal(libc->arenas[0].n_pieces, 0);
}

/* Fence posts in the middle of the heap, memory of someone else, the next chunk. */
static uint64_t foreign(struct libc *libc, unsigned fences)
{
	libc_heap(libc);
	libc_chunk(libc, 0x1000 - fences * 16);
	for (unsigned i = 0; i < fences; i++)
		libc_chunk(libc, 16);
	uint64_t fence = libc->heap_at;
	assert_int_equal(fence, LIBC_HEAP + 0x1000);
	/* Looks like chunks, for a while. */
	IMAGE_WORDS(&libc->image, fence, 0, 0x41, 1, 2, 3, 4, 5, 6, 0, 0x51, 7, 8, 9, 1,
		    2, 3, 4, 5, 0, 3);
	libc->heap_at += 0x130;
	return fence;
}

static void look_behind(struct libc *libc, uint64_t fence)
{
	uint64_t want = libc->heap_at;
	libc_chunk(libc, 0x40);
	libc_chunk(libc, 0x60);
	libc_top(libc);
	libc_look(libc);
	assert_int_equal(libc->arenas[0].n_pieces, 1);
	assert_int_equal(mw_glibc_behind_fence(&libc->walk, &libc->arenas[0], fence,
					       LIBC_HEAP + LIBC_HEAP_LEN),
			 want);
}

RUN(behind_two_fences, 35)
{
	look_behind(libc, foreign(libc, 2));
}

RUN(behind_three_fences, 30)
{
	look_behind(libc, foreign(libc, 3));
}

RUN(nothing_behind, 35)
{
	uint64_t fence = foreign(libc, 2);
	libc_set(libc, libc->layout->state.top, LIBC_HEAP);
	libc_look(libc);
	assert_int_equal(mw_glibc_behind_fence(&libc->walk, &libc->arenas[0], fence,
					       LIBC_HEAP + LIBC_HEAP_LEN),
			 0);
}

/* Pieces at `at`, each a chunk and fence posts; the last one ends with top. */
static void put_piece(struct libc *libc, uint64_t at, uint64_t len, bool last)
{
	libc->heap_at = at;
	if (last) {
		libc_chunk(libc, 0x100);
		libc_set(libc, libc->layout->state.top, libc->heap_at);
		libc_chunk(libc, at + len - libc->heap_at);
		return;
	}
	libc_chunk(libc, 0x100);
	libc_chunk(libc, len - 0x120);
	libc_chunk(libc, 16);
	libc_chunk(libc, 16);
}

/* Mappings instead of sbrk(), one right behind a block that is mapped itself. */
RUN(scattered, 35)
{
	libc_bins(libc, libc->main_arena);
	IMAGE_WORDS(&libc->image, libc->main_arena, UINT64_C(2) << 32);
	image_map(&libc->image, MMAP, 3 * MIB, "rw-p", "");
	image_map(&libc->image, MMAP + 16 * MIB, MIB, "rw-p", "");
	IMAGE_WORDS(&libc->image, MMAP, 0, 0x100000 | MW_IS_MMAPPED);
	put_piece(libc, MMAP + MIB, MIB, true);
	put_piece(libc, MMAP + 2 * MIB, MIB, false);
	put_piece(libc, MMAP + 16 * MIB, MIB, false);
	libc_set(libc, libc->layout->state.system_mem, 3 * MIB);
	libc_set_par(libc, libc->layout->par.sbrk_base, MMAP + 16 * MIB);
	libc_look(libc);
	const struct mw_glibc_arena *arena = &libc->arenas[0];
	assert_true(arena->noncontiguous);
	assert_false(arena->broken);
	assert_int_equal(arena->n_pieces, 3);
	assert_int_equal(arena->pieces[0].start, MMAP + MIB);
	assert_true(arena->pieces[0].last);
	assert_int_equal(arena->pieces[1].start, MMAP + 2 * MIB);
	assert_int_equal(arena->pieces[1].end, MMAP + 3 * MIB);
	assert_int_equal(arena->pieces[2].end, MMAP + 17 * MIB);
}

/* Anything may stand anywhere: every walk ends, and nothing absent is read. */
static void broken_memory(void **state)
{
	uint64_t random = 88172645463325252U;
	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		struct libc libc;
		size_t n;
		const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n);
		libc_init(&libc, &layouts[round % n]);
		libc_file(&libc, LIBC_RELA, libc.layout->first);
		libc_load(&libc, LIBC_BASE, "/lib/libc.so.6");
		if (round % 3) {
			put_cached(&libc);
		} else {
			put_arena(&libc);
			libc_thread(&libc, 0, 0);
		}
		for (unsigned i = 0; i < 1 + round % 60; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			struct image_page *page =
				libc.image.pages[random % libc.image.n_pages];
			size_t at = (random >> 20) % (IMAGE_PAGE / 8) * 8;
			uint64_t word =
				random % 5 ? page->addr + (random >> 40) % 4096 : random;
			memcpy(page->bytes + at, &word, sizeof(word));
		}
		libc_look(&libc);
		for (size_t i = 0; i < libc.n_arenas; i++)
			mw_glibc_behind_fence(&libc.walk, &libc.arenas[i],
					      LIBC_HEAP + 0x1000,
					      LIBC_HEAP + LIBC_HEAP_LEN);
		assert_int_equal(libc.image.n_faults, 0);
		libc_deinit(&libc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_layout),
		cmocka_unit_test(run_links_decide),
		cmocka_unit_test(run_chunk_decides),
		cmocka_unit_test(run_fastbins_decide),
		cmocka_unit_test(run_far_from_the_pointer),
		cmocka_unit_test(run_no_thread_pointer),
		cmocka_unit_test(run_rings),
		cmocka_unit_test(run_links_to_anywhere),
		cmocka_unit_test(run_in_two_lists),
		cmocka_unit_test(run_long_list),
		cmocka_unit_test(run_thread_arena_2_23),
		cmocka_unit_test(run_thread_arena_2_35),
		cmocka_unit_test(run_thread_arena_2_43),
		cmocka_unit_test(run_ring_of_heaps),
		cmocka_unit_test(run_ring_without_main),
		cmocka_unit_test(run_ring_to_nowhere),
		cmocka_unit_test(run_locked),
		cmocka_unit_test(run_base_unknown),
		cmocka_unit_test(run_base_unaligned),
		cmocka_unit_test(run_top_beyond_memory),
		cmocka_unit_test(run_behind_two_fences),
		cmocka_unit_test(run_behind_three_fences),
		cmocka_unit_test(run_nothing_behind),
		cmocka_unit_test(run_scattered),
		cmocka_unit_test(broken_memory),
	};
	return cmocka_run_group_tests_name("glibc_lists", tests, NULL, NULL);
}
