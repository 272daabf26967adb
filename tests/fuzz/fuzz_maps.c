// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "base/num.h"
#include "procfs/maps.h"

#include <string.h>

static void check_line(const struct mw_maps_line *line, const char *pos, const char *eol)
{
	FUZZ_CHECK(line->start <= line->end);
	FUZZ_CHECK(line->perms < 16);
	FUZZ_CHECK(line->name >= pos && line->name + line->name_len == eol);
	char *plain = malloc(line->name_len + 1);
	if (!plain)
		return;
	size_t len = mw_maps_unescape(line->name, line->name_len, plain);
	FUZZ_CHECK(len <= line->name_len && plain[len] == '\0');
	if (mw_maps_is_deleted(line->name, line->name_len))
		FUZZ_CHECK(len >= 10);
	free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const char *pos = (const char *)bytes, *end = pos + len;
	while (pos < end) {
		const char *eol = mw_line_end(pos, end);
		struct mw_maps_line line;
		if (mw_maps_parse_line(pos, eol, &line))
			check_line(&line, pos, eol);
		pos = eol < end ? eol + 1 : end;
	}
	return 0;
}
