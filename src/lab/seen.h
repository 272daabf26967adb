/* SPDX-License-Identifier: MIT */
/*
 * The inside of an observation, shared by the files that answer probes. What is dear or
 * needs the process to stand still is read when it is first asked for, and kept.
 */
#pragma once

#include "base/buf.h"
#include "lab/observe.h"
#include "symbols/sizes.h"

/* One process at that moment. */
struct mw_seen {
	const char *name;
	pid_t pid, ppid;
	const char *ended; /* why it is not there; NULL when it is */
	const char *blind; /* why its mappings could not be read; NULL when they were */
	struct mw_snapshot *snap; /* NULL: ended */
	uint64_t min_flt, maj_flt, counter_pages;
	/* Read when first asked for; the text is why they could not be. */
	struct mw_layout *layout;
	struct mw_heap *heap;
	const struct mw_sizes *sizes;
	const char *no_layout, *no_heap, *no_sizes;
};

/* An answer that was read from the process, kept for when it goes on. */
struct mw_kept_answer {
	struct mw_kept_answer *next;
	const struct mw_seen *of;
	const struct mw_probe *probe;
	uint64_t addr;
	int64_t number;
};

struct mw_observation {
	struct mw_source *src;
	struct mw_arena arena;
	uint64_t page;
	struct mw_seen *items;
	size_t n;
	bool closed;
	bool no_scan; /* a kernel before 6.7: no PAGEMAP_SCAN */
	struct mw_buf meminfo, vmstat;
	unsigned levels; /* of the page table; 0: not asked yet */
	struct mw_kept_answer *kept;
};

/* A probe as it is asked of one process. */
struct mw_asked {
	struct mw_observation *seen;
	struct mw_arena *arena; /* of texts in the answer */
	const struct mw_probe *probe;
	struct mw_seen *of; /* NULL: of the machine */
	const struct mw_value *args;
	size_t n;
};

/* Errors are NOMEM alone; what could not be read is an unknown value. */
typedef struct mw_err *mw_probe_fn(struct mw_asked *asked, struct mw_value *ret);

enum mw_probe_kind {
	MW_PROBE_SUM,     /* over the processes of that name */
	MW_PROBE_FIRST,   /* of the first of them */
	MW_PROBE_MACHINE, /* of none; its argument is a text */
};

struct mw_probe {
	const char *name;
	size_t least, most; /* arguments */
	enum mw_probe_kind kind;
	mw_probe_fn *ask;
	size_t field;  /* where several figures are read alike: the one's offset */
	unsigned have; /* MW_HAVE_*: when that one is known */
};

/* What needs its mappings, and the rest; both end with an entry without a name. */
extern const struct mw_probe mw_memory_probes[], mw_process_probes[];

/* The first process of that name that is there; NULL, and why in *why. */
struct mw_seen *mw_seen_first(struct mw_observation *seen, const char *name,
			      const char **why);

/* Makes the answer unknown. NOMEM. */
struct mw_err *mw_not_known(struct mw_asked *asked, struct mw_value *ret, const char *fmt,
			    ...) MW_PRINTF(3, 4) MW_MUST_USE;

static inline struct mw_err *mw_known(struct mw_value *ret, uint64_t n)
{
	*ret = mw_value_number((int64_t)n);
	return NULL;
}

/* Fills of->layout, of->heap or of->sizes, or says in of->no_… why not. NOMEM. */
struct mw_err *mw_seen_classify(struct mw_observation *seen,
				struct mw_seen *of) MW_MUST_USE;
struct mw_err *mw_seen_walk(struct mw_observation *seen, struct mw_seen *of) MW_MUST_USE;
struct mw_err *mw_seen_size(struct mw_observation *seen, struct mw_seen *of) MW_MUST_USE;

/* The class of what lies at an address; false when nothing does. Only once classified. */
bool mw_seen_class(const struct mw_seen *of, uint64_t addr, enum mw_class *ret);

/* "rw-p", in the arena; NULL: no memory. */
const char *mw_lab_perms(struct mw_arena *arena, unsigned perms);

/* A range of addresses; empty where nothing is mapped. */
struct mw_seen_range {
	uint64_t start, end;
};

/* Of the mapping that holds `addr`; or, `len` given, of the pages of [addr, addr + len).
 */
struct mw_seen_range mw_seen_mapping(const struct mw_seen *of, uint64_t addr);
struct mw_seen_range mw_seen_pages(const struct mw_observation *seen, uint64_t addr,
				   uint64_t len);

/* Calls `fn` for each region's part of a range, ascending. */
void mw_seen_each(const struct mw_seen *of, struct mw_seen_range range,
		  void (*fn)(void *ctx, const struct mw_region *region,
			     struct mw_seen_range part),
		  void *ctx);

/* Counts a range from page runs. */
struct mw_counts mw_seen_count(const struct mw_seen *of, struct mw_seen_range range);

/* Bytes of the zero page in a range; false when that cannot be known. */
bool mw_seen_zero(struct mw_observation *seen, const struct mw_seen *of,
		  struct mw_seen_range range, uint64_t *ret);

/* MW_PAGE_* of one page, 0 where nothing is; false when that cannot be known. */
bool mw_seen_state(struct mw_observation *seen, const struct mw_seen *of, uint64_t addr,
		   unsigned *ret);
