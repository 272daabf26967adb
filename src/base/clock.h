/* SPDX-License-Identifier: MIT */
/*
 * The clock that durations are measured with: CLOCK_MONOTONIC, clock_gettime(2). Safe
 * between fork() and _exit().
 */
#pragma once

#include <stdint.h>

/* Nanoseconds since some moment before this program began. */
uint64_t mw_now_ns(void);
