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

/*
 * By how much more MemFree falls than MemAvailable, when the file comes into memory. What
 * other processes take counts in both; the middle one of five, because they read files
 * too.
 */
static void five_times(void)
{
	long long more[5];
	for (int i = 0; i < 5; i++) {
		lab_drop(file);
		struct lab_left was = lab_left();
		lab_read_through(file);
		struct lab_left now = lab_left();
		more[i] = was.free - now.free - (was.available - now.available);
	}
	lab_value("more", lab_middle(more));
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
	file = lab_cold_file(FILE_LEN);
	lab_value("file", file >= 0);
	lab_value("len", FILE_LEN);
	lab_value("shared", SHARED_LEN);

	lab_step("fill", "reads a file of 64 MiB from the disk, with read()");
	struct lab_left was = lab_left();
	lab_read_through(file);
	lab_value("cached", lab_cached(file, FILE_LEN));
	lab_left_rows(&was, 1);

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

	lab_step("tmpfs", "writes 16 MiB to a file in tmpfs, with write()");
	was = lab_left();
	int shm = tmpfs_file();
	lab_value("filled", lab_fill(shm, SHARED_LEN) == 0);
	lab_value("cached", lab_cached(shm, SHARED_LEN));
	lab_left_rows(&was, 1);

	lab_step("no-way-out", "maps it, touches it, madvise(MADV_PAGEOUT)");
	lab_value("kept", pressed(shm, SHARED_LEN, 0));

	lab_end();
	return 0;
}
