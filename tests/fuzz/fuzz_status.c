// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "procfs/status.h"

#include <string.h>

/* The same bytes as status and as stat: the two formats do not resemble each other. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mw_status status;
	mw_status_parse((const char *)bytes, len, &status);
	FUZZ_CHECK(status.n_ns <= len);

	struct mw_stat stat;
	memset(&stat, 0x5a, sizeof(stat));
	if (mw_stat_parse((const char *)bytes, len, &stat))
		FUZZ_CHECK(memchr(stat.comm, 0, sizeof(stat.comm)));
	else
		FUZZ_CHECK(stat.pid == UINT64_C(0x5a5a5a5a5a5a5a5a));
	return 0;
}
