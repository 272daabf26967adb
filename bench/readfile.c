// SPDX-License-Identifier: MIT
// The floor under every reader of a file: reads it with a buffer of 64 KiB, and no more.

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char buf[64 * 1024];
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	ssize_t n;

	if (fd < 0) {
		perror("readfile");
		return 1;
	}
	do
		n = read(fd, buf, sizeof(buf));
	while (n > 0);
	close(fd);
	return n < 0;
}
