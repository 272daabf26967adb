/* SPDX-License-Identifier: MIT */
/*
 * Reads the memory of a target without changing it. A page that is not there would be
 * faulted in by reading it (a never touched one becomes the zero page, a swapped one
 * comes back from the disk), so only pages that the snapshot saw present are read; of
 * a snapshot without page runs the page map is asked, word by word.
 *
 * It does not stop the target, and believes nothing that it reads.
 */
#pragma once

#include <memwhy/snapshot.h>

struct mw_memory {
	const struct mw_snapshot *snap;
	enum mw_purpose purpose;
	bool still; /* the target does not run: its own pages may be read the fast way */
	/* The stretch of pages that are alike which was looked up last. */
	uint64_t start, end;
	bool readable, exclusive;
	/* The window that is lent; `ahead` is how much the next one asks for. */
	unsigned char *window;
	size_t cap, ahead;
	uint64_t window_start;
	size_t window_len;
	uint64_t n_read; /* bytes read so far */
};

/*
 * `window_len` (rounded up to pages; 0: nothing will be lent) bounds what is read at
 * once; the window is touched now, so that no page fault falls into a stop. NOMEM.
 */
struct mw_err *mw_memory_init(struct mw_memory *mem, const struct mw_snapshot *snap,
			      enum mw_purpose purpose, size_t window_len) MW_MUST_USE;
void mw_memory_deinit(struct mw_memory *mem);

/*
 * The end of the readable stretch that begins at `addr`: `addr` itself when its page may
 * not be read. Never beyond `limit`, and no promise that what follows is unreadable.
 */
uint64_t mw_memory_stretch(struct mw_memory *mem, uint64_t addr, uint64_t limit);

/* Exactly these bytes and none around them; false unless all of them could be read. */
bool mw_memory_read(struct mw_memory *mem, uint64_t addr, void *bytes, size_t len);

/* One native word. */
bool mw_memory_word(struct mw_memory *mem, uint64_t addr, uint64_t *ret);

/*
 * Lends at least `min` bytes at `addr`, and all that was read behind them: *len. NULL
 * when they could not all be read, or `min` is more than the window. Valid until the
 * next call with this reader. Who goes upward in small steps gets ever longer
 * windows; who jumps gets a page.
 */
const unsigned char *mw_memory_lend(struct mw_memory *mem, uint64_t addr, size_t min,
				    size_t *len);

#define mw_auto_memory __attribute__((cleanup(mw_memory_deinit))) struct mw_memory
