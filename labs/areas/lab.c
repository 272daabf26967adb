// SPDX-License-Identifier: MIT
/*
 * A program with 32 KiB in each of its areas, and the same program six times more, each
 * time with another area made larger by 32 KiB. What does it change in the file, in the
 * address space, in memory? The program itself is program.c; where it may be, address
 * space randomisation is off, so that it looks the same each time.
 */
#include "spawn.h"
#include <sys/stat.h>

/* program.c answers them in this order. */
static const char *const areas[] = { "text", "rodata", "data", "bss", "heap", "stack" };
enum { AREAS = 6, WRITE = AREAS, MORE = 32 << 10 };

static long long file_size(const char *file)
{
	char path[4096];
	struct stat about;
	lab_beside(file, path, sizeof(path));
	return stat(path, &about) ? 0 : (long long)about.st_size;
}

/* base_text, base_rodata, … */
static void tell_base(const struct lab_child *base)
{
	for (int i = 0; i < AREAS; i++) {
		char name[32];
		snprintf(name, sizeof(name), "base_%s", areas[i]);
		lab_addr(name, lab_call_addr(base, i));
	}
	lab_value("base_file", file_size("areas-base"));
}

/* Starts the one whose i-th area is larger. */
static struct lab_child larger(int i)
{
	char file[32], name[32], does[64];
	snprintf(file, sizeof(file), "areas-%s", areas[i]);
	snprintf(does, sizeof(does), "start the program with 32 KiB more of %s",
		 areas[i]);
	lab_step(areas[i], does);
	struct lab_child child = lab_run(file, lab_may_fix());
	lab_process(areas[i], child.pid);
	snprintf(name, sizeof(name), "at_%s", areas[i]);
	lab_addr(name, lab_call_addr(&child, i));
	lab_value("file", file_size(file));
	return child;
}

int main(void)
{
	struct lab_child child[AREAS];

	lab_start();
	lab_value("small", MORE);
	lab_value("more", MORE);

	lab_step("base",
		 "start a program with 32 KiB of each: code, constants, data, bss, heap, "
		 "stack");
	struct lab_child base = lab_run("areas-base", lab_may_fix());
	lab_process("base", base.pid);
	tell_base(&base);

	for (int i = 0; i < AREAS; i++) {
		child[i] = larger(i);
		if (strcmp(areas[i], "bss") == 0) {
			lab_step("write", "memset(bss, 1, 64 KiB);   in the last one");
			lab_call(&child[i], WRITE);
		}
	}

	lab_end();
	return 0;
}
