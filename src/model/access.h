/* SPDX-License-Identifier: MIT */
/*
 * What this user may read of a process, found by trying: each reading memwhy is built
 * on, what it is needed for, and what opens it. Which capability opens what was
 * measured on Linux 6.18: CAP_SYS_PTRACE maps, smaps and exe; CAP_DAC_READ_SEARCH the
 * files of mode 0400 (pagemap, mem, kpagecount); CAP_SYS_ADMIN the frame numbers.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/source.h>

enum mw_allowed { MW_ALLOWED, MW_REFUSED, MW_NOT_TRIED };

struct mw_access {
	const char *what;  /* "maps", "pagemap", … stable names */
	const char *gives; /* what memwhy makes of it */
	enum mw_allowed allowed;
	const char *why;    /* the refusal, or why it could not be tried; "" */
	const char *remedy; /* an exact command, or "" */
};

struct mw_accesses {
	struct mw_access *items;
	size_t n, cap;
};

/* Tries everything on `pid`, which must exist. NOTFOUND, GONE, NOMEM. */
struct mw_err *mw_access_check(struct mw_source *src, pid_t pid, struct mw_arena *arena,
			       struct mw_accesses *ret) MW_MUST_USE;

/* What a kernel feature is good for, in a few words. */
const char *mw_feature_gives(enum mw_feature feature);

/*
 * A command that an answer recommends: "memwhy VERB [--root DIR] PID OPTIONS"; verb and
 * options may be "". It names the recording it is given on, or it would speak of whatever
 * process has that pid here and now. NULL: no memory.
 */
const char *mw_advice_command(struct mw_source *src, struct mw_arena *arena,
			      const char *verb, pid_t pid, const char *options);

/* What opens what was refused: "sudo memwhy PID", or "" to who is root. NULL: NOMEM. */
const char *mw_advice_access(struct mw_source *src, struct mw_arena *arena, pid_t pid);

/* True when the reader holds every capability that opens anything. */
bool mw_advice_privileged(struct mw_source *src);
