/* SPDX-License-Identifier: MIT */
/*
 * The heap from outside: what the allocators of a process use, keep and waste, learned
 * by walking their own structures in its memory. Nothing runs in the target.
 *
 * An allocator is walked (every block known), counted (its own totals are believed, and
 * it is said so) or only recognised. What a walk could not follow is `unknown`, never
 * guessed; `checks` say what was compared with what.
 *
 * Words, as in malloc(3) and glibc's malloc/malloc.c: a block is what malloc() returned,
 * a chunk is the block with its header, an arena is one independent heap. Bytes of blocks
 * are usable bytes (malloc_usable_size), bytes of free chunks include their headers; so
 * in an arena  live + tcache + fast + bins + top + overhead + unknown == system.
 */
#pragma once

#include <memwhy/hold.h>
#include <memwhy/snapshot.h>

struct mw_blocks {
	uint64_t n, bytes;
};

/* What the allocator keeps: free chunks, cached blocks, top. */
struct mw_kept {
	uint64_t bytes;
	/* Resident bytes among them; the three below partition it. All UINT64_MAX where
	 * the snapshot does not know what is resident (no page runs; a core). */
	uint64_t resident;
	uint64_t trimmable;   /* whole pages that malloc_trim(0) would give back */
	uint64_t pinned;      /* on pages that also hold live blocks or headers */
	uint64_t untrimmable; /* whole free pages that malloc_trim() leaves: tcache, tops
				 of thread arenas */
};

/* Live blocks of one size that share pages with kept bytes. */
struct mw_heap_pin {
	uint64_t size; /* usable bytes of such a block (the largest of its size class) */
	uint64_t blocks; /* that lie on such pages */
	uint64_t bytes;  /* kept resident bytes they pin; shared pages split among them */
	uint64_t sample; /* one of them */
	unsigned char head[32]; /* what it begins with; zeros where not readable */
};

/* One class of block sizes: usable bytes above the class before, up to `size`. */
struct mw_heap_size {
	uint64_t size;
	struct mw_blocks live;
	struct mw_blocks kept; /* free chunks, cached blocks; bytes with headers */
};

struct mw_heap_arena {
	uint64_t address;
	const char *name;  /* "main", "thread", or what the allocator calls it */
	bool main, locked; /* locked: its mutex was held while it was read */
	unsigned threads;  /* attached */
	unsigned heaps;    /* contiguous pieces */
	uint64_t system;   /* bytes it has from the kernel, by its own word */
	struct mw_blocks live, tcache, fast, bins;
	uint64_t top;
	uint64_t overhead; /* headers, fences, the allocator's own structures */
	uint64_t unknown;  /* not understood, or not readable */
	struct mw_kept free;
	const struct mw_heap_pin *pins; /* by bytes, descending; at most 16 */
	size_t n_pins;
	struct mw_blocks pinning; /* all live blocks that pin; their usable bytes */
};

/* Which thread uses which arena, and what its cache holds. */
struct mw_heap_thread {
	pid_t tid;
	uint64_t arena;  /* 0: none yet, or not known */
	uint64_t tcache; /* its structure; 0: none */
	struct mw_blocks cached;
};

/* glibc's settings and counters, struct malloc_par; as now in force. */
struct mw_malloc_params {
	bool known;
	uint64_t trim_threshold, top_pad, mmap_threshold;
	bool dynamic; /* mmap_threshold still follows freed blocks (no_dyn_threshold 0) */
	uint64_t arena_max; /* 0: by cores */
	uint64_t hp_pagesize, thp_pagesize;
	uint64_t tcache_bins, tcache_max_bytes, tcache_count;
	uint64_t n_mmaps, mmapped_mem;
};

/* Something that had to be equal. */
struct mw_check {
	const char *name; /* "arena 0x7f…: chunks sum to system_mem" */
	bool ok;
	uint64_t expected, found;
};

enum mw_depth {
	MW_HEAP_RECOGNISED, /* it is there; nothing inside was read */
	MW_HEAP_COUNTED,    /* its own counters, not verified block by block */
	MW_HEAP_WALKED,     /* every block */
};

struct mw_allocator {
	const char *name;    /* "glibc", "jemalloc", "pymalloc", "v8", … */
	const char *version; /* "" not known */
	const char *object;  /* path of the file it is in, "" not known */
	enum mw_depth depth;
	const char *note;      /* a sentence on what this rests on or lacks, or "" */
	uint64_t system;       /* bytes from the kernel */
	struct mw_blocks live; /* also the mmapped ones */
	struct mw_blocks tcache;
	struct mw_blocks mmapped; /* blocks with a mapping of their own */
	uint64_t overhead, unknown;
	struct mw_kept free;
	const struct mw_heap_arena *arenas;
	size_t n_arenas;
	const struct mw_heap_size *sizes; /* ascending, without empty ones */
	size_t n_sizes;
	const struct mw_heap_thread *threads;
	size_t n_threads;
	const struct mw_check *checks;
	size_t n_checks;
	struct mw_malloc_params params;
	bool nested; /* its memory lies in blocks of another allocator: not counted twice
		      */
};

/* What resident heap bytes are. */
enum mw_use {
	MW_USE_LIVE,
	MW_USE_TRIMMABLE,
	MW_USE_PINNED,
	MW_USE_UNTRIMMABLE,
	MW_USE_OVERHEAD,
	MW_USE_UNKNOWN,
	MW_USE_COUNT,
};

enum mw_area_kind {
	MW_AREA_MAIN,  /* of glibc's main arena: brk, or mappings where brk is blocked */
	MW_AREA_ARENA, /* a heap of a thread arena, committed part */
	MW_AREA_MMAPPED, /* one block with its own mapping */
	MW_AREA_OTHER,   /* of another allocator */
};

/* A range that an allocator has from the kernel. Whole pages; areas never overlap. */
struct mw_heap_area {
	uint64_t start, end;
	enum mw_area_kind kind;
	size_t allocator; /* index */
	uint64_t arena;   /* address; 0: none */
	/* Resident bytes by use; the first row sums to the area's Rss, the second is what
	 * of it lies on pages of this process alone. All zero where `split` is false. */
	bool split;
	uint64_t resident[MW_USE_COUNT];
	uint64_t exclusive[MW_USE_COUNT];
};

struct mw_heap {
	const struct mw_snapshot *snap; /* borrowed */
	const struct mw_allocator *allocators;
	size_t n_allocators;
	const struct mw_heap_area *areas; /* ascending */
	size_t n_areas;
	const struct mw_gap *gaps;
	size_t n_gaps;
	bool settled; /* every check held: no need to look again, or at a stopped target
		       */
	bool locked;  /* an arena was locked by a thread */
};

/* Live blocks as they are met, for who wants more than sums. */
struct mw_block {
	uint64_t addr, len; /* usable bytes */
};

struct mw_block_sink {
	void *ctx;
	/* A new piece of heap, ascending within an allocator; its blocks follow. */
	struct mw_err *(*area)(void *ctx, const struct mw_heap_area *area);
	/* Live blocks, ascending, all of the last area. */
	struct mw_err *(*blocks)(void *ctx, const struct mw_block *blocks, size_t n);
};

struct mw_heap_opts {
	bool still; /* the target does not run: stopped, a forked copy, a recording */
	const struct mw_registers_list *registers; /* or NULL */
	const struct mw_block_sink *sink;          /* or NULL */
};

/*
 * Walks every allocator found. The snapshot must be of the pages engine to tell what is
 * resident, and have threads (MW_WANT_THREADS). Fails when memory is short, the process
 * is gone, or the sink fails; whatever else goes wrong is in checks, `unknown` and gaps.
 */
struct mw_err *mw_heap_take(const struct mw_snapshot *snap,
			    const struct mw_heap_opts *opts,
			    struct mw_heap **ret) MW_MUST_USE;
void mw_heap_free(struct mw_heap *heap);

/* For JSON and tables: "walked", … */
const char *mw_depth_name(enum mw_depth depth);

static inline void mw_heap_auto_free(struct mw_heap **heap)
{
	mw_heap_free(*heap);
}
#define mw_auto_heap __attribute__((cleanup(mw_heap_auto_free))) struct mw_heap *
