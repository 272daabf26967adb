/* SPDX-License-Identifier: MIT */
/*
 * The steps of the page engine: walk.c plans chunks and shares them out to threads,
 * words.c reads one, refine.c and frames.c add what pagemap alone does not tell: zero
 * pages, huge pages, map counts.
 */
#pragma once

#include "model/impl.h"

/* Pages in one state with, where shown, rising frame numbers. */
struct mw_piece {
	uint64_t start, pfn; /* pfn 0: hidden, or of no interest (exclusive pages) */
	uint32_t n_pages;
	uint16_t state;  /* MW_PAGE_* */
	bool maybe_huge; /* some of it may be mapped by a huge page-table entry */
};

/* Pages of a huge page on any machine: 1 MiB in 4 KiB ones, 2 MiB in 64 KiB ones. */
static inline uint32_t mw_least_huge(uint64_t page_size)
{
	return page_size == 4096 ? 256 : 16;
}

struct mw_piece_vec {
	MW_VEC(struct mw_piece);
};

/* A region, or the part of one that lies in a chunk. */
struct mw_span {
	uint64_t start, end;
};

/* A range whose words are read in one go. It knows its spans: regions may still move. */
struct mw_chunk {
	uint64_t start;
	size_t n_pages;
	struct {
		MW_VEC(struct mw_span);
	} spans;
	struct mw_piece_vec pieces; /* what was read */
	struct mw_err *err;         /* or why not */
};

/* What reading a chunk takes; the same for all of them. */
struct mw_reading {
	struct mw_source *src;
	pid_t pid;
	uint64_t page; /* size */
	bool gentle;
};

/* Room for words, used again from chunk to chunk. */
struct mw_word_vec {
	MW_VEC(uint64_t);
};

/* Reads a chunk's words and makes its pieces. May run in any thread. */
struct mw_err *mw_chunk_read(const struct mw_reading *r, struct mw_chunk *chunk,
			     struct mw_word_vec *words) MW_MUST_USE;

/* Present, and neither of a file nor exclusive: zero page, shared by a fork, or odd. */
bool mw_piece_is_ambiguous(const struct mw_piece *piece);

/* Marks what is present but outside Rss by the mapping's kind: vvar, devices, perf. */
void mw_mark_not_rss(struct mw_snapshot *snap, struct mw_piece_vec *pieces);

/*
 * Marks zero pages. pagemap shows them as present, neither file nor exclusive, as it
 * does anonymous pages shared with a child; PAGEMAP_SCAN knows them apart.
 */
struct mw_err *mw_mark_zero(struct mw_snapshot *snap,
			    struct mw_piece_vec *pieces) MW_MUST_USE;

/* Marks pages mapped by huge page-table entries. */
struct mw_err *mw_mark_huge(struct mw_snapshot *snap,
			    struct mw_piece_vec *pieces) MW_MUST_USE;

/*
 * Turns pieces into the snapshot's runs: joins equal neighbours inside a region and,
 * with `frames`, looks the map counts of shared frames up. DENIED and UNSUPPORTED
 * leave runs without map counts behind, and a gap.
 */
struct mw_err *mw_runs_make(struct mw_snapshot *snap, const struct mw_piece_vec *pieces,
			    bool frames) MW_MUST_USE;
