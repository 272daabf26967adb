/* SPDX-License-Identifier: MIT */
/*
 * leaky: one process with blocks of many kinds, 200 of each, that are leaked, or only
 * look as if they were, or as if they were not. See leaky.c for what it prints.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { N_OBJECTS = 200 };

enum truth {
	LEAKED,    /* the program cannot get at it any more */
	REACHABLE, /* it can, through a plain pointer somewhere in its memory or registers
		    */
	HIDDEN,    /* it can, and no word of its memory or registers is a pointer to it */
};

struct kind {
	const char *name;
	enum truth truth;
	void (*plant)(void); /* allocates N_OBJECTS by object() */
};

/* End with a NULL name. */
extern const struct kind kinds_lost[], kinds_memory[], kinds_kernel[];

/* A new block of the size that only this kind has; filled with what is no pointer. */
void *object(void);
size_t object_size(void);
/* As objects(), linked through their first words; the first of them. */
void *object_list(void);
/* Overwrites dead stack frames, so that no pointer stays there by chance. */
void scrub(void);
void must(int ok, const char *what);
void *map_pages(size_t len, int prot, int flags);
/* Starts a thread that never ends; returns when `flag` has been set by it. */
void start_thread(void *(*run)(void *), volatile int *flag);
/* Starts a thread and waits until it has ended. */
void run_thread(void *(*run)(void *));
/* Sleeps for ever. */
void park(void) __attribute__((noreturn));

/* main() plants these two itself, as they must be in its own frame. */
void plant_in_frame(void **frame);
