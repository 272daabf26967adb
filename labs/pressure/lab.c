// SPDX-License-Identifier: MIT
/*
 * Memory of several kinds, and what of it the kernel can take back when it needs frames.
 * MADV_PAGEOUT asks for that: it does to the pages of one mapping what memory pressure
 * does to the whole machine.
 */
#include "machine.h"
#include <sys/resource.h>

enum { FILE_LEN = 64 * MIB, SHARED_LEN = 16 * MIB };

static int file;
static struct lab_left before;
static long long cached_before, shmem_before;

/* From here on the machine's figures are compared. */
static void mark(void)
{
	before = lab_left();
	cached_before = lab_meminfo("Cached");
	shmem_before = lab_meminfo("Shmem");
}

/* What differs since then. Other processes have their part in it. */
static void rows(void)
{
	lab_left_rows(&before);
	lab_row("Cached rose by", (lab_meminfo("Cached") - cached_before) / MIB, "MiB");
	lab_row("Shmem rose by", (lab_meminfo("Shmem") - shmem_before) / MIB, "MiB");
}

static int compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

/* The middle one of five: others use memory too, but not each time at that moment. */
static void five_times(void)
{
	enum { N = 5 };
	long long gone[N], unavailable[N];
	for (int i = 0; i < N; i++) {
		lab_drop(file);
		mark();
		lab_read_through(file);
		struct lab_left now = lab_left();
		gone[i] = before.free + before.lists - now.free - now.lists;
		unavailable[i] =
			before.available + before.lists - now.available - now.lists;
	}
	qsort(gone, N, sizeof(gone[0]), compare);
	qsort(unavailable, N, sizeof(gone[0]), compare);
	lab_value("gone", gone[N / 2]);
	lab_value("unavailable", unavailable[N / 2]);
	lab_row("MemFree fell by", gone[N / 2] / MIB, "MiB");
	lab_row("MemAvailable fell by", unavailable[N / 2] / MIB, "MiB");
}

/* Maps it, touches it, asks the kernel to take it back. What stays, in bytes. */
static long long pressed(int fd, size_t len, size_t lock)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		_exit(1);
	for (size_t i = 0; i < len; i += page)
		(void)*(volatile char *)(map + i);
	if (lock && mlock(map, lock))
		lab_say("mlock: %s", strerror(errno));
	madvise(map, lock, MADV_PAGEOUT);
	madvise(map + lock, len - lock, MADV_PAGEOUT);
	long long kept = lab_cached(fd, len);
	munmap(map, len);
	return kept;
}

/* As much as may be locked here, at most 4 MiB. */
static size_t lockable(void)
{
	struct rlimit limit;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), most = 4 * MIB;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur / 2 < most &&
	    geteuid() != 0)
		most = limit.rlim_cur / 2;
	return most & -page;
}

/* A file in tmpfs, with no name, as lab_file() has one on a disk. */
static int tmpfs_file(void)
{
	struct statfs fs;
	int fd = -1;
	if (statfs("/dev/shm", &fs) == 0 && fs.f_type == 0x01021994)
		fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? memfd_create("lab", MFD_CLOEXEC) : fd;
}

int main(void)
{
	lab_start();
	file = lab_file();
	if (file >= 0 && lab_fill(file, FILE_LEN) == 0)
		lab_drop(file);
	lab_value("file", file >= 0 && lab_cached(file, FILE_LEN) < MIB);
	lab_value("len", FILE_LEN);
	lab_value("shared", SHARED_LEN);
	mark();

	lab_step("fill", "reads a file of 64 MiB from the disk, with read()");
	lab_read_through(file);
	lab_value("cached", lab_cached(file, FILE_LEN));
	rows();

	lab_step("available", "drops it from memory and reads it again, five times");
	five_times();

	lab_step("reclaim", "maps it, touches it, madvise(MADV_PAGEOUT)");
	lab_value("kept", pressed(file, FILE_LEN, 0));

	lab_step("dirty", "writes 8 MiB of the file; the same again");
	lab_fill(file, 8 * MIB);
	lab_value("kept", pressed(file, 8 * MIB, 0));

	lab_step("clean", "fsync(file); the same again");
	fsync(file);
	lab_value("kept", pressed(file, 8 * MIB, 0));

	size_t lock = lockable();
	lab_value("lock", (long long)lock);
	lab_step("mlock", "maps it, mlock() of its beginning; the same again");
	lab_value("kept", pressed(file, 8 * MIB, lock));

	mark();
	lab_step("tmpfs", "writes 16 MiB to a file in tmpfs, with write()");
	int shm = tmpfs_file();
	lab_value("filled", lab_fill(shm, SHARED_LEN) == 0);
	lab_value("cached", lab_cached(shm, SHARED_LEN));
	rows();

	lab_step("no-way-out", "maps it, touches it, madvise(MADV_PAGEOUT)");
	lab_value("kept", pressed(shm, SHARED_LEN, 0));

	lab_end();
	return 0;
}
