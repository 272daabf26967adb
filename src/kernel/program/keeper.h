/* SPDX-License-Identifier: MIT */
/*
 * The child process between memwhy and a program of ours. It runs between fork() and
 * _exit(): system calls and its own memory only.
 */
#pragma once

#include "kernel/program/program.h"

enum {
	MW_UNDO_LEN = 4096, /* of a path and of a text, with its NUL */
	MW_MAX_UNDOS = 64,
};

/* memwhy to keeper, one packet each. No more packets: the end. */
struct mw_undo_order {
	enum mw_undo how;
	char path[MW_UNDO_LEN], text[MW_UNDO_LEN];
};

enum mw_keeper_word { MW_KEEPER_STARTED, MW_KEEPER_NOTED, MW_KEEPER_ENDED };

/* Keeper to memwhy: the first when the program runs or cannot, the last when all is
 * put back. */
struct mw_keeper_report {
	enum mw_keeper_word word;
	int errnum;
	pid_t pid;  /* STARTED: the program */
	int status; /* ENDED: as wait() gave it, -1 when the keeper ended it */
};

struct mw_keeper {
	const char *path;
	char *const *args;
	int sock;    /* to memwhy */
	int out, in; /* the program's ends */
	/* Its own: */
	int sigs;
	pid_t self, program; /* 0: it was reaped */
	int status;
	struct mw_undo_order *undos;
	size_t n_undos;
};

/* The keeper's whole life; entered with all signals blocked. */
_Noreturn void mw_keeper_run(struct mw_keeper *k);

/* Forks and executes the program. 0 or errno. */
int mw_keeper_start(struct mw_keeper *k);

/* Ends and reaps everything below the keeper. */
void mw_keeper_kill_all(struct mw_keeper *k);

/* Does what was promised, last promise first. */
void mw_keeper_undo(const struct mw_keeper *k);
