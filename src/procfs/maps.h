/* SPDX-License-Identifier: MIT */
/*
 * Parses /proc/PID/maps and the header lines of smaps. Pure: bytes in, structs out.
 * Format: Documentation/filesystems/proc.rst; the kernel escapes only newline (\012)
 * in names (fs/proc/task_mmu.c, seq_path with "\n").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_maps_line {
	uint64_t start, end, offset, ino;
	uint64_t dev;   /* major << 20 | minor */
	unsigned perms; /* MW_PERM_* of <memwhy/perms.h> */
	const char
		*name; /* raw, inside the input; not terminated; may hold \012 escapes */
	size_t name_len;
};

/*
 * Parses one line [pos, eol). False when it is not a maps line: end < start, bad hex,
 * missing fields.
 */
bool mw_maps_parse_line(const char *pos, const char *eol, struct mw_maps_line *ret);

/* Undoes \012 into dst (at least len + 1 bytes); returns the length. */
size_t mw_maps_unescape(const char *name, size_t len, char *dst);

/* True when the name ends in " (deleted)". */
bool mw_maps_is_deleted(const char *name, size_t len);
