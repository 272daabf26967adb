// SPDX-License-Identifier: MIT
/*
 * Core files. What opens must answer every question about its process, take a snapshot,
 * and keep its mappings in order; files that it names are looked for, and refused.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/vec.h"
#include <memwhy/hold.h>
#include <memwhy/snapshot.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_WORDS = 16, MOST_ASKED = 64 };

static void ask_texts(struct mw_source *src, pid_t pid)
{
	mw_auto_buf text = { 0 };
	for (int i = 0; i < MW_FILE_COUNT; i++) {
		bool proc = i <= MW_FILE_LAST_PROC;
		mw_err_free(mw_source_read_text(src, proc ? pid : 0, 0, (enum mw_file)i,
						&text));
		if (i == MW_FILE_STAT || i == MW_FILE_COMM || i == MW_FILE_SYSCALL)
			mw_err_free(mw_source_read_text(src, pid, pid, (enum mw_file)i,
							&text));
	}
	mw_err_free(mw_source_read_exe(src, pid, &text));
}

static void ask_registers(struct mw_source *src, pid_t pid)
{
	struct mw_registers_list regs = { 0 };
	mw_err_free(mw_source_list_registers(src, pid, &regs));
	for (size_t i = 0; i < regs.n; i++)
		FUZZ_CHECK(regs.items[i].n <= MW_REGISTER_WORDS);
	mw_vec_deinit(&regs);
}

static void ask_region(struct mw_source *src, pid_t pid, const struct mw_region *region)
{
	struct mw_object object = { .start = region->start,
				    .end = region->end,
				    .path = region->name };
	uint64_t words[N_WORDS];
	char bytes[256];
	size_t got = 0;
	mw_err_free(mw_source_read_memory(src, pid, region->end - 8, bytes, sizeof(bytes),
					  MW_READ_CONTENTS, &got));
	FUZZ_CHECK(got <= sizeof(bytes));
	mw_err_free(mw_source_read_pagemap(src, pid, region->start, N_WORDS, words));
	mw_err_free(mw_source_zero_bytes(src, pid, region->start, words));
	got = 0;
	mw_err_free(
		mw_source_read_object(src, pid, &object, 0, bytes, sizeof(bytes), &got));
	FUZZ_CHECK(got <= sizeof(bytes));
}

static void ask_snapshot(struct mw_source *src, pid_t pid)
{
	struct mw_snapshot_opts opts = { .want = MW_WANT_THREADS | MW_WANT_FRAMES };
	mw_auto_snapshot snap = NULL;
	uint64_t last = 0;
	size_t n;
	struct mw_err *err = mw_snapshot_take(src, pid, &opts, &snap);
	mw_err_free(err);
	if (err)
		return;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(regions[i].start >= last && regions[i].end > regions[i].start);
		last = regions[i].end;
		if (i < MOST_ASKED)
			ask_region(src, pid, &regions[i]);
	}
}

static void ask(struct mw_source *src)
{
	struct mw_ids ids = { 0 };
	mw_err_free(mw_source_list(src, 0, &ids));
	FUZZ_CHECK(ids.n == 1 && ids.items[0] > 0);
	ask_texts(src, ids.items[0]);
	ask_registers(src, ids.items[0]);
	ask_snapshot(src, ids.items[0]);
	mw_vec_deinit(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char path[64];
	struct mw_source *src = NULL;
	int fd = memfd_create("core", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct mw_err *err = mw_source_open_core(path, NULL, &src);
	if (!err)
		ask(src);
	mw_err_free(err);
	mw_source_close(src);
	close(fd);
	return 0;
}
