// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "procfs/keyed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const keys[] = { "MemTotal", "a", "", "pswpin", "some" };
	const char *text = (const char *)bytes;
	struct mw_pressure pressure = { .avg10 = 1 << 30 };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		(void)mw_keyed_number(text, len, keys[i]);
	if (mw_pressure_parse(text, len, "some", &pressure))
		FUZZ_CHECK(pressure.avg10 <= 10099 && pressure.avg60 <= 10099 &&
			   pressure.avg300 <= 10099);
	else
		FUZZ_CHECK(pressure.avg10 == 1 << 30);
	return 0;
}
