/* SPDX-License-Identifier: MIT */
/*
 * Inside the writer: what out.c offers the formats, and what a format is. Bytes are
 * gathered in one 64 KiB block and written in whole blocks; the first failure is kept
 * and everything after it is dropped.
 */
#pragma once

#include "out/out.h"

#include <string.h>

struct mw_out;

/* A format. Calls that are NULL have no meaning in it and are ignored. */
struct mw_out_ops {
	void (*begin)(struct mw_out *out, const char *schema);
	void (*headline)(struct mw_out *out, const char *sentence);
	void (*field)(struct mw_out *out, const char *key, enum mw_type type,
		      struct mw_cell cell);
	void (*object)(struct mw_out *out, const char *key);
	void (*object_end)(struct mw_out *out);
	void (*list)(struct mw_out *out, const char *key);
	void (*list_end)(struct mw_out *out);
	void (*table)(struct mw_out *out);
	void (*row)(struct mw_out *out, const struct mw_cell *cells,
		    enum mw_emphasis emphasis);
	void (*table_end)(struct mw_out *out);
	void (*note)(struct mw_out *out, unsigned indent, const char *text);
	void (*heading)(struct mw_out *out, const char *text);
	void (*point)(struct mw_out *out, enum mw_emphasis emphasis, const char *word,
		      const char *text);
	void (*item)(struct mw_out *out, unsigned number, const char *text);
	void (*next)(struct mw_out *out, const char *command);
	void (*end)(struct mw_out *out);
	void (*free)(struct mw_out *out);
	size_t state_len;
};

extern const struct mw_out_ops mw_out_text_ops, mw_out_json_ops, mw_out_ndjson_ops,
	mw_out_csv_ops;

enum { MW_OUT_BLOCK = 64 * 1024 };

struct mw_out {
	struct mw_out_opts opts;
	const struct mw_out_ops *ops;
	FILE *file;
	struct mw_err *err;    /* the first failure */
	struct mw_table table; /* the open one; its columns stay the view's */
	bool in_table, begun;
	void *state; /* the format's own, zeroed */
	size_t len;  /* of block */
	char block[MW_OUT_BLOCK];
};

/* Hands the block to the file; empties it also on failure. */
void mw_out_flush(struct mw_out *out);

/* Keeps the first error and drops (frees) later ones; NULL is fine. */
void mw_out_fail(struct mw_out *out, struct mw_err *err);

/* Appends any number of bytes. */
void mw_out_put_long(struct mw_out *out, const char *bytes, size_t len);

/*
 * Room for `len` <= MW_OUT_BLOCK bytes at the end of the block, for writers that fill it
 * themselves and then say mw_out_filled().
 */
static inline char *mw_out_room(struct mw_out *out, size_t len)
{
	if (len > MW_OUT_BLOCK - out->len)
		mw_out_flush(out);
	return out->block + out->len;
}

/* What was put into the last room ends at `end`. */
static inline void mw_out_filled(struct mw_out *out, const char *end)
{
	out->len = (size_t)(end - out->block);
}

static inline void mw_out_put(struct mw_out *out, const char *bytes, size_t len)
{
	if (len > MW_OUT_BLOCK - out->len) {
		mw_out_put_long(out, bytes, len);
		return;
	}
	memcpy(out->block + out->len, bytes, len);
	out->len += len;
}

static inline void mw_out_puts(struct mw_out *out, const char *str)
{
	mw_out_put(out, str, strlen(str));
}

static inline void mw_out_putc(struct mw_out *out, char c)
{
	*mw_out_room(out, 1) = c;
	out->len++;
}

/* `n` blanks. */
void mw_out_pad(struct mw_out *out, size_t n);

/* Whether machines get this column. */
static inline bool mw_is_data(const struct mw_col *col)
{
	return !(col->flags & MW_COL_NO_DATA) && col->type != MW_TYPE_BAR;
}

/*
 * Writes a value that is neither null nor a string as data.c has it, unquoted, into
 * MW_DATA_LEN bytes; returns the end.
 */
enum { MW_DATA_LEN = 64 };
char *mw_put_data(char *at, enum mw_type type, struct mw_cell cell);
