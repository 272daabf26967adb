/* SPDX-License-Identifier: MIT */
/*
 * The typed writer. A view describes what it has (fields, tables of typed cells,
 * sentences for people) and never formats: text, JSON, NDJSON and CSV are drawn here,
 * each in its own file. Strings from a target are hostile; every format escapes them.
 *
 * What each format takes of a document:
 *   text    headline, tables, notes, items, next; fields and hidden columns not
 *   json    one object: schema, fields, tables as arrays of objects; notes not
 *   ndjson  the rows of main tables, one object a line
 *   csv     the rows of main tables under a header line
 */
#pragma once

#include "base/units.h"
#include <memwhy/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum mw_format { MW_FORMAT_TEXT, MW_FORMAT_JSON, MW_FORMAT_NDJSON, MW_FORMAT_CSV };

struct mw_out_opts {
	enum mw_format format;
	enum mw_unit unit;
	bool colour;
	bool utf8; /* the terminal's; takes effect where the locale (LC_CTYPE) is too */
	unsigned width; /* of the terminal; 0: not a terminal, lines are not cut */
};

enum mw_type {
	MW_TYPE_TEXT,
	MW_TYPE_COUNT,
	MW_TYPE_NUMBER, /* a count that may be below 0; in cell.i */
	MW_TYPE_BYTES,
	MW_TYPE_ADDR,  /* text: hex digits; JSON "0x…" */
	MW_TYPE_SHARE, /* of mw_cell: 1/10000; text "59 %"; JSON a fraction */
	MW_TYPE_BAR,   /* 1/10000, drawn; text only */
	MW_TYPE_BOOL,
	MW_TYPE_DELTA, /* signed bytes, "+4.00 KiB"; in cell.i */
};

enum {
	MW_COL_NO_TEXT = 1 << 0, /* only for machines */
	MW_COL_NO_DATA = 1 << 1, /* only for people */
	MW_COL_TRUNC = 1 << 2,   /* the column that gives way on a narrow terminal */
	MW_COL_LEFT = 1 << 3,    /* numbers are set right otherwise */
};

struct mw_col {
	const char *key;   /* JSON and CSV name */
	const char *title; /* heading in text; "" for none */
	enum mw_type type;
	unsigned flags;
	unsigned width; /* least width when rows are streamed (large tables) */
};

/* How a row is set off; colour is never the only sign. */
enum mw_emphasis { MW_PLAIN, MW_STRONG, MW_FAINT, MW_CHANGED, MW_GOOD, MW_BAD };

/* A typed value; `null`: could not be read ("–" or "-" in text, null in JSON). */
struct mw_cell {
	bool null;
	union {
		uint64_t u;
		int64_t i;
		const char *s;
	};
};

static inline struct mw_cell mw_cell_u(uint64_t u)
{
	return (struct mw_cell){ .u = u };
}
static inline struct mw_cell mw_cell_i(int64_t i)
{
	return (struct mw_cell){ .i = i };
}
static inline struct mw_cell mw_cell_s(const char *s)
{
	return (struct mw_cell){ .s = s };
}
static inline struct mw_cell mw_cell_null(void)
{
	return (struct mw_cell){ .null = true };
}
/* Known or null. */
static inline struct mw_cell mw_cell_if(bool known, uint64_t u)
{
	return (struct mw_cell){ .null = !known, .u = u };
}

/* A quantity of which UINT64_MAX says that it is not known. */
static inline struct mw_cell mw_cell_known(uint64_t u)
{
	return mw_cell_if(u != UINT64_MAX, u);
}

struct mw_out;

/* A writer on `file` (borrowed). */
struct mw_err *mw_out_create(const struct mw_out_opts *opts, FILE *file,
			     struct mw_out **ret) MW_MUST_USE;

/*
 * Ends the document, flushes, frees. The first write error of the whole document comes
 * back here (EPIPE as well); NULL when all was written.
 */
struct mw_err *mw_out_finish(struct mw_out *out) MW_MUST_USE;

/* What was written so far reaches the reader now: somebody waits for it. */
void mw_out_show(struct mw_out *out);

/* True once writing failed: long loops may stop. */
bool mw_out_failed(const struct mw_out *out);

/* True when people read it: rows that only help the eye may be left out otherwise. */
bool mw_out_is_text(const struct mw_out *out);

/* The terminal's columns, into which text is cut; 0: nothing is cut. */
unsigned mw_out_width(const struct mw_out *out);

/* Begins a document: "memwhy.why/1". */
void mw_out_begin(struct mw_out *out, const char *schema);

/* The first line: a sentence. JSON: the field "headline". */
void mw_out_headline(struct mw_out *out, const char *sentence);

/* A named value of the current object (JSON only). */
void mw_out_field(struct mw_out *out, const char *key, enum mw_type type,
		  struct mw_cell cell);

/*
 * A nested object of the current one (JSON only); ends with _object_end. In a list its
 * key is NULL.
 */
void mw_out_object(struct mw_out *out, const char *key);
void mw_out_object_end(struct mw_out *out);

/* A list of objects (JSON only); ends with _list_end. */
void mw_out_list(struct mw_out *out, const char *key);
void mw_out_list_end(struct mw_out *out);

/*
 * A table. `n_rows` decides how text is laid out: small tables are measured before they
 * are drawn, large ones streamed with fixed widths. `title` is a heading for people, ""
 * for none. `is_main`: the one that csv and ndjson print. `no_json`: JSON has the same
 * in another form.
 */
struct mw_table {
	const char *key, *title;
	const struct mw_col *cols;
	size_t n_cols;
	size_t n_rows; /* expected, a hint */
	bool is_main, no_json;
};
void mw_out_table(struct mw_out *out, const struct mw_table *table);

/* One row: n_cols cells, copied or written at once. */
void mw_out_row(struct mw_out *out, const struct mw_cell *cells,
		enum mw_emphasis emphasis);

/* Ends the table; a small one is drawn now. */
void mw_out_table_end(struct mw_out *out);

/* A line for people (text only), indented by `indent` blanks, wrapped at the width. */
void mw_out_note(struct mw_out *out, unsigned indent, const char *text);

/*
 * Bytes as they are (text only), for output that another program laid down to the byte.
 * The caller has made them safe.
 */
void mw_out_raw(struct mw_out *out, const char *bytes, size_t len);

/* A heading for people (text only), of what is longer than a table. */
void mw_out_heading(struct mw_out *out, const char *text);

/*
 * A paragraph for people (text only) beside a word in the margin, which alone has the
 * emphasis. Those that follow each other stand without gaps.
 */
void mw_out_point(struct mw_out *out, enum mw_emphasis emphasis, const char *word,
		  const char *text);

/* A numbered paragraph for people (text only). */
void mw_out_item(struct mw_out *out, unsigned number, const char *text);

/* The last line for people: "next: …". JSON: the field "next". */
void mw_out_next(struct mw_out *out, const char *command);
