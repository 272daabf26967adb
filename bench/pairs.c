// SPDX-License-Identifier: MIT
// Runs two commands alternately, output to nowhere: pairs ROUNDS A... -- B...
// Prints for each round "wall cpu wall cpu" in nanoseconds, A's first; a round before
// them is not counted. In C, because starting a child costs a script more than the
// shortest of them takes.

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

struct cost {
	uint64_t wall, cpu;
};

static void die(const char *what, int errnum)
{
	fprintf(stderr, "pairs: %s: %s\n", what, strerror(errnum));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000000 + (uint64_t)tv.tv_usec * 1000;
}

// At real-time priority everybody else waits: the kernel gives them their twentieth by
// force, in the middle of a run, unless they get it before.
static void rest(uint64_t wall)
{
	uint64_t ns = wall / 8 > 1000000 ? wall / 8 : 1000000;
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000),
			       .tv_nsec = (long)(ns % 1000000000) };

	nanosleep(&ts, NULL);
}

// 1: a finding, 3: limited by permission. Anything else did not do the work.
static void check_status(const char *name, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == 0 || code == 1 || code == 3)
		return;
	fprintf(stderr, "pairs: %s: status 0x%x\n", name, (unsigned)status);
	exit(1);
}

static struct cost run(char **argv, const posix_spawn_file_actions_t *actions)
{
	struct rusage usage;
	struct cost cost;
	int status;
	pid_t pid;

	uint64_t start = now_ns();
	int errnum = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
	if (errnum)
		die(argv[0], errnum);
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4", errno);
	cost.wall = now_ns() - start;
	cost.cpu = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	check_status(argv[0], status);
	rest(cost.wall);
	return cost;
}

// Where the second command begins; the first then ends before it.
static char **split(char **argv)
{
	for (; *argv; argv++) {
		if (strcmp(*argv, "--") != 0)
			continue;
		*argv = NULL;
		return argv[1] ? argv + 1 : NULL;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	unsigned long rounds = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	char **second = argc > 2 ? split(argv + 2) : NULL;

	if (!rounds || !second) {
		fprintf(stderr, "usage: pairs ROUNDS COMMAND... -- COMMAND...\n");
		return 2;
	}
	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
	for (unsigned long i = 0; i <= rounds; i++) {
		struct cost a, b;

		// Whoever goes second meets warm caches: they take turns.
		if (i % 2 == 0) {
			a = run(argv + 2, &actions);
			b = run(second, &actions);
		} else {
			b = run(second, &actions);
			a = run(argv + 2, &actions);
		}
		if (i)
			printf("%ju %ju %ju %ju\n", (uintmax_t)a.wall, (uintmax_t)a.cpu,
			       (uintmax_t)b.wall, (uintmax_t)b.cpu);
	}
	posix_spawn_file_actions_destroy(&actions);
	return 0;
}
