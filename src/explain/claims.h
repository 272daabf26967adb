/* SPDX-License-Identifier: MIT */
/*
 * How segments are made. Each classifier looks at the snapshot and makes claims: "this
 * range is that, because". A region's plain reading (name, permissions) is the ground;
 * claims lie on top, the one of higher rank wins where they overlap, and what remains
 * of a region keeps its plain reading. The driver is classify.c.
 */
#pragma once

#include "base/arena.h"
#include <memwhy/explain.h>

struct mw_claim {
	uint64_t start, end;
	enum mw_class class;
	enum mw_confidence confidence;
	unsigned rank;        /* higher wins; the later of equals */
	const char *name;     /* in the arena, static, or of the snapshot */
	const char *evidence; /* likewise */
	pid_t tid;
};

/* Ranks, low to high. */
enum {
	MW_RANK_GROUND,
	MW_RANK_RUNTIME_GUESS, /* "the rest of this process is a JVM's" */
	MW_RANK_SHAPE,         /* looks like it: alignment, neighbours */
	MW_RANK_HEADER,        /* a structure at its start was verified */
	MW_RANK_ELF,           /* program headers */
	MW_RANK_THREAD,        /* a verified thread descriptor */
	MW_RANK_KERNEL,        /* the kernel says so */
};

struct mw_classify;

/* Everything a classifier may look at. */
const struct mw_snapshot *mw_classify_snapshot(const struct mw_classify *cx);
struct mw_arena *mw_classify_arena(struct mw_classify *cx);

/* The heap as it was walked before, or NULL. */
const struct mw_heap *mw_classify_walked(const struct mw_classify *cx);

/* Makes a claim; ranges outside all regions are cut away. NOMEM only. */
struct mw_err *mw_claim(struct mw_classify *cx, const struct mw_claim *claim) MW_MUST_USE;

/* Notes that something could not be read; the strings are copied. NOMEM only. */
struct mw_err *mw_classify_gap(struct mw_classify *cx, const char *what, const char *why,
			       const char *remedy) MW_MUST_USE;

/* What classifiers find out for each other. */
struct mw_seen {
	bool jvm, v8, go, python, jemalloc, tcmalloc, mimalloc, musl, glibc;
	uint64_t loader_base; /* AT_BASE, 0: static */
	uint64_t exe_dev, exe_ino;
	uint64_t tls_len; /* static TLS of all objects, rounded up; without the TCB */
};
struct mw_seen *mw_classify_seen(struct mw_classify *cx);

/* True when these bytes of target memory could be read completely. */
bool mw_peek(struct mw_classify *cx, uint64_t addr, void *bytes, size_t len);

/* A classifier: makes claims; returns only NOMEM. Listed in order in classify.c. */
typedef struct mw_err *mw_classifier_fn(struct mw_classify *cx);

mw_classifier_fn mw_classify_elf;        /* objects and their parts; fills seen */
mw_classifier_fn mw_classify_threads;    /* stacks, TLS, guards */
mw_classifier_fn mw_classify_stack;      /* main stack, arguments, environment */
mw_classifier_fn mw_classify_glibc;      /* brk heap, arenas, mmapped blocks */
mw_classifier_fn mw_classify_memfd;      /* code in memfds */
mw_classifier_fn mw_classify_allocators; /* jemalloc, tcmalloc, mimalloc, musl */
mw_classifier_fn mw_classify_jvm;
mw_classifier_fn mw_classify_v8;
mw_classifier_fn mw_classify_go;
mw_classifier_fn mw_classify_python;
mw_classifier_fn mw_classify_heap; /* areas of the walked heap */

/* The ground: a region's class from its name, permissions and flags alone. Pure. */
void mw_classify_ground(const struct mw_region *region, struct mw_claim *ret);
