// SPDX-License-Identifier: MIT
#include "kernel/record/record.h"

#include "kernel/record/sorted.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* So many answers of one counter file are kept; the later ones are not. */
enum { MAX_ANSWERS = 32 };

static size_t find_proc(const struct mw_record *rec, pid_t pid)
{
	return mw_lower_bound(&rec->procs, rec->procs.items[i]->pid < pid);
}

struct mw_rec_proc *mw_record_proc(const struct mw_record *rec, pid_t pid)
{
	size_t i = find_proc(rec, pid);
	if (i == rec->procs.n || rec->procs.items[i]->pid != pid)
		return NULL;
	return rec->procs.items[i];
}

struct mw_rec_proc *mw_record_add_proc(struct mw_record *rec, pid_t pid)
{
	struct mw_rec_proc *proc = mw_record_proc(rec, pid);
	if (proc)
		return proc;
	proc = calloc(1, sizeof(*proc));
	if (!proc)
		return NULL;
	proc->pid = pid;
	proc->pagemap.words = true;
	size_t i = find_proc(rec, pid);
	if (!mw_vec_insert(&rec->procs, i, proc)) {
		free(proc);
		return NULL;
	}
	return proc;
}

static int compare_text(const struct mw_rec_text *text, pid_t tid, unsigned file,
			unsigned seq)
{
	if (text->tid != tid)
		return text->tid < tid ? -1 : 1;
	if (text->file != file)
		return text->file < file ? -1 : 1;
	return (text->seq > seq) - (text->seq < seq);
}

size_t mw_record_find_text(const struct mw_rec_proc *proc, pid_t tid, unsigned file,
			   unsigned seq)
{
	return mw_lower_bound(&proc->texts,
			      compare_text(&proc->texts.items[i], tid, file, seq) < 0);
}

static bool keeps_every_answer(unsigned file)
{
	return file == MW_FILE_STATUS || file == MW_FILE_STATM || file == MW_FILE_STAT;
}

/* The next free number; UINT_MAX when this answer is not to be kept. */
static unsigned next_seq(const struct mw_rec_proc *proc, pid_t tid, unsigned file)
{
	size_t first = mw_record_find_text(proc, tid, file, 0);
	size_t behind = mw_record_find_text(proc, tid, file, UINT_MAX);
	size_t n = behind - first;
	size_t max = keeps_every_answer(file) ? MAX_ANSWERS : 1;
	return n < max ? (unsigned)n : UINT_MAX;
}

bool mw_record_add_text(struct mw_record *rec, pid_t pid, pid_t tid, unsigned file,
			size_t seq, const void *bytes, size_t len)
{
	struct mw_rec_proc *proc = mw_record_add_proc(rec, pid);
	if (!proc)
		return false;
	unsigned number = seq == SIZE_MAX ? next_seq(proc, tid, file) : (unsigned)seq;
	if (number == UINT_MAX)
		return true;
	struct mw_rec_text text = { .tid = tid, .file = file, .seq = number, .len = len };
	text.bytes = mw_arena_strndup(&rec->arena, bytes, len);
	if (!text.bytes)
		return false;
	size_t i = mw_record_find_text(proc, tid, file, number);
	return mw_vec_insert(&proc->texts, i, text);
}

bool mw_record_add_words(struct mw_spans *spans, uint64_t pos, const uint64_t *words,
			 size_t n)
{
	if (mw_spans_cover(spans, pos, pos + n))
		return true;
	for (size_t i = 0; i < n;) {
		size_t from = i++;
		while (i < n && words[i] == words[from])
			i++;
		struct mw_span span = { pos + from, pos + i, words[from], 0 };
		if (!mw_spans_push(spans, span))
			return false;
	}
	return true;
}

bool mw_record_add_bytes(struct mw_spans *spans, struct mw_buf *pool, uint64_t pos,
			 const void *bytes, size_t len)
{
	struct mw_span span = { .start = pos, .value = pool->len, .step = 1 };
	if (__builtin_add_overflow(pos, len, &span.end))
		span.end = UINT64_MAX;
	if (mw_spans_cover(spans, pos, span.end))
		return true;
	return mw_buf_add(pool, bytes, len) && mw_spans_push(spans, span);
}

size_t mw_record_get_bytes(const struct mw_spans *spans, const struct mw_buf *pool,
			   uint64_t pos, void *bytes, size_t len)
{
	size_t got = 0;
	for (size_t i = mw_spans_find(spans, pos); got < len && i < spans->n_settled;
	     i++) {
		const struct mw_span *span = &spans->items[i];
		if (span->start > pos)
			break;
		size_t part = len - got;
		if (span->end - pos < part)
			part = (size_t)(span->end - pos);
		if (span->step)
			memcpy((char *)bytes + got, pool->data + mw_span_at(span, pos),
			       part);
		else
			memset((char *)bytes + got, 0, part);
		got += part;
		pos += part;
	}
	return got;
}

static int compare_object(const struct mw_rec_object *item, const struct mw_object *obj)
{
	if (item->dev != obj->dev)
		return item->dev < obj->dev ? -1 : 1;
	if (item->ino != obj->ino)
		return item->ino < obj->ino ? -1 : 1;
	return strcmp(item->path, obj->path ? obj->path : "");
}

static size_t find_object(const struct mw_rec_proc *proc, const struct mw_object *obj)
{
	return mw_lower_bound(&proc->objects,
			      compare_object(&proc->objects.items[i], obj) < 0);
}

struct mw_rec_object *mw_record_object(const struct mw_rec_proc *proc,
				       const struct mw_object *obj)
{
	size_t i = find_object(proc, obj);
	if (i == proc->objects.n || compare_object(&proc->objects.items[i], obj))
		return NULL;
	return &proc->objects.items[i];
}

struct mw_rec_object *mw_record_add_object(struct mw_record *rec,
					   struct mw_rec_proc *proc,
					   const struct mw_object *obj)
{
	struct mw_rec_object *found = mw_record_object(proc, obj);
	if (found)
		return found;
	struct mw_rec_object item = {
		.dev = obj->dev,
		.ino = obj->ino,
		.path = mw_arena_strdup(&rec->arena, obj->path ? obj->path : ""),
		.size = UINT64_MAX,
	};
	size_t i = find_object(proc, obj);
	if (!item.path || !mw_vec_insert(&proc->objects, i, item))
		return NULL;
	return &proc->objects.items[i];
}

/* Drops bytes that no span shows and puts the others in order, so that they join. */
static bool settle_bytes(struct mw_spans *spans, struct mw_buf *pool)
{
	if (!mw_spans_settle(spans))
		return false;
	uint64_t expected = 0;
	bool in_order = true;
	for (size_t i = 0; i < spans->n; i++) {
		const struct mw_span *span = &spans->items[i];
		if (!span->step)
			continue;
		in_order = in_order && span->value == expected;
		expected = span->value + (span->end - span->start);
	}
	if (in_order && expected == pool->len)
		return true;
	struct mw_spans new_spans = { 0 };
	struct mw_buf new_pool = { 0 };
	bool ok = true;
	for (size_t i = 0; ok && i < spans->n; i++) {
		struct mw_span span = spans->items[i];
		if (span.step) {
			const char *bytes = pool->data + span.value;
			span.value = new_pool.len;
			ok = mw_buf_add(&new_pool, bytes, span.end - span.start);
		}
		ok = ok && mw_spans_push(&new_spans, span);
	}
	/* What was swapped out, or what could not be finished. */
	struct mw_spans drop_spans = ok ? *spans : new_spans;
	struct mw_buf drop_pool = ok ? *pool : new_pool;
	if (ok) {
		*spans = new_spans;
		*pool = new_pool;
	}
	mw_spans_deinit(&drop_spans);
	mw_buf_deinit(&drop_pool);
	return ok;
}

/* The last answer is repeated for ever: copies of it at the end say nothing. */
static void trim_texts(struct mw_rec_proc *proc)
{
	size_t kept = 0, n = proc->texts.n;
	for (size_t i = 0, end; i < n; i = end) {
		const struct mw_rec_text *first = &proc->texts.items[i];
		for (end = i; end < n && proc->texts.items[end].tid == first->tid &&
			      proc->texts.items[end].file == first->file;)
			end++;
		size_t last = end;
		for (; last - i > 1; last--) {
			const struct mw_rec_text *text = &proc->texts.items[last - 1];
			if (text->len != text[-1].len ||
			    memcmp(text->bytes, text[-1].bytes, text->len))
				break;
		}
		memmove(proc->texts.items + kept, first, (last - i) * sizeof(*first));
		kept += last - i;
	}
	proc->texts.n = kept;
}

static bool settle_proc(struct mw_rec_proc *proc)
{
	trim_texts(proc);
	for (size_t i = 0; i < proc->objects.n; i++)
		if (!settle_bytes(&proc->objects.items[i].spans,
				  &proc->objects.items[i].pool))
			return false;
	return mw_spans_settle(&proc->pages) && mw_spans_settle(&proc->pagemap) &&
	       mw_spans_settle(&proc->zeros) && settle_bytes(&proc->memory, &proc->pool);
}

bool mw_record_settle(struct mw_record *rec)
{
	for (size_t i = 0; i < rec->procs.n; i++)
		if (!settle_proc(rec->procs.items[i]))
			return false;
	for (unsigned i = 0; i < MW_KPAGE_KINDS; i++)
		if (!mw_spans_settle(&rec->kpage[i]))
			return false;
	return true;
}

static void free_proc(struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->objects.n; i++) {
		mw_spans_deinit(&proc->objects.items[i].spans);
		mw_buf_deinit(&proc->objects.items[i].pool);
	}
	mw_vec_deinit(&proc->ids);
	mw_fds_deinit(&proc->fds);
	mw_vec_deinit(&proc->texts);
	mw_spans_deinit(&proc->pages);
	mw_spans_deinit(&proc->pagemap);
	mw_spans_deinit(&proc->zeros);
	mw_spans_deinit(&proc->memory);
	mw_buf_deinit(&proc->pool);
	mw_vec_deinit(&proc->robust);
	mw_vec_deinit(&proc->registers);
	mw_vec_deinit(&proc->kept);
	mw_vec_deinit(&proc->objects);
	free(proc);
}

void mw_record_deinit(struct mw_record *rec)
{
	for (size_t i = 0; i < rec->procs.n; i++)
		free_proc(rec->procs.items[i]);
	mw_vec_deinit(&rec->procs);
	for (unsigned i = 0; i < MW_KPAGE_KINDS; i++)
		mw_spans_deinit(&rec->kpage[i]);
	mw_vec_deinit(&rec->errors);
	mw_vec_deinit(&rec->listed);
	mw_arena_deinit(&rec->arena);
	*rec = (struct mw_record){ 0 };
}
