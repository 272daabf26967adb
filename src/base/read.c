// SPDX-License-Identifier: MIT
#include "base/read.h"

#include <errno.h>
#include <unistd.h>

enum { PIECE = 1 << 14 };

int mw_read_at(int fd, uint64_t off, void *bytes, size_t len, size_t *got)
{
	size_t done = 0;
	int errnum = 0;

	while (done < len && off <= INT64_MAX - done) {
		ssize_t n =
			pread(fd, (char *)bytes + done, len - done, (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			errnum = errno;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	*got = done;
	return errnum;
}

struct mw_err *mw_read_all(int fd, const char *path, uint64_t max, struct mw_buf *ret)
{
	ssize_t got;

	do {
		if (!mw_buf_reserve(ret, PIECE))
			return mw_err_nomem();
		got = read(fd, ret->data + ret->len, PIECE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mw_err_sys(errno, path);
		ret->len += (size_t)got;
		if (ret->len > max)
			return mw_err_new(MW_ERR_FORMAT, 0, path, "%s is too large",
					  path);
	} while (got != 0);
	/* There is room: it was made for bytes that did not come. */
	ret->data[ret->len] = '\0';
	return NULL;
}
