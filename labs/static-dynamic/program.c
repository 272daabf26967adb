// SPDX-License-Identifier: MIT
/*
 * A program that does what programs do: it prints into a buffer, sorts, allocates. It is
 * linked in three ways (the file `build`), then looked at while it waits.
 */
#include "spawn.h"

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 0: where its own code is. 1: where that of malloc() is. */
static long long turn(int n)
{
	return n ? (intptr_t)malloc : (intptr_t)turn;
}

int main(int argc, char **argv)
{
	const char *names[] = { "shared", "private", "anonymous", "file" };
	char *line = malloc(100);

	qsort(names, 4, sizeof(names[0]), compare);
	snprintf(line, 100, "%s %.2f", names[0], (double)argc / 3);
	if (argc > 1)
		lab_serve(argv[1], turn);
	puts(line);
	return 0;
}
