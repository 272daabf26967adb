// SPDX-License-Identifier: MIT
// Mapped files: shared, private, copied on write, deleted, and kinds known by name.

#include "zoo.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LEN = 256 * ZOO_KIB };

static int make_file(const char *path)
{
	static char bytes[LEN];
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	zoo_must(fd >= 0, path);
	memset(bytes, 7, sizeof(bytes));
	zoo_must(write(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes), path);
	return fd;
}

static char *path_in(const char *dir, const char *name)
{
	char *path;

	zoo_must(asprintf(&path, "%s/%s", dir, name) >= 0, "asprintf");
	return path;
}

static void read_all(const char *p)
{
	for (size_t i = 0; i < LEN; i += ZOO_PAGE)
		(void)*(const volatile char *)(p + i);
}

// Maps a new file of this name; `writes` of its first bytes are copied on write.
static void show(const char *dir, const char *name, const char *class, int flags,
		 size_t writes)
{
	char *path = path_in(dir, name), *p;
	int fd = make_file(path);

	p = zoo_map(LEN, PROT_READ | PROT_WRITE, flags, fd);
	zoo_must(p != MAP_FAILED, path);
	close(fd);
	read_all(p);
	zoo_touch(p, writes);
	zoo_range_rss(class, name, p, LEN, LEN);
	zoo_remove_at_exit(path);
}

static void deleted(const char *dir)
{
	char *path = path_in(dir, "deleted.bin"), *p;
	int fd = make_file(path);

	p = zoo_map(LEN, PROT_READ, MAP_PRIVATE, fd);
	zoo_must(p != MAP_FAILED, path);
	close(fd);
	unlink(path);
	free(path);
	read_all(p);
	zoo_range_rss("file.other", "deleted.bin", p, LEN, LEN);
}

void zoo_files(const char *dir)
{
	iconv_t conversion = iconv_open("EBCDIC-US", "UTF-8");

	show(dir, "private.bin", "file.other", MAP_PRIVATE, 0);
	show(dir, "cow.bin", "file.other", MAP_PRIVATE, LEN / 2);
	show(dir, "shared.bin", "file.other", MAP_SHARED, 0);
	show(dir, "zoo.ttf", "file.font", MAP_PRIVATE, 0);
	show(dir, "zoo.jar", "file.jar", MAP_PRIVATE, 0);
	show(dir, "zoo.sqlite", "file.db", MAP_SHARED, 0);
	show(dir, "icudtl.dat", "file.icu", MAP_PRIVATE, 0);
	deleted(dir);
	zoo_range_named("file.locale", "locale", "/locale/");
	if (conversion == (iconv_t)-1)
		zoo_skip("gconv");
	else
		zoo_range_named("file.gconv", "gconv", "gconv-modules.cache");
}
