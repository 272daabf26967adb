// SPDX-License-Identifier: MIT
/* What a source remembers of readings that failed without failing the answer. */
#include "kernel/source.h"

#include <string.h>

static const char *const kinds[MW_OPTIONAL_COUNT] = {
	[MW_OPTIONAL_MEMORY] = "structures in the target's memory",
	[MW_OPTIONAL_OBJECT] = "headers and symbols of mapped files",
	[MW_OPTIONAL_ROBUST] = "descriptors of threads",
	[MW_OPTIONAL_THREAD_FILE] = "names and states of threads",
	[MW_OPTIONAL_PROC_FILE] = "auxiliary vector, mount table",
	[MW_OPTIONAL_MACHINE_FILE] = "settings of the machine",
};

/* The entry of a kind: there is at most one, found by its constant name. */
static struct mw_refusal *entry(struct mw_source *src, enum mw_optional kind)
{
	for (size_t i = 0; i < src->n_refusals; i++)
		if (src->refusals[i].what == kinds[kind])
			return &src->refusals[i];
	return NULL;
}

struct mw_err *mw_source_note(struct mw_source *src, enum mw_optional kind,
			      struct mw_err *err)
{
	if (!err || err->code == MW_ERR_NOTFOUND || err->code == MW_ERR_NOMEM)
		return err;
	struct mw_refusal *refusal = entry(src, kind);
	if (!refusal) {
		char *text = src->refusal_texts[src->n_refusals];
		size_t len = strnlen(err->msg, sizeof(src->refusal_texts[0]) - 1);
		memcpy(text, err->msg, len);
		text[len] = '\0';
		refusal = &src->refusals[src->n_refusals++];
		*refusal = (struct mw_refusal){ kinds[kind], text, err->code, 0 };
	}
	refusal->n++;
	return err;
}

enum mw_optional mw_optional_of_file(enum mw_file file, pid_t tid)
{
	if (tid)
		return MW_OPTIONAL_THREAD_FILE;
	return file > MW_FILE_LAST_PROC ? MW_OPTIONAL_MACHINE_FILE
					: MW_OPTIONAL_PROC_FILE;
}

const struct mw_refusal *mw_source_refusals(const struct mw_source *src, size_t *n)
{
	*n = src->n_refusals;
	return src->refusals;
}

void mw_source_forget_refusals(struct mw_source *src)
{
	src->n_refusals = 0;
}
