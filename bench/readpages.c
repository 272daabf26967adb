// SPDX-License-Identifier: MIT
// The floor under whoever asks for the state of each page: reads maps and the page map
// of all it names, in one thread, and does nothing with them.

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS = 16384, PAGE = 4096, BRIDGE = 32 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_of(const char *pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	return fd;
}

static void read_words(int pagemap, uint64_t start, uint64_t end)
{
	static uint64_t words[WORDS];

	while (start < end) {
		uint64_t n = (end - start) / PAGE < WORDS ? (end - start) / PAGE : WORDS;
		if (pread(pagemap, words, n * 8, (off_t)(start / PAGE * 8)) < 0)
			die("pagemap");
		start += n * PAGE;
	}
}

int main(int argc, char **argv)
{
	char line[8192];
	uint64_t start = 0, end = 0;

	if (argc != 2)
		return 2;
	FILE *maps = fdopen(open_of(argv[1], "maps"), "r");
	int pagemap = open_of(argv[1], "pagemap");
	if (!maps)
		die("maps");
	while (fgets(line, sizeof(line), maps)) {
		char *dash;
		uint64_t from = strtoull(line, &dash, 16);
		uint64_t to = strtoull(dash + 1, NULL, 16);
		if (from >> 63)
			break;
		if (from - end > BRIDGE * PAGE || to - start > (uint64_t)WORDS * PAGE) {
			read_words(pagemap, start, end);
			start = from;
		}
		end = to;
	}
	read_words(pagemap, start, end);
	return 0;
}
