// SPDX-License-Identifier: MIT
/*
 * Two ways to draw a table. A small one is gathered, measured and laid out. A large one
 * is streamed with widths fixed beforehand: nothing is kept, and a row of ten cells costs
 * about a quarter of a microsecond.
 *
 * Not by libsmartcols: it takes 6 us a row, and loading it a sixth of /bin/true's time.
 */
#include "out/text.h"

#include "out/utf8.h"

#include <stdlib.h>

enum {
	SMALL_ROWS = 1000, /* above: streamed */
	MARGIN = 2,        /* blanks before a row; "* " where it changed */
	LEAST_TRUNC = 8,   /* the column that gives way keeps this much */
};

static bool is_right(const struct mw_col *col)
{
	return col->type != MW_TYPE_TEXT && col->type != MW_TYPE_BAR &&
	       !(col->flags & MW_COL_LEFT);
}

static bool choose_columns(struct mw_out *out)
{
	struct mw_text *text = out->state;
	const struct mw_table *table = &out->table;
	text->shown =
		mw_arena_calloc(&text->arena, table->n_cols + 1, sizeof(*text->shown));
	text->n_shown = 0;
	if (!text->shown)
		return false;
	for (size_t i = 0; i < table->n_cols; i++) {
		const struct mw_col *col = &table->cols[i];
		if (col->flags & MW_COL_NO_TEXT)
			continue;
		text->shown[text->n_shown++] = (struct mw_text_col){
			.col = col,
			.index = i,
			.right = is_right(col),
			.width = mw_text_width(col->title, strlen(col->title)),
		};
	}
	return true;
}

static size_t line_width(const struct mw_text *text)
{
	size_t width = MARGIN;
	for (size_t i = 0; i < text->n_shown; i++)
		width += text->shown[i].width + (i ? 2 : 0);
	return width;
}

static void drop_bars(struct mw_text *text)
{
	size_t kept = 0;
	for (size_t i = 0; i < text->n_shown; i++)
		if (text->shown[i].col->type != MW_TYPE_BAR)
			text->shown[kept++] = text->shown[i];
	text->n_shown = kept;
}

/*
 * Makes the line fit the terminal: first the column that gives way, then bars, which
 * only repeat a number. Numbers are never cut: what is still too long, the terminal
 * wraps.
 */
static void fit_columns(const struct mw_out *out, struct mw_text *text)
{
	size_t width = line_width(text), limit = out->opts.width;
	for (size_t i = 0; limit && width > limit && i < text->n_shown; i++) {
		struct mw_text_col *shown = &text->shown[i];
		if (!(shown->col->flags & MW_COL_TRUNC) || shown->width <= LEAST_TRUNC)
			continue;
		size_t over = width - limit, spare = shown->width - LEAST_TRUNC;
		shown->width -= over < spare ? over : spare;
		width = line_width(text);
	}
}

/* One finished line: margin or mark, style, the text without blanks at its end. */
static void draw_line(struct mw_out *out, const char *line, size_t len,
		      enum mw_emphasis emphasis)
{
	while (len && line[len - 1] == ' ')
		len--;
	mw_out_puts(out, mw_text_style(out, emphasis));
	mw_out_put(out, emphasis == MW_CHANGED ? "* " : "  ", MARGIN);
	mw_out_put(out, line, len);
	mw_out_puts(out, mw_text_style_end(out, emphasis));
	mw_out_putc(out, '\n');
}

/* A fixed unit leaves numbers alone in their columns: the table says which it is. */
static void draw_unit(struct mw_out *out)
{
	static const char *const lines[] = {
		[MW_UNIT_B] = "sizes in bytes",
		[MW_UNIT_K] = "sizes in KiB",
		[MW_UNIT_M] = "sizes in MiB",
		[MW_UNIT_G] = "sizes in GiB",
	};
	const struct mw_text *text = out->state;
	if (out->opts.unit == MW_UNIT_AUTO)
		return;
	for (size_t i = 0; i < text->n_shown; i++) {
		enum mw_type type = text->shown[i].col->type;
		if (type != MW_TYPE_BYTES && type != MW_TYPE_DELTA)
			continue;
		const char *words = lines[out->opts.unit];
		draw_line(out, words, strlen(words), MW_FAINT);
		return;
	}
}

/* The heading of the table, for people. */
static void draw_title(struct mw_out *out)
{
	struct mw_text *text = out->state;
	size_t width = 0;
	mw_text_gap(out);
	text->last = MW_PART_TABLE;
	if (!out->table.title || !*out->table.title) {
		draw_unit(out);
		return;
	}
	mw_buf_clear(&text->scratch);
	if (!mw_escape_text(&text->scratch, out->table.title, out->opts.utf8, &width))
		mw_out_fail(out, mw_err_nomem());
	mw_out_puts(out, mw_text_style(out, MW_STRONG));
	mw_out_put(out, text->scratch.data, text->scratch.len);
	mw_out_puts(out, mw_text_style_end(out, MW_STRONG));
	mw_out_putc(out, '\n');
	draw_unit(out);
}

static bool has_titles(const struct mw_text *text)
{
	for (size_t i = 0; i < text->n_shown; i++)
		if (*text->shown[i].col->title)
			return true;
	return false;
}

/* --- streamed --- */

/* One cell of a line, set left or right in its column. */
static bool add_cell(struct mw_buf *line, const struct mw_text_col *shown, bool first,
		     const char *cell)
{
	size_t width = mw_text_width(cell, strlen(cell));
	int pad = shown->width > width ? (int)(shown->width - width) : 0;
	return mw_buf_printf(line, "%s%*s%s%*s", first ? "" : "  ",
			     shown->right ? pad : 0, "", cell, shown->right ? 0 : pad,
			     "");
}

static void draw_titles(struct mw_out *out)
{
	struct mw_text *text = out->state;
	struct mw_buf *line = &text->scratch;
	bool ok = true;
	mw_buf_clear(line);
	for (size_t i = 0; ok && i < text->n_shown; i++)
		ok = add_cell(line, &text->shown[i], i == 0, text->shown[i].col->title);
	if (!ok)
		mw_out_fail(out, mw_err_nomem());
	draw_line(out, mw_buf_str(line), line->len, MW_FAINT);
}

static void stream_start(struct mw_out *out)
{
	struct mw_text *text = out->state;
	for (size_t i = 0; i < text->n_shown; i++) {
		struct mw_text_col *shown = &text->shown[i];
		size_t usual = mw_text_type_width(shown->col->type, out->opts.unit);
		if (shown->width < usual)
			shown->width = usual;
		if (shown->width < shown->col->width)
			shown->width = shown->col->width;
	}
	if (out->opts.width && line_width(text) > out->opts.width)
		drop_bars(text);
	/* A column that gives way also takes what the terminal has left. */
	size_t width = line_width(text);
	for (size_t i = 0; width < out->opts.width && i < text->n_shown; i++)
		if (text->shown[i].col->flags & MW_COL_TRUNC) {
			text->shown[i].width += out->opts.width - width;
			break;
		}
	fit_columns(out, text);
	draw_title(out);
	if (has_titles(text))
		draw_titles(out);
}

/* A string that needs escaping or cutting: off the fast path. */
static size_t stream_odd_string(struct mw_out *out, const struct mw_text_col *shown,
				const char *str)
{
	struct mw_text *text = out->state;
	struct mw_buf *buf = &text->scratch;
	size_t width = 0;
	mw_buf_clear(buf);
	bool ok = mw_escape_text(buf, str, out->opts.utf8, &width);
	if (ok && out->opts.width && shown->col->flags & MW_COL_TRUNC &&
	    width > shown->width) {
		size_t len = buf->len;
		ok = mw_buf_reserve(buf, 2 * len + 8) &&
		     mw_cut_text(buf, buf->data, len, shown->width, out->opts.utf8);
		width = shown->width;
		if (ok)
			mw_out_put(out, buf->data + len, buf->len - len);
	} else if (ok) {
		mw_out_put(out, buf->data, buf->len);
	}
	if (!ok)
		mw_out_fail(out, mw_err_nomem());
	return width;
}

static size_t stream_string(struct mw_out *out, const struct mw_text_col *shown,
			    const char *str)
{
	size_t span = mw_ascii_span(str);
	bool cut = out->opts.width && shown->col->flags & MW_COL_TRUNC &&
		   span > shown->width;
	if (str[span] || cut)
		return stream_odd_string(out, shown, str);
	mw_out_put(out, str, span);
	return span;
}

/*
 * Blanks are owed (*pad) until something is drawn after them: none end a line. Returns
 * what this cell owes to the next.
 */
static size_t stream_cell(struct mw_out *out, const struct mw_text_col *shown,
			  struct mw_cell cell, size_t pad)
{
	size_t width;
	if (shown->col->type == MW_TYPE_TEXT && !cell.null) {
		if (!cell.s || !*cell.s)
			return pad + shown->width;
		mw_out_pad(out, pad);
		width = stream_string(out, shown, cell.s);
	} else {
		char value[MW_TEXT_VALUE_LEN];
		char *end =
			mw_text_value(value, &out->opts, shown->col->type, cell, &width);
		if (!width)
			return pad + shown->width;
		if (shown->right && width < shown->width) {
			pad += shown->width - width;
			width = shown->width;
		}
		mw_out_pad(out, pad);
		mw_out_put(out, value, (size_t)(end - value));
	}
	return width < shown->width ? shown->width - width : 0;
}

static void stream_row(struct mw_out *out, const struct mw_cell *cells,
		       enum mw_emphasis emphasis)
{
	const struct mw_text *text = out->state;
	size_t pad = 0;
	mw_out_puts(out, mw_text_style(out, emphasis));
	mw_out_put(out, emphasis == MW_CHANGED ? "* " : "  ", MARGIN);
	for (size_t i = 0; i < text->n_shown; i++) {
		const struct mw_text_col *shown = &text->shown[i];
		pad = stream_cell(out, shown, cells[shown->index], pad) + 2;
	}
	mw_out_puts(out, mw_text_style_end(out, emphasis));
	mw_out_putc(out, '\n');
}

/* --- gathered --- */

static const char *gather_cell(struct mw_out *out, struct mw_text_col *shown,
			       struct mw_cell cell)
{
	struct mw_text *text = out->state;
	const char *bytes;
	size_t len, width = 0;
	char value[MW_TEXT_VALUE_LEN];
	if (shown->col->type == MW_TYPE_TEXT && !cell.null) {
		mw_buf_clear(&text->scratch);
		if (!mw_escape_text(&text->scratch, cell.s ? cell.s : "", out->opts.utf8,
				    &width))
			return NULL;
		bytes = mw_buf_str(&text->scratch);
		len = text->scratch.len;
	} else {
		char *end =
			mw_text_value(value, &out->opts, shown->col->type, cell, &width);
		bytes = value;
		len = (size_t)(end - value);
	}
	if (shown->width < width)
		shown->width = width;
	return mw_arena_strndup(&text->arena, bytes, len);
}

static bool gather_row(struct mw_out *out, const struct mw_cell *cells,
		       enum mw_emphasis emphasis)
{
	struct mw_text *text = out->state;
	const char **row = mw_arena_calloc(&text->arena, text->n_shown + 1, sizeof(*row));
	if (!row)
		return false;
	for (size_t i = 0; i < text->n_shown; i++) {
		struct mw_text_col *shown = &text->shown[i];
		row[i] = gather_cell(out, shown, cells[shown->index]);
		if (!row[i])
			return false;
	}
	return mw_vec_add(&text->rows, (struct mw_text_row){ row, emphasis });
}

/* Cuts the column that gives way, in place; what does not fit is shortened for good. */
static bool cut_cells(struct mw_out *out, size_t column)
{
	struct mw_text *text = out->state;
	for (size_t i = 0; i < text->rows.n; i++) {
		const char **cell = &text->rows.items[i].cells[column];
		mw_buf_clear(&text->scratch);
		if (!mw_cut_text(&text->scratch, *cell, strlen(*cell),
				 text->shown[column].width, out->opts.utf8))
			return false;
		*cell = mw_arena_strndup(&text->arena, mw_buf_str(&text->scratch),
					 text->scratch.len);
		if (!*cell)
			return false;
	}
	return true;
}

static bool cut_columns(struct mw_out *out)
{
	struct mw_text *text = out->state;
	for (size_t i = 0; out->opts.width && i < text->n_shown; i++)
		if (text->shown[i].col->flags & MW_COL_TRUNC && !cut_cells(out, i))
			return false;
	return true;
}

/* Columns dropped by fit still have cells in the rows: drop those too. */
static void drop_bar_cells(struct mw_text *text)
{
	for (size_t i = 0; i < text->rows.n; i++) {
		size_t kept = 0;
		for (size_t c = 0; c < text->n_shown; c++)
			if (text->shown[c].col->type != MW_TYPE_BAR)
				text->rows.items[i].cells[kept++] =
					text->rows.items[i].cells[c];
	}
	drop_bars(text);
}

static bool draw_row(struct mw_out *out, const struct mw_text_row *row)
{
	struct mw_text *text = out->state;
	struct mw_buf *line = &text->scratch;
	mw_buf_clear(line);
	for (size_t i = 0; i < text->n_shown; i++)
		if (!add_cell(line, &text->shown[i], i == 0, row->cells[i]))
			return false;
	draw_line(out, mw_buf_str(line), line->len, row->emphasis);
	return true;
}

static bool draw_small(struct mw_out *out)
{
	const struct mw_text *text = out->state;
	bool ok = true;
	if (has_titles(text))
		draw_titles(out);
	for (size_t i = 0; ok && i < text->rows.n; i++)
		ok = draw_row(out, &text->rows.items[i]);
	return ok;
}

static bool gathered_end(struct mw_out *out)
{
	struct mw_text *text = out->state;
	size_t least = line_width(text);
	for (size_t i = 0; i < text->n_shown; i++)
		if (text->shown[i].col->flags & MW_COL_TRUNC &&
		    text->shown[i].width > LEAST_TRUNC)
			least -= text->shown[i].width - LEAST_TRUNC;
	if (out->opts.width && least > out->opts.width)
		drop_bar_cells(text);
	fit_columns(out, text);
	if (!text->rows.n || !text->n_shown)
		return true;
	draw_title(out);
	return cut_columns(out) && draw_small(out);
}

/* --- the calls --- */

void mw_text_table(struct mw_out *out)
{
	struct mw_text *text = out->state;
	text->streamed = out->table.n_rows > SMALL_ROWS;
	if (!choose_columns(out)) {
		mw_out_fail(out, mw_err_nomem());
		return;
	}
	if (text->streamed && text->n_shown)
		stream_start(out);
}

void mw_text_row(struct mw_out *out, const struct mw_cell *cells,
		 enum mw_emphasis emphasis)
{
	const struct mw_text *text = out->state;
	if (!text->n_shown) /* a table for machines only */
		return;
	if (text->streamed)
		stream_row(out, cells, emphasis);
	else if (!gather_row(out, cells, emphasis))
		mw_out_fail(out, mw_err_nomem());
}

void mw_text_table_end(struct mw_out *out)
{
	struct mw_text *text = out->state;
	if (!text->streamed && text->n_shown && !out->err && !gathered_end(out))
		mw_out_fail(out, mw_err_nomem());
	mw_arena_deinit(&text->arena);
	text->shown = NULL;
	text->rows.n = 0;
}
