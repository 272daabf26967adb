// SPDX-License-Identifier: MIT
// Threads in known states: sizes, guards, names, own memory, an arena, a signal stack.

#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc 2.36, malloc/arena.c: what begins every thread arena's heap of 64 MiB.
struct heap_info {
	void *arena;
	struct heap_info *prev;
	size_t size, mprotect_size;
};

enum { HEAP_MAX = 64 * ZOO_MIB, TLS_LEN = 64 * ZOO_KIB, OWN_LEN = 512 * ZOO_KIB };

struct keeper {
	const char *name;
	size_t stack, guard, touch; /* touch: bytes of stack to use */
	int own;                    /* runs on memory of ours */
	int arena;                  /* fills an arena */
	int signal;                 /* waits in a handler on its own signal stack */
};

static const struct keeper keepers[] = {
	{ .name = "zoo-small", .stack = 256 * ZOO_KIB, .guard = ZOO_PAGE },
	{ .name = "zoo-big",
	  .stack = 8 * ZOO_MIB,
	  .guard = 64 * ZOO_KIB,
	  .touch = ZOO_MIB },
	{ .name = "zoo-own", .stack = OWN_LEN, .own = 1 },
	{ .name = "zoo-arena", .stack = ZOO_MIB, .guard = ZOO_PAGE, .arena = 1 },
	{ .name = "zoo-signal", .stack = ZOO_MIB, .guard = ZOO_PAGE, .signal = 1 },
};

static __thread char tls_big[TLS_LEN];
static sem_t ready;
static char *arena_block;

static _Noreturn void stay(void)
{
	sem_post(&ready);
	for (;;)
		pause();
}

static __attribute__((noinline)) void use_stack(size_t len)
{
	volatile char *p = __builtin_alloca(len);

	for (size_t i = 0; i < len; i += ZOO_PAGE)
		p[i] = 1;
	zoo_range("stack.thread", "stack-used", (const char *)p + ZOO_PAGE,
		  len - 2 * ZOO_PAGE);
}

static void on_signal(int sig)
{
	(void)sig;
	zoo_at("stack.signal", "signal-stack-in-use", __builtin_frame_address(0));
	stay();
}

static void wait_on_signal_stack(void)
{
	stack_t ss = { .ss_size = 64 * ZOO_KIB };
	char *block = mmap(NULL, ss.ss_size + ZOO_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	// As runtimes do it: one block, its lowest page closed.
	zoo_must(block != MAP_FAILED, "signal stack");
	zoo_must(mprotect(block, ZOO_PAGE, PROT_NONE) == 0, "mprotect");
	ss.ss_sp = block + ZOO_PAGE;
	zoo_must(sigaltstack(&ss, NULL) == 0, "sigaltstack");
	zoo_must(sigaction(SIGUSR1, &sa, NULL) == 0, "sigaction");
	zoo_range("stack.signal", "signal-stack", ss.ss_sp, ss.ss_size);
	zoo_range_rss("guard", "signal-stack-guard", block, ZOO_PAGE, 0);
	pthread_kill(pthread_self(), SIGUSR1);
}

// The block as it was mapped: glibc says the stack without its guard.
static void print_thread(const char *name)
{
	pthread_attr_t attr;
	size_t size, guard;
	void *addr;
	char *low;

	zoo_must(pthread_getattr_np(pthread_self(), &attr) == 0, "pthread_getattr_np");
	pthread_attr_getstack(&attr, &addr, &size);
	pthread_attr_getguardsize(&attr, &guard);
	pthread_attr_destroy(&attr);
	low = (char *)addr - guard;
	printf("thread tid=%d name=%s stack=%#jx end=%#jx guard=%zu\n", (int)gettid(),
	       name, (uintmax_t)(uintptr_t)low, (uintmax_t)((uintptr_t)addr + size),
	       guard);
	if (guard)
		zoo_range_rss("guard", "stack-guard", low, guard, 0);
	zoo_at("stack.thread", "stack-frame", __builtin_frame_address(0));
	zoo_at("stack.thread", "stack-low-end", addr);
}

static void *keep(void *arg)
{
	const struct keeper *k = arg;

	pthread_setname_np(pthread_self(), k->name);
	memset(tls_big, 1, sizeof(tls_big));
	print_thread(k->name);
	zoo_range("tls", "thread-tls", tls_big, sizeof(tls_big));
	zoo_at("tls", "thread-tcb", (const void *)pthread_self());
	if (k->touch)
		use_stack(k->touch);
	if (k->arena)
		for (int i = 0; i < 1000; i++) {
			arena_block = malloc(ZOO_KIB);
			zoo_must(arena_block != NULL, "malloc");
			memset(arena_block, 1, ZOO_KIB);
		}
	if (k->signal)
		wait_on_signal_stack();
	stay();
}

static void start(const struct keeper *k)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	if (k->own) {
		void *p = zoo_map(k->stack, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1);

		zoo_must(p != MAP_FAILED, "own stack");
		pthread_attr_setstack(&attr, p, k->stack);
	} else {
		pthread_attr_setstacksize(&attr, k->stack);
		pthread_attr_setguardsize(&attr, k->guard);
	}
	zoo_must(pthread_create(&thread, &attr, keep, (void *)k) == 0, "pthread_create");
	pthread_attr_destroy(&attr);
}

void zoo_threads(void)
{
	memset(tls_big, 1, sizeof(tls_big));
	zoo_range("tls", "main-tls", tls_big, sizeof(tls_big));
	sem_init(&ready, 0, 0);
	// One at a time: their lines stay whole and in order.
	for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
		start(&keepers[i]);
		while (sem_wait(&ready) != 0)
			continue;
	}
}

void zoo_arena_truth(void)
{
	uintptr_t base = (uintptr_t)arena_block & ~((uintptr_t)HEAP_MAX - 1);
	const struct heap_info *heap = (const void *)base;

	zoo_range("heap.arena", "arena", heap, heap->mprotect_size);
	zoo_range_rss("heap.arena-reserve", "arena-reserve",
		      (const char *)heap + heap->mprotect_size,
		      HEAP_MAX - heap->mprotect_size, 0);
}
