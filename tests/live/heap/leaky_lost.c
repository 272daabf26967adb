// SPDX-License-Identifier: MIT
// Kinds that are leaked: nothing the program may still use leads to them.

#include "leaky.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void lost(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		object();
}

static void cycles(void)
{
	for (int i = 0; i < N_OBJECTS / 2; i++) {
		void **one = object(), **two = object();

		one[1] = two;
		two[1] = one;
	}
}

static void ring(void)
{
	void **first = object(), **last = first;

	for (int i = 1; i < N_OBJECTS; i++) {
		void **next = object();

		last[2] = next;
		last = next;
	}
	last[2] = first;
}

static void list(void)
{
	object_list();
}

// A binary tree, as an array would number it; its root is lost.
static void tree(void)
{
	void **nodes[N_OBJECTS];

	for (int i = 0; i < N_OBJECTS; i++) {
		nodes[i] = object();
		if (i)
			nodes[(i - 1) / 2][i % 2] = nodes[i];
	}
	memset(nodes, 0, sizeof(nodes));
	__asm__ volatile("" : : "r"(nodes) : "memory");
}

// Only a block points to it that leads to itself.
static void selfish(void)
{
	for (int i = 0; i < N_OBJECTS; i++) {
		void **block = object();

		block[0] = block;
		block[1] = block + 3;
		block[4] = (char *)block + object_size();
	}
}

// Pointers in a block that was freed: they stay readable there.
static void in_freed(void)
{
	void **table = malloc(N_OBJECTS * sizeof(void *) + 512);

	must(table != NULL, "malloc");
	for (int i = 0; i < N_OBJECTS; i++)
		table[64 + i] = object();
	free(table);
}

// As in_freed, but small enough that a cache keeps it.
static void in_cached(void)
{
	void **holders[N_OBJECTS / 50];

	for (int h = 0; h < N_OBJECTS / 50; h++) {
		holders[h] = malloc(1000);
		must(holders[h] != NULL, "malloc");
		for (int i = 0; i < 50; i++)
			holders[h][10 + i] = object();
	}
	for (int h = 0; h < N_OBJECTS / 50; h++)
		free(holders[h]);
	memset(holders, 0, sizeof(holders));
	__asm__ volatile("" : : "r"(holders) : "memory");
}

// Held by a leaked block with a mapping of its own.
static void in_leaked_mapped(void)
{
	void **table = malloc(1 << 20);

	must(table != NULL, "malloc");
	for (int i = 0; i < N_OBJECTS; i++)
		table[1000 + i] = object();
}

static void *fill_stack(void *arg)
{
	void *volatile frame[N_OBJECTS];

	for (int i = 0; i < N_OBJECTS; i++)
		frame[i] = object();
	__asm__ volatile("" : : "r"(frame) : "memory");
	return arg;
}

// libc keeps the stack for the next thread, with all that was on it.
static void dead_stack(void)
{
	run_thread(fill_stack);
}

static __thread void *volatile dead_table[N_OBJECTS];

static void *fill_tls(void *arg)
{
	for (int i = 0; i < N_OBJECTS; i++)
		dead_table[i] = object();
	return arg;
}

static void dead_tls(void)
{
	run_thread(fill_tls);
}

static void unmapped(void)
{
	void *volatile *table = map_pages(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	for (int i = 0; i < N_OBJECTS; i++)
		table[i] = object();
	munmap((void *)table, 4096);
}

// Allocated by a thread that is gone; nothing was kept.
static void *lose(void *arg)
{
	lost();
	return arg;
}

static void dead_arena(void)
{
	run_thread(lose);
}

const struct kind kinds_lost[] = {
	{ "lost", LEAKED, lost },
	{ "cycles", LEAKED, cycles },
	{ "ring", LEAKED, ring },
	{ "list", LEAKED, list },
	{ "tree", LEAKED, tree },
	{ "selfish", LEAKED, selfish },
	{ "in-freed", LEAKED, in_freed },
	{ "in-cached", LEAKED, in_cached },
	{ "in-leaked-mapped", LEAKED, in_leaked_mapped },
	{ "dead-stack", LEAKED, dead_stack },
	{ "dead-tls", LEAKED, dead_tls },
	{ "unmapped", LEAKED, unmapped },
	{ "dead-arena", LEAKED, dead_arena },
	{ NULL, LEAKED, NULL },
};
