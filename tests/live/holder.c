// SPDX-License-Identifier: MIT
// Puts itself into one known state, prints "ready", and waits for stdin to end:
//   holder stripes MIB        every second page of one mapping touched
//   holder reserve GIB        address space without memory behind it, 3 pages touched
//   holder pages N            N one-page mappings, shared with two forked children
//   holder fill               as many mappings as the kernel allows
//   holder files PATH...      one page of each file mapped and read
//   holder churn              maps, touches and unmaps for ever
//   holder zombie             prints the pid of a zombie child
//   holder zero MIB           a mapping that was only read
//   holder beside PAGES       a mapping that may merge with the one beside it
// It ends by itself after two minutes.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, MIB = 1024 * 1024, LIFETIME_S = 120, N_CHURN = 64 };
enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "holder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *anon(size_t len, int prot)
{
	char *p = mmap(NULL, len, prot, ANON | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED, "mmap");
	// Whatever the system's policy, these are to be small pages.
	must(madvise(p, len, MADV_NOHUGEPAGE) == 0 || errno == EINVAL, "madvise");
	return p;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static void wait_for_end(void)
{
	char byte;

	ready();
	while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
		continue;
}

static void stripes(const char *arg)
{
	size_t len = strtoul(arg, NULL, 10) * MIB;
	char *p = anon(len, RW);

	for (size_t i = 0; i < len; i += 2 * (size_t)PAGE)
		p[i] = 1;
	printf("range start=%#jx end=%#jx rss=%zu\n", (uintmax_t)(uintptr_t)p,
	       (uintmax_t)(uintptr_t)p + len, len / 2);
	wait_for_end();
}

static void reserve(const char *arg)
{
	size_t len = strtoul(arg, NULL, 10) << 30;
	char *none = anon(len, PROT_NONE), *sparse = anon(len, RW);

	// First, middle and last page, so that nothing can stop looking early.
	sparse[0] = sparse[len / 2] = sparse[len - 1] = 1;
	printf("none start=%#jx end=%#jx\n", (uintmax_t)(uintptr_t)none,
	       (uintmax_t)(uintptr_t)none + len);
	printf("range start=%#jx end=%#jx rss=%d\n", (uintmax_t)(uintptr_t)sparse,
	       (uintmax_t)(uintptr_t)sparse + len, 3 * PAGE);
	wait_for_end();
}

static void zero(const char *arg)
{
	size_t len = strtoul(arg, NULL, 10) * MIB, sum = 0;
	volatile char *p = anon(len, RW);

	for (size_t i = 0; i < len; i += PAGE)
		sum += (size_t)p[i];
	printf("range start=%#jx end=%#jx rss=%zu\n", (uintmax_t)(uintptr_t)p,
	       (uintmax_t)(uintptr_t)p + len, sum);
	wait_for_end();
}

static void beside(const char *arg)
{
	size_t len = strtoul(arg, NULL, 10) * PAGE;
	char *p = mmap(NULL, len, RW, ANON, -1, 0);

	must(p != MAP_FAILED, "mmap");
	memset(p, 1, len);
	printf("range start=%#jx end=%#jx rss=%zu\n", (uintmax_t)(uintptr_t)p,
	       (uintmax_t)(uintptr_t)p + len, len);
	wait_for_end();
}

// Neighbours of different protection do not merge.
static void cut(char *p, size_t n)
{
	for (size_t i = 0; i < n; i += 2)
		must(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0, "mprotect");
}

static void pages(const char *arg)
{
	size_t n = strtoul(arg, NULL, 10);
	char *p = anon(n * PAGE, RW);

	memset(p, 1, n * PAGE);
	cut(p, n);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		must(pid >= 0, "fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
	}
	printf("range start=%#jx end=%#jx rss=%zu\n", (uintmax_t)(uintptr_t)p,
	       (uintmax_t)(uintptr_t)p + n * PAGE, n * PAGE);
	wait_for_end();
}

static void fill(void)
{
	size_t n = 0, max = 200000;
	char *p = anon(max * PAGE, RW);

	while (n < max && mprotect(p + n * PAGE, PAGE, PROT_READ) == 0)
		n += 2;
	printf("mappings=%zu\n", n);
	wait_for_end();
}

static void files(char **paths)
{
	for (; *paths; paths++) {
		int fd = open(*paths, O_RDONLY | O_CLOEXEC);
		volatile char *p;

		must(fd >= 0, *paths);
		p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		must(p != MAP_FAILED, *paths);
		(void)p[0];
		close(fd);
	}
	wait_for_end();
}

static void churn(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char *p[N_CHURN];

	ready();
	while (poll(&in, 1, 0) == 0)
		for (int i = 0; i < 2 * N_CHURN; i++) {
			if (i >= N_CHURN) {
				munmap(p[i - N_CHURN], MIB);
				continue;
			}
			p[i] = anon(MIB, RW);
			memset(p[i], 1, MIB);
		}
}

static void zombie(void)
{
	siginfo_t info;
	pid_t pid = fork();

	must(pid >= 0, "fork");
	if (pid == 0)
		_exit(0);
	// Waits until it is dead, and leaves it so.
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	printf("zombie pid=%d\n", (int)pid);
	wait_for_end();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	alarm(LIFETIME_S);
	if (!strcmp(mode, "fill"))
		fill();
	else if (!strcmp(mode, "churn"))
		churn();
	else if (!strcmp(mode, "zombie"))
		zombie();
	else if (!strcmp(mode, "files") && argc > 2)
		files(argv + 2);
	else if (!strcmp(mode, "stripes") && argc == 3)
		stripes(argv[2]);
	else if (!strcmp(mode, "reserve") && argc == 3)
		reserve(argv[2]);
	else if (!strcmp(mode, "pages") && argc == 3)
		pages(argv[2]);
	else if (!strcmp(mode, "zero") && argc == 3)
		zero(argv[2]);
	else if (!strcmp(mode, "beside") && argc == 3)
		beside(argv[2]);
	else
		must((errno = EINVAL, 0), "arguments");
	return 0;
}
