// SPDX-License-Identifier: MIT
// A heap of 1 GiB: ten million live blocks of 111 bytes on average with their headers, in
// a list, and one freed beside every sixteenth.

#include "target.h"

enum { N = 10 * 1000 * 1000, MAX_LEN = 190, EACH = 16 };

struct block {
	struct block *next;
};

static struct block *list;

static unsigned next_random(void)
{
	static unsigned state = 2463534242;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

int main(void)
{
	void **loose = (void **)bench_touched((N / EACH + 1) * sizeof(void *));
	size_t n_loose = 0;

	for (size_t i = 0; i < N; i++) {
		size_t len = sizeof(struct block) + next_random() % (MAX_LEN - 8);
		struct block *block = malloc(len);

		bench_must(block != NULL, "malloc");
		memset(block, 1, len);
		block->next = list;
		list = block;
		if (i % EACH == 0)
			loose[n_loose++] = malloc(len);
	}
	while (n_loose)
		free(loose[--n_loose]);
	bench_wait();
	return 0;
}
