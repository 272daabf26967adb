/* SPDX-License-Identifier: MIT */
/*
 * Before the holder of a copy is started: what of the target is found out while it runs.
 */
#pragma once

#include <stdint.h>

/*
 * The address of a system call instruction in code that is present; `dir` is /proc/PID.
 * 0: none found, or not to be seen. It may be gone by the time it is used.
 */
uint64_t mw_site_find(int dir);
