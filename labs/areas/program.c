// SPDX-License-Identifier: MIT
/*
 * The program that is looked at: something in each area, 32 KiB large. It is built seven
 * times, once like this and then with one area of 64 KiB (the file `build`).
 */
#include "spawn.h"

#define SMALL 32768
#ifndef TEXT
#define TEXT SMALL
#endif
#ifndef RODATA
#define RODATA SMALL
#endif
#ifndef DATA
#define DATA SMALL
#endif
#ifndef BSS
#define BSS SMALL
#endif
#ifndef HEAP
#define HEAP SMALL
#endif
#ifndef STACK
#define STACK SMALL
#endif

#define STRING(x) #x
#define NUMBER(x) STRING(x)

/* A function that is nothing but long. */
static void code(void)
{
	__asm__ volatile(".skip " NUMBER(TEXT));
}

/* Each begins at a page, so that it shares none of its pages with anything else. */
#define ALIGNED __attribute__((aligned(4096)))
static const char rodata[RODATA] ALIGNED = { 1 };
static char data[DATA] ALIGNED = { 1 };
static char bss[BSS] ALIGNED;
static char *heap, *stack;

/* Where its areas are, in the order of lab.c; what comes after them is to be done. */
static long long turn(int n)
{
	const void *areas[] = {
		(const void *)(intptr_t)code, rodata, data, bss, heap, stack
	};
	if (n < (int)(sizeof(areas) / sizeof(areas[0])))
		return (intptr_t)areas[n];
	memset(bss, 1, sizeof(bss));
	return 0;
}

/* Reads a byte of each page, so that what is mapped from the file is there. */
static void read_all(const volatile char *area, size_t len)
{
	for (size_t i = 0; i < len; i += 4096)
		(void)area[i];
	(void)area[len - 1];
}

int main(int argc, char **argv)
{
	char local[STACK];

	read_all((const char *)(intptr_t)code, TEXT);
	read_all(rodata, sizeof(rodata));
	read_all(data, sizeof(data));
	memset(local, 1, sizeof(local));
	stack = local;
	heap = malloc(HEAP);
	if (argc > 1)
		lab_serve(argv[1], turn);
	return 0;
}
