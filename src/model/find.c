// SPDX-License-Identifier: MIT
#include "model/find.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "procfs/status.h"

#include <stdlib.h>
#include <string.h>

enum { PF_KTHREAD = 0x00200000 };

/* Processes come and go while they are listed; one that went is simply not there. */
static bool read_quietly(struct mw_source *src, pid_t pid, enum mw_file file,
			 struct mw_buf *text)
{
	struct mw_err *err = mw_source_read_text(src, pid, 0, file, text);
	mw_err_free(err);
	return !err;
}

static uint64_t read_rss(struct mw_source *src, pid_t pid)
{
	mw_auto_buf text = { 0 };
	uint64_t size, resident;
	if (!read_quietly(src, pid, MW_FILE_STATM, &text))
		return 0;
	const char *pos = mw_buf_str(&text), *end = pos + text.len;
	if (!mw_take_dec(&pos, end, &size) || !mw_take_char(&pos, end, ' ') ||
	    !mw_take_dec(&pos, end, &resident))
		return 0;
	return resident * mw_source_facts(src)->page_size;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* cmdline is still separated by NUL bytes here, so it reads as its first argument. */
static bool is_named(const char *name, const char *comm, const char *first)
{
	return !name || !strcmp(comm, name) || !strcmp(first, name) ||
	       !strcmp(base_name(first), name);
}

static void join_arguments(struct mw_buf *cmdline)
{
	while (cmdline->len && cmdline->data[cmdline->len - 1] == '\0')
		cmdline->len--;
	for (size_t i = 0; i < cmdline->len; i++)
		if (cmdline->data[i] == '\0')
			cmdline->data[i] = ' ';
}

static struct mw_err *consider(struct mw_source *src, pid_t pid, const char *name,
			       struct mw_arena *arena, struct mw_candidates *ret)
{
	mw_auto_buf text = { 0 }, cmdline = { 0 };
	struct mw_stat stat;
	if (!read_quietly(src, pid, MW_FILE_STAT, &text) ||
	    !mw_stat_parse(mw_buf_str(&text), text.len, &stat) ||
	    (stat.flags & PF_KTHREAD))
		return NULL;
	if (!read_quietly(src, pid, MW_FILE_CMDLINE, &cmdline))
		mw_buf_clear(&cmdline);
	if (!is_named(name, stat.comm, mw_buf_str(&cmdline)))
		return NULL;
	join_arguments(&cmdline);
	struct mw_candidate found = {
		.pid = pid,
		.rss = read_rss(src, pid),
		.cmdline = cmdline.len
				   ? mw_arena_strndup(arena, cmdline.data, cmdline.len)
				   : mw_arena_printf(arena, "[%s]", stat.comm),
	};
	if (!found.cmdline || !mw_vec_add(ret, found))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_find_by_name(struct mw_source *src, const char *name, pid_t self,
			       struct mw_arena *arena, struct mw_candidates *ret)
{
	struct mw_ids ids = { 0 };
	struct mw_err *err = mw_source_list(src, 0, &ids);
	for (size_t i = 0; !err && i < ids.n; i++)
		if (ids.items[i] != self)
			err = consider(src, ids.items[i], name, arena, ret);
	mw_vec_deinit(&ids);
	return err;
}

static int by_rss(const void *a, const void *b)
{
	const struct mw_candidate *ca = a, *cb = b;
	return ca->rss < cb->rss ? 1 : ca->rss > cb->rss ? -1 : ca->pid - cb->pid;
}

static bool may_read(struct mw_source *src, pid_t pid)
{
	mw_auto_buf maps = { 0 };
	return read_quietly(src, pid, MW_FILE_MAPS, &maps) && maps.len;
}

struct mw_err *mw_find_largest(struct mw_source *src, pid_t self, pid_t *ret)
{
	struct mw_arena arena = { 0 };
	struct mw_candidates all = { 0 };
	struct mw_err *err = mw_find_by_name(src, NULL, self, &arena, &all);
	if (!err && all.n)
		qsort(all.items, all.n, sizeof(*all.items), by_rss);
	size_t i = 0;
	while (!err && i < all.n && !may_read(src, all.items[i].pid))
		i++;
	if (!err && i == all.n)
		err = mw_err_new(MW_ERR_NOTFOUND, 0, "",
				 "no process here whose mappings may be read");
	if (!err)
		*ret = all.items[i].pid;
	mw_vec_deinit(&all);
	mw_arena_deinit(&arena);
	return err;
}
