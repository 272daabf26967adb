/* SPDX-License-Identifier: MIT */
/*
 * What a source answered, kept in memory: the tee adds to it, the tree source answers
 * from it, tree_write.c and tree_read.c turn it into files and back, scrub.c takes the
 * names out. Writing and reading are exact inverses.
 *
 * It is what was asked, not what is there: what nobody asked has no answer here. Where
 * two answers overlap, the first stays, so that all of them tell of one moment; only
 * counters that are meant to be read twice (status, statm, stat) keep every answer.
 *
 * The files are described in docs/trees.md.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "kernel/record/errors.h"
#include "kernel/record/spans.h"

#include <memwhy/hold.h>

/* The link text of exe, kept among the text files. */
enum { MW_REC_EXE = MW_FILE_COUNT };

/* In the spans of `pages`: asked, and nothing is there. */
#define MW_REC_NOTHING UINT64_MAX

/* The n-th answer (from 0) to reading one text file. */
struct mw_rec_text {
	pid_t tid;
	unsigned file, seq;
	size_t len;
	const char *bytes;
	unsigned n_asked; /* replay: how often; of the first answer only */
};

struct mw_rec_object {
	uint64_t dev, ino;
	const char *path;
	uint64_t size;         /* where it was seen to end; UINT64_MAX: not seen */
	struct mw_spans spans; /* offsets -> places in pool */
	struct mw_buf pool;
};

struct mw_rec_robust {
	pid_t tid;
	uint64_t addr;
};

/* Everything about one process; pid 0 is the machine. */
struct mw_rec_proc {
	pid_t pid;
	bool has_ids, has_fds, has_registers, has_kept;
	struct mw_ids ids;
	struct mw_fds fds;
	struct {
		MW_VEC(struct mw_rec_text);
	} texts;                 /* sorted by tid, file, seq */
	struct mw_spans pages;   /* addresses -> categories, or MW_REC_NOTHING */
	struct mw_spans pagemap; /* page numbers -> words */
	struct mw_spans zeros;   /* page numbers -> zero bytes in them */
	struct mw_spans memory;  /* addresses -> places in pool; step 0: zero bytes */
	struct mw_buf pool;
	struct {
		MW_VEC(struct mw_rec_robust);
	} robust;                           /* sorted by tid */
	struct mw_registers_list registers; /* sorted by tid */
	struct mw_words kept;               /* ascending, each once */
	struct {
		MW_VEC(struct mw_rec_object);
	} objects; /* sorted by dev, ino, path */
};

/* What a manifest says of a file: its length. */
struct mw_rec_listed {
	const char *path;
	uint64_t len;
	bool seen;
};

enum mw_rec_known { MW_REC_UNKNOWN, MW_REC_NO, MW_REC_YES };

struct mw_record {
	struct mw_facts facts; /* release lies in the arena */
	bool scrubbed, memory;
	struct mw_arena arena; /* every string and text */
	struct {
		MW_VEC(struct mw_rec_proc *);
	} procs;                               /* sorted by pid */
	struct mw_spans kpage[MW_KPAGE_KINDS]; /* frames -> words */
	enum mw_rec_known features[MW_FEATURE_COUNT];
	struct mw_rec_errors errors;
	struct {
		MW_VEC(struct mw_rec_listed);
	} listed;
};

/* The process, or NULL when nothing is recorded of it. */
struct mw_rec_proc *mw_record_proc(const struct mw_record *rec, pid_t pid);

/* The process, made when it is new. NULL: no memory. */
struct mw_rec_proc *mw_record_add_proc(struct mw_record *rec, pid_t pid);

/* Adds an answer to a text file; seq SIZE_MAX: the next. False: no memory. */
bool mw_record_add_text(struct mw_record *rec, pid_t pid, pid_t tid, unsigned file,
			size_t seq, const void *bytes, size_t len) MW_MUST_USE;

/* Where (tid, file, seq) is, or belongs, among the process's texts. */
size_t mw_record_find_text(const struct mw_rec_proc *proc, pid_t tid, unsigned file,
			   unsigned seq);

/* Adds pagemap or kpage words for n positions from `pos` on. False: no memory. */
bool mw_record_add_words(struct mw_spans *spans, uint64_t pos, const uint64_t *words,
			 size_t n) MW_MUST_USE;

/* Adds bytes at `pos`, kept in `pool`. False: no memory. */
bool mw_record_add_bytes(struct mw_spans *spans, struct mw_buf *pool, uint64_t pos,
			 const void *bytes, size_t len) MW_MUST_USE;

/* Copies the bytes recorded from `pos` on, `len` at most; how many there were. */
size_t mw_record_get_bytes(const struct mw_spans *spans, const struct mw_buf *pool,
			   uint64_t pos, void *bytes, size_t len);

/* The object, or NULL. */
struct mw_rec_object *mw_record_object(const struct mw_rec_proc *proc,
				       const struct mw_object *obj);

/* The object, made when it is new. NULL: no memory. */
struct mw_rec_object *mw_record_add_object(struct mw_record *rec,
					   struct mw_rec_proc *proc,
					   const struct mw_object *obj);

/* Sorts what was added; needed before anything is looked up. False: no memory. */
bool mw_record_settle(struct mw_record *rec) MW_MUST_USE;

/* Frees everything. */
void mw_record_deinit(struct mw_record *rec);
