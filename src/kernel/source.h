/* SPDX-License-Identifier: MIT */
/*
 * How a source is built: one operations table each, the public calls of
 * <memwhy/source.h> dispatch through it. An operation left NULL answers UNSUPPORTED.
 */
#pragma once

#include <memwhy/hold.h>

/* The callback of mw_source_stream_text(). */
typedef struct mw_err *mw_text_sink(void *ctx, const char *text, size_t len, bool last,
				    size_t *used);

struct mw_source_ops {
	const char *name;
	void (*close)(struct mw_source *src);
	struct mw_err *(*read_text)(struct mw_source *src, pid_t pid, pid_t tid,
				    enum mw_file file, struct mw_buf *out);
	/* Left NULL: the text is read whole and given as one piece. */
	struct mw_err *(*stream_text)(struct mw_source *src, pid_t pid, enum mw_file file,
				      mw_text_sink *take, void *ctx);
	struct mw_err *(*read_exe)(struct mw_source *src, pid_t pid, struct mw_buf *out);
	struct mw_err *(*list)(struct mw_source *src, pid_t pid, struct mw_ids *out);
	struct mw_err *(*list_fds)(struct mw_source *src, pid_t pid, struct mw_fds *out);
	struct mw_err *(*scan)(struct mw_source *src, pid_t pid, uint64_t start,
			       uint64_t end, struct mw_page_ranges *out);
	struct mw_err *(*read_pagemap)(struct mw_source *src, pid_t pid, uint64_t addr,
				       size_t n_pages, uint64_t *ret);
	struct mw_err *(*read_kpage)(struct mw_source *src, enum mw_kpage which,
				     uint64_t pfn, size_t n, uint64_t *ret);
	struct mw_err *(*read_memory)(struct mw_source *src, pid_t pid, uint64_t addr,
				      void *bytes, size_t len, enum mw_purpose purpose,
				      size_t *got);
	/* Left NULL: read_memory. */
	struct mw_err *(*read_private)(struct mw_source *src, pid_t pid, uint64_t addr,
				       void *bytes, size_t len, enum mw_purpose purpose,
				       size_t *got);
	struct mw_err *(*zero_bytes)(struct mw_source *src, pid_t pid, uint64_t addr,
				     uint64_t *ret);
	struct mw_err *(*robust_list)(struct mw_source *src, pid_t pid, pid_t tid,
				      uint64_t *ret);
	struct mw_err *(*read_object)(struct mw_source *src, pid_t pid,
				      const struct mw_object *obj, uint64_t off,
				      void *bytes, size_t len, size_t *got);
	struct mw_err *(*probe)(struct mw_source *src, enum mw_feature feature,
				bool *ret);
	struct mw_err *(*stop)(struct mw_source *src, pid_t pid, unsigned max_ms);
	struct mw_err *(*resume)(struct mw_source *src, uint64_t *held_ns, bool *cut);
	struct mw_err *(*list_registers)(struct mw_source *src, pid_t pid,
					 struct mw_registers_list *out);
	struct mw_err *(*list_kept)(struct mw_source *src, pid_t pid,
				    struct mw_words *out);
	struct mw_err *(*fork)(struct mw_source *src, pid_t pid, unsigned max_ms,
			       pid_t *child);
	struct mw_err *(*save)(struct mw_source *src, const char *dir);
};

/* Readings whose failure the reader may pass over; see mw_source_refusals(). */
enum mw_optional {
	MW_OPTIONAL_MEMORY,
	MW_OPTIONAL_OBJECT,
	MW_OPTIONAL_ROBUST,
	MW_OPTIONAL_THREAD_FILE,
	MW_OPTIONAL_PROC_FILE,
	MW_OPTIONAL_MACHINE_FILE,
	MW_OPTIONAL_COUNT,
};

/* Every source's struct begins with this one. */
struct mw_source {
	const struct mw_source_ops *ops;
	struct mw_facts facts;
	struct mw_refusal refusals[MW_OPTIONAL_COUNT];
	char refusal_texts[MW_OPTIONAL_COUNT][160];
	size_t n_refusals;
};

/*
 * Remembers a failed optional reading and gives the error back. What is simply not there
 * (NOTFOUND) is an answer, not a failure.
 */
struct mw_err *mw_source_note(struct mw_source *src, enum mw_optional kind,
			      struct mw_err *err) MW_MUST_USE;

/* Which kind a text file is of. */
enum mw_optional mw_optional_of_file(enum mw_file file, pid_t tid);
