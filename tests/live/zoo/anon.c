// SPDX-License-Identifier: MIT
// Anonymous memory in every state a page can be in, inaccessible memory, and code.

#include "zoo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 // Linux 6.13
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { LEN = 512 * ZOO_KIB, HUGE_PAGE = 2 * ZOO_MIB, RW = PROT_READ | PROT_WRITE };
enum { PRIVATE_ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static char *anon(size_t len)
{
	char *p = zoo_map(len, RW, PRIVATE_ANON, -1);

	zoo_must(p != MAP_FAILED, "anonymous memory");
	return p;
}

static void page_states(void)
{
	char *p = anon(LEN);

	for (size_t i = 0; i < LEN; i += ZOO_PAGE)
		(void)*(volatile char *)(p + i);
	zoo_range_rss("unknown", "zero-pages", p, LEN, 0);
	p = anon(LEN);
	zoo_touch(p, LEN);
	zoo_must(madvise(p, LEN, MADV_FREE) == 0, "MADV_FREE");
	zoo_range_rss("unknown", "lazy-free", p, LEN, LEN);
	p = anon(LEN);
	if (mlock(p, LEN) == 0)
		zoo_range_rss("unknown", "locked", p, LEN, LEN);
	else
		zoo_skip("locked");
	p = anon(LEN);
	zoo_touch(p, LEN / 2);
	zoo_range_rss("unknown", "half-touched", p, LEN, LEN / 2);
}

// One byte in each huge page: resident, and nearly all of it zero bytes.
static void huge_pages(void)
{
	enum { N = 4 };
	char *p = anon((N + 1) * HUGE_PAGE);

	p = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~((uintptr_t)HUGE_PAGE - 1));
	if (madvise(p, N * HUGE_PAGE, MADV_HUGEPAGE) != 0) {
		zoo_skip("huge-pages");
		return;
	}
	for (size_t i = 0; i < N; i++)
		p[i * HUGE_PAGE] = 1;
	zoo_range("unknown", "huge-pages", p, N * HUGE_PAGE);
}

static int write_number(const char *path, long n)
{
	FILE *f = fopen(path, "we");
	int ok = f && fprintf(f, "%ld", n) > 0;

	// The kernel judges when the buffer is flushed.
	if (f && fclose(f) != 0)
		ok = 0;
	return ok;
}

static void hugetlb(void)
{
	static const char pool[] = "/proc/sys/vm/nr_hugepages";
	long before = zoo_read_number(pool);
	char *p;

	if (before < 0 || !write_number(pool, before + 2)) {
		zoo_skip("hugetlb");
		return;
	}
	p = mmap(NULL, 2 * HUGE_PAGE, RW, PRIVATE_ANON | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		zoo_skip("hugetlb");
	else
		zoo_touch(p, 2 * HUGE_PAGE);
	// Pages in use become surplus: they leave the pool when we end.
	write_number(pool, before);
	if (p == MAP_FAILED)
		return;
	zoo_range_rss("hugetlb", "hugetlb", p, 2 * HUGE_PAGE, 0);
	zoo_outside("hugetlb", 2 * HUGE_PAGE);
}

static void inaccessible(void)
{
	static const size_t reserved = (size_t)64 << 30;
	char *p = mmap(NULL, reserved, PROT_NONE, PRIVATE_ANON | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		zoo_skip("reserved");
	else
		zoo_range_rss("reserved", "reserved", p, reserved, 0);
	p = anon(LEN);
	zoo_touch(p + LEN / 2, LEN / 2);
	zoo_must(mprotect(p + LEN / 4, ZOO_PAGE, PROT_NONE) == 0, "mprotect");
	zoo_range_rss("guard", "guard-mprotect", p + LEN / 4, ZOO_PAGE, 0);
	zoo_must(mprotect(p + LEN / 2, ZOO_PAGE, PROT_NONE) == 0, "mprotect");
	zoo_range_rss("guard", "guard-of-used-memory", p + LEN / 2, ZOO_PAGE, ZOO_PAGE);
	p = anon(LEN);
	zoo_touch(p, LEN);
	if (madvise(p + LEN / 2, 4 * ZOO_PAGE, MADV_GUARD_INSTALL) == 0)
		zoo_range_rss("guard", "guard-madvise", p + LEN / 2, 4 * ZOO_PAGE, 0);
	else
		zoo_skip("guard-madvise");
}

static void code(void)
{
	char *p = zoo_map(LEN, RW | PROT_EXEC, PRIVATE_ANON, -1);
	int fd = memfd_create("zoo-code", MFD_CLOEXEC);

	zoo_must(p != MAP_FAILED && fd >= 0, "code");
	memset(p, 0xc3, LEN / 2);
	zoo_range_rss("jit", "jit-rwx", p, LEN, LEN / 2);
	// The write xor execute way: one memory, two mappings.
	zoo_must(ftruncate(fd, LEN) == 0, "code");
	p = zoo_map(LEN, RW, MAP_SHARED, fd);
	zoo_must(p != MAP_FAILED, "code");
	memset(p, 0xc3, LEN);
	zoo_range_rss("jit", "jit-writable-half", p, LEN, LEN);
	p = zoo_map(LEN, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
	zoo_must(p != MAP_FAILED, "code");
	for (size_t i = 0; i < LEN; i += ZOO_PAGE)
		((void (*)(void))(void *)(p + i))();
	zoo_range_rss("jit", "jit-executable-half", p, LEN, LEN);
	close(fd);
}

static void named(void)
{
	char *p = anon(LEN);

	zoo_touch(p, LEN);
	// EINVAL where the kernel was built without CONFIG_ANON_VMA_NAME.
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, LEN, "zoo named") == 0)
		zoo_range_rss("named", "named", p, LEN, LEN);
	else
		zoo_skip("named");
}

void zoo_anon(void)
{
	page_states();
	huge_pages();
	hugetlb();
	inaccessible();
	code();
	named();
}
