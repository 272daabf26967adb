/* SPDX-License-Identifier: MIT */
/*
 * Files of "key value" lines: meminfo, vmstat, memory.stat of a cgroup; and the lines of
 * pressure files. Pure: bytes in, numbers out. Documents: filesystems/proc.rst,
 * accounting/psi.rst, admin-guide/cgroup-v2.rst.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The number behind `key` (then a colon or a blank), "kB" behind it counted as 1024;
 * UINT64_MAX when there is no such line, or no number that fits.
 */
uint64_t mw_keyed_number(const char *text, size_t len, const char *key);

/* Averages in hundredths of a percent, `total` in microseconds. */
struct mw_pressure {
	uint32_t avg10, avg60, avg300;
	uint64_t total;
};

/* The line "some" or "full" of a pressure file; false when it is not there. */
bool mw_pressure_parse(const char *text, size_t len, const char *line,
		       struct mw_pressure *ret);
