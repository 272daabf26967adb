// SPDX-License-Identifier: MIT
/*
 * copy-file [MIB]: copies a file with read() and write(), and with two mappings and
 * memcpy(); from the disk and from the page cache; with buffers and files of several
 * sizes.
 */
#include "machine.h"
#include <time.h>

static size_t len;
static int from, to; /* the two files, of len bytes */
static char *a, *b;  /* their mappings */
static long long calls;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The classical way: over a buffer of our own. */
static void copy_read_write(size_t n, char *buffer, size_t buffer_len)
{
	lseek(from, 0, SEEK_SET);
	lseek(to, 0, SEEK_SET);
	calls = 0;
	for (size_t done = 0; done < n; calls++) {
		ssize_t got = read(from, buffer, buffer_len);
		if (got <= 0 || write(to, buffer, (size_t)got) != got)
			_exit(1);
		done += (size_t)got;
	}
}

static void copy_mmap(size_t n)
{
	a = mmap(NULL, n, PROT_READ, MAP_SHARED, from, 0);
	b = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	if (a == MAP_FAILED || b == MAP_FAILED)
		_exit(1);
	memcpy(b, a, n);
}

static void unmap_both(size_t n)
{
	munmap(a, n);
	munmap(b, n);
}

/* One bar: what a copy of n bytes was worth. buffer_len is 0 for mmap. */
static void bar(const char *how, size_t n, size_t buffer_len)
{
	char label[64];
	char *buffer = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	double start = now();
	if (buffer_len)
		copy_read_write(n, buffer, buffer_len);
	else {
		copy_mmap(n);
		unmap_both(n);
	}
	double rate = (double)n / MIB / (now() - start);
	snprintf(label, sizeof(label), buffer_len ? "%s %zu %s" : "%s mmap", how,
		 buffer_len >= 1024 ? buffer_len / 1024 : buffer_len,
		 buffer_len >= 1024 ? "KiB" : "B");
	lab_row(label, (long long)rate, "MiB/s");
	munmap(buffer, 1 << 20);
}

/* Both files begin and end on the disk: what an earlier copy left is not to be paid. */
static void both_ways(size_t n)
{
	char how[64];
	for (int cold = 1; cold >= 0; cold--) {
		for (int map = 0; map < 2; map++) {
			fsync(to);
			if (cold)
				lab_drop(from);
			snprintf(how, sizeof(how), "%zu MiB, %s,", n / MIB,
				 cold ? "cold" : "warm");
			bar(how, n, map ? 0 : 64 << 10);
		}
	}
}

static void tell_cached(void)
{
	lab_value("cached", lab_cached(from, len));
	lab_value("unwritten", lab_unwritten(from, len) + lab_unwritten(to, len));
}

static void sweep(void)
{
	for (size_t size = 512; size <= 1 << 20; size *= 8) {
		bar("buffer", len, size);
		if (size == 4096)
			lab_value("calls", calls);
	}
	bar("by", len, 0);
}

int main(int argc, char **argv)
{
	static char buffer[64 << 10];
	long mib = argc > 1 ? strtol(argv[1], NULL, 10) : 32;

	lab_start();
	memset(buffer, 0, sizeof(buffer));
	len = (size_t)(mib < 4 || mib > 1024 ? 32 : mib) * MIB;
	from = lab_file();
	to = lab_file();
	lab_value("len", (long long)len);
	lab_value("files", from >= 0 && to >= 0);
	if (from < 0 || to < 0)
		_exit(1);

	lab_step("write", "writes a file");
	if (lab_fill(from, len) || ftruncate(to, (off_t)len))
		_exit(1);
	tell_cached();

	lab_step("drop", "fsync(from); posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED);");
	lab_drop(from);
	tell_cached();

	lab_step("read-write", "copies it with read() and write(), through 64 KiB");
	copy_read_write(len, buffer, sizeof(buffer));
	tell_cached();

	lab_drop(from);
	lab_step("mmap", "a and b map the two files; memcpy(b, a, len);");
	copy_mmap(len);
	lab_addr("a", a);
	lab_addr("b", b);
	tell_cached();

	lab_step("msync", "msync(b, len, MS_SYNC);");
	msync(b, len, MS_SYNC);
	tell_cached();

	lab_step("warm", "unmaps both, maps both again; memcpy(b, a, len);");
	unmap_both(len);
	copy_mmap(len);
	lab_addr("a", a);
	lab_addr("b", b);

	lab_step("buffers", "copies it with buffers of several sizes, and by mmap");
	unmap_both(len);
	sweep();

	lab_step("sizes",
		 "copies files of several sizes, from the disk and from the cache");
	for (size_t n = MIB; n <= len; n *= 4)
		both_ways(n);

	lab_end();
	return 0;
}
