// SPDX-License-Identifier: MIT
/*
 * Runs a fuzz target over its corpus without a fuzzer, so that every test run replays
 * what the fuzzers once found: each file of the given directories whole, and cut at
 * sixteen places and in its last bytes. Every input lies in a block of exactly its own
 * length, so that ASan sees a read past it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { N_CUTS = 16, MAX_INPUT_LEN = 16 << 20 };

static void run_one(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	memcpy(copy, bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_with_cuts(const uint8_t *bytes, size_t len)
{
	run_one(bytes, len);
	for (size_t i = 1; i < N_CUTS && len; i++)
		run_one(bytes, len * i / N_CUTS);
	for (size_t i = 1; i <= 4 && i < len; i++)
		run_one(bytes, len - i);
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(MAX_INPUT_LEN);
	if (!file || !bytes) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		free(bytes);
		return -1;
	}
	size_t len = fread(bytes, 1, MAX_INPUT_LEN, file);
	fclose(file);
	run_with_cuts(bytes, len);
	free(bytes);
	return 1;
}

/* How many files were run, or -1. */
static int run_dir(const char *dir)
{
	DIR *handle = opendir(dir);
	if (!handle) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return -1;
	}
	int n = 0;
	for (struct dirent *entry; n >= 0 && (entry = readdir(handle));) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		n = run_file(path) < 0 ? -1 : n + 1;
	}
	closedir(handle);
	return n;
}

int main(int argc, char **argv)
{
	int total = 0;
	for (int i = 1; i < argc; i++) {
		int n = run_dir(argv[i]);
		if (n <= 0) {
			fprintf(stderr, "%s: nothing replayed\n", argv[i]);
			return 1;
		}
		total += n;
	}
	printf("%d inputs replayed, each with its cuts\n", total);
	return total ? 0 : 1;
}
