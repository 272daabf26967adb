// SPDX-License-Identifier: MIT
// leaky: plants blocks of many kinds, says which they are, and waits.
//
// Lines on stdout:
//   kind name=K size=N blocks=N truth=leaked|reachable|hidden
//        `size` is the usable size, which blocks of no other kind here have
//   ready
// Commands, a line each on stdin, answered by `done` on stdout:
//   check    the leak checker that is linked in (LSan) or runs this (valgrind) looks now;
//            its report goes where it always goes
// It ends, without any check, when stdin does, or after ten minutes.

#include "leaky.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

enum { FIRST_SIZE = 200, SIZE_STEP = 16, LIFETIME_S = 600 };

static size_t size_now = FIRST_SIZE;

// Only there when LSan is linked in.
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
void __lsan_disable(void) __attribute__((weak));

void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "leaky: %s: %s\n", what, strerror(errno));
	_exit(2);
}

size_t object_size(void)
{
	return size_now;
}

__attribute__((noinline)) void *object(void)
{
	char *p = malloc(size_now);

	must(p != NULL, "malloc");
	memset(p, 0x11, size_now);
	return p;
}

void *object_list(void)
{
	void **head = NULL;

	for (int i = 0; i < N_OBJECTS; i++) {
		void **next = object();

		next[0] = head;
		head = next;
	}
	return head;
}

// Not deeper than what plant_dead_frame() leaves behind on purpose.
__attribute__((noinline)) void scrub(void)
{
	volatile char dead[16384];

	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

void *map_pages(size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

void start_thread(void *(*run)(void *), volatile int *flag)
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
	while (!*flag)
		usleep(1000);
}

void run_thread(void *(*run)(void *))
{
	pthread_t thread;

	must(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
	must(pthread_join(thread, NULL) == 0, "pthread_join");
}

void park(void)
{
	for (;;)
		pause();
}

static void announce(const struct kind *kind)
{
	static const char *const names[] = { "leaked", "reachable", "hidden" };

	printf("kind name=%s size=%zu blocks=%d truth=%s\n", kind->name, size_now,
	       N_OBJECTS, names[kind->truth]);
	size_now += SIZE_STEP;
	must(size_now < 1024, "too many kinds: sizes above are not told apart");
}

static void plant_all(const struct kind *kinds)
{
	for (; kinds->name; kinds++) {
		kinds->plant();
		announce(kinds);
	}
}

__attribute__((noinline)) void plant_in_frame(void **frame)
{
	for (int i = 0; i < N_OBJECTS; i++)
		frame[i] = object();
}

// Below where any later call of main reaches; never overwritten.
__attribute__((noinline)) static void plant_deep(void)
{
	void *volatile frame[N_OBJECTS + 65536 / sizeof(void *)];

	plant_in_frame((void **)frame);
}

static void check(void)
{
	if (__lsan_do_recoverable_leak_check)
		__lsan_do_recoverable_leak_check();
#ifdef VALGRIND_DO_LEAK_CHECK
	VALGRIND_DO_LEAK_CHECK;
#endif
	puts("done");
	fflush(stdout);
}

static void serve(void)
{
	char command[16];
	ssize_t n;

	while ((n = read(STDIN_FILENO, command, sizeof(command))) > 0)
		check();
	_exit(0);
}

int main(void)
{
	static const struct kind frame = { "main-frame", REACHABLE, NULL },
				 dead = { "dead-frame", LEAKED, NULL };
	static char buffer[BUFSIZ];
	void *mine[N_OBJECTS];

	alarm(LIFETIME_S);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	plant_all(kinds_lost);
	plant_all(kinds_memory);
	plant_all(kinds_kernel);
	plant_in_frame(mine);
	// The compiler must believe that somebody looks at it later.
	__asm__ volatile("" : : "r"(mine) : "memory");
	announce(&frame);
	plant_deep();
	announce(&dead);
	scrub();
	puts("ready");
	fflush(stdout);
	scrub();
	serve();
	__asm__ volatile("" : : "r"(mine) : "memory");
	return 0;
}
