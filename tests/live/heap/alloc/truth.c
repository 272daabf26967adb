// SPDX-License-Identifier: MIT
/*
 * Allocates in stages, under whatever malloc it was linked with or was preloaded, and
 * says after each what it holds: blocks, and their usable bytes. It waits for a line
 * before the next. With the argument `lose` it forgets some of its blocks then, and says
 * how many. Everything it needs besides (threads, standard streams) exists
 * before the first stage, so what a stage adds is what it says.
 *
 * Where the allocator has figures of its own it prints them too: they come from mallctl
 * (jemalloc) and MallocExtension (tcmalloc), found at run time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, MANY = 20000, EACH = 3000, LARGE = 40 };

struct worker {
	pthread_t thread;
	void *blocks[EACH];
	int stage;
};

static struct worker workers[THREADS];
static void *many[MANY], *large[LARGE];
static pthread_barrier_t go, done;
static unsigned seed = 1;

static unsigned roll(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static void *fill(size_t len)
{
	void *block = malloc(len);
	if (!block)
		_exit(1);
	return memset(block, 0x5a, len);
}

static void drop(void **block)
{
	free(*block);
	*block = NULL;
}

/* A stage in a thread: allocates; frees half of it; allocates again. */
static void work(struct worker *worker, unsigned index)
{
	for (int i = 0; i < EACH; i++) {
		if (worker->stage == 1 && i % 2)
			drop(&worker->blocks[i]);
		else if (!worker->blocks[i])
			worker->blocks[i] =
				fill(16 + (unsigned)(i * 7 + 13 * index) % 900);
	}
	worker->stage++;
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	for (;;) {
		pthread_barrier_wait(&go);
		work(worker, (unsigned)(worker - workers));
		pthread_barrier_wait(&done);
	}
	return NULL;
}

/* Main's own blocks, of all sizes; in the second stage it frees some of everybody's. */
static void stage_of_main(int stage)
{
	for (int i = 0; i < MANY; i++) {
		if (stage % 2 == 0 && !many[i])
			many[i] = fill(1 + roll(i % 50 ? 700 : 30000));
		else if (stage % 2 && i % 3)
			drop(&many[i]);
	}
	for (int i = 0; i < LARGE; i++) {
		if (stage % 2 == 0 && !large[i])
			large[i] = fill(100000 + (size_t)i * 51000);
		else if (stage % 2 && i % 2)
			drop(&large[i]);
	}
}

/* Blocks that their own threads allocated, freed by this one. */
static void free_for_others(void)
{
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < EACH; i += 5)
			drop(&workers[t].blocks[i]);
}

static void count(void *block, size_t *n, size_t *bytes)
{
	if (!block)
		return;
	++*n;
	*bytes += malloc_usable_size(block);
}

/* A line to standard output, without buffers of stdio. */
static void say(const char *text)
{
	if (write(STDOUT_FILENO, text, strlen(text)) < 0)
		_exit(1);
}

static void say_number(const char *word, const char *name, size_t value)
{
	char line[160];
	snprintf(line, sizeof(line), "%s %s=%zu\n", word, name, value);
	say(line);
}

/* Forgets blocks: they leak. */
static void lose(void)
{
	size_t n = 0, bytes = 0;
	for (int i = 0; i < MANY; i += 10) {
		count(many[i], &n, &bytes);
		many[i] = NULL;
	}
	say_number("truth", "lost", n);
	say_number("truth", "lost_bytes", bytes);
}

typedef int mallctl_fn(const char *, void *, size_t *, void *, size_t);
typedef int property_fn(const char *, size_t *);

static mallctl_fn *mallctl_of;
static property_fn *property_of;

static void find_figures(void)
{
#ifdef __GLIBC__
	mallctl_of = (mallctl_fn *)dlsym(RTLD_DEFAULT, "mallctl");
	property_of =
		(property_fn *)dlsym(RTLD_DEFAULT, "MallocExtension_GetNumericProperty");
#endif
}

static void say_figures(void)
{
	size_t epoch = 1, len = sizeof(epoch), value = 0;
	if (mallctl_of) {
		mallctl_of("epoch", NULL, NULL, &epoch, sizeof(epoch));
		mallctl_of("stats.allocated", &value, &len, NULL, 0);
		say_number("own", "allocated", value);
		mallctl_of("stats.arenas.4096.tcache_bytes", &value, &len, NULL, 0);
		say_number("own", "cached", value);
		mallctl_of("stats.arenas.4096.internal", &value, &len, NULL, 0);
		say_number("own", "internal", value);
	}
	if (property_of) {
		property_of("generic.current_allocated_bytes", &value);
		say_number("own", "live", value);
		property_of("tcmalloc.pageheap_free_bytes", &value);
		say_number("own", "pages", value);
	}
}

static void say_truth(void)
{
	size_t n = 0, bytes = 0;
	for (int i = 0; i < MANY; i++)
		count(many[i], &n, &bytes);
	for (int i = 0; i < LARGE; i++)
		count(large[i], &n, &bytes);
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < EACH; i++)
			count(workers[t].blocks[i], &n, &bytes);
	say_number("truth", "blocks", n);
	say_number("truth", "bytes", bytes);
	say_figures();
	say("done\n");
}

int main(int argc, char **argv)
{
	char line[16];
	pthread_barrier_init(&go, NULL, THREADS + 1);
	pthread_barrier_init(&done, NULL, THREADS + 1);
	for (int t = 0; t < THREADS; t++)
		if (pthread_create(&workers[t].thread, NULL, run, &workers[t]))
			return 1;
	find_figures();
	/* Every thread has allocated once: what that sets up is there. */
	for (int t = 0; t < THREADS; t++)
		workers[t].stage = 1;
	pthread_barrier_wait(&go);
	pthread_barrier_wait(&done);
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < EACH; i++)
			drop(&workers[t].blocks[i]);
	say("ready\n");
	for (int stage = 0; read(STDIN_FILENO, line, sizeof(line)) > 0; stage++) {
		for (int t = 0; t < THREADS; t++)
			workers[t].stage = stage % 3;
		pthread_barrier_wait(&go);
		pthread_barrier_wait(&done);
		stage_of_main(stage);
		if (stage)
			free_for_others();
		if (argc > 1 && !strcmp(argv[1], "lose"))
			lose();
		say_truth();
	}
	return 0;
}
