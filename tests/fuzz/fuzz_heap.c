// SPDX-License-Identifier: MIT
/*
 * Heaps as an enemy would leave them: the memory of a process with glibc's malloc, sound
 * at first, in which the input corrupts what it likes; of a target that runs, while it is
 * looked at. The walk must end soon, read little, and report what adds up.
 *
 * An input: a byte of flags, a byte that picks the layout, and corruptions of 12 bytes.
 * Without any, every check has to hold.
 */
#include "fuzz.h"
#include "made_heap.h"

#include "base/buf.h"
#include "kernel/source.h"
#include "procfs/pagebits.h"

#include <stdio.h>

enum {
	FLAG_STILL = 1 << 0,   /* the target does not run while it is read */
	FLAG_SMAPS = 1 << 1,   /* no page runs */
	FLAG_FOREIGN = 1 << 2, /* sbrk() has another caller */
	FLAG_TLS = 1 << 3,     /* the thread pointer is known */
	FLAG_SHARED = 1 << 4,  /* no page is of this process alone */
	FLAG_CORE = 1 << 5,
};

enum {
	PATCH_LEN = 12,
	MAX_INPUT = 4096,
	READS_A_PATCH = 16,  /* of a target that runs */
	MAX_CALLS = 4 << 20, /* what one walk may ask */
	MAX_BYTES = 1024 << 20,
};

struct hostile {
	struct mw_source base;
	struct made_heap made;
	unsigned flags;
	const uint8_t *patches;
	size_t n_patches;
	uint64_t n_calls, n_bytes;
};

static struct hostile *hostile_of(struct mw_source *src)
{
	return (struct hostile *)src;
}

static uint64_t place_address(uint64_t value)
{
	unsigned place = (unsigned)(value % MADE_PLACES);
	return made_start[place] + (value / 8) % (made_pages[place] * MADE_PAGE);
}

/* One corruption: where, how, and a value. */
static void corrupt(struct hostile *src, const uint8_t *patch)
{
	struct made_heap *made = &src->made;
	unsigned place = patch[0] % MADE_PLACES;
	uint64_t value, word;
	uint16_t at;
	memcpy(&at, patch + 2, sizeof(at));
	memcpy(&value, patch + 4, sizeof(value));
	size_t off = (size_t)at * 8 % (made_pages[place] * MADE_PAGE);
	unsigned char *bytes = made->bytes[place] + off;
	memcpy(&word, bytes, sizeof(word));
	switch (patch[1] % 7) {
	case 0:
		word = value;
		break;
	case 1:
		word ^= value;
		break;
	case 2:
		word += (uint64_t)(int64_t)(int8_t)value * 16;
		break;
	case 3:
		word = place_address(value);
		break;
	case 4:
		made->absent[place][off / MADE_PAGE] ^= true;
		return;
	case 5:
		for (; (off & (MADE_PAGE - 1)) < MADE_PAGE - 8; off += 8, bytes += 8)
			memcpy(bytes, &value, sizeof(value));
		return;
	default:
		word = made_link(made, made_start[place] + off, place_address(value));
		break;
	}
	memcpy(bytes, &word, sizeof(word));
}

static void corrupt_next(struct hostile *src)
{
	if (!src->n_patches)
		return;
	corrupt(src, src->patches);
	src->patches += PATCH_LEN;
	src->n_patches--;
}

static void count(struct hostile *src, uint64_t bytes)
{
	src->n_calls++;
	src->n_bytes += bytes;
	FUZZ_CHECK(src->n_calls <= MAX_CALLS && src->n_bytes <= MAX_BYTES);
	if (!(src->flags & FLAG_STILL) && src->n_calls % READS_A_PATCH == 0)
		corrupt_next(src);
}

static void hostile_close(struct mw_source *src)
{
	(void)src;
}

static bool add_map(struct mw_buf *out, enum made_place place, const char *name)
{
	bool file = name[0] == '/';
	return mw_buf_printf(
		out, "%llx-%llx rw-p 00000000 %s %d %s\n",
		(unsigned long long)made_start[place],
		(unsigned long long)(made_start[place] + made_pages[place] * MADE_PAGE),
		file ? "08:01" : "00:00", file ? 7 : 0, name);
}

static struct mw_err *hostile_text(struct mw_source *src, pid_t pid, pid_t tid,
				   enum mw_file file, struct mw_buf *out)
{
	bool ok = true;
	(void)src;
	(void)tid;
	if (file == MW_FILE_MAPS || file == MW_FILE_SMAPS) {
		ok = add_map(out, MADE_HEAP, "[heap]") &&
		     add_map(out, MADE_DATA, "/lib/libc.so.6") &&
		     add_map(out, MADE_ARENA, "") && add_map(out, MADE_MAPPED, "") &&
		     add_map(out, MADE_TLS, "");
	} else if (file == MW_FILE_STATUS) {
		ok = mw_buf_printf(out, "Name:\tx\nUid:\t0\t0\t0\t0\nThreads:\t1\n"
					"VmSize:\t1 kB\nVmRSS:\t1 kB\n");
	} else if (file == MW_FILE_STAT) {
		ok = mw_buf_printf(out, "%d (x) S", pid);
		for (unsigned field = 4; ok && field <= 52; field++)
			ok = mw_buf_printf(out, " %d", field != 9); /* flags: none */
	} else {
		return mw_err_new(MW_ERR_DENIED, 0, "x", "refused");
	}
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *hostile_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	(void)src;
	(void)pid;
	return mw_vec_add(out, (pid_t)MADE_TID) ? NULL : mw_err_nomem();
}

/* Pages that are there; none is the zero page. */
static struct mw_err *hostile_scan(struct mw_source *src, pid_t pid, uint64_t start,
				   uint64_t end, struct mw_page_ranges *out)
{
	static const unsigned ascending[MADE_PLACES] = {
		MADE_HEAP, MADE_DATA, MADE_ARENA, MADE_MAPPED, MADE_TLS,
	};
	struct hostile *hostile = hostile_of(src);
	(void)pid;
	for (unsigned n = 0; n < MADE_PLACES; n++)
		for (size_t i = 0; i < made_pages[ascending[n]]; i++) {
			unsigned place = ascending[n];
			uint64_t page = made_start[place] + i * MADE_PAGE;
			struct mw_page_range range = { page, page + MADE_PAGE,
						       MW_SCAN_PRESENT };
			if (page < start || page >= end || hostile->made.absent[place][i])
				continue;
			if (!mw_vec_add(out, range))
				return mw_err_nomem();
		}
	return NULL;
}

static struct mw_err *hostile_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				      size_t n_pages, uint64_t *ret)
{
	struct hostile *hostile = hostile_of(src);
	uint64_t state = hostile->flags & FLAG_SHARED ? 1 : UINT64_C(1) << 56;
	(void)pid;
	count(hostile, n_pages * 8);
	for (size_t i = 0; i < n_pages; i++)
		ret[i] = made_at(&hostile->made, addr + i * MADE_PAGE)
				 ? MW_PM_PRESENT | state
				 : 0;
	return NULL;
}

/* Frame 1 is mapped twice, and is not the zero page. */
static struct mw_err *hostile_kpage(struct mw_source *src, enum mw_kpage which,
				    uint64_t pfn, size_t n, uint64_t *ret)
{
	(void)src;
	(void)pfn;
	for (size_t i = 0; i < n; i++)
		ret[i] = which == MW_KPAGE_COUNT ? 2 : 0;
	return NULL;
}

static struct mw_err *hostile_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				     void *bytes, size_t len, enum mw_purpose purpose,
				     size_t *got)
{
	struct hostile *hostile = hostile_of(src);
	(void)pid;
	(void)purpose;
	count(hostile, len);
	for (*got = 0; *got < len;) {
		size_t left = MADE_PAGE - (addr + *got) % MADE_PAGE;
		size_t n = len - *got < left ? len - *got : left;
		const unsigned char *from = made_at(&hostile->made, addr + *got);
		if (!from)
			break;
		memcpy((char *)bytes + *got, from, n);
		*got += n;
	}
	return *got ? NULL : mw_err_new(MW_ERR_NOTFOUND, 0, "mem", "not there");
}

static struct mw_err *hostile_probe(struct mw_source *src, enum mw_feature feature,
				    bool *ret)
{
	(void)src;
	(void)feature;
	*ret = true;
	return NULL;
}

static const struct mw_source_ops hostile_ops = {
	.name = "hostile",
	.close = hostile_close,
	.read_text = hostile_text,
	.list = hostile_list,
	.scan = hostile_scan,
	.read_pagemap = hostile_pagemap,
	.read_kpage = hostile_kpage,
	.read_memory = hostile_memory,
	.probe = hostile_probe,
};

/* What the sink was told. */
struct told {
	struct mw_heap_area area;
	uint64_t at;
	struct mw_blocks blocks;
};

static struct mw_err *on_area(void *ctx, const struct mw_heap_area *area)
{
	struct told *told = ctx;
	FUZZ_CHECK(area->start < area->end);
	told->area = *area;
	told->at = area->start;
	return NULL;
}

static struct mw_err *on_blocks(void *ctx, const struct mw_block *blocks, size_t n)
{
	struct told *told = ctx;
	FUZZ_CHECK(n > 0);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(blocks[i].addr >= told->at);
		FUZZ_CHECK(blocks[i].len <= told->area.end - blocks[i].addr);
		told->at = blocks[i].addr + blocks[i].len;
		told->blocks.n++;
		told->blocks.bytes += blocks[i].len;
	}
	return NULL;
}

/* Areas lie beside each other, and hold what the snapshot says is resident of them. */
static void check_areas(const struct mw_heap *heap)
{
	uint64_t reached = 0;
	for (size_t i = 0; i < heap->n_areas; i++) {
		const struct mw_heap_area *area = &heap->areas[i];
		uint64_t sum = 0;
		FUZZ_CHECK(area->start >= reached && area->end > area->start);
		FUZZ_CHECK(area->allocator < heap->n_allocators);
		reached = area->end;
		for (int use = 0; use < MW_USE_COUNT; use++) {
			FUZZ_CHECK(area->exclusive[use] <= area->resident[use]);
			FUZZ_CHECK(area->split || !area->resident[use]);
			sum += area->resident[use];
		}
		FUZZ_CHECK(sum <= area->end - area->start);
	}
}

static void check_kept(const struct mw_kept *kept)
{
	if (kept->resident == UINT64_MAX)
		return;
	FUZZ_CHECK(kept->resident <= kept->bytes);
	FUZZ_CHECK(kept->trimmable + kept->pinned + kept->untrimmable == kept->resident);
}

static void check_arena(const struct mw_heap_arena *arena)
{
	uint64_t sum = arena->live.bytes + arena->tcache.bytes + arena->fast.bytes +
		       arena->bins.bytes + arena->top + arena->overhead + arena->unknown;
	uint64_t pinned = 0;
	FUZZ_CHECK(sum >= arena->system);
	FUZZ_CHECK(!arena->unknown || sum == arena->system);
	check_kept(&arena->free);
	FUZZ_CHECK(arena->pinning.n <= arena->live.n);
	FUZZ_CHECK(arena->n_pins <= 16);
	for (size_t i = 0; i < arena->n_pins; i++)
		pinned += arena->pins[i].bytes;
	FUZZ_CHECK(!arena->n_pins || pinned <= arena->free.pinned);
}

static void check_heap(const struct mw_heap *heap, const struct told *told)
{
	struct mw_blocks live = { 0 };
	check_areas(heap);
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *it = &heap->allocators[i];
		live.n += it->live.n;
		live.bytes += it->live.bytes;
		check_kept(&it->free);
		for (size_t j = 0; j < it->n_arenas; j++)
			check_arena(&it->arenas[j]);
		uint64_t n = 0;
		for (size_t j = 0; j < it->n_sizes; j++)
			n += it->sizes[j].live.n;
		FUZZ_CHECK(n == it->live.n);
	}
	FUZZ_CHECK(live.n == told->blocks.n && live.bytes == told->blocks.bytes);
}

static void check_sound(const struct hostile *src, const struct mw_heap *heap)
{
	bool tls = (src->flags & FLAG_TLS) || !src->made.layout->tcache.n_bins;
	FUZZ_CHECK(heap->n_allocators == 1 && heap->allocators[0].n_arenas == 2);
	FUZZ_CHECK(heap->allocators[0].mmapped.n == 2);
	FUZZ_CHECK(!tls || heap->settled);
}

static void walk(struct hostile *src, bool sound)
{
	struct mw_snapshot_opts opts = {
		.want = MW_WANT_THREADS,
		.engine = src->flags & FLAG_SMAPS ? MW_ENGINE_SMAPS : MW_ENGINE_PAGES,
		.jobs = 1,
	};
	struct mw_registers registers = { .tid = MADE_TID,
					  .tp = src->made.thread_pointer };
	struct mw_registers_list list = { &registers, 1, 1 };
	struct told told = { 0 };
	struct mw_block_sink sink = { &told, on_area, on_blocks };
	struct mw_heap_opts heap_opts = {
		.still = src->flags & FLAG_STILL,
		.registers = src->flags & FLAG_TLS ? &list : NULL,
		.sink = &sink,
	};
	struct mw_snapshot *snap = NULL;
	struct mw_heap *heap = NULL;
	mw_auto_err err = mw_snapshot_take(&src->base, MADE_TID, &opts, &snap);
	if (err)
		return;
	mw_auto_err again = mw_heap_take(snap, &heap_opts, &heap);
	FUZZ_CHECK(!again || again->code == MW_ERR_NOMEM || again->code == MW_ERR_GONE);
	if (!again) {
		check_heap(heap, &told);
		if (sound)
			check_sound(src, heap);
	}
	mw_heap_free(heap);
	mw_snapshot_free(snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct hostile src;
	size_t n_layouts;
	const struct mw_glibc_layout *layouts = mw_glibc_layouts(&n_layouts);
	if (len < 2 || len > MAX_INPUT)
		return 0;
	src = (struct hostile){
		.base = { .ops = &hostile_ops,
			  .facts = { .page_size = MADE_PAGE,
				     .clock_ticks = 100,
				     .live = !(bytes[0] & FLAG_CORE),
				     .core = bytes[0] & FLAG_CORE,
				     .release = "6.18.0" } },
		.flags = bytes[0],
		.patches = bytes + 2,
		.n_patches = (len - 2) / PATCH_LEN,
	};
	made_init(&src.made, &layouts[bytes[1] % n_layouts], src.flags & FLAG_FOREIGN);
	bool sound = !src.n_patches;
	while (src.n_patches && (src.flags & FLAG_STILL))
		corrupt_next(&src);
	walk(&src, sound);
	return 0;
}
