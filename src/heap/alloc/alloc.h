/* SPDX-License-Identifier: MIT */
/*
 * What the walkers of allocators share, glibc's apart: which objects and regions a
 * process has, and a tally that turns blocks into a report.
 *
 * A walker first looks for a reason to be here, a mapped object or a symbol, which costs
 * nothing in a process without its allocator; only then does it read memory. Whatever
 * it reads was written by the target.
 */
#pragma once

#include "heap/heap.h"
#include "symbols/elf.h"
#include "symbols/object.h"

/* The executable mapping of an object whose file name begins so, or NULL. */
const struct mw_region *mw_alloc_object(const struct mw_snapshot *snap,
					const char *prefix);

/* What follows the last slash of the region's path. */
const char *mw_alloc_file_name(const struct mw_region *region);

/* The executable mapping of the program itself, or NULL. */
const struct mw_region *mw_alloc_program(const struct mw_snapshot *snap);

/* Private, readable, writable, not executable, without a file; also [heap]. */
bool mw_alloc_is_heapish(const struct mw_region *region);

/* True when [start, end) is not empty and lies in one such region. */
bool mw_alloc_in_heapish(const struct mw_snapshot *snap, uint64_t start, uint64_t end);

/*
 * True when all of [start, end) is private and without a file: an allocator's, though
 * parts may not be accessible.
 */
bool mw_alloc_is_covered(const struct mw_snapshot *snap, uint64_t start, uint64_t end);

/* The index of the first region that ends above `addr`; n when there is none. */
size_t mw_alloc_first(const struct mw_snapshot *snap, uint64_t addr);

/* The ELF file behind a mapping, read through the source. Must not be moved. */
struct mw_alloc_elf {
	struct mw_object_reader file;
	struct mw_elf *elf;
	uint64_t bias; /* what is added to link-time addresses */
};

/* Opens it. False when it cannot be read or does not fit the executable mapping. */
bool mw_alloc_elf_open(const struct mw_snapshot *snap, const struct mw_region *text,
		       struct mw_alloc_elf *ret) MW_MUST_USE;
void mw_alloc_elf_close(struct mw_alloc_elf *file);
#define mw_auto_alloc_elf __attribute__((cleanup(mw_alloc_elf_close))) struct mw_alloc_elf

/* The run-time address of a symbol. */
bool mw_alloc_elf_value(struct mw_alloc_elf *file, const char *name,
			uint64_t *ret) MW_MUST_USE;

/*
 * Calls `visit` for every 8-byte word of the object's variables (its writable mappings
 * and the bss behind them) that is there, page by page, until it says stop.
 */
struct mw_alloc_words {
	void *ctx;
	bool (*visit)(void *ctx, uint64_t addr, uint64_t word); /* true: stop */
};
void mw_alloc_variables(struct mw_heap_walk *walk, const struct mw_region *text,
			const struct mw_alloc_words *words);

/* What a stretch of an allocator's memory is. */
enum mw_part {
	MW_PART_LIVE,
	MW_PART_KEPT,     /* free, or cached for later */
	MW_PART_OVERHEAD, /* headers, tables, rounding */
	MW_PART_UNKNOWN,
	MW_PART_COUNT,
};

enum { MW_TALLY_BATCH = 256, MW_TALLY_CHECKS = 64 };

/*
 * A report as it grows. Areas are walked upward, the parts of an area upward too: what
 * comes out of order or overlaps is cut off and counted, because then the structures
 * that named it lie.
 */
struct mw_tally {
	struct mw_heap_walk *walk;
	struct mw_allocator it;
	struct mw_heap_size *sizes; /* by class */
	struct mw_check checks[MW_TALLY_CHECKS];
	bool feed;         /* live blocks go to the sink */
	bool has_runs;     /* the snapshot knows what is resident */
	uint64_t overlaps; /* parts that were cut */
	/* Ranges that allocators before this one reported, ascending. */
	struct mw_heap_area *others;
	size_t n_others;
	/* The area in work. */
	struct mw_heap_area area;
	bool open;
	bool hidden; /* counted, not reported */
	uint64_t pos;
	enum mw_part rest;             /* what is between the parts that are named */
	uint64_t bytes[MW_PART_COUNT]; /* of all areas */
	/* The page in work: bytes by part. */
	uint64_t page[MW_PART_COUNT];
	struct mw_memory look; /* looks up residency */
	struct mw_block batch[MW_TALLY_BATCH];
	size_t n_batch;
};

/* Begins the report of one allocator. NOMEM. */
struct mw_err *mw_tally_init(struct mw_tally *tally, struct mw_heap_walk *walk,
			     const struct mw_walker *walker) MW_MUST_USE;
void mw_tally_deinit(struct mw_tally *tally);

/*
 * Begins an area, above all others of this tally; `rest` is what its parts are that
 * nobody names. An area inside another allocator's is counted but not reported.
 */
struct mw_err *mw_tally_open(struct mw_tally *tally, uint64_t start, uint64_t end,
			     uint64_t arena, enum mw_part rest) MW_MUST_USE;

/*
 * The same for a piece inside pages of something else, an object's variables say: it is
 * counted, and is nobody's area.
 */
struct mw_err *mw_tally_open_inside(struct mw_tally *tally, uint64_t start, uint64_t end,
				    enum mw_part rest) MW_MUST_USE;

/* A part of the area. */
void mw_tally_part(struct mw_tally *tally, uint64_t start, uint64_t end,
		   enum mw_part part);

/* A live block, a kept one: a part that also counts in the histogram. */
struct mw_err *mw_tally_live(struct mw_tally *tally, uint64_t addr,
			     uint64_t len) MW_MUST_USE;
void mw_tally_kept(struct mw_tally *tally, uint64_t addr, uint64_t len);

/* Ends the area. */
struct mw_err *mw_tally_close(struct mw_tally *tally) MW_MUST_USE;

/* Reports an area of which no parts are known. */
struct mw_err *mw_tally_area(struct mw_tally *tally, uint64_t start,
			     uint64_t end) MW_MUST_USE;

/* Notes something that had to be equal; `name` lives as long as the walk's arena. */
void mw_tally_check(struct mw_tally *tally, const char *name, uint64_t expected,
		    uint64_t found);

/* Publishes the report, with the sums of all areas where the walker has none. */
struct mw_err *mw_tally_publish(struct mw_tally *tally) MW_MUST_USE;

#define mw_auto_tally __attribute__((cleanup(mw_tally_deinit))) struct mw_tally

/* Publishes an allocator that was only seen: name, version, object and this note. */
struct mw_err *mw_alloc_recognised(struct mw_heap_walk *walk,
				   const struct mw_walker *walker, const char *version,
				   const char *object, const char *note) MW_MUST_USE;

/* Rounds up and down to a power of two. */
static inline uint64_t mw_alloc_up(uint64_t addr, uint64_t to)
{
	return addr > UINT64_MAX - (to - 1) ? UINT64_MAX & ~(to - 1)
					    : (addr + to - 1) & ~(to - 1);
}

static inline uint64_t mw_alloc_down(uint64_t addr, uint64_t to)
{
	return addr & ~(to - 1);
}
