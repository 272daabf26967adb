// SPDX-License-Identifier: MIT
// Runs a command and prints on stderr what it took: user + system nanoseconds and the
// peak of its resident bytes. A small program does this, because the kernel counts the
// peak of whoever forked as the child's.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long long ns_of(struct timeval time)
{
	return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 2)
		return 2;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) {
		perror("fork");
		return 2;
	}
	fprintf(stderr, "%lld %lld\n", ns_of(usage.ru_utime) + ns_of(usage.ru_stime),
		usage.ru_maxrss * 1024LL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
