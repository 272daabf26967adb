// SPDX-License-Identifier: MIT
/*
 * Section headers, and the notes that name a build. Sections are not mapped: they stand
 * at the end of the file, may be stripped, and nothing at run time depends on them. So
 * they are read only when asked for, and what is wrong with them is an error here alone.
 */
#include "symbols/elf_impl.h"

#include <stdlib.h>
#include <string.h>

/* Decodes one header; its name comes with name_sections(). */
static struct mw_elf_section take_section(const struct mw_elf *elf,
					  const unsigned char *entry)
{
	return (struct mw_elf_section){
		.name = "",
		.type = (uint32_t)MW_ELF_FIELD(elf, entry, Shdr, sh_type),
		.flags = MW_ELF_FIELD(elf, entry, Shdr, sh_flags),
		.addr = MW_ELF_FIELD(elf, entry, Shdr, sh_addr),
		.offset = MW_ELF_FIELD(elf, entry, Shdr, sh_offset),
		.len = MW_ELF_FIELD(elf, entry, Shdr, sh_size),
		.entry_len = MW_ELF_FIELD(elf, entry, Shdr, sh_entsize),
		.link = (uint32_t)MW_ELF_FIELD(elf, entry, Shdr, sh_link),
	};
}

/* Where the section headers are, how many, and which of them holds their names. */
struct layout {
	uint64_t offset, n;
	uint32_t names;
};

/* Values that do not fit the header's 16 bits are in section 0 (gABI, "ELF Header"). */
static struct mw_err *take_layout(const struct mw_elf *elf, struct layout *ret)
{
	const unsigned char *head = elf->head;
	unsigned char first[sizeof(Elf64_Shdr)];
	size_t entry_len = MW_ELF_SIZEOF(elf, Shdr);
	ret->offset = MW_ELF_FIELD(elf, head, Ehdr, e_shoff);
	ret->n = MW_ELF_FIELD(elf, head, Ehdr, e_shnum);
	ret->names = (uint32_t)MW_ELF_FIELD(elf, head, Ehdr, e_shstrndx);
	if (ret->offset == 0) {
		ret->n = 0;
		return NULL;
	}
	if (MW_ELF_FIELD(elf, head, Ehdr, e_shentsize) != entry_len)
		return mw_elf_broken("section header size");
	if (ret->n != 0 && ret->names != SHN_XINDEX)
		return NULL;
	struct mw_err *err =
		mw_elf_read(elf, "section header 0", ret->offset, first, entry_len);
	if (err)
		return err;
	if (ret->n == 0)
		ret->n = MW_ELF_FIELD(elf, first, Shdr, sh_size);
	if (ret->names == SHN_XINDEX)
		ret->names = (uint32_t)MW_ELF_FIELD(elf, first, Shdr, sh_link);
	return NULL;
}

/* Points the sections at their names; an object without a name table has none. */
static struct mw_err *name_sections(const struct mw_elf *elf, const struct layout *layout,
				    const unsigned char *headers,
				    struct mw_elf_section *sections, char **ret)
{
	unsigned char *names = NULL;
	if (layout->names == SHN_UNDEF || layout->names >= layout->n)
		return NULL;
	const struct mw_elf_section *table = &sections[layout->names];
	if (table->type != SHT_STRTAB)
		return mw_elf_broken("section names");
	struct mw_err *err = mw_elf_read_table(elf, "section names", table->offset,
					       table->len, &names);
	if (err)
		return err;
	for (size_t i = 0; i < layout->n; i++) {
		const unsigned char *entry = headers + i * MW_ELF_SIZEOF(elf, Shdr);
		uint64_t at = MW_ELF_FIELD(elf, entry, Shdr, sh_name);
		if (at < table->len)
			sections[i].name = (const char *)names + at;
	}
	*ret = (char *)names;
	return NULL;
}

/* Takes over nothing unless all went well. */
static struct mw_err *take_sections(struct mw_elf *elf, const struct layout *layout,
				    const unsigned char *headers)
{
	size_t n = (size_t)layout->n;
	struct mw_elf_section *sections = calloc(n, sizeof(*sections));
	if (!sections)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++)
		sections[i] = take_section(elf, headers + i * MW_ELF_SIZEOF(elf, Shdr));
	struct mw_err *err =
		name_sections(elf, layout, headers, sections, &elf->section_names);
	if (err) {
		free(sections);
		return err;
	}
	elf->sections = sections;
	elf->n_sections = n;
	return NULL;
}

static struct mw_err *load_sections(struct mw_elf *elf)
{
	struct layout layout;
	uint64_t len;
	unsigned char *headers = NULL;
	struct mw_err *err = take_layout(elf, &layout);
	if (err || layout.n == 0)
		return err;
	if (__builtin_mul_overflow(layout.n, MW_ELF_SIZEOF(elf, Shdr), &len))
		return mw_elf_broken("section count");
	err = mw_elf_read_table(elf, "section headers", layout.offset, len, &headers);
	if (err)
		return err;
	err = take_sections(elf, &layout, headers);
	free(headers);
	return err;
}

struct mw_err *mw_elf_sections(struct mw_elf *elf, const struct mw_elf_section **ret,
			       size_t *n)
{
	if (!elf->sections_loaded) {
		struct mw_err *err = load_sections(elf);
		if (err)
			return err;
		elf->sections_loaded = true;
	}
	*ret = elf->sections;
	*n = elf->n_sections;
	return NULL;
}

struct mw_err *mw_elf_find_section(struct mw_elf *elf, const char *name,
				   const struct mw_elf_section **ret)
{
	const struct mw_elf_section *sections;
	size_t n;
	struct mw_err *err = mw_elf_sections(elf, &sections, &n);
	if (err)
		return err;
	*ret = NULL;
	for (size_t i = 0; i < n && !*ret; i++)
		if (strcmp(sections[i].name, name) == 0)
			*ret = &sections[i];
	return NULL;
}

/* Build ids stand in the first notes; a core file's notes may be megabytes. */
enum { MAX_NOTES_LEN = 64 * 1024, MAX_ID_LEN = 64 };

static size_t align_up(size_t len, size_t align)
{
	return (len + align - 1) & ~(align - 1);
}

static void print_hex(const unsigned char *bytes, size_t len, char hex[129])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
}

/* One after the other: name length, descriptor length, type, name, descriptor. */
static bool find_build_id(const struct mw_elf *elf, const unsigned char *notes,
			  size_t len, size_t align, char hex[129])
{
	const size_t header_len = sizeof(Elf32_Nhdr);
	size_t at = 0;
	while (len - at >= header_len) {
		const unsigned char *note = notes + at;
		size_t name_len = mw_elf_number(elf, note, 4);
		size_t desc_len = mw_elf_number(elf, note + 4, 4);
		uint64_t type = mw_elf_number(elf, note + 8, 4);
		size_t desc = align_up(header_len + name_len, align);
		if (desc > len - at || desc_len > len - at - desc)
			return false;
		if (type == NT_GNU_BUILD_ID && name_len == sizeof(ELF_NOTE_GNU) &&
		    memcmp(note + header_len, ELF_NOTE_GNU, name_len) == 0) {
			print_hex(note + desc,
				  desc_len < MAX_ID_LEN ? desc_len : MAX_ID_LEN, hex);
			return true;
		}
		size_t next = align_up(desc + desc_len, align);
		if (next > len - at)
			return false;
		at += next;
	}
	return false;
}

/* Segments of notes are padded to 8 where p_align says so (.note.gnu.property), else 4.
 */
static struct mw_err *read_notes(const struct mw_elf *elf, uint64_t offset, uint64_t len,
				 uint64_t align, char hex[129], bool *found)
{
	unsigned char *notes = NULL;
	if (len > MAX_NOTES_LEN)
		len = MAX_NOTES_LEN;
	struct mw_err *err = mw_elf_read_table(elf, "notes", offset, len, &notes);
	if (err)
		return err;
	*found = find_build_id(elf, notes, (size_t)len, align == 8 ? 8 : 4, hex);
	free(notes);
	return NULL;
}

/* Objects that are not linked (.o, .ko) have no segments. */
static struct mw_err *build_id_of_sections(struct mw_elf *elf, char hex[129], bool *found)
{
	const struct mw_elf_section *section;
	struct mw_err *err = mw_elf_find_section(elf, ".note.gnu.build-id", &section);
	if (err || !section || section->type != SHT_NOTE)
		return err;
	return read_notes(elf, section->offset, section->len, 4, hex, found);
}

struct mw_err *mw_elf_build_id(struct mw_elf *elf, char hex[129])
{
	struct mw_err *err = NULL;
	bool found = false;
	char id[129] = "";
	for (size_t i = 0; i < elf->n_segments && !err && !found; i++) {
		const struct mw_elf_segment *segment = &elf->segments[i];
		if (segment->type == PT_NOTE)
			err = read_notes(elf, segment->offset, segment->file_len,
					 segment->align, id, &found);
	}
	if (!err && !found && elf->n_segments == 0)
		err = build_id_of_sections(elf, id, &found);
	if (err)
		return err;
	memcpy(hex, id, sizeof(id));
	return NULL;
}
