// SPDX-License-Identifier: MIT
/*
 * A lab whose memory test_lab_probes.py reads beside memwhy: every kind of page, a heap
 * whose blocks it counts itself, children. In its last step it waits at a pipe, LAB_GATE,
 * as it was after the step before.
 */
#include "lab.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>

enum { PAGES = 8, HUGE = 2 << 20, BLOCKS = 12 };

static size_t page;
static volatile char *a, *s;
/* Classes are of pages: of what is longer, the middle is no neighbour's. */
static int data[4096] = { 5 }, zeros[4096];
static const char constant[] = "constant";

static void *wait_for_ever(void *arg)
{
	volatile int here = 1;
	(void)arg;
	*(uintptr_t *)(s + page / 2) = (uintptr_t)&here;
	s[3 * page] = 1;
	for (;;)
		pause();
	return NULL;
}

/* What children do. */
static void turn(int n)
{
	pthread_t thread;
	if (n == 1) {
		a[page] = 9;
		s[2 * page] = 7;
	} else if (!pthread_create(&thread, NULL, wait_for_ever, NULL)) {
		while (!s[3 * page])
			usleep(1000);
	}
}

/* Waits until the other end was opened and closed. */
static void wait_at(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (read(fd, &c, 1) > 0)
		;
	close(fd);
}

static void map_pages(void)
{
	int rw = PROT_READ | PROT_WRITE;
	a = mmap(NULL, PAGES * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* So that no neighbour merges with it. */
	madvise((char *)a, PAGES * page, MADV_DONTFORK);
	madvise((char *)a, PAGES * page, MADV_DOFORK);
	madvise((char *)a, PAGES * page, MADV_DONTDUMP);
	*(volatile uint64_t *)a = UINT64_C(0x1122334455667788);
	a[page] = 1;
	lab_value("read", a[2 * page]);
	lab_addr("a", a);

	s = mmap(NULL, 4 * page, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	s[0] = s[page] = 1;
	lab_addr("s", s);

	int fd = memfd_create("watched", MFD_CLOEXEC);
	if (ftruncate(fd, (off_t)(4 * page)))
		_exit(1);
	volatile char *m = mmap(NULL, 4 * page, rw, MAP_SHARED, fd, 0);
	m[page] = 1;
	lab_addr("m", m);

	lab_addr("none", mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	void *gone = mmap(NULL, 64 * page, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(gone, 64 * page);
	lab_addr("unmapped", (char *)gone + 32 * page);
}

/* Pages of a file, read and copied. */
static void map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	volatile char *f =
		mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	lab_value("read", f[0]);
	f[page] = 1;
	lab_addr("f", f);
}

/* Maybe in a huge page: whoever compares sees. */
static void map_huge(void)
{
	char *two = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)two + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	madvise(at, HUGE, MADV_HUGEPAGE);
	at[0] = 1;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	lab_addr("huge", at);
}

/* Blocks of many sizes, some given back; what is live is counted here. */
static void fill_heap(void)
{
	size_t live = 0;
	char *blocks[BLOCKS], *big = malloc(1 << 20);
	big[0] = 1;
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(2000 + 100 * (size_t)i);
		memset(blocks[i], 1, 2000);
	}
	for (int i = 0; i < BLOCKS; i += 3) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	for (int i = 0; i < BLOCKS; i++)
		live += blocks[i] ? malloc_usable_size(blocks[i]) : 0;
	lab_value("live", (long long)(live + malloc_usable_size(big)));
	lab_value("blocks", BLOCKS - BLOCKS / 3 + 1);
	lab_value("fordblks", (long long)mallinfo2().fordblks);
	lab_addr("small", blocks[1]);
	lab_addr("big", big);
}

static void tell_parts(void)
{
	volatile int local[4096] = { 0 };
	zeros[2048] = data[2048] + 1;
	lab_addr("local", &local[2048]);
	lab_addr("data", &data[2048]);
	lab_addr("zeros", &zeros[2048]);
	lab_addr("constant", constant);
	lab_addr("code", (void *)(uintptr_t)tell_parts);
	lab_addr("library", (void *)(uintptr_t)strtoll);
}

static void tell_pids(const char *path, pid_t one, pid_t two)
{
	char text[64];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int len = snprintf(text, sizeof(text), "%d %d %d\n", getpid(), one, two);
	if (write(fd, text, (size_t)len) != len)
		_exit(1);
	close(fd);
}

int main(int argc, char *argv[])
{
	struct lab_child one, two, gone;
	const char *gate = getenv("LAB_GATE"), *pids = getenv("LAB_PIDS");
	page = (size_t)sysconf(_SC_PAGESIZE);
	lab_start();
	wait_at("/dev/null"); /* the code of waiting is resident from now on */

	lab_step("make", "maps, allocates, forks");
	map_pages();
	map_file(argv[argc - 1]);
	map_huge();
	fill_heap();
	tell_parts();
	one = lab_fork("child", turn);
	two = lab_fork("other", turn);
	lab_process("pair", one.pid);
	lab_process("pair", two.pid);
	gone = lab_fork("gone", turn);
	lab_join(&gone);
	lab_turn(&one, 1);
	lab_turn(&one, 2);
	lab_addr("threads_local", (void *)*(uintptr_t *)(s + page / 2));
	a[5 * page] = 1;

	lab_step("more", "a[6 * page] = 1;");
	a[6 * page] = 1;
	tell_pids(pids, one.pid, two.pid);

	lab_step("hold", "waits");
	wait_at(gate);
	lab_end();
	return 0;
}
