/* SPDX-License-Identifier: MIT */
/*
 * The zoo: one process that puts every class of memory it can into itself, prints the
 * truth about each, and waits to be looked at. It shares no code with memwhy: what it
 * says comes from the calls it made itself.
 *
 * A line is a word and key=value pairs:
 *   range class=K what=W start=0x… end=0x… [rss=N]   every byte in it is of class K
 *   thread tid=N name=S stack=0x… end=0x… guard=N    the whole block, guard included
 *   outside cause=K bytes=N                          memory that Rss does not hold
 *   skip what=W why=S                                this machine cannot have it
 *   ready                                            nothing changes from here on
 * A class may be a list, "a|b", where the truth has two right names.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { ZOO_PAGE = 4096, ZOO_KIB = 1024, ZOO_MIB = 1024 * 1024 };

/* Prints the truth about [start, start + len). */
void zoo_range(const char *class, const char *what, const void *start, size_t len);

/* As zoo_range(), and how many of its bytes are in Rss. */
void zoo_range_rss(const char *class, const char *what, const void *start, size_t len,
		   size_t rss);

/* The truth about the one byte at `addr`. */
void zoo_at(const char *class, const char *what, const void *addr);

/* Prints that `what` cannot be had here, because of errno. */
void zoo_skip(const char *what);

/* As zoo_skip(), with a reason in words (no blanks). */
void zoo_skip_why(const char *what, const char *why);

/* Prints memory the process costs outside Rss. */
void zoo_outside(const char *cause, size_t bytes);

/* Prints a range for the first mapping whose line in maps ends in or holds `name`. */
void zoo_range_named(const char *class, const char *what, const char *name);

/* The number a file holds, or -1. */
long zoo_read_number(const char *path);

/* Splits a line of maps; 0 when it is none. */
int zoo_parse_maps(const char *line, uintptr_t *start, uintptr_t *end, uintptr_t *offset);

/* mmap or die; never merged with a neighbour: an inaccessible page lies on each side. */
void *zoo_map(size_t len, int prot, int flags, int fd);

/* Writes a byte into every page. */
void zoo_touch(void *start, size_t len);

/* Ends the program with a message when a call that cannot fail did. */
void zoo_must(int ok, const char *what);

/* Makes a directory below $TMPDIR that is removed when the zoo ends. */
char *zoo_make_dir(const char *name);

/* Removes `path` when the zoo ends. Keeps the pointer. */
void zoo_remove_at_exit(char *path);

/* The exhibits. Each prints its own truth. */
void zoo_objects(void); /* parts of executable, library and loader */
void zoo_heaps(void);   /* brk, malloc's own mappings */
void zoo_stacks(int argc, char **argv);
void zoo_threads(void); /* stacks, TLS, guards, arenas, signal stacks; they run on */
void zoo_shared(void);  /* shared memory of each kind */
void zoo_files(const char *dir);
void zoo_anon(void);        /* zero page, LazyFree, locked, huge, reserved, guards, JIT */
void zoo_kernel(void);      /* rings, secret memory, vdso, uprobes */
void zoo_arena_truth(void); /* last: arenas as they are when all is quiet */
