// SPDX-License-Identifier: MIT
/*
 * One kind of page fault after the other, each provoked on purpose: a page that is new,
 * one that is only read, a file in the page cache, a private copy of its pages, a file
 * that must come from the disk, and a huge page.
 */
#include "machine.h"
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

enum { PAGES = 64, FILE_PAGES = 256, COLD = 16 };

static size_t page, file_len, huge_len;

/* What a page of each kind cost, for the plot at the end. */
static struct {
	const char *what;
	long long ns;
} costs[9];
static int n_costs;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Reads or writes one byte in each of n pages. */
static void touch(const char *what, volatile char *at, size_t n, int write)
{
	long long start = now();
	for (size_t i = 0; i < n; i++) {
		if (write)
			at[i * page] = 1;
		else
			(void)at[i * page];
	}
	if (what)
		costs[n_costs].what = what, costs[n_costs++].ns = (now() - start) / n;
}

/* Address space of our own that begins at a multiple of `align`, with nothing in it. */
static volatile char *reserve(size_t len, size_t align)
{
	char *at = mmap(NULL, len + align, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return at + (align - (uintptr_t)at % align) % align;
}

static void map_file(volatile char *at, int fd, int advice)
{
	mmap((void *)at, file_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
	     0);
	madvise((void *)at, file_len, advice);
}

/* The same, when nothing of the file is in memory: what is mapped is not forgotten. */
static void map_cold(volatile char *at, int fd, int advice)
{
	munmap((void *)at, file_len);
	lab_drop(fd);
	map_file(at, fd, advice);
}

static volatile char *map_huge(void)
{
	volatile char *at = reserve(huge_len, huge_len);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	madvise((void *)at, huge_len, MADV_HUGEPAGE);
	return at;
}

static long faults(int major)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return major ? usage.ru_majflt : usage.ru_minflt;
}

/* Whether a file can be had whose pages are not in memory. */
static int try_cold(int fd)
{
	if (lab_fill(fd, file_len))
		return 0;
	volatile char *at = reserve(file_len, page);
	map_cold(at, fd, MADV_RANDOM);
	long before = faults(1);
	touch(NULL, at, 1, 0);
	int ret = faults(1) == before + 1 && lab_cached(fd, file_len) < 2 * (int)page;
	munmap((void *)at, file_len);
	return ret;
}

/* Whether the kernel has a huge page for us. */
static int try_huge(void)
{
	volatile char *at = map_huge();
	long before = faults(0);
	touch(NULL, at, huge_len / page, 1);
	int ret = faults(0) - before < (long)(huge_len / page) / 2;
	munmap((void *)at, huge_len);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	return ret;
}

/* A number in a file of the kernel's; `otherwise` when it cannot be read. */
static long setting(const char *path, long otherwise)
{
	char text[64];
	lab_read(path, text, sizeof(text));
	return *text ? strtol(text, NULL, 10) : otherwise;
}

static long read_ahead(int fd)
{
	char path[64];
	struct stat st;
	if (fstat(fd, &st))
		return 0;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 major(st.st_dev), minor(st.st_dev));
	return setting(path, 128) * 1024;
}

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	file_len = FILE_PAGES * page;
	lab_start();
	huge_len = setting("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", 2 << 20);
	long around = setting("/sys/kernel/debug/fault_around_bytes", 64 << 10);
	around = around < (long)page ? (long)page : around;
	int fd = lab_file();
	if (fd < 0) /* no disk: a file in memory shows all but major faults */
		fd = memfd_create("lab", MFD_CLOEXEC);
	lab_value("pages", PAGES);
	lab_value("file_pages", FILE_PAGES);
	lab_value("cold_pages", COLD);
	lab_value("around", around);
	lab_value("ahead", read_ahead(fd));
	lab_value("has_cold", try_cold(fd));
	lab_value("has_huge", try_huge());
	lab_fill(fd, file_len); /* all of it is in the page cache now */
	volatile char *a = reserve(PAGES * page, page), *z = reserve(PAGES * page, page);
	volatile char *f = reserve(file_len, around);
	map_file(f, fd, MADV_NORMAL);
	volatile char *small = reserve(huge_len, huge_len);
	lab_addr("a", a);
	lab_addr("z", z);
	lab_addr("f", f);

	lab_step("new", "writes 64 new pages, a byte in each");
	touch("new page", a, PAGES, 1);

	lab_step("zero", "reads 64 other new pages");
	touch("zero page", z, PAGES, 0);

	lab_step("written", "writes the pages that were read");
	touch("written after read", z, PAGES, 1);

	lab_step("file", "reads one byte of a file that is in the page cache, mapped "
			 "with MAP_PRIVATE");
	touch(NULL, f, 1, 0);

	lab_step("around", "reads a byte in each of the file's 256 pages");
	touch("page in the cache", f, FILE_PAGES, 0);

	lab_step("copy", "writes a byte in each of the 256 pages");
	touch("private copy", f, FILE_PAGES, 1);

	lab_step("major", "has the kernel forget the file's pages, maps it again with "
			  "MADV_RANDOM, reads 16 pages");
	map_cold(f, fd, MADV_RANDOM);
	touch("page on the disk", f, COLD, 0);

	lab_step("ahead", "the same once more, but all pages in order and with "
			  "MADV_NORMAL");
	map_cold(f, fd, MADV_NORMAL);
	touch("disk, read ahead", f, FILE_PAGES, 0);

	lab_step("small", "writes every page of a range as large as a huge page; huge "
			  "pages are off");
	touch("small pages", small, huge_len / page, 1);

	lab_step("huge", "the same with huge pages on: the first byte");
	volatile char *huge = map_huge();
	long long start = now();
	huge[0] = 1;
	costs[n_costs].what = "huge page";
	costs[n_costs++].ns = (now() - start) / (long long)(huge_len / page);
	lab_addr("h", huge);

	lab_step("rest", "and all the rest of it");
	touch(NULL, huge, huge_len / page, 1);

	lab_step("cost", "what a page of each kind took");
	for (int i = 0; i < n_costs; i++)
		lab_row(costs[i].what, costs[i].ns, "ns");

	lab_end();
	return 0;
}
