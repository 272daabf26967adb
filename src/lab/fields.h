/* SPDX-License-Identifier: MIT */
/*
 * Paragraphs of "Field: text", as Debian's control files have them: a line that begins
 * with a blank goes on with the one before, "#" begins a comment line, empty lines
 * separate paragraphs. What the fields mean is not known here.
 */
#pragma once

#include "base/arena.h"
#include "base/vec.h"

struct mw_field {
	const char *name, *value; /* without blanks around it; never empty */
	unsigned line;            /* from 1 on */
	bool first;               /* of its paragraph */
};

struct mw_fields {
	MW_VEC(struct mw_field);
};

/*
 * Splits a text; `file` is for messages. FORMAT. The texts lie in the arena, the items
 * are freed by mw_vec_deinit(), also after an error.
 */
struct mw_err *mw_fields_parse(struct mw_arena *arena, const char *file, const char *text,
			       size_t len, struct mw_fields *ret) MW_MUST_USE;
