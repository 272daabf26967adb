// SPDX-License-Identifier: MIT
#include "view/size/size.h"

#include "base/buf.h"
#include "out/utf8.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_LEN = 32 };

static const struct mw_col file_cols[] = {
	{ "file", "file", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "member", "member", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "text", "text", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	{ "rodata", "rodata", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	{ "data", "data", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	{ "bss", "bss", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	{ "total", "total", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
};

static const struct mw_col section_cols[] = {
	{ "file", "file", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "member", "member", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "section", "section", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "address", "addr", MW_TYPE_ADDR, MW_COL_NO_TEXT, 0 },
	{ "size", "size", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
	{ "allocated", "allocated", MW_TYPE_BOOL, MW_COL_NO_TEXT, 0 },
};

/* A number with the prefix of its radix; 0 has one too. */
static const char *number(char text[NUMBER_LEN], unsigned radix, uint64_t n)
{
	if (radix == 8)
		snprintf(text, NUMBER_LEN, "0%" PRIo64, n);
	else if (radix == 16)
		snprintf(text, NUMBER_LEN, "0x%" PRIx64, n);
	else
		snprintf(text, NUMBER_LEN, "%" PRIu64, n);
	return text;
}

static const struct mw_elf_section *nth(const struct mw_listing *listing, size_t i)
{
	return &listing->sections[listing->order[i]];
}

static struct mw_err *put(struct mw_size_view *view, struct mw_buf *text, bool ok)
{
	if (!ok)
		return mw_err_nomem();
	mw_out_raw(view->out, text->data, text->len);
	return NULL;
}

static bool add_name(struct mw_buf *text, const char *name)
{
	size_t width = 0;
	return mw_escape_text(text, name, true, &width);
}

/* "file", or "member (ex archive)". */
static bool add_object(struct mw_buf *text, const char *path, const char *member,
		       const char *between)
{
	if (!member)
		return add_name(text, path) && mw_buf_printf(text, "%s", between);
	return add_name(text, member) && mw_buf_printf(text, "%s (ex ", between) &&
	       add_name(text, path) && mw_buf_printf(text, ")");
}

static struct mw_err *berkeley_line(struct mw_size_view *view, const char *path,
				    const char *member, const struct mw_sizes *s)
{
	char t[3][NUMBER_LEN];
	unsigned radix = view->opts.radix;
	uint64_t total = s->text + s->rodata + s->data + s->bss;
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(
		&text, "%7s\t%7s\t%7s\t", number(t[0], radix, s->text + s->rodata),
		number(t[1], radix, s->data), number(t[2], radix, s->bss));
	ok = ok && mw_buf_printf(&text, radix == 8 ? "%7" PRIo64 : "%7" PRIu64, total) &&
	     mw_buf_printf(&text, "\t%7" PRIx64 "\t", total) &&
	     add_object(&text, path, member, "");
	return put(view, &text, ok && mw_buf_printf(&text, "\n"));
}

/* GNU style counts constants as data. */
static struct mw_err *gnu_line(struct mw_size_view *view, const char *path,
			       const char *member, const struct mw_sizes *s)
{
	char t[4][NUMBER_LEN];
	unsigned radix = view->opts.radix;
	uint64_t data = s->rodata - s->rodata_empty + s->data;
	uint64_t bss = s->bss + s->rodata_empty;
	mw_auto_buf text = { 0 };
	bool ok =
		mw_buf_printf(&text, "%10s %10s %10s %10s ", number(t[0], radix, s->text),
			      number(t[1], radix, data), number(t[2], radix, bss),
			      number(t[3], radix, s->text + data + bss)) &&
		add_object(&text, path, member, "");
	return put(view, &text, ok && mw_buf_printf(&text, "\n"));
}

static struct mw_err *line(struct mw_size_view *view, const char *path,
			   const char *member, const struct mw_sizes *sizes)
{
	return view->opts.style == MW_SIZE_GNU ? gnu_line(view, path, member, sizes)
					       : berkeley_line(view, path, member, sizes);
}

void mw_view_size_begin(struct mw_size_view *view, struct mw_out *out,
			const struct mw_size_opts *opts)
{
	static const char berkeley[] =
		"   text\t   data\t    bss\t    dec\t    hex\tfilename\n";
	static const char octal[] =
		"   text\t   data\t    bss\t    oct\t    hex\tfilename\n";
	static const char gnu[] =
		"      text       data        bss      total filename\n";
	*view = (struct mw_size_view){ .out = out,
				       .opts = *opts,
				       .sectioned = opts->style == MW_SIZE_SYSV };
	const char *head = opts->style == MW_SIZE_GNU ? gnu
			   : opts->radix == 8         ? octal
						      : berkeley;
	struct mw_table table = {
		.key = view->sectioned ? "sections" : "files",
		.title = "",
		.cols = view->sectioned ? section_cols : file_cols,
		.n_cols = view->sectioned ? sizeof(section_cols) / sizeof(*section_cols)
					  : sizeof(file_cols) / sizeof(*file_cols),
		.n_rows = SIZE_MAX, /* not known: rows go out as they come */
		.is_main = true,
	};
	mw_out_begin(out, "memwhy.size/1");
	if (!view->sectioned)
		mw_out_raw(out, head, strlen(head));
	if (!mw_out_is_text(out))
		mw_out_table(out, &table);
}

static void file_row(struct mw_size_view *view, const char *path, const char *member,
		     const struct mw_sizes *s)
{
	struct mw_cell cells[] = {
		mw_cell_s(path),
		member ? mw_cell_s(member) : mw_cell_null(),
		mw_cell_u(s->text),
		mw_cell_u(s->rodata),
		mw_cell_u(s->data),
		mw_cell_u(s->bss),
		mw_cell_u(s->text + s->rodata + s->data + s->bss),
	};
	mw_out_row(view->out, cells, MW_PLAIN);
}

/* What SysV style measures before it prints: names and numbers set the widths. */
struct sysv {
	const struct mw_listing *listing;
	uint64_t common, total;
	size_t name_len, size_len, addr_len;
};

static size_t longest(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void measure(struct sysv *sysv, unsigned radix, bool common)
{
	char text[NUMBER_LEN];
	uint64_t max_addr = 0;
	for (size_t i = 0; i < sysv->listing->n; i++) {
		const struct mw_elf_section *s = nth(sysv->listing, i);
		sysv->name_len = longest(sysv->name_len, strlen(s->name));
		sysv->total += s->len;
		max_addr = s->addr > max_addr ? s->addr : max_addr;
	}
	sysv->total += sysv->common;
	if (common)
		sysv->name_len = longest(sysv->name_len, strlen("*COM*"));
	sysv->size_len = longest(4, strlen(number(text, radix, sysv->total)));
	sysv->addr_len = longest(4, strlen(number(text, radix, max_addr)));
}

static bool sysv_line(struct mw_buf *text, const struct sysv *sysv, unsigned radix,
		      const char *name, uint64_t size, uint64_t addr)
{
	char t[2][NUMBER_LEN];
	size_t width = 0;
	return mw_escape_text(text, name, true, &width) &&
	       mw_buf_printf(text, "%*s   %*s   %*s\n",
			     width < sysv->name_len ? (int)(sysv->name_len - width) : 0,
			     "", (int)sysv->size_len, number(t[0], radix, size),
			     (int)sysv->addr_len, number(t[1], radix, addr));
}

static struct mw_err *sysv_text(struct mw_size_view *view, struct sysv *sysv,
				const char *path, const char *member)
{
	char total[NUMBER_LEN];
	unsigned radix = view->opts.radix;
	mw_auto_buf text = { 0 };
	measure(sysv, radix, view->opts.common);
	bool ok = add_object(&text, path, member, "  ") &&
		  mw_buf_printf(&text, ":\n%-*s   %*s   %*s\n", (int)sysv->name_len,
				"section", (int)sysv->size_len, "size",
				(int)sysv->addr_len, "addr");
	for (size_t i = 0; ok && i < sysv->listing->n; i++) {
		const struct mw_elf_section *s = nth(sysv->listing, i);
		ok = sysv_line(&text, sysv, radix, s->name, s->len, s->addr);
	}
	if (ok && view->opts.common)
		ok = sysv_line(&text, sysv, radix, "*COM*", sysv->common, 0);
	ok = ok && mw_buf_printf(&text, "%-*s   %*s\n\n\n", (int)sysv->name_len, "Total",
				 (int)sysv->size_len, number(total, radix, sysv->total));
	return put(view, &text, ok);
}

static void section_rows(struct mw_size_view *view, const struct mw_listing *listing,
			 const char *path, const char *member)
{
	for (size_t i = 0; i < listing->n; i++) {
		const struct mw_elf_section *s = nth(listing, i);
		struct mw_cell cells[] = {
			mw_cell_s(path),    member ? mw_cell_s(member) : mw_cell_null(),
			mw_cell_s(s->name), mw_cell_u(s->addr),
			mw_cell_u(s->len),  mw_cell_u(!!(s->flags & SHF_ALLOC)),
		};
		mw_out_row(view->out, cells, MW_PLAIN);
	}
}

static struct mw_err *show_sections(struct mw_size_view *view,
				    const struct mw_listing *listing, const char *path,
				    const char *member, uint64_t common)
{
	struct sysv sysv = { .listing = listing, .common = common };
	if (mw_out_is_text(view->out))
		return sysv_text(view, &sysv, path, member);
	section_rows(view, listing, path, member);
	return NULL;
}

static struct mw_err *show_sizes(struct mw_size_view *view,
				 const struct mw_listing *listing, const char *path,
				 const char *member, uint64_t common)
{
	struct mw_sizes sizes = mw_sizes_of(listing);
	sizes.bss += common;
	view->sum.text += sizes.text;
	view->sum.rodata += sizes.rodata;
	view->sum.rodata_empty += sizes.rodata_empty;
	view->sum.data += sizes.data;
	view->sum.bss += sizes.bss;
	if (mw_out_is_text(view->out))
		return line(view, path, member, &sizes);
	file_row(view, path, member, &sizes);
	return NULL;
}

struct mw_err *mw_view_size_object(struct mw_size_view *view, const char *path,
				   const char *member, struct mw_elf *elf)
{
	struct mw_listing listing = { 0 };
	uint64_t common = 0;
	struct mw_err *err = mw_listing_make(elf, &listing);
	if (!err && view->opts.common)
		err = mw_elf_common_bytes(elf, &common);
	if (!err)
		err = (view->sectioned ? show_sections : show_sizes)(view, &listing, path,
								     member, common);
	mw_listing_deinit(&listing);
	return err;
}

struct mw_err *mw_view_size_end(struct mw_size_view *view)
{
	struct mw_err *err = NULL;
	const struct mw_sizes *s = &view->sum;
	if (view->opts.totals && !view->sectioned && mw_out_is_text(view->out))
		err = line(view, "(TOTALS)", NULL, s);
	mw_out_table_end(view->out);
	if (!view->sectioned) {
		mw_out_object(view->out, "totals");
		mw_out_field(view->out, "text", MW_TYPE_BYTES, mw_cell_u(s->text));
		mw_out_field(view->out, "rodata", MW_TYPE_BYTES, mw_cell_u(s->rodata));
		mw_out_field(view->out, "data", MW_TYPE_BYTES, mw_cell_u(s->data));
		mw_out_field(view->out, "bss", MW_TYPE_BYTES, mw_cell_u(s->bss));
		mw_out_object_end(view->out);
	}
	return err;
}
