// SPDX-License-Identifier: MIT
// A library to preload: leaks 20,000 blocks in the thread that asks for it, from within
// a program that nobody here wrote. A program asks by a call it makes when told to, with
// an argument that nobody else uses: opendir("/memwhy-plant…") or
// getpriority(…, 424242). Both fail, as they would have.

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { N_BLOCKS = 20000, SIZE = 488, CHAIN = 10, WHO = 424242 };

// Half of them alone, half in chains of ten.
__attribute__((noinline)) static void plant(void)
{
	void **last = NULL;

	for (int i = 0; i < N_BLOCKS; i++) {
		void **block = malloc(SIZE);

		if (!block)
			abort();
		memset(block, 0x11, SIZE);
		if (i % (2 * CHAIN) >= CHAIN && last)
			block[0] = last;
		last = i % CHAIN == CHAIN - 1 ? NULL : block;
	}
}

// So that the last of them does not stay on the stack.
__attribute__((noinline)) static void scrub(void)
{
	volatile char dead[8192];

	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

DIR *opendir(const char *path)
{
	DIR *(*real)(const char *);

	if (!strncmp(path, "/memwhy-plant", 13)) {
		plant();
		scrub();
		errno = ENOENT;
		return NULL;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "opendir");
	return real(path);
}

int getpriority(__priority_which_t which, id_t who)
{
	int (*real)(__priority_which_t, id_t);

	if (who == WHO) {
		plant();
		scrub();
		errno = ESRCH;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getpriority");
	return real(which, who);
}
