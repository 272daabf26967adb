// SPDX-License-Identifier: MIT
#include "kernel/record/scrub.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>

/* Appends a line of a text file, [pos, eol), without its names. */
typedef bool line_fn(struct mw_scrub *scrub, const char *pos, const char *eol,
		     struct mw_buf *out);

static bool add(struct mw_buf *out, const char *pos, const char *end)
{
	return mw_buf_add(out, pos, (size_t)(end - pos));
}

static bool begins(const char *pos, const char *end, const char *prefix)
{
	size_t len = strlen(prefix);
	return (size_t)(end - pos) >= len && !memcmp(pos, prefix, len);
}

static const char *word_end(const char *pos, const char *end)
{
	while (pos < end && *pos != ' ')
		pos++;
	return pos;
}

/* Behind the word at pos and the blanks that follow it. */
static const char *skip_word(const char *pos, const char *end)
{
	pos = word_end(pos, end);
	while (pos < end && *pos == ' ')
		pos++;
	return pos;
}

/* A counter of smaps begins with a capital, a mapping with lower-case digits. */
static bool scrub_maps_line(struct mw_scrub *scrub, const char *pos, const char *eol,
			    struct mw_buf *out)
{
	const char *path = pos;
	if (pos < eol && *pos >= 'A' && *pos <= 'Z')
		return add(out, pos, eol);
	for (int i = 0; i < 5; i++)
		path = skip_word(path, eol);
	return add(out, pos, path) &&
	       mw_scrub_path(scrub, path, (size_t)(eol - path), true, out);
}

/* status and stat write a newline of a name as \n and a backslash as \\. */
static bool scrub_escaped_name(struct mw_scrub *scrub, const char *pos, const char *end,
			       struct mw_buf *out)
{
	mw_auto_buf name = { 0 };
	for (; pos < end; pos++) {
		char c = *pos;
		if (c == '\\' && end - pos > 1 && (pos[1] == 'n' || pos[1] == '\\'))
			c = *++pos == 'n' ? '\n' : '\\';
		if (!mw_buf_add(&name, &c, 1))
			return false;
	}
	return mw_scrub_name(scrub, mw_buf_str(&name), name.len, out);
}

static bool scrub_status_line(struct mw_scrub *scrub, const char *pos, const char *eol,
			      struct mw_buf *out)
{
	static const char key[] = "Name:\t";
	if (!begins(pos, eol, key))
		return add(out, pos, eol);
	const char *name = pos + strlen(key);
	return add(out, pos, name) && scrub_escaped_name(scrub, name, eol, out);
}

/* The name is all between the first and the last parenthesis. */
static bool scrub_stat_line(struct mw_scrub *scrub, const char *pos, const char *eol,
			    struct mw_buf *out)
{
	const char *open = memchr(pos, '(', (size_t)(eol - pos));
	const char *close = memrchr(pos, ')', (size_t)(eol - pos));
	if (!open || !close || close < open)
		return true;
	return add(out, pos, open + 1) &&
	       scrub_escaped_name(scrub, open + 1, close, out) && add(out, close, eol);
}

static bool scrub_link(struct mw_scrub *scrub, const char *text, size_t len,
		       struct mw_buf *out)
{
	return mw_scrub_path(scrub, text, len, false, out);
}

/* Of a command line only the program stays. */
static bool scrub_cmdline(struct mw_scrub *scrub, const char *text, size_t len,
			  struct mw_buf *out)
{
	size_t first = strnlen(text, len);
	return !len || (scrub_link(scrub, text, first, out) && mw_buf_add(out, "", 1));
}

/* Options of file systems that hold memory; others may name hosts and paths. */
static bool is_plain_option(const char *pos, const char *end)
{
	static const char *const plain[] = { "rw",   "ro",    "size=", "nr_inodes=",
					     "huge", "mode=", "inode", "pagesize=" };
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (begins(pos, end, plain[i]))
			return true;
	return false;
}

static bool scrub_mount_options(const char *pos, const char *eol, struct mw_buf *out)
{
	const char *comma = "";
	while (pos < eol) {
		const char *end = memchr(pos, ',', (size_t)(eol - pos));
		end = end ? end : eol;
		if (is_plain_option(pos, end)) {
			if (!mw_buf_printf(out, "%s", comma) || !add(out, pos, end))
				return false;
			comma = ",";
		}
		pos = end < eol ? end + 1 : eol;
	}
	return true;
}

/* A mount's source is often the name of its type, which tells nothing more. */
static bool scrub_mount_source(struct mw_scrub *scrub, const char *type, size_t type_len,
			       const char *source, size_t len, struct mw_buf *out)
{
	if ((len == type_len && !memcmp(source, type, len)) ||
	    (len == 4 && !memcmp(source, "none", len)))
		return mw_buf_add(out, source, len);
	return mw_scrub_path(scrub, source, len, true, out);
}

/* "36 35 98:0 ROOT MOUNT-POINT rw shared:1 - TYPE SOURCE OPTIONS" */
static bool scrub_mountinfo_line(struct mw_scrub *scrub, const char *pos, const char *eol,
				 struct mw_buf *out)
{
	const char *at = pos, *dash = memmem(pos, (size_t)(eol - pos), " - ", 3);
	if (!dash)
		return true;
	for (int i = 0; i < 3; i++)
		at = skip_word(at, dash);
	if (!add(out, pos, at))
		return false;
	for (int i = 0; i < 2; i++) {
		const char *end = word_end(at, dash);
		if (!mw_scrub_path(scrub, at, (size_t)(end - at), true, out) ||
		    !mw_buf_add(out, " ", 1))
			return false;
		at = skip_word(at, dash);
	}
	const char *type = dash + 3, *source = skip_word(type, eol);
	const char *type_end = word_end(type, eol), *source_end = word_end(source, eol);
	return add(out, at, source) &&
	       scrub_mount_source(scrub, type, (size_t)(type_end - type), source,
				  (size_t)(source_end - source), out) &&
	       mw_buf_add(out, " ", 1) &&
	       scrub_mount_options(skip_word(source, eol), eol, out);
}

/*
 * A cgroup's path, alone or behind "0::" and "4:memory:", name by name: one group stays
 * below another.
 */
static bool scrub_cgroup_line(struct mw_scrub *scrub, const char *pos, const char *eol,
			      struct mw_buf *out)
{
	const char *path = memchr(pos, '/', (size_t)(eol - pos));
	if (!path)
		path = eol;
	if (!add(out, pos, path))
		return false;
	while (path < eol) {
		const char *name = path + 1;
		const char *end = memchr(name, '/', (size_t)(eol - name));
		if (!end)
			end = eol;
		if (!mw_buf_add(out, "/", 1) ||
		    (end > name &&
		     !mw_scrub_name(scrub, name, (size_t)(end - name), out)))
			return false;
		path = end;
	}
	return true;
}

static line_fn *line_scrubber(unsigned file)
{
	switch (file) {
	case MW_FILE_CGROUP:
	case MW_FILE_CGROUP_PATH:
		return scrub_cgroup_line;
	case MW_FILE_MAPS:
	case MW_FILE_SMAPS:
	case MW_FILE_SMAPS_ROLLUP:
		return scrub_maps_line;
	case MW_FILE_STATUS:
		return scrub_status_line;
	case MW_FILE_STAT:
		return scrub_stat_line;
	case MW_FILE_MOUNTINFO:
		return scrub_mountinfo_line;
	default:
		return NULL;
	}
}

static bool scrub_lines(struct mw_scrub *scrub, line_fn *scrub_line, const char *text,
			size_t len, struct mw_buf *out)
{
	for (const char *pos = text, *end = text + len; pos < end;) {
		const char *eol = mw_line_end(pos, end);
		if (!scrub_line(scrub, pos, eol, out))
			return false;
		if (eol < end && !mw_buf_add(out, "\n", 1))
			return false;
		pos = eol < end ? eol + 1 : end;
	}
	return true;
}

/* A comm may hold a newline: it is one name, up to the file's last byte. */
static bool scrub_comm(struct mw_scrub *scrub, const char *text, size_t len,
		       struct mw_buf *out)
{
	size_t name_len = len && text[len - 1] == '\n' ? len - 1 : len;
	return mw_scrub_name(scrub, text, name_len, out) &&
	       mw_buf_add(out, "\n", len - name_len);
}

static bool scrub_text(struct mw_scrub *scrub, struct mw_record *rec,
		       struct mw_rec_text *text)
{
	line_fn *scrub_line = line_scrubber(text->file);
	mw_auto_buf out = { 0 };
	bool ok;
	if (text->file == MW_REC_EXE)
		ok = scrub_link(scrub, text->bytes, text->len, &out);
	else if (text->file == MW_FILE_CMDLINE)
		ok = scrub_cmdline(scrub, text->bytes, text->len, &out);
	else if (text->file == MW_FILE_COMM)
		ok = scrub_comm(scrub, text->bytes, text->len, &out);
	else if (scrub_line)
		ok = scrub_lines(scrub, scrub_line, text->bytes, text->len, &out);
	else
		return true;
	if (!ok)
		return false;
	text->bytes = mw_arena_strndup(&rec->arena, mw_buf_str(&out), out.len);
	text->len = out.len;
	return text->bytes;
}

static bool scrub_fds(struct mw_scrub *scrub, struct mw_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++) {
		mw_auto_buf out = { 0 };
		char *target = fds->items[i].target;
		if (!scrub_link(scrub, target, strlen(target), &out))
			return false;
		char *copy = strdup(mw_buf_str(&out));
		if (!copy)
			return false;
		free(target);
		fds->items[i].target = copy;
	}
	return true;
}

static int compare_objects(const void *a, const void *b)
{
	const struct mw_rec_object *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return strcmp(x->path, y->path);
}

static bool scrub_objects(struct mw_scrub *scrub, struct mw_record *rec,
			  struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->objects.n; i++) {
		mw_auto_buf out = { 0 };
		struct mw_rec_object *obj = &proc->objects.items[i];
		if (!scrub_link(scrub, obj->path, strlen(obj->path), &out))
			return false;
		obj->path = mw_arena_strdup(&rec->arena, mw_buf_str(&out));
		if (!obj->path)
			return false;
	}
	if (proc->objects.n)
		qsort(proc->objects.items, proc->objects.n, sizeof(*proc->objects.items),
		      compare_objects);
	return true;
}

/* "WHAT: why and what helps", WHAT a file of the kernel's, and no path in the rest. */
static bool is_plain_message(const struct mw_rec_error *error)
{
	size_t len = strlen(error->what);
	return begins(error->what, error->what + len, "/proc/") &&
	       !strncmp(error->msg, error->what, len) && error->msg[len] == ':' &&
	       !strchr(error->msg + len, '/');
}

/* Other messages are sentences, with names anywhere in them: they are not kept. */
static bool scrub_errors(struct mw_scrub *scrub, struct mw_record *rec)
{
	for (size_t i = 0; i < rec->errors.n; i++) {
		struct mw_rec_error *error = &rec->errors.items[i];
		mw_auto_buf out = { 0 };
		if (!strchr(error->what, '/')) {
			error->msg = "";
			continue;
		}
		if (!scrub_link(scrub, error->what, strlen(error->what), &out))
			return false;
		bool same = !strcmp(mw_buf_str(&out), error->what);
		if (!same || !is_plain_message(error))
			error->msg = "";
		if (same)
			continue;
		error->what = mw_arena_strdup(&rec->arena, mw_buf_str(&out));
		if (!error->what)
			return false;
	}
	return true;
}

static bool scrub_proc(struct mw_scrub *scrub, struct mw_record *rec,
		       struct mw_rec_proc *proc)
{
	for (size_t i = 0; i < proc->texts.n; i++)
		if (!scrub_text(scrub, rec, &proc->texts.items[i]))
			return false;
	return scrub_fds(scrub, &proc->fds) && scrub_objects(scrub, rec, proc);
}

bool mw_scrub_record(struct mw_scrub *scrub, struct mw_record *rec)
{
	for (size_t i = 0; i < rec->procs.n; i++)
		if (!scrub_proc(scrub, rec, rec->procs.items[i]))
			return false;
	return scrub_errors(scrub, rec);
}
