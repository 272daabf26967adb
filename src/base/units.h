/* SPDX-License-Identifier: MIT */
/*
 * Quantities as words: bytes in IEC units, durations. Every function
 * writes into the caller's buffer and returns it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Long enough for any result of this file. */
enum { MW_UNITS_LEN = 32 };

enum mw_unit {
	MW_UNIT_AUTO, /* three significant digits: 512 B, 4.97 GiB */
	MW_UNIT_B,
	MW_UNIT_K, /* whole KiB, rounded half up; likewise M and G */
	MW_UNIT_M,
	MW_UNIT_G,
};

/* A size in bytes; with a fixed unit, the number alone. */
char *mw_units_bytes(uint64_t bytes, enum mw_unit unit, char buf[MW_UNITS_LEN]);

/* The same; returns where it ends (at its NUL). */
char *mw_units_put_bytes(char buf[MW_UNITS_LEN], uint64_t bytes, enum mw_unit unit);

/* A duration in nanoseconds: 310 µs, 0.31 s … always ASCII ("us"). */
char *mw_units_duration(uint64_t ns, char buf[MW_UNITS_LEN]);
