// SPDX-License-Identifier: MIT
/* One address: its segment and neighbours, its page, its section and symbol. */
#include "view/map.h"

#include "base/buf.h"
#include "base/vec.h"
#include "symbols/elf.h"

#include <inttypes.h>
#include <string.h>

#define PF_MASK ~(uint64_t)4095

/* Reads a mapped object for the ELF reader. */
struct object_reader {
	struct mw_source *src;
	pid_t pid;
	struct mw_object object;
};

static struct mw_err *read_object(void *arg, uint64_t off, void *bytes, size_t len,
				  size_t *got)
{
	const struct object_reader *reader = arg;
	return mw_source_read_object(reader->src, reader->pid, &reader->object, off,
				     bytes, len, got);
}

/* The link-time address of `addr`: what the program header says of its file offset. */
static bool link_address(const struct mw_elf *elf, const struct mw_region *region,
			 uint64_t addr, uint64_t *ret)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	uint64_t off = addr - region->start + region->offset;
	for (size_t i = 0; i < n; i++) {
		uint64_t start = segs[i].offset & PF_MASK;
		if (segs[i].type != 1 /* PT_LOAD */ || off < start ||
		    off - start >= segs[i].file_len + (segs[i].offset - start))
			continue;
		*ret = off - segs[i].offset + segs[i].vaddr;
		return true;
	}
	return false;
}

static const char *section_at(struct mw_elf *elf, uint64_t vaddr)
{
	const struct mw_elf_section *sections;
	size_t n;
	struct mw_err *err = mw_elf_sections(elf, &sections, &n);
	if (err) {
		mw_err_free(err);
		return "";
	}
	for (size_t i = 0; i < n; i++)
		if ((sections[i].flags & 2 /* SHF_ALLOC */) &&
		    vaddr >= sections[i].addr &&
		    vaddr - sections[i].addr < sections[i].len)
			return sections[i].name;
	return "";
}

struct place {
	char section[64];
	char symbol[256];
	uint64_t offset; /* from the symbol */
	struct mw_err *err;
};

static void copy_text(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size - 1);
	memcpy(dst, src, len);
	dst[len] = '\0';
}

/* What cannot be told stays empty; the reason is kept for the limits. */
static void find_place(const struct mw_snapshot *snap, const struct mw_region *region,
		       uint64_t addr, struct place *ret)
{
	struct object_reader reader = { mw_snapshot_source(snap),
					mw_snapshot_process(snap)->pid,
					{ region->start, region->end, region->dev,
					  region->ino, region->name } };
	struct mw_elf *elf = NULL;
	const char *symbol;
	uint64_t vaddr;
	ret->err = mw_elf_open(read_object, &reader, &elf);
	if (ret->err)
		return;
	if (link_address(elf, region, addr, &vaddr)) {
		copy_text(ret->section, sizeof(ret->section), section_at(elf, vaddr));
		ret->err = mw_elf_symbol_at(elf, vaddr, &symbol, &ret->offset);
		if (!ret->err)
			copy_text(ret->symbol, sizeof(ret->symbol), symbol);
	}
	mw_elf_free(elf);
}

/* The index of the segment that holds addr, or of the first one after it. */
static size_t segment_from(const struct mw_segment *segs, size_t n, uint64_t addr)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (segs[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_elf_class(enum mw_class class)
{
	return class >= MW_CLASS_EXE_TEXT && class <= MW_CLASS_LOADER_BSS;
}

static struct mw_err *sentence(const struct mw_segment *seg, const struct place *place,
			       uint64_t addr, struct mw_buf *text)
{
	bool ok;
	if (!seg)
		ok = mw_buf_printf(text, "%" PRIx64 " is not mapped.", addr);
	else
		ok = mw_buf_printf(text, "%" PRIx64 " is %s%s%s, %" PRIu64 " bytes in.",
				   addr, mw_class_title(seg->class),
				   seg->name[0] ? " of " : "", seg->name,
				   addr - seg->start);
	if (ok && place->section[0])
		ok = mw_buf_printf(text, " Section %s.", place->section);
	if (ok && place->symbol[0])
		ok = mw_buf_printf(text, " Symbol %s+0x%" PRIx64 ".", place->symbol,
				   place->offset);
	return ok ? NULL : mw_err_nomem();
}

static void place_fields(struct mw_out *out, uint64_t addr, const struct mw_segment *seg,
			 const struct place *place)
{
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(addr));
	mw_out_field(out, "mapped", MW_TYPE_BOOL, mw_cell_u(seg != NULL));
	mw_out_field(out, "section", MW_TYPE_TEXT,
		     place->section[0] ? mw_cell_s(place->section) : mw_cell_null());
	mw_out_field(out, "symbol", MW_TYPE_TEXT,
		     place->symbol[0] ? mw_cell_s(place->symbol) : mw_cell_null());
	mw_out_field(out, "symbol_offset", MW_TYPE_COUNT,
		     mw_cell_if(place->symbol[0], place->offset));
}

/* The rows before, at and after the address, unfolded. */
static struct mw_err *neighbours(const struct mw_map_answer *answer, size_t at,
				 struct mw_map_rows *ret)
{
	for (size_t i = at > 1 ? at - 1 : 0; i <= at + 1 && i < answer->rows->n; i++)
		if (!mw_vec_add(ret, answer->rows->items[i]))
			return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_view_at(struct mw_out *out, const struct mw_map_answer *answer,
			  uint64_t addr)
{
	size_t n;
	const struct mw_segment *segs = mw_layout_segments(answer->layout, &n);
	const struct mw_region *region = mw_snapshot_find(answer->snap, addr);
	size_t at = segment_from(segs, n, addr);
	const struct mw_segment *seg = region && at < n ? &segs[at] : NULL;
	struct place place = { 0 };
	struct mw_map_rows near = { 0 };
	mw_auto_buf text = { 0 };
	if (seg && is_elf_class(seg->class) && region->ino)
		find_place(answer->snap, region, addr, &place);
	struct mw_err *err = sentence(seg, &place, addr, &text);
	if (!err)
		err = neighbours(answer, at, &near);
	if (!err) {
		struct mw_map_answer nearby = *answer;
		nearby.rows = &near;
		mw_out_begin(out, "memwhy.map/1");
		mw_out_headline(out, mw_buf_str(&text));
		place_fields(out, addr, seg, &place);
		mw_view_map_rows(out, &nearby);
		if (seg && seg->evidence[0])
			mw_out_note(out, 2, seg->evidence);
	}
	mw_err_free(place.err);
	mw_vec_deinit(&near);
	return err;
}
