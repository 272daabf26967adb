// SPDX-License-Identifier: MIT
#include "kernel/record/tree_files.h"

#include "base/num.h"
#include "kernel/record/sorted.h"
#include "kernel/record/tree_place.h"
#include "kernel/record/words.h"

#include <errno.h>
#include <string.h>

/* Where a line's words go. */
struct reader {
	struct mw_record *rec;
	struct mw_rec_proc *proc;
	struct mw_rec_object *obj; /* the last one named */
	struct mw_spans *spans;
	size_t n_lines;
	bool ended; /* the manifest's last line was read */
};

enum verdict { LINE_OK, LINE_BAD, LINE_NOMEM };

/* Reads one line, [pos, end) without the newline. */
typedef enum verdict line_fn(struct reader *r, const char *pos, const char *end);

static enum verdict kept(bool ok)
{
	return ok ? LINE_OK : LINE_NOMEM;
}

/* Whether a span may follow: in a file they ascend. */
static bool follows(const struct mw_spans *spans, const struct mw_span *span)
{
	return span->start < span->end &&
	       (!spans->n || spans->items[spans->n - 1].end <= span->start);
}

static enum verdict add_span(struct mw_spans *spans, struct mw_span span)
{
	if (!follows(spans, &span))
		return LINE_BAD;
	return kept(mw_spans_push(spans, span));
}

static const char *file_name(unsigned i)
{
	return mw_file_name((enum mw_file)i);
}

static const char *feature_name(unsigned i)
{
	return mw_feature_name((enum mw_feature)i);
}

static const char *op_name(unsigned i)
{
	return mw_rec_op_name((enum mw_rec_op)i);
}

static const char *kpage_name(unsigned i)
{
	return mw_kpage_name((enum mw_kpage)i) + strlen("kpage");
}

/* One of n names, and a blank. */
static bool take_name(const char **pos, const char *end, const char *(*name)(unsigned),
		      unsigned n, uint64_t *ret)
{
	for (unsigned i = 0; i < n; i++) {
		const char *p = *pos;
		if (!mw_take_word(&p, end, name(i)) || !mw_take_blank(&p, end))
			continue;
		*ret = i;
		*pos = p;
		return true;
	}
	return false;
}

static bool take_yes_no(const char *pos, const char *end, bool *ret)
{
	*ret = mw_take_word(&pos, end, "yes");
	return (*ret || mw_take_word(&pos, end, "no")) && pos == end;
}

static enum verdict read_features_line(struct reader *r, const char *pos, const char *end)
{
	uint64_t feature;
	bool yes;
	if (!take_name(&pos, end, feature_name, MW_FEATURE_COUNT, &feature) ||
	    !take_yes_no(pos, end, &yes))
		return LINE_BAD;
	r->rec->features[feature] = yes ? MW_REC_YES : MW_REC_NO;
	return LINE_OK;
}

static enum verdict read_kpage_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_span span = { 0 };
	uint64_t n;
	if (!mw_take_hex_word(&pos, end, &span.start) ||
	    !mw_take_dec_word(&pos, end, &n) || !mw_take_hex(&pos, end, &span.value) ||
	    pos != end || __builtin_add_overflow(span.start, n, &span.end))
		return LINE_BAD;
	return add_span(r->spans, span);
}

static enum verdict read_ids_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_ids *ids = &r->proc->ids;
	pid_t id;
	if (!mw_take_id(&pos, end, &id) || pos != end ||
	    (ids->n && ids->items[ids->n - 1] >= id))
		return LINE_BAD;
	return kept(mw_vec_add(ids, id));
}

static enum verdict read_fds_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_fd fd = { 0 };
	mw_auto_buf target = { 0 };
	if (!mw_take_id(&pos, end, &fd.fd) || !mw_take_blank(&pos, end) ||
	    !mw_take_hex_word(&pos, end, &fd.dev) ||
	    !mw_take_dec_word(&pos, end, &fd.ino) ||
	    !mw_take_dec_word(&pos, end, &fd.bytes) ||
	    !mw_take_escaped(&pos, end, &target) || pos != end)
		return LINE_BAD;
	fd.target = strdup(mw_buf_str(&target));
	if (!fd.target)
		return LINE_NOMEM;
	if (mw_vec_add(&r->proc->fds, fd))
		return LINE_OK;
	free(fd.target);
	return LINE_NOMEM;
}

static enum verdict read_pages_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_span span = { 0 };
	if (!mw_take_hex_word(&pos, end, &span.start) ||
	    !mw_take_hex_word(&pos, end, &span.end))
		return LINE_BAD;
	if (mw_take_char(&pos, end, '-'))
		span.value = MW_REC_NOTHING;
	else if (!mw_take_hex(&pos, end, &span.value) || span.value == MW_REC_NOTHING)
		return LINE_BAD;
	if (pos != end)
		return LINE_BAD;
	return add_span(&r->proc->pages, span);
}

/* Takes "addr n " as a range of page numbers. */
static bool take_page_range(struct reader *r, const char **pos, const char *end,
			    struct mw_span *span)
{
	uint64_t addr, n, len, page_size = r->rec->facts.page_size;
	if (!mw_take_hex_word(pos, end, &addr) || !mw_take_dec_word(pos, end, &n) ||
	    addr % page_size || __builtin_mul_overflow(n, page_size, &len) ||
	    __builtin_add_overflow(addr, len, &len))
		return false;
	span->start = addr / page_size;
	span->end = span->start + n;
	return true;
}

static enum verdict read_pagemap_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_span span = { 0 };
	uint64_t flags, low, last;
	if (!take_page_range(r, &pos, end, &span) ||
	    !mw_take_hex_word(&pos, end, &flags) || !mw_take_hex(&pos, end, &low) ||
	    flags >> 9 || low >> 55)
		return LINE_BAD;
	span.value = flags << 55 | low;
	if (pos == end)
		span.step = mw_span_word_step(span.value);
	else if (!mw_take_word(&pos, end, " =") || pos != end)
		return LINE_BAD;
	/* The frame must not run over into the flags. */
	if (__builtin_mul_overflow(span.end - span.start, span.step, &last) ||
	    __builtin_add_overflow(low, last, &last) || last > 1ull << 55)
		return LINE_BAD;
	return add_span(&r->proc->pagemap, span);
}

static enum verdict read_zeros_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_span span = { 0 };
	if (!take_page_range(r, &pos, end, &span) ||
	    !mw_take_dec(&pos, end, &span.value) || pos != end ||
	    span.value > r->rec->facts.page_size)
		return LINE_BAD;
	return add_span(&r->proc->zeros, span);
}

/* "addr len 0" for zero bytes, which take no room, or all bytes as digits. */
static enum verdict read_bytes(struct mw_spans *spans, struct mw_buf *pool,
			       const char *pos, const char *end)
{
	struct mw_span span = { .value = pool->len };
	uint64_t len;
	if (!mw_take_hex_word(&pos, end, &span.start) ||
	    !mw_take_dec_word(&pos, end, &len) ||
	    __builtin_add_overflow(span.start, len, &span.end) || !follows(spans, &span))
		return LINE_BAD;
	if (end - pos == 1 && *pos == '0') {
		span.value = 0;
		return kept(mw_spans_push(spans, span));
	}
	if ((uint64_t)(end - pos) / 2 != len || (end - pos) % 2)
		return LINE_BAD;
	if (!mw_buf_reserve(pool, len))
		return LINE_NOMEM;
	for (unsigned char byte; pos < end;) {
		if (!mw_take_byte(&pos, end, &byte))
			return LINE_BAD;
		pool->data[pool->len++] = (char)byte;
	}
	span.step = 1;
	return kept(mw_spans_push(spans, span));
}

static enum verdict read_memory_line(struct reader *r, const char *pos, const char *end)
{
	return read_bytes(&r->proc->memory, &r->proc->pool, pos, end);
}

static enum verdict read_robust_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_rec_robust item;
	if (!mw_take_id(&pos, end, &item.tid) || !mw_take_blank(&pos, end) ||
	    !mw_take_hex(&pos, end, &item.addr) || pos != end)
		return LINE_BAD;
	size_t n = r->proc->robust.n;
	if (n && r->proc->robust.items[n - 1].tid >= item.tid)
		return LINE_BAD;
	return kept(mw_vec_add(&r->proc->robust, item));
}

static enum verdict read_registers_line(struct reader *r, const char *pos,
					const char *end)
{
	struct mw_registers_list *list = &r->proc->registers;
	struct mw_registers item;
	if (!mw_take_registers(&pos, end, &item) || pos != end ||
	    (list->n && list->items[list->n - 1].tid >= item.tid))
		return LINE_BAD;
	return kept(mw_vec_add(list, item));
}

static enum verdict read_kept_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_words *words = &r->proc->kept;
	uint64_t word;
	if (!mw_take_hex(&pos, end, &word) || pos != end ||
	    (words->n && words->items[words->n - 1] >= word))
		return LINE_BAD;
	return kept(mw_vec_add(words, word));
}

static enum verdict read_object_head(struct reader *r, const char *pos, const char *end)
{
	struct mw_object obj = { 0 };
	uint64_t size = UINT64_MAX;
	mw_auto_buf path = { 0 };
	if (!mw_take_hex_word(&pos, end, &obj.dev) ||
	    !mw_take_dec_word(&pos, end, &obj.ino))
		return LINE_BAD;
	if (!mw_take_word(&pos, end, "- ") && !mw_take_dec_word(&pos, end, &size))
		return LINE_BAD;
	if (!mw_take_escaped(&pos, end, &path) || pos != end)
		return LINE_BAD;
	obj.path = mw_buf_str(&path);
	if (mw_record_object(r->proc, &obj))
		return LINE_BAD;
	r->obj = mw_record_add_object(r->rec, r->proc, &obj);
	if (!r->obj)
		return LINE_NOMEM;
	r->obj->size = size;
	return LINE_OK;
}

static enum verdict read_objects_line(struct reader *r, const char *pos, const char *end)
{
	if (mw_take_word(&pos, end, "object "))
		return read_object_head(r, pos, end);
	if (!r->obj)
		return LINE_BAD;
	return read_bytes(&r->obj->spans, &r->obj->pool, pos, end);
}

static bool take_sub(const char **pos, const char *end, struct mw_rec_query *query)
{
	switch (query->op) {
	case MW_REC_TEXT:
		return take_name(pos, end, file_name, MW_FILE_COUNT, &query->sub);
	case MW_REC_PROBE:
		return take_name(pos, end, feature_name, MW_FEATURE_COUNT, &query->sub);
	case MW_REC_KPAGE:
		return take_name(pos, end, kpage_name, MW_KPAGE_KINDS, &query->sub);
	default:
		return mw_take_hex_word(pos, end, &query->sub);
	}
}

static bool take_code(const char **pos, const char *end, struct mw_buf *scratch,
		      enum mw_errc *ret)
{
	if (!mw_take_escaped(pos, end, scratch) || !mw_take_blank(pos, end))
		return false;
	for (int i = MW_ERR_NOMEM; i <= MW_ERR_UNSUPPORTED; i++) {
		if (strcmp(mw_buf_str(scratch), mw_errc_name((enum mw_errc)i)))
			continue;
		*ret = (enum mw_errc)i;
		return true;
	}
	return false;
}

static enum verdict read_errors_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_rec_error error = { 0 };
	struct mw_rec_query *query = &error.query;
	mw_auto_buf what = { 0 };
	mw_auto_buf msg = { 0 };
	uint64_t op;
	if (!take_name(&pos, end, op_name, MW_REC_N_OPS, &op) ||
	    !mw_take_id(&pos, end, &query->pid) || !mw_take_blank(&pos, end) ||
	    !mw_take_id(&pos, end, &query->tid) || !mw_take_blank(&pos, end))
		return LINE_BAD;
	query->op = (enum mw_rec_op)op;
	if (!take_sub(&pos, end, query))
		return LINE_BAD;
	error.any_addr = mw_take_word(&pos, end, "* ");
	if (!error.any_addr && !mw_take_hex_word(&pos, end, &query->addr))
		return LINE_BAD;
	if (!take_code(&pos, end, &what, &error.code) ||
	    !mw_take_id(&pos, end, &error.errnum) || !mw_take_blank(&pos, end) ||
	    !mw_take_escaped(&pos, end, &what) || !mw_take_blank(&pos, end) ||
	    !mw_take_escaped(&pos, end, &msg) || pos != end)
		return LINE_BAD;
	error.what = mw_buf_str(&what);
	error.msg = mw_buf_str(&msg);
	return kept(mw_rec_add_error(&r->rec->errors, &r->rec->arena, &error));
}

static bool take_last_dec(const char *pos, const char *end, uint64_t *ret)
{
	return mw_take_dec(&pos, end, ret) && pos == end;
}

static enum verdict read_listed(struct reader *r, const char *pos, const char *end)
{
	struct mw_rec_listed item = { 0 };
	if (!mw_take_dec_word(&pos, end, &item.len) || pos == end)
		return LINE_BAD;
	item.path = mw_arena_strndup(&r->rec->arena, pos, (size_t)(end - pos));
	return kept(item.path && mw_vec_add(&r->rec->listed, item));
}

static enum verdict read_release(struct reader *r, const char *pos, const char *end)
{
	mw_auto_buf release = { 0 };
	if (!mw_take_escaped(&pos, end, &release) || pos != end)
		return LINE_BAD;
	r->rec->facts.release = mw_arena_strdup(&r->rec->arena, mw_buf_str(&release));
	return kept(r->rec->facts.release);
}

static enum verdict judged(bool ok)
{
	return ok ? LINE_OK : LINE_BAD;
}

static bool is_page_size(uint64_t size)
{
	return size >= 512 && size <= 1 << 30 && !(size & (size - 1));
}

static enum verdict read_manifest_line(struct reader *r, const char *pos, const char *end)
{
	struct mw_facts *facts = &r->rec->facts;
	if (r->n_lines == 1)
		return judged(mw_take_word(&pos, end, "memwhy tree 1") && pos == end);
	if (r->ended)
		return LINE_BAD;
	if (mw_take_word(&pos, end, "file "))
		return read_listed(r, pos, end);
	if (mw_take_word(&pos, end, "page_size "))
		return judged(take_last_dec(pos, end, &facts->page_size) &&
			      is_page_size(facts->page_size));
	if (mw_take_word(&pos, end, "clock_ticks "))
		return judged(take_last_dec(pos, end, &facts->clock_ticks) &&
			      facts->clock_ticks);
	if (mw_take_word(&pos, end, "booted_ns "))
		return judged(take_last_dec(pos, end, &facts->booted_ns));
	if (mw_take_word(&pos, end, "release "))
		return read_release(r, pos, end);
	if (mw_take_word(&pos, end, "scrubbed "))
		return judged(take_yes_no(pos, end, &r->rec->scrubbed));
	if (mw_take_word(&pos, end, "memory "))
		return judged(take_yes_no(pos, end, &r->rec->memory));
	r->ended = mw_take_word(&pos, end, "end") && pos == end;
	return judged(r->ended);
}

static struct mw_err *bad_file(const char *path, const char *why)
{
	return mw_err_new(MW_ERR_FORMAT, 0, path, "%s: %s", path, why);
}

static struct mw_err *read_lines(struct reader *r, const char *path, const char *bytes,
				 size_t len, line_fn *read_line)
{
	for (const char *pos = bytes, *end = bytes + len, *eol; pos < end;
	     pos = eol + 1) {
		eol = mw_line_end(pos, end);
		r->n_lines++;
		if (eol == end)
			return mw_err_new(MW_ERR_FORMAT, 0, path,
					  "%s: line %zu is cut off", path, r->n_lines);
		switch (read_line(r, pos, eol)) {
		case LINE_OK:
			break;
		case LINE_NOMEM:
			return mw_err_nomem();
		case LINE_BAD:
			return mw_err_new(MW_ERR_FORMAT, 0, path,
					  "%s: line %zu does not follow the format of a "
					  "recording",
					  path, r->n_lines);
		}
	}
	return NULL;
}

static int compare_listed(const void *a, const void *b)
{
	const struct mw_rec_listed *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static struct mw_err *read_manifest(struct reader *r, const char *path, const char *bytes,
				    size_t len)
{
	struct mw_record *rec = r->rec;
	struct mw_err *err = read_lines(r, path, bytes, len, read_manifest_line);
	if (err)
		return err;
	if (!r->ended)
		return bad_file(path, "the manifest of the recording is cut off");
	if (!rec->facts.page_size || !rec->facts.clock_ticks)
		return bad_file(path, "the manifest of the recording lacks page_size or "
				      "clock_ticks");
	if (!rec->facts.release)
		rec->facts.release = "";
	if (rec->listed.n)
		qsort(rec->listed.items, rec->listed.n, sizeof(*rec->listed.items),
		      compare_listed);
	return NULL;
}

/* The manifest knows how long its files are, so that none is cut off unnoticed. */
static struct mw_err *check_listed(struct mw_record *rec, const char *path, size_t len)
{
	size_t at =
		mw_lower_bound(&rec->listed, strcmp(rec->listed.items[i].path, path) < 0);
	if (at == rec->listed.n || strcmp(rec->listed.items[at].path, path))
		return NULL;
	struct mw_rec_listed *item = &rec->listed.items[at];
	if (item->len != len)
		return mw_err_new(MW_ERR_FORMAT, 0, path,
				  "%s: %zu bytes long, but the recording's manifest says "
				  "%llu: it is cut off or was changed",
				  path, len, (unsigned long long)item->len);
	item->seen = true;
	return NULL;
}

static struct mw_err *read_raw(struct reader *r, const struct mw_tree_place *place,
			       const char *bytes, size_t len)
{
	bool ok = mw_record_add_text(r->rec, place->pid, place->tid, place->file,
				     place->seq, bytes, len);
	return ok ? NULL : mw_err_nomem();
}

/* How to read the lines of a kind of file, and which spans they fill. */
static line_fn *choose(struct reader *r, enum mw_tree_kind kind)
{
	switch (kind) {
	case MW_KIND_FEATURES:
		return read_features_line;
	case MW_KIND_ERRORS:
		return read_errors_line;
	case MW_KIND_KPAGECOUNT:
	case MW_KIND_KPAGEFLAGS:
	case MW_KIND_KPAGECGROUP:
		r->spans = &r->rec->kpage[kind - MW_KIND_KPAGECOUNT];
		return read_kpage_line;
	case MW_KIND_IDS:
		r->proc->has_ids = true;
		return read_ids_line;
	case MW_KIND_FDS:
		r->proc->has_fds = true;
		return read_fds_line;
	case MW_KIND_PAGES:
		return read_pages_line;
	case MW_KIND_PAGEMAP:
		return read_pagemap_line;
	case MW_KIND_ZEROS:
		return read_zeros_line;
	case MW_KIND_MEMORY:
		return read_memory_line;
	case MW_KIND_ROBUST:
		return read_robust_line;
	case MW_KIND_REGISTERS:
		r->proc->has_registers = true;
		return read_registers_line;
	case MW_KIND_KEPT:
		r->proc->has_kept = true;
		return read_kept_line;
	default:
		return read_objects_line;
	}
}

bool mw_tree_knows(const char *path)
{
	struct mw_tree_place place;
	return mw_tree_find_place(path, &place);
}

struct mw_err *mw_tree_read_file(struct mw_record *rec, const char *path,
				 const char *bytes, size_t len)
{
	struct reader r = { .rec = rec };
	struct mw_tree_place place;

	if (!mw_tree_find_place(path, &place))
		return bad_file(path, "not a file of a recording");
	if (place.kind == MW_KIND_MANIFEST)
		return read_manifest(&r, path, bytes, len);
	if (!rec->facts.page_size)
		return bad_file(path, "the recording's manifest was not read before");
	struct mw_err *err = check_listed(rec, path, len);
	if (err)
		return err;
	r.proc = mw_record_add_proc(rec, place.pid);
	if (!r.proc)
		return mw_err_nomem();
	if (place.kind == MW_KIND_RAW)
		return read_raw(&r, &place, bytes, len);
	return read_lines(&r, path, bytes, len, choose(&r, place.kind));
}

struct mw_err *mw_tree_finish(struct mw_record *rec)
{
	for (size_t i = 0; i < rec->listed.n; i++)
		if (!rec->listed.items[i].seen)
			return bad_file(rec->listed.items[i].path,
					"missing from the recording");
	return mw_record_settle(rec) ? NULL : mw_err_nomem();
}
