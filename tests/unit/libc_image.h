/* SPDX-License-Identifier: MIT */
/*
 * A libc made by hand, of any layout: its file, its data in memory, a main heap, the
 * thread-local words of one thread. What a test does not want is changed afterwards.
 */
#pragma once

#include "base/arena.h"
#include "heap/glibc/glibc.h"
#include "image.h"

enum {
	LIBC_DATA = 0x600, /* offset of the writable segment in the file */
	LIBC_PAR = 0x1600, /* link-time addresses */
	LIBC_ARENA = 0x16a0,
	LIBC_HEAP_LEN = 0x4000,
	LIBC_TP = 0x1800, /* of the thread pointer in LIBC_TLS */
	LIBC_TCACHE = 72, /* below the thread pointer */
	LIBC_THREAD_ARENA = 56,
};

static const uint64_t LIBC_BASE = 0x7f0000000000;
static const uint64_t LIBC_HEAP = 0x555500000000;
static const uint64_t LIBC_TLS = 0x7f1000000000;
static const uint64_t LIBC_TID = IMAGE_PID;

enum libc_file { LIBC_RELA, LIBC_RELR, LIBC_FIXED };

struct libc {
	struct image image;
	const struct mw_glibc_layout *layout;
	uint64_t base, main_arena, mp;
	uint64_t heap_at; /* where the next chunk comes */
	struct mw_registers registers;
	struct mw_registers_list list;
	struct mw_heap_opts opts;
	struct mw_arena arena;
	struct mw_heap_walk walk;
	struct mw_glibc_vec found;
	struct mw_glibc_arena *arenas;
	size_t n_arenas;
	struct mw_cached_vec cached;
	struct mw_heap_thread *threads;
	size_t n_threads;
};

static inline void libc_word(void *bytes, size_t at, uint64_t word, size_t len)
{
	if (at != UINT16_MAX)
		memcpy((unsigned char *)bytes + at, &word, len);
}

/* malloc_par as the compiler leaves it. */
static inline void libc_par(void *par, const struct mw_par_layout *at)
{
	libc_word(par, at->trim, 128 << 10, 8);
	libc_word(par, at->top_pad, 128 << 10, 8);
	libc_word(par, at->mmap_threshold, 128 << 10, 8);
	libc_word(par, 0x18, 8, 8);
	libc_word(par, at->n_mmaps_max, 65536, 4);
	libc_word(par, at->tcache_bins, 64, 8);
	libc_word(par, at->tcache_max_bytes, 1032, 8);
	libc_word(par, at->tcache_count, 7, 8);
}

/* main_arena likewise; `next` is what is written there. */
static inline void libc_arena(void *arena, const struct mw_state_layout *at,
			      uint64_t next)
{
	libc_word(arena, at->next, next, 8);
	libc_word(arena, at->attached, 1, 8);
}

static inline void libc_segments(Elf64_Phdr segs[3], uint64_t bias, size_t dyn_len)
{
	segs[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_flags = PF_R,
				.p_vaddr = bias,
				.p_filesz = LIBC_DATA,
				.p_memsz = LIBC_DATA };
	segs[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
				.p_flags = PF_R | PF_W,
				.p_offset = LIBC_DATA,
				.p_vaddr = bias + LIBC_PAR,
				.p_filesz = IMAGE_PAGE - LIBC_DATA,
				.p_memsz = IMAGE_PAGE - LIBC_DATA };
	segs[2] = (Elf64_Phdr){ .p_type = dyn_len ? PT_DYNAMIC : PT_NULL,
				.p_offset = 0x400,
				.p_vaddr = bias + 0x400,
				.p_filesz = dyn_len };
}

/* The file: a page. `minor` 0: no banner. A fixed one is linked to LIBC_BASE. */
static inline void libc_file(struct libc *libc, enum libc_file how, unsigned minor)
{
	unsigned char *file = libc->image.object;
	uint64_t bias = how == LIBC_FIXED ? LIBC_BASE : 0;
	uint64_t arena = bias + LIBC_ARENA, next = arena + libc->layout->state.next;
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = how == LIBC_FIXED ? ET_EXEC : ET_DYN,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_ehsize = sizeof(head),
			    .e_phoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 3 };
	Elf64_Rela rela[2] = {
		{ .r_offset = 0x1800, .r_info = R_X86_64_RELATIVE, .r_addend = 0x10 },
		{ .r_offset = next,
		  .r_info = R_X86_64_RELATIVE,
		  .r_addend = (Elf64_Sxword)arena },
	};
	/* An address, then a bitmap in which the fourth word from there is meant. */
	uint64_t relr[2] = { next - 32, 1 | UINT64_C(1) << 4 };
	Elf64_Dyn dyn[3] = {
		{ .d_tag = how == LIBC_RELA ? DT_RELA : DT_RELR, .d_un.d_ptr = 0x300 },
		{ .d_tag = how == LIBC_RELA ? DT_RELASZ : DT_RELRSZ,
		  .d_un.d_val = how == LIBC_RELA ? sizeof(rela) : sizeof(relr) }
	};
	Elf64_Phdr segs[3];
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	head.e_ident[EI_VERSION] = EV_CURRENT;
	libc_segments(segs, bias, how == LIBC_FIXED ? 0 : sizeof(dyn));
	memset(file, 0, IMAGE_PAGE);
	memcpy(file, &head, sizeof(head));
	memcpy(file + 64, segs, sizeof(segs));
	if (minor)
		snprintf((char *)file + 0x200, 0x100,
			 "GNU C Library (Some GLIBC 2.%u-1) stable release version "
			 "2.%u.\nCopyright\n",
			 minor, minor);
	memcpy(file + 0x300, how == LIBC_RELA ? (void *)rela : (void *)relr,
	       how == LIBC_RELA ? sizeof(rela) : sizeof(relr));
	memcpy(file + 0x400, dyn, sizeof(dyn));
	libc_par(file + LIBC_DATA, &libc->layout->par);
	libc_arena(file + LIBC_DATA + LIBC_ARENA - LIBC_PAR, &libc->layout->state,
		   how == LIBC_RELA ? 0 : arena);
}

/* Its mappings at `base`, with the data as it is when malloc was never called. */
static inline void libc_load(struct libc *libc, uint64_t base, const char *name)
{
	unsigned char arena[0x900] = { 0 }, par[0x90] = { 0 };
	libc->base = base;
	libc->main_arena = base + LIBC_ARENA;
	libc->mp = base + LIBC_PAR;
	libc_par(par, &libc->layout->par);
	libc_arena(arena, &libc->layout->state, libc->main_arena);
	image_map(&libc->image, base, 0x1000, "r--p", name);
	image_map(&libc->image, base + 0x1000, 0x2000, "rw-p", name);
	image_put(&libc->image, libc->mp, par, sizeof(par));
	image_put(&libc->image, libc->main_arena, arena, sizeof(arena));
}

/* Field of main_arena, word of malloc_par. */
static inline void libc_set(struct libc *libc, uint16_t at, uint64_t word)
{
	IMAGE_WORDS(&libc->image, libc->main_arena + at, word);
}

static inline void libc_set_par(struct libc *libc, uint16_t at, uint64_t word)
{
	IMAGE_WORDS(&libc->image, libc->mp + at, word);
}

/* Empty bins of the arena at `state`. */
static inline void libc_bins(struct libc *libc, uint64_t state)
{
	uint64_t at = state + libc->layout->state.bins;
	for (unsigned i = 0; i < MW_GLIBC_BINS / 2; i++)
		IMAGE_WORDS(&libc->image, at + 16 * i, at + 16 * i - 16,
			    at + 16 * i - 16);
}

/* A chunk at the end of the heap so far; its address. */
static inline uint64_t libc_chunk(struct libc *libc, uint64_t size)
{
	uint64_t at = libc->heap_at;
	IMAGE_WORDS(&libc->image, at + 8, size | MW_PREV_INUSE);
	libc->heap_at += size;
	return at;
}

/* A main heap in use; chunks are to follow, and libc_top(). */
static inline void libc_heap(struct libc *libc)
{
	image_map(&libc->image, LIBC_HEAP, LIBC_HEAP_LEN, "rw-p", "[heap]");
	libc->heap_at = LIBC_HEAP;
	libc_bins(libc, libc->main_arena);
	libc_set(libc, libc->layout->state.system_mem, LIBC_HEAP_LEN);
	libc_set_par(libc, libc->layout->par.sbrk_base, LIBC_HEAP);
}

static inline void libc_top(struct libc *libc)
{
	uint64_t top = libc->heap_at;
	libc_set(libc, libc->layout->state.top, top);
	libc_chunk(libc, LIBC_HEAP + LIBC_HEAP_LEN - top);
}

/* A link as this libc would store it at `at`. */
static inline void libc_link(struct libc *libc, uint64_t at, uint64_t to)
{
	IMAGE_WORDS(&libc->image, at, libc->layout->safe_linking ? to ^ at >> 12 : to);
}

/* Counter and head of one list of a tcache structure. */
static inline void libc_tcache_list(struct libc *libc, uint64_t tcache, unsigned bin,
				    unsigned count, uint64_t head)
{
	const struct mw_tcache_layout *at = &libc->layout->tcache;
	uint16_t counter = (uint16_t)(at->counts_free ? 7 - count : count);
	image_put(&libc->image, tcache + (uint64_t)bin * at->count_len, &counter,
		  at->count_len);
	IMAGE_WORDS(&libc->image, tcache + at->entries + 8 * (uint64_t)bin, head);
}

/* A tcache structure with empty lists; its address. */
static inline uint64_t libc_tcache(struct libc *libc)
{
	uint64_t chunk = libc_chunk(libc, libc->layout->tcache.chunk_len[0]);
	for (unsigned i = 0; i < libc->layout->tcache.n_bins; i++)
		libc_tcache_list(libc, chunk + 16, i, 0, 0);
	return chunk + 16;
}

/* One thread; both words may be 0. */
static inline void libc_thread(struct libc *libc, uint64_t tcache, uint64_t arena)
{
	uint64_t tp = LIBC_TLS + LIBC_TP;
	image_map(&libc->image, LIBC_TLS, 0x3000, "rw-p", "");
	IMAGE_WORDS(&libc->image, LIBC_TLS + 0x10, 0);
	IMAGE_WORDS(&libc->image, tp - LIBC_TCACHE, tcache);
	IMAGE_WORDS(&libc->image, tp - LIBC_THREAD_ARENA, arena);
	IMAGE_WORDS(&libc->image, tp, tp);
	libc->registers = (struct mw_registers){ .tid = (pid_t)LIBC_TID, .tp = tp };
}

static inline int libc_by_addr(const void *a, const void *b)
{
	const struct image_page *const *x = a, *const *y = b;
	return (*x)->addr < (*y)->addr ? -1 : (*x)->addr > (*y)->addr;
}

static inline int libc_by_line(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

/* Maps in order of their addresses, which all have as many digits. */
static inline void libc_sort_maps(struct mw_buf *maps)
{
	char *lines[64] = { 0 }, *text = strdup(mw_buf_str(maps));
	char *rest = text, *line;
	size_t n = 0;
	while ((line = strsep(&rest, "\n")) && *line) {
		assert_true(n < 64);
		lines[n++] = line;
	}
	qsort(lines, n, sizeof(lines[0]), libc_by_line);
	mw_buf_clear(maps);
	for (size_t i = 0; i < n; i++)
		assert_true(mw_buf_printf(maps, "%s\n", lines[i]));
	free(text);
}

static inline void libc_snapshot(struct libc *libc)
{
	struct mw_snapshot_opts opts = { .engine = MW_ENGINE_PAGES };
	libc_sort_maps(&libc->image.maps);
	qsort(libc->image.pages, libc->image.n_pages, sizeof(libc->image.pages[0]),
	      libc_by_addr);
	libc->list = (struct mw_registers_list){ &libc->registers, 1, 1 };
	libc->opts = (struct mw_heap_opts){ .still = true, .registers = &libc->list };
	assert_null(
		mw_snapshot_take(&libc->image.src, IMAGE_PID, &opts, &libc->image.snap));
	libc->walk = (struct mw_heap_walk){ .snap = libc->image.snap,
					    .opts = &libc->opts,
					    .page_size = IMAGE_PAGE,
					    .arena = &libc->arena };
	assert_null(
		mw_memory_init(&libc->walk.memory, libc->image.snap, MW_READ_STRUCT, 0));
	assert_null(mw_memory_init(&libc->walk.window, libc->image.snap, MW_READ_CONTENTS,
				   64 << 10));
}

/* All steps; they fail for want of memory only. */
static inline void libc_look(struct libc *libc)
{
	libc_snapshot(libc);
	assert_null(mw_glibc_find(&libc->walk, &libc->found));
	if (!libc->found.n)
		return;
	struct mw_glibc *first = &libc->found.items[0];
	assert_null(mw_glibc_arenas(&libc->walk, first, &libc->arenas, &libc->n_arenas));
	assert_null(mw_glibc_cached(&libc->walk, first, libc->arenas, libc->n_arenas,
				    &libc->cached, &libc->threads, &libc->n_threads));
	assert_int_equal(libc->image.n_faults, 0);
}

static inline void libc_init(struct libc *libc, const struct mw_glibc_layout *layout)
{
	memset(libc, 0, sizeof(*libc));
	image_init(&libc->image);
	libc->layout = layout;
	libc->registers.tid = (pid_t)LIBC_TID;
}

static inline void libc_deinit(struct libc *libc)
{
	mw_memory_deinit(&libc->walk.memory);
	mw_memory_deinit(&libc->walk.window);
	mw_vec_deinit(&libc->walk.gaps);
	mw_vec_deinit(&libc->found);
	mw_vec_deinit(&libc->cached);
	mw_arena_deinit(&libc->arena);
	image_deinit(&libc->image);
}

/* The layout that begins with this minor version. */
static inline const struct mw_glibc_layout *libc_layout(unsigned first)
{
	size_t n;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n);
	for (size_t i = 0; i < n; i++)
		if (layouts[i].first == first)
			return &layouts[i];
	fail_msg("no layout begins with 2.%u", first);
	return NULL;
}
