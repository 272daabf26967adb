// SPDX-License-Identifier: MIT
/* Two builds side by side. */
#include "base/buf.h"
#include "base/units.h"
#include "view/size/size.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Sections of one name; an object may have several of them. */
struct pair {
	const char *name;
	bool alloc;
	uint64_t len[2];
	size_t seq; /* first seen */
};

struct pairs {
	struct pair *items;
	size_t n;
};

static void take(struct pairs *pairs, const struct mw_listing *listing, int side)
{
	for (size_t i = 0; i < listing->n; i++) {
		const struct mw_elf_section *s = &listing->sections[listing->order[i]];
		pairs->items[pairs->n] = (struct pair){
			.name = s->name,
			.alloc = s->flags & SHF_ALLOC,
			.seq = pairs->n,
		};
		pairs->items[pairs->n++].len[side] = s->len;
	}
}

static int by_name(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : x->seq < y->seq ? -1 : 1;
}

static uint64_t distance(const struct pair *pair)
{
	return pair->len[0] > pair->len[1] ? pair->len[0] - pair->len[1]
					   : pair->len[1] - pair->len[0];
}

/* What is in memory first, the largest change first. */
static int by_change(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->alloc != y->alloc)
		return x->alloc ? -1 : 1;
	uint64_t dx = distance(x), dy = distance(y);
	if (dx != dy)
		return dx < dy ? 1 : -1;
	return x->seq < y->seq ? -1 : 1;
}

static void join(struct pairs *pairs)
{
	size_t n = 0;
	if (pairs->n)
		qsort(pairs->items, pairs->n, sizeof(*pairs->items), by_name);
	for (size_t i = 0; i < pairs->n; i++) {
		struct pair *last = n ? &pairs->items[n - 1] : NULL;
		if (last && !strcmp(last->name, pairs->items[i].name)) {
			last->len[0] += pairs->items[i].len[0];
			last->len[1] += pairs->items[i].len[1];
			last->alloc |= pairs->items[i].alloc;
		} else {
			pairs->items[n++] = pairs->items[i];
		}
	}
	pairs->n = n;
	if (n)
		qsort(pairs->items, n, sizeof(*pairs->items), by_change);
}

static uint64_t total(const struct mw_sizes *s)
{
	return s->text + s->rodata + s->data + s->bss;
}

static struct mw_err *headline(struct mw_out *out, const char *path,
			       const struct mw_sizes *a, const char *with_path,
			       const struct mw_sizes *b)
{
	char change[MW_UNITS_LEN];
	uint64_t x = total(a), y = total(b);
	mw_auto_buf text = { 0 };
	bool ok = x == y ? mw_buf_printf(&text, "%s takes as much memory as %s.",
					 with_path, path)
			 : mw_buf_printf(&text, "%s takes %s %s in memory than %s.",
					 with_path,
					 mw_units_bytes(x > y ? x - y : y - x,
							MW_UNIT_AUTO, change),
					 x > y ? "less" : "more", path);
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static void rows(struct mw_out *out, const struct pairs *pairs)
{
	static const struct mw_col cols[] = {
		{ "section", "section", MW_TYPE_TEXT, 0, 0 },
		{ "allocated", "in memory", MW_TYPE_BOOL, 0, 0 },
		{ "before", "before", MW_TYPE_BYTES, 0, 0 },
		{ "after", "after", MW_TYPE_BYTES, 0, 0 },
		{ "delta", "change", MW_TYPE_DELTA, 0, 0 },
	};
	struct mw_table table = { .key = "sections",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .n_rows = pairs->n,
				  .is_main = true };
	mw_out_table(out, &table);
	for (size_t i = 0; i < pairs->n; i++) {
		const struct pair *pair = &pairs->items[i];
		struct mw_cell cells[] = {
			mw_cell_s(pair->name),
			mw_cell_u(pair->alloc),
			mw_cell_u(pair->len[0]),
			mw_cell_u(pair->len[1]),
			mw_cell_i((int64_t)(pair->len[1] - pair->len[0])),
		};
		mw_out_row(out, cells, distance(pair) ? MW_PLAIN : MW_FAINT);
	}
	mw_out_table_end(out);
}

static struct mw_err *show(struct mw_out *out, const char *path,
			   const struct mw_listing *a, const char *with_path,
			   const struct mw_listing *b)
{
	struct mw_sizes before = mw_sizes_of(a), after = mw_sizes_of(b);
	struct pairs pairs = { .items = calloc(a->n + b->n + 1, sizeof(*pairs.items)) };
	if (!pairs.items)
		return mw_err_nomem();
	take(&pairs, a, 0);
	take(&pairs, b, 1);
	join(&pairs);
	mw_out_begin(out, "memwhy.size/1");
	struct mw_err *err = headline(out, path, &before, with_path, &after);
	mw_out_field(out, "file", MW_TYPE_TEXT, mw_cell_s(path));
	mw_out_field(out, "with", MW_TYPE_TEXT, mw_cell_s(with_path));
	mw_out_field(out, "before", MW_TYPE_BYTES, mw_cell_u(total(&before)));
	mw_out_field(out, "after", MW_TYPE_BYTES, mw_cell_u(total(&after)));
	rows(out, &pairs);
	free(pairs.items);
	return err;
}

struct mw_err *mw_view_size_compare(struct mw_out *out, const char *path,
				    struct mw_elf *elf, const char *with_path,
				    struct mw_elf *with)
{
	struct mw_listing a = { 0 }, b = { 0 };
	struct mw_err *err = mw_listing_make(elf, &a);
	if (!err)
		err = mw_listing_make(with, &b);
	if (!err)
		err = show(out, path, &a, with_path, &b);
	mw_listing_deinit(&a);
	mw_listing_deinit(&b);
	return err;
}
