// SPDX-License-Identifier: MIT
#include "symbols/object.h"

#include "symbols/elf.h"

#include <elf.h>
#include <string.h>

void mw_object_reader_init(struct mw_object_reader *reader,
			   const struct mw_snapshot *snap, const struct mw_region *region)
{
	reader->src = mw_snapshot_source(snap);
	reader->pid = mw_snapshot_process(snap)->pid;
	reader->object = (struct mw_object){ region->start, region->end, region->dev,
					     region->ino, region->name };
	reader->head_len = 0;
}

/* The start of the file is read once; headers almost always lie within it. */
struct mw_err *mw_object_read(void *arg, uint64_t off, void *bytes, size_t len,
			      size_t *got)
{
	struct mw_object_reader *reader = arg;
	if (!reader->head_len) {
		struct mw_err *err = mw_source_read_object(
			reader->src, reader->pid, &reader->object, 0, reader->head,
			sizeof(reader->head), &reader->head_len);
		if (err)
			return err;
	}
	if (off <= reader->head_len && len <= reader->head_len - off) {
		memcpy(bytes, reader->head + off, len);
		*got = len;
		return NULL;
	}
	return mw_source_read_object(reader->src, reader->pid, &reader->object, off,
				     bytes, len, got);
}

/* Of two segments that share a page of the file, mapped code is of that with code. */
static const struct mw_elf_segment *segment_of(const struct mw_elf *elf,
					       const struct mw_region *region,
					       uint64_t page)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	const struct mw_elf_segment *ret = NULL;
	bool exec = region->perms & MW_PERM_EXEC;
	for (size_t i = 0; i < n; i++) {
		if (segs[i].type != PT_LOAD ||
		    (segs[i].offset & ~(page - 1)) != region->offset)
			continue;
		if (!ret || (exec && !(ret->flags & PF_X) && (segs[i].flags & PF_X)))
			ret = &segs[i];
	}
	return ret;
}

bool mw_object_bias(const struct mw_elf *elf, const struct mw_region *region,
		    uint64_t page_size, uint64_t *ret)
{
	const struct mw_elf_segment *segment = segment_of(elf, region, page_size);
	if (segment)
		*ret = region->start - (segment->vaddr & ~(page_size - 1));
	return segment;
}

/* The link-time address of `addr`: what the program header says of its file offset. */
static bool link_address(const struct mw_elf *elf, const struct mw_region *region,
			 uint64_t addr, uint64_t page, uint64_t *ret)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	uint64_t off = addr - region->start + region->offset;
	for (size_t i = 0; i < n; i++) {
		uint64_t start = segs[i].offset & ~(page - 1);
		if (segs[i].type != PT_LOAD || off < start ||
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
		if ((sections[i].flags & SHF_ALLOC) && vaddr >= sections[i].addr &&
		    vaddr - sections[i].addr < sections[i].len)
			return sections[i].name;
	return "";
}

static void copy_text(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size - 1);
	memcpy(dst, src, len);
	dst[len] = '\0';
}

/* What cannot be told stays empty; the reason is kept for the limits. */
void mw_place_in(struct mw_elf *elf, const struct mw_region *region, uint64_t page_size,
		 uint64_t addr, struct mw_place *ret)
{
	const char *symbol;
	uint64_t vaddr;
	*ret = (struct mw_place){ 0 };
	if (!link_address(elf, region, addr, page_size, &vaddr))
		return;
	copy_text(ret->section, sizeof(ret->section), section_at(elf, vaddr));
	ret->err = mw_elf_symbol_at(elf, vaddr, &symbol, &ret->offset);
	if (!ret->err)
		copy_text(ret->symbol, sizeof(ret->symbol), symbol);
}

void mw_place_find(const struct mw_snapshot *snap, const struct mw_region *region,
		   uint64_t addr, struct mw_place *ret)
{
	struct mw_object_reader reader;
	struct mw_elf *elf = NULL;
	uint64_t page = mw_source_facts(mw_snapshot_source(snap))->page_size;
	mw_object_reader_init(&reader, snap, region);
	struct mw_err *err = mw_elf_open(mw_object_read, &reader, &elf);
	if (err) {
		*ret = (struct mw_place){ .err = err };
		return;
	}
	mw_place_in(elf, region, page, addr, ret);
	mw_elf_free(elf);
}
