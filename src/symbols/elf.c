// SPDX-License-Identifier: MIT
/*
 * Opening costs one read of 4 KiB for nearly every object: linkers put the program
 * headers right behind the ELF header and the notes right behind those. It matters
 * because a process maps up to hundreds of objects, and each is opened once.
 */
#include "symbols/elf.h"

#include "symbols/elf_impl.h"

#include <stdlib.h>
#include <string.h>

/* Beyond this much the last byte is tried first: one more read is then cheap. */
enum { PROBE_LEN = 1 << 20 };

struct mw_err *mw_elf_broken(const char *part)
{
	return mw_err_new(MW_ERR_FORMAT, 0, NULL, "broken ELF object: %s", part);
}

struct mw_err *mw_elf_read(const struct mw_elf *elf, const char *part, uint64_t offset,
			   void *bytes, size_t len)
{
	uint64_t end;
	if (__builtin_add_overflow(offset, len, &end) || end > INT64_MAX)
		return mw_elf_broken(part);
	if (end <= elf->head_len) {
		memcpy(bytes, elf->head + offset, len);
		return NULL;
	}
	size_t got = 0;
	struct mw_err *err = elf->read(elf->arg, offset, bytes, len, &got);
	if (err)
		return err; /* cppcheck-suppress returnDanglingLifetime */
	return got == len ? NULL : mw_elf_broken(part);
}

struct mw_err *mw_elf_read_table(const struct mw_elf *elf, const char *part,
				 uint64_t offset, uint64_t len, unsigned char **ret)
{
	unsigned char last;
	struct mw_err *err;
	if (len > MW_ELF_MAX_TABLE || offset > INT64_MAX)
		return mw_elf_broken(part);
	if (len > PROBE_LEN && (err = mw_elf_read(elf, part, offset + len - 1, &last, 1)))
		return err;
	unsigned char *table = malloc((size_t)len + 1);
	if (!table)
		return mw_err_nomem();
	err = mw_elf_read(elf, part, offset, table, (size_t)len);
	if (err) {
		free(table);
		return err;
	}
	table[len] = '\0';
	*ret = table;
	return NULL;
}

/* Checks e_ident and takes class and byte order from it. */
static struct mw_err *take_ident(struct mw_elf *elf)
{
	const unsigned char *ident = elf->head;
	if (elf->head_len < EI_NIDENT || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return mw_err_new(MW_ERR_FORMAT, 0, NULL, "not an ELF object");
	elf->is64 = ident[EI_CLASS] == ELFCLASS64;
	if (!elf->is64 && ident[EI_CLASS] != ELFCLASS32)
		return mw_elf_broken("class");
	bool big = ident[EI_DATA] == ELFDATA2MSB;
	if (!big && ident[EI_DATA] != ELFDATA2LSB)
		return mw_elf_broken("byte order");
	elf->swap = big != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
	if (elf->head_len < MW_ELF_SIZEOF(elf, Ehdr))
		return mw_elf_broken("header");
	return NULL;
}

/*
 * A count that does not fit the header's 16 bits is in section 0: PN_XNUM is what Linux
 * writes into core files of more than 65,534 mappings. Only then are section headers
 * looked at here: a broken one must not hide the segments, which are all that is mapped.
 */
static struct mw_err *count_segments(const struct mw_elf *elf, uint64_t *ret)
{
	unsigned char first[sizeof(Elf64_Shdr)];
	uint64_t n = MW_ELF_FIELD(elf, elf->head, Ehdr, e_phnum);
	if (n == PN_XNUM) {
		uint64_t offset = MW_ELF_FIELD(elf, elf->head, Ehdr, e_shoff);
		if (offset == 0)
			return mw_elf_broken("segment count");
		struct mw_err *err = mw_elf_read(elf, "segment count", offset, first,
						 MW_ELF_SIZEOF(elf, Shdr));
		if (err)
			return err;
		n = MW_ELF_FIELD(elf, first, Shdr, sh_info);
	}
	*ret = n;
	return NULL;
}

/*
 * Another entry size than the class's own is refused, as the kernel refuses to load it
 * (fs/binfmt_elf.c, load_elf_phdrs), although the gABI would allow larger ones.
 */
static struct mw_err *take_segments(struct mw_elf *elf, uint64_t n)
{
	size_t entry_len = MW_ELF_SIZEOF(elf, Phdr);
	uint64_t len;
	unsigned char *table = NULL;
	if (n == 0)
		return NULL;
	if (MW_ELF_FIELD(elf, elf->head, Ehdr, e_phentsize) != entry_len ||
	    __builtin_mul_overflow(n, entry_len, &len))
		return mw_elf_broken("program header size");
	struct mw_err *err = mw_elf_read_table(
		elf, "program headers", MW_ELF_FIELD(elf, elf->head, Ehdr, e_phoff), len,
		&table);
	if (err)
		return err;
	elf->segments = calloc((size_t)n, sizeof(*elf->segments));
	elf->n_segments = elf->segments ? (size_t)n : 0;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const unsigned char *entry = table + i * entry_len;
		elf->segments[i] = (struct mw_elf_segment){
			.type = (uint32_t)MW_ELF_FIELD(elf, entry, Phdr, p_type),
			.flags = (uint32_t)MW_ELF_FIELD(elf, entry, Phdr, p_flags),
			.offset = MW_ELF_FIELD(elf, entry, Phdr, p_offset),
			.vaddr = MW_ELF_FIELD(elf, entry, Phdr, p_vaddr),
			.file_len = MW_ELF_FIELD(elf, entry, Phdr, p_filesz),
			.mem_len = MW_ELF_FIELD(elf, entry, Phdr, p_memsz),
			.align = MW_ELF_FIELD(elf, entry, Phdr, p_align),
		};
	}
	free(table);
	return elf->segments ? NULL : mw_err_nomem();
}

/* A file shorter than 4 KiB gives a short head; what it must hold is checked above. */
static struct mw_err *open_headers(struct mw_elf *elf)
{
	uint64_t n_segments = 0;
	struct mw_err *err =
		elf->read(elf->arg, 0, elf->head, sizeof(elf->head), &elf->head_len);
	if (!err)
		err = take_ident(elf);
	if (!err)
		err = count_segments(elf, &n_segments);
	if (!err)
		err = take_segments(elf, n_segments);
	if (err)
		return err;
	elf->type = (uint16_t)MW_ELF_FIELD(elf, elf->head, Ehdr, e_type);
	elf->machine = (uint16_t)MW_ELF_FIELD(elf, elf->head, Ehdr, e_machine);
	return NULL;
}

struct mw_err *mw_elf_open(mw_elf_read_fn *read, void *arg, struct mw_elf **ret)
{
	struct mw_elf *elf = calloc(1, sizeof(*elf));
	if (!elf)
		return mw_err_nomem();
	elf->read = read;
	elf->arg = arg;
	struct mw_err *err = open_headers(elf);
	if (err) {
		mw_elf_free(elf);
		return err;
	}
	*ret = elf;
	return NULL;
}

void mw_elf_free(struct mw_elf *elf)
{
	if (!elf)
		return;
	for (int i = 0; i < MW_ELF_N_TABLES; i++)
		mw_elf_symbols_deinit(&elf->tables[i]);
	free(elf->segments);
	free(elf->sections);
	free(elf->section_names);
	free(elf);
}

uint16_t mw_elf_type(const struct mw_elf *elf)
{
	return elf->type;
}

uint16_t mw_elf_machine(const struct mw_elf *elf)
{
	return elf->machine;
}

bool mw_elf_is64(const struct mw_elf *elf)
{
	return elf->is64;
}

const struct mw_elf_segment *mw_elf_segments(const struct mw_elf *elf, size_t *n)
{
	*n = elf->n_segments;
	return elf->segments;
}
