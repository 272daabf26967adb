/* SPDX-License-Identifier: MIT */
/*
 * Mapped objects: how the ELF reader gets at a file that may be deleted or recorded,
 * and where in an object an address lies.
 */
#pragma once

#include <memwhy/snapshot.h>

struct mw_elf;

enum { MW_OBJECT_HEAD = 4096 };

/* The file behind a region, for mw_elf_open(). Must stay in place while it is used. */
struct mw_object_reader {
	struct mw_source *src;
	pid_t pid;
	struct mw_object object;
	size_t head_len; /* of `head`, the file's start, read once; 0: not yet */
	unsigned char head[MW_OBJECT_HEAD];
};

/* Prepares to read the file that `region` maps; reads nothing yet. */
void mw_object_reader_init(struct mw_object_reader *reader,
			   const struct mw_snapshot *snap,
			   const struct mw_region *region);

/*
 * What is added to the object's link-time addresses, told by the segment that made one
 * of its mappings. False when none fits.
 */
bool mw_object_bias(const struct mw_elf *elf, const struct mw_region *region,
		    uint64_t page_size, uint64_t *ret);

/* A mw_elf_read_fn; `arg` is the reader. Headers come from the file's start. */
struct mw_err *mw_object_read(void *arg, uint64_t off, void *bytes, size_t len,
			      size_t *got) MW_MUST_USE;

struct mw_place {
	char section[64];   /* "" not known */
	char symbol[256];   /* "" not known */
	uint64_t offset;    /* from the symbol's start */
	struct mw_err *err; /* why something is not known, or NULL; the caller frees it */
};

/* Looks an address up in the object its region maps. */
void mw_place_find(const struct mw_snapshot *snap, const struct mw_region *region,
		   uint64_t addr, struct mw_place *ret);

/* The same in an object that is open, for who asks often. */
void mw_place_in(struct mw_elf *elf, const struct mw_region *region, uint64_t page_size,
		 uint64_t addr, struct mw_place *ret);
