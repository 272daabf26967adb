// SPDX-License-Identifier: MIT
/*
 * CSV as RFC 4180 has it: CRLF, fields in quotes where they hold a comma, a quote or a
 * line break. An unreadable value is an empty field. Control codes a terminal would act
 * on are written as \x1b; line breaks stay, in quotes.
 */
#include "base/buf.h"
#include "base/num.h"
#include "out/format.h"
#include "out/utf8.h"

struct csv {
	struct mw_buf scratch;
	bool any; /* a table was printed */
};

static void put_quoted(struct mw_out *out, const char *str, size_t len)
{
	mw_out_putc(out, '"');
	for (const char *end = str + len; str < end; str++) {
		if (*str == '"')
			mw_out_putc(out, '"');
		mw_out_putc(out, *str);
	}
	mw_out_putc(out, '"');
}

static bool is_break(char c)
{
	return c == '\n' || c == '\r';
}

/* Safe for a terminal, with line breaks kept. */
static bool clean(struct mw_buf *buf, const char *str)
{
	mw_buf_clear(buf);
	for (const char *end = str + strlen(str); str < end;) {
		uint32_t code = 0;
		unsigned len = mw_utf8_take(str, end, &code);
		bool keep = len && (!mw_utf8_unsafe(code) || is_break(*str));
		bool ok = keep ? mw_buf_add(buf, str, len)
			       : mw_buf_printf(buf, "\\x%02x", (unsigned char)*str);
		if (!ok)
			return false;
		str += keep ? len : 1;
	}
	return true;
}

static void put_field(struct mw_out *out, const char *str)
{
	struct csv *csv = out->state;
	size_t n = 0;
	while (str[n] >= ' ' && str[n] < 0x7f && str[n] != '"' && str[n] != ',')
		n++;
	if (!str[n]) {
		mw_out_put(out, str, n);
		return;
	}
	if (!clean(&csv->scratch, str))
		mw_out_fail(out, mw_err_nomem());
	const char *safe = mw_buf_str(&csv->scratch);
	if (strpbrk(safe, "\",\r\n"))
		put_quoted(out, safe, csv->scratch.len);
	else
		mw_out_put(out, safe, csv->scratch.len);
}

static void csv_table(struct mw_out *out)
{
	struct csv *csv = out->state;
	const struct mw_table *table = &out->table;
	if (!table->is_main)
		return;
	if (csv->any)
		mw_out_put(out, "\r\n", 2);
	csv->any = true;
	for (size_t i = 0, n = 0; i < table->n_cols; i++) {
		if (!mw_is_data(&table->cols[i]))
			continue;
		if (n++)
			mw_out_putc(out, ',');
		put_field(out, table->cols[i].key);
	}
	mw_out_put(out, "\r\n", 2);
}

static void csv_row(struct mw_out *out, const struct mw_cell *cells,
		    enum mw_emphasis emphasis)
{
	(void)emphasis;
	const struct mw_table *table = &out->table;
	if (!table->is_main)
		return;
	for (size_t i = 0, n = 0; i < table->n_cols; i++) {
		if (!mw_is_data(&table->cols[i]))
			continue;
		if (n++)
			mw_out_putc(out, ',');
		if (cells[i].null)
			continue;
		if (table->cols[i].type == MW_TYPE_TEXT) {
			put_field(out, cells[i].s ? cells[i].s : "");
			continue;
		}
		char *at = mw_out_room(out, MW_DATA_LEN);
		mw_out_filled(out, mw_put_data(at, table->cols[i].type, cells[i]));
	}
	mw_out_put(out, "\r\n", 2);
}

static void csv_table_end(struct mw_out *out)
{
	(void)out;
}

static void csv_free(struct mw_out *out)
{
	struct csv *csv = out->state;
	mw_buf_deinit(&csv->scratch);
}

const struct mw_out_ops mw_out_csv_ops = {
	.table = csv_table,
	.row = csv_row,
	.table_end = csv_table_end,
	.free = csv_free,
	.state_len = sizeof(struct csv),
};
