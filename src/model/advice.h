/* SPDX-License-Identifier: MIT */
/*
 * Commands that an answer recommends. They name the recording they were given on, or
 * they would speak of whatever process has that pid here and now.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/source.h>

/* "memwhy VERB [--root DIR] PID OPTIONS"; verb and options may be "". NULL: no memory. */
const char *mw_advice_command(struct mw_source *src, struct mw_arena *arena,
			      const char *verb, pid_t pid, const char *options);

/* What opens what was refused: "sudo memwhy PID", or "" to who is root. NULL: NOMEM. */
const char *mw_advice_access(struct mw_source *src, struct mw_arena *arena, pid_t pid);

/* True when the reader holds every capability that opens anything. */
bool mw_advice_privileged(struct mw_source *src);
