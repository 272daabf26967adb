// SPDX-License-Identifier: MIT
#include "kernel/core/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_PAGE = 4096, MAX_PAGE = 1 << 16, NO_PID = 1 };

static void core_close(struct mw_source *src)
{
	struct mw_core *core = mw_core_of(src);

	for (size_t i = 0; i < core->objects.n; i++)
		if (core->objects.items[i].fd >= 0)
			close(core->objects.items[i].fd);
	if (core->fd >= 0)
		close(core->fd);
	mw_vec_deinit(&core->loads);
	mw_vec_deinit(&core->names);
	mw_vec_deinit(&core->regions);
	mw_vec_deinit(&core->objects);
	mw_vec_deinit(&core->threads);
	mw_buf_deinit(&core->auxv);
	mw_buf_deinit(&core->files);
	mw_arena_deinit(&core->arena);
	free(core);
}

struct mw_err *mw_core_check_pid(const struct mw_core *core, pid_t pid)
{
	if (pid == core->pid)
		return NULL;
	return mw_err_new(MW_ERR_NOTFOUND, 0, core->path,
			  "%s is of process %d, not of %d", core->path, (int)core->pid,
			  (int)pid);
}

bool mw_core_has_thread(const struct mw_core *core, pid_t tid)
{
	/* A core that lost its notes still has the process, by a number. */
	return core->threads.n ? mw_core_thread(core, tid) != NULL : tid == core->pid;
}

/* The program: where the core says it was, else as it was started, else as given. */
static struct mw_err *core_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	struct mw_core *core = mw_core_of(src);
	const char *path = core->exe_path;
	struct mw_err *err = mw_core_check_pid(core, pid);

	if (err)
		return err;
	if (core->exe != MW_CORE_NONE)
		path = core->objects.items[core->exe].path;
	if (!path)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, core->path,
				  "%s does not say which program it is of (NT_FILE, "
				  "NT_AUXV): give it with --exe",
				  core->path);
	return mw_buf_add(out, path, strlen(path)) ? NULL : mw_err_nomem();
}

static struct mw_err *core_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	const struct mw_core *core = mw_core_of(src);
	size_t before = out->n;

	if (!pid || !core->threads.n) {
		struct mw_err *err = pid ? mw_core_check_pid(core, pid) : NULL;
		if (err)
			return err;
		return mw_vec_add(out, core->pid) ? NULL : mw_err_nomem();
	}
	struct mw_err *err = mw_core_check_pid(core, pid);
	for (size_t i = 0; !err && i < core->threads.n; i++)
		if (!mw_vec_add(out, core->threads.items[i].tid))
			err = mw_err_nomem();
	if (err)
		out->n = before;
	return err;
}

/* What is dead does not move. */
static struct mw_err *core_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	(void)max_ms;
	return mw_core_check_pid(mw_core_of(src), pid);
}

static struct mw_err *core_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	(void)src;
	*held_ns = 0;
	*cut = false;
	return NULL;
}

static const struct mw_source_ops core_ops = {
	.name = "core",
	.close = core_close,
	.read_text = mw_core_read_text,
	.read_exe = core_read_exe,
	.list = core_list,
	.scan = mw_core_scan,
	.read_pagemap = mw_core_read_pagemap,
	.read_memory = mw_core_read_memory,
	.zero_bytes = mw_core_zero_bytes,
	.read_object = mw_core_read_object,
	.stop = core_stop,
	.resume = core_resume,
	.list_registers = mw_core_list_registers,
};

/* Neither a device nor a pipe: a core is read here and there. */
static struct mw_err *open_file(struct mw_core *core, const char *path)
{
	struct stat st;

	core->path = mw_arena_strdup(&core->arena, path);
	if (!core->path)
		return mw_err_nomem();
	core->base.facts.core_path = core->path;
	core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (core->fd < 0 || fstat(core->fd, &st) != 0)
		return mw_err_sys(errno, path);
	if (!S_ISREG(st.st_mode) || st.st_size < 0)
		return mw_err_new(MW_ERR_FORMAT, 0, path, "%s is no regular file", path);
	core->size = (uint64_t)st.st_size;
	return NULL;
}

static void take_facts(struct mw_core *core)
{
	struct mw_facts *facts = &core->base.facts;
	uint64_t page, ticks;

	if (mw_core_auxv(core, AT_PAGESZ, &page) && page >= DEFAULT_PAGE &&
	    page <= MAX_PAGE && !(page & (page - 1)))
		facts->page_size = page;
	if (mw_core_auxv(core, AT_CLKTCK, &ticks) && ticks && ticks <= 1000000)
		facts->clock_ticks = ticks;
}

static struct mw_err *load(struct mw_core *core, const char *path, const char *exe)
{
	struct mw_core_notes notes;

	struct mw_err *err = open_file(core, path);
	if (!err)
		err = mw_core_read_headers(core, &notes);
	if (!err)
		err = mw_core_read_notes(core, &notes);
	if (err)
		return err;
	take_facts(core);
	err = mw_core_make_regions(core);
	if (!err && exe)
		err = mw_core_set_exe(core, exe);
	core->base.facts.core_exe = core->exe_path;
	return err;
}

struct mw_err *mw_source_open_core(const char *path, const char *exe,
				   struct mw_source **ret)
{
	struct mw_core *core = calloc(1, sizeof(*core));

	if (!core)
		return mw_err_nomem();
	core->base.ops = &core_ops;
	core->base.facts = (struct mw_facts){ .page_size = DEFAULT_PAGE,
					      .clock_ticks = 100,
					      .core = true,
					      .parallel = true,
					      .release = "" };
	core->fd = -1;
	core->pid = NO_PID;
	core->exe = core->headed = MW_CORE_NONE;
	struct mw_err *err = load(core, path, exe);
	if (err) {
		core_close(&core->base);
		return err;
	}
	*ret = &core->base;
	return NULL;
}
