/* SPDX-License-Identifier: MIT */
/*
 * How leaks are found, in the order of it:
 *
 *   blocks.c    which block an address lies in
 *   edges.c     pointers from block to block
 *   words.c     which words of memory may be pointers, and which hint at one
 *   contents.c  reads all live blocks: edges, hints, what blocks begin with
 *   roots.c     reads everything else that may hold pointers
 *   gather.c    all of that while the target stands still: mw_reach_gather()
 *   mark.c      what is reached
 *   own.c       who owns whom of what is not
 *   kinds.c     live blocks by size and first words
 *   names.c     first words as symbols
 *   group.c     leaked blocks that are alike
 *   suppress.c  rules of what not to report
 *   judge.c     all of that: mw_reach_judge()
 */
#pragma once

#include "base/arena.h"
#include "heap/heap.h"
#include "heap/leaks/blocks.h"
#include "heap/leaks/edges.h"
#include <memwhy/leaks.h>

/* Live blocks that begin alike. */
struct mw_kind {
	uint64_t word;  /* what they begin with, as far as it lies in a mapped file; 0 */
	unsigned class; /* of size */
	struct mw_blocks blocks;
};

/* Where files are mapped: what may have a name. */
struct mw_file_range {
	uint64_t start, end;
};

enum { MW_FILE_FILTER = 1 << 16, MW_HEAD_WORDS = 4 };

struct mw_kinds {
	struct {
		MW_VEC(struct mw_file_range);
	} files;                      /* ascending */
	uint8_t *filter;              /* bits, by a hash of the address's upper bits */
	size_t last;                  /* the range found last */
	bool worded[MW_SIZE_CLASSES]; /* a block of the class begins with a word */
	struct mw_blocks plain[MW_SIZE_CLASSES]; /* without a word */
	struct mw_kind *table;                   /* hashed; the others */
	size_t cap, n;
};

struct mw_reach {
	struct mw_arena arena; /* owns the texts of gaps */
	const struct mw_snapshot *snap;
	struct mw_heap *heap;
	struct mw_block_map map;
	struct mw_edges edges;
	struct mw_kinds kinds;
	uint64_t *rooted; /* bits: blocks that something outside the heap leads to */
	struct mw_heap_gap_vec gaps;
	uint64_t root_bytes;
	uint64_t unread; /* bytes that may hold pointers, and could not be read */
	uint64_t fed;    /* bits: allocators that told their blocks, by index */
	bool unsure;     /* something was not seen, or moved: nothing is certain */
};

/* Notes a gap. NOMEM only. */
struct mw_err *mw_reach_gap(struct mw_reach *reach, const char *what, const char *why,
			    const char *remedy) MW_MUST_USE;

/* What is done with pointers: `from` is MW_NO_BLOCK for those outside the heap. */
struct mw_words_in {
	struct mw_reach *reach;
	struct {
		uint64_t addr;
		uint32_t from;
	} ahead[16]; /* words whose cells are on their way into the cache */
	unsigned n_ahead, next;
	/* Upper halves of addresses of heap: at most `limit` when `bias` is added. */
	uint32_t bias;
	int32_t limit;
	struct mw_err *err; /* the first; nothing is done after it */
};

/* Prepares to look at words. */
void mw_words_begin(struct mw_words_in *in, struct mw_reach *reach);

/* Looks at memory: 8-aligned, a multiple of 8 long; `from` never decreases. */
void mw_words_take(struct mw_words_in *in, uint32_t from, const unsigned char *bytes,
		   size_t len);

/* Takes what is still ahead; gives the first error. */
struct mw_err *mw_words_end(struct mw_words_in *in) MW_MUST_USE;

/*
 * Goes through the readable parts of [start, end), whole words, and gives them to
 * `take`. Returns how many bytes were there but could not be read.
 */
uint64_t mw_reach_read(struct mw_memory *mem, uint64_t start, uint64_t end,
		       void (*take)(void *ctx, uint64_t addr, const unsigned char *bytes,
				    size_t len),
		       void *ctx);

/* Reads all live blocks: edges, hints, kinds. NOMEM. */
struct mw_err *mw_reach_contents(struct mw_reach *reach,
				 struct mw_memory *mem) MW_MUST_USE;

/* Reads registers, stacks, variables, the rest of memory: `rooted`. NOMEM. */
struct mw_err *mw_reach_roots(struct mw_reach *reach, struct mw_memory *mem,
			      const struct mw_heap_opts *opts) MW_MUST_USE;

/* Prepares to count kinds in the files that `snap` maps. NOMEM. */
struct mw_err *mw_kinds_init(struct mw_kinds *kinds,
			     const struct mw_snapshot *snap) MW_MUST_USE;
void mw_kinds_deinit(struct mw_kinds *kinds);

/* The first of the words a block begins with that lies in a mapped file; 0: none. */
uint64_t mw_kinds_word(struct mw_kinds *kinds, const unsigned char *bytes, size_t len);

/* Counts a block. NOMEM. */
struct mw_err *mw_kinds_count(struct mw_kinds *kinds, uint64_t word,
			      uint64_t len) MW_MUST_USE;

/* A block that nothing leads to. */
struct mw_lost {
	uint32_t block;
	uint32_t possible : 1; /* but something hints at it */
	uint32_t owner : 31; /* index of the direct one that leads to it, of itself too */
};

/* A lost block that no other one leads to, or one of a circle. */
struct mw_direct {
	uint32_t lost;          /* index */
	uint32_t into;          /* another direct one leads to it after all; or itself */
	struct mw_blocks owned; /* all it leads to, besides itself */
	uint64_t shape;         /* a bit for each size class among them, hashed */
};

struct mw_losses {
	struct {
		MW_VEC(struct mw_lost);
	} lost; /* by address */
	struct {
		MW_VEC(struct mw_direct);
	} direct;
};
void mw_losses_deinit(struct mw_losses *losses);

/* True when nothing leads to it, as far as that can be said of circles. */
static inline bool mw_lost_is_direct(const struct mw_losses *losses, size_t i)
{
	return losses->direct.items[losses->lost.items[i].owner].lost == i;
}

/* Marks what roots lead to, and appends the rest. NOMEM. */
struct mw_err *mw_reach_mark(struct mw_reach *reach, struct mw_losses *ret) MW_MUST_USE;

/* Who owns whom. NOMEM. */
struct mw_err *mw_reach_own(struct mw_reach *reach, struct mw_losses *losses) MW_MUST_USE;

/* Addresses as symbols; each is looked up once. */
struct mw_names;
struct mw_err *mw_names_new(const struct mw_snapshot *snap, struct mw_arena *arena,
			    struct mw_names **ret) MW_MUST_USE;
void mw_names_free(struct mw_names *names);

struct mw_name {
	const char *symbol; /* "vtable for Node"; "": has none */
	const char *object; /* path; "": unknown */
};

/* What an address is called. NOMEM; whatever else fails has no name. */
struct mw_err *mw_names_find(struct mw_names *names, uint64_t addr,
			     struct mw_name *ret) MW_MUST_USE;

/* A symbol for people: "vtable for a::B" for _ZTVN1a1BE; itself where it is not plain. */
const char *mw_symbol_plain(struct mw_arena *arena, const char *symbol);

/* Groups leaked blocks that are alike; samples are read where wanted. NOMEM. */
struct mw_err *mw_leaks_group(struct mw_reach *reach, const struct mw_losses *losses,
			      struct mw_names *names, struct mw_arena *arena,
			      bool contents, struct mw_leak_group **ret,
			      size_t *n) MW_MUST_USE;

/* Live blocks by size class and symbol, by size ascending. NOMEM. */
struct mw_err *mw_leaks_live(struct mw_reach *reach, struct mw_names *names,
			     struct mw_arena *arena, struct mw_live_group **ret,
			     size_t *n) MW_MUST_USE;

/*
 * Marks the groups that a rule of `text` matches; *unused are the rules that none did,
 * as they were written. USAGE for a rule that is none, NOMEM.
 */
struct mw_err *mw_leaks_suppress(const char *text, struct mw_leak_group *groups, size_t n,
				 const struct mw_heap *heap, struct mw_arena *arena,
				 const char *const **unused,
				 size_t *n_unused) MW_MUST_USE;
