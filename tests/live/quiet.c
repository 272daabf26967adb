// SPDX-License-Identifier: MIT
// Puts itself into a state that must not change by being looked at, and prints "ready":
//   quiet family MIB   half small blocks, half one large one; then forks, and both wait:
//                      "kin pid=N" is the child
//   quiet sums         blocks, free ones, untouched and returned pages, threads that wait
//                      in several calls; each line on stdin is answered by a checksum of
//                      all its data and heap
//   quiet seccomp      dies of any fork or wait
// It ends with stdin, or by itself after two minutes.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 200, N_BLOCKS = 20000, BIG = 8 << 20, PAGE = 4096 };

static char *blocks[N_BLOCKS];
static char *big;

extern char __data_start, _end;

static void wait_for_end(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
}

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void family(size_t mib)
{
	size_t half = mib << 19, n = half / BLOCK;
	char *large = malloc(half);

	memset(large, 3, half);
	for (size_t i = 0; i < n; i++)
		/* cppcheck-suppress leakNoVarFunctionCall */
		memset(malloc(BLOCK - 16), (int)i, BLOCK - 16);
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_for_end();
	}
	printf("kin pid=%d\nready\n", child);
	fflush(stdout);
	wait_for_end();
}

static void *in_poll(void *arg)
{
	for (;;)
		poll(NULL, 0, 100000);
	return arg;
}

static void *in_pause(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static uint64_t sum(uint64_t hash, const char *start, const char *end)
{
	for (const char *at = start; at < end; at++)
		hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
	return hash;
}

/* Nothing is written for it but the stack. */
static void answer_sums(void)
{
	char line[64];
	const char *heap_end = sbrk(0);

	while (read(0, line, sizeof(line)) > 0) {
		uint64_t hash = sum(0xcbf29ce484222325, &__data_start, &_end);
		hash = sum(hash, blocks[0], heap_end);
		hash = sum(hash, big, big + BIG / 2);
		int len = snprintf(line, sizeof(line), "sum %016llx\n",
				   (unsigned long long)hash);
		if (write(1, line, (size_t)len) != len)
			break;
	}
	_exit(0);
}

static void sums(void)
{
	pthread_t thread;

	for (int i = 0; i < N_BLOCKS; i++) {
		blocks[i] = malloc(BLOCK);
		memset(blocks[i], i, BLOCK);
	}
	for (int i = 1; i < N_BLOCKS; i++)
		if (i % 3 == 0 || (i > 8000 && i < 12000)) {
			free(blocks[i]);
			blocks[i] = NULL;
		}
	/* Half of it never touched; and pages that were given back. */
	big = malloc(BIG);
	memset(big, 9, BIG / 2);
	uintptr_t hole = ((uintptr_t)big + PAGE) & ~(uintptr_t)(PAGE - 1);
	madvise((void *)hole, 64 * PAGE, MADV_DONTNEED);
	if (pthread_create(&thread, NULL, in_poll, NULL) != 0 ||
	    pthread_create(&thread, NULL, in_pause, NULL) != 0)
		fail("pthread_create");
	printf("ready\n");
	fflush(stdout);
	answer_sums();
}

#define KILL_FOR(nr)                                     \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static void strict(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		KILL_FOR(SYS_clone),
		KILL_FOR(SYS_clone3),
		KILL_FOR(SYS_fork),
		KILL_FOR(SYS_vfork),
		KILL_FOR(SYS_wait4),
		KILL_FOR(SYS_waitid),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	for (int i = 0; i < 1000; i++)
		/* cppcheck-suppress leakNoVarFunctionCall */
		memset(malloc(BLOCK), i, BLOCK);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		fail("seccomp");
	printf("ready\n");
	fflush(stdout);
	wait_for_end();
}

int main(int argc, char **argv)
{
	alarm(120);
	if (argc == 3 && !strcmp(argv[1], "family"))
		family(strtoul(argv[2], NULL, 10));
	else if (argc == 2 && !strcmp(argv[1], "sums"))
		sums();
	else if (argc == 2 && !strcmp(argv[1], "seccomp"))
		strict();
	return 2;
}
