// SPDX-License-Identifier: MIT
#include "procfs/auxv.h"

#include <elf.h>
#include <string.h>

/* Bytes need not be aligned; what follows AT_NULL is not part of the vector. */
bool mw_auxv_find(const void *bytes, size_t len, uint64_t type, uint64_t *ret)
{
	const unsigned char *pos = bytes;
	uint64_t pair[2];
	for (; len >= sizeof(pair); pos += sizeof(pair), len -= sizeof(pair)) {
		memcpy(pair, pos, sizeof(pair));
		if (pair[0] == AT_NULL)
			return false;
		if (pair[0] == type) {
			*ret = pair[1];
			return true;
		}
	}
	return false;
}
