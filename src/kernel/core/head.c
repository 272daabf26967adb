// SPDX-License-Identifier: MIT
/*
 * The headers of a mapped ELF file, read from what a core dumped of its first page or
 * from the file itself: its build id, and where its segments lie. src/symbols has a whole
 * reader; it is of a higher layer, and this much must be known to tell whether it may be
 * trusted with the file.
 */
#include "kernel/core/core.h"

#include <elf.h>
#include <memwhy/perms.h>
#include <string.h>

enum { MAX_PHDRS = 64, MAX_NOTES = 4096, MAX_NOTE_SEGMENTS = 4 };

static void take_load(const Elf64_Phdr *phdr, struct mw_core_head *ret)
{
	uint64_t end;

	if (__builtin_add_overflow(phdr->p_vaddr, phdr->p_memsz, &end) ||
	    ret->n_segments == MW_CORE_SEGMENTS)
		return;
	if (!ret->n_segments)
		ret->first = phdr->p_vaddr - phdr->p_offset;
	size_t i = ret->n_segments++;
	ret->segments[i].vaddr = phdr->p_vaddr;
	ret->segments[i].end = end;
	ret->segments[i].perms = (phdr->p_flags & PF_R ? MW_PERM_READ : 0) |
				 (phdr->p_flags & PF_W ? MW_PERM_WRITE : 0) |
				 (phdr->p_flags & PF_X ? MW_PERM_EXEC : 0);
	ret->end = end > ret->end ? end : ret->end;
}

/* Contents and names are filled up to 4 bytes, in a segment aligned to 8 up to 8. */
static size_t padded(size_t len, uint64_t align)
{
	size_t mask = align == 8 ? 7 : 3;
	return (len + mask) & ~mask;
}

/* NT_GNU_BUILD_ID among the notes of one segment. */
static void find_id(const unsigned char *bytes, size_t len, uint64_t align,
		    struct mw_core_head *ret)
{
	size_t pos = 0;

	while (len - pos >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;
		memcpy(&head, bytes + pos, sizeof(head));
		pos += sizeof(head);
		size_t name = padded(head.n_namesz, 4);
		if (name > len - pos || head.n_descsz > len - pos - name)
			return;
		if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 &&
		    !memcmp(bytes + pos, "GNU", 4) && head.n_descsz &&
		    head.n_descsz <= MW_CORE_ID) {
			ret->n_id = head.n_descsz;
			memcpy(ret->id, bytes + pos + name, ret->n_id);
			return;
		}
		size_t step = padded(name + head.n_descsz, align);
		if (step > len - pos)
			return;
		pos += step;
	}
}

static void take_notes(mw_core_read_fn *read, void *arg, const Elf64_Phdr *phdr,
		       struct mw_core_head *ret)
{
	unsigned char bytes[MAX_NOTES];
	size_t len =
		phdr->p_filesz < sizeof(bytes) ? (size_t)phdr->p_filesz : sizeof(bytes);

	if (!ret->n_id && len && read(arg, phdr->p_offset, bytes, len))
		find_id(bytes, len, phdr->p_align, ret);
}

bool mw_core_head_read(mw_core_read_fn *read, void *arg, struct mw_core_head *ret)
{
	Elf64_Ehdr head;
	Elf64_Phdr phdrs[MAX_PHDRS];

	memset(ret, 0, sizeof(*ret));
	if (!read(arg, 0, &head, sizeof(head)) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB ||
	    head.e_phentsize != sizeof(Elf64_Phdr) || !head.e_phnum)
		return false;
	size_t n = head.e_phnum < MAX_PHDRS ? head.e_phnum : MAX_PHDRS;
	if (!read(arg, head.e_phoff, phdrs, n * sizeof(*phdrs)))
		return false;
	for (size_t i = 0, n_notes = 0; i < n; i++) {
		if (phdrs[i].p_type == PT_LOAD)
			take_load(&phdrs[i], ret);
		else if (phdrs[i].p_type == PT_NOTE && n_notes++ < MAX_NOTE_SEGMENTS)
			take_notes(read, arg, &phdrs[i], ret);
	}
	return true;
}

struct place {
	const struct mw_core *core;
	uint64_t base, end; /* of the mapping of the file's start */
};

static bool read_dumped(void *arg, uint64_t off, void *bytes, size_t len)
{
	const struct place *place = arg;
	uint64_t room = place->end - place->base;

	return off <= room && len <= room - off &&
	       mw_core_bytes(place->core, place->base + off, bytes, len);
}

bool mw_core_object_head(const struct mw_core *core, const struct mw_core_object *object,
			 struct mw_core_head *ret)
{
	const struct mw_core_region *region =
		object->base ? mw_core_region_at(core, object->base) : NULL;
	struct place place = { core, object->base, region ? region->end : 0 };

	return region && mw_core_head_read(read_dumped, &place, ret);
}
