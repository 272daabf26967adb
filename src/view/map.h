/* SPDX-License-Identifier: MIT */
/*
 * The address space as rows, schema memwhy.map/1. Rows are plain data between layout and
 * writer, so that folding, sorting, comparing and watching need no writer, and an
 * earlier answer read back from JSON is the same thing.
 */
#pragma once

#include "base/arena.h"
#include "view/view.h"

/* One row: a segment, or several folded ones. Borrows its strings. */
struct mw_map_row {
	uint64_t start, end;
	const char *class; /* key, or a family such as "lib.*" when folded */
	const char *confidence, *evidence, *name;
	unsigned perms; /* of all folded segments together */
	unsigned mixed; /* of these, what only some of them have */
	size_t n;       /* segments in it */
	uint64_t size;  /* end - start, less nothing: holes inside are not folded over */
	const struct mw_counts *counts; /* the segment's, or `sum` */
	struct mw_counts *sum;          /* of several segments, in the arena; or NULL */
};

struct mw_map_rows {
	struct mw_map_row *items;
	size_t n, cap;
};

enum mw_map_sort {
	MW_SORT_ADDRESS,
	MW_SORT_SIZE,
	MW_SORT_RSS,
	MW_SORT_PRIVATE,
	MW_SORT_SHARED,
	MW_SORT_SWAP,
	MW_SORT_PSS,
	MW_SORT_CLASS,
	MW_SORT_NAME,
};

/* A sort key's name as an option takes it. */
bool mw_map_sort_from_name(const char *name, enum mw_map_sort *ret) MW_MUST_USE;

struct mw_map_opts {
	bool all;          /* do not fold */
	bool summary;      /* one row a class */
	const char *class; /* only this class or family; NULL: all */
	enum mw_map_sort sort;
};

/* True when a class key is `wanted` or of that family ("heap" takes "heap.arena"). */
bool mw_map_class_fits(const char *key, const char *wanted);

/* True when there is a class, or a family of classes, of that name. */
bool mw_map_class_exists(const char *wanted);

/* Makes the rows; strings and the array live as long as layout and arena. NOMEM. */
struct mw_err *mw_map_rows_make(const struct mw_snapshot *snap,
				const struct mw_layout *layout,
				const struct mw_map_opts *opts, struct mw_arena *arena,
				struct mw_map_rows *ret) MW_MUST_USE;

/* What every answer of `map` shows besides its rows. */
struct mw_map_answer {
	const struct mw_snapshot *snap;
	const struct mw_layout *layout;
	const struct mw_map_rows *rows;
	const struct mw_map_opts *opts;
	struct mw_view_stop stop;
	const struct mw_map_rows
		*before; /* --watch: the last time's, by address; or NULL */
	bool fitted;     /* --watch: what changed most is shown, to fill a window */
	size_t left_out; /* rows that did not fit */
};

/* The whole answer: rows, totals, limits. */
struct mw_err *mw_view_map(struct mw_out *out,
			   const struct mw_map_answer *answer) MW_MUST_USE;

/* Page states as runs, of the segments that `opts->class` takes. */
struct mw_err *mw_view_pages(struct mw_out *out,
			     const struct mw_map_answer *answer) MW_MUST_USE;

/* The segment that holds `addr`, its neighbours, its page, section and symbol. */
struct mw_err *mw_view_at(struct mw_out *out, const struct mw_map_answer *answer,
			  uint64_t addr) MW_MUST_USE;

/*
 * Orders rows by how much their Rss changed, then by Rss, and keeps the first `max`.
 * Returns how many were dropped.
 */
size_t mw_map_rows_fit(struct mw_map_rows *rows, const struct mw_map_rows *before,
		       bool summary, size_t max);

enum { MW_MAP_PERMS_LEN = 5 };

/* Four letters, "rw-p"; a * where the folded segments differ: none may be writable code.
 */
void mw_map_perms(const struct mw_map_row *row, char ret[MW_MAP_PERMS_LEN]);

/*
 * What `row` was in an earlier look: of classes the same one, of rows in address order
 * one that overlaps it, of the same class and name. Edges move as things grow. NULL: it
 * was not there.
 */
const struct mw_map_row *mw_map_row_earlier(const struct mw_map_rows *before,
					    bool summary, const struct mw_map_row *row);

/* The pieces an answer is made of: schema and headline; the table `regions`; the end. */
struct mw_err *mw_view_map_head(struct mw_out *out,
				const struct mw_map_answer *answer) MW_MUST_USE;
void mw_view_map_rows(struct mw_out *out, const struct mw_map_answer *answer);
void mw_view_map_tail(struct mw_out *out, const struct mw_map_answer *answer);

/* What could not be seen, `own` besides (or NULL), and how long the target stood still.
 */
void mw_view_map_limits(struct mw_out *out, const struct mw_map_answer *answer,
			const struct mw_gap *own);
