/* SPDX-License-Identifier: MIT */
/*
 * Looks a device up in /proc/PID/mountinfo. Pure. Format: proc(5).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies the file system type ("tmpfs", "ext4") of the first mount of dev (major << 20 |
 * minor). */
bool mw_mountinfo_fstype(const char *text, size_t len, uint64_t dev, char *type,
			 size_t type_len);
