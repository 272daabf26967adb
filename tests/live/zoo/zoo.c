// SPDX-License-Identifier: MIT
// The zoo's gate: runs the exhibits, prints "ready", waits for stdin to end or a signal.

#include "zoo.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LIFETIME_S = 120, MAX_PATHS = 32 };

static char *paths[MAX_PATHS];
static size_t n_paths;

void zoo_must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "zoo: %s: %s\n", what, strerror(errno));
	exit(1);
}

void zoo_range(const char *class, const char *what, const void *start, size_t len)
{
	printf("range class=%s what=%s start=%#jx end=%#jx\n", class, what,
	       (uintmax_t)(uintptr_t)start, (uintmax_t)((uintptr_t)start + len));
}

void zoo_range_rss(const char *class, const char *what, const void *start, size_t len,
		   size_t rss)
{
	printf("range class=%s what=%s start=%#jx end=%#jx rss=%zu\n", class, what,
	       (uintmax_t)(uintptr_t)start, (uintmax_t)((uintptr_t)start + len), rss);
}

void zoo_at(const char *class, const char *what, const void *addr)
{
	zoo_range(class, what, addr, 1);
}

void zoo_skip_why(const char *what, const char *why)
{
	printf("skip what=%s why=%s\n", what, why);
}

void zoo_skip(const char *what)
{
	zoo_skip_why(what, strerrorname_np(errno));
}

void zoo_outside(const char *cause, size_t bytes)
{
	printf("outside cause=%s bytes=%zu\n", cause, bytes);
}

long zoo_read_number(const char *path)
{
	char text[64] = "", *end;
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f && fgets(text, sizeof(text), f)) {
		n = strtol(text, &end, 10);
		if (end == text)
			n = -1;
	}
	if (f)
		fclose(f);
	return n;
}

int zoo_parse_maps(const char *line, uintptr_t *start, uintptr_t *end, uintptr_t *offset)
{
	char *at;

	*start = strtoul(line, &at, 16);
	if (at == line || *at != '-')
		return 0;
	*end = strtoul(at + 1, &at, 16);
	if (*at != ' ' || strlen(at) < 7)
		return 0;
	*offset = strtoul(at + 6, NULL, 16);
	return 1;
}

void zoo_range_named(const char *class, const char *what, const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t start, end, offset;
	char line[8192];

	zoo_must(maps != NULL, "maps");
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, name) || !zoo_parse_maps(line, &start, &end, &offset))
			continue;
		fclose(maps);
		zoo_range(class, what, (void *)start, end - start);
		return;
	}
	fclose(maps);
	zoo_skip_why(what, "not-mapped");
}

void *zoo_map(size_t len, int prot, int flags, int fd)
{
	char *frame = mmap(NULL, len + 2 * ZOO_PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *p;

	zoo_must(frame != MAP_FAILED, "mmap");
	p = mmap(frame + ZOO_PAGE, len, prot, flags | MAP_FIXED, fd, 0);
	return p;
}

void zoo_touch(void *start, size_t len)
{
	for (size_t i = 0; i < len; i += ZOO_PAGE)
		((volatile char *)start)[i] = 1;
}

void zoo_remove_at_exit(char *path)
{
	zoo_must(path && n_paths < MAX_PATHS, "remember a path");
	paths[n_paths++] = path;
}

// Newest first, so that a directory goes after what is in it.
static void remove_paths(void)
{
	while (n_paths) {
		n_paths--;
		umount2(paths[n_paths], MNT_DETACH);
		remove(paths[n_paths]);
	}
}

char *zoo_make_dir(const char *name)
{
	const char *tmp = getenv("TMPDIR");
	char *dir;

	zoo_must(asprintf(&dir, "%s/%s-XXXXXX", tmp ? tmp : "/tmp", name) >= 0,
		 "asprintf");
	zoo_must(mkdtemp(dir) != NULL, dir);
	zoo_remove_at_exit(dir);
	return dir;
}

// Blocked before any thread starts, so all threads inherit it and only we see these.
static int block_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGALRM);
	zoo_must(sigprocmask(SIG_BLOCK, &set, NULL) == 0, "sigprocmask");
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	zoo_must(fd >= 0, "signalfd");
	return fd;
}

static void wait_for_end(int signals)
{
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = signals, .events = POLLIN } };
	char byte;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return;
		if (fds[0].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return;
	}
}

int main(int argc, char **argv)
{
	static char out[ZOO_PAGE];
	int signals = block_signals();

	alarm(LIFETIME_S);
	setvbuf(stdout, out, _IOLBF, sizeof(out));
	setlocale(LC_ALL, "C.UTF-8");
	atexit(remove_paths);

	zoo_objects();
	zoo_heaps();
	zoo_stacks(argc, argv);
	zoo_shared();
	zoo_files(zoo_make_dir("zoo-files"));
	zoo_anon();
	zoo_kernel();
	zoo_threads();
	zoo_arena_truth();
	puts("ready");
	fflush(stdout);
	wait_for_end(signals);
	return 0;
}
