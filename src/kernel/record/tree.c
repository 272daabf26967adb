// SPDX-License-Identifier: MIT
#include "kernel/source.h"

#include "kernel/files.h"
#include "kernel/record/record.h"
#include "kernel/record/sorted.h"
#include "kernel/record/tree_files.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct tree {
	struct mw_source base;
	struct mw_record rec;
};

static struct tree *tree_of(struct mw_source *src)
{
	return (struct tree *)src;
}

static void tree_close(struct mw_source *src)
{
	struct tree *tree = tree_of(src);
	mw_record_deinit(&tree->rec);
	free(tree);
}

/* A recorded error again; a scrubbed recording keeps no message. */
static struct mw_err *replay(const struct mw_rec_error *error, const char *name)
{
	if (*error->msg)
		return mw_err_new(error->code, error->errnum, error->what, "%s",
				  error->msg);
	const char *what = *error->what ? error->what : name;
	return mw_err_new(error->code, error->errnum, what, "%s: %s", what,
			  error->errnum ? strerror(error->errnum)
					: mw_errc_name(error->code));
}

/* Why there is no answer: the error it had, or that nobody asked. */
static struct mw_err *no_answer(const struct tree *tree, const struct mw_rec_query *query,
				const char *name)
{
	const struct mw_rec_error *error = mw_rec_find_error(&tree->rec.errors, query);
	if (error)
		return replay(error, name);
	if (query->pid && !mw_record_proc(&tree->rec, query->pid))
		return mw_err_new(MW_ERR_NOTFOUND, 0, name,
				  "process %d is not in this recording", query->pid);
	return mw_err_new(MW_ERR_UNSUPPORTED, 0, name, "%s: not in this recording", name);
}

/* The bytes behind an index of texts: each time asked, the next answer. */
static const struct mw_rec_text *next_text(const struct mw_rec_proc *proc, pid_t tid,
					   unsigned file)
{
	size_t first = mw_record_find_text(proc, tid, file, 0);
	size_t behind = mw_record_find_text(proc, tid, file, UINT_MAX);
	if (first == behind)
		return NULL;
	struct mw_rec_text *text = &proc->texts.items[first];
	size_t n = text->n_asked;
	if (n < behind - first - 1)
		text->n_asked++;
	return text + n;
}

static struct mw_err *read_raw(const struct tree *tree, const struct mw_rec_query *query,
			       unsigned file, const char *name, struct mw_buf *out)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree->rec, query->pid);
	const struct mw_rec_text *text = proc ? next_text(proc, query->tid, file) : NULL;
	if (!text)
		return no_answer(tree, query, name);
	return mw_buf_add(out, text->bytes, text->len) ? NULL : mw_err_nomem();
}

static struct mw_err *tree_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				     enum mw_file file, struct mw_buf *out)
{
	struct mw_rec_query query = { MW_REC_TEXT, pid, tid, file, 0 };
	return read_raw(tree_of(src), &query, file, mw_file_name(file), out);
}

static struct mw_err *tree_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct mw_rec_query query = { MW_REC_EXE_LINK, pid, 0, 0, 0 };
	return read_raw(tree_of(src), &query, MW_REC_EXE, "exe", out);
}

/* Nobody listed the processes: then they are those that something is known of. */
static struct mw_err *list_recorded(const struct tree *tree, struct mw_ids *out)
{
	for (size_t i = 0; i < tree->rec.procs.n; i++) {
		pid_t pid = tree->rec.procs.items[i]->pid;
		if (pid && !mw_vec_add(out, pid))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *tree_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	struct tree *tree = tree_of(src);
	const struct mw_rec_proc *proc = mw_record_proc(&tree->rec, pid);
	struct mw_rec_query query = { MW_REC_LIST, pid, 0, 0, 0 };
	size_t n = out->n;

	if (!proc || !proc->has_ids) {
		if (pid || mw_rec_find_error(&tree->rec.errors, &query))
			return no_answer(tree, &query,
					 pid ? "list of threads" : "list of processes");
		return list_recorded(tree, out);
	}
	for (size_t i = 0; i < proc->ids.n; i++) {
		if (mw_vec_add(out, proc->ids.items[i]))
			continue;
		out->n = n;
		return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *tree_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_FDS, pid, 0, 0, 0 };
	if (!proc || !proc->has_fds)
		return no_answer(tree_of(src), &query, "list of open files");
	size_t n = out->n;
	for (size_t i = 0; i < proc->fds.n; i++) {
		struct mw_fd fd = proc->fds.items[i];
		fd.target = strdup(fd.target);
		if (fd.target && mw_vec_add(out, fd))
			continue;
		free(fd.target);
		while (out->n > n)
			free(out->items[--out->n].target);
		return mw_err_nomem();
	}
	return NULL;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct mw_err *tree_scan(struct mw_source *src, pid_t pid, uint64_t start,
				uint64_t end, struct mw_page_ranges *out)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_SCAN, pid, 0, 0, start };
	if (!proc || !mw_spans_cover(&proc->pages, start, end))
		return no_answer(tree_of(src), &query, "page scan");
	size_t n = out->n;
	for (size_t i = mw_spans_find(&proc->pages, start); i < proc->pages.n; i++) {
		const struct mw_span *span = &proc->pages.items[i];
		if (span->start >= end)
			break;
		struct mw_page_range range = {
			.start = span->start > start ? span->start : start,
			.end = min_u64(span->end, end),
			.categories = span->value,
		};
		if (span->value == MW_REC_NOTHING || mw_vec_add(out, range))
			continue;
		out->n = n;
		return mw_err_nomem();
	}
	return NULL;
}

/* Fills ret with the values of [pos, pos + n); false when some are not recorded. */
static bool get_words(const struct mw_spans *spans, uint64_t pos, size_t n, uint64_t *ret)
{
	if (!mw_spans_cover(spans, pos, pos + n))
		return false;
	for (size_t i = mw_spans_find(spans, pos), k = 0; k < n; i++) {
		const struct mw_span *span = &spans->items[i];
		for (; k < n && pos + k < span->end; k++)
			ret[k] = mw_span_at(span, pos + k);
	}
	return true;
}

static struct mw_err *tree_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
					size_t n_pages, uint64_t *ret)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_PAGEMAP, pid, 0, 0, addr };
	if (proc && get_words(&proc->pagemap, addr / src->facts.page_size, n_pages, ret))
		return NULL;
	return no_answer(tree_of(src), &query, "pagemap");
}

static struct mw_err *tree_read_kpage(struct mw_source *src, enum mw_kpage which,
				      uint64_t pfn, size_t n, uint64_t *ret)
{
	struct mw_rec_query query = { MW_REC_KPAGE, 0, 0, which, pfn };
	if (get_words(&tree_of(src)->rec.kpage[which], pfn, n, ret))
		return NULL;
	return no_answer(tree_of(src), &query, mw_kpage_name(which));
}

static struct mw_err *tree_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				       void *bytes, size_t len, enum mw_purpose purpose,
				       size_t *got)
{
	struct tree *tree = tree_of(src);
	const struct mw_rec_proc *proc = mw_record_proc(&tree->rec, pid);
	struct mw_rec_query query = { MW_REC_MEMORY, pid, 0, 0, addr };
	size_t n = 0;

	if (proc)
		n = mw_record_get_bytes(&proc->memory, &proc->pool, addr, bytes, len);
	if (n || !len) {
		*got = n;
		return NULL;
	}
	if (proc && purpose == MW_READ_CONTENTS && !tree->rec.memory &&
	    !mw_rec_find_error(&tree->rec.errors, &query))
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "memory",
				  "the contents of memory are not in this recording; "
				  "`memwhy capture --memory` keeps them");
	return no_answer(tree, &query, "memory");
}

static struct mw_err *tree_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				      uint64_t *ret)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_ZERO_BYTES, pid, 0, 0, addr };
	if (proc && get_words(&proc->zeros, addr / src->facts.page_size, 1, ret))
		return NULL;
	return no_answer(tree_of(src), &query, "count of zero bytes");
}

static struct mw_err *tree_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				       uint64_t *ret)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_ROBUST, pid, tid, 0, 0 };
	if (!proc)
		return no_answer(tree_of(src), &query, "robust list");
	size_t at = mw_lower_bound(&proc->robust, proc->robust.items[i].tid < tid);
	if (at == proc->robust.n || proc->robust.items[at].tid != tid)
		return no_answer(tree_of(src), &query, "robust list");
	*ret = proc->robust.items[at].addr;
	return NULL;
}

static struct mw_err *tree_read_object(struct mw_source *src, pid_t pid,
				       const struct mw_object *obj, uint64_t off,
				       void *bytes, size_t len, size_t *got)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	const struct mw_rec_object *found = proc ? mw_record_object(proc, obj) : NULL;
	struct mw_rec_query query = { MW_REC_OBJECT, pid, 0, obj->dev, obj->ino };
	size_t n = 0;
	if (found)
		n = mw_record_get_bytes(&found->spans, &found->pool, off, bytes, len);
	if (!n && len && !(found && off >= found->size))
		return no_answer(tree_of(src), &query,
				 obj->path && *obj->path ? obj->path : "mapped file");
	*got = n;
	return NULL;
}

static struct mw_err *tree_probe(struct mw_source *src, enum mw_feature feature,
				 bool *ret)
{
	enum mw_rec_known known = tree_of(src)->rec.features[feature];
	struct mw_rec_query query = { MW_REC_PROBE, 0, 0, feature, 0 };
	if (known == MW_REC_UNKNOWN)
		return no_answer(tree_of(src), &query, mw_feature_name(feature));
	*ret = known == MW_REC_YES;
	return NULL;
}

static struct mw_err *tree_list_registers(struct mw_source *src, pid_t pid,
					  struct mw_registers_list *out)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_REGISTERS, pid, 0, 0, 0 };
	size_t n = out->n;
	if (!proc || !proc->has_registers)
		return no_answer(tree_of(src), &query, "registers");
	for (size_t i = 0; i < proc->registers.n; i++) {
		if (mw_vec_add(out, proc->registers.items[i]))
			continue;
		out->n = n;
		return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *tree_list_kept(struct mw_source *src, pid_t pid,
				     struct mw_words *out)
{
	const struct mw_rec_proc *proc = mw_record_proc(&tree_of(src)->rec, pid);
	struct mw_rec_query query = { MW_REC_KEPT, pid, 0, 0, 0 };
	size_t n = out->n;
	if (!proc || !proc->has_kept)
		return no_answer(tree_of(src), &query, "words the kernel keeps");
	for (size_t i = 0; i < proc->kept.n; i++) {
		if (mw_vec_add(out, proc->kept.items[i]))
			continue;
		out->n = n;
		return mw_err_nomem();
	}
	return NULL;
}

/* A recording does not move. */
static struct mw_err *tree_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	(void)src, (void)pid, (void)max_ms;
	return NULL;
}

static struct mw_err *tree_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	(void)src;
	*held_ns = 0;
	*cut = false;
	return NULL;
}

/* So it is its own copy. */
static struct mw_err *tree_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
				pid_t *child)
{
	(void)src, (void)max_ms;
	*child = pid;
	return NULL;
}

static const struct mw_source_ops tree_ops = {
	.name = "recorded",
	.close = tree_close,
	.read_text = tree_read_text,
	.read_exe = tree_read_exe,
	.list = tree_list,
	.list_fds = tree_list_fds,
	.scan = tree_scan,
	.read_pagemap = tree_read_pagemap,
	.read_kpage = tree_read_kpage,
	.read_memory = tree_read_memory,
	.zero_bytes = tree_zero_bytes,
	.robust_list = tree_robust_list,
	.read_object = tree_read_object,
	.probe = tree_probe,
	.stop = tree_stop,
	.resume = tree_resume,
	.list_registers = tree_list_registers,
	.list_kept = tree_list_kept,
	.fork = tree_fork,
};

struct mw_err *mw_source_open_record(struct mw_record *rec, struct mw_source **ret)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	if (!tree) {
		mw_record_deinit(rec);
		return mw_err_nomem();
	}
	tree->rec = *rec;
	*rec = (struct mw_record){ 0 };
	tree->base.ops = &tree_ops;
	tree->base.facts = tree->rec.facts;
	tree->base.facts.live = false;
	/* Pagemaps are only looked up. */
	tree->base.facts.parallel = true;
	*ret = &tree->base;
	return NULL;
}

struct mw_err *mw_source_open_tree(const char *dir, struct mw_source **ret)
{
	struct mw_record rec = { 0 };
	struct mw_err *err = mw_tree_load(dir, &rec);
	if (!err && !(rec.facts.root = mw_arena_strdup(&rec.arena, dir)))
		err = mw_err_nomem();
	if (!err)
		return mw_source_open_record(&rec, ret);
	mw_record_deinit(&rec);
	return err;
}
