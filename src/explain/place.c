// SPDX-License-Identifier: MIT
#include "explain/place.h"

#include "symbols/elf.h"

#include <elf.h>
#include <string.h>

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
void mw_place_find(const struct mw_snapshot *snap, const struct mw_region *region,
		   uint64_t addr, struct mw_place *ret)
{
	struct object_reader reader = { mw_snapshot_source(snap),
					mw_snapshot_process(snap)->pid,
					{ region->start, region->end, region->dev,
					  region->ino, region->name } };
	struct mw_elf *elf = NULL;
	const char *symbol;
	uint64_t vaddr;
	uint64_t page = mw_source_facts(reader.src)->page_size;
	*ret = (struct mw_place){ 0 };
	ret->err = mw_elf_open(read_object, &reader, &elf);
	if (ret->err)
		return;
	if (link_address(elf, region, addr, page, &vaddr)) {
		copy_text(ret->section, sizeof(ret->section), section_at(elf, vaddr));
		ret->err = mw_elf_symbol_at(elf, vaddr, &symbol, &ret->offset);
		if (!ret->err)
			copy_text(ret->symbol, sizeof(ret->symbol), symbol);
	}
	mw_elf_free(elf);
}
