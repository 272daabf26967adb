/* SPDX-License-Identifier: MIT */
/*
 * A source is where facts about processes come from: this machine's kernel, a
 * recorded tree, or a wrapper around another source (one records, one fails on
 * purpose in tests). It is asked by meaning, never by path, because a page map
 * cannot be recorded as a file (256 GiB, sparse) and because a recording made on a
 * machine with 64 KiB pages must replay here.
 *
 * It is not a cache and interprets nothing: parsing is src/procfs, sense is made of
 * the answers in src/model and above.
 *
 * Errors of every reading function: DENIED, GONE (the process ended), NOTFOUND (no
 * such pid, file or mapping), UNSUPPORTED (this kernel or this recording does not
 * have it), IO, FORMAT (a broken recording), NOMEM.
 *
 * Kernel documents: Documentation/filesystems/proc.rst, admin-guide/mm/pagemap.rst;
 * man pages proc(5), ptrace(2), get_robust_list(2).
 */
#pragma once

#include <memwhy/err.h>
#include <memwhy/features.h>
#include <memwhy/files.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mw_buf;
struct mw_source;

/* Bits of mw_page_range.categories: PAGEMAP_SCAN's own values (linux/fs.h, 6.7). */
enum {
	MW_SCAN_WPALLOWED = 1 << 0,
	MW_SCAN_WRITTEN = 1 << 1,
	MW_SCAN_FILE = 1 << 2,
	MW_SCAN_PRESENT = 1 << 3,
	MW_SCAN_SWAPPED = 1 << 4,
	MW_SCAN_PFNZERO = 1 << 5,
	MW_SCAN_HUGE = 1 << 6,
	MW_SCAN_SOFT_DIRTY = 1 << 7,
	MW_SCAN_GUARD = 1 << 8,
};

struct mw_page_range {
	uint64_t start, end;
	uint64_t categories;
};

struct mw_page_ranges {
	struct mw_page_range *items;
	size_t n, cap;
};

/* Process or thread ids. */
struct mw_ids {
	pid_t *items;
	size_t n, cap;
};

/* An open file of a process that is memory: memfd, tmpfs, hugetlbfs, SysV. */
struct mw_fd {
	int fd;
	uint64_t dev, ino;
	uint64_t bytes; /* allocated: st_blocks * 512 */
	char *target;   /* the link's text; owned by the mw_fds */
};

struct mw_fds {
	struct mw_fd *items;
	size_t n, cap;
};

/* Names a mapped file: the mapping it was seen in, and its identity. */
struct mw_object {
	uint64_t start, end; /* of one mapping of it */
	uint64_t dev, ino;   /* as printed in maps: dev = major << 20 | minor */
	const char *path;    /* as printed in maps, unescaped */
};

/* Why memory is read, which decides whether a recording keeps it. */
enum mw_purpose {
	MW_READ_STRUCT,   /* headers of allocators, runtimes, threads: always kept */
	MW_READ_CONTENTS, /* the program's own data: kept only on request */
};

enum mw_kpage {
	MW_KPAGE_COUNT,  /* how many times the frame is mapped */
	MW_KPAGE_FLAGS,  /* bits of linux/kernel-page-flags.h */
	MW_KPAGE_CGROUP, /* inode number of the memory cgroup it is charged to; 0: none */
	MW_KPAGE_KINDS,
};

/* Its file below /proc: "kpagecount". */
const char *mw_kpage_name(enum mw_kpage which);

/* What holds for the whole source. */
struct mw_facts {
	uint64_t page_size;
	uint64_t clock_ticks; /* per second, of the times in stat */
	uint64_t booted_ns;   /* wall clock when the machine booted; 0: unknown */
	bool live;            /* the answers may change between two calls */
	bool core;            /* a core file: what was dumped, no word on residency */
	bool parallel;        /* read_pagemap may be called from several threads */
	const char *release;  /* the kernel's, "" when unknown; owned by the source */
	const char *root;     /* a recording's directory, as it was given; else NULL */
	const char *core_path, *core_exe; /* a core's, as they were given; else NULL */
	uint64_t core_lost; /* bytes that were dumped and are not in the file any more */
};

/* Opens this machine. */
struct mw_err *mw_source_open_live(struct mw_source **ret) MW_MUST_USE;

/* Opens a tree written by `memwhy capture`; the format is in docs/trees.md. */
struct mw_err *mw_source_open_tree(const char *dir, struct mw_source **ret) MW_MUST_USE;

/*
 * Opens a core file, the kernel's or gcore's. `exe` is the program it is of (NULL: where
 * the core says it was); objects are read where the core names them, and only when
 * their build id is the one in the core. "Present" is what was dumped. FORMAT when it is
 * no core; what a truncated one lacks is absent.
 */
struct mw_err *mw_source_open_core(const char *path, const char *exe,
				   struct mw_source **ret) MW_MUST_USE;

/* What a recording keeps beyond facts and structures. */
struct mw_tee_opts {
	bool memory; /* contents, MW_READ_CONTENTS */
	bool scrub;  /* replaces names and paths by made-up ones */
};

/*
 * Wraps `inner` (borrowed, must outlive the tee): answers as it does and records
 * every answer, errors too. Nothing is written before mw_source_save().
 */
struct mw_err *mw_source_open_tee(struct mw_source *inner, const struct mw_tee_opts *opts,
				  struct mw_source **ret) MW_MUST_USE;

/* Writes what a tee recorded into a new directory; it must not exist or be empty. */
struct mw_err *mw_source_save(struct mw_source *tee, const char *dir) MW_MUST_USE;

/*
 * Readings that only strengthen an answer (headers of heaps, threads and objects) fail
 * without failing what they are for. A source remembers the first failure of each
 * kind, so that the answer can say what it rests on.
 */
struct mw_refusal {
	const char *what; /* "target memory", "mapped files", … */
	const char *why;  /* the first error's message */
	enum mw_errc code;
	size_t n; /* how often it failed */
};

/* What failed since the last mw_source_forget_refusals(); `ret` has n entries. */
const struct mw_refusal *mw_source_refusals(const struct mw_source *src, size_t *n);
void mw_source_forget_refusals(struct mw_source *src);

/* Closes a source, and ends a stop that is still held. NULL is fine. */
void mw_source_close(struct mw_source *src);

/* Never NULL; lives as long as the source. */
const struct mw_facts *mw_source_facts(struct mw_source *src);

/* Appends a file's bytes to `out`. tid 0: the process; pid 0: the machine's files. */
struct mw_err *mw_source_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				   enum mw_file file, struct mw_buf *out) MW_MUST_USE;

/*
 * Gives a long text file of a process piece by piece, so that it never lies in memory
 * whole. `take` says how much of the piece it used; the rest comes again with more
 * behind it, and after `last` nothing comes. Its errors end the reading.
 */
struct mw_err *mw_source_stream_text(struct mw_source *src, pid_t pid, enum mw_file file,
				     struct mw_err *(*take)(void *ctx, const char *text,
							    size_t len, bool last,
							    size_t *used),
				     void *ctx) MW_MUST_USE;

/* Appends the target of /proc/PID/exe. */
struct mw_err *mw_source_read_exe(struct mw_source *src, pid_t pid,
				  struct mw_buf *out) MW_MUST_USE;

/* Appends process ids (pid 0) or the thread ids of `pid`, ascending. */
struct mw_err *mw_source_list(struct mw_source *src, pid_t pid,
			      struct mw_ids *out) MW_MUST_USE;

/* Appends the open files of `pid` that are memory. */
struct mw_err *mw_source_list_fds(struct mw_source *src, pid_t pid,
				  struct mw_fds *out) MW_MUST_USE;
void mw_fds_deinit(struct mw_fds *fds);

/*
 * Appends the page ranges in [start, end) that are present, swapped or guards, with
 * their categories, ascending, never overlapping. FILE, WRITTEN and WPALLOWED are not
 * asked for: they are dear, and pagemap tells. The target's mmap lock is held for a
 * bounded number of pages at a time.
 */
struct mw_err *mw_source_scan(struct mw_source *src, pid_t pid, uint64_t start,
			      uint64_t end, struct mw_page_ranges *out) MW_MUST_USE;

/*
 * Reads n_pages words of pagemap from page address `addr` on. A word for an address
 * no mapping covers is 0. Bits: admin-guide/mm/pagemap.rst.
 */
struct mw_err *mw_source_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				      size_t n_pages, uint64_t *ret) MW_MUST_USE;

/* Reads the words of n frames from `pfn` on. */
struct mw_err *mw_source_read_kpage(struct mw_source *src, enum mw_kpage which,
				    uint64_t pfn, size_t n, uint64_t *ret) MW_MUST_USE;

/*
 * Reads up to `len` bytes of the target's memory through /proc/PID/mem (which, unlike
 * process_vm_readv, does not un-share copy-on-write pages). *got may be short where a
 * mapping ends; NOTFOUND when nothing is mapped at `addr`.
 */
struct mw_err *mw_source_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				     void *bytes, size_t len, enum mw_purpose purpose,
				     size_t *got) MW_MUST_USE;

/*
 * The same, of pages that the caller knows to be of this process alone
 * (MW_PAGE_EXCLUSIVE) while it stands still: there process_vm_readv() is faster and does
 * no harm.
 */
struct mw_err *mw_source_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
				      void *bytes, size_t len, enum mw_purpose purpose,
				      size_t *got) MW_MUST_USE;

/* Counts the bytes that are zero in the page at `addr`, which must be present. */
struct mw_err *mw_source_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				    uint64_t *ret) MW_MUST_USE;

/* The head of the thread's robust mutex list: an address inside its pthread block. */
struct mw_err *mw_source_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				     uint64_t *ret) MW_MUST_USE;

/* Reads up to `len` bytes of a mapped file, deleted or not, from offset `off`. */
struct mw_err *mw_source_read_object(struct mw_source *src, pid_t pid,
				     const struct mw_object *obj, uint64_t off,
				     void *bytes, size_t len, size_t *got) MW_MUST_USE;

/* Whether the kernel (or memwhy's own credentials) has a feature. */
struct mw_err *mw_source_probe(struct mw_source *src, enum mw_feature feature,
			       bool *ret) MW_MUST_USE;

static inline void mw_source_auto_close(struct mw_source **src)
{
	mw_source_close(*src);
}
#define mw_auto_source __attribute__((cleanup(mw_source_auto_close))) struct mw_source *
