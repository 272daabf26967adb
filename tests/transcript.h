/* SPDX-License-Identifier: MIT */
/*
 * Everything a source says of a process, as text: two sources that give the same
 * transcript answer the same, errors included.
 */
#pragma once

#include <memwhy/source.h>

struct mw_buf;

/* Which addresses and frames to ask about. */
struct mw_transcript_opts {
	uint64_t scan_start, scan_end;
	uint64_t pages_addr; /* pagemap and zero_bytes */
	size_t n_pages;
	uint64_t pfn;
	size_t n_frames;
	uint64_t memory_addr;
	size_t memory_len;
	pid_t tids[3];
	const struct mw_object *objects;
	size_t n_objects;
	bool held; /* registers too, and what the kernel keeps */
};

/* Asks every question once, status thrice, and appends the answers. */
void mw_transcript(struct mw_source *src, pid_t pid,
		   const struct mw_transcript_opts *opts, struct mw_buf *out);
