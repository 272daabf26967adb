// SPDX-License-Identifier: MIT
/*
 * Five pages from mmap, touched one by one; then the same from malloc. Memory that was
 * asked for is an address range and a promise. It becomes memory page by page, when
 * somebody touches it.
 */
#include "lab.h"

enum { PAGES = 5 };

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *a, *b;

	lab_start();
	lab_value("pages", PAGES);

	lab_step("map", "a = mmap(NULL, 5 pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | "
			"MAP_ANONYMOUS, -1, 0);");
	a = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	lab_addr("a", a);

	lab_step("touch", "a[0] = 1;");
	a[0] = 1;

	lab_step("again", "a[page - 1] = 2;   the last byte of the same page");
	a[page - 1] = 2;

	lab_step("read", "x = a[2 * page];   reads a page that was never written");
	lab_value("x", a[2 * page]);

	lab_step("write", "a[2 * page] = 3;   writes the page that was read");
	a[2 * page] = 3;

	lab_step("rest", "memset(a, 4, 5 pages);");
	memset((char *)a, 4, PAGES * page);

	lab_step("second", "b = mmap(NULL, 5 pages, the same as before);");
	b = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	lab_addr("b", b);

	lab_step("malloc", "m = malloc(5 pages);");
	char *m = malloc(PAGES * page);
	lab_addr("m", m);

	lab_end();
	return 0;
}
