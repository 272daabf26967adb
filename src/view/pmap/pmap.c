// SPDX-License-Identifier: MIT
#include "view/pmap/pmap.h"

#include "base/num.h"
#include "base/vec.h"
#include "out/utf8.h"

#include <string.h>

enum { MUCH = 60000 };

void mw_pmap_flush(struct mw_pmap_job *job, bool much)
{
	if (much && job->text.len < MUCH)
		return;
	mw_out_raw(job->out, mw_buf_str(&job->text), job->text.len);
	mw_buf_clear(&job->text);
}

/* Without UTF-8, procps has a dot for a control code and ? for the rest. */
static bool add_byte(struct mw_buf *text, unsigned char byte, bool utf8)
{
	bool control = byte < ' ' || byte == 0x7f;
	return mw_buf_add(text, control && !utf8 ? "." : "?", 1);
}

/* How much of it is printable ASCII: most often all of it. */
static size_t ascii_span(const char *pos, const char *end)
{
	const char *at = pos;
	while (at < end && *at >= ' ' && *at < 0x7f)
		at++;
	return (size_t)(at - pos);
}

bool mw_pmap_add_safe(struct mw_buf *text, const char *name, size_t len, bool utf8)
{
	const char *pos = name, *end = name + len;
	bool ok = true;
	while (ok && pos < end) {
		size_t plain = ascii_span(pos, end);
		uint32_t code = 0;
		if (plain) {
			ok = mw_buf_add(text, pos, plain);
			pos += plain;
			continue;
		}
		unsigned n = mw_utf8_take(pos, end, &code);
		if (n && utf8 && !mw_utf8_unsafe(code)) {
			ok = mw_buf_add(text, pos, n);
		} else {
			n = utf8 && n ? n : 1;
			ok = add_byte(text, (unsigned char)*pos, utf8);
		}
		pos += n;
	}
	return ok;
}

/* Names in rows are ASCII in every locale. */
static bool add_ascii(struct mw_buf *text, const char *name, size_t len)
{
	size_t at = text->len;
	if (!mw_buf_add(text, name, len))
		return false;
	for (; at < text->len; at++)
		if (text->data[at] < ' ' || text->data[at] >= 0x7f)
			text->data[at] = '?';
	return true;
}

static bool is_stack(const struct mw_pmap_job *job, const struct mw_maps_line *map)
{
	return job->start_stack >= map->start && job->start_stack <= map->end;
}

bool mw_pmap_add_name(struct mw_pmap_job *job, const struct mw_maps_line *map)
{
	const char *name = map->name;
	size_t len = map->name_len;
	const char *slash = len ? memrchr(name, '/', len) : NULL;
	if (!(map->dev >> 20) && len >= 5 && memmem(name, len, "/SYSV", 5))
		return mw_buf_printf(&job->text, "  [ shmid=0x%llx ]",
				     (unsigned long long)map->ino);
	if (slash && job->opts->paths) {
		const char *first = memchr(name, '/', len);
		return add_ascii(&job->text, first, len - (size_t)(first - name));
	}
	if (slash) {
		/* A memfd's name may have slashes of its own: all of it is the name. */
		const char *base = len > 7 && !memcmp(name, "/memfd:", 7) ? name : slash;
		size_t skip = (size_t)(base - name) + (base[1] ? 1 : 0);
		return add_ascii(&job->text, name + skip, len - skip);
	}
	if (len && job->opts->kernel_names)
		return add_ascii(&job->text, name, len);
	return mw_buf_printf(&job->text, "%s",
			     is_stack(job, map) ? "  [ stack ]" : "  [ anon ]");
}

/* Who has no arguments, a kernel thread or a zombie, has its name in brackets. */
static bool add_comm(struct mw_pmap_job *job, const struct mw_buf *stat)
{
	const char *bytes = mw_buf_str(stat), *end = bytes + stat->len;
	const char *open = memchr(bytes, '(', stat->len);
	const char *close = memrchr(bytes, ')', stat->len);
	return open && close > open && mw_buf_printf(&job->text, "[") &&
	       mw_pmap_add_safe(&job->text, open + 1, (size_t)(close - open) - 1,
				job->opts->utf8) &&
	       mw_buf_printf(&job->text, "]%s",
			     end - close > 2 && close[2] == 'Z' ? " <defunct>" : "");
}

/* Arguments joined by blanks, and each newline in them is one too. */
static struct mw_err *add_command(struct mw_pmap_job *job, const struct mw_buf *stat)
{
	mw_auto_buf line = { 0 };
	struct mw_err *err =
		mw_source_read_text(job->src, job->pid, 0, MW_FILE_CMDLINE, &line);
	if (err)
		return err;
	while (line.len && !line.data[line.len - 1])
		line.len--;
	for (size_t i = 0; i < line.len; i++)
		if (!line.data[i] || line.data[i] == '\n')
			line.data[i] = ' ';
	bool ok = mw_buf_printf(&job->text, "%d:   ", (int)job->pid);
	if (ok && line.len)
		ok = mw_pmap_add_safe(&job->text, line.data, line.len, job->opts->utf8);
	else if (ok)
		ok = add_comm(job, stat);
	return ok && mw_buf_printf(&job->text, "\n") ? NULL : mw_err_nomem();
}

/* Field 28, counted behind the name, which may hold anything. */
static uint64_t start_stack_of(const struct mw_buf *stat)
{
	const char *end = mw_buf_str(stat) + stat->len;
	const char *pos = memrchr(mw_buf_str(stat), ')', stat->len);
	uint64_t n = 0;
	for (unsigned field = 2; pos && field < 28; field++) {
		pos = memchr(pos, ' ', (size_t)(end - pos));
		pos = pos ? pos + 1 : NULL;
	}
	return pos && mw_take_dec(&pos, end, &n) ? n : 0;
}

struct mw_err *mw_pmap_show(struct mw_out *out, struct mw_source *src, pid_t pid,
			    const struct mw_pmap_opts *opts, size_t *n_rows)
{
	struct mw_pmap_job job = { .out = out, .src = src, .pid = pid, .opts = opts };
	mw_auto_buf stat = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_STAT, &stat);
	if (err)
		return err;
	job.start_stack = start_stack_of(&stat);
	err = add_command(&job, &stat);
	if (!err)
		err = opts->mode == MW_PMAP_DETAIL ? mw_pmap_detail(&job)
						   : mw_pmap_rows(&job);
	mw_pmap_flush(&job, false);
	mw_buf_deinit(&job.text);
	if (!err)
		*n_rows = job.n_rows;
	return err;
}
