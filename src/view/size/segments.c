// SPDX-License-Identifier: MIT
/* From sections to segments to what will be mapped. */
#include "base/buf.h"
#include "base/units.h"
#include "view/size/size.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

/* A mapping that the kernel or the loader makes of a part of a segment. */
struct piece {
	uint64_t start, end; /* link-time addresses, whole pages */
	uint64_t from, to;   /* the bytes of the segment that are in it */
	const char *kind;
	const char *perms;
};

static const char *perms_of(uint32_t flags)
{
	static const char *const perms[] = { "---", "--x", "-w-", "-wx",
					     "r--", "r-x", "rw-", "rwx" };
	return perms[flags & 7];
}

/* Names of the sections that reach into [from, to); what takes no memory is left out. */
static bool add_sections(struct mw_buf *text, const struct mw_listing *listing,
			 uint64_t from, uint64_t to)
{
	for (size_t i = 0; i < listing->n; i++) {
		const struct mw_elf_section *s = &listing->sections[listing->order[i]];
		if (!(s->flags & SHF_ALLOC) || !s->len || s->addr >= to ||
		    (s->addr < from && s->len <= from - s->addr))
			continue;
		/* Thread-local zeros lie in no mapping: each thread has its own. */
		if ((s->flags & SHF_TLS) && s->type == SHT_NOBITS)
			continue;
		if (!mw_buf_printf(text, "%s%s", text->len ? " " : "", s->name))
			return false;
	}
	return true;
}

static struct mw_err *piece_row(struct mw_out *out, const struct mw_listing *listing,
				size_t segment, const struct piece *piece)
{
	mw_auto_buf names = { 0 };
	if (piece->start >= piece->end)
		return NULL;
	if (!add_sections(&names, listing, piece->from, piece->to))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_u(segment),
		mw_cell_u(piece->start),
		mw_cell_u(piece->end),
		mw_cell_s(piece->perms),
		mw_cell_s(piece->kind),
		mw_cell_u(piece->to - piece->from),
		mw_cell_u(piece->end - piece->start),
		mw_cell_s(mw_buf_str(&names)),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

struct pages {
	uint64_t mask;
	uint64_t relro_end; /* of the object's read-only-after-relocation part */
	uint64_t relro_start;
};

static uint64_t up(const struct pages *pages, uint64_t addr)
{
	return addr > UINT64_MAX - pages->mask ? UINT64_MAX & ~pages->mask
					       : (addr + pages->mask) & ~pages->mask;
}

/* One segment: what becomes read-only after relocation, the file's rest, and zeros. */
static struct mw_err *segment_rows(struct mw_out *out, const struct mw_listing *listing,
				   const struct pages *pages, size_t number,
				   const struct mw_elf_segment *seg)
{
	uint64_t file_end, mem_end;
	if (__builtin_add_overflow(seg->vaddr, seg->file_len, &file_end) ||
	    __builtin_add_overflow(seg->vaddr, seg->mem_len, &mem_end) ||
	    seg->mem_len < seg->file_len)
		return mw_err_new(MW_ERR_FORMAT, 0, NULL,
				  "broken ELF object: segment %zu", number);
	uint64_t start = seg->vaddr & ~pages->mask, split = up(pages, file_end);
	bool relro = pages->relro_start >= seg->vaddr && pages->relro_start < file_end;
	/* Only whole pages can be protected: the loader rounds the end down. */
	uint64_t relro_end = relro ? pages->relro_end & ~pages->mask : start;
	relro_end = relro_end < start ? start : relro_end > split ? split : relro_end;
	struct piece pieces[] = {
		{ start, relro_end, seg->vaddr, relro_end, "relro", "r--" },
		{ relro_end, split, relro_end > seg->vaddr ? relro_end : seg->vaddr,
		  mem_end < split ? mem_end : split, "file", perms_of(seg->flags) },
		{ split, up(pages, mem_end), split, mem_end, "zeros",
		  perms_of(seg->flags) },
	};
	if (!seg->file_len)
		pieces[1].kind = "zeros";
	struct mw_err *err = NULL;
	for (size_t i = 0; i < 3 && !err; i++)
		err = piece_row(out, listing, number, &pieces[i]);
	return err;
}

static struct mw_err *headline(struct mw_out *out, const char *path,
			       const struct mw_sizes *sizes, uint64_t mapped)
{
	char total[MW_UNITS_LEN], space[MW_UNITS_LEN], bss[MW_UNITS_LEN];
	mw_auto_buf text = { 0 };
	uint64_t sum = sizes->text + sizes->rodata + sizes->data + sizes->bss;
	if (!mw_buf_printf(&text,
			   "%s has %s in its sections, %s of it zeros that are not in "
			   "the file; mapped it takes %s of address space.",
			   path, mw_units_bytes(sum, MW_UNIT_AUTO, total),
			   mw_units_bytes(sizes->bss, MW_UNIT_AUTO, bss),
			   mw_units_bytes(mapped, MW_UNIT_AUTO, space)))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static uint64_t mapped_bytes(const struct mw_elf_segment *segs, size_t n,
			     const struct pages *pages)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		if (segs[i].type == PT_LOAD && segs[i].mem_len < INT64_MAX &&
		    segs[i].vaddr < INT64_MAX)
			sum += up(pages, segs[i].vaddr + segs[i].mem_len) -
			       (segs[i].vaddr & ~pages->mask);
	return sum;
}

static struct mw_err *rows(struct mw_out *out, const struct mw_listing *listing,
			   const struct pages *pages, const struct mw_elf_segment *segs,
			   size_t n)
{
	static const struct mw_col cols[] = {
		{ "segment", "segment", MW_TYPE_COUNT, 0, 0 },
		{ "start", "start", MW_TYPE_ADDR, 0, 0 },
		{ "end", "end", MW_TYPE_ADDR, 0, 0 },
		{ "perms", "mode", MW_TYPE_TEXT, 0, 0 },
		{ "from", "from", MW_TYPE_TEXT, 0, 0 },
		{ "bytes", "bytes", MW_TYPE_BYTES, 0, 0 },
		{ "mapped", "mapped", MW_TYPE_BYTES, 0, 0 },
		{ "sections", "sections", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
	};
	struct mw_table table = { .key = "mappings",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .is_main = true };
	struct mw_err *err = NULL;
	mw_out_table(out, &table);
	for (size_t i = 0; i < n && !err; i++)
		if (segs[i].type == PT_LOAD)
			err = segment_rows(out, listing, pages, i, &segs[i]);
	mw_out_table_end(out);
	return err;
}

struct mw_err *mw_view_size_segments(struct mw_out *out, const char *path,
				     struct mw_elf *elf, uint64_t page_size)
{
	struct pages pages = { .mask = page_size - 1 };
	struct mw_listing listing = { 0 };
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	for (size_t i = 0; i < n; i++)
		if (segs[i].type == PT_GNU_RELRO) {
			pages.relro_start = segs[i].vaddr;
			pages.relro_end = segs[i].vaddr + segs[i].mem_len;
		}
	struct mw_err *err = mw_listing_make(elf, &listing);
	if (err)
		return err;
	struct mw_sizes sizes = mw_sizes_of(&listing);
	mw_out_begin(out, "memwhy.size/1");
	err = headline(out, path, &sizes, mapped_bytes(segs, n, &pages));
	mw_out_field(out, "file", MW_TYPE_TEXT, mw_cell_s(path));
	if (!err)
		err = rows(out, &listing, &pages, segs, n);
	if (!err && !mapped_bytes(segs, n, &pages))
		mw_out_note(
			out, 0,
			"It has no segments: it is not linked yet, and nothing maps it.");
	mw_listing_deinit(&listing);
	return err;
}
