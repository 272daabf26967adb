// SPDX-License-Identifier: MIT
// The same five objects as the executable has, in a shared library.

#include "lib.h"

enum { N_POINTERS = ZOO_OBJECT_LEN / sizeof(void *) };

static const char rodata[ZOO_OBJECT_LEN] = { 1 };
// Pointers need a relocation in position independent code: read-only after it.
static const void *const relro[N_POINTERS] = { [0 ... N_POINTERS - 1] = rodata };
static char data[ZOO_OBJECT_LEN] = { 1 };
static char bss[ZOO_OBJECT_LEN];

void zoo_lib_parts(struct zoo_part parts[ZOO_N_PARTS])
{
	parts[0] = (struct zoo_part){ "text", (const void *)zoo_lib_parts, 16 };
	parts[1] = (struct zoo_part){ "rodata", rodata, sizeof(rodata) };
	parts[2] = (struct zoo_part){ "relro", relro, sizeof(relro) };
	parts[3] = (struct zoo_part){ "data", data, sizeof(data) };
	parts[4] = (struct zoo_part){ "bss", bss, sizeof(bss) };
	for (size_t i = 0; i < ZOO_OBJECT_LEN; i += 4096)
		data[i]++, bss[i]++;
}
