// SPDX-License-Identifier: MIT
/* Names, and the size classes of histograms. */
#include "heap/heap.h"

enum { EXACT = 64, STEPS = 8 }; /* classes of 16 bytes each, then steps to a doubling */

unsigned mw_size_class(uint64_t bytes)
{
	if (bytes <= 16 * EXACT)
		return bytes ? (unsigned)((bytes - 1) / 16) : 0;
	unsigned shift = 63 - (unsigned)__builtin_clzll(bytes - 1); /* 10 and above */
	unsigned step = (unsigned)((bytes - 1) >> (shift - 3)) & (STEPS - 1);
	return EXACT + (shift - 10) * STEPS + step;
}

uint64_t mw_size_class_max(unsigned class)
{
	if (class < EXACT)
		return (uint64_t)(class + 1) * 16;
	unsigned shift = 10 + (class - EXACT) / STEPS, step = (class - EXACT) % STEPS;
	if (shift == 63 && step == STEPS - 1)
		return UINT64_MAX;
	return (UINT64_C(1) << shift) + ((uint64_t)(step + 1) << (shift - 3));
}

const char *mw_depth_name(enum mw_depth depth)
{
	static const char *const names[] = { "recognised", "counted", "walked" };
	return (unsigned)depth < 3 ? names[depth] : "";
}
