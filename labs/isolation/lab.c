// SPDX-License-Identifier: MIT
/*
 * Three processes of one program, all with the same variable at the same address. Each
 * writes there, and none sees what the others wrote. Then the other way round: one piece
 * of memory that the three know under different addresses.
 */
#include "spawn.h"

enum { PROCESSES = 3, SHARED_FD = 100 };

/* What a process is told. */
enum { VALUE, CODE, WRITE, READ, MAP, ADD = 100 };

static long value = 1;
static long *shared;

/* Maps the file that all three have, each where nobody else has it. */
static long *map_shared(int place)
{
	char *wish = (char *)0x200000000 + ((size_t)place << 30);
	return mmap(wish, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		    MAP_SHARED, SHARED_FD, 0);
}

static long long turn(int n)
{
	switch (n) {
	case VALUE:
		return (intptr_t)&value;
	case CODE:
		return (intptr_t)turn;
	case WRITE:
		return *shared = 7;
	case READ:
		return *shared;
	default:
		if (n >= ADD)
			return value += n - ADD;
		shared = map_shared(n - MAP);
		return (intptr_t)shared;
	}
}

/* A file in memory, without a name. The children have it under the same number. */
static void make_shared(void)
{
	int fd = memfd_create("lab", 0);
	if (fd < 0 || ftruncate(fd, sysconf(_SC_PAGESIZE)) || dup2(fd, SHARED_FD) < 0)
		_exit(1);
}

/* Where it may not be switched off: a program that is not position independent. */
static void start(struct lab_child *process, bool fixed)
{
	static const char *const names[PROCESSES] = { "p1", "p2", "p3" };
	for (int i = 0; i < PROCESSES; i++) {
		process[i] = lab_run(fixed ? NULL : "isolation-non-pie", fixed);
		lab_process(names[i], process[i].pid);
	}
}

/* Asks the i-th for an address, and calls it name1, name2, … */
static void tell(const char *name, const struct lab_child *process, int what, int more)
{
	for (int i = 0; i < PROCESSES; i++) {
		char numbered[16];
		snprintf(numbered, sizeof(numbered), "%s%d", name, i + 1);
		lab_addr(numbered, lab_call_addr(&process[i], what + i * more));
	}
}

int main(int argc, char **argv)
{
	struct lab_child process[PROCESSES];
	bool fixed = lab_may_fix();

	if (argc > 1)
		lab_serve(argv[1], turn);
	lab_start();
	make_shared();

	lab_step("start",
		 fixed ? "three times: personality(ADDR_NO_RANDOMIZE); exec(this);"
		       : "three times: exec(this, linked at a fixed address);");
	start(process, fixed);
	tell("value", process, VALUE, 0);

	lab_step("write",
		 "value += 100; in the first, += 200; in the second, += 300; in the "
		 "third");
	for (int i = 0; i < PROCESSES; i++)
		lab_call(&process[i], ADD + 100 * (i + 1));
	if (lab_to < 0)
		for (int i = 0; i < PROCESSES; i++)
			lab_say("the walk: memwhy page %d %p", (int)process[i].pid,
				lab_call_addr(&process[i], VALUE));

	lab_step("again", "value += 50;   in the second alone");
	lab_call(&process[1], ADD + 50);

	lab_step("code", "nothing; but look at their code");
	tell("code", process, CODE, 0);

	lab_step("share",
		 "s = mmap(another place, …, MAP_SHARED, fd, 0); in each;   *s = 7; in "
		 "the first");
	tell("shared", process, MAP, 1);
	lab_call(&process[0], WRITE);
	lab_call(&process[1], READ);
	lab_value("x", lab_call(&process[2], READ));

	lab_end();
	return 0;
}
