// SPDX-License-Identifier: MIT
/* One address: its segment and neighbours, its page, its section and symbol. */
#include "view/map.h"

#include "base/buf.h"
#include "base/vec.h"
#include "explain/place.h"

#include <inttypes.h>
#include <string.h>

/* The index of the segment that holds addr, or of the first one after it. */
static size_t segment_from(const struct mw_segment *segs, size_t n, uint64_t addr)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (segs[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_elf_class(enum mw_class class)
{
	return class >= MW_CLASS_EXE_TEXT && class <= MW_CLASS_LOADER_BSS;
}

static struct mw_err *sentence(const struct mw_segment *seg, const struct mw_place *place,
			       uint64_t addr, struct mw_buf *text)
{
	bool ok;
	if (!seg)
		ok = mw_buf_printf(text, "%" PRIx64 " is not mapped.", addr);
	else
		ok = mw_buf_printf(text, "%" PRIx64 " is %s%s%s, %" PRIu64 " bytes in.",
				   addr, mw_class_title(seg->class),
				   seg->name[0] ? " of " : "", seg->name,
				   addr - seg->start);
	if (ok && place->section[0])
		ok = mw_buf_printf(text, " Section %s.", place->section);
	if (ok && place->symbol[0])
		ok = mw_buf_printf(text, " Symbol %s+0x%" PRIx64 ".", place->symbol,
				   place->offset);
	return ok ? NULL : mw_err_nomem();
}

static void place_fields(struct mw_out *out, uint64_t addr, const struct mw_segment *seg,
			 const struct mw_place *place)
{
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(addr));
	mw_out_field(out, "mapped", MW_TYPE_BOOL, mw_cell_u(seg != NULL));
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
	size_t at = segment_from(segs, n, addr);
	const struct mw_segment *seg = region && at < n ? &segs[at] : NULL;
	struct mw_place place = { 0 };
	struct mw_map_rows near = { 0 };
	mw_auto_buf text = { 0 };
	if (seg && is_elf_class(seg->class) && region->ino)
		mw_place_find(answer->snap, region, addr, &place);
	struct mw_err *err = sentence(seg, &place, addr, &text);
	if (!err)
		err = neighbours(answer, at, &near);
	if (!err) {
		struct mw_map_answer nearby = *answer;
		nearby.rows = &near;
		mw_out_begin(out, "memwhy.map/1");
		mw_out_headline(out, mw_buf_str(&text));
		place_fields(out, addr, seg, &place);
		mw_view_map_rows(out, &nearby);
		if (seg && seg->evidence[0])
			mw_out_note(out, 2, seg->evidence);
	}
	mw_err_free(place.err);
	mw_vec_deinit(&near);
	return err;
}
