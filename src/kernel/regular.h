/* SPDX-License-Identifier: MIT */
/*
 * Opens files whose paths somebody else chose: only regular ones, on file systems where
 * reading does nothing but read. And the loops that read files.
 */
#pragma once

#include "base/buf.h"
#include <memwhy/err.h>
#include <stdint.h>

/*
 * Opens `path` (relative to `dir`) for reading. With `ino` the file must have that inode.
 * Returns a descriptor, or -1 with errno: ENOENT when it is another or no regular file.
 */
int mw_regular_open(int dir, const char *path, uint64_t ino);

/*
 * Reads what is there of [off, off + len): *got is less than `len` at the file's end, or
 * where an error came, which may be after some bytes. 0 or errno.
 */
int mw_regular_read(int fd, uint64_t off, void *bytes, size_t len,
		    size_t *got) MW_MUST_USE;

/*
 * Appends all that can be read, also from a pipe. `path` is for messages. FORMAT when it
 * is more than `max`.
 */
struct mw_err *mw_regular_read_all(int fd, const char *path, uint64_t max,
				   struct mw_buf *ret) MW_MUST_USE;
