/* SPDX-License-Identifier: MIT */
/*
 * What each piece of an address space is: regions split into segments with a class each.
 * Reads more of the target where a class can only be proved by its own headers (always
 * through the snapshot's source).
 */
#pragma once

#include <memwhy/heap.h>

/*
 * What a piece of the address space is. The key of each ("lib.text", "heap.arena") is
 * what JSON shows and --class takes; docs/formats.md lists them.
 */
enum mw_class {
	MW_CLASS_UNKNOWN,
	/* Parts of ELF objects. Five kinds for each of executable, library, loader. */
	MW_CLASS_EXE_TEXT,
	MW_CLASS_EXE_RODATA, /* and headers, notes, unwind tables: all read-only */
	MW_CLASS_EXE_RELRO,
	MW_CLASS_EXE_DATA,
	MW_CLASS_EXE_BSS,
	MW_CLASS_LIB_TEXT,
	MW_CLASS_LIB_RODATA,
	MW_CLASS_LIB_RELRO,
	MW_CLASS_LIB_DATA,
	MW_CLASS_LIB_BSS,
	MW_CLASS_LOADER_TEXT,
	MW_CLASS_LOADER_RODATA,
	MW_CLASS_LOADER_RELRO,
	MW_CLASS_LOADER_DATA,
	MW_CLASS_LOADER_BSS,
	/* Heaps of C allocators. */
	MW_CLASS_HEAP_BRK,
	MW_CLASS_HEAP_ARENA,         /* glibc thread arena, committed part */
	MW_CLASS_HEAP_ARENA_RESERVE, /* its inaccessible rest */
	MW_CLASS_HEAP_MMAP,          /* a block malloc gave its own mapping */
	MW_CLASS_HEAP_JEMALLOC,
	MW_CLASS_HEAP_TCMALLOC,
	MW_CLASS_HEAP_MIMALLOC,
	MW_CLASS_HEAP_MUSL,
	MW_CLASS_HEAP_PARTITION, /* Chromium's */
	/* Stacks and threads. */
	MW_CLASS_STACK_MAIN,
	MW_CLASS_STACK_ARGS, /* arguments, environment, auxiliary vector */
	MW_CLASS_STACK_THREAD,
	MW_CLASS_STACK_SIGNAL, /* alternate signal stack */
	MW_CLASS_TLS,          /* TCB and static TLS */
	MW_CLASS_GUARD,
	/* Shared memory. */
	MW_CLASS_SHM_SYSV,
	MW_CLASS_SHM_POSIX,
	MW_CLASS_SHM_MEMFD,
	MW_CLASS_SHM_ANON,
	MW_CLASS_SHM_TMPFS,
	MW_CLASS_HUGETLB,
	/* Language runtimes. */
	MW_CLASS_JIT,
	MW_CLASS_JVM_HEAP,
	MW_CLASS_JVM_CODE,
	MW_CLASS_JVM_METASPACE,
	MW_CLASS_JVM_CDS,
	MW_CLASS_JVM_OTHER, /* GC and card tables, compiler arenas: not told apart */
	MW_CLASS_V8_HEAP,
	MW_CLASS_V8_CODE,
	MW_CLASS_GO_HEAP,
	MW_CLASS_GO_RUNTIME,
	MW_CLASS_PYTHON_ARENA,
	/* Kernel objects. */
	MW_CLASS_IO_URING,
	MW_CLASS_PERF,
	MW_CLASS_AIO,
	MW_CLASS_SECRETMEM,
	MW_CLASS_DEVICE,
	MW_CLASS_VDSO,
	MW_CLASS_VVAR,
	MW_CLASS_VSYSCALL,
	MW_CLASS_UPROBES,
	/* Files that are not programs. */
	MW_CLASS_FILE_LOCALE,
	MW_CLASS_FILE_GCONV,
	MW_CLASS_FILE_FONT,
	MW_CLASS_FILE_ICU,
	MW_CLASS_FILE_JAR,
	MW_CLASS_FILE_DB,
	MW_CLASS_FILE_OTHER,
	/* Anonymous memory. */
	MW_CLASS_NAMED,    /* the program named it: [anon:…] */
	MW_CLASS_RESERVED, /* inaccessible address space, nothing in it */
	MW_CLASS_COUNT,
};

enum mw_confidence {
	MW_GUESS,   /* it fits, and nothing better does */
	MW_LIKELY,  /* a heuristic known to err */
	MW_CERTAIN, /* proved by the kernel's word or a verified structure */
};

const char *mw_class_key(enum mw_class class);   /* "heap.arena" */
const char *mw_class_title(enum mw_class class); /* "glibc thread arena" */
bool mw_class_from_key(const char *key, enum mw_class *ret) MW_MUST_USE;
const char *mw_confidence_name(enum mw_confidence confidence); /* "certain" */

/* A piece of one region that is one thing. Segments tile every region completely. */
struct mw_segment {
	uint64_t start, end;
	size_t region; /* index into mw_snapshot_regions() */
	enum mw_class class;
	enum mw_confidence confidence;
	const char *name;     /* object path, "thread 4243 (worker)", "[anon:x]"; "" */
	const char *evidence; /* what was seen, one phrase: "heap_info at 7f…: …" */
	pid_t tid;            /* of stacks, TLS, their guards; else 0 */
	struct mw_counts counts;
};

struct mw_layout; /* owns its strings; the snapshot must outlive it */

/*
 * Splits and classifies every region. Fails only when memory is short: whatever else
 * goes wrong leaves weaker classes and a gap. `heap`: walked of this snapshot, or NULL.
 */
struct mw_err *mw_classify(const struct mw_snapshot *snap, const struct mw_heap *heap,
			   struct mw_layout **ret) MW_MUST_USE;
void mw_layout_free(struct mw_layout *layout);
const struct mw_segment *mw_layout_segments(const struct mw_layout *layout, size_t *n);

/* The index of the first segment that ends above `addr`; their number when none does. */
size_t mw_layout_from(const struct mw_layout *layout, uint64_t addr);
const struct mw_gap *mw_layout_gaps(const struct mw_layout *layout, size_t *n);

static inline void mw_layout_auto_free(struct mw_layout **layout)
{
	mw_layout_free(*layout);
}
#define mw_auto_layout __attribute__((cleanup(mw_layout_auto_free))) struct mw_layout *
