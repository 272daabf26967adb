/* SPDX-License-Identifier: MIT */
/*
 * Parses the auxiliary vector of a 64-bit process: pairs of native words up to
 * AT_NULL. Pure. Values: <elf.h>, getauxval(3).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of `type` (AT_*); false when the vector does not hold it. */
bool mw_auxv_find(const void *bytes, size_t len, uint64_t type, uint64_t *ret);
