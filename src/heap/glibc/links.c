// SPDX-License-Identifier: MIT
#include "heap/glibc/cached.h"

#include <string.h>

enum {
	SLOT = 4096,
	SLOTS = 1024,
	WINDOW = 64 << 10,
	FEW = 64, /* links that are read one by one */
};

struct mw_err *mw_link_reader_init(struct mw_link_reader *reader,
				   const struct mw_heap_walk *walk)
{
	*reader = (struct mw_link_reader){ 0 };
	struct mw_err *err =
		mw_memory_init(&reader->memory, walk->snap, MW_READ_CONTENTS, WINDOW);
	reader->memory.still = walk->opts->still;
	return err;
}

void mw_link_reader_deinit(struct mw_link_reader *reader)
{
	mw_memory_deinit(&reader->memory);
	free(reader->tags);
	free(reader->pages);
	*reader = (struct mw_link_reader){ 0 };
}

void mw_link_reader_forget(struct mw_link_reader *reader)
{
	reader->memory.window_len = 0;
	if (reader->tags)
		memset(reader->tags, 0, SLOTS * sizeof(*reader->tags));
}

static bool has_slots(struct mw_link_reader *reader)
{
	if (reader->pages || ++reader->n_reads < FEW)
		return reader->pages;
	reader->n_reads = 0; /* when memory is short, it may be there later */
	reader->tags = calloc(SLOTS, sizeof(*reader->tags));
	reader->pages = malloc((size_t)SLOTS * SLOT);
	if (reader->tags && reader->pages)
		return true;
	free(reader->tags);
	free(reader->pages);
	reader->tags = NULL;
	reader->pages = NULL;
	return false;
}

bool mw_link_read(struct mw_link_reader *reader, uint64_t addr, void *bytes, size_t len)
{
	uint64_t page = addr / SLOT, in_page = addr % SLOT;
	size_t slot = page % SLOTS, got;
	if (in_page + len > SLOT || !has_slots(reader))
		return mw_memory_read(&reader->memory, addr, bytes, len);
	unsigned char *held = reader->pages + slot * SLOT;
	if (reader->tags[slot] != page + 1) {
		const unsigned char *lent =
			mw_memory_lend(&reader->memory, page * SLOT, SLOT, &got);
		if (!lent)
			return false;
		memcpy(held, lent, SLOT);
		reader->tags[slot] = page + 1;
	}
	memcpy(bytes, held + in_page, len);
	return true;
}
