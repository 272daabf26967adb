/* SPDX-License-Identifier: MIT */
/* What the bench targets share: memory in small pages, and waiting to be looked at. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BENCH_PAGE = 4096 };

static inline void bench_must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Anonymous memory in 4 KiB pages whatever the system's policy, every page touched. */
static inline char *bench_touched(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	bench_must(p != MAP_FAILED, "mmap");
	bench_must(madvise(p, len, MADV_NOHUGEPAGE) == 0 || errno == EINVAL, "madvise");
	for (size_t i = 0; i < len; i += BENCH_PAGE)
		p[i] = 1;
	return p;
}

static inline void bench_ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* Until stdin ends. */
static inline void bench_wait(void)
{
	char byte;

	bench_ready();
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
}
