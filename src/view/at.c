// SPDX-License-Identifier: MIT
/* One address: its segment and neighbours, its page, its section and symbol. */
#include "view/map.h"

#include "base/buf.h"
#include "base/vec.h"
#include "symbols/object.h"

#include <inttypes.h>
#include <string.h>

static bool is_elf_class(enum mw_class class)
{
	return class >= MW_CLASS_EXE_TEXT && class <= MW_CLASS_LOADER_BSS;
}

/* Above this all addresses are the kernel's. */
#define KERNEL_START (UINT64_C(1) << 63)

static bool add_nothing(struct mw_buf *text, const struct mw_snapshot *snap,
			uint64_t addr)
{
	size_t n;
	mw_snapshot_regions(snap, &n);
	if (!n)
		return mw_buf_printf(
			text, "Whether %" PRIx64 " is mapped could not be read", addr);
	return mw_buf_printf(text, "%" PRIx64 " is %snot mapped", addr,
			     addr >= KERNEL_START ? "an address of the kernel's own, "
						  : "");
}

/* "[stack]" says no more than the class; paths and threads do. */
static bool add_segment(struct mw_buf *text, const struct mw_segment *seg, uint64_t addr)
{
	bool named = seg->name[0] && seg->name[0] != '[';
	return mw_buf_printf(text, "%" PRIx64 " is %s%s%s, 0x%" PRIx64 " from its start",
			     addr, mw_class_title(seg->class), named ? " of " : "",
			     named ? seg->name : "", addr - seg->start);
}

static struct mw_err *sentence(const struct mw_snapshot *snap,
			       const struct mw_segment *seg, const struct mw_place *place,
			       uint64_t addr, struct mw_buf *text)
{
	bool ok = seg ? add_segment(text, seg, addr) : add_nothing(text, snap, addr);
	ok = ok && mw_buf_printf(text, ".");
	if (ok && place->section[0])
		ok = mw_buf_printf(text, " Section %s.", place->section);
	if (ok && place->symbol[0])
		ok = mw_buf_printf(text, " Symbol %s+0x%" PRIx64 ".", place->symbol,
				   place->offset);
	return ok ? NULL : mw_err_nomem();
}

static void place_fields(struct mw_out *out, uint64_t addr,
			 const struct mw_snapshot *snap, const struct mw_segment *seg,
			 const struct mw_place *place)
{
	size_t n;
	mw_snapshot_regions(snap, &n);
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(addr));
	mw_out_field(out, "mapped", MW_TYPE_BOOL, mw_cell_if(n, seg != NULL));
	mw_out_field(out, "section", MW_TYPE_TEXT,
		     place->section[0] ? mw_cell_s(place->section) : mw_cell_null());
	mw_out_field(out, "symbol", MW_TYPE_TEXT,
		     place->symbol[0] ? mw_cell_s(place->symbol) : mw_cell_null());
	mw_out_field(out, "symbol_offset", MW_TYPE_COUNT,
		     mw_cell_if(place->symbol[0], place->offset));
}

/* The rows before, at and after the address, unfolded. */
static struct mw_err *neighbours(const struct mw_map_answer *answer, size_t at,
				 struct mw_map_rows *ret)
{
	for (size_t i = at > 1 ? at - 1 : 0; i <= at + 1 && i < answer->rows->n; i++)
		if (!mw_vec_add(ret, answer->rows->items[i]))
			return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_view_at(struct mw_out *out, const struct mw_map_answer *answer,
			  uint64_t addr)
{
	size_t n;
	const struct mw_segment *segs = mw_layout_segments(answer->layout, &n);
	const struct mw_region *region = mw_snapshot_find(answer->snap, addr);
	size_t at = mw_layout_from(answer->layout, addr);
	const struct mw_segment *seg = region && at < n ? &segs[at] : NULL;
	struct mw_place place = { 0 };
	struct mw_map_rows near = { 0 };
	mw_auto_buf text = { 0 };
	if (seg && is_elf_class(seg->class) && region->ino)
		mw_place_find(answer->snap, region, addr, &place);
	struct mw_err *err = sentence(answer->snap, seg, &place, addr, &text);
	if (!err)
		err = neighbours(answer, at, &near);
	if (!err) {
		struct mw_map_answer nearby = *answer;
		nearby.rows = &near;
		mw_out_begin(out, "memwhy.map/1");
		mw_out_headline(out, mw_buf_str(&text));
		mw_view_process(out, mw_snapshot_process(answer->snap));
		place_fields(out, addr, answer->snap, seg, &place);
		mw_view_map_rows(out, &nearby);
		if (seg && seg->evidence[0])
			mw_out_note(out, 2, seg->evidence);
		struct mw_gap unplaced = { "section and symbol",
					   place.err ? place.err->msg : "", "" };
		mw_view_map_limits(out, answer, place.err ? &unplaced : NULL);
	}
	mw_err_free(place.err);
	mw_vec_deinit(&near);
	return err;
}
