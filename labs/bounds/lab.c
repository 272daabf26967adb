// SPDX-License-Identifier: MIT
/*
 * Writes past the end of arrays, in a child each time, until the kernel says no. It knows
 * mappings and pages. It has never heard of arrays.
 */
#include "crash.h"
#include <malloc.h>

enum { COUNT = 5000, HANDOUT = 5121, BIG = 200000, SMALL = 100 };

static int write_one(void *p)
{
	*(volatile int *)p = 1;
	return 0;
}

/* From p on upwards, byte by byte, until it dies: `more` does not change. */
static int write_on(void *p)
{
	volatile char more = 1;
	for (volatile char *to = p; more; to++)
		*to = 0;
	return 0;
}

static volatile char *first, *second;

static int write_past_first(void *page)
{
	first[*(size_t *)page] = 'x';
	return second[0];
}

static char *map(void *where, size_t len, int rights)
{
	char *p = mmap(where, len, rights,
		       MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	return p;
}

static void heap(void)
{
	int *arr = malloc(COUNT * sizeof(int));
	lab_addr("arr", arr);
	lab_value("count", COUNT);
	lab_value("handout", HANDOUT);
	lab_value("int", sizeof(int));
	lab_value("usable", (long long)malloc_usable_size(arr));

	crash_step("one",
		   "int *arr = malloc(5000 * sizeof(int)); in a child: arr[5000] = 1;",
		   write_one, &arr[COUNT]);
	crash_step("handout", "in a child: arr[5121] = 1;", write_one, &arr[HANDOUT]);
	crash_step("heap", "in a child: writes arr[5000], arr[5001], … until it dies",
		   write_on, &arr[COUNT]);
}

static void mappings(size_t page)
{
	/* Keeps what is above the block out of reach. */
	map(NULL, 1 << 20, PROT_NONE);
	char *big = malloc(BIG);
	lab_addr("big", big);
	lab_value("n", BIG);
	crash_step("block",
		   "char *big = malloc(200000); in a child: writes on from big[200000]",
		   write_on, big + BIG);

	/* Two pages, made by two calls of mmap(), with nothing around them. */
	char *area = map(NULL, 4 * page, PROT_NONE);
	first = map(area + page, page, PROT_READ | PROT_WRITE);
	second = map(area + 2 * page, page, PROT_READ | PROT_WRITE);
	lab_addr("first", first);
	lab_addr("second", second);
	lab_value("x", 'x');
	crash_step("neighbour", "in a child: first[page] = 'x';   second begins there",
		   write_past_first, &page);

	char *edge = area + 3 * page - SMALL;
	lab_addr("edge", edge);
	lab_value("small", SMALL);
	crash_step(
		"edge",
		"char *edge = second + page - 100; in a child: writes on from edge[100]",
		write_on, edge + SMALL);
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char local[SMALL];

	lab_start();
	heap();
	mappings(page);

	lab_addr("local", local);
	crash_step("stack", "char local[100]; in a child: writes on from local[100]",
		   write_on, local + SMALL);

	lab_end();
	return 0;
}
