// SPDX-License-Identifier: MIT
/*
 * One program, linked in three ways: with libc as a library that is found when it
 * starts, with libc copied into it, and that once more so that it may lie anywhere. Then
 * ten of each. The program itself is program.c.
 */
#include "spawn.h"

enum { KINDS = 3, COPIES = 10 };

static const struct kind {
	const char *name, *copies, *file;
} kinds[KINDS] = {
	{ "dynamic", "dynamics", "static-dynamic-dynamic" },
	{ "fixed", "fixeds", "static-dynamic-static" },
	{ "pie", "pies", "static-dynamic-static-pie" },
};

/* How many of the three could be built here, and run. */
static int count_kinds(void)
{
	int n = 0;
	for (int i = 0; i < KINDS; i++) {
		struct lab_child child = lab_run(kinds[i].file, false);
		n += child.pid != 0;
		if (child.pid)
			lab_join(&child);
	}
	return n;
}

static void start(const struct kind *kind)
{
	char name[32];
	struct lab_child child = lab_run(kind->file, false);
	if (!child.pid)
		return;
	lab_process(kind->name, child.pid);
	snprintf(name, sizeof(name), "%s_code", kind->name);
	lab_addr(name, lab_call_addr(&child, 0));
	snprintf(name, sizeof(name), "%s_malloc", kind->name);
	lab_addr(name, lab_call_addr(&child, 1));
}

static void start_many(const struct kind *kind)
{
	for (int i = 0; i < COPIES; i++) {
		struct lab_child child = lab_run(kind->file, false);
		if (child.pid)
			lab_process(kind->copies, child.pid);
	}
}

int main(void)
{
	lab_start();
	lab_value("kinds", count_kinds());
	lab_value("copies", COPIES);

	lab_step("dynamic", "cc program.c;   and start it");
	start(&kinds[0]);

	lab_step("static", "cc -static program.c;   and start it");
	start(&kinds[1]);

	lab_step("static-pie", "cc -static-pie program.c;   and start it");
	start(&kinds[2]);

	lab_step("compare", "nothing; but look at what of the three is resident");

	lab_step("ten", "start ten more of each");
	for (int i = 0; i < KINDS; i++)
		start_many(&kinds[i]);

	lab_step("shared", "nothing; but divide what is shared among those who share it");

	lab_end();
	return 0;
}
