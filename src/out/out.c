// SPDX-License-Identifier: MIT
#include "out/format.h"

#include <errno.h>
#include <stdlib.h>
#include <wchar.h>

static const struct mw_out_ops *const formats[] = {
	[MW_FORMAT_TEXT] = &mw_out_text_ops,
	[MW_FORMAT_JSON] = &mw_out_json_ops,
	[MW_FORMAT_NDJSON] = &mw_out_ndjson_ops,
	[MW_FORMAT_CSV] = &mw_out_csv_ops,
};

void mw_out_fail(struct mw_out *out, struct mw_err *err)
{
	if (out->err)
		mw_err_free(err);
	else
		out->err = err;
}

static void write_bytes(struct mw_out *out, const char *bytes, size_t len)
{
	if (out->err || !len)
		return;
	errno = 0;
	if (fwrite(bytes, 1, len, out->file) != len)
		mw_out_fail(out, mw_err_sys(errno ? errno : EIO, "output"));
}

void mw_out_flush(struct mw_out *out)
{
	write_bytes(out, out->block, out->len);
	out->len = 0;
}

void mw_out_put_long(struct mw_out *out, const char *bytes, size_t len)
{
	mw_out_flush(out);
	write_bytes(out, bytes, len);
}

void mw_out_pad(struct mw_out *out, size_t n)
{
	enum { FEW = 32 };
	/* Nearly always a few: a store or two, whatever their number. */
	if (n <= FEW) {
		char *at = mw_out_room(out, FEW);
		memset(at, ' ', FEW);
		mw_out_filled(out, at + n);
		return;
	}
	while (n) {
		size_t part = n < 256 ? n : 256;
		char *at = mw_out_room(out, part);
		memset(at, ' ', part);
		mw_out_filled(out, at + part);
		n -= part;
	}
}

/*
 * Widths go by the locale (wcwidth), so UTF-8 needs both: the caller and the locale.
 */
static bool locale_is_utf8(void)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	return mbrtowc(&wide, "…", 3, &state) == 3 && wide == 0x2026;
}

struct mw_err *mw_out_create(const struct mw_out_opts *opts, FILE *file,
			     struct mw_out **ret)
{
	if ((size_t)opts->format >= sizeof(formats) / sizeof(formats[0]))
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "no such output format");
	/* Not calloc: the block stays untouched until something is written. */
	struct mw_out *out = malloc(sizeof(*out));
	if (!out)
		return mw_err_nomem();
	memset(out, 0, offsetof(struct mw_out, block));
	out->opts = *opts;
	out->opts.utf8 = opts->utf8 && locale_is_utf8();
	out->file = file;
	out->ops = formats[opts->format];
	if (out->ops->state_len) {
		out->state = calloc(1, out->ops->state_len);
		if (!out->state) {
			free(out);
			return mw_err_nomem();
		}
	}
	*ret = out;
	return NULL;
}

struct mw_err *mw_out_finish(struct mw_out *out)
{
	mw_out_table_end(out);
	if (out->begun && out->ops->end)
		out->ops->end(out);
	mw_out_flush(out);
	errno = 0;
	/* A full disk may show only now; an error the caller left behind counts too. */
	if (fflush(out->file) || ferror(out->file))
		mw_out_fail(out, mw_err_sys(errno ? errno : EIO, "output"));
	struct mw_err *err = out->err;
	if (out->ops->free)
		out->ops->free(out);
	free(out->state);
	free(out);
	return err;
}

void mw_out_show(struct mw_out *out)
{
	mw_out_flush(out);
	errno = 0;
	if (fflush(out->file))
		mw_out_fail(out, mw_err_sys(errno ? errno : EIO, "output"));
}

bool mw_out_failed(const struct mw_out *out)
{
	return out->err;
}

bool mw_out_is_text(const struct mw_out *out)
{
	return out->opts.format == MW_FORMAT_TEXT;
}

unsigned mw_out_width(const struct mw_out *out)
{
	return mw_out_is_text(out) ? out->opts.width : 0;
}

void mw_out_begin(struct mw_out *out, const char *schema)
{
	out->begun = true;
	if (out->ops->begin)
		out->ops->begin(out, schema);
}

void mw_out_headline(struct mw_out *out, const char *sentence)
{
	if (out->ops->headline)
		out->ops->headline(out, sentence);
}

void mw_out_field(struct mw_out *out, const char *key, enum mw_type type,
		  struct mw_cell cell)
{
	if (out->ops->field)
		out->ops->field(out, key, type, cell);
}

void mw_out_object(struct mw_out *out, const char *key)
{
	if (out->ops->object)
		out->ops->object(out, key);
}

void mw_out_object_end(struct mw_out *out)
{
	if (out->ops->object_end)
		out->ops->object_end(out);
}

void mw_out_list(struct mw_out *out, const char *key)
{
	if (out->ops->list)
		out->ops->list(out, key);
}

void mw_out_list_end(struct mw_out *out)
{
	if (out->ops->list_end)
		out->ops->list_end(out);
}

void mw_out_table(struct mw_out *out, const struct mw_table *table)
{
	mw_out_table_end(out);
	if (table->no_json && out->opts.format == MW_FORMAT_JSON)
		return;
	out->table = *table;
	out->in_table = true;
	out->ops->table(out);
}

void mw_out_row(struct mw_out *out, const struct mw_cell *cells,
		enum mw_emphasis emphasis)
{
	if (out->in_table && !out->err)
		out->ops->row(out, cells, emphasis);
}

void mw_out_table_end(struct mw_out *out)
{
	if (!out->in_table)
		return;
	out->ops->table_end(out);
	out->in_table = false;
}

void mw_out_raw(struct mw_out *out, const char *bytes, size_t len)
{
	if (mw_out_is_text(out))
		mw_out_put(out, bytes, len);
}

void mw_out_note(struct mw_out *out, unsigned indent, const char *text)
{
	if (out->ops->note)
		out->ops->note(out, indent, text);
}

void mw_out_heading(struct mw_out *out, const char *text)
{
	if (out->ops->heading)
		out->ops->heading(out, text);
}

void mw_out_point(struct mw_out *out, enum mw_emphasis emphasis, const char *word,
		  const char *text)
{
	if (out->ops->point)
		out->ops->point(out, emphasis, word, text);
}

void mw_out_item(struct mw_out *out, unsigned number, const char *text)
{
	if (out->ops->item)
		out->ops->item(out, number, text);
}

void mw_out_next(struct mw_out *out, const char *command)
{
	if (out->ops->next)
		out->ops->next(out, command);
}
