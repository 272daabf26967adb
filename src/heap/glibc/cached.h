/* SPDX-License-Identifier: MIT */
/*
 * What cached.c (lists), tls.c (thread-local variables) and links.c (reading) share.
 */
#pragma once

#include "heap/glibc/glibc.h"

/*
 * Reads links of lists. A list may have 100,000 entries all over the heap, many of
 * them on one page: pages that were read are kept, a fixed number of them.
 */
struct mw_link_reader {
	struct mw_memory memory;
	uint64_t *tags;       /* page numbers + 1 of what the slots hold; 0: nothing */
	unsigned char *pages; /* NULL until many links were read */
	size_t n_reads;
};

/* NOMEM. */
struct mw_err *mw_link_reader_init(struct mw_link_reader *reader,
				   const struct mw_heap_walk *walk) MW_MUST_USE;
void mw_link_reader_deinit(struct mw_link_reader *reader);

/* Forgets what was read: the target may have changed it. */
void mw_link_reader_forget(struct mw_link_reader *reader);

/* Reads 16-byte aligned memory, at most 16 bytes of it; false when it is not there. */
bool mw_link_read(struct mw_link_reader *reader, uint64_t addr, void *bytes, size_t len);

/* All pieces of all arenas, by address. */
struct mw_glibc_span {
	uint64_t start, end;
	size_t arena; /* index */
};

struct mw_glibc_cache {
	struct mw_heap_walk *walk;
	struct mw_glibc *libc;
	const struct mw_glibc_arena *arenas;
	size_t n_arenas;
	struct mw_glibc_span *spans;
	size_t n_spans;
	bool broken;   /* spans are missing: what lies in none may still be heap */
	uint64_t left; /* entries that may still be taken: no more fit into the heap */
	struct mw_link_reader reader;
	struct mw_cached_vec *ret;
};

/* The piece that holds an address, or NULL. */
const struct mw_glibc_span *mw_glibc_span_of(const struct mw_glibc_cache *cache,
					     uint64_t addr);

enum { MW_TCACHE_MAX_BINS = 76, MW_TCACHE_MAX_LEN = 0x300 };

/* A tcache_perthread_struct, decoded. */
struct mw_tcache {
	uint64_t address;
	unsigned n_bins;
	uint32_t counts[MW_TCACHE_MAX_BINS];
	uint64_t heads[MW_TCACHE_MAX_BINS];
	uint64_t n; /* all counts */
};

/* Reads a structure; false when what it says of itself makes no sense. */
bool mw_glibc_tcache_read(struct mw_glibc_cache *cache, uint64_t address,
			  const struct mw_glibc_layout *layout, struct mw_tcache *ret);

/*
 * Whether there is a tcache structure at `address`: its chunk has the right size, and
 * its lists lead to chunks of theirs. *layout: which layout it proves.
 */
bool mw_glibc_tcache_verify(struct mw_glibc_cache *cache, uint64_t address,
			    struct mw_tcache *ret, const struct mw_glibc_layout **layout);

/*
 * Finds where the libc's thread-local `tcache` and `thread_arena` lie, from what is
 * below these thread pointers. Both offsets stay 0 where none was found. Sets the layout.
 */
void mw_glibc_find_tls(struct mw_glibc_cache *cache, const uint64_t *pointers, size_t n);
