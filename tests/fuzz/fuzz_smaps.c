// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "procfs/smaps.h"

/* Entries must tile the input: every call that succeeds takes at least its header. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *pos = (const char *)bytes, *end = pos + len;
	struct mw_smaps_entry entry;
	for (const char *before = pos; mw_smaps_next(&pos, end, &entry); before = pos) {
		FUZZ_CHECK(pos > before && pos <= end);
		FUZZ_CHECK(entry.map.start <= entry.map.end);
		FUZZ_CHECK(entry.known >> MW_KEY_COUNT == 0);
		FUZZ_CHECK(entry.n_flags <= sizeof(entry.flags) / 2);
		for (int key = 0; key < MW_KEY_COUNT; key++) {
			FUZZ_CHECK(entry.bytes[key] % 1024 == 0);
			if (!(entry.known >> key & 1))
				FUZZ_CHECK(entry.bytes[key] == 0);
		}
	}
	FUZZ_CHECK(pos <= end);
	return 0;
}
