// SPDX-License-Identifier: MIT
/*
 * memory-user [MIB [SECONDS]]: takes that much memory and uses it for a while. First on
 * the whole machine, then, in a child, inside a group whose memory has an end: what comes
 * when there is no free memory any more.
 */
#include "group.h"
#include <sys/resource.h>
#include <time.h>

enum { LIMIT = 32 * MIB, FILE_LEN = 24 * MIB, SWAP = 16 * MIB, ROOM = 80 * MIB };

static size_t page;
static struct lab_group group;
static int file;
static char *c; /* of the child */

static void touch(char *from, size_t len, char value)
{
	for (size_t i = 0; i < len; i += page)
		*(volatile char *)(from + i) = value;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Goes over all of it again and again; a bar for each second. */
static void keep_touching(char *m, size_t len, long seconds)
{
	double start = now();
	long long iterations = 0;
	for (long second = 1; second <= seconds; second++) {
		char label[64];
		long long n = 0;
		for (; n == 0 || now() < start + (double)second; n++)
			touch(m, len, (char)n);
		snprintf(label, sizeof(label), "iterations in second %ld", second);
		lab_row(label, n, "");
		iterations += n;
	}
	lab_say("process %d went on", (int)getpid());
	lab_value("iterations", iterations);
}

/* How much less is free with an eighth of it, a quarter, a half, and all. */
static void sizes(size_t most)
{
	for (size_t len = most / 8; len <= most; len *= 2) {
		char label[64];
		long long less[5];
		for (int i = 0; i < 5; i++) {
			struct lab_left was = lab_left();
			char *m = mmap(NULL, len, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			touch(m, len, 1);
			struct lab_left now = lab_left();
			less[i] = was.free + was.lists - now.free - now.lists;
			munmap(m, len);
		}
		snprintf(label, sizeof(label), "with %zu KiB", len >> 10);
		lab_row(label, lab_middle(less) >> 10, "KiB");
	}
}

/* Asks for more address space than it lets itself have. */
static void refuse(size_t len)
{
	struct rlimit old, less;
	getrlimit(RLIMIT_AS, &old);
	less = old;
	less.rlim_cur = len / 2;
	setrlimit(RLIMIT_AS, &less);
	errno = 0;
	char *m = malloc(len);
	int error = m ? 0 : errno;
	setrlimit(RLIMIT_AS, &old);
	lab_text("refused", m ? "no" : strerror(error));
	free(m);
}

/* What the child does, in the group. */
static void turn(int n)
{
	if (n == 0 &&
	    (lab_group_join(&group) || mprotect(c, ROOM, PROT_READ | PROT_WRITE)))
		_exit(1);
	if (n == 1)
		lab_read_through(file);
	if (n == 2)
		touch(c, LIMIT - 8 * MIB, 2);
	if (n == 3)
		touch(c, LIMIT + 8 * MIB, 3);
	if (n == 4)
		touch(c, ROOM, 4);
}

static void group_does(struct lab_child *child, int n)
{
	if (group.version)
		lab_turn(child, n);
}

static void tell_group(void)
{
	long long cached = lab_cached(file, FILE_LEN);
	lab_value("cached", cached);
	if (!group.version)
		return;
	lab_value("hits", lab_group_hits(&group));
	lab_row("charged to the group", lab_group_usage(&group) / MIB, "MiB");
	lab_row("of the file in memory", cached / MIB, "MiB");
}

/* With a swappiness of 0 a group that is full is never swapped. */
static int may_swap(void)
{
	char text[32];
	return lab_meminfo("SwapFree") > 4LL * SWAP &&
	       strtol(lab_read("/proc/sys/vm/swappiness", text, sizeof(text)), NULL, 10);
}

/* free, cache, swap, and the end of it. */
static void fill_group(void)
{
	struct lab_child child = { 0, -1, -1 };
	int status = 0;

	file = lab_cold_file(FILE_LEN);
	if (file >= 0)
		group = lab_group_make(LIMIT, SWAP);
	int swap = group.version && may_swap();
	lab_value("limit", LIMIT);
	lab_value("file_len", FILE_LEN);
	lab_value("group", group.version);
	lab_value("swap_space", swap);

	lab_step("group", "a child moves into a memory cgroup with a limit of 32 MiB");
	if (group.version)
		child = lab_fork("child", turn);
	group_does(&child, 0);
	if (group.version && lab_to < 0)
		lab_say("%s, of version %d", group.path, group.version);
	tell_group();

	lab_step("cache", "child: reads a file of 24 MiB with read()");
	group_does(&child, 1);
	tell_group();

	lab_step("reclaim", "child: touches 24 MiB at c");
	group_does(&child, 2);
	lab_value("alive", group.version && waitpid(child.pid, NULL, WNOHANG) == 0);
	tell_group();

	lab_step("swap", "child: touches 40 MiB at c");
	if (swap)
		lab_turn(&child, 3);
	tell_group();

	lab_step("oom", "child: touches 80 MiB at c");
	group_does(&child, 4);
	int killed = child.pid && waitpid(child.pid, &status, 0) == child.pid &&
		     WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	lab_text("end", killed ? "SIGKILL" : "another");
	lab_value("killed", lab_group_killed(&group));
}

/* Never more than a quarter of what the machine, and a limit above us, have left. */
static size_t size_to_take(const char *asked)
{
	long long available = lab_meminfo("MemAvailable"), left = lab_group_left();
	long long mib = asked ? strtoll(asked, NULL, 10) : 64;
	long long most = (available < left ? available : left) / 4 / MIB;
	long long taken = mib < 1 || mib > most ? (most < 64 ? most : 64) : mib;
	if (asked && taken != mib)
		lab_say("%s MiB: refused. At most %lld, a quarter of what is left", asked,
			most);
	lab_value("mib", taken);
	return (size_t)taken * MIB;
}

int main(int argc, char **argv)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	lab_start();
	struct lab_left was;
	size_t len = size_to_take(argv[1]);
	long seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;

	lab_step("malloc", "m = malloc(MIB);");
	c = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	lab_addr("c", c);
	lab_value("room", ROOM);
	char *m = malloc(len);
	lab_addr("m", m);

	lab_step("touch", "writes a byte into each page of it");
	was = lab_left();
	touch(m, len, 1);
	lab_left_rows(&was, 0);

	lab_step("keep", "writes all pages again and again, for SECONDS");
	keep_touching(m, len, seconds > 0 ? seconds : 1);

	lab_step("free", "free(m);");
	was = lab_left();
	free(m);
	lab_left_rows(&was, 0);

	lab_step("sizes",
		 "mmap, touch and munmap of an eighth of it, a quarter, a half, all");
	sizes(len);

	lab_step("refuse", "setrlimit(RLIMIT_AS, half of it); malloc(all of it);");
	refuse(len);

	fill_group();
	lab_end();
	lab_group_remove(&group);
	return 0;
}
