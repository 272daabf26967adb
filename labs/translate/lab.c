// SPDX-License-Identifier: MIT
/*
 * From an address to a page frame, by hand: which bits of the address pick the entry at
 * each level of the page table, and which are the offset in the page. That the levels
 * are real shows in how many tables the kernel has to add for one more page.
 */
#include "lab.h"
#include <sys/resource.h>

enum { PAGE_BITS = 12, PAGE = 1 << PAGE_BITS, HUGE = 2 << 20 };

#define A UINT64_C(0x123456789abc) /* easy to take apart, and free in every process */
#define LOW UINT64_C(0x12345678)
#define HIGH (UINT64_C(1) << 52)

/* A page that holds this address, if that place is free. */
static char *page_at(uint64_t addr, size_t len)
{
	void *wish = (void *)(uintptr_t)(addr & -(uint64_t)PAGE);
	void *got = mmap(wish, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	return got == MAP_FAILED ? NULL : (char *)got + addr % PAGE;
}

/* "36 · 209 · 179 · 393 · 0xabc": the entry at each level, and the offset. */
static void split(char *line, size_t size, const char *name, uint64_t addr, int levels,
		  int bits)
{
	size_t len = (size_t)snprintf(line, size, "%-24s", name);
	for (int level = levels - 1; level >= 0; level--) {
		uint64_t index = addr >> (PAGE_BITS + level * bits) & ((1U << bits) - 1);
		len += (size_t)snprintf(line + len, size - len, "%4d ·", (int)index);
	}
	snprintf(line + len, size - len, " 0x%03x", (unsigned)(addr % PAGE));
}

static void say_split(const char *name, uint64_t addr, int levels, int bits)
{
	char line[256];
	split(line, sizeof(line), name, addr, levels, bits);
	lab_say("%s", line);
}

/*
 * The code of all that is used below also needs page tables. Once it has run they are
 * there, and what is counted later belongs to the pages that are watched.
 */
static void warm_up(void)
{
	char line[256];
	char *page = page_at(0, PAGE);
	split(line, sizeof(line), "", A, 5, 9);
	madvise(page, PAGE, MADV_NOHUGEPAGE);
	munmap(page, PAGE);
}

static char *touch(const char *step, const char *name, const char *does, uint64_t addr)
{
	lab_step(step, does);
	char *page = page_at(addr, PAGE);
	*page = 1;
	lab_addr(name, page);
	return page;
}

/* A place for one huge page, beginning where one may begin. */
static char *place_for_huge(void)
{
	char *area = page_at(0, 2 * HUGE);
	char *ret = (char *)(((uintptr_t)area + HUGE - 1) & -(uintptr_t)HUGE);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	madvise(ret, HUGE, MADV_HUGEPAGE);
	return ret;
}

/* Whether the kernel has a huge page for us: memory may be too fragmented. */
static int try_huge(void)
{
	struct rusage before, after;
	char *h = place_for_huge();
	getrusage(RUSAGE_SELF, &before);
	memset(h, 1, HUGE);
	getrusage(RUSAGE_SELF, &after);
	munmap(h, HUGE);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	return after.ru_minflt - before.ru_minflt < HUGE / PAGE / 2;
}

int main(void)
{
	lab_start();
	warm_up();
	lab_value("has_huge", try_huge());
	lab_value("wish", (long long)A);
	lab_value("wish_low", (long long)LOW);

	char *a = touch("offset", "a",
			"a = mmap(0x123456789000, a page, …) + 0xabc;   *a = 1;", A);

	lab_step("indexes", "nothing; but take the address apart");
	say_split("48 bit, 9+9+9+9 +12", A, 4, 9);
	say_split("57 bit, 9+9+9+9+9 +12", A, 5, 9);

	lab_step("frame", "a[1] = 2;");
	a[1] = 2;

	touch("next", "next", "one page further: map it, and write to it", A + PAGE);
	touch("far", "far", "2 MiB further: map a page, and write to it", A + (2 << 20));
	touch("farther", "farther", "1 GiB further: the same", A + (1 << 30));
	touch("farthest", "farthest", "512 GiB further: the same",
	      A + (UINT64_C(512) << 30));

	touch("low", "low", "low = mmap(0x12345000, a page, …) + 0x678;   *low = 1;",
	      LOW);
	say_split("32 bit, 10+10 +12", LOW, 2, 10);
	say_split("48 bit, 9+9+9+9 +12", LOW, 4, 9);

	lab_step("flat", "nothing; but count");

	lab_step("huge",
		 "h = a place of 2 MiB;  madvise(h, 2 MiB, MADV_HUGEPAGE);  h[0] = 1;");
	char *h = place_for_huge();
	h[0] = 1;
	lab_addr("h", h);

	lab_step("high", "high = mmap(2^52, a page, …);");
	lab_addr("high", page_at(HIGH, PAGE));

	lab_end();
	return 0;
}
