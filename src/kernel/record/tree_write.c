// SPDX-License-Identifier: MIT
#include "kernel/files.h"
#include "kernel/record/tree_files.h"
#include "kernel/record/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Bytes on one line of hexadecimal, at most, and their alignment. */
enum { LINE_LEN = 64 };

/* One file at a time is composed in `text`; `ok` turns false when memory is short. */
struct writer {
	const struct mw_tree_sink *sink;
	struct mw_buf text, manifest;
	bool ok;
};

#define put(w, ...) ((w)->ok = (w)->ok && mw_buf_printf(&(w)->text, __VA_ARGS__))

static void put_escaped(struct writer *w, const char *text)
{
	w->ok = w->ok && mw_add_escaped(&w->text, text);
}

static void put_hex(struct writer *w, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char line[2 * LINE_LEN];
	for (size_t i = 0; i < len && i < LINE_LEN; i++) {
		line[2 * i] = digits[bytes[i] >> 4];
		line[2 * i + 1] = digits[bytes[i] & 15];
	}
	w->ok = w->ok && mw_buf_add(&w->text, line, 2 * len);
}

static struct mw_err *finish_file(struct writer *w, const char *path, const char *bytes,
				  size_t len)
{
	if (!w->ok)
		return mw_err_nomem();
	if (len > MW_TREE_MAX_LEN)
		return mw_err_new(MW_ERR_IO, EFBIG, path,
				  "%s would be %zu bytes long, and a recording's files "
				  "end at 1 GiB: record without --memory",
				  path, len);
	if (!mw_buf_printf(&w->manifest, "file %zu %s\n", len, path))
		return mw_err_nomem();
	return w->sink->file(w->sink->ctx, path, bytes, len);
}

/* Ends the file that was composed in w->text. */
MW_PRINTF(2, 3)
static struct mw_err *finish_text(struct writer *w, const char *fmt, ...)
{
	char path[128];
	va_list args;
	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	struct mw_err *err = finish_file(w, path, mw_buf_str(&w->text), w->text.len);
	mw_buf_clear(&w->text);
	return err;
}

static struct mw_err *write_raw(struct writer *w, pid_t pid,
				const struct mw_rec_text *text)
{
	const struct mw_file_place *place = mw_file_place(text->file);
	const char *name = place ? place->path : "exe.link";
	char path[160], base[64] = "proc", number[16] = "";

	if (place && place->scope == MW_SCOPE_SYS)
		snprintf(base, sizeof(base), "sys");
	else if (text->tid)
		snprintf(base, sizeof(base), "proc/%d/task/%d", pid, text->tid);
	else if (pid)
		snprintf(base, sizeof(base), "proc/%d", pid);
	if (text->seq)
		snprintf(number, sizeof(number), ".%u", text->seq + 1);
	snprintf(path, sizeof(path), "%s/%s%s", base, name, number);
	return finish_file(w, path, text->bytes, text->len);
}

static struct mw_err *write_ids(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->ids.n; i++)
		put(w, "%d\n", proc->ids.items[i]);
	return proc->pid ? finish_text(w, "proc/%d/threads", proc->pid)
			 : finish_text(w, "proc/pids");
}

static struct mw_err *write_fds(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->fds.n; i++) {
		const struct mw_fd *fd = &proc->fds.items[i];
		put(w, "%d %" PRIx64 " %" PRIu64 " %" PRIu64 " ", fd->fd, fd->dev,
		    fd->ino, fd->bytes);
		put_escaped(w, fd->target ? fd->target : "");
		put(w, "\n");
	}
	return finish_text(w, "proc/%d/fds", proc->pid);
}

static struct mw_err *write_pages(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->pages.n; i++) {
		const struct mw_span *span = &proc->pages.items[i];
		put(w, "%" PRIx64 " %" PRIx64, span->start, span->end);
		if (span->value == MW_REC_NOTHING)
			put(w, " -\n");
		else
			put(w, " %" PRIx64 "\n", span->value);
	}
	return finish_text(w, "proc/%d/pages", proc->pid);
}

/* The low 55 bits of a word are written apart: the frame, which rises page by page. */
static struct mw_err *write_pagemap(struct writer *w, const struct mw_record *rec,
				    const struct mw_rec_proc *proc)
{
	const uint64_t low = (1ull << 55) - 1;
	for (size_t i = 0; i < proc->pagemap.n; i++) {
		const struct mw_span *span = &proc->pagemap.items[i];
		uint64_t n = span->end - span->start;
		bool constant = n > 1 && !span->step && mw_span_word_step(span->value);
		put(w, "%" PRIx64 " %" PRIu64 " %" PRIx64 " %" PRIx64 "%s\n",
		    span->start * rec->facts.page_size, n, span->value >> 55,
		    span->value & low, constant ? " =" : "");
	}
	return finish_text(w, "proc/%d/pagemap", proc->pid);
}

static struct mw_err *write_zeros(struct writer *w, const struct mw_record *rec,
				  const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->zeros.n; i++) {
		const struct mw_span *span = &proc->zeros.items[i];
		put(w, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
		    span->start * rec->facts.page_size, span->end - span->start,
		    span->value);
	}
	return finish_text(w, "proc/%d/zero_bytes", proc->pid);
}

static bool all_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static void put_zero_run(struct writer *w, struct mw_span *zeros)
{
	if (zeros->start < zeros->end)
		put(w, "%" PRIx64 " %" PRIu64 " 0\n", zeros->start,
		    zeros->end - zeros->start);
	zeros->start = zeros->end;
}

/* Adds to the run of zeros that is held back; one that does not follow ends it. */
static void hold_zeros(struct writer *w, struct mw_span *zeros, uint64_t start,
		       uint64_t end)
{
	if (zeros->end != start) {
		put_zero_run(w, zeros);
		zeros->start = start;
	}
	zeros->end = end;
}

/* Lines end at multiples of LINE_LEN, so that two recordings compare line by line. */
static void put_bytes(struct writer *w, const struct mw_spans *spans,
		      const struct mw_buf *pool)
{
	struct mw_span zeros = { 0 };
	for (size_t i = 0; i < spans->n && w->ok; i++) {
		const struct mw_span *span = &spans->items[i];
		if (!span->step) {
			hold_zeros(w, &zeros, span->start, span->end);
			continue;
		}
		for (uint64_t pos = span->start, end; pos < span->end; pos = end) {
			end = pos | (LINE_LEN - 1);
			end = end < span->end - 1 ? end + 1 : span->end;
			const char *bytes = pool->data + mw_span_at(span, pos);
			if (all_zero(bytes, end - pos)) {
				hold_zeros(w, &zeros, pos, end);
				continue;
			}
			put_zero_run(w, &zeros);
			put(w, "%" PRIx64 " %" PRIu64 " ", pos, end - pos);
			put_hex(w, (const unsigned char *)bytes, end - pos);
			put(w, "\n");
		}
	}
	put_zero_run(w, &zeros);
}

static struct mw_err *write_memory(struct writer *w, const struct mw_rec_proc *proc)
{
	put_bytes(w, &proc->memory, &proc->pool);
	return finish_text(w, "proc/%d/memory", proc->pid);
}

static struct mw_err *write_robust(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->robust.n; i++)
		put(w, "%d %" PRIx64 "\n", proc->robust.items[i].tid,
		    proc->robust.items[i].addr);
	return finish_text(w, "proc/%d/robust", proc->pid);
}

static struct mw_err *write_objects(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->objects.n; i++) {
		const struct mw_rec_object *obj = &proc->objects.items[i];
		put(w, "object %" PRIx64 " %" PRIu64 " ", obj->dev, obj->ino);
		if (obj->size == UINT64_MAX)
			put(w, "- ");
		else
			put(w, "%" PRIu64 " ", obj->size);
		put_escaped(w, obj->path);
		put(w, "\n");
		put_bytes(w, &obj->spans, &obj->pool);
	}
	return finish_text(w, "proc/%d/objects", proc->pid);
}

static struct mw_err *write_registers(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->registers.n; i++) {
		w->ok = w->ok && mw_add_registers(&w->text, &proc->registers.items[i]);
		put(w, "\n");
	}
	return finish_text(w, "proc/%d/registers", proc->pid);
}

static struct mw_err *write_kept(struct writer *w, const struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->kept.n; i++)
		put(w, "%" PRIx64 "\n", proc->kept.items[i]);
	return finish_text(w, "proc/%d/kept", proc->pid);
}

static struct mw_err *write_proc(struct writer *w, const struct mw_record *rec,
				 const struct mw_rec_proc *proc)
{
	struct mw_err *err = NULL;

	for (size_t i = 0; !err && i < proc->texts.n; i++)
		err = write_raw(w, proc->pid, &proc->texts.items[i]);
	if (!err && proc->has_ids)
		err = write_ids(w, proc);
	if (!err && proc->has_fds)
		err = write_fds(w, proc);
	if (!err && proc->pages.n)
		err = write_pages(w, proc);
	if (!err && proc->pagemap.n)
		err = write_pagemap(w, rec, proc);
	if (!err && proc->zeros.n)
		err = write_zeros(w, rec, proc);
	if (!err && proc->memory.n)
		err = write_memory(w, proc);
	if (!err && proc->robust.n)
		err = write_robust(w, proc);
	if (!err && proc->objects.n)
		err = write_objects(w, proc);
	if (!err && proc->has_registers)
		err = write_registers(w, proc);
	if (!err && proc->has_kept)
		err = write_kept(w, proc);
	return err;
}

static struct mw_err *write_kpage(struct writer *w, const struct mw_record *rec,
				  enum mw_kpage which)
{
	const struct mw_spans *spans = &rec->kpage[which];
	for (size_t i = 0; i < spans->n; i++) {
		const struct mw_span *span = &spans->items[i];
		put(w, "%" PRIx64 " %" PRIu64 " %" PRIx64 "\n", span->start,
		    span->end - span->start, span->value);
	}
	if (!spans->n)
		return NULL;
	return finish_text(w, "%s", mw_kpage_name(which));
}

static struct mw_err *write_features(struct writer *w, const struct mw_record *rec)
{
	bool any = false;
	for (int i = 0; i < MW_FEATURE_COUNT; i++) {
		if (rec->features[i] == MW_REC_UNKNOWN)
			continue;
		put(w, "%s %s\n", mw_feature_name((enum mw_feature)i),
		    rec->features[i] == MW_REC_YES ? "yes" : "no");
		any = true;
	}
	return any ? finish_text(w, "features") : NULL;
}

static void put_sub(struct writer *w, const struct mw_rec_query *query)
{
	switch (query->op) {
	case MW_REC_TEXT:
		put(w, "%s", mw_file_name((enum mw_file)query->sub));
		break;
	case MW_REC_PROBE:
		put(w, "%s", mw_feature_name((enum mw_feature)query->sub));
		break;
	case MW_REC_KPAGE:
		put(w, "%s", mw_kpage_name(query->sub) + strlen("kpage"));
		break;
	default:
		put(w, "%" PRIx64, query->sub);
	}
}

static struct mw_err *write_errors(struct writer *w, const struct mw_record *rec)
{
	for (size_t i = 0; i < rec->errors.n; i++) {
		const struct mw_rec_error *error = &rec->errors.items[i];
		const struct mw_rec_query *query = &error->query;
		put(w, "%s %d %d ", mw_rec_op_name(query->op), query->pid, query->tid);
		put_sub(w, query);
		if (error->any_addr)
			put(w, " * ");
		else
			put(w, " %" PRIx64 " ", query->addr);
		put_escaped(w, mw_errc_name(error->code));
		put(w, " %d ", error->errnum);
		put_escaped(w, error->what);
		put(w, " ");
		put_escaped(w, error->msg);
		put(w, "\n");
	}
	return rec->errors.n ? finish_text(w, "errors") : NULL;
}

static struct mw_err *write_manifest(struct writer *w, const struct mw_record *rec)
{
	put(w, "memwhy tree 1\n");
	put(w, "page_size %" PRIu64 "\n", rec->facts.page_size);
	put(w, "clock_ticks %" PRIu64 "\n", rec->facts.clock_ticks);
	put(w, "booted_ns %" PRIu64 "\n", rec->facts.booted_ns);
	put(w, "release ");
	put_escaped(w, rec->facts.release ? rec->facts.release : "");
	put(w, "\nscrubbed %s\n", rec->scrubbed ? "yes" : "no");
	put(w, "memory %s\n", rec->memory ? "yes" : "no");
	w->ok = w->ok && mw_buf_add(&w->text, mw_buf_str(&w->manifest), w->manifest.len);
	put(w, "end\n");
	return finish_text(w, MW_TREE_MANIFEST);
}

struct mw_err *mw_tree_write(const struct mw_record *rec, const struct mw_tree_sink *sink)
{
	struct writer w = { .sink = sink, .ok = true };
	struct mw_err *err = write_features(&w, rec);

	for (unsigned i = 0; !err && i < MW_KPAGE_KINDS; i++)
		err = write_kpage(&w, rec, (enum mw_kpage)i);
	for (size_t i = 0; !err && i < rec->procs.n; i++)
		err = write_proc(&w, rec, rec->procs.items[i]);
	if (!err)
		err = write_errors(&w, rec);
	if (!err)
		err = write_manifest(&w, rec);
	mw_buf_deinit(&w.text);
	mw_buf_deinit(&w.manifest);
	return err;
}
