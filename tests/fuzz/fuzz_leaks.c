// SPDX-License-Identifier: MIT
/* Texts of others: rules, earlier answers, symbols; and a heap as a hostile walk would
 * tell it, its blocks full of whatever comes. */
#include "fuzz.h"

#include "heap/leaks/reach.h"
#include "view/heap/leaks.h"

#include <string.h>

enum { AREA = 1 << 21, UNIT = 8 };

static const uint64_t BASE = 0x7f0000000000;

static void texts(const char *text, size_t len)
{
	struct mw_arena arena = { 0 };
	struct mw_leaks_earlier earlier;
	struct mw_err *err = mw_leaks_check_rules(text);
	FUZZ_CHECK(!err || err->code == MW_ERR_USAGE);
	mw_err_free(err);
	FUZZ_CHECK(mw_symbol_plain(&arena, text) != NULL);
	err = mw_leaks_earlier_load(text, len, &arena, &earlier);
	if (err)
		mw_err_free(err);
	else
		mw_leaks_earlier_deinit(&earlier);
	mw_arena_deinit(&arena);
}

/* Each pair of bytes is an area, or a block some way behind the last one. */
static struct mw_err *feed(struct mw_reach *reach, const uint8_t *bytes, size_t len)
{
	struct mw_err *err = mw_block_map_area(&reach->map, BASE, BASE + AREA);
	uint64_t pos = BASE;
	for (size_t i = 0; i + 1 < len && !err; i += 2) {
		if (bytes[i] == 0xff) {
			pos = BASE + (uint64_t)bytes[i + 1] * (AREA / 32);
			err = mw_block_map_area(&reach->map, pos, pos + AREA / 8);
			continue;
		}
		uint64_t size = bytes[i + 1] < 0xf0 ? bytes[i + 1] * (uint64_t)UNIT
						    : (uint64_t)bytes[i + 1] << 12;
		struct mw_block block = { pos + bytes[i] * (uint64_t)UNIT, size };
		err = mw_block_map_add(&reach->map, &block, 1);
		pos = block.addr + (bytes[i] & 1 ? size : 0);
	}
	return err ? err : mw_block_map_finish(&reach->map);
}

/* The same bytes again as words, in blocks and outside. */
static struct mw_err *link_up(struct mw_reach *reach, const uint8_t *bytes, size_t len)
{
	struct mw_words_in in;
	struct mw_err *err = mw_edges_init(&reach->edges, reach->map.n);
	reach->rooted = mw_bits_new(reach->map.n);
	if (err || !reach->rooted)
		return err ? err : mw_err_nomem();
	mw_words_begin(&in, reach);
	for (size_t i = 0; i + 4 <= len && reach->map.n; i += 4) {
		uint32_t from = (uint32_t)((uint64_t)i * reach->map.n / len);
		uint64_t word[2] = { BASE + bytes[i] * UINT64_C(0x2000) + bytes[i + 1],
				     bytes[i + 2] };
		word[0] |= bytes[i + 3] & 1 ? (uint64_t)bytes[i + 3] << 48 : 0;
		mw_words_take(&in, from, (const unsigned char *)word, sizeof(word));
	}
	for (size_t i = 0; i < len / 16 && reach->map.n; i++)
		mw_bit_set(reach->rooted, bytes[i] % reach->map.n);
	err = mw_words_end(&in);
	mw_edges_finish(&reach->edges);
	return err;
}

/* Numbers, addresses and lengths fit each other, and every block is found. */
static void check_blocks(const struct mw_reach *reach)
{
	struct mw_block_cursor cursor = { 0 };
	struct mw_block block;
	uint64_t last = 0;
	uint32_t n = 0;
	for (; mw_block_next(&reach->map, &cursor, &block); n++) {
		/* One that begins within a granule is taken from its start. */
		FUZZ_CHECK(block.addr + MW_GRANULE > last);
		FUZZ_CHECK(mw_block_addr(&reach->map, n) == block.addr);
		FUZZ_CHECK(mw_block_find(&reach->map, block.addr) == n);
		FUZZ_CHECK(mw_block_starting(&reach->map, block.addr) == n);
		last = block.addr + block.len;
	}
	FUZZ_CHECK(n == reach->map.n);
}

/* Each block is reached, or lost and counted once. */
static void check_losses(const struct mw_reach *reach, const struct mw_losses *losses)
{
	uint64_t direct = 0, owned = 0, reached = 0;
	for (uint32_t i = 0; i < reach->map.n; i++)
		reached += mw_bit(reach->rooted, i);
	FUZZ_CHECK(reached + losses->lost.n == reach->map.n);
	for (size_t i = 0; i < losses->lost.n; i++) {
		FUZZ_CHECK(losses->lost.items[i].owner < losses->direct.n);
		if (!mw_lost_is_direct(losses, i))
			continue;
		direct++;
		owned += losses->direct.items[losses->lost.items[i].owner].owned.n;
	}
	FUZZ_CHECK(direct + owned == losses->lost.n);
}

static void graph(const uint8_t *bytes, size_t len)
{
	struct mw_reach *reach = calloc(1, sizeof(*reach));
	struct mw_losses losses = { 0 };
	if (!reach)
		return;
	struct mw_err *err = mw_block_map_init(&reach->map);
	if (!err)
		err = feed(reach, bytes, len);
	if (!err)
		err = link_up(reach, bytes, len);
	if (!err) {
		check_blocks(reach);
		err = mw_reach_mark(reach, &losses);
	}
	if (!err)
		err = mw_reach_own(reach, &losses);
	if (!err)
		check_losses(reach, &losses);
	FUZZ_CHECK(!err || err->code == MW_ERR_NOMEM);
	mw_err_free(err);
	mw_losses_deinit(&losses);
	mw_reach_free(reach);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 1);
	if (!text)
		return 0;
	memcpy(text, bytes, len);
	text[len] = '\0';
	texts(text, len);
	free(text);
	graph(bytes, len);
	return 0;
}
