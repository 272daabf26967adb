/* SPDX-License-Identifier: MIT */
/*
 * What the files of elf.h share: the object, and reading fields of its class and byte
 * order. Layouts: <elf.h>, the System V gABI.
 */
#pragma once

#include "symbols/elf.h"

#include <elf.h>
#include <string.h>

/* No table that is read whole may be longer: an object with more is hostile. */
#define MW_ELF_MAX_TABLE (UINT64_C(256) << 20)

enum mw_elf_table { MW_ELF_SYMTAB, MW_ELF_DYNSYM, MW_ELF_N_TABLES };

/* A sized function or object, for searching by address. */
struct mw_elf_place {
	uint64_t start, end;
	uint64_t max_end; /* the largest end up to here, in order of start */
	uint32_t index;   /* in the table */
	uint32_t rank;    /* among names of one address the lowest is shown */
};

struct mw_elf_symbols {
	bool loaded;
	unsigned char *entries;
	size_t n;
	char *strings; /* one byte longer than the table: always terminated */
	size_t strings_len;
	unsigned n_searches;         /* by address, so far */
	struct mw_elf_place *places; /* NULL until sorting them pays */
	size_t n_places;
};

struct mw_elf {
	mw_elf_read_fn *read;
	void *arg;
	bool is64, swap;
	uint16_t type, machine;
	struct mw_elf_segment *segments;
	size_t n_segments;

	bool sections_loaded;
	struct mw_elf_section *sections;
	size_t n_sections;
	char *section_names;

	struct mw_elf_symbols tables[MW_ELF_N_TABLES];

	size_t head_len;
	unsigned char head[4096]; /* the start of the file */
};

/* An unsigned number of 1, 2, 4 or 8 bytes in the object's byte order. */
static inline uint64_t mw_elf_number(const struct mw_elf *elf, const void *bytes,
				     size_t width)
{
	uint64_t value64;
	uint32_t value32;
	uint16_t value16;
	switch (width) {
	case 8:
		memcpy(&value64, bytes, 8);
		return elf->swap ? __builtin_bswap64(value64) : value64;
	case 4:
		memcpy(&value32, bytes, 4);
		return elf->swap ? __builtin_bswap32(value32) : value32;
	case 2:
		memcpy(&value16, bytes, 2);
		return elf->swap ? __builtin_bswap16(value16) : value16;
	default:
		return *(const unsigned char *)bytes;
	}
}

/* The member of an Ehdr, Phdr, Shdr, Sym … at `bytes`, in either class. */
#define MW_ELF_FIELD(elf, bytes, type, member)                               \
	((elf)->is64 ? mw_elf_number(elf,                                    \
				     (const unsigned char *)(bytes) +        \
					     offsetof(Elf64_##type, member), \
				     sizeof(((Elf64_##type *)0)->member))    \
		     : mw_elf_number(elf,                                    \
				     (const unsigned char *)(bytes) +        \
					     offsetof(Elf32_##type, member), \
				     sizeof(((Elf32_##type *)0)->member)))

#define MW_ELF_SIZEOF(elf, type) \
	((elf)->is64 ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

/* A FORMAT error about this part of the object. */
struct mw_err *mw_elf_broken(const char *part) MW_MUST_USE;

/* Reads exactly `len` bytes; FORMAT, naming `part`, where the file ends before. */
struct mw_err *mw_elf_read(const struct mw_elf *elf, const char *part, uint64_t offset,
			   void *bytes, size_t len) MW_MUST_USE;

/*
 * Reads a whole table into new memory with one zero byte after it, which the caller
 * frees. A length the file does not have is found before memory is taken.
 */
struct mw_err *mw_elf_read_table(const struct mw_elf *elf, const char *part,
				 uint64_t offset, uint64_t len,
				 unsigned char **ret) MW_MUST_USE;

/* Frees the symbol tables. */
void mw_elf_symbols_deinit(struct mw_elf_symbols *symbols);
