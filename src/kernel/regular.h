/* SPDX-License-Identifier: MIT */
/*
 * Opens files whose paths somebody else chose: only regular ones, on file systems where
 * reading does nothing but read.
 */
#pragma once

#include <stdint.h>

/*
 * Opens `path` (relative to `dir`) for reading. With `ino` the file must have that inode.
 * Returns a descriptor, or -1 with errno: ENOENT when it is another or no regular file.
 */
int mw_regular_open(int dir, const char *path, uint64_t ino);
