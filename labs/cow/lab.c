// SPDX-License-Identifier: MIT
/*
 * fork() copies an address space without copying its memory: parent and child share
 * every frame, read-only, until one of them writes. Whoever writes first gets a copy of
 * that one page. A shared mapping beside it shows the other case: it is never copied.
 */
#include "lab.h"

enum { PAGES = 16, HALF = PAGES / 2, SPARE = 256 };

static volatile char *a, *s; /* a private mapping and a shared one */
static size_t page;

static void write_value(volatile char *at, long value)
{
	*(volatile long *)at = value;
}

/* Writes one word in each of the pages from first on. */
static void write_pages(int first, int end, long value)
{
	for (int i = first; i < end; i++)
		write_value(a + i * page, value);
}

static void read_pages(void)
{
	for (int i = 0; i < PAGES; i++)
		(void)a[i * page];
}

/* What the child does when it is told to. */
static void turn(int n)
{
	switch (n) {
	case 0: /* nothing, but it has read the switch's table */
		break;
	case 1:
		read_pages();
		break;
	case 2:
		write_value(a, 42);
		break;
	case 3:
		write_pages(1, HALF, 42);
		break;
	case 4:
		write_value(s, 42);
		break;
	}
}

/* Resident from the start: fork() is to find pages that it might have to copy. */
static volatile char *filled(int flags, int pages)
{
	volatile char *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE,
				 flags | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < pages; i++)
		write_value(at + i * page, 7);
	return at;
}

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	lab_start();
	a = filled(MAP_PRIVATE, PAGES);
	s = filled(MAP_SHARED, PAGES);
	/*
	 * A new page waits in a list of its processor, and while it does, the kernel
	 * takes it for used and copies it. These push ours out of there.
	 */
	munmap((void *)filled(MAP_PRIVATE, SPARE), SPARE * page);
	lab_value("pages", PAGES);
	lab_value("half", HALF);
	lab_value("len", (long long)(PAGES * page));
	lab_addr("a", a);
	lab_addr("s", s);
	lab_addr("third", a + 2 * page);
	lab_addr("last", a + (PAGES - 1) * page);

	/* Its turn 0 does nothing, and has its stack copied before anything is counted.
	 */
	lab_step("fork", "child = fork();   a: 16 private pages, s: 16 shared ones");
	struct lab_child child = lab_fork("child", turn);
	lab_turn(&child, 0);

	lab_step("read", "child: reads a word in each of the 16 pages of a");
	lab_turn(&child, 1);

	lab_step("write", "child: a[0] = 42;   it was 7");
	lab_turn(&child, 2);

	lab_step("half", "child: writes the next 7 pages");
	lab_turn(&child, 3);

	lab_step("parent", "parent: writes all 16 pages of a");
	write_pages(0, PAGES, 8);

	lab_step("again", "parent: writes all 16 pages once more");
	write_pages(0, PAGES, 9);

	lab_step("shared", "child: s[0] = 42;   in the shared mapping; it was 7");
	lab_turn(&child, 4);

	lab_end();
	lab_join(&child);
	return 0;
}
