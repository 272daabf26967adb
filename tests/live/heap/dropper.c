// SPDX-License-Identifier: MIT
// Drops and keeps blocks as it is told, a command a line, and says "done":
//
//   drop N SIZE      N blocks that nothing leads to
//   ring N SIZE      one circle of N blocks that nothing leads to
//   list N SIZE      a chain of N blocks, its first one dropped
//   object N SIZE    N blocks that begin with the address of a table of functions
//   keep N SIZE      N blocks in a list that a variable leads to
//   box N SIZE       N blocks known only by values with a tag in their upper bits
//   text HEX         what blocks begin with from now on
//   exit

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
	void *first;
	struct block *next;
};

// What a C++ compiler makes of a class with virtual functions.
static void method(void)
{
}
void *const node_table[] __asm__("_ZTVN3app4NodeE") = { NULL, NULL, (void *)method };

static struct block *kept;
static uint64_t *boxed;
static size_t n_boxed;
static unsigned char text[256];
static size_t text_len;

static struct block *make(size_t size)
{
	struct block *block = malloc(size);

	if (!block)
		abort();
	memset(block, 0, size);
	memcpy(block, text, text_len < size ? text_len : size);
	return block;
}

__attribute__((noinline)) static void drop(size_t n, size_t size)
{
	while (n--)
		/* cppcheck-suppress leakReturnValNotUsed */
		make(size);
}

__attribute__((noinline)) static void chain(size_t n, size_t size, int ring)
{
	struct block *last = NULL, *first = NULL;

	for (; n; n--) {
		struct block *block = make(size);

		block->next = last;
		last = block;
		first = first ? first : block;
	}
	if (ring)
		first->next = last;
}

__attribute__((noinline)) static void object(size_t n, size_t size)
{
	while (n--)
		make(size)->first = (void *)&node_table[2];
}

__attribute__((noinline)) static void keep(size_t n, size_t size)
{
	while (n--) {
		struct block *block = make(size);

		block->next = kept;
		kept = block;
	}
}

__attribute__((noinline)) static void box(size_t n, size_t size)
{
	boxed = realloc(boxed, (n_boxed + n) * sizeof(*boxed));
	if (!boxed)
		abort();
	while (n--)
		boxed[n_boxed++] = (uint64_t)(uintptr_t)make(size) | 0xfff9ull << 48;
}

// So that no pointer stays where the stack was.
__attribute__((noinline)) static void scrub(void)
{
	volatile char dead[16384];

	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

static void set_text(const char *hex)
{
	unsigned byte;

	text_len = 0;
	while (text_len < sizeof(text) && sscanf(hex + 2 * text_len, "%2x", &byte) == 1)
		text[text_len++] = (unsigned char)byte;
}

int main(void)
{
	static char line[1024], word[16], hex[512 + 1];
	size_t n, size;

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "exit", 4)) {
		if (sscanf(line, "text %512s", hex) == 1)
			set_text(hex);
		else if (sscanf(line, "%15s %zu %zu", word, &n, &size) != 3)
			return 1;
		else if (!strcmp(word, "drop"))
			drop(n, size);
		else if (!strcmp(word, "ring") || !strcmp(word, "list"))
			chain(n, size, word[0] == 'r');
		else if (!strcmp(word, "object"))
			object(n, size);
		else if (!strcmp(word, "keep"))
			keep(n, size);
		else if (!strcmp(word, "box"))
			box(n, size);
		scrub();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
