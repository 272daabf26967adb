// SPDX-License-Identifier: MIT
// keeper: a small heap with one of everything, to be recorded: freed memory that little
// holds, arenas of threads, caches, a block with its own mapping, a few lost blocks. It
// prints "ready" and waits for the end of stdin.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_THREADS = 3, N_BLOCKS = 500, N_LOST = 12, EVERY = 25, MAPPED = 512 << 10 };

struct record {
	struct record *next;
	char text[88];
};

static struct record *kept[N_THREADS + 1];
static char *volatile mapped;
static pthread_barrier_t filled;

// Every 25th of many blocks stays: freed memory lies around it on every page.
static void fill(size_t who)
{
	static struct record *blocks[N_THREADS + 1][N_BLOCKS];

	for (size_t i = 0; i < N_BLOCKS; i++) {
		blocks[who][i] = malloc(sizeof(struct record) + i % 4 * 16);
		if (!blocks[who][i])
			abort();
		snprintf(blocks[who][i]->text, sizeof(kept[0]->text),
			 "record %zu of keeper %zu", i, who);
	}
	for (size_t i = 0; i < N_BLOCKS; i++) {
		if (i % EVERY) {
			free(blocks[who][i]);
		} else {
			blocks[who][i]->next = kept[who];
			kept[who] = blocks[who][i];
		}
		blocks[who][i] = NULL;
	}
}

static void *work(void *who)
{
	fill((size_t)who);
	pthread_barrier_wait(&filled);
	for (;;)
		pause();
	return NULL;
}

// Nothing keeps their addresses; what a register or an old stack frame still has of
// them is overwritten by what is called later.
__attribute__((noinline)) static void lose(void)
{
	for (size_t i = 0; i < N_LOST; i++) {
		char *volatile lost = malloc(200);

		if (!lost)
			abort();
		snprintf(lost, 200, "lost by keeper");
		lost = NULL;
	}
}

__attribute__((noinline)) static void overwrite(void)
{
	char volatile room[8192];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
}

int main(void)
{
	pthread_t thread;
	char line[16];

	pthread_barrier_init(&filled, NULL, N_THREADS + 1);
	lose();
	overwrite();
	fill(0);
	mapped = malloc(MAPPED);
	if (!mapped)
		return 1;
	memset((void *)mapped, 'm', 8192);
	for (size_t i = 0; i < N_THREADS; i++)
		if (pthread_create(&thread, NULL, work, (void *)(i + 1)))
			return 1;
	pthread_barrier_wait(&filled);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	while (read(STDIN_FILENO, line, sizeof(line)) > 0)
		;
	return 0;
}
