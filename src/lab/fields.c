// SPDX-License-Identifier: MIT
#include "lab/fields.h"

#include "base/buf.h"
#include "base/num.h"

/* While reading: the field that may still go on. */
struct reader {
	struct mw_arena *arena;
	const char *file;
	struct mw_fields *fields;
	struct mw_field open; /* without a name: none */
	struct mw_buf value;
	unsigned line;
	bool in_paragraph;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **pos, const char **end)
{
	while (*pos < *end && is_blank(**pos))
		++*pos;
	while (*pos < *end && is_blank((*end)[-1]))
		--*end;
}

static struct mw_err *wrong(const struct reader *r, unsigned line, const char *what)
{
	return mw_err_new(MW_ERR_FORMAT, 0, r->file, "%s:%u: %s", r->file, line, what);
}

/* The open field is complete. */
static struct mw_err *finish(struct reader *r)
{
	struct mw_field field = r->open;
	if (!field.name)
		return NULL;
	r->open.name = NULL;
	if (r->value.len == 0)
		return mw_err_new(MW_ERR_FORMAT, 0, r->file, "%s:%u: %s is empty",
				  r->file, field.line, field.name);
	field.value = mw_arena_strndup(r->arena, mw_buf_str(&r->value), r->value.len);
	mw_buf_clear(&r->value);
	return field.value && mw_vec_add(r->fields, field) ? NULL : mw_err_nomem();
}

static struct mw_err *add_text(struct reader *r, const char *pos, const char *end)
{
	trim(&pos, &end);
	if (pos == end)
		return NULL;
	if (r->value.len && !mw_buf_add(&r->value, " ", 1))
		return mw_err_nomem();
	return mw_buf_add(&r->value, pos, (size_t)(end - pos)) ? NULL : mw_err_nomem();
}

static const char *end_of_name(const char *pos, const char *end)
{
	while (pos < end &&
	       ((*pos >= 'A' && *pos <= 'Z') || (*pos >= 'a' && *pos <= 'z')))
		pos++;
	return pos;
}

static struct mw_err *begin(struct reader *r, const char *pos, const char *end)
{
	const char *colon = end_of_name(pos, end);
	struct mw_err *err = finish(r);
	if (err)
		return err;
	if (colon == pos || colon == end || *colon != ':')
		return wrong(r, r->line, "not of the form \"Field: text\"");
	r->open.name = mw_arena_strndup(r->arena, pos, (size_t)(colon - pos));
	if (!r->open.name)
		return mw_err_nomem();
	r->open.line = r->line;
	r->open.first = !r->in_paragraph;
	r->in_paragraph = true;
	return add_text(r, colon + 1, end);
}

static struct mw_err *take_line(struct reader *r, const char *pos, const char *end)
{
	const char *start = pos, *stop = end;
	trim(&start, &stop);
	if (start == stop) {
		r->in_paragraph = false;
		return finish(r);
	}
	if (*pos == '#')
		return NULL;
	if (!is_blank(*pos))
		return begin(r, pos, end);
	if (!r->open.name)
		return wrong(r, r->line, "goes on with no field");
	return add_text(r, pos, end);
}

/* Nothing but text may reach a terminal. */
static bool has_controls(const char *pos, const char *end)
{
	for (; pos < end; pos++)
		if (((unsigned char)*pos < ' ' && !is_blank(*pos)) || *pos == 127)
			return true;
	return false;
}

struct mw_err *mw_fields_parse(struct mw_arena *arena, const char *file, const char *text,
			       size_t len, struct mw_fields *ret)
{
	struct reader r = { .arena = arena, .file = file, .fields = ret };
	struct mw_err *err = NULL;
	const char *end = text + len;
	for (const char *pos = text; !err && pos < end;) {
		const char *stop = mw_line_end(pos, end);
		r.line++;
		err = has_controls(pos, stop) ? wrong(&r, r.line, "a control character")
					      : take_line(&r, pos, stop);
		pos = stop + 1;
	}
	if (!err)
		err = finish(&r);
	mw_buf_deinit(&r.value);
	return err;
}
