// SPDX-License-Identifier: MIT
/* Who else maps a frame: asked of every process, cheaply, where it can be. */
#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "model/frame/frame.h"
#include "procfs/maps.h"
#include "procfs/pagebits.h"

#include <string.h>

enum { MAX_SHARERS = 4096 };

struct search {
	struct mw_source *src;
	const struct mw_region *region;
	const struct mw_frame *frame;
	uint64_t file_offset; /* of the page in its file */
	struct mw_arena *arena;
	struct mw_sharers *ret;
};

static const char *comm_of(struct search *s, pid_t pid)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(s->src, pid, 0, MW_FILE_COMM, &text);
	if (err)
		return "?";
	const char *comm = mw_buf_str(&text);
	return mw_arena_strndup(s->arena, comm, strcspn(comm, "\n"));
}

static struct mw_err *add(struct search *s, pid_t pid, uint64_t addr)
{
	struct mw_sharer sharer = { pid, comm_of(s, pid), addr };
	if (s->ret->n >= MAX_SHARERS)
		return NULL;
	for (size_t i = s->ret->n; i > 0 && s->ret->items[i - 1].pid == pid; i--)
		if (s->ret->items[i - 1].addr == addr)
			return NULL;
	return sharer.comm && mw_vec_add(s->ret, sharer) ? NULL : mw_err_nomem();
}

/* Whether the process has the frame at the address. */
static struct mw_err *ask(struct search *s, pid_t pid, uint64_t addr, bool *has)
{
	uint64_t word = 0;
	*has = false;
	struct mw_err *err = mw_source_read_pagemap(s->src, pid, addr, 1, &word);
	if (err)
		return err;
	*has = (word & MW_PM_PRESENT) && (word & MW_PM_PFN_MASK) == s->frame->pfn;
	return NULL;
}

/* Every mapping of the same part of the same file. */
static struct mw_err *search_maps(struct search *s, pid_t pid)
{
	mw_auto_buf text = { 0 };
	struct mw_maps_line line;
	bool has;
	struct mw_err *err = mw_source_read_text(s->src, pid, 0, MW_FILE_MAPS, &text);
	const char *pos = text.data, *end = pos + text.len;
	for (; !err && pos < end; pos = mw_line_end(pos, end) + 1) {
		if (!mw_maps_parse_line(pos, mw_line_end(pos, end), &line) ||
		    line.ino != s->region->ino || line.dev != s->region->dev ||
		    s->file_offset < line.offset ||
		    s->file_offset - line.offset >= line.end - line.start)
			continue;
		uint64_t addr = line.start + (s->file_offset - line.offset);
		err = ask(s, pid, addr, &has);
		if (!err && has)
			err = add(s, pid, addr);
	}
	return err;
}

static struct mw_err *search_process(struct search *s, pid_t pid)
{
	bool has;
	struct mw_err *err = ask(s, pid, s->frame->addr, &has);
	if (!err && has)
		err = add(s, pid, s->frame->addr);
	if (!err && s->region->ino)
		err = search_maps(s, pid);
	return err;
}

struct mw_err *mw_sharers_find(struct mw_source *src, const struct mw_region *region,
			       const struct mw_frame *frame, struct mw_arena *arena,
			       struct mw_sharers *ret)
{
	struct search s = { .src = src,
			    .region = region,
			    .frame = frame,
			    .file_offset = region->offset + (frame->addr - region->start),
			    .arena = arena,
			    .ret = ret };
	struct mw_ids pids = { 0 };
	struct mw_err *err = mw_source_list(src, 0, &pids);
	for (size_t i = 0; !err && i < pids.n; i++) {
		err = search_process(&s, pids.items[i]);
		ret->n_asked++;
		if (!err || err->code == MW_ERR_NOMEM)
			continue;
		/* Kernel threads, and who ended meanwhile, map nothing. */
		ret->n_denied += err->code == MW_ERR_DENIED;
		mw_err_free(err);
		err = NULL;
	}
	mw_vec_deinit(&pids);
	return err;
}
