// SPDX-License-Identifier: MIT
// Kinds whose only pointers are in registers, in thread-local variables, on stacks of
// living threads, or in the kernel.

#include "leaky.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

// Handed over through variables: what pthread_create() is given stays in memory.
void *register_list, *vector_list;
static volatile int ready_flags[8];
static __thread void *volatile main_table[N_OBJECTS], *volatile thread_table[N_OBJECTS];

// The head of the list moves into a register, and this thread calls nothing any more.
static void *hold_in_register(void *arg)
{
	(void)arg;
	__asm__ volatile("xor %%r14d, %%r14d\n"
			 "xchg %%r14, register_list(%%rip)\n"
			 "movl $1, (%0)\n"
			 "1: mov $34, %%eax\n" // pause
			 "syscall\n"
			 "jmp 1b\n"
			 :
			 : "b"(&ready_flags[0])
			 : "rax", "rcx", "r11", "r14", "memory");
	return NULL;
}

static void *hold_in_vector(void *arg)
{
	(void)arg;
	__asm__ volatile("xor %%r14d, %%r14d\n"
			 "xchg %%r14, vector_list(%%rip)\n"
			 "movq %%r14, %%xmm13\n"
			 "xor %%r14d, %%r14d\n"
			 "movl $1, (%0)\n"
			 "1: mov $34, %%eax\n"
			 "syscall\n"
			 "jmp 1b\n"
			 :
			 : "b"(&ready_flags[1])
			 : "rax", "rcx", "r11", "r14", "xmm13", "memory");
	return NULL;
}

static void in_register(void)
{
	register_list = object_list();
	scrub();
	start_thread(hold_in_register, &ready_flags[0]);
}

static void in_vector(void)
{
	vector_list = object_list();
	scrub();
	start_thread(hold_in_vector, &ready_flags[1]);
}

static void in_main_tls(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		main_table[i] = object();
}

static void *hold_in_tls(void *arg)
{
	(void)arg;
	for (int i = 0; i < N_OBJECTS; i++)
		thread_table[i] = object();
	scrub();
	ready_flags[2] = 1;
	park();
}

static void in_thread_tls(void)
{
	start_thread(hold_in_tls, &ready_flags[2]);
}

static void *hold_on_stack(void *arg)
{
	void *frame[N_OBJECTS];

	(void)arg;
	for (int i = 0; i < N_OBJECTS; i++)
		frame[i] = object();
	__asm__ volatile("" : : "r"(frame) : "memory");
	ready_flags[3] = 1;
	park();
}

static void on_thread_stack(void)
{
	start_thread(hold_on_stack, &ready_flags[3]);
}

// pthread_setspecific() keeps them in the thread's descriptor.
static void *hold_in_keys(void *arg)
{
	pthread_key_t key;

	(void)arg;
	for (int i = 0; i < N_OBJECTS; i++) {
		must(pthread_key_create(&key, NULL) == 0, "pthread_key_create");
		must(pthread_setspecific(key, object()) == 0, "pthread_setspecific");
	}
	scrub();
	ready_flags[4] = 1;
	park();
}

static void in_keys(void)
{
	start_thread(hold_in_keys, &ready_flags[4]);
}

// The kernel hands data.ptr out with each event; nobody else knows it.
static void in_epoll(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };

	must(set >= 0, "epoll_create1");
	for (int i = 0; i < N_OBJECTS; i++) {
		int fd = eventfd(0, EFD_CLOEXEC);

		event.data.ptr = object();
		must(fd >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0,
		     "epoll_ctl");
	}
	memset(&event, 0, sizeof(event));
	__asm__ volatile("" : : "r"(&event) : "memory");
}

static void in_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	timer_t timer;

	for (int i = 0; i < N_OBJECTS; i++) {
		event.sigev_value.sival_ptr = object();
		must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
	}
	memset(&event, 0, sizeof(event));
	__asm__ volatile("" : : "r"(&event) : "memory");
}

// Sent to itself, to be received later.
static void in_pipe(void)
{
	int ends[2];

	must(pipe(ends) == 0, "pipe");
	for (int i = 0; i < N_OBJECTS; i++) {
		void *block = object();

		must(write(ends[1], &block, sizeof(block)) == sizeof(block), "write");
		block = NULL;
		__asm__ volatile("" : : "r"(&block) : "memory");
	}
}

const struct kind kinds_kernel[] = {
	{ "main-tls", REACHABLE, in_main_tls },
	{ "thread-tls", REACHABLE, in_thread_tls },
	{ "thread-stack", REACHABLE, on_thread_stack },
	{ "thread-keys", REACHABLE, in_keys },
	{ "register", REACHABLE, in_register },
	{ "vector-register", HIDDEN, in_vector },
	{ "epoll", HIDDEN, in_epoll },
	{ "timer", HIDDEN, in_timer },
	{ "pipe", HIDDEN, in_pipe },
	{ NULL, REACHABLE, NULL },
};
