/* SPDX-License-Identifier: MIT */
/* The loops that read from a descriptor: what is opened, and why, is others' affair. */
#pragma once

#include "base/buf.h"
#include <memwhy/err.h>
#include <stdint.h>

/*
 * Reads what is there of [off, off + len): *got is less than `len` at the file's end, or
 * where an error came, which may be after some bytes. 0 or errno.
 */
int mw_read_at(int fd, uint64_t off, void *bytes, size_t len, size_t *got) MW_MUST_USE;

/*
 * Appends all that can be read, also from a pipe. `path` is for messages. FORMAT when it
 * is more than `max`.
 */
struct mw_err *mw_read_all(int fd, const char *path, uint64_t max,
			   struct mw_buf *ret) MW_MUST_USE;
