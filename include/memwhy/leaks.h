/* SPDX-License-Identifier: MIT */
/*
 * Leaks: live blocks of the heap that nothing leads to any more. Marking is
 * conservative: every word in registers, stacks, variables and other writable memory
 * that could be an address counts as one, also of the inside of a block, and just
 * behind its end. So what is reported is unreachable; what is reachable through a chance
 * value is missed; and a program that hides its pointers (xor, compression, unaligned)
 * looks as if it leaked. `blind` says so with every answer.
 *
 * It knows blocks, not allocations: no call stacks, but sizes, shapes, first words.
 */
#pragma once

#include <memwhy/heap.h>

/* Whether a block may be in use after all. Nobody can be sure that it is not. */
enum mw_leak_confidence {
	/* A tagged or unaligned value looks like its address, or something above such a
	 * block leads to it; or part of what might lead to it was not seen. */
	MW_LEAK_POSSIBLE,
	MW_LEAK_LIKELY, /* nothing in the process leads to it, or looks as if it did */
};

/* Blocks that are alike: of one size class, arena, shape, with the same first word. */
struct mw_leak_group {
	struct mw_blocks blocks;
	uint64_t size;  /* usable bytes of one: the largest of the class */
	bool direct;    /* nothing leads to it; else only other leaked blocks do */
	uint64_t arena; /* address; 0: blocks with a mapping of their own */
	/* What hangs below a direct one: leaked blocks reached through it, all together.
	 */
	struct mw_blocks owned;
	enum mw_leak_confidence confidence;
	/* What the first of its first words that has a name points to: "vtable for
	 * Node", "PyDict_Type"; "". */
	const char *symbol;
	const char *object;     /* the file that symbol is in; "" */
	uint64_t sample;        /* address of one block */
	unsigned char head[64]; /* what it begins with */
	size_t head_len;        /* 0: not read, or not wanted */
	bool suppressed;
};

/* All live blocks by size class and symbol, leaked or not: what --diff compares. */
struct mw_live_group {
	uint64_t size;      /* the largest of the class */
	const char *symbol; /* as above */
	struct mw_blocks blocks;
};

struct mw_leaks_opts {
	struct mw_heap_opts heap; /* its sink must be NULL */
	bool contents;            /* read samples */
	const char *suppressions; /* the text of a suppressions file, or NULL */
};

/* The state between looking and judging; opaque. */
struct mw_reach;

struct mw_leaks {
	const struct mw_heap *heap;        /* owned */
	struct mw_blocks leaked;           /* likely; not suppressed */
	struct mw_blocks possible;         /* not suppressed */
	struct mw_blocks direct, indirect; /* of the leaked ones */
	struct mw_blocks suppressed;
	struct mw_blocks live;              /* all blocks looked at */
	const struct mw_leak_group *groups; /* by bytes with what they own, descending */
	size_t n_groups;
	const struct mw_live_group *live_groups; /* by size, ascending */
	size_t n_live_groups;
	uint64_t root_bytes;      /* read in search of pointers, heap excluded */
	uint64_t n_edges;         /* pointers from block to block */
	const char *const *blind; /* what this cannot see, sentences */
	size_t n_blind;
	const char *const
		*unused; /* rules of the suppressions file that matched nothing */
	size_t n_unused;
	const struct mw_gap *gaps; /* also the heap's */
	size_t n_gaps;
};

/*
 * Everything that must be read while the target stands still: blocks, and pointers
 * between them. NOMEM, GONE.
 */
struct mw_err *mw_reach_gather(const struct mw_snapshot *snap,
			       const struct mw_leaks_opts *opts,
			       struct mw_reach **ret) MW_MUST_USE;

/* The heap as it was walked for this; lives as long as `reach`. */
const struct mw_heap *mw_reach_heap(const struct mw_reach *reach);

/*
 * Marks, groups, names; the target may run meanwhile (what is leaked, it cannot change).
 * It did not stand still as long as it was read when opts->heap.still is false now: then
 * all is only possible. Takes `reach` over in any case. NOMEM; USAGE for a bad rule.
 */
struct mw_err *mw_reach_judge(struct mw_reach *reach, const struct mw_leaks_opts *opts,
			      struct mw_leaks **ret) MW_MUST_USE;
void mw_reach_free(struct mw_reach *reach);
void mw_leaks_free(struct mw_leaks *leaks);

/* Whether the text of a suppressions file can be used: USAGE, NOMEM. */
struct mw_err *mw_leaks_check_rules(const char *text) MW_MUST_USE;

/* "likely", "possible". */
const char *mw_leak_confidence_name(enum mw_leak_confidence confidence);
