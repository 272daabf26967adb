// SPDX-License-Identifier: MIT
// What being looked at costs the one looked at: 2 GiB resident, and for each line
// "MILLISECONDS" on stdin a run of mmap + munmap, one each half millisecond, whose
// percentiles are printed in nanoseconds: "p50 p99 max n".

#include "target.h"

#include <stdint.h>
#include <time.h>

enum { MAX = 1 << 20, LEN = 64 * 1024, PAUSE_NS = 500 * 1000 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

// Times one pair. The page is touched, so that there is something to unmap.
static uint64_t one_pair(void)
{
	uint64_t start = now_ns();
	volatile char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bench_must(p != MAP_FAILED, "mmap");
	p[0] = 1;
	munmap((void *)p, LEN);
	return now_ns() - start;
}

static void measure(uint64_t *took, unsigned long ms)
{
	static const struct timespec rest = { .tv_nsec = PAUSE_NS };
	uint64_t end = now_ns() + (uint64_t)ms * 1000000;
	size_t n = 0;

	while (now_ns() < end && n < MAX) {
		took[n++] = one_pair();
		nanosleep(&rest, NULL);
	}
	qsort(took, n, sizeof(*took), compare);
	printf("%ju %ju %ju %zu\n", (uintmax_t)took[n / 2], (uintmax_t)took[n * 99 / 100],
	       (uintmax_t)took[n - 1], n);
	fflush(stdout);
}

int main(void)
{
	uint64_t *took = calloc(MAX, sizeof(*took));
	char line[64];

	bench_must(took != NULL, "calloc");
	bench_touched((size_t)2 << 30);
	bench_ready();
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long ms = strtoul(line, NULL, 10);

		if (ms)
			measure(took, ms);
	}
	free(took);
	return 0;
}
