/* SPDX-License-Identifier: MIT */
/*
 * The words of a recorded tree's lines. The take functions are like those of
 * base/num.h: they read from [*pos, end), advance *pos, and return false when the
 * text is something else.
 */
#pragma once

#include "base/buf.h"

#include <memwhy/hold.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Appends a string as one word: "-" when it is empty, and each byte that is not
 * printable ASCII, or a blank or a backslash, as \\xHH. False when memory is short.
 */
bool mw_add_escaped(struct mw_buf *out, const char *text) MW_MUST_USE;

/* A word of mw_add_escaped(), undone into `out`, which is cleared first. */
bool mw_take_escaped(const char **pos, const char *end, struct mw_buf *out) MW_MUST_USE;

/* One blank. */
bool mw_take_blank(const char **pos, const char *end) MW_MUST_USE;

/* A number and one blank behind it. */
bool mw_take_hex_word(const char **pos, const char *end, uint64_t *ret) MW_MUST_USE;
bool mw_take_dec_word(const char **pos, const char *end, uint64_t *ret) MW_MUST_USE;

/* A decimal number that fits a pid. */
bool mw_take_id(const char **pos, const char *end, pid_t *ret) MW_MUST_USE;

/* One thread's registers: its id, pc, sp, tp, and the words behind them. */
bool mw_add_registers(struct mw_buf *out, const struct mw_registers *regs) MW_MUST_USE;
bool mw_take_registers(const char **pos, const char *end,
		       struct mw_registers *ret) MW_MUST_USE;

/* Exactly this text. */
bool mw_take_word(const char **pos, const char *end, const char *word) MW_MUST_USE;

/* Two hexadecimal digits. */
bool mw_take_byte(const char **pos, const char *end, unsigned char *ret) MW_MUST_USE;
