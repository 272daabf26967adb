// SPDX-License-Identifier: MIT
// The floor under whoever walks a heap from outside: reads all of [heap] through
// /proc/PID/mem, and does nothing with it.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 512 << 10 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void read_all(int mem, uint64_t start, uint64_t end)
{
	static char window[WINDOW];

	while (start < end) {
		size_t len = end - start < WINDOW ? end - start : WINDOW;
		ssize_t got = pread(mem, window, len, (off_t)start);
		if (got <= 0)
			die("mem");
		start += (uint64_t)got;
	}
}

int main(int argc, char **argv)
{
	char line[8192], path[64];

	if (argc != 2)
		return 2;
	snprintf(path, sizeof(path), "/proc/%s/maps", argv[1]);
	FILE *maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%s/mem", argv[1]);
	int mem = open(path, O_RDONLY);
	if (!maps || mem < 0)
		die(path);
	while (fgets(line, sizeof(line), maps)) {
		char *dash;
		uint64_t start = strtoull(line, &dash, 16);
		if (strstr(line, "[heap]"))
			read_all(mem, start, strtoull(dash + 1, NULL, 16));
	}
	return 0;
}
