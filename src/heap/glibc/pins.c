// SPDX-License-Identifier: MIT
/* Which live blocks hold pages that are else free. */
#include "heap/glibc/walk.h"

#include <string.h>

enum { MAX_PINS = 16 };

struct mw_err *mw_glibc_pin(struct mw_glibc_tally *tally, const struct mw_block *blocks,
			    size_t n, uint64_t kept)
{
	if (!tally->pins)
		tally->pins = calloc(MW_SIZE_CLASSES, sizeof(*tally->pins));
	if (!tally->pins)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++) {
		struct mw_glibc_pin *pin = &tally->pins[mw_size_class(blocks[i].len)];
		/* The first takes what cannot be split. */
		pin->bytes += kept / n + (i == 0 ? kept % n : 0);
		if (blocks[i].addr <= tally->last_pin)
			continue; /* held the page before, too */
		tally->last_pin = blocks[i].addr;
		pin->blocks++;
		pin->usable += blocks[i].len;
		if (!pin->sample)
			pin->sample = blocks[i].addr;
	}
	return NULL;
}

/* The class with most pinned bytes that is not in the list yet. */
static const struct mw_glibc_pin *next_largest(const struct mw_glibc_pin *pins,
					       const bool *listed, unsigned *ret)
{
	const struct mw_glibc_pin *best = NULL;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++)
		if (!listed[i] && pins[i].blocks &&
		    (!best || pins[i].bytes > best->bytes)) {
			best = &pins[i];
			*ret = i;
		}
	return best;
}

static void read_head(struct mw_heap_walk *walk, struct mw_heap_pin *pin)
{
	unsigned char head[sizeof(pin->head)];
	/* The smallest block has 24 bytes. */
	size_t len = pin->size <= sizeof(head) ? 24 : sizeof(head);
	if (mw_memory_read(&walk->window, pin->sample, head, len))
		memcpy(pin->head, head, len);
}

struct mw_err *mw_glibc_pins_report(struct mw_heap_walk *walk,
				    const struct mw_glibc_tally *tally,
				    struct mw_heap_arena *ret)
{
	bool listed[MW_SIZE_CLASSES] = { false };
	if (!tally->pins)
		return NULL;
	struct mw_heap_pin *out = mw_arena_calloc(walk->arena, MAX_PINS, sizeof(*out));
	if (!out)
		return mw_err_nomem();
	ret->pins = out;
	for (unsigned i = 0; i < MW_SIZE_CLASSES; i++) {
		ret->pinning.n += tally->pins[i].blocks;
		ret->pinning.bytes += tally->pins[i].usable;
	}
	for (size_t i = 0; i < MAX_PINS; i++) {
		unsigned class;
		const struct mw_glibc_pin *pin =
			next_largest(tally->pins, listed, &class);
		if (!pin)
			break;
		listed[class] = true;
		out[i] = (struct mw_heap_pin){ .size = mw_size_class_max(class),
					       .blocks = pin->blocks,
					       .bytes = pin->bytes,
					       .sample = pin->sample };
		read_head(walk, &out[i]);
		ret->n_pins++;
	}
	return NULL;
}
