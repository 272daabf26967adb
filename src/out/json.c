// SPDX-License-Identifier: MIT
/*
 * JSON and NDJSON. Braces and numbers are written here, so that 64-bit integers stay
 * exact and no document is ever held as a tree; strings that need escaping go through
 * jansson. What is not UTF-8 becomes U+FFFD: JSON knows no other bytes.
 */
#include "base/buf.h"
#include "base/num.h"
#include "out/format.h"
#include "out/utf8.h"

#include <jansson.h>
#include <stdlib.h>

struct json {
	bool comma;     /* a member precedes in the current object or array */
	unsigned depth; /* open objects and lists, without the table */
	uint64_t lists; /* a bit for each depth: what is open there is a list */
	struct mw_buf scratch;
};

static int to_out(const char *bytes, size_t len, void *out)
{
	mw_out_put(out, bytes, len);
	return 0;
}

/* Valid UTF-8 in the scratch buffer; *odd: something in it could steer a terminal. */
static bool repair(struct mw_buf *buf, const char *str, bool *odd)
{
	const char *end = str + strlen(str);
	mw_buf_clear(buf);
	*odd = false;
	while (str < end) {
		uint32_t code;
		unsigned len = mw_utf8_take(str, end, &code);
		if (!mw_buf_add(buf, len ? str : "\xef\xbf\xbd", len ? len : 3))
			return false;
		*odd |= len && mw_utf8_unsafe(code);
		str += len ? len : 1;
	}
	return true;
}

static void put_odd_string(struct mw_out *out, const char *str)
{
	struct json *json = out->state;
	bool odd;
	json_t *value = NULL;
	if (repair(&json->scratch, str, &odd))
		value = json_stringn_nocheck(mw_buf_str(&json->scratch),
					     json->scratch.len);
	size_t flags = JSON_ENCODE_ANY | (odd ? JSON_ENSURE_ASCII : 0);
	if (!value || json_dump_callback(value, to_out, out, flags))
		mw_out_fail(out, mw_err_nomem());
	json_decref(value);
}

/* Most strings are plain ASCII, which is its own JSON. */
static void put_string(struct mw_out *out, const char *str)
{
	size_t n = 0;
	while (str[n] >= ' ' && str[n] < 0x7f && str[n] != '"' && str[n] != '\\')
		n++;
	if (str[n]) {
		put_odd_string(out, str);
		return;
	}
	mw_out_putc(out, '"');
	mw_out_put(out, str, n);
	mw_out_putc(out, '"');
}

static void put_value(struct mw_out *out, enum mw_type type, struct mw_cell cell)
{
	if (cell.null || (type == MW_TYPE_TEXT && !cell.s)) {
		mw_out_put(out, "null", 4);
	} else if (type == MW_TYPE_TEXT) {
		put_string(out, cell.s);
	} else {
		char *at = mw_out_room(out, MW_DATA_LEN);
		bool quoted = type == MW_TYPE_ADDR;
		if (quoted)
			*at++ = '"';
		at = mw_put_data(at, type, cell);
		if (quoted)
			*at++ = '"';
		mw_out_filled(out, at);
	}
}

/* The place of the next member: a comma where one is due, then a line of its own. */
static void start_line(struct mw_out *out)
{
	struct json *json = out->state;
	if (json->comma)
		mw_out_putc(out, ',');
	mw_out_putc(out, '\n');
	mw_out_pad(out, 2 * (size_t)json->depth);
	json->comma = true;
}

static void put_key(struct mw_out *out, const char *key)
{
	start_line(out);
	put_string(out, key);
	mw_out_put(out, ": ", 2);
}

static void json_begin(struct mw_out *out, const char *schema)
{
	struct json *json = out->state;
	mw_out_putc(out, '{');
	json->depth = 1;
	json->comma = false;
	put_key(out, "schema");
	put_string(out, schema);
}

static void json_field(struct mw_out *out, const char *key, enum mw_type type,
		       struct mw_cell cell)
{
	put_key(out, key);
	put_value(out, type, cell);
}

static void json_headline(struct mw_out *out, const char *sentence)
{
	json_field(out, "headline", MW_TYPE_TEXT, mw_cell_s(sentence));
}

static void json_next(struct mw_out *out, const char *command)
{
	json_field(out, "next", MW_TYPE_TEXT, mw_cell_s(command));
}

static void open_with(struct mw_out *out, const char *key, char bracket)
{
	struct json *json = out->state;
	uint64_t bit = UINT64_C(1) << (json->depth & 63);
	if (key)
		put_key(out, key);
	else
		start_line(out);
	mw_out_putc(out, bracket);
	json->lists = bracket == '[' ? json->lists | bit : json->lists & ~bit;
	json->depth++;
	json->comma = false;
}

static void open_object(struct mw_out *out, const char *key)
{
	open_with(out, key, '{');
}

static void open_list(struct mw_out *out, const char *key)
{
	open_with(out, key, '[');
}

static void close_with(struct mw_out *out, char bracket)
{
	struct json *json = out->state;
	bool empty = !json->comma;
	json->depth--;
	json->comma = false;
	if (!empty)
		start_line(out);
	mw_out_putc(out, bracket);
	json->comma = true;
}

static void close_object(struct mw_out *out)
{
	const struct json *json = out->state;
	if (json->depth > 1)
		close_with(out, '}');
}

static void close_list(struct mw_out *out)
{
	const struct json *json = out->state;
	if (json->depth > 1)
		close_with(out, ']');
}

static void json_table(struct mw_out *out)
{
	struct json *json = out->state;
	put_key(out, out->table.key);
	mw_out_putc(out, '[');
	json->depth++;
	json->comma = false;
}

/* One object on one line; keys are ours and plain. */
static void put_row(struct mw_out *out, const struct mw_cell *cells)
{
	const struct mw_table *table = &out->table;
	const char *before = "{\"";
	for (size_t i = 0; i < table->n_cols; i++) {
		const struct mw_col *col = &table->cols[i];
		if (!mw_is_data(col))
			continue;
		mw_out_puts(out, before);
		mw_out_puts(out, col->key);
		mw_out_put(out, "\":", 2);
		put_value(out, col->type, cells[i]);
		before = ",\"";
	}
	mw_out_puts(out, *before == '{' ? "{}" : "}");
}

static void json_row(struct mw_out *out, const struct mw_cell *cells,
		     enum mw_emphasis emphasis)
{
	(void)emphasis;
	start_line(out);
	put_row(out, cells);
}

static void json_table_end(struct mw_out *out)
{
	close_with(out, ']');
}

/* Whatever a failed view left open is closed: what was written stays readable. */
static void json_end(struct mw_out *out)
{
	const struct json *json = out->state;
	while (json->depth)
		close_with(out, json->lists >> ((json->depth - 1) & 63) & 1 ? ']' : '}');
	mw_out_putc(out, '\n');
}

static void json_free(struct mw_out *out)
{
	struct json *json = out->state;
	mw_buf_deinit(&json->scratch);
}

const struct mw_out_ops mw_out_json_ops = {
	.begin = json_begin,
	.headline = json_headline,
	.field = json_field,
	.object = open_object,
	.object_end = close_object,
	.list = open_list,
	.list_end = close_list,
	.table = json_table,
	.row = json_row,
	.table_end = json_table_end,
	.next = json_next,
	.end = json_end,
	.free = json_free,
	.state_len = sizeof(struct json),
};

static void ndjson_row(struct mw_out *out, const struct mw_cell *cells,
		       enum mw_emphasis emphasis)
{
	(void)emphasis;
	if (!out->table.is_main)
		return;
	put_row(out, cells);
	mw_out_putc(out, '\n');
}

static void ndjson_nothing(struct mw_out *out)
{
	(void)out;
}

const struct mw_out_ops mw_out_ndjson_ops = {
	.table = ndjson_nothing,
	.row = ndjson_row,
	.table_end = ndjson_nothing,
	.free = json_free,
	.state_len = sizeof(struct json),
};
