/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets share: the entry point that libFuzzer and replay.c call, and a
 * check that, unlike assert, no build type removes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* One input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define FUZZ_CHECK(condition)     \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)
