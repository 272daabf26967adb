// SPDX-License-Identifier: MIT
#include "transcript.h"

#include "base/buf.h"
#include "base/vec.h"

#include <inttypes.h>
#include <memwhy/hold.h>
#include <stdlib.h>

/* Appends; the tests cannot go on without memory. */
#define say(out, ...)                                 \
	do {                                          \
		if (!mw_buf_printf(out, __VA_ARGS__)) \
			abort();                      \
	} while (0)

/* Tells an error, and frees it; true when there was one. */
static bool failed(struct mw_buf *out, struct mw_err *err)
{
	if (!err)
		return false;
	say(out, "%s %d [%s] %s\n", mw_errc_name(err->code), err->errnum, err->what,
	    err->msg);
	mw_err_free(err);
	return true;
}

static void say_bytes(struct mw_buf *out, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		say(out, "%02x", ((const unsigned char *)bytes)[i]);
	say(out, "\n");
}

static void ask_text(struct mw_source *src, pid_t pid, pid_t tid, enum mw_file file,
		     struct mw_buf *out)
{
	mw_auto_buf text = { 0 };
	say(out, "text %d %d %s: ", pid, tid, mw_file_name(file));
	if (!failed(out, mw_source_read_text(src, pid, tid, file, &text)))
		say_bytes(out, mw_buf_str(&text), text.len);
}

static void ask_texts(struct mw_source *src, pid_t pid,
		      const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	static const enum mw_file of_threads[] = { MW_FILE_STATUS, MW_FILE_STAT,
						   MW_FILE_COMM, MW_FILE_SYSCALL };
	for (int i = 0; i <= MW_FILE_LAST_PROC; i++)
		ask_text(src, pid, 0, (enum mw_file)i, out);
	for (int i = MW_FILE_LAST_PROC + 1; i < MW_FILE_COUNT; i++)
		ask_text(src, 0, 0, (enum mw_file)i, out);
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 4; k++)
			ask_text(src, pid, opts->tids[i], of_threads[k], out);
	ask_text(src, pid, 0, MW_FILE_STATUS, out);
	ask_text(src, pid, 0, MW_FILE_STATUS, out);
	mw_auto_buf exe = { 0 };
	if (!failed(out, mw_source_read_exe(src, pid, &exe)))
		say(out, "exe %s\n", mw_buf_str(&exe));
}

static void ask_lists(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct mw_ids ids = { 0 };
	struct mw_fds fds = { 0 };
	if (!failed(out, mw_source_list(src, 0, &ids)))
		say(out, "%zu processes\n", ids.n);
	if (!failed(out, mw_source_list(src, pid, &ids)))
		for (size_t i = 0; i < ids.n; i++)
			say(out, "id %d\n", ids.items[i]);
	if (!failed(out, mw_source_list_fds(src, pid, &fds)))
		for (size_t i = 0; i < fds.n; i++)
			say(out, "fd %d %" PRIx64 " %" PRIu64 " %" PRIu64 " %s\n",
			    fds.items[i].fd, fds.items[i].dev, fds.items[i].ino,
			    fds.items[i].bytes, fds.items[i].target);
	mw_vec_deinit(&ids);
	mw_fds_deinit(&fds);
}

/* Where a source cuts a range in two is not part of its answer. */
static void ask_scan(struct mw_source *src, pid_t pid,
		     const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	struct mw_page_ranges ranges = { 0 };
	struct mw_page_range last = { 0 };
	if (!failed(out,
		    mw_source_scan(src, pid, opts->scan_start, opts->scan_end, &ranges)))
		for (size_t i = 0; i < ranges.n; i++) {
			struct mw_page_range *range = &ranges.items[i];
			bool joins = range->start == last.end &&
				     range->categories == last.categories;
			if (joins)
				range->start = last.start;
			else if (last.end)
				say(out, "range %" PRIx64 "-%" PRIx64 " %" PRIx64 "\n",
				    last.start, last.end, last.categories);
			last = *range;
		}
	say(out, "range %" PRIx64 "-%" PRIx64 " %" PRIx64 "\n", last.start, last.end,
	    last.categories);
	mw_vec_deinit(&ranges);
}

static void ask_words(struct mw_source *src, pid_t pid,
		      const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	size_t n = opts->n_pages > opts->n_frames ? opts->n_pages : opts->n_frames;
	uint64_t *words = calloc(n + 1, sizeof(*words));
	if (!words)
		abort();
	if (!failed(out, mw_source_read_pagemap(src, pid, opts->pages_addr, opts->n_pages,
						words)))
		say_bytes(out, words, opts->n_pages * sizeof(*words));
	for (int i = 0; i < 2; i++)
		if (!failed(out, mw_source_read_kpage(src, (enum mw_kpage)i, opts->pfn,
						      opts->n_frames, words)))
			say_bytes(out, words, opts->n_frames * sizeof(*words));
	for (size_t i = 0; i < opts->n_pages; i += 3) {
		uint64_t addr = opts->pages_addr + i * mw_source_facts(src)->page_size;
		if (!failed(out, mw_source_zero_bytes(src, pid, addr, words)))
			say(out, "zero bytes %" PRIu64 "\n", words[0]);
	}
	free(words);
}

/* In pieces, the second overlapping the first, and once where nothing may be. */
static void ask_memory(struct mw_source *src, pid_t pid,
		       const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	size_t third = opts->memory_len / 3, got = 0;
	const struct {
		uint64_t addr;
		size_t len;
	} asked[] = {
		{ opts->memory_addr, third },
		{ opts->memory_addr + third / 2, third },
		{ opts->memory_addr + 2 * third + 1, opts->memory_len },
		{ 0x1000, 8 },
	};
	char *bytes = malloc(opts->memory_len + 8);
	if (!bytes)
		abort();
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
		if (!failed(out,
			    mw_source_read_memory(src, pid, asked[i].addr, bytes,
						  asked[i].len, MW_READ_STRUCT, &got)))
			say_bytes(out, bytes, got);
	free(bytes);
}

static void ask_objects(struct mw_source *src, pid_t pid,
			const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	static const uint64_t offs[] = { 0, 100, 900, 5000 };
	for (size_t i = 0; i < opts->n_objects; i++)
		for (size_t k = 0; k < sizeof(offs) / sizeof(*offs); k++) {
			char bytes[200];
			size_t got = 0;
			if (!failed(out, mw_source_read_object(
						 src, pid, &opts->objects[i], offs[k],
						 bytes, sizeof(bytes), &got)))
				say_bytes(out, bytes, got);
		}
}

static void ask_threads(struct mw_source *src, pid_t pid,
			const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	for (size_t i = 0; i < 3; i++) {
		uint64_t addr = 0;
		if (!failed(out, mw_source_robust_list(src, pid, opts->tids[i], &addr)))
			say(out, "robust %" PRIx64 "\n", addr);
	}
	for (int i = 0; i < MW_FEATURE_COUNT; i++) {
		bool has = false;
		if (!failed(out, mw_source_probe(src, (enum mw_feature)i, &has)))
			say(out, "feature %d %d\n", i, has);
	}
}

static void ask_held(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct mw_registers_list regs = { 0 };
	struct mw_words kept = { 0 };
	if (!failed(out, mw_source_list_registers(src, pid, &regs)))
		for (size_t i = 0; i < regs.n; i++) {
			const struct mw_registers *r = &regs.items[i];
			say(out, "registers %d %" PRIx64 " %" PRIx64 " %" PRIx64 " ",
			    r->tid, r->pc, r->sp, r->tp);
			say_bytes(out, r->words, r->n * sizeof(*r->words));
		}
	if (!failed(out, mw_source_list_kept(src, pid, &kept)))
		say_bytes(out, kept.items, kept.n * sizeof(*kept.items));
	mw_vec_deinit(&regs);
	mw_vec_deinit(&kept);
}

void mw_transcript(struct mw_source *src, pid_t pid,
		   const struct mw_transcript_opts *opts, struct mw_buf *out)
{
	const struct mw_facts *facts = mw_source_facts(src);
	say(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", facts->page_size,
	    facts->clock_ticks, facts->booted_ns, facts->release);
	ask_texts(src, pid, opts, out);
	ask_lists(src, pid, out);
	ask_scan(src, pid, opts, out);
	ask_words(src, pid, opts, out);
	ask_memory(src, pid, opts, out);
	ask_objects(src, pid, opts, out);
	ask_threads(src, pid, opts, out);
	if (opts->held)
		ask_held(src, pid, out);
}
