/* SPDX-License-Identifier: MIT */
/*
 * The answer of `memwhy size`: objects and what their sections add up to. In text it is
 * laid down as binutils' size(1) prints it, to the byte; schema memwhy.size/1.
 */
#pragma once

#include "out/out.h"
#include "symbols/sizes.h"
#include <memwhy/snapshot.h>

enum mw_size_style { MW_SIZE_BERKELEY, MW_SIZE_SYSV, MW_SIZE_GNU };

struct mw_size_opts {
	enum mw_size_style style;
	unsigned radix; /* 8, 10 or 16 */
	bool totals;    /* a last line with the sums; not in SysV style */
	bool common;    /* common symbols count too */
};

/* A document being written: begin, one call an object, end. */
struct mw_size_view {
	struct mw_out *out;
	struct mw_size_opts opts;
	struct mw_sizes sum;
	bool sectioned; /* the rows are sections, not objects */
};

/* Begins the document: headings, or the table. */
void mw_view_size_begin(struct mw_size_view *view, struct mw_out *out,
			const struct mw_size_opts *opts);

/* One object; `member` is its name in the archive `path`, or NULL. FORMAT, NOMEM. */
struct mw_err *mw_view_size_object(struct mw_size_view *view, const char *path,
				   const char *member, struct mw_elf *elf) MW_MUST_USE;

/* The sums. */
struct mw_err *mw_view_size_end(struct mw_size_view *view) MW_MUST_USE;

/*
 * Sections, the segments they are in, and the mappings the loader makes of them: the
 * pages of the file, and those behind its end that begin as zeros. NOMEM, FORMAT.
 */
struct mw_err *mw_view_size_segments(struct mw_out *out, const char *path,
				     struct mw_elf *elf, uint64_t page_size) MW_MUST_USE;

/*
 * What of each section is resident in a process that maps the object: `path`, or its
 * program when NULL. NOTFOUND when it maps no such object.
 */
struct mw_err *mw_view_size_live(struct mw_out *out, const struct mw_snapshot *snap,
				 const char *path) MW_MUST_USE;

/* Two objects, section by section: what the second has more. */
struct mw_err *mw_view_size_compare(struct mw_out *out, const char *path,
				    struct mw_elf *elf, const char *with_path,
				    struct mw_elf *with) MW_MUST_USE;
