// SPDX-License-Identifier: MIT
/*
 * Ten copies of this program, and what they cost together. Then four kinds of mappings
 * that two processes have in common, and who sees what the other wrote.
 */
#include "machine.h"
#include "spawn.h"

enum { COPIES = 10, TABLE = 256 << 10, PAGES = 4 };

/* A part of the program file that all copies read. */
static const char table[TABLE] = { 1 };

static size_t page;
static long *s, *v, *z, *m;

/* What a copy does: reads the table. */
static long long read_table(int n)
{
	for (size_t i = 0; i < sizeof(table); i += 1024)
		n += *(const volatile char *)(table + i);
	return n;
}

static void start(struct lab_child copies[COPIES])
{
	for (int i = 0; i < COPIES; i++) {
		copies[i] = lab_run(NULL, false);
		lab_process("copies", copies[i].pid);
	}
	lab_process("one", copies[0].pid);
}

static void read_all(void)
{
	long *maps[] = { s, v, z, m };
	for (int i = 0; i < 4; i++)
		(void)*(volatile long *)maps[i];
}

/* What the child does. */
static void turn(int n)
{
	switch (n) {
	case 0:
		read_all();
		return;
	case 1:
		*s = 1;
		return;
	case 2:
		*v = 2;
		return;
	case 3:
		*z = 3;
		return;
	}
}

static void *map(int flags, int fd)
{
	return mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static void map_four(int file, int memory)
{
	ftruncate(file, (off_t)(PAGES * page));
	ftruncate(memory, (off_t)(PAGES * page));
	s = map(MAP_SHARED, file);
	v = map(MAP_PRIVATE, file);
	z = map(MAP_SHARED | MAP_ANONYMOUS, -1);
	m = map(MAP_SHARED, memory);
	lab_addr("s", s);
	lab_addr("v", v);
	lab_addr("z", z);
	lab_addr("m", m);
}

static void copies_of_a_program(void)
{
	struct lab_child copies[COPIES];

	lab_step("copies", "starts this program ten times");
	start(copies);

	lab_step("table",
		 "each copy, and this one, reads a table of 256 KiB in the program");
	read_table(0);
	for (int i = 0; i < COPIES; i++)
		lab_call(&copies[i], 0);

	lab_step("leave", "all copies but one end");
	for (int i = 1; i < COPIES; i++)
		lab_join(&copies[i]);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		lab_serve(argv[1], read_table);
	lab_start();
	page = (size_t)sysconf(_SC_PAGESIZE);
	lab_value("n", COPIES);
	lab_addr("table", (void *)(((uintptr_t)table + page) & -page));
	lab_value("len", (long long)(PAGES * page));

	copies_of_a_program();

	lab_step("map", "s, v: the same file, MAP_SHARED and MAP_PRIVATE; "
			"z: anonymous, MAP_SHARED; m: a memfd, MAP_SHARED");
	int memory = memfd_create("lab", MFD_CLOEXEC);
	map_four(lab_file(), memory);

	lab_step("read", "fork; parent and child read the first word of all four");
	struct lab_child child = lab_fork("child", turn);
	read_all();
	lab_turn(&child, 0);

	lab_step("write-shared", "child: *s = 1;");
	lab_turn(&child, 1);

	lab_step("write-private", "child: *v = 2;");
	lab_turn(&child, 2);

	lab_step("write-anonymous", "child: *z = 3;");
	lab_turn(&child, 3);

	lab_step("write-memfd", "write(memfd, &four, 8);   no mapping is used");
	long four = 4;
	lab_value("written", pwrite(memory, &four, sizeof(four), 0));

	lab_end();
	return 0;
}
