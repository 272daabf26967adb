// SPDX-License-Identifier: MIT
/*
 * Rules on the process's totals. Each says what it compares and from where; it stays
 * silent when a figure it needs was not read.
 */
#include "explain/impl.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/units.h"
#include "model/access.h"

#include <inttypes.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct mw_process *process(const struct mw_explain *ex)
{
	return mw_snapshot_process(ex->pub.snap);
}

static const char *command(struct mw_explain *ex, const char *options)
{
	const struct mw_snapshot *snap = ex->pub.snap;
	return mw_advice_command(mw_snapshot_source(snap), &ex->arena, "map",
				 mw_snapshot_process(snap)->pid, options);
}

/*
 * A page table page maps 2 MiB in 4 KiB steps: 0.2 % of what is resident, if that is
 * dense. Ten times that means sparse use of address space, or tables left behind.
 */
struct mw_err *mw_rule_page_tables(struct mw_explain *ex)
{
	uint64_t pte = process(ex)->vm_pte, rss = ex->pub.account.rss;
	if (pte == MW_UNKNOWN || pte < MIB || pte < rss / 50)
		return NULL;
	return mw_find(
		ex, (struct mw_finding){
			    .id = "page-tables",
			    .claim = mw_arena_printf(
				    &ex->arena,
				    "Page tables take %s, %s of Rss and not part of it: "
				    "memory is used "
				    "sparsely over a large address range.",
				    mw_words(ex, pte), mw_percent(ex, pte, rss)),
			    .evidence = mw_arena_printf(&ex->arena,
							"status VmPTE %" PRIu64
							" KiB; dense 4 KiB pages "
							"need 0.2 %%",
							pte >> 10),
			    .next = command(ex, "--summary"),
			    .confidence = MW_CERTAIN,
			    .bytes = pte,
		    });
}

struct mw_err *mw_rule_locked(struct mw_explain *ex)
{
	uint64_t locked = process(ex)->vm_lck;
	if (locked == MW_UNKNOWN || !locked)
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "locked",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s of address space is locked (mlock, mlockall): its "
				"pages can be neither swapped nor reclaimed.",
				mw_words(ex, locked)),
			.evidence = mw_arena_printf(
				&ex->arena, "status VmLck %" PRIu64 " KiB", locked >> 10),
			.next = command(ex, "--sort rss"),
			.confidence = MW_CERTAIN,
			.bytes = locked,
		});
}

struct mw_err *mw_rule_lazyfree(struct mw_explain *ex)
{
	uint64_t lazy = mw_snapshot_totals(ex->pub.snap)->rollup_lazyfree;
	if (lazy == MW_UNKNOWN || lazy < MIB || lazy < ex->pub.account.rss / 100)
		return NULL;
	return mw_find(
		ex, (struct mw_finding){
			    .id = "lazyfree",
			    .claim = mw_arena_printf(
				    &ex->arena,
				    "%s (%s) is already given back with MADV_FREE: it "
				    "counts as Rss until "
				    "the kernel needs memory, then it goes without any "
				    "write-out.",
				    mw_words(ex, lazy),
				    mw_percent(ex, lazy, ex->pub.account.rss)),
			    .evidence = mw_arena_printf(
				    &ex->arena, "smaps_rollup LazyFree %" PRIu64 " KiB",
				    lazy >> 10),
			    .next = command(ex, "--sort rss"),
			    .confidence = MW_CERTAIN,
			    .bytes = lazy,
		    });
}

static bool read_number(struct mw_explain *ex, enum mw_file file, uint64_t *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err =
		mw_source_read_text(mw_snapshot_source(ex->pub.snap), 0, 0, file, &text);
	const char *pos = mw_buf_str(&text);
	bool ok = !err && mw_take_dec(&pos, pos + text.len, ret);
	mw_err_free(err);
	return ok;
}

/* Only worth a look when there are thousands: the limit is 65530 by default. */
struct mw_err *mw_rule_map_count(struct mw_explain *ex)
{
	size_t n;
	uint64_t max;
	mw_snapshot_regions(ex->pub.snap, &n);
	if (n < 1000 || !read_number(ex, MW_FILE_MAX_MAP_COUNT, &max) || n < max / 5 * 4)
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "map-count",
			.claim = mw_arena_printf(
				&ex->arena,
				"It has %zu mappings, near the limit of %" PRIu64
				": then mmap, mprotect and malloc fail with ENOMEM, "
				"whatever memory is free.",
				n, max),
			.evidence = mw_arena_printf(
				&ex->arena,
				"%zu lines in maps; vm.max_map_count = %" PRIu64, n, max),
			.next = command(ex, "--summary"),
			.confidence = MW_CERTAIN,
			.bytes = 0,
		});
}

struct mw_err *mw_rule_vsz(struct mw_explain *ex)
{
	const struct mw_process *p = process(ex);
	uint64_t rss = ex->pub.account.rss;
	if (p->vm_size == MW_UNKNOWN || p->vm_size < 4 * GIB || p->vm_size / 20 < rss)
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "vsz",
			.claim = mw_arena_printf(
				&ex->arena,
				"Its virtual size of %s means nothing: %s of it is "
				"address space "
				"without a page behind it.",
				mw_words(ex, p->vm_size), mw_words(ex, p->vm_size - rss)),
			.evidence = mw_arena_printf(&ex->arena,
						    "status VmSize %" PRIu64
						    " KiB, resident %" PRIu64 " KiB",
						    p->vm_size >> 10, rss >> 10),
			.next = command(ex, "--sort size"),
			.confidence = MW_CERTAIN,
			.bytes = 0,
		});
}

struct mw_err *mw_rule_peak(struct mw_explain *ex)
{
	uint64_t peak = process(ex)->vm_hwm, rss = ex->pub.account.rss;
	if (peak == MW_UNKNOWN || peak < 64 * MIB || peak < rss + rss / 2)
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "peak",
			.claim = mw_arena_printf(
				&ex->arena,
				"It was larger before: %s at its peak, %s now. A limit "
				"set for today's size would have killed it.",
				mw_words(ex, peak), mw_words(ex, rss)),
			.evidence = mw_arena_printf(
				&ex->arena, "status VmHWM %" PRIu64 " KiB", peak >> 10),
			.next = command(ex, "--watch"),
			.confidence = MW_CERTAIN,
			.bytes = 0,
		});
}

struct mw_err *mw_rule_swap(struct mw_explain *ex)
{
	uint64_t swap = process(ex)->vm_swap, rss = ex->pub.account.rss;
	if (swap == MW_UNKNOWN || swap < MIB || swap < rss / 10)
		return NULL;
	return mw_find(
		ex,
		(struct mw_finding){
			.id = "swap",
			.claim = mw_arena_printf(
				&ex->arena,
				"%s more of it is swapped out: Rss alone tells only %s "
				"of its size.",
				mw_words(ex, swap), mw_percent(ex, rss, rss + swap)),
			.evidence = mw_arena_printf(
				&ex->arena, "status VmSwap %" PRIu64 " KiB", swap >> 10),
			.next = command(ex, "--sort swap"),
			.confidence = MW_CERTAIN,
			.bytes = swap,
		});
}
