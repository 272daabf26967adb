// SPDX-License-Identifier: MIT
#include "view/page.h"

#include "base/buf.h"
#include "procfs/pagebits.h"
#include "view/view.h"
#include <memwhy/perms.h>

#include <inttypes.h>
#include <string.h>

#define UNKNOWN UINT64_MAX

/* What the entry says, in words; the bits of pagemap and of PAGEMAP_SCAN. */
static bool add_state(struct mw_buf *text, const struct mw_frame *frame)
{
	static const struct {
		uint64_t bit;
		const char *word;
	} bits[] = {
		{ MW_PM_PRESENT, "present" }, { MW_PM_SWAP, "swapped" },
		{ MW_PM_FILE, "file" },       { MW_PM_EXCLUSIVE, "exclusive" },
		{ MW_PM_UFFD_WP, "uffd-wp" }, { MW_PM_SOFT_DIRTY, "soft-dirty" },
		{ MW_PM_GUARD, "guard" },
	};
	bool ok = true;
	for (size_t i = 0; ok && i < sizeof(bits) / sizeof(*bits); i++)
		if (frame->word & bits[i].bit)
			ok = mw_buf_printf(text, "%s%s", text->len ? " " : "",
					   bits[i].word);
	if (ok && (frame->word & MW_PM_PRESENT) && !(frame->word & MW_PM_FILE))
		ok = mw_buf_printf(text, " anonymous");
	if (ok && (frame->categories & MW_SCAN_PFNZERO))
		ok = mw_buf_printf(text, " zero-page");
	if (ok && (frame->categories & MW_SCAN_HUGE))
		ok = mw_buf_printf(text, " huge");
	return ok && (text->len || mw_buf_printf(text, "nothing"));
}

static bool add_flags(struct mw_buf *text, uint64_t flags)
{
	bool ok = true;
	for (unsigned i = 0; ok && flags != UNKNOWN && i < 64; i++)
		if ((flags >> i & 1) && mw_kpageflag_name(i))
			ok = mw_buf_printf(text, "%s%s", text->len ? " " : "",
					   mw_kpageflag_name(i));
	return ok;
}

static const struct mw_segment *segment_at(const struct mw_layout *layout, uint64_t addr)
{
	size_t n, at = mw_layout_from(layout, addr);
	const struct mw_segment *segs = mw_layout_segments(layout, &n);
	return at < n && segs[at].start <= addr ? &segs[at] : NULL;
}

static bool add_place(struct mw_buf *text, const struct mw_segment *seg,
		      const struct mw_place *place)
{
	bool ok = mw_buf_printf(text, "in %s", mw_class_title(seg->class));
	if (ok && seg->name[0] && seg->name[0] != '[')
		ok = mw_buf_printf(text, " of %s", seg->name);
	if (ok && place->section[0])
		ok = mw_buf_printf(text, ", section %s", place->section);
	if (ok && place->symbol[0])
		ok = mw_buf_printf(text, ", %s+0x%" PRIx64, place->symbol, place->offset);
	return ok;
}

/* What happens, or happened, at the address. */
static bool add_fate(struct mw_buf *text, const struct mw_page_answer *a)
{
	const struct mw_frame *frame = a->frames;
	const struct mw_region *region = mw_snapshot_find(a->snap, a->addr);
	if ((frame->word & MW_PM_GUARD) ||
	    (region && !(region->perms & ~(unsigned)MW_PERM_SHARED)))
		return mw_buf_printf(text, "may not be touched (SIGSEGV)");
	if (frame->word & MW_PM_SWAP)
		return mw_buf_printf(text, "is on swap");
	if (frame->categories & MW_SCAN_PFNZERO)
		return mw_buf_printf(text, "was read but never written: it shows the "
					   "kernel's page of zeros");
	if (!(frame->word & MW_PM_PRESENT))
		return mw_buf_printf(text, "has no page: the next touch is a fault");
	if (!frame->pfn)
		return mw_buf_printf(text, "is present%s",
				     frame->word & MW_PM_EXCLUSIVE
					     ? ", in this process alone"
					     : ", and others may map its frame too");
	if (frame->count == UNKNOWN)
		return mw_buf_printf(text, "is frame 0x%" PRIx64, frame->pfn);
	return mw_buf_printf(text, "is frame 0x%" PRIx64 ", mapped %" PRIu64 " time%s",
			     frame->pfn, frame->count, frame->count == 1 ? "" : "s");
}

static struct mw_err *headline(struct mw_out *out, const struct mw_page_answer *a,
			       const struct mw_segment *seg, const struct mw_place *place)
{
	const struct mw_process *process = mw_snapshot_process(a->snap);
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "%" PRIx64 " of %s (%d) ", a->addr, process->comm,
				(int)process->pid);
	if (ok && !seg)
		ok = mw_buf_printf(&text, "is not mapped: a touch is an error (SIGSEGV)");
	else if (ok)
		ok = add_fate(&text, a) && mw_buf_printf(&text, ", ") &&
		     add_place(&text, seg, place);
	if (!ok || !mw_buf_printf(&text, "."))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static void walk_table(struct mw_out *out, const struct mw_page_answer *a)
{
	static const struct mw_col cols[] = {
		{ "level", "level", MW_TYPE_TEXT, 0, 0 },
		{ "index", "index", MW_TYPE_COUNT, 0, 0 },
		{ "covers", "an entry covers", MW_TYPE_BYTES, 0, 0 },
	};
	struct mw_table table = { .key = "walk",
				  .title = "the walk of the address",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols) };
	struct mw_split split;
	mw_split_address(a->addr, a->levels, &split);
	bool huge = a->frames->categories & MW_SCAN_HUGE;
	mw_out_table(out, &table);
	/* A huge page is an entry of the last level but one: the walk ends there. */
	for (unsigned i = 0; i + huge < a->levels; i++) {
		struct mw_cell cells[] = {
			mw_cell_s(mw_level_name(a->levels, i)),
			mw_cell_u(split.index[i]),
			mw_cell_u(UINT64_C(1) << (12 + 9 * (a->levels - 1 - i))),
		};
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
	mw_out_field(out, "offset", MW_TYPE_COUNT,
		     mw_cell_u(huge ? a->addr & ((1 << 21) - 1) : split.offset));
}

static void entry_fields(struct mw_out *out, const struct mw_frame *f)
{
	static const struct {
		const char *key;
		uint64_t bit;
	} bits[] = {
		{ "present", MW_PM_PRESENT },
		{ "swapped", MW_PM_SWAP },
		{ "file", MW_PM_FILE },
		{ "exclusive", MW_PM_EXCLUSIVE },
		{ "soft_dirty", MW_PM_SOFT_DIRTY },
		{ "uffd_wp", MW_PM_UFFD_WP },
	};
	bool swapped = f->word & MW_PM_SWAP;
	mw_out_object(out, "entry");
	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		mw_out_field(out, bits[i].key, MW_TYPE_BOOL,
			     mw_cell_u(!!(f->word & bits[i].bit)));
	mw_out_field(
		out, "guard", MW_TYPE_BOOL,
		mw_cell_u((f->word & MW_PM_GUARD) || (f->categories & MW_SCAN_GUARD)));
	mw_out_field(out, "zero", MW_TYPE_BOOL,
		     mw_cell_u(!!(f->categories & MW_SCAN_PFNZERO)));
	mw_out_field(out, "huge", MW_TYPE_BOOL,
		     mw_cell_u(!!(f->categories & MW_SCAN_HUGE)));
	mw_out_field(out, "swap_type", MW_TYPE_COUNT,
		     mw_cell_if(swapped, mw_frame_swap_type(f)));
	mw_out_field(out, "swap_offset", MW_TYPE_COUNT,
		     mw_cell_if(swapped, mw_frame_swap_offset(f)));
	mw_out_object_end(out);
}

static struct mw_err *frame_fields(struct mw_out *out, const struct mw_frame *f,
				   const char *cgroup, uint64_t page)
{
	mw_auto_buf flags = { 0 };
	if (!add_flags(&flags, f->flags))
		return mw_err_nomem();
	mw_out_object(out, "frame");
	mw_out_field(out, "pfn", MW_TYPE_COUNT, mw_cell_if(f->pfn, f->pfn));
	mw_out_field(out, "physical", MW_TYPE_ADDR, mw_cell_if(f->pfn, f->pfn * page));
	mw_out_field(out, "flags", MW_TYPE_TEXT,
		     f->flags == UNKNOWN ? mw_cell_null()
					 : mw_cell_s(mw_buf_str(&flags)));
	mw_out_field(out, "map_count", MW_TYPE_COUNT, mw_cell_known(f->count));
	mw_out_field(out, "cgroup_inode", MW_TYPE_COUNT, mw_cell_known(f->cgroup));
	mw_out_field(out, "cgroup", MW_TYPE_TEXT,
		     cgroup[0] ? mw_cell_s(cgroup) : mw_cell_null());
	mw_out_object_end(out);
	return NULL;
}

static void place_fields(struct mw_out *out, const struct mw_segment *seg,
			 const struct mw_place *place)
{
	mw_out_field(out, "class", MW_TYPE_TEXT,
		     seg ? mw_cell_s(mw_class_key(seg->class)) : mw_cell_null());
	mw_out_field(out, "name", MW_TYPE_TEXT,
		     seg ? mw_cell_s(seg->name) : mw_cell_null());
	mw_out_field(out, "section", MW_TYPE_TEXT,
		     place->section[0] ? mw_cell_s(place->section) : mw_cell_null());
	mw_out_field(out, "symbol", MW_TYPE_TEXT,
		     place->symbol[0] ? mw_cell_s(place->symbol) : mw_cell_null());
}

static struct mw_err *line(struct mw_out *out, struct mw_buf *text, bool ok)
{
	if (!ok)
		return mw_err_nomem();
	mw_out_note(out, 2, mw_buf_str(text));
	mw_buf_clear(text);
	return NULL;
}

/* The entry and the frame, for people. */
static struct mw_err *lines(struct mw_out *out, const struct mw_page_answer *a,
			    uint64_t page)
{
	const struct mw_frame *f = a->frames;
	mw_auto_buf state = { 0 }, flags = { 0 }, text = { 0 };
	if (!add_state(&state, f) || !add_flags(&flags, f->flags))
		return mw_err_nomem();
	struct mw_err *err = line(
		out, &text,
		mw_buf_printf(&text, "offset 0x%" PRIx64 " in the page", a->addr % page));
	if (!err)
		err = line(out, &text,
			   mw_buf_printf(&text, "entry: %s", mw_buf_str(&state)));
	if (!err && (f->word & MW_PM_SWAP))
		err = line(out, &text,
			   mw_buf_printf(&text,
					 "swap: area %u, offset 0x%" PRIx64 " pages",
					 mw_frame_swap_type(f), mw_frame_swap_offset(f)));
	if (!err && f->pfn)
		err = line(out, &text,
			   mw_buf_printf(&text,
					 "frame: 0x%" PRIx64
					 ", physical address 0x%" PRIx64,
					 f->pfn, f->pfn * page + a->addr % page));
	if (!err && flags.len)
		err = line(out, &text,
			   mw_buf_printf(&text, "flags: %s", mw_buf_str(&flags)));
	if (!err && f->cgroup != UNKNOWN && f->cgroup)
		err = line(out, &text,
			   a->cgroup[0]
				   ? mw_buf_printf(&text,
						   "charged to the memory cgroup %s",
						   a->cgroup)
				   : mw_buf_printf(&text,
						   "charged to the memory cgroup with "
						   "inode %" PRIu64,
						   f->cgroup));
	if (!err && a->has_value)
		err = line(out, &text,
			   mw_buf_printf(&text, "the word there is 0x%016" PRIx64,
					 a->value));
	return err;
}

static struct mw_err *sharers_table(struct mw_out *out, const struct mw_page_answer *a)
{
	static const struct mw_col cols[] = {
		{ "pid", "pid", MW_TYPE_COUNT, 0, 0 },
		{ "process", "process", MW_TYPE_TEXT, 0, 0 },
		{ "address", "at", MW_TYPE_ADDR, 0, 0 },
	};
	enum { SHOWN = 20 };
	const struct mw_sharers *s = a->sharers;
	struct mw_table table = { .key = "sharers",
				  .title = "who maps this frame",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .n_rows = s->n,
				  .is_main = true };
	size_t shown = mw_out_is_text(out) && s->n > SHOWN ? SHOWN : s->n;
	mw_auto_buf text = { 0 };
	mw_out_table(out, &table);
	for (size_t i = 0; i < shown; i++) {
		struct mw_cell cells[] = { mw_cell_u((uint64_t)s->items[i].pid),
					   mw_cell_s(s->items[i].comm),
					   mw_cell_u(s->items[i].addr) };
		mw_out_row(out, cells, MW_PLAIN);
	}
	mw_out_table_end(out);
	if (shown < s->n)
		return line(out, &text,
			    mw_buf_printf(&text, "and %zu more", s->n - shown));
	uint64_t count = a->frames->count;
	if (count != UNKNOWN && count > s->n && !(a->frames->categories & MW_SCAN_HUGE))
		return line(out, &text,
			    mw_buf_printf(&text,
					  "%" PRIu64 " more mapping%s not found: moved "
					  "(mremap), merged (KSM), or of a process that "
					  "may not be read",
					  count - s->n,
					  count - s->n == 1 ? " was" : "s were"));
	return NULL;
}

/* Why something is missing; what is denied to this user names the way out. */
static void limits(struct mw_out *out, const struct mw_page_answer *a,
		   const struct mw_place *place)
{
	struct mw_gap gaps[3];
	size_t n = 0;
	bool hidden = (a->frames->word & MW_PM_PRESENT) && !a->frames->pfn;
	if (hidden || a->no_frames[0])
		gaps[n++] = (struct mw_gap){
			.what = "frames",
			.why = a->no_frames[0] ? a->no_frames
					       : "their numbers are hidden from this "
						 "user (CAP_SYS_ADMIN shows them)",
			.remedy = hidden ? a->remedy : "",
		};
	if (place->err)
		gaps[n++] = (struct mw_gap){ .what = "section and symbol",
					     .why = place->err->msg,
					     .remedy = "" };
	if (a->sharers && a->sharers->n_denied)
		gaps[n++] = (struct mw_gap){
			.what = "other processes",
			.why = "some may not be asked what they map",
			.remedy = a->remedy,
		};
	struct mw_gap_list lists[] = { mw_snapshot_gap_list(a->snap), { gaps, n } };
	mw_view_gaps(out, lists, 2, &(struct mw_view_stop){ 0 });
}

static struct mw_err *one_page(struct mw_out *out, const struct mw_page_answer *a,
			       const struct mw_segment *seg, const struct mw_place *place)
{
	uint64_t page = mw_source_facts(mw_snapshot_source(a->snap))->page_size;
	struct mw_err *err = headline(out, a, seg, place);
	if (err)
		return err;
	mw_view_process(out, mw_snapshot_process(a->snap));
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(a->addr));
	mw_out_field(out, "mapped", MW_TYPE_BOOL, mw_cell_u(seg != NULL));
	place_fields(out, seg, place);
	if (a->levels)
		walk_table(out, a);
	entry_fields(out, a->frames);
	err = frame_fields(out, a->frames, a->cgroup, page);
	mw_out_field(out, "value", MW_TYPE_ADDR, mw_cell_if(a->has_value, a->value));
	if (!err)
		err = lines(out, a, page);
	if (!err && a->sharers)
		err = sharers_table(out, a);
	return err;
}

static struct mw_err *range_row(struct mw_out *out, const struct mw_page_answer *a,
				const struct mw_frame *f)
{
	mw_auto_buf state = { 0 }, flags = { 0 };
	const struct mw_segment *seg = segment_at(a->layout, f->addr);
	if (!add_state(&state, f) || !add_flags(&flags, f->flags))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_u(f->addr),
		mw_cell_s(seg ? mw_buf_str(&state) : "not mapped"),
		mw_cell_if(f->pfn, f->pfn),
		mw_cell_known(f->count),
		f->flags == UNKNOWN ? mw_cell_null() : mw_cell_s(mw_buf_str(&flags)),
		seg ? mw_cell_s(mw_class_key(seg->class)) : mw_cell_null(),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

static struct mw_err *range(struct mw_out *out, const struct mw_page_answer *a)
{
	static const struct mw_col cols[] = {
		{ "address", "address", MW_TYPE_ADDR, 0, 16 },
		{ "state", "state", MW_TYPE_TEXT, 0, 28 },
		{ "pfn", "frame", MW_TYPE_COUNT, 0, 9 },
		{ "map_count", "mapped", MW_TYPE_COUNT, 0, 6 },
		{ "flags", "flags", MW_TYPE_TEXT, MW_COL_TRUNC, 30 },
		{ "class", "class", MW_TYPE_TEXT, 0, 0 },
	};
	struct mw_table table = { .key = "pages",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .n_rows = a->n_frames,
				  .is_main = true };
	const struct mw_process *process = mw_snapshot_process(a->snap);
	mw_auto_buf text = { 0 };
	size_t present = 0;
	for (size_t i = 0; i < a->n_frames; i++)
		present += (a->frames[i].word & MW_PM_PRESENT) != 0;
	if (!mw_buf_printf(&text,
			   "%zu of %zu pages from %" PRIx64 " of %s (%d) are present.",
			   present, a->n_frames, a->frames->addr, process->comm,
			   (int)process->pid))
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	mw_view_process(out, process);
	mw_out_table(out, &table);
	struct mw_err *err = NULL;
	for (size_t i = 0; i < a->n_frames && !err && !mw_out_failed(out); i++)
		err = range_row(out, a, &a->frames[i]);
	mw_out_table_end(out);
	return err;
}

struct mw_err *mw_view_page(struct mw_out *out, const struct mw_page_answer *answer)
{
	const struct mw_region *region = mw_snapshot_find(answer->snap, answer->addr);
	const struct mw_segment *seg =
		region ? segment_at(answer->layout, answer->addr) : NULL;
	struct mw_place place = { 0 };
	if (answer->n_frames == 1 && seg && region->ino && region->perms)
		mw_place_find(answer->snap, region, answer->addr, &place);
	/* A mapped file that is no object has neither, a place between symbols no symbol.
	 */
	if (place.err &&
	    (place.err->code == MW_ERR_FORMAT || place.err->code == MW_ERR_NOTFOUND)) {
		mw_err_free(place.err);
		place.err = NULL;
	}
	mw_out_begin(out, "memwhy.page/1");
	struct mw_err *err = answer->n_frames == 1 ? one_page(out, answer, seg, &place)
						   : range(out, answer);
	if (!err)
		limits(out, answer, &place);
	mw_err_free(place.err);
	return err;
}

/* Rows with the same frame share a letter. */
static size_t first_with(const struct mw_page_same *rows, size_t i)
{
	size_t k = 0;
	while (rows[k].frame.pfn != rows[i].frame.pfn)
		k++;
	return k;
}

static struct mw_err *same_headline(struct mw_out *out, uint64_t addr,
				    const struct mw_page_same *rows, size_t n)
{
	size_t present = 0, hidden = 0, frames = 0, refused = 0;
	mw_auto_buf text = { 0 };
	for (size_t i = 0; i < n; i++) {
		refused += rows[i].refused;
		present += (rows[i].frame.word & MW_PM_PRESENT) != 0;
		hidden += (rows[i].frame.word & MW_PM_PRESENT) && !rows[i].frame.pfn;
		frames += rows[i].frame.pfn && first_with(rows, i) == i;
	}
	bool ok = mw_buf_printf(&text, "One address, %zu processes: %" PRIx64, n, addr);
	if (ok && refused < n)
		ok = mw_buf_printf(&text, " is present in %zu of them", present);
	if (ok && refused)
		ok = mw_buf_printf(&text, "%s %zu may not be read",
				   refused < n ? "," : ":", refused);
	if (ok && refused == n)
		ok = mw_buf_printf(&text, ".");
	else if (ok && hidden)
		ok = mw_buf_printf(&text, "; which frames they have is hidden.");
	else if (ok)
		ok = mw_buf_printf(&text, ", in %zu frame%s.", frames,
				   frames != 1   ? "s"
				   : present > 1 ? ": it is shared"
						 : "");
	if (!ok)
		return mw_err_nomem();
	mw_out_headline(out, mw_buf_str(&text));
	return NULL;
}

static struct mw_err *same_row(struct mw_out *out, const struct mw_page_same *rows,
			       size_t i)
{
	const struct mw_page_same *row = &rows[i];
	mw_auto_buf state = { 0 };
	if (!add_state(&state, &row->frame))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_u((uint64_t)row->process->pid),
		mw_cell_s(row->process->comm),
		mw_cell_s(row->refused  ? "may not be read"
			  : row->mapped ? mw_buf_str(&state)
					: "not mapped"),
		mw_cell_if(row->frame.pfn, row->frame.pfn),
		mw_cell_if(row->frame.pfn,
			   (uint64_t)rows[first_with(rows, i)].process->pid),
		mw_cell_known(row->frame.count),
		mw_cell_if(row->has_value, row->value),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

struct mw_err *mw_view_page_same(struct mw_out *out, uint64_t addr,
				 const struct mw_page_same *rows, size_t n)
{
	static const struct mw_col cols[] = {
		{ "pid", "pid", MW_TYPE_COUNT, 0, 0 },
		{ "process", "process", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "state", "entry", MW_TYPE_TEXT, 0, 0 },
		{ "pfn", "frame", MW_TYPE_COUNT, 0, 0 },
		{ "same_as", "same frame as", MW_TYPE_COUNT, 0, 0 },
		{ "map_count", "mapped", MW_TYPE_COUNT, 0, 0 },
		{ "value", "the word there", MW_TYPE_ADDR, 0, 0 },
	};
	struct mw_table table = { .key = "processes",
				  .title = "",
				  .cols = cols,
				  .n_cols = sizeof(cols) / sizeof(*cols),
				  .n_rows = n,
				  .is_main = true };
	struct mw_gap gap = { "frames", "", "run it as root" };
	mw_out_begin(out, "memwhy.page/1");
	struct mw_err *err = same_headline(out, addr, rows, n);
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(addr));
	mw_out_table(out, &table);
	for (size_t i = 0; i < n && !err; i++)
		err = same_row(out, rows, i);
	mw_out_table_end(out);
	for (size_t i = 0; i < n && !gap.why[0]; i++) {
		bool hidden = (rows[i].frame.word & MW_PM_PRESENT) && !rows[i].frame.pfn;
		gap.why = rows[i].no_frames[0] ? rows[i].no_frames
			  : hidden             ? "their numbers are hidden from this user"
					       : "";
	}
	struct mw_gap_list list = { &gap, gap.why[0] ? 1 : 0 };
	mw_view_gaps(out, &list, 1, &(struct mw_view_stop){ 0 });
	return err;
}
