// SPDX-License-Identifier: MIT
/* All live blocks are read once, from the lowest to the highest. */
#include "heap/leaks/reach.h"

struct reading {
	struct mw_reach *reach;
	struct mw_words_in words;
	uint32_t block;
};

/* What follows an address that cannot be read: the next page that is not like it. */
static uint64_t after_hole(const struct mw_memory *mem, uint64_t addr)
{
	const uint64_t page = 4096;
	uint64_t next = (addr | (page - 1)) + 1;
	return !mem->readable && mem->start <= addr && mem->end > next ? mem->end : next;
}

uint64_t mw_reach_read(struct mw_memory *mem, uint64_t start, uint64_t end,
		       void (*take)(void *ctx, uint64_t addr, const unsigned char *bytes,
				    size_t len),
		       void *ctx)
{
	uint64_t pos = start + (-start & 7), unread = 0;
	end &= ~UINT64_C(7);
	while (pos < end) {
		size_t len;
		const unsigned char *bytes = mw_memory_lend(mem, pos, 8, &len);
		if (bytes) {
			len = (len < end - pos ? len : end - pos) & ~(size_t)7;
			take(ctx, pos, bytes, len);
			pos += len;
			continue;
		}
		bool there = mw_memory_stretch(mem, pos, pos + 1) != pos;
		uint64_t next = after_hole(mem, pos);
		next = next > pos && next < end ? next : end;
		unread += there ? next - pos : 0;
		pos = next;
	}
	return unread;
}

static void take(void *ctx, uint64_t addr, const unsigned char *bytes, size_t len)
{
	struct reading *reading = ctx;
	(void)addr;
	mw_words_take(&reading->words, reading->block, bytes, len);
}

/* What a block begins with, where that can be read in one piece. */
static struct mw_err *count_kind(struct mw_reach *reach, struct mw_memory *mem,
				 const struct mw_block *block)
{
	size_t len = 0, want = 8 * MW_HEAD_WORDS;
	want = block->len < want ? block->len & ~UINT64_C(7) : want;
	const unsigned char *bytes =
		want ? mw_memory_lend(mem, block->addr, want, &len) : NULL;
	uint64_t word = bytes ? mw_kinds_word(&reach->kinds, bytes, want) : 0;
	return mw_kinds_count(&reach->kinds, word, block->len);
}

struct mw_err *mw_reach_contents(struct mw_reach *reach, struct mw_memory *mem)
{
	struct reading reading = { .reach = reach };
	struct mw_block_cursor cursor = { 0 };
	struct mw_block block;
	struct mw_err *err = NULL;
	mw_words_begin(&reading.words, reach);
	for (; !err && mw_block_next(&reach->map, &cursor, &block); reading.block++) {
		err = count_kind(reach, mem, &block);
		reach->unread += mw_reach_read(mem, block.addr, block.addr + block.len,
					       take, &reading);
		if (!err && reading.words.err)
			break;
	}
	struct mw_err *words_err = mw_words_end(&reading.words);
	mw_edges_finish(&reach->edges);
	if (!err)
		return words_err;
	mw_err_free(words_err);
	return err;
}
