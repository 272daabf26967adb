// SPDX-License-Identifier: MIT
/*
 * The ways in which memory is given back: madvise() with MADV_DONTNEED and MADV_FREE,
 * munmap(), free(), malloc_trim(). Some return frames to the kernel at once, some when it
 * asks for them, and some only to the allocator.
 */
#include "heap.h"
#include <sched.h>

enum { PAGES = 64, HALF = PAGES / 2, HOLE = 16, BLOCKS = 512, EVERY = 16 };

static char *blocks[BLOCKS];
static size_t page, block_size;

static char *filled(size_t len)
{
	char *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	memset(at, 1, len);
	return at;
}

static void fill_heap(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(block_size);
		memset(blocks[i], 1, block_size);
	}
}

static int is_kept(int i)
{
	return i % EVERY == EVERY - 1;
}

static void free_blocks(int kept)
{
	for (int i = 0; i < BLOCKS; i++)
		if (is_kept(i) == kept)
			free(blocks[i]);
}

/*
 * How many pages lie between the blocks that are kept, and hold nothing. malloc has its
 * notes in the first words of what is free.
 */
static long empty_pages(void)
{
	long n = 0;
	for (int i = 0; i < BLOCKS; i += EVERY) {
		uintptr_t from = (uintptr_t)blocks[i] - HEAP_HEADER + 6 * sizeof(size_t);
		uintptr_t to = (uintptr_t)blocks[i + EVERY - 1] - HEAP_HEADER;
		from = (from + page - 1) / page * page;
		n += to > from ? (long)((to - from) / page) : 0;
	}
	return n;
}

/* How many of the blocks that are kept still hold what was written there. */
static int intact(void)
{
	int n = 0;
	for (int i = 0; i < BLOCKS; i++)
		n += is_kept(i) && blocks[i][0] == 1 && blocks[i][block_size - 1] == 1;
	return n;
}

/* Pages on their way wait in lists of the processor; those of another are not seen. */
static void stay_on_this_processor(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
}

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	block_size = page / 2 - 3 * HEAP_HEADER;
	lab_start();
	stay_on_this_processor();
	char *a = filled(PAGES * page), *b = a + HALF * page;
	char *c = filled(PAGES * page);
	fill_heap();
	lab_value("tuned", heap_is_tuned());
	lab_value("half", HALF);
	lab_value("hole", HOLE);
	lab_value("blocks", BLOCKS);
	lab_value("kept", BLOCKS / EVERY);
	lab_value("block_size", (long long)block_size);
	lab_value("len", (long long)(PAGES * page));
	lab_addr("a", a);
	lab_addr("b", b);
	lab_addr("c", c);
	lab_addr("heap", blocks[0]);

	lab_step("dontneed",
		 "madvise(a, 32 pages, MADV_DONTNEED);   of 64 that are full");
	madvise(a, HALF * page, MADV_DONTNEED);

	lab_step("reread", "x = a[0];   it was 1");
	lab_value("x", *(volatile char *)a);

	lab_step("lazy", "madvise(b, 32 pages, MADV_FREE);   the other half");
	madvise(b, HALF * page, MADV_FREE);

	lab_step("pressure", "b[0] = 2; then madvise(b, 32 pages, MADV_PAGEOUT);");
	b[0] = 2;
	madvise(b, HALF * page, MADV_PAGEOUT);
	lab_value("y", *(volatile char *)b);

	lab_step("unmap", "munmap(c + 24 pages, 16 pages);   out of the middle of 64");
	munmap(c + 24 * page, HOLE * page);

	lab_value("empty", empty_pages());
	lab_step("free", "frees 480 of 512 small blocks: every 16th stays");
	free_blocks(0);

	lab_step("trim", "malloc_trim(0);");
	malloc_trim(0);
	lab_value("intact", intact());

	lab_addr("new_end", heap_end_after(blocks[0], HEAP_PAD, page));
	lab_step("last", "frees the other 32 blocks");
	free_blocks(1);

	lab_end();
	return 0;
}
