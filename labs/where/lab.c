// SPDX-License-Identifier: MIT
/*
 * Where things live: one of everything that a C program has, and the address of each.
 * Then a counter that ticks, alone and in copies of this program side by side.
 * MEMWHY_LAB_COPIES says how many; `memwhy lab where --copies N` sets it.
 */
#include "spawn.h"
#include <sys/auxv.h>
#include <time.h>

enum { TICKS = 5, MOST_COPIES = 100, SHOWN = 4, START = 100 };

static const int months[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
static long primes[1024] = { 2, 3, 5, 7, 11, 13, 17, 19 };
static char table[64 << 10];
static long counter;

static int twice(int n)
{
	return 2 * n;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void tick(void)
{
	double start = seconds();
	for (int i = 1; i <= TICKS; i++) {
		usleep(100000);
		counter++;
		lab_say("pid %d  iteration %d  %.1f s  %p  %ld", (int)getpid(), i,
			seconds() - start, (void *)&counter, counter);
	}
}

/* What a copy does: its n-th call is its n-th tick. */
static long long tick_once(int n)
{
	if (n == 0)
		return (intptr_t)&counter;
	counter = n < 0 ? -n * START : counter + 1;
	return counter;
}

/* A row of the table: a word, and what every copy answers; as many as a line holds. */
static void row(const struct lab_child *copies, int n, int call, const char *format,
		const char *word)
{
	char line[512], cell[32];
	int len = snprintf(line, sizeof(line), "%-20s", word);
	for (int i = 0; i < n; i++) {
		snprintf(cell, sizeof(cell), format, lab_call(&copies[i], call));
		if (i < SHOWN)
			len += snprintf(line + len, sizeof(line) - (size_t)len, "%16s",
					cell);
	}
	lab_say("%s", line);
}

static void start_copies(struct lab_child *copies, int n)
{
	char name[32], line[512];
	snprintf(name, sizeof(name), n > SHOWN ? "copy, %d of %d" : "copy", SHOWN, n);
	int len = snprintf(line, sizeof(line), "%-20s", name);
	for (int i = 0; i < n; i++) {
		copies[i] = lab_run(NULL, false);
		snprintf(name, sizeof(name), "copy%d", i + 1);
		lab_process(name, copies[i].pid);
		snprintf(name, sizeof(name), "at%d", i + 1);
		lab_addr(name, lab_call_addr(&copies[i], 0));
		lab_call(&copies[i], -(i + 1));
		snprintf(name, sizeof(name), "pid %d", (int)copies[i].pid);
		if (i < SHOWN)
			len += snprintf(line + len, sizeof(line) - (size_t)len, "%16s",
					name);
	}
	lab_say("%s", line);
	row(copies, n, 0, "%#llx", "address");
}

static void tick_side_by_side(struct lab_child *copies, int n)
{
	char word[32];
	double start = seconds();
	start_copies(copies, n);
	for (int i = 1; i <= TICKS; i++) {
		usleep(100000);
		snprintf(word, sizeof(word), "iteration %d  %.1f s", i,
			 seconds() - start);
		row(copies, n, i, "%lld", word);
	}
}

struct place {
	const char *name;
	uintptr_t addr;
};

static int lower(const void *a, const void *b)
{
	uintptr_t x = ((const struct place *)a)->addr,
		  y = ((const struct place *)b)->addr;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* A map of what has been seen, the highest address first, as memory is often drawn. */
static void say_in_order(struct place *places, size_t n)
{
	qsort(places, n, sizeof(places[0]), lower);
	for (size_t i = 0; i < n; i++)
		lab_say("%-12s %#14lx", places[i].name, (unsigned long)places[i].addr);
}

static int copies_wanted(void)
{
	const char *wanted = getenv("MEMWHY_LAB_COPIES");
	long n = wanted ? strtol(wanted, NULL, 10) : 3;
	return n < 2 ? 2 : n > MOST_COPIES ? MOST_COPIES : (int)n;
}

int main(int argc, char **argv)
{
	struct lab_child copies[MOST_COPIES];
	char local[16 << 10];
	int n = copies_wanted();
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);

	if (argc > 1)
		lab_serve(argv[1], tick_once);
	lab_start();
	lab_value("dynamic", getauxval(AT_BASE) != 0);
	lab_value("has_vdso", vdso != 0);
	lab_value("ticks", TICKS);
	lab_value("copies", n);

	lab_step("code", "int twice(int n) { return 2 * n; }");
	lab_addr("code", (const void *)(intptr_t)twice);
	lab_value("four", twice(2));

	lab_step("rodata", "static const int months[12] = { 31, 28, 31, …");
	lab_addr("rodata", months);
	lab_value("february", months[1]);

	lab_step("data", "static long primes[1024] = { 2, 3, 5, …");
	lab_addr("data", primes);
	lab_value("third", primes[2]);

	lab_step("bss", "static char table[64 << 10];");
	lab_addr("bss", table + sizeof(table) / 2);

	lab_step("heap", "char *p = malloc(100);");
	char *heap = malloc(100);
	lab_addr("heap", heap);

	lab_step("stack", "char local[16 << 10];   in main()");
	local[0] = 1;
	lab_addr("stack", local);

	lab_step("environment", "argv[0]   a string that was there before main()");
	lab_addr("environment", argv[0]);

	lab_step("mapping", "m = mmap(NULL, 1 MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | "
			    "MAP_ANONYMOUS, -1, 0);");
	char *mapping = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	lab_addr("mapping", mapping);

	lab_step("library", "malloc   the function itself");
	lab_addr("library", (const void *)(intptr_t)malloc);

	lab_step("vdso", "clock_gettime()   what it runs, without entering the kernel");
	lab_addr("vdso", (const void *)vdso);

	lab_step("order", "nothing; but sort them by address");
	struct place places[] = {
		{ "code", (uintptr_t)twice },          { "rodata", (uintptr_t)months },
		{ "data", (uintptr_t)primes },         { "bss", (uintptr_t)table },
		{ "heap", (uintptr_t)heap },           { "stack", (uintptr_t)local },
		{ "environment", (uintptr_t)argv[0] }, { "mapping", (uintptr_t)mapping },
		{ "library", (uintptr_t)malloc },      { "vdso", vdso },
	};
	say_in_order(places, sizeof(places) / sizeof(places[0]));

	counter = 0; /* from here on its page is there */
	lab_addr("counter", &counter);
	lab_step("tick", "for (i = 1; i <= 5; i++) counter++;   ten times a second");
	tick();

	lab_step("copies", "this program, several times at once, from 100, 200, … on");
	tick_side_by_side(copies, n);

	lab_end();
	return 0;
}
