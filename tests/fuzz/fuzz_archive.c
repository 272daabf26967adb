// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include "symbols/input.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Every member lies inside the file, and there are no more than headers fit in. */
static void check_members(struct mw_input *input, size_t len)
{
	struct mw_member member = { .fd = -1 };
	bool more = true;
	size_t n = 0, got;
	char byte;
	while (more) {
		struct mw_err *err = mw_input_next(input, &member, &more);
		mw_err_free(err);
		if (err || !more)
			break;
		FUZZ_CHECK(++n <= len / 60 + 1);
		if (!member.own_fd)
			FUZZ_CHECK(member.start <= len &&
				   member.len <= len - member.start);
		FUZZ_CHECK(!member.name || strlen(member.name) < 4096);
		mw_err_free(mw_member_read(&member, 0, &byte, 1, &got));
		FUZZ_CHECK(got <= 1 &&
			   mw_member_read(&member, UINT64_MAX, &byte, 1, &got) == NULL);
	}
	mw_member_release(&member);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char path[64];
	int fd = memfd_create("archive", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct mw_input input;
	struct mw_err *err = mw_input_open(path, &input);
	if (!err) {
		check_members(&input, len);
		mw_input_close(&input);
	}
	mw_err_free(err);
	close(fd);
	return 0;
}
