/* SPDX-License-Identifier: MIT */
/*
 * The parts of loaded objects, shared by the two files that tell them: classify_elf.c
 * groups mappings by file, reads headers and knows who is who; elf_parts.c matches
 * mappings to headers and claims text, rodata, RELRO, data and bss by address.
 */
#pragma once

#include "explain/claims.h"
#include "symbols/elf.h"

enum { MW_ELF_MAX_LOADS = 64 }; /* PT_LOAD headers looked at: no real object has more */

enum mw_elf_role { ROLE_EXE, ROLE_LIB, ROLE_LOADER };
enum mw_elf_part { PART_TEXT, PART_RODATA, PART_RELRO, PART_DATA, PART_BSS };

/* One file: its mappings are regions[order[first .. first + n)]. */
struct mw_elf_object {
	const struct mw_region *region; /* its lowest mapping */
	size_t first, n;
	enum mw_elf_role role;
	const char *name;
	struct mw_elf_segment loads[MW_ELF_MAX_LOADS];
	const char *evidence[MW_ELF_MAX_LOADS]; /* of the current instance, made when
						   needed */
	size_t n_loads;
	uint64_t relro, relro_end; /* link-time addresses; equal: none */
	bool mixed_text;           /* headers and constants share the code's segment */
	struct mw_elf *elf;
};

struct mw_elf_scan {
	struct mw_classify *cx;
	const struct mw_region *regions;
	size_t n_regions;
	size_t *order; /* indices of mapped files' regions, by file and address */
	size_t n_order;
	uint64_t mask; /* page size - 1 */
	uint64_t loader_dev, loader_ino;
	size_t steps; /* left: hostile headers must not make this quadratic */
	size_t n_objects;
};

/* Do two mappings show the same file? */
static inline bool mw_elf_same_file(const struct mw_region *a, const struct mw_region *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->deleted == b->deleted;
}

/* Finds each load base the object's mappings speak for; claims every part. NOMEM only. */
struct mw_err *mw_elf_claim_object(struct mw_elf_scan *scan,
				   struct mw_elf_object *object) MW_MUST_USE;

/* The parts of a file that cannot be read, by permissions alone. NOMEM only. */
struct mw_err *mw_elf_claim_by_perms(struct mw_elf_scan *scan,
				     const struct mw_elf_object *object) MW_MUST_USE;

/* The inaccessible mappings between two segments of an object. NOMEM only. */
struct mw_err *mw_elf_claim_holes(struct mw_elf_scan *scan,
				  const struct mw_elf_object *object) MW_MUST_USE;
