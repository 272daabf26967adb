/* SPDX-License-Identifier: MIT */
/*
 * Reads ELF headers and symbols of a mapped object through a read callback, so that a
 * deleted file, a recording and a file on disk are read alike. Hostile input: every
 * offset and count is checked, tables are bounded, nothing is mapped.
 *
 * 32- and 64-bit, either byte order. Not a disassembler, no DWARF. Specification:
 * the System V gABI, and <elf.h>.
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads up to `len` bytes at file offset `off`; a short *got means the end of the file.
 */
typedef struct mw_err *mw_elf_read_fn(void *arg, uint64_t off, void *bytes, size_t len,
				      size_t *got);

struct mw_elf_segment {       /* program header */
	uint32_t type, flags; /* PT_*, PF_* */
	uint64_t offset, vaddr, file_len, mem_len, align;
};

struct mw_elf_section {
	const char *name;
	uint32_t type;  /* SHT_* */
	uint64_t flags; /* SHF_* */
	uint64_t addr, offset, len;
	uint64_t entry_len;
	uint32_t link;
};

struct mw_elf; /* owns its tables */

/* Reads the ELF and program headers. FORMAT when it is not ELF or broken. */
struct mw_err *mw_elf_open(mw_elf_read_fn *read, void *arg,
			   struct mw_elf **ret) MW_MUST_USE;
void mw_elf_free(struct mw_elf *elf);

uint16_t mw_elf_type(const struct mw_elf *elf);    /* ET_EXEC, ET_DYN, … */
uint16_t mw_elf_machine(const struct mw_elf *elf); /* EM_* */
bool mw_elf_is64(const struct mw_elf *elf);
const struct mw_elf_segment *mw_elf_segments(const struct mw_elf *elf, size_t *n);

/* Reads the section headers and their names on first use; none: *n = 0. */
struct mw_err *mw_elf_sections(struct mw_elf *elf, const struct mw_elf_section **ret,
			       size_t *n) MW_MUST_USE;

/* The section of that name, or NULL; reads section headers on first use. */
struct mw_err *mw_elf_find_section(struct mw_elf *elf, const char *name,
				   const struct mw_elf_section **ret) MW_MUST_USE;

/* The NT_GNU_BUILD_ID as lower-case hex, "" without one; at most 64 bytes of id. */
struct mw_err *mw_elf_build_id(struct mw_elf *elf, char hex[129]) MW_MUST_USE;

/* The value (st_value) of an exported or local symbol. NOTFOUND. */
struct mw_err *mw_elf_symbol_value(struct mw_elf *elf, const char *name,
				   uint64_t *ret) MW_MUST_USE;

/*
 * The function or object that holds the link-time address: its name (owned by the elf)
 * and the offset in it. .symtab first, then .dynsym. NOTFOUND.
 */
struct mw_err *mw_elf_symbol_at(struct mw_elf *elf, uint64_t vaddr, const char **name,
				uint64_t *offset) MW_MUST_USE;

/* Bytes of common symbols (SHN_COMMON) in an object that is not linked yet. */
struct mw_err *mw_elf_common_bytes(struct mw_elf *elf, uint64_t *ret) MW_MUST_USE;
