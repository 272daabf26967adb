// SPDX-License-Identifier: MIT
/*
 * Five pages from mmap, touched one by one; then the same from malloc. Memory that was
 * asked for is an address range and a promise. It becomes memory page by page, when
 * somebody touches it. At the end the kernel's own counter is watched while pages come:
 * it is not always up to date.
 */
#include "lab.h"
#include <fcntl.h>

enum { PAGES = 5, MANY = 128 };

/* The resident size in /proc/self/stat, in pages: the 24th field of the line. */
static long counted(void)
{
	char line[1024];
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	line[len] = '\0';
	char *at = strrchr(line, ')'); /* ends the second field, the program's name */
	for (int field = 2; at && field < 24; field++)
		at = strchr(at + 1, ' ');
	return at ? strtol(at, NULL, 10) : 0;
}

/* Writes MANY pages; returns after how many of the writes the counter was another one. */
static int watch_counter(volatile char *c, size_t page)
{
	long first = counted(), last = first;
	int changes = 0;
	for (int i = 0; i < MANY; i++) {
		c[i * page] = 1;
		long now = counted();
		changes += now != last;
		last = now;
		if ((i + 1) % 16 == 0) {
			char label[32];
			snprintf(label, sizeof(label), "%d pages written", i + 1);
			lab_row(label, now - first, "pages counted");
		}
	}
	return changes;
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *a, *b, *c;

	lab_start();
	/* A free place with nothing beside it that what comes now could merge with. */
	char *place = mmap(NULL, 4 * PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	munmap(place + page, (4 * PAGES - 2) * page);
	lab_value("pages", PAGES);
	lab_value("many", MANY);

	lab_step("map", "a = mmap(a free place, 5 pages, PROT_READ | PROT_WRITE, "
			"MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);");
	a = mmap(place + 2 * PAGES * page, PAGES * page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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

	lab_step("second", "b = mmap(just below a, 5 pages, the same as before);");
	b = mmap((char *)a - PAGES * page, PAGES * page, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	lab_addr("b", b);

	lab_step("malloc", "m = malloc(5 pages);");
	char *m = malloc(PAGES * page);
	lab_addr("m", m);

	lab_step("first", "m[0] = 1;");
	m[0] = 1;

	lab_step("fill", "memset(m, 2, 5 pages);");
	memset(m, 2, PAGES * page);

	lab_step("counter", "writes 128 new pages, and reads rss in /proc/self/stat "
			    "after each");
	c = mmap(NULL, MANY * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	lab_value("changes", watch_counter(c, page));

	lab_end();
	return 0;
}
