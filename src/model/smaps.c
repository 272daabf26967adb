// SPDX-License-Identifier: MIT
/*
 * The smaps engine and the columns only smaps has. Also smaps_rollup. The kernel walks
 * every page table for these, holding the target's mmap lock: about 40 ns a page.
 */
#include "procfs/smaps.h"
#include "model/impl.h"

#include <string.h>

static const enum mw_smaps_key key_of[MW_SMAPS_COUNT] = {
	[MW_SMAPS_SHARED_CLEAN] = MW_KEY_SHARED_CLEAN,
	[MW_SMAPS_SHARED_DIRTY] = MW_KEY_SHARED_DIRTY,
	[MW_SMAPS_PRIVATE_CLEAN] = MW_KEY_PRIVATE_CLEAN,
	[MW_SMAPS_PRIVATE_DIRTY] = MW_KEY_PRIVATE_DIRTY,
	[MW_SMAPS_REFERENCED] = MW_KEY_REFERENCED,
	[MW_SMAPS_KSM] = MW_KEY_KSM,
	[MW_SMAPS_LAZYFREE] = MW_KEY_LAZYFREE,
	[MW_SMAPS_LOCKED] = MW_KEY_LOCKED,
	[MW_SMAPS_SWAP_PSS] = MW_KEY_SWAP_PSS,
	[MW_SMAPS_SHMEM_HUGE] = MW_KEY_SHMEM_HUGE,
	[MW_SMAPS_FILE_HUGE] = MW_KEY_FILE_HUGE,
	[MW_SMAPS_KERNEL_PAGE_SIZE] = MW_KEY_KERNEL_PAGE_SIZE,
	[MW_SMAPS_MMU_PAGE_SIZE] = MW_KEY_MMU_PAGE_SIZE,
};

bool mw_smaps_has_flag(const struct mw_smaps *smaps, const char code[2])
{
	for (uint32_t i = 0; i < smaps->n_flags; i++)
		if (smaps->flags[2 * i] == code[0] && smaps->flags[2 * i + 1] == code[1])
			return true;
	return false;
}

static bool has(const struct mw_smaps_entry *entry, enum mw_smaps_key key)
{
	return entry->known & UINT32_C(1) << key;
}

static void take_columns(struct mw_smaps *smaps, const struct mw_smaps_entry *entry)
{
	for (unsigned field = 0; field < MW_SMAPS_COUNT; field++) {
		enum mw_smaps_key key = key_of[field];
		if (!has(entry, key))
			continue;
		smaps->bytes[field] = entry->bytes[key];
		smaps->known |= UINT32_C(1) << field;
	}
}

static void take_flags(struct mw_smaps *smaps, const struct mw_smaps_entry *entry)
{
	smaps->n_flags = entry->n_flags;
	memcpy(smaps->flags, entry->flags, sizeof(smaps->flags));
}

/* Whatever is not anonymous is file or shared memory, by the region's kind. */
static void take_counts(struct mw_region *region, const struct mw_smaps_entry *entry)
{
	const uint64_t *b = entry->bytes;
	struct mw_counts *c = &region->counts;
	c->rss = b[MW_KEY_RSS];
	c->pss_q12 = b[MW_KEY_PSS] << 12;
	c->uss = b[MW_KEY_PRIVATE_CLEAN] + b[MW_KEY_PRIVATE_DIRTY];
	c->anon = b[MW_KEY_ANONYMOUS] < c->rss ? b[MW_KEY_ANONYMOUS] : c->rss;
	*(region->shmem ? &c->shmem : &c->file) = c->rss - c->anon;
	c->swap = b[MW_KEY_SWAP];
	c->huge = b[MW_KEY_ANON_HUGE] + b[MW_KEY_SHMEM_HUGE] + b[MW_KEY_FILE_HUGE];
	c->hugetlb = b[MW_KEY_SHARED_HUGETLB] + b[MW_KEY_PRIVATE_HUGETLB];
	c->have |= has(entry, MW_KEY_RSS) ? MW_HAVE_RSS : 0;
	c->have |= has(entry, MW_KEY_ANONYMOUS) ? MW_HAVE_KINDS : 0;
	c->have |= has(entry, MW_KEY_PRIVATE_DIRTY) ? MW_HAVE_USS : 0;
	c->have |= has(entry, MW_KEY_PSS) ? MW_HAVE_PSS : 0;
	c->have |= has(entry, MW_KEY_SWAP) ? MW_HAVE_SWAP : 0;
	c->have |= has(entry, MW_KEY_ANON_HUGE) ? MW_HAVE_HUGE : 0;
	c->have |= has(entry, MW_KEY_PRIVATE_HUGETLB) ? MW_HAVE_HUGETLB : 0;
}

/*
 * Pss of a region the page engine counted. smaps truncates it to KiB, so the exact
 * value by map counts stays; and exclusive memory is its own proportional share.
 */
static void take_pss(struct mw_region *region, const struct mw_smaps_entry *entry)
{
	struct mw_counts *c = &region->counts;
	if ((c->have & MW_HAVE_PSS) || !has(entry, MW_KEY_PSS))
		return;
	c->pss_q12 = entry->bytes[MW_KEY_PSS] << 12;
	c->have |= MW_HAVE_PSS;
}

/*
 * Shared memory that is swapped out is in no page table: smaps alone counts it, and for
 * the region as a whole.
 */
static void take_shmem_swap(struct mw_region *region, const struct mw_smaps_entry *entry)
{
	if (!region->shmem || !has(entry, MW_KEY_SWAP) ||
	    entry->bytes[MW_KEY_SWAP] == region->counts.swap)
		return;
	region->counts.swap = entry->bytes[MW_KEY_SWAP];
	region->whole = true;
	region->n_runs = 0;
}

/* The region of that range, from *at on; NULL when the target has changed since. */
static struct mw_region *match(struct mw_snapshot *snap, const struct mw_maps_line *line,
			       size_t *at)
{
	while (*at < snap->regions.n && snap->regions.items[*at].start < line->start)
		(*at)++;
	if (*at == snap->regions.n || snap->regions.items[*at].start != line->start ||
	    snap->regions.items[*at].end != line->end)
		return NULL;
	return &snap->regions.items[*at];
}

enum { N_RECENT = 4 };

/* One pass over smaps, which comes in pieces. */
struct pass {
	struct mw_snapshot *snap;
	bool counts;       /* makes the regions, and their counters */
	bool begun;        /* something came: regions of an earlier try are gone */
	size_t at;         /* without `counts`: the region that is due */
	uint64_t last_end; /* with it: where the last one ended */
	const struct mw_smaps *recent[N_RECENT]; /* flags that came last */
	unsigned next_recent;
};

/*
 * The region of an entry, or NULL: one that overlaps what was there before (the target
 * changed meanwhile), or one that came up after maps were read.
 */
static struct mw_err *region_of(struct pass *pass, const struct mw_smaps_entry *entry,
				struct mw_region **ret)
{
	struct mw_snapshot *snap = pass->snap;
	*ret = NULL;
	if (!pass->counts) {
		*ret = match(snap, &entry->map, &pass->at);
		return NULL;
	}
	if (entry->map.start < pass->last_end)
		return NULL;
	struct mw_err *err = mw_region_add(snap, &entry->map);
	if (err)
		return err;
	pass->last_end = entry->map.end;
	*ret = &snap->regions.items[snap->regions.n - 1];
	return NULL;
}

static bool same_flags(const struct mw_smaps *smaps, const struct mw_smaps_entry *entry)
{
	return smaps && smaps->n_flags == entry->n_flags &&
	       memcmp(smaps->flags, entry->flags, 2 * (size_t)entry->n_flags) == 0;
}

/*
 * What is kept of an entry. Where nobody asked for columns the flags remain, and those of
 * 60,000 mappings are few kinds: they share them. NULL when memory is short.
 */
static const struct mw_smaps *keep(struct pass *pass, const struct mw_smaps_entry *entry)
{
	bool columns = pass->snap->columns;
	for (unsigned i = 0; !columns && i < N_RECENT; i++)
		if (same_flags(pass->recent[i], entry))
			return pass->recent[i];
	struct mw_smaps *smaps = mw_arena_calloc(&pass->snap->arena, 1, sizeof(*smaps));
	if (!smaps)
		return NULL;
	if (columns)
		take_columns(smaps, entry);
	take_flags(smaps, entry);
	pass->recent[pass->next_recent++ % N_RECENT] = smaps;
	return smaps;
}

static struct mw_err *take_entry(struct pass *pass, const struct mw_smaps_entry *entry)
{
	struct mw_region *region;
	struct mw_err *err = region_of(pass, entry, &region);
	if (err || !region)
		return err;
	region->smaps = keep(pass, entry);
	if (!region->smaps)
		return mw_err_nomem();
	if (!pass->snap->has_runs) {
		take_counts(region, entry);
		return NULL;
	}
	take_pss(region, entry);
	take_shmem_swap(region, entry);
	return NULL;
}

static struct mw_err *take_piece(void *ctx, const char *text, size_t len, bool last,
				 size_t *used)
{
	struct pass *pass = ctx;
	struct mw_smaps_entry entry;
	const char *pos = text,
		   *end = last ? text + len : mw_smaps_last(text, text + len);
	if (pass->counts && !pass->begun)
		pass->snap->regions.n = 0;
	pass->begun = true;
	while (pos < end && mw_smaps_next(&pos, end, &entry)) {
		struct mw_err *err = take_entry(pass, &entry);
		if (err)
			return err;
	}
	if (pos < end)
		return mw_err_new(MW_ERR_FORMAT, 0, "smaps",
				  "smaps of process %d has a line that cannot be read",
				  pass->snap->process.pid);
	*used = (size_t)(end - text);
	return NULL;
}

struct mw_err *mw_smaps_read(struct mw_snapshot *snap, bool counts)
{
	struct pass pass = { .snap = snap, .counts = counts };
	return mw_source_stream_text(snap->src, snap->process.pid, MW_FILE_SMAPS,
				     take_piece, &pass);
}

static uint64_t or_unknown(const struct mw_smaps_entry *entry, enum mw_smaps_key key)
{
	return has(entry, key) ? entry->bytes[key] : MW_UNKNOWN;
}

/* One reading of the file; *ret is left as it was when there is nothing in it. */
static struct mw_err *read_rollup(struct mw_snapshot *snap, struct mw_smaps_entry *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_smaps_entry entry;
	struct mw_err *err = mw_source_read_text(snap->src, snap->process.pid, 0,
						 MW_FILE_SMAPS_ROLLUP, &text);
	if (err)
		return err;
	const char *pos = mw_buf_str(&text);
	if (mw_smaps_next(&pos, pos + text.len, &entry) &&
	    (!ret->known || entry.bytes[MW_KEY_RSS] > ret->bytes[MW_KEY_RSS]))
		*ret = entry;
	return NULL;
}

/*
 * The kernel lets writers of the mappings go first, and from Linux 6.1 to 6.7 then leaves
 * out the mapping it was to go on with: 178 of 200 readings, where the target's mmap()
 * was kept busy. What is less than the pages that were found is read again; the largest
 * of three counts.
 */
struct mw_err *mw_rollup_read(struct mw_snapshot *snap)
{
	enum { TRIES = 3 };
	struct mw_smaps_entry entry = { 0 };
	struct mw_totals *totals = &snap->totals;
	uint64_t found = totals->sum.have & MW_HAVE_RSS ? totals->sum.rss : 0;
	for (unsigned i = 0; i < TRIES; i++) {
		struct mw_err *err = read_rollup(snap, &entry);
		if (err)
			return err;
		if (!has(&entry, MW_KEY_RSS) || entry.bytes[MW_KEY_RSS] >= found)
			break;
	}
	if (!entry.known)
		return NULL;
	totals->rollup_rss = or_unknown(&entry, MW_KEY_RSS);
	totals->rollup_pss = or_unknown(&entry, MW_KEY_PSS);
	if (has(&entry, MW_KEY_PRIVATE_CLEAN) && has(&entry, MW_KEY_PRIVATE_DIRTY))
		totals->rollup_uss = entry.bytes[MW_KEY_PRIVATE_CLEAN] +
				     entry.bytes[MW_KEY_PRIVATE_DIRTY];
	totals->rollup_lazyfree = or_unknown(&entry, MW_KEY_LAZYFREE);
	totals->rollup_locked = or_unknown(&entry, MW_KEY_LOCKED);
	totals->rollup_ksm = or_unknown(&entry, MW_KEY_KSM);
	totals->rollup_swap_pss = or_unknown(&entry, MW_KEY_SWAP_PSS);
	return NULL;
}
