// SPDX-License-Identifier: MIT
/*
 * A program to make cores of: threads, arenas, mapped blocks, files and shared memory,
 * blocks that are lost, and two that only a register or the vector unit leads to. It
 * tells what it did and rests; a signal ends it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 4, KEPT = 500, LOST = 300, LOST_LEN = 777, KEY = 0x5a5a5a5a };

static void *kept[THREADS][KEPT];
static pthread_barrier_t barrier;
/* Stored so that nobody who looks for addresses finds them. */
static uint64_t hidden[2];

/* Ways to make a block that nothing in memory leads to. */
static __attribute__((noinline)) uint64_t hide(size_t len)
{
	void *block = malloc(len);
	memset(block, 0x77, len);
	/* cppcheck-suppress memleak ; it is kept, under another value */
	return (uint64_t)(uintptr_t)block ^ (uint64_t)KEY << 32 ^ KEY;
}

static __attribute__((noinline)) void lose(void)
{
	void *volatile block = NULL;
	for (int i = 0; i < LOST; i++) {
		block = malloc(LOST_LEN);
		memset(block, 0x55, LOST_LEN);
	}
	block = NULL;
}

/* What ended calls left on the stack would lead to lost blocks. */
static __attribute__((noinline)) void wipe_stack(void)
{
	volatile char bytes[32768];
	memset((char *)bytes, 0, sizeof(bytes));
}

/* Rests with one block's address in r12 and another's in xmm5, and nowhere else. */
static void rest(void)
{
	uint64_t key = (uint64_t)KEY << 32 ^ KEY;
	__asm__ volatile("mov %[in_reg], %%r12\n\t"
			 "xor %[key], %%r12\n\t"
			 "mov %[in_vec], %%rdx\n\t"
			 "xor %[key], %%rdx\n\t"
			 "movq %%rdx, %%xmm5\n\t"
			 "xor %%edx, %%edx\n"
			 "1:\n\t"
			 "mov %[pause], %%eax\n\t"
			 "syscall\n\t"
			 "jmp 1b"
			 :
			 : [in_reg] "m"(hidden[0]), [in_vec] "m"(hidden[1]),
			   [key] "r"(key), [pause] "i"(SYS_pause)
			 : "rax", "rcx", "rdx", "r11", "r12", "xmm5", "memory");
}

static void *run(void *arg)
{
	size_t me = (size_t)(uintptr_t)arg;
	for (size_t i = 0; i < KEPT; i++) {
		size_t len = 24 + 40 * (i % 60);
		kept[me][i] = malloc(len);
		memset(kept[me][i], (int)me + 1, len);
	}
	for (size_t i = 0; i < KEPT; i += 3) {
		free(kept[me][i]);
		kept[me][i] = NULL;
	}
	pthread_barrier_wait(&barrier);
	if (!me) {
		wipe_stack();
		rest();
	}
	for (;;)
		pause();
	return NULL;
}

/* Mappings of all kinds, each with something in it. */
static void map(void)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	char *own = mmap(NULL, 1 << 20, rw, anon, -1, 0);
	char *none = mmap(NULL, 1 << 20, PROT_NONE, anon, -1, 0);
	char *shared = mmap(NULL, 1 << 16, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("dumped", 0);
	if (fd < 0 || ftruncate(fd, 1 << 16) != 0)
		abort();
	char *memfd = mmap(NULL, 1 << 16, rw, MAP_SHARED, fd, 0);
	int self = open("/proc/self/exe", O_RDONLY);
	char *file = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, self, 0);
	if (own == MAP_FAILED || none == MAP_FAILED || shared == MAP_FAILED ||
	    memfd == MAP_FAILED || file == MAP_FAILED)
		abort();
	own[4096] = shared[0] = memfd[0] = 1;
	printf("own %llx %d\n", (unsigned long long)(uintptr_t)own, file[0]);
}

int main(void)
{
	pthread_t threads[THREADS];
	/* A core's readers may be stopped from attaching otherwise. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	hidden[0] = hide(1234);
	hidden[1] = hide(1235);
	lose();
	wipe_stack();
	map();
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i);
	pthread_barrier_wait(&barrier);
	static void *volatile mapped;
	mapped = malloc(1 << 20);
	memset(mapped, 3, 5000);
	printf("lost n=%d len=%d\nready\n", LOST, LOST_LEN);
	fflush(stdout);
	wipe_stack();
	for (;;)
		pause();
}
