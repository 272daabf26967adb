// SPDX-License-Identifier: MIT
// A heap of 1 GiB: ten million live blocks of 111 bytes on average with their headers,
// and 100,000 more that nothing leads to. Two pointers in each make a tree, in the order
// of allocation; with the argument "random" in none: then each step of a search is a
// miss.

#include "target.h"

#include <stdint.h>
#include <time.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_DO_LEAK_CHECK ((void)0)
#endif

enum { N = 10 * 1000 * 1000, MAX_LEN = 178, EACH = 100 };

struct block {
	struct block *children[2];
};

static struct block *root;

static uint32_t next_random(void)
{
	static uint32_t state = 2463534242;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static struct block *make_block(void)
{
	size_t len = sizeof(struct block) + next_random() % (MAX_LEN - 16);
	struct block *block = malloc(len);

	bench_must(block != NULL, "malloc");
	memset(block, 1, len);
	return block;
}

static void shuffle(struct block **blocks)
{
	for (size_t i = N - 1; i > 0; i--) {
		size_t other = ((uint64_t)next_random() << 32 | next_random()) % (i + 1);
		struct block *swapped = blocks[i];

		blocks[i] = blocks[other];
		blocks[other] = swapped;
	}
}

// Below valgrind: how long its own search for leaks takes, in nanoseconds.
static void time_checker(void)
{
	struct timespec begin, end;

	if (!RUNNING_ON_VALGRIND)
		return;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	VALGRIND_DO_LEAK_CHECK;
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (long long)(end.tv_sec - begin.tv_sec) * 1000000000 +
				 end.tv_nsec - begin.tv_nsec);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct block **blocks = (struct block **)bench_touched(N * sizeof(*blocks));

	for (size_t i = 0; i < N; i++) {
		blocks[i] = make_block();
		if (i % EACH == 0)
			/* cppcheck-suppress leakNoVarFunctionCall */
			memset(make_block(), 1, sizeof(struct block));
	}
	if (argc > 1 && !strcmp(argv[1], "random"))
		shuffle(blocks);
	for (size_t i = 0; i < N; i++)
		for (size_t k = 0; k < 2; k++)
			blocks[i]->children[k] =
				2 * i + 1 + k < N ? blocks[2 * i + 1 + k] : NULL;
	root = blocks[0];
	munmap(blocks, N * sizeof(*blocks));
	time_checker();
	bench_wait();
	return root == NULL;
}
