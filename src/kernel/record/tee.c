// SPDX-License-Identifier: MIT
#include "kernel/source.h"

#include "base/buf.h"
#include "kernel/record/record.h"
#include "kernel/record/scrub.h"
#include "kernel/record/sorted.h"
#include "kernel/record/tree_files.h"

#include <stdlib.h>
#include <string.h>

struct tee {
	struct mw_source base;
	struct mw_source *inner;
	struct mw_record rec;
	struct mw_scrub *scrub; /* NULL: names stay */
};

static struct tee *tee_of(struct mw_source *src)
{
	return (struct tee *)src;
}

static void tee_close(struct mw_source *src)
{
	struct tee *tee = tee_of(src);
	mw_record_deinit(&tee->rec);
	mw_scrub_free(tee->scrub);
	free(tee);
}

/* Keeps a failure and hands it on; that memory was short is nothing to replay. */
static struct mw_err *keep_error(struct tee *tee, struct mw_rec_query query,
				 struct mw_err *err)
{
	struct mw_rec_error error = {
		.query = query,
		.code = err->code,
		.errnum = err->errnum > 0 ? err->errnum : 0,
		.what = err->what,
		.msg = err->msg,
	};
	if (err->code == MW_ERR_NOMEM)
		return err;
	if (!mw_record_add_proc(&tee->rec, query.pid) ||
	    !mw_rec_add_error(&tee->rec.errors, &tee->rec.arena, &error)) {
		mw_err_free(err);
		return mw_err_nomem();
	}
	return err;
}

static struct mw_err *tee_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				    enum mw_file file, struct mw_buf *out)
{
	struct tee *tee = tee_of(src);
	size_t len = out->len;
	struct mw_err *err = mw_source_read_text(tee->inner, pid, tid, file, out);
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_TEXT, pid, tid, file, 0 },
				  err);
	if (!mw_record_add_text(&tee->rec, pid, tid, file, SIZE_MAX,
				mw_buf_str(out) + len, out->len - len))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct tee *tee = tee_of(src);
	size_t len = out->len;
	struct mw_err *err = mw_source_read_exe(tee->inner, pid, out);
	if (err)
		return keep_error(
			tee, (struct mw_rec_query){ MW_REC_EXE_LINK, pid, 0, 0, 0 }, err);
	if (!mw_record_add_text(&tee->rec, pid, 0, MW_REC_EXE, SIZE_MAX,
				mw_buf_str(out) + len, out->len - len))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	struct tee *tee = tee_of(src);
	size_t n = out->n;
	struct mw_err *err = mw_source_list(tee->inner, pid, out);
	if (err)
		return keep_error(tee, (struct mw_rec_query){ MW_REC_LIST, pid, 0, 0, 0 },
				  err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc)
		return mw_err_nomem();
	if (proc->has_ids)
		return NULL;
	for (size_t i = n; i < out->n; i++)
		if (!mw_vec_add(&proc->ids, out->items[i]))
			return mw_err_nomem();
	proc->has_ids = true;
	return NULL;
}

static struct mw_err *tee_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	struct tee *tee = tee_of(src);
	size_t n = out->n;
	struct mw_err *err = mw_source_list_fds(tee->inner, pid, out);
	if (err)
		return keep_error(tee, (struct mw_rec_query){ MW_REC_FDS, pid, 0, 0, 0 },
				  err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc)
		return mw_err_nomem();
	if (proc->has_fds)
		return NULL;
	for (size_t i = n; i < out->n; i++) {
		struct mw_fd fd = out->items[i];
		fd.target = strdup(fd.target ? fd.target : "");
		if (fd.target && mw_vec_add(&proc->fds, fd))
			continue;
		free(fd.target);
		return mw_err_nomem();
	}
	proc->has_fds = true;
	return NULL;
}

/* Ranges that the scan of [start, end) found, and in between, that nothing is there. */
static bool keep_scan(struct mw_spans *spans, uint64_t start, uint64_t end,
		      const struct mw_page_range *items, size_t n)
{
	if (mw_spans_cover(spans, start, end))
		return true;
	for (size_t i = 0; i < n; i++) {
		struct mw_span gap = { start, items[i].start, MW_REC_NOTHING, 0 };
		struct mw_span span = { items[i].start, items[i].end, items[i].categories,
					0 };
		if (!mw_spans_push(spans, gap) || !mw_spans_push(spans, span))
			return false;
		start = span.end;
	}
	return mw_spans_push(spans, (struct mw_span){ start, end, MW_REC_NOTHING, 0 });
}

static struct mw_err *tee_scan(struct mw_source *src, pid_t pid, uint64_t start,
			       uint64_t end, struct mw_page_ranges *out)
{
	struct tee *tee = tee_of(src);
	size_t n = out->n;
	struct mw_err *err = mw_source_scan(tee->inner, pid, start, end, out);
	if (err)
		return keep_error(
			tee, (struct mw_rec_query){ MW_REC_SCAN, pid, 0, 0, start }, err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc || !keep_scan(&proc->pages, start, end, out->items + n, out->n - n))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				       size_t n_pages, uint64_t *ret)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err = mw_source_read_pagemap(tee->inner, pid, addr, n_pages, ret);
	if (err)
		return keep_error(
			tee, (struct mw_rec_query){ MW_REC_PAGEMAP, pid, 0, 0, addr },
			err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc || !mw_record_add_words(&proc->pagemap, addr / src->facts.page_size,
					  ret, n_pages))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_read_kpage(struct mw_source *src, enum mw_kpage which,
				     uint64_t pfn, size_t n, uint64_t *ret)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err = mw_source_read_kpage(tee->inner, which, pfn, n, ret);
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_KPAGE, 0, 0, which, pfn },
				  err);
	struct mw_spans *spans = &tee->rec.kpage[which];
	return mw_record_add_words(spans, pfn, ret, n) ? NULL : mw_err_nomem();
}

/* What reading memory gave, by whichever way. */
static struct mw_err *keep_memory(struct tee *tee, pid_t pid, uint64_t addr,
				  const void *bytes, enum mw_purpose purpose, size_t got,
				  struct mw_err *err)
{
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_MEMORY, pid, 0, 0, addr },
				  err);
	if (purpose == MW_READ_CONTENTS && !tee->rec.memory)
		return NULL;
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc || !mw_record_add_bytes(&proc->memory, &proc->pool, addr, bytes, got))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				      void *bytes, size_t len, enum mw_purpose purpose,
				      size_t *got)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err =
		mw_source_read_memory(tee->inner, pid, addr, bytes, len, purpose, got);
	return keep_memory(tee, pid, addr, bytes, purpose, err ? 0 : *got, err);
}

static struct mw_err *tee_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
				       void *bytes, size_t len, enum mw_purpose purpose,
				       size_t *got)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err =
		mw_source_read_private(tee->inner, pid, addr, bytes, len, purpose, got);
	return keep_memory(tee, pid, addr, bytes, purpose, err ? 0 : *got, err);
}

static struct mw_err *tee_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				     uint64_t *ret)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err = mw_source_zero_bytes(tee->inner, pid, addr, ret);
	if (err)
		return keep_error(
			tee, (struct mw_rec_query){ MW_REC_ZERO_BYTES, pid, 0, 0, addr },
			err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc ||
	    !mw_record_add_words(&proc->zeros, addr / src->facts.page_size, ret, 1))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *tee_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				      uint64_t *ret)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err = mw_source_robust_list(tee->inner, pid, tid, ret);
	if (err)
		return keep_error(
			tee, (struct mw_rec_query){ MW_REC_ROBUST, pid, tid, 0, 0 }, err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc)
		return mw_err_nomem();
	struct mw_rec_robust item = { tid, *ret };
	size_t at = mw_lower_bound(&proc->robust, proc->robust.items[i].tid < tid);
	if (at < proc->robust.n && proc->robust.items[at].tid == tid)
		return NULL;
	return mw_vec_insert(&proc->robust, at, item) ? NULL : mw_err_nomem();
}

static struct mw_err *tee_read_object(struct mw_source *src, pid_t pid,
				      const struct mw_object *obj, uint64_t off,
				      void *bytes, size_t len, size_t *got)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err =
		mw_source_read_object(tee->inner, pid, obj, off, bytes, len, got);
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_OBJECT, pid, 0, obj->dev,
							 obj->ino },
				  err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	struct mw_rec_object *item =
		proc ? mw_record_add_object(&tee->rec, proc, obj) : NULL;
	if (!item || !mw_record_add_bytes(&item->spans, &item->pool, off, bytes, *got))
		return mw_err_nomem();
	/* Short: here the file ends, or earlier when it was asked for what is behind. */
	if (*got < len && off + *got < item->size)
		item->size = off + *got;
	return NULL;
}

static struct mw_err *tee_probe(struct mw_source *src, enum mw_feature feature, bool *ret)
{
	struct tee *tee = tee_of(src);
	struct mw_err *err = mw_source_probe(tee->inner, feature, ret);
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_PROBE, 0, 0, feature, 0 },
				  err);
	tee->rec.features[feature] = *ret ? MW_REC_YES : MW_REC_NO;
	return NULL;
}

/* Which words a thread had at hand is contents: kept only where these are. */
static bool keep_registers(struct tee *tee, struct mw_rec_proc *proc,
			   const struct mw_registers *regs)
{
	struct mw_registers item = *regs;
	size_t at =
		mw_lower_bound(&proc->registers, proc->registers.items[i].tid < item.tid);
	if (!tee->rec.memory)
		item.n = 0;
	if (at < proc->registers.n && proc->registers.items[at].tid == item.tid)
		return true;
	return mw_vec_insert(&proc->registers, at, item);
}

static struct mw_err *tee_list_registers(struct mw_source *src, pid_t pid,
					 struct mw_registers_list *out)
{
	struct tee *tee = tee_of(src);
	size_t n = out->n;
	struct mw_err *err = mw_source_list_registers(tee->inner, pid, out);
	if (err)
		return keep_error(tee,
				  (struct mw_rec_query){ MW_REC_REGISTERS, pid, 0, 0, 0 },
				  err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc)
		return mw_err_nomem();
	for (size_t i = n; i < out->n && !proc->has_registers; i++)
		if (!keep_registers(tee, proc, &out->items[i]))
			return mw_err_nomem();
	proc->has_registers = true;
	return NULL;
}

static struct mw_err *tee_list_kept(struct mw_source *src, pid_t pid,
				    struct mw_words *out)
{
	struct tee *tee = tee_of(src);
	size_t n = out->n;
	struct mw_err *err = mw_source_list_kept(tee->inner, pid, out);
	if (err)
		return keep_error(tee, (struct mw_rec_query){ MW_REC_KEPT, pid, 0, 0, 0 },
				  err);
	struct mw_rec_proc *proc = mw_record_add_proc(&tee->rec, pid);
	if (!proc)
		return mw_err_nomem();
	for (; n < out->n && !proc->has_kept; n++) {
		uint64_t word = out->items[n];
		size_t at = mw_lower_bound(&proc->kept, proc->kept.items[i] < word);
		if (at < proc->kept.n && proc->kept.items[at] == word)
			continue;
		if (!mw_vec_insert(&proc->kept, at, word))
			return mw_err_nomem();
	}
	proc->has_kept = true;
	return NULL;
}

static struct mw_err *tee_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	return mw_source_stop(tee_of(src)->inner, pid, max_ms);
}

static struct mw_err *tee_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	return mw_source_resume(tee_of(src)->inner, held_ns, cut);
}

/* What is asked of the copy is recorded as the copy's, under its id. */
static struct mw_err *tee_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
			       pid_t *child)
{
	return mw_source_fork(tee_of(src)->inner, pid, max_ms, child);
}

static struct mw_err *tee_save(struct mw_source *src, const char *dir)
{
	struct tee *tee = tee_of(src);
	if (tee->scrub && !mw_scrub_record(tee->scrub, &tee->rec))
		return mw_err_nomem();
	if (!mw_record_settle(&tee->rec))
		return mw_err_nomem();
	return mw_tree_save(&tee->rec, dir);
}

static const struct mw_source_ops tee_ops = {
	.name = "recording",
	.close = tee_close,
	.read_text = tee_read_text,
	.read_exe = tee_read_exe,
	.list = tee_list,
	.list_fds = tee_list_fds,
	.scan = tee_scan,
	.read_pagemap = tee_read_pagemap,
	.read_kpage = tee_read_kpage,
	.read_memory = tee_read_memory,
	.read_private = tee_read_private,
	.zero_bytes = tee_zero_bytes,
	.robust_list = tee_robust_list,
	.read_object = tee_read_object,
	.probe = tee_probe,
	.stop = tee_stop,
	.resume = tee_resume,
	.list_registers = tee_list_registers,
	.list_kept = tee_list_kept,
	.fork = tee_fork,
	.save = tee_save,
};

struct mw_err *mw_source_open_tee(struct mw_source *inner, const struct mw_tee_opts *opts,
				  struct mw_source **ret)
{
	struct tee *tee = calloc(1, sizeof(*tee));
	if (!tee)
		return mw_err_nomem();
	tee->inner = inner;
	tee->base.ops = &tee_ops;
	tee->base.facts = *mw_source_facts(inner);
	/* The record grows without a lock. */
	tee->base.facts.parallel = false;
	tee->rec.memory = opts->memory;
	tee->rec.scrubbed = opts->scrub;
	const char *release = tee->base.facts.release;
	tee->rec.facts = tee->base.facts;
	tee->rec.facts.release = mw_arena_strdup(&tee->rec.arena, release ? release : "");
	if (opts->scrub)
		tee->scrub = mw_scrub_new();
	if (!tee->rec.facts.release || (opts->scrub && !tee->scrub)) {
		tee_close(&tee->base);
		return mw_err_nomem();
	}
	tee->base.facts.release = tee->rec.facts.release;
	*ret = &tee->base;
	return NULL;
}
