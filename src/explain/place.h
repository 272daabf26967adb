/* SPDX-License-Identifier: MIT */
/*
 * Where in an ELF object an address lies: its section and symbol.
 */
#pragma once

#include <memwhy/snapshot.h>

struct mw_place {
	char section[64];   /* "" not known */
	char symbol[256];   /* "" not known */
	uint64_t offset;    /* from the symbol's start */
	struct mw_err *err; /* why something is not known, or NULL; the caller frees it */
};

/* Looks an address up in the object its region maps. */
void mw_place_find(const struct mw_snapshot *snap, const struct mw_region *region,
		   uint64_t addr, struct mw_place *ret);
