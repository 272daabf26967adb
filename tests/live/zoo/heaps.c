// SPDX-License-Identifier: MIT
// glibc's heaps as malloc(3) hands them out, and the main stack. Chunk layout:
// malloc/malloc.c of glibc 2.36 (the size word lies before the block, low bits flags).

#include "zoo.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { N_SMALL = 2000, SMALL = 1000, DEEP = 256 * ZOO_KIB };

// A block with a mapping of its own: its header is the mapping's first 16 bytes.
static void print_mapped_block(const char *what, char *block)
{
	size_t size;

	memcpy(&size, block - sizeof(size), sizeof(size));
	size &= ~(size_t)7;
	zoo_range("heap.mmap", what, block - 16, size);
}

void zoo_heaps(void)
{
	char *first = NULL, *last = NULL, *block;
	char *neighbours[3];

	// Above M_TRIM_THRESHOLD only the top is given back, and none is freed here.
	for (int i = 0; i < N_SMALL; i++) {
		block = malloc(SMALL);
		if (!block)
			abort();
		memset(block, i & 1, SMALL);
		if (!first)
			first = block;
		last = block;
	}
	zoo_range("heap.brk", "heap-brk", first, (size_t)(last - first));
	zoo_at("heap.brk", "heap-brk-top", (char *)sbrk(0) - 1);

	// Asked one after another these lie side by side, and the kernel merges them.
	for (int i = 0; i < 3; i++) {
		neighbours[i] = malloc(ZOO_MIB + (size_t)i * 64 * ZOO_KIB);
		zoo_must(neighbours[i] != NULL, "malloc");
		zoo_touch(neighbours[i], ZOO_MIB);
	}
	print_mapped_block("heap-mmap-1", neighbours[0]);
	print_mapped_block("heap-mmap-2", neighbours[1]);
	print_mapped_block("heap-mmap-3", neighbours[2]);
}

// Leaves a touched stretch of stack far from both its ends.
static __attribute__((noinline)) void deep_stack(void)
{
	volatile char deep[DEEP];

	for (size_t i = 0; i < sizeof(deep); i += ZOO_PAGE)
		deep[i] = 1;
	zoo_range("stack.main", "main-stack-deep", (const char *)deep + ZOO_PAGE,
		  sizeof(deep) - 2 * ZOO_PAGE);
}

// The strings lie above the pointers; a long environment leaves whole pages of them.
void zoo_stacks(int argc, char **argv)
{
	const char *last = argv[argc - 1];
	const char *name = (const char *)getauxval(AT_EXECFN);

	deep_stack();
	// The frames and the strings above them may meet in one page.
	zoo_at("stack.main|stack.args", "main-stack", __builtin_frame_address(0));
	for (char **env = environ; *env; env++)
		last = *env;
	zoo_range("stack.args", "arguments", argv[0],
		  (size_t)(last + strlen(last) + 1 - argv[0]));
	if (name)
		zoo_range("stack.args", "program-name", name, strlen(name) + 1);
}
