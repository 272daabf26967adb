// SPDX-License-Identifier: MIT
/*
 * Code generated through a memfd: one mapping to write it, another to run it, so that
 * no page is ever both. Each alone looks like shared memory.
 */
#include "explain/claims.h"

#include <stdlib.h>
#include <string.h>

struct files {
	const struct mw_region **items; /* mappings of memfds, by file */
	size_t n;
};

static int by_file(const void *a, const void *b)
{
	const struct mw_region *x = *(const struct mw_region *const *)a;
	const struct mw_region *y = *(const struct mw_region *const *)b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static struct mw_err *claim_file(struct mw_classify *cx,
				 const struct mw_region *const *regions, size_t n)
{
	unsigned seen = 0;
	for (size_t i = 0; i < n; i++)
		seen |= regions[i]->perms;
	if (!(seen & MW_PERM_EXEC) || !(seen & MW_PERM_WRITE))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		struct mw_claim claim = {
			.start = regions[i]->start,
			.end = regions[i]->end,
			.class = MW_CLASS_JIT,
			.confidence = MW_CERTAIN,
			.rank = MW_RANK_SHAPE,
			.name = regions[i]->name,
			.evidence = "one memfd, mapped writable and executable",
		};
		struct mw_err *err = mw_claim(cx, &claim);
		if (err)
			return err;
	}
	return NULL;
}

struct mw_err *mw_classify_memfd(struct mw_classify *cx)
{
	size_t n;
	bool code = false;
	const struct mw_region *regions =
		mw_snapshot_regions(mw_classify_snapshot(cx), &n);
	struct files files = { 0 };
	struct mw_err *err = NULL;
	for (size_t i = 0; i < n; i++) {
		bool memfd = !strncmp(regions[i].name, "/memfd:", 7);
		files.n += memfd;
		code |= memfd && (regions[i].perms & MW_PERM_EXEC);
	}
	if (!code)
		return NULL;
	files.items = calloc(files.n, sizeof(*files.items));
	if (!files.items)
		return mw_err_nomem();
	files.n = 0;
	for (size_t i = 0; i < n; i++)
		if (!strncmp(regions[i].name, "/memfd:", 7))
			files.items[files.n++] = &regions[i];
	qsort(files.items, files.n, sizeof(*files.items), by_file);
	for (size_t i = 0, end; i < files.n && !err; i = end) {
		for (end = i + 1; end < files.n; end++)
			if (files.items[end]->ino != files.items[i]->ino ||
			    files.items[end]->dev != files.items[i]->dev)
				break;
		err = claim_file(cx, files.items + i, end - i);
	}
	free(files.items);
	return err;
}
