// SPDX-License-Identifier: MIT
/* Sentences for people; tables are in text_table.c. */
#include "out/text.h"

#include "base/num.h"
#include "out/utf8.h"

/* Where sentences end when the output is no terminal. */
enum { DEFAULT_WIDTH = 100 };

/* Points: blanks before the word, columns for it, and where those do not pay. */
enum { MARGIN = 2, POINT_WORD = 9, POINT_NARROW = 40 };

const char *mw_text_style(const struct mw_out *out, enum mw_emphasis emphasis)
{
	static const char *const styles[] = {
		[MW_PLAIN] = "",        [MW_STRONG] = "\033[1m",
		[MW_FAINT] = "\033[2m", [MW_CHANGED] = "\033[33m",
		[MW_GOOD] = "\033[32m", [MW_BAD] = "\033[1;31m",
	};
	return out->opts.colour ? styles[emphasis] : "";
}

const char *mw_text_style_end(const struct mw_out *out, enum mw_emphasis emphasis)
{
	return out->opts.colour && emphasis != MW_PLAIN ? "\033[0m" : "";
}

void mw_text_gap(struct mw_out *out)
{
	struct mw_text *text = out->state;
	if (text->last != MW_PART_NONE)
		mw_out_putc(out, '\n');
}

/* A number keeps its unit: "138 KiB" is one word. */
static bool splits_unit(const char *text, const char *blank)
{
	static const char *const units[] = { "%",   "B",   "KiB", "MiB",
					     "GiB", "TiB", "s",   "ms" };
	if (blank == text || blank[-1] < '0' || blank[-1] > '9')
		return false;
	size_t len = strcspn(blank + 1, " ,;.:)");
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i]) == len && !memcmp(blank + 1, units[i], len))
			return true;
	return false;
}

/*
 * The last place to break at or before `fits`, which may be a blank; NULL: none. Blanks
 * at the very start are indentation and no such place.
 */
static const char *last_break(const char *text, size_t fits)
{
	const char *first = text + strspn(text, " ");
	const char *blank = text + fits + (text[fits] == ' ');
	while ((blank = memrchr(text, ' ', (size_t)(blank - text))) && blank > first)
		if (!splits_unit(text, blank))
			return blank;
	return NULL;
}

/* How much of the text goes on a line of `room` columns; at least one word. */
static size_t line_len(const char *text, size_t room)
{
	size_t len = strlen(text);
	size_t fits = mw_text_fit(text, len, room);
	if (fits == len)
		return len;
	const char *blank = last_break(text, fits);
	return blank ? (size_t)(blank - text) : fits + strcspn(text + fits, " ");
}

/* Ends without the last line's newline. */
static void wrap_lines(struct mw_out *out, const char *text, size_t indent, size_t width)
{
	for (;;) {
		size_t room = width > indent ? width - indent : 1;
		size_t len = line_len(text, room);
		mw_out_put(out, text, len);
		text += len;
		text += strspn(text, " ");
		if (!*text)
			return;
		mw_out_putc(out, '\n');
		mw_out_pad(out, indent);
	}
}

/* Made safe, in the scratch buffer. */
static const char *escaped(struct mw_out *out, const char *str)
{
	struct mw_text *text = out->state;
	size_t width = 0;
	mw_buf_clear(&text->scratch);
	if (!mw_escape_text(&text->scratch, str, out->opts.utf8, &width))
		mw_out_fail(out, mw_err_nomem());
	return mw_buf_str(&text->scratch);
}

static size_t wrap_width(const struct mw_out *out)
{
	return out->opts.width ? out->opts.width : DEFAULT_WIDTH;
}

/* Without a terminal the headline is one line, for `head -1`. */
static void text_headline(struct mw_out *out, const char *sentence)
{
	struct mw_text *text = out->state;
	mw_out_puts(out, mw_text_style(out, MW_STRONG));
	wrap_lines(out, escaped(out, sentence), 0,
		   out->opts.width ? out->opts.width : SIZE_MAX);
	mw_out_puts(out, mw_text_style_end(out, MW_STRONG));
	mw_out_putc(out, '\n');
	text->last = MW_PART_LINE;
}

static void text_note(struct mw_out *out, unsigned indent, const char *str)
{
	struct mw_text *text = out->state;
	/* On a narrow terminal the indentation gives way before the words do. */
	size_t width = wrap_width(out);
	size_t blanks = indent < width / 2 ? indent : width / 2;
	const char *safe = escaped(out, str);
	if (*safe)
		mw_out_pad(out, blanks);
	wrap_lines(out, safe, blanks, width);
	mw_out_putc(out, '\n');
	text->last = MW_PART_LINE;
}

/* "  1  text", what follows under the text; an empty line before the first. */
static void text_item(struct mw_out *out, unsigned number, const char *str)
{
	struct mw_text *text = out->state;
	char digits[MW_DIGITS_LEN];
	size_t len = (size_t)(mw_put_dec(digits, number) - digits);
	if (text->last != MW_PART_ITEM)
		mw_text_gap(out);
	mw_out_pad(out, len < 3 ? 3 - len : 0);
	mw_out_puts(out, mw_text_style(out, MW_STRONG));
	mw_out_put(out, digits, len);
	mw_out_puts(out, mw_text_style_end(out, MW_STRONG));
	mw_out_pad(out, 2);
	wrap_lines(out, escaped(out, str), len < 3 ? 5 : len + 2, wrap_width(out));
	mw_out_putc(out, '\n');
	text->last = MW_PART_ITEM;
}

static void text_heading(struct mw_out *out, const char *str)
{
	struct mw_text *text = out->state;
	mw_text_gap(out);
	mw_out_puts(out, mw_text_style(out, MW_STRONG));
	wrap_lines(out, escaped(out, str), 0, wrap_width(out));
	mw_out_puts(out, mw_text_style_end(out, MW_STRONG));
	mw_out_putc(out, '\n');
	text->last = MW_PART_POINT;
}

/* "  word     text", what follows under the text; on a narrow terminal under the word. */
static void text_point(struct mw_out *out, enum mw_emphasis emphasis, const char *word,
		       const char *str)
{
	struct mw_text *text = out->state;
	size_t len = strlen(word), width = wrap_width(out);
	bool narrow = width < POINT_NARROW;
	if (text->last != MW_PART_POINT)
		mw_text_gap(out);
	mw_out_pad(out, MARGIN);
	mw_out_puts(out, mw_text_style(out, emphasis));
	mw_out_put(out, word, len);
	mw_out_puts(out, mw_text_style_end(out, emphasis));
	if (narrow)
		mw_out_putc(out, '\n');
	mw_out_pad(out, narrow ? MARGIN : len < POINT_WORD ? POINT_WORD - len : 1);
	wrap_lines(out, escaped(out, str), MARGIN + (narrow ? 0 : POINT_WORD), width);
	mw_out_putc(out, '\n');
	text->last = MW_PART_POINT;
}

/* Never wrapped: it is there to be copied. */
static void text_next(struct mw_out *out, const char *command)
{
	struct mw_text *text = out->state;
	mw_out_puts(out, "next: ");
	mw_out_puts(out, mw_text_style(out, MW_STRONG));
	mw_out_puts(out, escaped(out, command));
	mw_out_puts(out, mw_text_style_end(out, MW_STRONG));
	mw_out_putc(out, '\n');
	text->last = MW_PART_LINE;
}

static void text_free(struct mw_out *out)
{
	struct mw_text *text = out->state;
	mw_arena_deinit(&text->arena);
	mw_vec_deinit(&text->rows);
	mw_buf_deinit(&text->scratch);
}

const struct mw_out_ops mw_out_text_ops = {
	.headline = text_headline,
	.table = mw_text_table,
	.row = mw_text_row,
	.table_end = mw_text_table_end,
	.note = text_note,
	.heading = text_heading,
	.point = text_point,
	.item = text_item,
	.next = text_next,
	.free = text_free,
	.state_len = sizeof(struct mw_text),
};
