// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "procfs/auxv.h"
#include "procfs/mountinfo.h"

#include <string.h>

/* The first byte of a mountinfo input chooses how long the caller's buffer is. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint64_t value = 0;
	for (uint64_t type = 0; type < 40; type++)
		mw_auxv_find(bytes, len, type, &value);
	if (!len)
		return 0;

	size_t type_len = bytes[0] % 16;
	char *type = malloc(type_len ? type_len : 1);
	const char *text = (const char *)bytes + 1;
	if (!type)
		return 0;
	for (uint64_t minor = 0; minor < 64; minor++)
		for (uint64_t major = 0; major < 9; major += 8)
			if (mw_mountinfo_fstype(text, len - 1, major << 20 | minor, type,
						type_len))
				FUZZ_CHECK(strlen(type) < type_len);
	free(type);
	return 0;
}
