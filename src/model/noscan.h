/* SPDX-License-Identifier: MIT */
/*
 * The page engine where the kernel has no PAGEMAP_SCAN (before Linux 6.7). smaps is read
 * as well: it says which regions have pages at all, and how many of the present ones
 * are zero pages. A region where that leaves a doubt keeps its counters from smaps, and
 * is not split (mw_region.whole).
 */
#pragma once

#include "model/impl.h"

/* Reads smaps and keeps each region's counters for the steps below. */
struct mw_err *mw_noscan_prepare(struct mw_snapshot *snap) MW_MUST_USE;

/* True when the region's page map is worth reading. */
bool mw_noscan_wants(const struct mw_snapshot *snap, size_t region);

struct mw_piece_vec;

/* Marks zero pages, where smaps and frame numbers leave one answer. */
void mw_noscan_mark_zero(struct mw_snapshot *snap, struct mw_piece_vec *pieces);

/* Takes smaps' counters for regions whose pages do not add up to them. NOMEM. */
struct mw_err *mw_noscan_settle(struct mw_snapshot *snap) MW_MUST_USE;

/* Takes smaps' Pss, which is cut to KiB, for regions that have none by frames. */
void mw_noscan_take_pss(struct mw_snapshot *snap);
