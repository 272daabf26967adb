// SPDX-License-Identifier: MIT
/*
 * Where fields lie in malloc_state, malloc_par and tcache_perthread_struct on x86-64.
 *
 * Sources: glibc malloc/malloc.c and malloc/arena.c of every release named here. What
 * moved them: attached_threads (2.23), max_total_mem removed (2.24), tcache (2.26),
 * have_fastchunks (2.27), tcache counters of 16 bits (2.30), protected links (2.32), huge
 * pages (2.35), large tcache bins (2.42), no fastbins (2.43).
 *
 * A distribution's own patches keep its version and move fields, so the version decides
 * only between layouts that nothing else tells apart.
 */
#include "heap/glibc/glibc.h"

#define NONE UINT16_MAX

/* struct malloc_state. */
#define STATE_2_17                                                                       \
	{                                                                                \
		.fastbins = 0x08, .top = 0x58, .bins = 0x68, .next = 0x868,              \
		.next_free = 0x870, .attached = NONE, .system_mem = 0x878, .size = 0x888 \
	}
#define STATE_2_23                                                          \
	{                                                                   \
		.fastbins = 0x08, .top = 0x58, .bins = 0x68, .next = 0x868, \
		.next_free = 0x870, .attached = 0x878, .system_mem = 0x880, \
		.size = 0x890                                               \
	}
#define STATE_2_27                                                          \
	{                                                                   \
		.fastbins = 0x10, .top = 0x60, .bins = 0x70, .next = 0x870, \
		.next_free = 0x878, .attached = 0x880, .system_mem = 0x888, \
		.size = 0x898                                               \
	}
#define STATE_2_43                                                          \
	{                                                                   \
		.fastbins = NONE, .top = 0x08, .bins = 0x18, .next = 0x818, \
		.next_free = 0x820, .attached = 0x828, .system_mem = 0x830, \
		.size = 0x840                                               \
	}

/* struct malloc_par; it begins alike everywhere. */
#define PAR_HEAD .trim = 0x00, .top_pad = 0x08, .mmap_threshold = 0x10, .arena_max = 0x20
#define PAR_OLD(sbrk)                                                         \
	PAR_HEAD, .thp_pagesize = NONE, .hp_pagesize = NONE, .n_mmaps = 0x28, \
		  .n_mmaps_max = 0x2c, .no_dyn = 0x34, .mmapped_mem = 0x38,   \
		  .sbrk_base = (sbrk)
#define NO_TCACHE_WORDS \
	.tcache_bins = NONE, .tcache_max_bytes = NONE, .tcache_count = NONE
#define TCACHE_WORDS(at) \
	.tcache_bins = (at), .tcache_max_bytes = (at) + 8, .tcache_count = (at) + 16
#define PAR_2_17                                             \
	{                                                    \
		PAR_OLD(0x50), NO_TCACHE_WORDS, .size = 0x58 \
	}
#define PAR_2_24                                             \
	{                                                    \
		PAR_OLD(0x48), NO_TCACHE_WORDS, .size = 0x50 \
	}
#define PAR_2_26                                                \
	{                                                       \
		PAR_OLD(0x48), TCACHE_WORDS(0x50), .size = 0x70 \
	}
#define PAR_2_35                                                                      \
	{                                                                             \
		PAR_HEAD, .thp_pagesize = 0x28, .hp_pagesize = 0x30, .n_mmaps = 0x3c, \
			  .n_mmaps_max = 0x40, .no_dyn = 0x48, .mmapped_mem = 0x50,   \
			  .sbrk_base = 0x60, TCACHE_WORDS(0x68), .size = 0x88         \
	}
#define PAR_2_43                                                                      \
	{                                                                             \
		PAR_HEAD, .thp_pagesize = 0x30, .hp_pagesize = 0x38, .n_mmaps = 0x44, \
			  .n_mmaps_max = 0x48, .no_dyn = 0x50, .mmapped_mem = 0x58,   \
			  .sbrk_base = 0x68, TCACHE_WORDS(0x70), .size = 0x88         \
	}

/*
 * struct tcache_perthread_struct: counters, then the heads of as many lists. 2.43 and
 * later ask malloc for a size that has the header in it already.
 */
#define TCACHE_NONE         \
	{                   \
		.n_bins = 0 \
	}
#define TCACHE_2_26                                                          \
	{                                                                    \
		.chunk_len = { 0x250, 0x260 }, .n_bins = 64, .count_len = 1, \
		.entries = 0x40                                              \
	}
#define TCACHE_2_30                                                          \
	{                                                                    \
		.chunk_len = { 0x290, 0x2a0 }, .n_bins = 64, .count_len = 2, \
		.entries = 0x80                                              \
	}
#define TCACHE_2_42(max)                                                     \
	{                                                                    \
		.chunk_len = { 0x300, (max) }, .n_bins = 76, .count_len = 2, \
		.counts_free = true, .entries = 0x98                         \
	}

static const struct mw_glibc_layout layouts[] = {
	{ .versions = "2.17-2.22",
	  .first = 17,
	  .last = 22,
	  .state = STATE_2_17,
	  .par = PAR_2_17,
	  .tcache = TCACHE_NONE,
	  .heap_info_len = 32 },
	{ .versions = "2.23",
	  .first = 23,
	  .last = 23,
	  .state = STATE_2_23,
	  .par = PAR_2_17,
	  .tcache = TCACHE_NONE,
	  .heap_info_len = 32 },
	{ .versions = "2.24-2.25",
	  .first = 24,
	  .last = 25,
	  .state = STATE_2_23,
	  .par = PAR_2_24,
	  .tcache = TCACHE_NONE,
	  .heap_info_len = 32 },
	{ .versions = "2.26",
	  .first = 26,
	  .last = 26,
	  .state = STATE_2_23,
	  .par = PAR_2_26,
	  .tcache = TCACHE_2_26,
	  .heap_info_len = 32 },
	{ .versions = "2.27-2.29",
	  .first = 27,
	  .last = 29,
	  .state = STATE_2_27,
	  .par = PAR_2_26,
	  .tcache = TCACHE_2_26,
	  .heap_info_len = 32 },
	{ .versions = "2.30-2.31",
	  .first = 30,
	  .last = 31,
	  .state = STATE_2_27,
	  .par = PAR_2_26,
	  .tcache = TCACHE_2_30,
	  .heap_info_len = 32 },
	{ .versions = "2.32-2.34",
	  .first = 32,
	  .last = 34,
	  .state = STATE_2_27,
	  .par = PAR_2_26,
	  .tcache = TCACHE_2_30,
	  .safe_linking = true,
	  .heap_info_len = 32 },
	{ .versions = "2.35-2.41",
	  .first = 35,
	  .last = 41,
	  .state = STATE_2_27,
	  .par = PAR_2_35,
	  .tcache = TCACHE_2_30,
	  .safe_linking = true,
	  .heap_info_len = 48 },
	{ .versions = "2.42",
	  .first = 42,
	  .last = 42,
	  .state = STATE_2_27,
	  .par = PAR_2_35,
	  .tcache = TCACHE_2_42(0x310),
	  .safe_linking = true,
	  .heap_info_len = 48 },
	{ .versions = "2.43-2.44",
	  .first = 43,
	  .last = 44,
	  .state = STATE_2_43,
	  .par = PAR_2_43,
	  .tcache = TCACHE_2_42(0x320),
	  .safe_linking = true,
	  .mmapped_header = true,
	  .heap_info_len = 48 },
};

enum { N_LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

const struct mw_glibc_layout *mw_glibc_layouts(size_t *n)
{
	*n = N_LAYOUTS;
	return layouts;
}

/* Whether a known yes or no is what the layout has. */
static bool agrees(int fact, bool has)
{
	return fact == 0 || (fact > 0) == has;
}

static bool fits(const struct mw_glibc_layout *layout, const struct mw_glibc_facts *facts)
{
	return (!facts->next || facts->next == layout->state.next) &&
	       agrees(facts->attached, layout->state.attached != NONE) &&
	       (!facts->n_mmaps_max || facts->n_mmaps_max == layout->par.n_mmaps_max) &&
	       agrees(facts->tcache, layout->par.tcache_bins != NONE) &&
	       (!facts->chunk_len ||
		mw_tcache_chunk_fits(&layout->tcache, facts->chunk_len));
}

/* How far a version lies outside of the layout's. */
static unsigned distance(const struct mw_glibc_layout *layout, unsigned minor)
{
	if (minor < layout->first)
		return layout->first - minor;
	return minor > layout->last ? minor - layout->last : 0;
}

/* Without a version the newest wins: of two alike, it is the one that is in use. */
const struct mw_glibc_layout *mw_glibc_layout_select(const struct mw_glibc_facts *facts)
{
	const struct mw_glibc_layout *best = NULL;
	for (size_t i = N_LAYOUTS; i-- > 0;) {
		const struct mw_glibc_layout *layout = &layouts[i];
		if (!fits(layout, facts))
			continue;
		if (!best || (facts->minor && distance(layout, facts->minor) <
						      distance(best, facts->minor)))
			best = layout;
	}
	return best;
}
