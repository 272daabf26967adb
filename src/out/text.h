/* SPDX-License-Identifier: MIT */
/*
 * Text for people, shared by text.c (sentences), text_table.c (tables) and
 * text_value.c (one cell).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "out/format.h"

/* A column that is shown. */
struct mw_text_col {
	const struct mw_col *col;
	size_t index; /* into the cells of a row */
	bool right;
	size_t width;
};

/* A gathered row: its cells, escaped, in the order of the shown columns. */
struct mw_text_row {
	const char **cells;
	enum mw_emphasis emphasis;
};

enum mw_text_part {
	MW_PART_NONE,
	MW_PART_LINE,
	MW_PART_TABLE,
	MW_PART_ITEM,
	MW_PART_POINT,
};

struct mw_text {
	enum mw_text_part last; /* what was written last: decides on empty lines */
	bool streamed;
	struct mw_text_col *shown;
	size_t n_shown;
	struct mw_arena arena; /* of the gathered rows */
	struct {
		MW_VEC(struct mw_text_row);
	} rows;
	struct mw_buf scratch;
};

/* Long enough for any value but a string, with its NUL. */
enum { MW_TEXT_VALUE_LEN = 80 };

/* Columns of a full bar. */
enum { MW_BAR_WIDTH = 10 };

/* Writes any cell but a string; returns the end, and the columns it takes. */
char *mw_text_value(char *at, const struct mw_out_opts *opts, enum mw_type type,
		    struct mw_cell cell, size_t *width);

/* The columns that ordinary values of this type take: for tables that are streamed. */
size_t mw_text_type_width(enum mw_type type, enum mw_unit unit);

/* An empty line, unless nothing was written yet. */
void mw_text_gap(struct mw_out *out);

/* The terminal's sequences for an emphasis ("" without colour), and their end. */
const char *mw_text_style(const struct mw_out *out, enum mw_emphasis emphasis);
const char *mw_text_style_end(const struct mw_out *out, enum mw_emphasis emphasis);

/* The table calls of the text format. */
void mw_text_table(struct mw_out *out);
void mw_text_row(struct mw_out *out, const struct mw_cell *cells,
		 enum mw_emphasis emphasis);
void mw_text_table_end(struct mw_out *out);
