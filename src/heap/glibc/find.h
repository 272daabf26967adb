/* SPDX-License-Identifier: MIT */
/*
 * Finding main_arena and malloc_par without symbols, two ways that share what an
 * initial or a live image of them looks like: find.c and static.c read the file, which
 * works before malloc() was ever called; scan.c reads memory, where the file is not
 * to be had or tells nothing.
 */
#pragma once

#include "heap/glibc/glibc.h"
#include "symbols/elf.h"
#include "symbols/object.h"

/* What a file says; addresses are the file's own, without the bias. */
struct mw_glibc_file {
	struct mw_glibc_facts facts;
	uint64_t main_arena;
	uint64_t mp; /* 0: not found */
	char version[16];
};

/*
 * Whether the ELF object holds a glibc malloc: exactly one word of its initial data
 * that is main_arena.next. NOMEM, or what reading failed with.
 */
struct mw_err *mw_glibc_inspect(mw_elf_read_fn *read, void *arg, const struct mw_elf *elf,
				struct mw_glibc_file *ret, bool *found) MW_MUST_USE;

/*
 * Searches the writable data of the region's object, and the anonymous memory that
 * follows it, for a main_arena in use. NOMEM.
 */
struct mw_err *mw_glibc_scan(struct mw_heap_walk *walk, const struct mw_region *region,
			     struct mw_glibc_vec *ret) MW_MUST_USE;

/*
 * Completes a libc whose addresses and facts are known: layout, settings. False when
 * no layout fits.
 */
bool mw_glibc_complete(struct mw_heap_walk *walk, struct mw_glibc *libc);

/* Offset of n_mmaps_max in what may be a malloc_par, 0 when it is none. */
uint16_t mw_glibc_par_at(const unsigned char *bytes, size_t len, bool *tcache);

/* Enough bytes of malloc_par to tell all its layouts apart. */
enum { MW_GLIBC_PAR_LEN = 0x90 };
