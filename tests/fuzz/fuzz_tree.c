// SPDX-License-Identifier: MIT
/*
 * The loader of recorded trees. An input is the files of a tree one after the other, each
 * behind a line "=== PATH". What loads must answer every question, be saved, load
 * again, and then save to the same bytes; and scrubbing it must not fail.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "kernel/record/scrub.h"
#include "kernel/record/tree_files.h"

#include <string.h>

enum { N_WORDS = 64 };

/* A tree as one text, in the input's own format. */
static struct mw_err *keep(void *ctx, const char *path, const char *bytes, size_t len)
{
	struct mw_buf *out = ctx;
	bool ok = mw_buf_printf(out, "=== %s\n", path) && mw_buf_add(out, bytes, len);
	return ok ? NULL : mw_err_nomem();
}

/* Where the next "=== " begins a line, or the end. */
static const char *next_file(const char *pos, const char *end)
{
	while (pos < end) {
		if (end - pos > 4 && !memcmp(pos, "=== ", 4))
			return pos;
		pos = mw_line_end(pos, end);
		pos += pos < end;
	}
	return end;
}

/* Reads the files in their order, or (pass 1) only the manifest, then (2) the others. */
static struct mw_err *read_files(struct mw_record *rec, const char *pos, const char *end,
				 bool manifests)
{
	for (const char *file = next_file(pos, end); file < end;) {
		const char *eol = mw_line_end(file, end);
		const char *bytes = eol < end ? eol + 1 : end;
		const char *next = next_file(bytes, end);
		mw_auto_buf path = { 0 };
		if (!mw_buf_add(&path, file + 4, (size_t)(eol - file - 4)))
			return mw_err_nomem();
		bool is_manifest = !strcmp(mw_buf_str(&path), MW_TREE_MANIFEST);
		struct mw_err *err = NULL;
		if (is_manifest == manifests)
			err = mw_tree_read_file(rec, mw_buf_str(&path), bytes,
						(size_t)(next - bytes));
		if (err)
			return err;
		file = next;
	}
	return NULL;
}

static bool load(struct mw_record *rec, const char *bytes, size_t len)
{
	struct mw_err *err = read_files(rec, bytes, bytes + len, true);
	if (!err)
		err = read_files(rec, bytes, bytes + len, false);
	if (!err)
		err = mw_tree_finish(rec);
	bool ok = !err;
	mw_err_free(err);
	return ok;
}

static void save(const struct mw_record *rec, struct mw_buf *out)
{
	struct mw_tree_sink sink = { keep, out };
	mw_err_free(mw_tree_write(rec, &sink));
}

static void ask_pages(struct mw_source *src, pid_t pid, uint64_t addr)
{
	struct mw_page_ranges ranges = { 0 };
	uint64_t words[N_WORDS], page_size = mw_source_facts(src)->page_size;
	char bytes[256];
	size_t got = 0;
	addr &= ~(page_size - 1);
	mw_err_free(mw_source_scan(src, pid, addr, addr + page_size, &ranges));
	for (size_t i = 0; i < ranges.n; i++)
		FUZZ_CHECK(ranges.items[i].start < ranges.items[i].end);
	mw_vec_deinit(&ranges);
	mw_err_free(mw_source_read_pagemap(src, pid, addr, N_WORDS, words));
	mw_err_free(mw_source_zero_bytes(src, pid, addr, words));
	mw_err_free(mw_source_read_memory(src, pid, addr, bytes, sizeof(bytes),
					  MW_READ_CONTENTS, &got));
	FUZZ_CHECK(got <= sizeof(bytes));
}

static void ask_process(struct mw_source *src, pid_t pid)
{
	struct mw_ids ids = { 0 };
	struct mw_fds fds = { 0 };
	struct mw_registers_list regs = { 0 };
	struct mw_words kept = { 0 };
	mw_auto_buf text = { 0 };
	for (int i = 0; i < MW_FILE_COUNT; i++)
		mw_err_free(mw_source_read_text(src, i <= MW_FILE_LAST_PROC ? pid : 0, 0,
						(enum mw_file)i, &text));
	mw_err_free(mw_source_read_exe(src, pid, &text));
	mw_err_free(mw_source_list(src, pid, &ids));
	mw_err_free(mw_source_list_fds(src, pid, &fds));
	mw_err_free(mw_source_list_registers(src, pid, &regs));
	for (size_t i = 0; i < regs.n; i++)
		FUZZ_CHECK(regs.items[i].n <= MW_REGISTER_WORDS);
	mw_err_free(mw_source_list_kept(src, pid, &kept));
	mw_vec_deinit(&ids);
	mw_vec_deinit(&regs);
	mw_vec_deinit(&kept);
	mw_fds_deinit(&fds);
	for (int shift = 12; shift < 64; shift++)
		ask_pages(src, pid, 1ull << shift);
	ask_pages(src, pid, 0);
	ask_pages(src, pid, UINT64_MAX);
}

/* Takes the record. */
static void ask(struct mw_record *rec)
{
	struct mw_source *src;
	struct mw_ids pids = { 0 };
	uint64_t words[N_WORDS];
	struct mw_err *err = mw_source_open_record(rec, &src);
	if (err) {
		mw_err_free(err);
		return;
	}
	mw_err_free(mw_source_list(src, 0, &pids));
	for (size_t i = 0; i < pids.n && i < 4; i++)
		ask_process(src, pids.items[i]);
	for (int i = 0; i < 2; i++)
		mw_err_free(
			mw_source_read_kpage(src, (enum mw_kpage)i, 1, N_WORDS, words));
	mw_vec_deinit(&pids);
	mw_source_close(src);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mw_record rec = { 0 }, again = { 0 };
	mw_auto_buf first = { 0 };
	mw_auto_buf second = { 0 };
	if (!load(&rec, (const char *)bytes, len)) {
		mw_record_deinit(&rec);
		return 0;
	}
	save(&rec, &first);
	/* Text may hold a line "=== ", which is the input format's limit, not a tree's.
	 */
	if (load(&again, mw_buf_str(&first), first.len)) {
		save(&again, &second);
		FUZZ_CHECK(first.len == second.len &&
			   !memcmp(first.data, second.data, first.len));
	}
	struct mw_scrub *scrub = mw_scrub_new();
	FUZZ_CHECK(scrub && mw_scrub_record(scrub, &again));
	mw_scrub_free(scrub);
	mw_record_deinit(&again);
	ask(&rec);
	return 0;
}
