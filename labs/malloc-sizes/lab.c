// SPDX-License-Identifier: MIT
/*
 * Where malloc takes blocks from: small ones from the heap, which it makes larger with
 * brk() now and then; large ones from mmap(), one mapping each. Then what free() gives
 * back, and what calloc, realloc and the functions for aligned blocks do.
 */
#include "heap.h"

enum { SMALL = 100, MANY = 10000 };

static const size_t kib = 1 << 10, mib = 1 << 20;
static char *p; /* the first block */

static int is_in_heap(const char *block)
{
	return block >= p && block < (char *)sbrk(0);
}

/* MANY small blocks; returns how often the end of the heap moved. */
static int allocate_many(void)
{
	int moved = 0;
	for (int i = 0; i < MANY; i++) {
		void *end = sbrk(0);
		if (!malloc(SMALL))
			break;
		moved += sbrk(0) != end;
	}
	return moved;
}

/*
 * The smallest block that is not in the heap. It stays: to free it has consequences. The
 * heap is trimmed each time, for where there is room malloc does not ask the kernel at
 * all.
 */
static char *find_edge(size_t *size)
{
	for (*size = 127 * kib;; ++*size) {
		malloc_trim(0);
		char *block = malloc(*size);
		if (!is_in_heap(block))
			return block;
		free(block);
	}
}

static void show_usable(void)
{
	static const size_t sizes[] = { 1, 24, 25, 40, 41, SMALL };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char label[32];
		snprintf(label, sizeof(label), "malloc(%zu)", sizes[i]);
		lab_row(label, (long long)malloc_usable_size(malloc(sizes[i])), "bytes");
	}
}

static void large_blocks(size_t page)
{
	lab_step("mapped", "m = malloc(1 MiB);");
	char *m = malloc(mib);
	lab_addr("m", m);

	lab_step("unmapped", "free(m);");
	free(m);

	lab_step("again", "n = malloc(1 MiB); memset(n, 1, 1 MiB);");
	char *n = malloc(mib);
	memset(n, 1, mib);
	lab_addr("n", n);
	lab_addr("trimmed_end", heap_end_after(n, 0, page));

	lab_step("kept", "free(n);");
	free(n);

	lab_step("trim", "malloc_trim(0);");
	malloc_trim(0);
}

static void calloc_and_realloc(void)
{
	lab_step("calloc", "c = calloc(64, 1 MiB);");
	char *c = calloc(64, mib);
	lab_addr("c", c);

	lab_step("use", "memset(c, 1, 4 MiB);");
	memset(c, 1, 4 * mib);

	lab_step("move", "d = realloc(c, 128 MiB);");
	char *d = realloc(c, 128 * mib);
	lab_addr("d", d);

	lab_step("grow", "x = malloc(100 KiB); y = realloc(x, 200 KiB);");
	char *x = malloc(100 * kib);
	lab_addr("x", x);
	char *y = realloc(x, 200 * kib);
	lab_addr("y", y);

	lab_step("copy", "w = malloc(100); z = realloc(y, 300 KiB);");
	char *w = malloc(SMALL);
	char *z = realloc(y, 300 * kib);
	lab_addr("w", w);
	lab_addr("z", z);
}

static void aligned_blocks(size_t page)
{
	void *t = NULL;
	lab_step("aligned", "s = aligned_alloc(page, page); posix_memalign(&t, 64, 100); "
			    "v = valloc(100);");
	char *s = aligned_alloc(page, page);
	int err = posix_memalign(&t, 64, SMALL);
	char *v = valloc(SMALL);
	lab_addr("s", s);
	lab_addr("t", err ? NULL : t);
	lab_addr("v", v);
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), edge;

	lab_start();
	lab_value("tuned", heap_is_tuned());
	lab_value("header", HEAP_HEADER);
	lab_value("word_size", sizeof(size_t));
	lab_value("small", SMALL);
	lab_value("many", MANY);
	lab_value("pad", HEAP_PAD);

	lab_step("first", "p = malloc(100);   the first of this process");
	p = malloc(SMALL);
	lab_addr("p", p);

	lab_step("usable", "n = malloc_usable_size(p);");
	lab_value("usable", (long long)malloc_usable_size(p));
	show_usable();

	lab_step("reuse", "q = malloc(100); free(q); r = malloc(100);");
	char *q = malloc(SMALL);
	lab_addr("q", q);
	free(q);
	q = malloc(SMALL);
	lab_addr("r", q);

	lab_step("many", "10000 times malloc(100);");
	lab_value("moved", allocate_many());

	lab_step("edge", "for (size = 127 KiB;; size++) malloc(size), freed and trimmed "
			 "again, until one is not in the heap");
	char *above = find_edge(&edge);
	lab_value("edge", (long long)edge);
	lab_addr("above", above);
	lab_addr("below", malloc(edge - 1));

	large_blocks(page);
	calloc_and_realloc();
	aligned_blocks(page);

	lab_end();
	return 0;
}
