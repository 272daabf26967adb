/* SPDX-License-Identifier: MIT */
/*
 * What some labs need of the machine: numbers out of the kernel's text files, and files
 * on a disk of which it can be said how much is in the page cache.
 */
#pragma once

#include "lab.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum { MIB = 1 << 20 };

/* The text of a small file, cut where it does not fit; "" when it cannot be read. */
LAB_API const char *lab_read(const char *path, char *text, size_t size)
{
	size_t len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t got;
		while ((got = read(fd, text + len, size - 1 - len)) > 0)
			len += (size_t)got;
		close(fd);
	}
	text[len] = '\0';
	return text;
}

/* 0 when the kernel took it. */
LAB_API int lab_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t put = write(fd, text, strlen(text));
	close(fd);
	return put == (ssize_t)strlen(text) ? 0 : -1;
}

/* The number behind a word at the beginning of a line; -1 when there is none. */
LAB_API long long lab_number_in(const char *text, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = text; *at;) {
		if (strncmp(at, word, len) == 0 && at[len] && strchr(" :\t", at[len]))
			return strtoll(at + len + 1, NULL, 10);
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return -1;
}

LAB_API long long lab_number(const char *path, const char *word)
{
	char text[8192];
	return lab_number_in(lab_read(path, text, sizeof(text)), word);
}

/* A line of /proc/meminfo, in bytes. */
LAB_API long long lab_meminfo(const char *word)
{
	return lab_number("/proc/meminfo", word) * 1024;
}

/*
 * Pages that each CPU keeps for itself, to give them out without a lock. They are free,
 * but MemFree and MemAvailable do not count them, and since Linux 6.7 they may be many.
 */
LAB_API long long lab_cpu_lists(void)
{
	size_t size = 1 << 20;
	long long pages = 0;
	void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	if (room == MAP_FAILED)
		return 0;
	const char *at = lab_read("/proc/zoneinfo", (char *)room, size);
	while ((at = strstr(at, " count:")))
		pages += strtoll(at += 7, NULL, 10);
	munmap(room, size);
	return pages * sysconf(_SC_PAGESIZE);
}

/* What the machine has, at one moment. */
struct lab_left {
	long long free, lists, available, cached, shmem;
};

LAB_API struct lab_left lab_left(void)
{
	char text[8192]; /* all of one moment, so that they can be compared */
	lab_read("/proc/meminfo", text, sizeof(text));
	return (struct lab_left){ lab_number_in(text, "MemFree") << 10, lab_cpu_lists(),
				  lab_number_in(text, "MemAvailable") << 10,
				  lab_number_in(text, "Cached") << 10,
				  lab_number_in(text, "Shmem") << 10 };
}

LAB_API void lab_left_row(const char *what, long long was, long long is)
{
	char label[64];
	snprintf(label, sizeof(label), "%s before", what);
	lab_row(label, was / MIB, "MiB");
	snprintf(label, sizeof(label), "%s now", what);
	lab_row(label, is / MIB, "MiB");
}

/* What it has now. All that happens on the machine has a part in the difference. */
LAB_API void lab_left_rows(const struct lab_left *was, int with_cache)
{
	struct lab_left now = lab_left();
	lab_left_row("MemFree", was->free, now.free);
	lab_left_row("CPUs' lists", was->lists, now.lists);
	lab_left_row("MemAvailable", was->available, now.available);
	if (!with_cache)
		return;
	lab_left_row("Cached", was->cached, now.cached);
	lab_left_row("Shmem", was->shmem, now.shmem);
}

LAB_API int lab_compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return (x > y) - (x < y);
}

/* The middle one of five: others use memory too, but not each time at that moment. */
LAB_API long long lab_middle(long long five[5])
{
	qsort(five, 5, sizeof(five[0]), lab_compare);
	return five[2];
}

/* A new file without a name. Where the file system has none, with one for a moment. */
LAB_API int lab_nameless(const char *folder)
{
	char path[64];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "%s/memwhy-lab-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/*
 * A new file that only this process knows, so nothing of it stays behind, not even after
 * a kill. On a disk, because a file in tmpfs is nothing but cache. -1 when there is no
 * place for it.
 */
LAB_API int lab_file(void)
{
	static const char *const folders[] = { "/var/tmp", "/tmp", "." };
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct statfs fs;
		if (statfs(folders[i], &fs) || fs.f_type == 0x01021994 /* tmpfs */ ||
		    fs.f_type == 0x858458f6 /* ramfs */)
			continue;
		int fd = lab_nameless(folders[i]);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* How many of its first `len` bytes are in memory, counted in pages. */
LAB_API long long lab_cached(int fd, size_t len)
{
	unsigned char there[1024];
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	for (size_t from = 0; from < len; from += sizeof(there) * page) {
		size_t part = len - from < sizeof(there) * page ? len - from
								: sizeof(there) * page;
		void *map = mmap(NULL, part, PROT_READ, MAP_SHARED, fd, (off_t)from);
		if (map == MAP_FAILED || mincore(map, part, there))
			return -1;
		for (size_t i = 0; i < (part + page - 1) / page; i++)
			n += there[i] & 1;
		munmap(map, part);
	}
	return (long long)(n * page);
}

/* How many are newer than the disk: cachestat(), since Linux 6.5. -1: not to be had. */
LAB_API long long lab_unwritten(int fd, size_t len)
{
	uint64_t range[2] = { 0, len }, counts[5]; /* in cache, dirty, being written, … */
	if (syscall(451, fd, range, counts, 0))
		return -1;
	return (long long)(counts[1] + counts[2]) * sysconf(_SC_PAGESIZE);
}

/* Has the kernel forget the file's pages, which it does once they are on the disk. */
LAB_API void lab_drop(int fd)
{
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Writes `len` bytes of a pattern; 0 when all are written. */
LAB_API int lab_fill(int fd, size_t len)
{
	char block[16 << 10];
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 31 >> 3);
	lseek(fd, 0, SEEK_SET);
	while (len) {
		ssize_t put = write(fd, block, len < sizeof(block) ? len : sizeof(block));
		if (put <= 0)
			return -1;
		len -= (size_t)put;
	}
	return 0;
}

/* A file of `len` bytes that is on the disk and not in memory; -1 where that fails. */
LAB_API int lab_cold_file(size_t len)
{
	int fd = lab_file();
	if (fd < 0 || lab_fill(fd, len))
		return -1;
	lab_drop(fd);
	return lab_cached(fd, len) < MIB ? fd : -1;
}

/* Reads all of it with read(), through a buffer that is not seen in any plot. */
LAB_API void lab_read_through(int fd)
{
	char block[16 << 10];
	lseek(fd, 0, SEEK_SET);
	while (read(fd, block, sizeof(block)) > 0)
		;
}
