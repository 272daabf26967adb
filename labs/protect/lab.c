// SPDX-License-Identifier: MIT
/*
 * Touches memory in every way that is forbidden, each time in a child process, and tells
 * what the kernel said: the signal, its code, and the address.
 */
#include "crash.h"
#include <stddef.h>
#include <sys/resource.h>
#include <ucontext.h>

static int write_to(void *p)
{
	*(volatile char *)p = 'x';
	return 0;
}

static int read_from(void *p)
{
	return *(volatile char *)p;
}

static int call(void *p)
{
	int (*function)(void) = (int (*)(void))p;
	return function();
}

/* The function whose code is written to, and copied. It needs no other place. */
static int answer(void)
{
	return 42;
}

/* Pages of data, of any size that pages have. */
static char data[1 << 16] __attribute__((aligned(1 << 16)));

struct point {
	int x, y;
};

static int write_member(void *p)
{
	struct point *volatile point = p;
	point->y = 1;
	return 0;
}

enum { FRAME = 1024 };

/* Calls itself without end. `more` keeps the compiler from seeing that. */
static int recurse(void *p)
{
	static volatile int more = 1;
	volatile char frame[FRAME];
	frame[0] = 1;
	return more ? recurse(p) + frame[0] : 0;
}

/* The same on a stack of our own, as a thread has one. */
static void recurse_there(void)
{
	recurse(NULL);
}

static int recurse_on(void *stack)
{
	static ucontext_t here, there;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = 9 * page;
	there.uc_link = &here;
	makecontext(&there, recurse_there, 0);
	return swapcontext(&here, &there);
}

static char *map(size_t len, int rights, int flags, int fd)
{
	char *p = mmap(NULL, len, rights, flags, fd, 0);
	if (p == MAP_FAILED)
		_exit(1);
	return p;
}

/* The main stack may not grow beyond its limit, which we make small. */
static void limit_stack(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_STACK, &limit);
	if (limit.rlim_cur > 1 << 20)
		limit.rlim_cur = 1 << 20;
	setrlimit(RLIMIT_STACK, &limit);
	lab_value("limit", (long long)limit.rlim_cur);
	lab_value("frame", FRAME);
	lab_addr("local", &limit);
}

static void code_and_data(size_t page)
{
	const char *literal = "hello";
	lab_addr("function", answer);
	crash_step("text", "in a child: *(char *)answer = 'x';   answer is a function",
		   write_to, (void *)answer);

	lab_addr("literal", literal);
	crash_step("rodata", "in a child: literal = \"hello\"; literal[0] = 'x';",
		   write_to, (void *)literal);

	memcpy(data, (void *)answer, 64);
	lab_addr("data", data);
	crash_step("call",
		   "static char data[]; memcpy(data, answer, 64); in a child: call it",
		   call, data);

	lab_step("exec",
		 "mprotect(data, page, PROT_READ | PROT_EXEC); in a child: call it");
	lab_value("refused", mprotect(data, page, PROT_READ | PROT_EXEC) ? errno : 0);
	__builtin___clear_cache(data, data + 64);
	struct crash crash = crash_run(call, data);
	crash_tell(&crash);

	char *none = map(page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	lab_addr("none", none);
	crash_step("none", "mmap(… PROT_NONE …); in a child: x = none[0];", read_from,
		   none);
}

static void nowhere(void)
{
	/* Of the upper half with any number of levels; and of no half. */
	void *kernel = (void *)(intptr_t)-0x7f000000;
	void *weird = (void *)0x4000000000000000;
	volatile uintptr_t null = 0;

	lab_addr("null", NULL);
	lab_value("member", offsetof(struct point, y));
	crash_step("null", "in a child: char *p = NULL; *p = 'x';", write_to,
		   (void *)null);
	crash_step("member", "in a child: struct point *p = NULL; p->y = 1;",
		   write_member, (void *)null);

	lab_addr("kernel", kernel);
	crash_step("kernel", "in a child: x = *(char *)0xffffffff81000000;", read_from,
		   kernel);

	lab_addr("weird", weird);
#ifdef __x86_64__
	lab_value("canonical", 1);
#else
	lab_value("canonical", 0);
#endif
	crash_step("weird", "in a child: x = *(char *)0x4000000000000000;", read_from,
		   weird);
}

int main(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	lab_start();
	limit_stack();
	code_and_data(page);
	nowhere();

	crash_step("stack", "in a child: a function that calls itself without end",
		   recurse, NULL);

	char *stack = map(9 * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1);
	mprotect(stack, page, PROT_NONE);
	lab_addr("guard", stack);
	crash_step("guard", "in a child: the same on a stack as threads have it",
		   recurse_on, stack);

	int fd = memfd_create("file", 0);
	if (fd < 0 || ftruncate(fd, (off_t)(2 * page)))
		_exit(1);
	char *file = map(2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	memset(file, 'f', 2 * page);
	lab_addr("file", file);
	lab_step("truncate", "ftruncate(fd, page); in a child: x = file[page];");
	lab_value("cut", ftruncate(fd, (off_t)page) ? errno : 0);
	struct crash crash = crash_run(read_from, file + page);
	crash_tell(&crash);

	lab_end();
	return 0;
}
