/* SPDX-License-Identifier: MIT */
/*
 * Programs that fill malloc by a pattern and know to the byte what is in it: see
 * pattern.c. They share no code with memwhy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { KIB = 1024, MIB = 1024 * 1024, N_SLOTS = 1 << 20, PAGE = 4096 };

/* --- tally.c: every block there is, whoever asked for it ---------------------------- */

struct tally {
	long blocks, bytes, mapped_blocks, mapped_bytes; /* usable bytes */
};

/* All blocks of the malloc that the program is linked to, libc's own ones too. */
struct tally tally_now(void);

/* A second libc, opened by dlmopen(); its calls, and what was counted at them. */
struct other_libc {
	void *(*malloc)(size_t);
	void (*free)(void *);
	size_t (*usable)(void *);
	int (*trim)(size_t);
	int (*info)(int, FILE *);
	int (*flush)(FILE *);
	FILE *file; /* for its malloc_info */
	struct tally tally;
};

/* Counts a block of the other libc in or (sign -1) out. */
void other_count(struct other_libc *libc, void *block, int sign);

/* --- pattern.c ---------------------------------------------------------------------- */

extern void *slots[N_SLOTS]; /* what the program keeps; in .bss, not on the heap */
extern struct other_libc other;
extern long foreign; /* bytes that somebody else took from sbrk() */

/* A block, all of it written; in the slot, which was empty. */
void keep(size_t slot, size_t bytes);
/* As keep(), but only one byte in each page is written. */
void keep_sparse(size_t slot, size_t bytes);
/* Frees what is in the slot, if anything. */
void drop(size_t slot);
/* Keeps what somebody else allocated. */
void keep_block(size_t slot, void *block, size_t bytes);

/* xorshift64: the same sequence on every libc. */
uint64_t next_random(uint64_t *state);

/* Prints one line with one write(); allocates nothing. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must(int ok, const char *what);
void *map_anon(size_t len, int prot);
/* A file that no block belongs to but the FILE itself. */
FILE *open_quiet(char *buffer, size_t len);

/* Brings all code into memory: what a later call brings in is Rss, too. */
void touch_code(void);

/* --- threads.c ---------------------------------------------------------------------- */

struct job {
	unsigned at;      /* 0, 1, … */
	size_t slot, end; /* its own slots */
	uint64_t random;
	uint64_t arg;
};

/* Runs n jobs each in a thread of its own; they stay, parked, when all are done. */
void run_threads(unsigned n, size_t slots_each, uint64_t arg, void (*run)(struct job *));
/* As run_threads(), but all of them have ended and are joined when it returns. */
void run_and_join(unsigned n, size_t slots_each, uint64_t arg, void (*run)(struct job *));
unsigned parked_threads(void);
/* Makes every parked thread allocate and free its slots until calm() is called. */
void stir(void);
void calm(void);
/* One random step of allocating or freeing within [slot, end). */
void churn_once(uint64_t *random, size_t slot, size_t end);

/* --- patterns.c --------------------------------------------------------------------- */

struct pattern {
	const char *name;
	void (*fill)(void);
};
extern const struct pattern patterns[]; /* ends with a NULL name */
