// SPDX-License-Identifier: MIT
/* The live source: page states, against mappings whose every page is known. */
#include "target.h"

#include "base/vec.h"

#include <string.h>

static char *map(size_t n_pages, int prot)
{
	char *p = mmap(NULL, n_pages * PAGE, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	madvise(p, n_pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static void need_scan(struct mw_source *src)
{
	bool can = false;
	expect_ok(mw_source_probe(src, MW_FEATURE_PAGEMAP_SCAN, &can));
	if (!can)
		skip_with(src, "PAGEMAP_SCAN (Linux 6.7)");
}

/* Pages 1 to 3 written, 5 read (the zero page), 8 written, 9 a guard if there are any. */
static void body_known(struct shared *shared)
{
	volatile char *p = map(16, PROT_READ | PROT_WRITE);
	char sink;

	memset((char *)p + PAGE, 1, 3 * PAGE);
	sink = p[5 * PAGE];
	(void)sink;
	p[8 * PAGE] = 1;
	shared->signals = madvise((char *)p + 9 * PAGE, PAGE, 102) == 0;
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

static void expect_range(const struct mw_page_range *range, uint64_t at, size_t first,
			 size_t n, uint64_t categories)
{
	assert_int_equal(range->start, at + first * PAGE);
	assert_int_equal(range->end, at + (first + n) * PAGE);
	assert_int_equal(range->categories & ~(uint64_t)MW_SCAN_SOFT_DIRTY, categories);
}

static void test_scan_known(void **state)
{
	(void)state;
	auto_target target = target_start(body_known);
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t at = target.shared->addr, word;

	need_scan(src);
	assert_true(mw_vec_add(&ranges, (struct mw_page_range){ 1, 2, 3 }));
	expect_ok(mw_source_scan(src, target.pid, at, at + 16 * PAGE, &ranges));
	assert_int_equal(ranges.items[0].categories, 3);
	expect_range(&ranges.items[1], at, 1, 3, MW_SCAN_PRESENT);
	expect_range(&ranges.items[2], at, 5, 1, MW_SCAN_PRESENT | MW_SCAN_PFNZERO);
	expect_range(&ranges.items[3], at, 8, 1, MW_SCAN_PRESENT);
	/* The guard has a category since 6.15, two versions after guards. */
	if (target.shared->signals && ranges.n > 4)
		assert_true(ranges.items[4].categories &
			    (MW_SCAN_GUARD | MW_SCAN_SWAPPED));
	ranges.n = 0;
	expect_ok(mw_source_scan(src, target.pid, at + 2 * PAGE, at + 3 * PAGE, &ranges));
	assert_int_equal(ranges.n, 1);
	expect_range(&ranges.items[0], at, 2, 1, MW_SCAN_PRESENT);
	mw_vec_deinit(&ranges);
	expect_ok(mw_source_read_pagemap(src, target.pid, at + 4 * PAGE, 1, &word));
	assert_int_equal(word >> 63, 0);
}

enum { COMB_PAGES = 20000 };

/* Every other page: 10,000 ranges, more than one call or one kernel batch gives. */
static void body_comb(struct shared *shared)
{
	char *p = map(COMB_PAGES, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < COMB_PAGES; i += 2)
		p[i * PAGE] = 1;
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

static void test_scan_comb(void **state)
{
	(void)state;
	static uint64_t words[COMB_PAGES];
	auto_target target = target_start(body_comb);
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t at = target.shared->addr;

	expect_ok(mw_source_read_pagemap(src, target.pid, at, COMB_PAGES, words));
	for (size_t i = 0; i < COMB_PAGES; i++)
		assert_int_equal(words[i] >> 63, i % 2 == 0);
	need_scan(src);
	expect_ok(mw_source_scan(src, target.pid, at, at + (uint64_t)COMB_PAGES * PAGE,
				 &ranges));
	assert_int_equal(ranges.n, COMB_PAGES / 2);
	for (size_t i = 0; i < ranges.n; i++)
		expect_range(&ranges.items[i], at, 2 * i, 1, MW_SCAN_PRESENT);
	mw_vec_deinit(&ranges);
}

enum { BIG_PAGES = 70000 };

static void body_big(struct shared *shared)
{
	char *p = map(BIG_PAGES, PROT_READ | PROT_WRITE);

	memset(p, 1, (size_t)BIG_PAGES * PAGE);
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

/* More pages than a call may take are still one range. */
static void test_scan_big(void **state)
{
	(void)state;
	auto_target target = target_start(body_big);
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t at = target.shared->addr;

	need_scan(src);
	expect_ok(mw_source_scan(src, target.pid, at, at + (uint64_t)BIG_PAGES * PAGE,
				 &ranges));
	assert_int_equal(ranges.n, 1);
	expect_range(&ranges.items[0], at, 0, BIG_PAGES, MW_SCAN_PRESENT);
	mw_vec_deinit(&ranges);
}

static void body_reserve(struct shared *shared)
{
	const size_t n = (size_t)1 << 28; /* 1 TiB */
	char *p = map(n, PROT_NONE);

	if (mprotect(p + (n - 1) * PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
		_exit(1);
	p[(n - 1) * PAGE] = 1;
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

static void test_scan_reserve(void **state)
{
	(void)state;
	auto_target target = target_start(body_reserve);
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t at = target.shared->addr, len = 1ULL << 40, since = clock_ms();

	need_scan(src);
	expect_ok(mw_source_scan(src, target.pid, at, at + len, &ranges));
	assert_true(clock_ms() - since < 1000); /* reading its pagemap takes seconds */
	assert_int_equal(ranges.n, 1);
	expect_range(&ranges.items[0], at, (len >> 12) - 1, 1, MW_SCAN_PRESENT);
	mw_vec_deinit(&ranges);
}

static void test_ranges_refused(void **state)
{
	(void)state;
	mw_auto_source src = open_live();
	struct mw_page_ranges ranges = { 0 };
	uint64_t words[4] = { 1, 1, 1, 1 };
	pid_t me = getpid();

	assert_int_equal(code_of(mw_source_scan(src, me, 1, PAGE, &ranges)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_scan(src, me, PAGE, 0, &ranges)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_pagemap(src, me, 8, 1, words)),
			 MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_read_pagemap(src, me, PAGE, SIZE_MAX, words)),
			 MW_ERR_USAGE);
	/* [vsyscall] is in maps, but in no page map. */
	expect_ok(mw_source_read_pagemap(src, me, 0xffffffffff600000, 4, words));
	for (int i = 0; i < 4; i++)
		assert_int_equal(words[i], 0);
}

static void test_kpage(void **state)
{
	(void)state;
	mw_auto_source src = open_live();
	bool frames = false, counts = false;
	uint64_t word = 0, count = 0, flags = 0, past[2] = { 1, 1 };
	char *p = map(1, PROT_READ | PROT_WRITE);

	*(volatile char *)p = 1;
	expect_ok(
		mw_source_read_pagemap(src, getpid(), (uint64_t)(uintptr_t)p, 1, &word));
	expect_ok(mw_source_probe(src, MW_FEATURE_FRAMES, &frames));
	expect_ok(mw_source_probe(src, MW_FEATURE_KPAGECOUNT, &counts));
	if (!frames || !counts) {
		assert_int_equal(
			code_of(mw_source_read_kpage(src, MW_KPAGE_COUNT, 0, 1, &count)),
			MW_ERR_DENIED);
		skip_with(src, "CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH");
	}
	uint64_t pfn = word & ((1ULL << 55) - 1);
	expect_ok(mw_source_read_kpage(src, MW_KPAGE_COUNT, pfn, 1, &count));
	expect_ok(mw_source_read_kpage(src, MW_KPAGE_FLAGS, pfn, 1, &flags));
	assert_int_equal(count, 1);
	assert_true(flags >> 12 & 1); /* anonymous */
	expect_ok(mw_source_read_kpage(src, MW_KPAGE_COUNT, 1ULL << 50, 2, past));
	assert_int_equal(past[0] | past[1], 0);
	assert_int_equal(
		code_of(mw_source_read_kpage(src, MW_KPAGE_COUNT, UINT64_MAX, 2, past)),
		MW_ERR_USAGE);
	munmap(p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_known),
		cmocka_unit_test(test_scan_comb),
		cmocka_unit_test(test_scan_big),
		cmocka_unit_test(test_scan_reserve),
		cmocka_unit_test(test_ranges_refused),
		cmocka_unit_test(test_kpage),
	};

	return cmocka_run_group_tests_name("live pages", tests, NULL, NULL);
}
