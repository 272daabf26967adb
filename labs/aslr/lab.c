// SPDX-License-Identifier: MIT
/*
 * The same program again and again, each time asked where its parts are. How far they
 * move, and which bits of their addresses change, is what address space layout
 * randomisation is worth.
 */
#include "spawn.h"
#include <link.h>
#include <sys/auxv.h>

enum { RUNS = 256, SHOWN = 4, ADDRESS_BITS = 48 };
enum part { MAPPING, CODE, STACK, HEAP, VDSO, PARTS };

static const char *const names[PARTS] = { "mapping", "code", "stack", "heap", "vdso" };

static uintptr_t seen[PARTS][RUNS], seen_fixed[PARTS][RUNS], seen_off[PARTS][RUNS];

extern char end[]; /* of the program's data: the linker's name for it */

/* In the program that is run: where something of it is. */
static long long where(int part)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	switch (part) {
	case MAPPING:
		return (intptr_t)mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
				      -1, 0);
	case CODE:
		return (intptr_t)where;
	case STACK:
		return (intptr_t)__builtin_frame_address(0);
	case HEAP: /* how far above the program it begins */
		return ((intptr_t)sbrk(0) - (intptr_t)end) & -(intptr_t)page;
	default:
		return (intptr_t)getauxval(AT_SYSINFO_EHDR);
	}
}

static void run_many(uintptr_t into[PARTS][RUNS], const char *file, bool fixed)
{
	for (int run = 0; run < RUNS; run++) {
		struct lab_child child = lab_run(file, fixed);
		for (int part = 0; part < PARTS; part++)
			into[part][run] = (uintptr_t)lab_call(&child, part);
		lab_join(&child);
	}
}

/* The bits that were not the same in all runs. */
static uintptr_t varied(const uintptr_t *at)
{
	uintptr_t bits = 0;
	for (int run = 1; run < RUNS; run++)
		bits |= at[run] ^ at[0];
	return bits;
}

/* From the lowest of them, how many bits hold the distance of the outermost places. */
static int entropy(const uintptr_t *at)
{
	uintptr_t low = at[0], high = at[0], unit = varied(at) & -varied(at);
	int n = 0;
	for (int run = 1; run < RUNS; run++) {
		low = at[run] < low ? at[run] : low;
		high = at[run] > high ? at[run] : high;
	}
	for (uintptr_t steps = unit ? (high - low) / unit : 0; steps; steps >>= 1)
		n++;
	return n;
}

/* "......####....": each bit of an address, the highest first. */
static void draw(const char *name, const uintptr_t *at)
{
	char bits[ADDRESS_BITS + 1] = "";
	for (int i = 0; i < ADDRESS_BITS; i++)
		bits[i] = varied(at) >> (ADDRESS_BITS - 1 - i) & 1 ? '#' : '.';
	lab_say("%-8s %d %s 0", name, ADDRESS_BITS - 1, bits);
}

static void tell(enum part part)
{
	char name[32];
	const uintptr_t *at = seen[part];
	snprintf(name, sizeof(name), "%s_bits", names[part]);
	lab_value(name, entropy(at));
	snprintf(name, sizeof(name), "%s_low", names[part]);
	lab_value(name, varied(at) ? __builtin_ctzll(varied(at)) : 0);
	draw(names[part], at);
}

/* What the program's file asks for: it is only moved by whole multiples of that. */
static long long alignment(void)
{
	const ElfW(Phdr) *header = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	size_t most = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < getauxval(AT_PHNUM); i++)
		if (header[i].p_type == PT_LOAD && header[i].p_align > most)
			most = header[i].p_align;
	return (long long)most;
}

static void show_some(void)
{
	lab_say("%-8s %16s %16s %16s", "run", "code", "mapping", "stack");
	for (int run = 0; run < SHOWN; run++)
		lab_say("%-8d %16lx %16lx %16lx", run + 1, seen[CODE][run],
			seen[MAPPING][run], seen[STACK][run]);
}

/* Whether a program was built that lies beside this one. */
static bool has(const char *file)
{
	char path[4096];
	lab_beside(file, path, sizeof(path));
	return access(path, X_OK) == 0;
}

static long long largest(const uintptr_t *at)
{
	uintptr_t ret = 0;
	for (int run = 0; run < RUNS; run++)
		ret = at[run] > ret ? at[run] : ret;
	return (long long)ret;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		lab_serve(argv[1], where);
	lab_start();
#ifdef __x86_64__
	lab_value("x86_64", 1);
#else
	lab_value("x86_64", 0);
#endif
	lab_value("runs", RUNS);
	lab_value("align", alignment());
	lab_value("can_fix", lab_may_fix());
	lab_value("has_fixed", has("aslr-fixed"));

	lab_step("runs", "run this program 256 times, and look at the first 4");
	run_many(seen, "aslr", false);
	show_some();
	lab_value("same", seen[STACK][0] == seen[STACK][1]);
	lab_value("farthest", largest(seen[HEAP]));
	lab_value("above", seen[VDSO][0] > seen[STACK][0]);

	lab_step("mapping", "in the 256 runs: m = mmap(NULL, a page, …);");
	tell(MAPPING);

	lab_step("code", "in the same runs: the address of a function");
	tell(CODE);

	lab_step("stack",
		 "in the same runs: where the frame of a function is, on the stack");
	tell(STACK);

	lab_step("heap",
		 "in the same runs: sbrk(0), counted from the end of the program");
	tell(HEAP);

	lab_step("vdso", "in the same runs: getauxval(AT_SYSINFO_EHDR)");
	tell(VDSO);
	for (int part = 0; part < PARTS; part++)
		lab_row(names[part], entropy(seen[part]), "bits");

	lab_step("fixed",
		 "256 runs of a program that is linked at a fixed address (-no-pie)");
	if (has("aslr-fixed"))
		run_many(seen_fixed, "aslr-fixed", false);
	for (int part = 0; part < PARTS; part++)
		draw(names[part], seen_fixed[part]);
	lab_value("fixed_code_bits", entropy(seen_fixed[CODE]));
	lab_value("fixed_stack_bits", entropy(seen_fixed[STACK]));
	lab_value("fixed_heap_bits", entropy(seen_fixed[HEAP]));

	lab_step("off",
		 "256 runs after personality(ADDR_NO_RANDOMIZE), as setarch -R does");
	run_many(seen_off, "aslr", true);
	uintptr_t any = 0;
	int places = 0;
	for (int part = 0; part < PARTS; part++) {
		any |= varied(seen_off[part]);
		places += varied(seen_off[part]) != 0;
	}
	lab_value("any", (long long)any);
	lab_value("places", places);

	lab_end();
	return 0;
}
