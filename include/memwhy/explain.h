/* SPDX-License-Identifier: MIT */
/*
 * What a snapshot means: regions split into segments with a class each, resident
 * bytes partitioned by cause, and findings. Reads more of the target where a class can
 * only be proved by its own headers (always through the snapshot's source).
 *
 * The interior of heaps is walked elsewhere (heap.h). Who has that result hands it in:
 * classes get certain, and the heap's bytes fall into live and kept.
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
	MW_CLASS_EXE_RODATA, /* and headers, notes, unwind tables: all that is read only */
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

/* Why bytes are resident: coarser than classes, one row of the account each. */
struct mw_bucket {
	const char *cause; /* stable key: "heap", "libraries", "thread-stacks" */
	const char *title; /* for people: "thread stacks and TLS (68)" */
	uint64_t bytes;    /* resident */
	/* UINT64_MAX: not known; else their sum is bytes. */
	uint64_t private_bytes, shared_bytes;
	uint64_t swap; /* UINT64_MAX: not known */
	size_t n;      /* segments */
};

/* Memory the process costs that Rss does not contain. */
struct mw_outside {
	/* "page-tables", "swap", "hugetlb", "kernel-stacks", …; the same for people */
	const char *cause, *title;
	uint64_t bytes;  /* UINT64_MAX: could not be read; a gap says why */
	const char *how; /* where the figure is from: "status VmPTE" */
};

struct mw_account {
	uint64_t rss;  /* sum of buckets and rest */
	uint64_t rest; /* resident, but of class UNKNOWN: nobody knows what it is */
	const struct mw_bucket *buckets; /* by bytes, descending */
	size_t n_buckets;
	const struct mw_outside *outside;
	size_t n_outside;
};

/* A claim with its evidence. */
struct mw_finding {
	const char *id;       /* stable: "thread-stacks", "deleted-files" */
	const char *claim;    /* one or two sentences */
	const char *evidence; /* figures and where they were read */
	const char *next;     /* the exact command that goes deeper, or "" */
	enum mw_confidence confidence;
	uint64_t bytes; /* what it is about; findings are ordered by it */
};

/* The whole answer to "why is its memory this big?". Owns everything inside. */
struct mw_explanation {
	const struct mw_snapshot *snap; /* borrowed */
	const struct mw_heap *heap;     /* borrowed; NULL: it was not walked */
	const struct mw_layout *layout; /* owned */
	const char *headline;           /* one sentence */
	struct mw_account account;
	const struct mw_finding *findings;
	size_t n_findings;
	const struct mw_gap *gaps; /* of snapshot, layout, account and rules together */
	size_t n_gaps;
};

/*
 * Classifies, accounts and applies the rules. `heap` is what was walked of this snapshot,
 * or NULL. Both must outlive the result.
 */
struct mw_err *mw_explain(const struct mw_snapshot *snap, const struct mw_heap *heap,
			  struct mw_explanation **ret) MW_MUST_USE;
void mw_explanation_free(struct mw_explanation *ex);

static inline void mw_layout_auto_free(struct mw_layout **layout)
{
	mw_layout_free(*layout);
}
#define mw_auto_layout __attribute__((cleanup(mw_layout_auto_free))) struct mw_layout *

static inline void mw_explanation_auto_free(struct mw_explanation **ex)
{
	mw_explanation_free(*ex);
}
#define mw_auto_explanation \
	__attribute__((cleanup(mw_explanation_auto_free))) struct mw_explanation *
