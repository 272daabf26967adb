/* SPDX-License-Identifier: MIT */
/*
 * What the sections of an object add up to, in the three ways of size(1). All of them
 * look at flags, never at names: so "text" holds constants and unwind tables too, and
 * "data" holds what is read-only after relocation.
 */
#pragma once

#include "symbols/elf.h"

struct mw_sizes {
	uint64_t text;         /* allocated: code; Berkeley adds everything read-only */
	uint64_t rodata;       /* allocated, read-only, no code */
	uint64_t data;         /* allocated, writable, with contents */
	uint64_t bss;          /* allocated, writable, without contents */
	uint64_t rodata_empty; /* of rodata, what has no contents: in debug files */
};

/* The sections that are listed, in the order of binutils. */
struct mw_listing {
	const struct mw_elf_section *sections;
	uint32_t *order; /* indexes into them */
	size_t n;
};

/*
 * Lists an object's sections. Left out, as in binutils: symbol tables, their strings,
 * and relocations that only a linker reads. FORMAT, NOMEM.
 */
struct mw_err *mw_listing_make(struct mw_elf *elf, struct mw_listing *ret) MW_MUST_USE;
void mw_listing_deinit(struct mw_listing *listing);

/* Sums the listed sections. */
struct mw_sizes mw_sizes_of(const struct mw_listing *listing);
