/* SPDX-License-Identifier: MIT */
/*
 * Checked numbers from text. The cursor functions read from [*pos, end), which
 * need not be terminated, and advance *pos past what they took.
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stdint.h>

/* One or more digits; false (and *pos unmoved) without one, or on overflow. */
bool mw_take_dec(const char **pos, const char *end, uint64_t *ret) MW_MUST_USE;
bool mw_take_hex(const char **pos, const char *end, uint64_t *ret) MW_MUST_USE;

/* Exactly this character. */
bool mw_take_char(const char **pos, const char *end, char c) MW_MUST_USE;

/* Skips blanks and tabs. */
void mw_skip_blanks(const char **pos, const char *end);

/* The end of the line that starts at pos (the newline, or `end`). */
const char *mw_line_end(const char *pos, const char *end);

/* A whole string as a number; false when anything else is in it. */
bool mw_parse_u64(const char *str, uint64_t *ret) MW_MUST_USE;

/* A whole string as an address, with or without 0x. */
bool mw_parse_addr(const char *str, uint64_t *ret) MW_MUST_USE;

/*
 * Digits for the writers' and recorders' inner loops: no locale, no format string, no
 * NUL. `at` has room for MW_DIGITS_LEN; returns the place after the last digit.
 */
enum { MW_DIGITS_LEN = 20 };
char *mw_put_dec(char *at, uint64_t n);

/* Likewise in lower-case hex digits, without 0x. */
char *mw_put_hex(char *at, uint64_t n);

/* a - b, and 0 where that would be less. */
static inline uint64_t mw_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}
