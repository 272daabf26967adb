// SPDX-License-Identifier: MIT
/* Probes of an address, and the sums that are asked with or without one. */
#include "lab/seen.h"
#include "model/frame/frame.h"

#include <string.h>

#define COUNT(field) offsetof(struct mw_counts, field)

static uint64_t addr_of(const struct mw_asked *asked)
{
	return (uint64_t)asked->args[0].number;
}

static const struct mw_region *region_of(const struct mw_asked *asked)
{
	return mw_snapshot_find(asked->of->snap, addr_of(asked));
}

static struct mw_err *ask_mapped(struct mw_asked *asked, struct mw_value *ret)
{
	return mw_known(ret, region_of(asked) != NULL);
}

static struct mw_err *ask_start(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_region *region = region_of(asked);
	return mw_known(ret, region ? region->start : 0);
}

static struct mw_err *ask_end(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_region *region = region_of(asked);
	return mw_known(ret, region ? region->end : 0);
}

const char *mw_lab_perms(struct mw_arena *arena, unsigned perms)
{
	return mw_arena_printf(arena, "%c%c%c%c", perms & MW_PERM_READ ? 'r' : '-',
			       perms & MW_PERM_WRITE ? 'w' : '-',
			       perms & MW_PERM_EXEC ? 'x' : '-',
			       perms & MW_PERM_SHARED ? 's' : 'p');
}

static struct mw_err *text(struct mw_value *ret, const char *text)
{
	*ret = mw_value_text(text);
	return text ? NULL : mw_err_nomem();
}

static struct mw_err *ask_perms(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_region *region = region_of(asked);
	return text(ret, region ? mw_lab_perms(asked->arena, region->perms) : "");
}

static struct mw_err *ask_name(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_region *region = region_of(asked);
	return text(ret, region ? mw_arena_strdup(asked->arena, region->name) : "");
}

static struct mw_err *ask_what(struct mw_asked *asked, const char *(*say)(enum mw_class),
			       struct mw_value *ret)
{
	enum mw_class class;
	struct mw_err *err = mw_seen_classify(asked->seen, asked->of);
	if (err)
		return err;
	if (!asked->of->layout)
		return mw_not_known(asked, ret, "%s", asked->of->no_layout);
	return text(ret,
		    mw_seen_class(asked->of, addr_of(asked), &class) ? say(class) : "");
}

static struct mw_err *ask_class(struct mw_asked *asked, struct mw_value *ret)
{
	return ask_what(asked, mw_class_key, ret);
}

static struct mw_err *ask_title(struct mw_asked *asked, struct mw_value *ret)
{
	return ask_what(asked, mw_class_title, ret);
}

/* The range that is asked about; all of the address space without an address. */
static bool range_of(const struct mw_asked *asked, struct mw_seen_range *ret)
{
	*ret = (struct mw_seen_range){ 0, UINT64_MAX };
	if (asked->n == 1)
		*ret = mw_seen_mapping(asked->of, addr_of(asked));
	else if (asked->n == 2)
		*ret = mw_seen_pages(asked->seen, addr_of(asked),
				     (uint64_t)asked->args[1].number);
	return asked->n < 2 || asked->args[1].number >= 0;
}

static struct mw_err *no_pages(struct mw_asked *asked, struct mw_value *ret)
{
	return mw_not_known(asked, ret, "the pages of this mapping cannot be told apart");
}

/* One figure of a range's counters. */
static struct mw_err *ask_count(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_probe *probe = asked->probe;
	struct mw_seen_range range;
	uint64_t n;
	if (!range_of(asked, &range))
		return mw_not_known(asked, ret, "%s() of a negative length", probe->name);
	struct mw_counts counts = asked->n ? mw_seen_count(asked->of, range)
					   : mw_snapshot_totals(asked->of->snap)->sum;
	counts.pss_q12 = mw_counts_pss(&counts);
	memcpy(&n, (const char *)&counts + probe->field, sizeof(n));
	if (counts.have & probe->have)
		return mw_known(ret, n);
	if (probe->have == MW_HAVE_PSS)
		return mw_not_known(asked, ret,
				    "it needs page frames, which this user may not see");
	return no_pages(asked, ret);
}

/* The kernel sums up a whole process for anybody who may look at it. */
static struct mw_err *ask_pss(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_totals *totals = mw_snapshot_totals(asked->of->snap);
	if (!asked->n && !(totals->sum.have & MW_HAVE_PSS) &&
	    totals->rollup_pss != UINT64_MAX)
		return mw_known(ret, totals->rollup_pss);
	return ask_count(asked, ret);
}

static struct mw_err *ask_zero(struct mw_asked *asked, struct mw_value *ret)
{
	struct mw_seen_range range;
	uint64_t bytes;
	if (!range_of(asked, &range))
		return mw_not_known(asked, ret, "zero() of a negative length");
	if (mw_seen_zero(asked->seen, asked->of, range, &bytes))
		return mw_known(ret, bytes);
	return mw_not_known(asked, ret,
			    "which pages are zero pages this kernel does not tell "
			    "(PAGEMAP_SCAN, Linux 6.7)");
}

static struct mw_err *size_of_all(struct mw_asked *asked, struct mw_value *ret)
{
	size_t n;
	uint64_t sum = 0;
	const struct mw_region *regions = mw_snapshot_regions(asked->of->snap, &n);
	/* [vsyscall] is no mapping of the process: VmSize does not count it either. */
	for (size_t i = 0; i < n; i++)
		if (regions[i].start < UINT64_C(1) << 63)
			sum += regions[i].end - regions[i].start;
	return mw_known(ret, sum);
}

static struct mw_err *ask_size(struct mw_asked *asked, struct mw_value *ret)
{
	const struct mw_region *region;
	if (!asked->n)
		return size_of_all(asked, ret);
	region = region_of(asked);
	return mw_known(ret, region ? region->end - region->start : 0);
}

static struct mw_err *ask_regions(struct mw_asked *asked, struct mw_value *ret)
{
	size_t n;
	(void)mw_snapshot_regions(asked->of->snap, &n);
	return mw_known(ret, n);
}

static struct mw_err *ask_present(struct mw_asked *asked, struct mw_value *ret)
{
	unsigned state;
	if (!mw_seen_state(asked->seen, asked->of, addr_of(asked), &state))
		return no_pages(asked, ret);
	return mw_known(ret, (state & MW_PAGE_PRESENT) != 0);
}

/* What was read before the process went on. */
static const struct mw_kept_answer *find_kept(const struct mw_asked *asked)
{
	for (const struct mw_kept_answer *kept = asked->seen->kept; kept;
	     kept = kept->next)
		if (kept->of == asked->of && kept->addr == addr_of(asked) &&
		    kept->probe == asked->probe)
			return kept;
	return NULL;
}

static struct mw_err *keep(struct mw_asked *asked, uint64_t n, struct mw_value *ret)
{
	struct mw_observation *seen = asked->seen;
	struct mw_kept_answer *kept = mw_arena_alloc(&seen->arena, sizeof(*kept));
	if (!kept)
		return mw_err_nomem();
	*kept = (struct mw_kept_answer){ seen->kept, asked->of, asked->probe,
					 addr_of(asked), (int64_t)n };
	seen->kept = kept;
	return mw_known(ret, n);
}

/*
 * For what is read from the process itself: answers at once from what was kept, from
 * the absence of a page, or with an unknown. False: it is to be read.
 */
static bool answered(struct mw_asked *asked, struct mw_value *ret, struct mw_err **err)
{
	const struct mw_kept_answer *kept = find_kept(asked);
	if (kept)
		*err = mw_known(ret, (uint64_t)kept->number);
	else if (asked->seen->closed)
		*err = mw_not_known(asked, ret,
				    "it was not asked before the process went on");
	else
		return false;
	return true;
}

static struct mw_err *read_frame(struct mw_asked *asked, struct mw_frame *frame,
				 const char **why)
{
	uint64_t page = addr_of(asked) & ~(asked->seen->page - 1);
	mw_auto_err err = mw_frames_read(asked->seen->src, asked->of->pid, page, 1,
					 asked->arena, frame, why);
	if (!err) {
		if (!(*why)[0])
			*why = "page frames are hidden from this user";
		return NULL;
	}
	if (err->code == MW_ERR_NOMEM)
		return mw_err_nomem();
	*frame = (struct mw_frame){ .count = UINT64_MAX };
	*why = mw_arena_strdup(asked->arena, err->msg);
	return *why ? NULL : mw_err_nomem();
}

static struct mw_err *ask_frame(struct mw_asked *asked, struct mw_value *ret)
{
	struct mw_err *err;
	struct mw_frame frame;
	const char *why;
	unsigned state;
	if (mw_seen_state(asked->seen, asked->of, addr_of(asked), &state) &&
	    !(state & MW_PAGE_PRESENT))
		return mw_known(ret, 0);
	if (answered(asked, ret, &err))
		return err;
	err = read_frame(asked, &frame, &why);
	if (err)
		return err;
	return frame.pfn ? keep(asked, frame.pfn, ret)
			 : mw_not_known(asked, ret, "%s", why);
}

/* A page of this process alone is mapped once: that needs no frames. */
static struct mw_err *ask_mapcount(struct mw_asked *asked, struct mw_value *ret)
{
	struct mw_err *err;
	struct mw_frame frame;
	const char *why;
	unsigned state = 0;
	bool known = mw_seen_state(asked->seen, asked->of, addr_of(asked), &state);
	if (known && !(state & MW_PAGE_PRESENT))
		return mw_known(ret, 0);
	if (state & MW_PAGE_EXCLUSIVE)
		return mw_known(ret, 1);
	if (answered(asked, ret, &err))
		return err;
	err = read_frame(asked, &frame, &why);
	if (err)
		return err;
	return frame.pfn && frame.count != UINT64_MAX
		       ? keep(asked, frame.count, ret)
		       : mw_not_known(asked, ret, "%s", why);
}

/* Reading a page that is not there would put it there. */
static bool all_present(struct mw_asked *asked, uint64_t addr, size_t len)
{
	unsigned first, last;
	return mw_seen_state(asked->seen, asked->of, addr, &first) &&
	       mw_seen_state(asked->seen, asked->of, addr + len - 1, &last) &&
	       (first & last & MW_PAGE_PRESENT);
}

static struct mw_err *ask_word(struct mw_asked *asked, struct mw_value *ret)
{
	uint64_t addr = addr_of(asked), word;
	struct mw_err *err;
	size_t got = 0;
	if (answered(asked, ret, &err))
		return err;
	if (!all_present(asked, addr, sizeof(word)))
		return mw_not_known(asked, ret,
				    "its page is not present, and reading it "
				    "would change that");
	err = mw_source_read_memory(asked->seen->src, asked->of->pid, addr, &word,
				    sizeof(word), MW_READ_CONTENTS, &got);
	if (!err && got == sizeof(word))
		return keep(asked, word, ret);
	struct mw_err *ours =
		mw_not_known(asked, ret, "%s", err ? err->msg : "the mapping ends in it");
	mw_err_free(err);
	return ours;
}

static struct mw_err *ask_index(struct mw_asked *asked, struct mw_value *ret)
{
	struct mw_observation *seen = asked->seen;
	struct mw_split split;
	int64_t i = asked->args[0].number;
	if (!seen->levels)
		seen->levels = mw_paging_levels(seen->src);
	if (!seen->levels)
		return mw_not_known(
			asked, ret,
			"how this machine's page tables are built is not known");
	if (i < 0 || i >= seen->levels)
		return mw_not_known(asked, ret, "the page table has levels 0 to %u",
				    seen->levels - 1);
	mw_split_address((uint64_t)asked->args[1].number, seen->levels, &split);
	return mw_known(ret, split.index[i]);
}

const struct mw_probe mw_memory_probes[] = {
	{ "mapped", 1, 1, MW_PROBE_FIRST, ask_mapped },
	{ "start", 1, 1, MW_PROBE_FIRST, ask_start },
	{ "end", 1, 1, MW_PROBE_FIRST, ask_end },
	{ "size", 1, 1, MW_PROBE_FIRST, ask_size },
	{ "size", 0, 0, MW_PROBE_SUM, ask_size },
	{ "perms", 1, 1, MW_PROBE_FIRST, ask_perms },
	{ "class", 1, 1, MW_PROBE_FIRST, ask_class },
	{ "title", 1, 1, MW_PROBE_FIRST, ask_title },
	{ "name", 1, 1, MW_PROBE_FIRST, ask_name },
	{ "rss", 0, 2, MW_PROBE_SUM, ask_count, COUNT(rss), MW_HAVE_RSS },
	{ "anon", 0, 2, MW_PROBE_SUM, ask_count, COUNT(anon), MW_HAVE_KINDS },
	{ "file", 0, 2, MW_PROBE_SUM, ask_count, COUNT(file), MW_HAVE_KINDS },
	{ "shmem", 0, 2, MW_PROBE_SUM, ask_count, COUNT(shmem), MW_HAVE_KINDS },
	{ "private", 0, 2, MW_PROBE_SUM, ask_count, COUNT(uss), MW_HAVE_USS },
	{ "pss", 0, 2, MW_PROBE_SUM, ask_pss, COUNT(pss_q12), MW_HAVE_PSS },
	{ "swap", 0, 2, MW_PROBE_SUM, ask_count, COUNT(swap), MW_HAVE_SWAP },
	{ "huge", 0, 2, MW_PROBE_SUM, ask_count, COUNT(huge), MW_HAVE_HUGE },
	{ "zero", 0, 2, MW_PROBE_SUM, ask_zero },
	{ "regions", 0, 0, MW_PROBE_SUM, ask_regions },
	{ "present", 1, 1, MW_PROBE_FIRST, ask_present },
	{ "frame", 1, 1, MW_PROBE_FIRST, ask_frame },
	{ "mapcount", 1, 1, MW_PROBE_FIRST, ask_mapcount },
	{ "word", 1, 1, MW_PROBE_FIRST, ask_word },
	{ "index", 2, 2, MW_PROBE_FIRST, ask_index },
	{ 0 },
};
