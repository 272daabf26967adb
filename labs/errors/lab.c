// SPDX-License-Identifier: MIT
/*
 * The common errors with memory, each really made: in this process where nothing bad
 * comes of it at once, else in a child. The last step goes on with those of C++ (new.cc).
 *
 * Compilers see many of these errors and warn. Pointers are volatile so that they do not,
 * and so that they leave the errors in.
 */
#include "crash.h"
#include <malloc.h>

enum { LOST = 100, LOST_SIZE = 1000, LARGE = 1 << 20, OTHER = 7 };

typedef char *volatile blind; /* a pointer whose value no compiler knows */

/* What a function leaves on the stack, the next one finds in its own variables. */
enum { WORDS = 64 };
static void leave(uintptr_t word)
{
	volatile uintptr_t words[WORDS];
	for (int i = 0; i < WORDS; i++)
		words[i] = word;
	(void)words[0];
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
static int forgotten(void)
{
	char *volatile p[WORDS]; /* and nothing is allocated */
	lab_addr("wild", p[WORDS / 2]);
	*p[WORDS / 2] = 'x';
	return 0;
}
#pragma GCC diagnostic pop

static char other = OTHER;

static int forget(void *word)
{
	leave(*(uintptr_t *)word);
	forgotten();
	return other;
}

/* Two blocks, one behind the other. */
static blind first, second;

static int fill(void *bytes)
{
	memset(first, 'x', *(size_t *)bytes);
	return 0;
}

static int fill_and_free(void *bytes)
{
	fill(bytes);
	free(second);
	return 0;
}

static int read_at(void *p)
{
	return *(volatile char *)p;
}

static int free_twice(void *arg)
{
	blind p = arg;
	free(p);
	free(p);
	return 0;
}

/* The block has a new owner when it is freed again, and then two. */
static int free_twice_late(void *arg)
{
	blind p = arg, b, c;
	free(p);
	b = malloc(100);
	free(p);
	c = malloc(100);
	return b == c;
}

static int free_inside(void *p)
{
	blind inside = (char *)p + 8;
	free(inside);
	return 0;
}

static void wild(void)
{
	uintptr_t number = OTHER, address = (uintptr_t)&other;
	lab_value("number", OTHER);
	lab_addr("other", &other);
	lab_value("x", 'x');
	crash_step("forgotten",
		   "in a child: char *p; *p = 'x';   the stack held the number 7", forget,
		   &number);
	crash_step("lucky",
		   "in a child: the same; the stack held the address of a variable",
		   forget, &address);
}

static void too_long(void)
{
	static size_t more = 24, too_many = 32;
	first = malloc(20);
	second = malloc(24);
	lab_addr("a", first);
	lab_addr("b", second);
	lab_value("usable", (long long)malloc_usable_size(first));
	crash_step("slack",
		   "a = malloc(20); b = malloc(24); in a child: memset(a, 'x', 24);",
		   fill, &more);
	crash_step("overflow", "in a child: memset(a, 'x', 32);", fill, &too_many);
	crash_step("notice", "in a child: memset(a, 'x', 32); free(b);", fill_and_free,
		   &too_many);
}

/* Returns a block full of 'A'. */
static char *unset(void)
{
	blind p, q;
	lab_value("left", 'A');
	lab_step("fresh", "p = malloc(100); x = p[50];");
	p = malloc(100);
	lab_addr("p", p);
	lab_value("read", p[50]);

	lab_step("reused", "memset(p, 'A', 100); free(p); q = malloc(100); x = q[50];");
	memset(p, 'A', 100);
	free(p);
	q = malloc(100);
	lab_addr("q", q);
	lab_value("read", q[50]);
	return q;
}

static void lose(void)
{
	blind lost;
	lab_value("lost", LOST);
	lab_value("lost_size", LOST_SIZE);
	lab_step("leak", "for (i = 0; i < 100; i++) p = malloc(1000);   p = NULL;");
	for (int i = 0; i < LOST; i++)
		lost = malloc(LOST_SIZE);
	lab_value("usable", (long long)malloc_usable_size(lost));
	lost = NULL;
}

static void dangle(char *block)
{
	blind p = block, q, large;
	lab_value("owner", 'B');
	lab_step("dangling", "p = q; free(p); x = p[50];");
	free(p);
	lab_value("read", p[50]);

	lab_step("taken", "q = malloc(100); q[50] = 'B'; x = p[50];");
	q = malloc(100);
	q[50] = 'B';
	lab_addr("q", q);
	lab_value("read", p[50]);

	large = malloc(LARGE);
	lab_addr("large", large);
	lab_step("unmapped", "free(large); in a child: x = large[0];");
	free(large);
	struct crash crash = crash_run(read_at, large);
	crash_tell(&crash);
}

static void free_wrongly(void)
{
	blind p = calloc(1, 100);
	lab_addr("p", p);
	crash_step("twice", "p = calloc(1, 100); in a child: free(p); free(p);",
		   free_twice, p);
	crash_step("late",
		   "in a child: free(p); b = malloc(100); free(p); c = malloc(100);",
		   free_twice_late, p);
	crash_step("inside", "in a child: free(p + 8);", free_inside, p);
}

/* The program of C++ lies beside this one, if there was a compiler for it. */
static void go_on_in_cxx(const char *self)
{
	static const char *const steps[] = { "mismatch", "cookie",    "throw",
					     "nothrow",  "placement", "placed" };
	char path[4096];
	snprintf(path, sizeof(path), "%s-new", self);
	lab_value("cxx", access(path, X_OK) == 0);
	lab_step("cxx", "execl(\"errors-new\", …);   the same in C++");
	execl(path, path, self, (char *)NULL);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		lab_step(steps[i], "nothing: there was no C++ compiler");
}

int main(int argc, char **argv)
{
	char *block;
	(void)argc;
	lab_start();
#ifdef __GLIBC__
	lab_value("glibc", 1);
#else
	lab_value("glibc", 0);
#endif
	wild();
	block = unset();
	too_long();
	lose();
	dangle(block);
	free_wrongly();
	go_on_in_cxx(argv[0]);
	lab_end();
	return 0;
}
