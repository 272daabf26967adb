// SPDX-License-Identifier: MIT
/*
 * memwhy capture PID DIR: asks a live source everything the other commands may ask,
 * through a tee that keeps the answers, and writes them as a tree.
 */
#include "base/buf.h"
#include "base/vec.h"
#include "cli/cmd.h"
#include "model/access.h"
#include "symbols/object.h"
#include "view/capture.h"

#include <memwhy/hold.h>
#include <memwhy/leaks.h>
#include <stdlib.h>
#include <string.h>

static const enum mw_opt_id opts[] = { MW_OPT_MEMORY, MW_OPT_SCRUB,    MW_OPT_SYMBOLS,
				       MW_OPT_STOP,   MW_OPT_MAX_STOP, MW_OPT_END };

enum { READ_LEN = 1 << 20 };

/* Whatever cannot be read is recorded as such by the tee: errors are answers too. */
static uint64_t read_range(struct mw_source *src, pid_t pid, uint64_t start, uint64_t end,
			   void *bytes)
{
	uint64_t done = 0;
	while (start < end) {
		size_t len = end - start < READ_LEN ? end - start : READ_LEN, got = 0;
		struct mw_err *err = mw_source_read_memory(src, pid, start, bytes, len,
							   MW_READ_CONTENTS, &got);
		mw_err_free(err);
		if (err || !got)
			break;
		done += got;
		start += got;
	}
	return done;
}

/* Pages of programs and libraries as they are in the file tell nothing of the process. */
static bool is_plain_file(const struct mw_snapshot *snap, const struct mw_page_run *run)
{
	const struct mw_region *region = mw_snapshot_find(snap, run->start);
	return (run->state & MW_PAGE_FILE) && region && region->ino &&
	       !(region->perms & (MW_PERM_WRITE | MW_PERM_SHARED));
}

/* Only pages that are there: reading others would make the kernel map zero pages. */
static struct mw_err *read_contents(const struct mw_snapshot *snap, uint64_t *ret)
{
	size_t n;
	struct mw_source *src = mw_snapshot_source(snap);
	uint64_t page = mw_source_facts(src)->page_size;
	const struct mw_page_run *runs = mw_snapshot_runs(snap, &n);
	unsigned no = MW_PAGE_ZERO | MW_PAGE_NOT_RSS | MW_PAGE_GUARD;
	void *bytes = malloc(READ_LEN);
	if (!bytes)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++)
		if ((runs[i].state & MW_PAGE_PRESENT) && !(runs[i].state & no) &&
		    !is_plain_file(snap, &runs[i]))
			*ret += read_range(src, mw_snapshot_process(snap)->pid,
					   runs[i].start,
					   runs[i].start + runs[i].n_pages * page, bytes);
	free(bytes);
	return NULL;
}

/* A look-up of any address reads an object's whole symbol table, and so records it. */
static void read_symbols(const struct mw_snapshot *snap)
{
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++) {
		struct mw_place place;
		if (!regions[i].ino || !(regions[i].perms & MW_PERM_EXEC))
			continue;
		mw_place_find(snap, &regions[i], regions[i].start, &place);
		mw_err_free(place.err);
	}
}

/* Settings of the machine, whichever of them an answer will ask for. */
static void read_machine(struct mw_source *src)
{
	for (unsigned file = MW_FILE_LAST_PROC + 1; file < MW_FILE_COUNT; file++) {
		mw_auto_buf text = { 0 };
		mw_err_free(mw_source_read_text(src, 0, 0, file, &text));
	}
}

/* What the process's memory cgroup says, for free and top. */
static void read_cgroup(struct mw_source *src, pid_t pid)
{
	for (unsigned file = MW_FILE_CGROUP; file <= MW_FILE_CGROUP_PATH; file++) {
		mw_auto_buf text = { 0 };
		mw_err_free(mw_source_read_text(src, pid, 0, file, &text));
	}
}

/* What doctor asks, so that it answers on the recording as it does here. */
static struct mw_err *read_access(struct mw_source *src, pid_t pid)
{
	struct mw_arena arena = { 0 };
	struct mw_accesses access = { 0 };
	struct mw_err *err = mw_access_check(src, pid, &arena, &access);
	mw_vec_deinit(&access);
	mw_arena_deinit(&arena);
	for (unsigned i = 0; !err && i < MW_FEATURE_COUNT; i++) {
		bool present;
		mw_err_free(mw_source_probe(src, i, &present));
	}
	return err;
}

/*
 * With the memory, all that looking at the heap and for lost blocks in it reads besides;
 * names of what these blocks begin with, where symbols are wanted.
 */
static void read_heap(const struct mw_snapshot *snap, const struct mw_opt_values *given,
		      const struct mw_registers_list *registers)
{
	struct mw_leaks_opts leaks_opts = {
		.heap = { .still = mw_opt_set(given, MW_OPT_STOP) }, .contents = true
	};
	struct mw_reach *reach = NULL;
	struct mw_leaks *leaks = NULL;
	if (registers->n)
		leaks_opts.heap.registers = registers;
	struct mw_err *err = mw_reach_gather(snap, &leaks_opts, &reach);
	if (!err && mw_opt_set(given, MW_OPT_SYMBOLS)) {
		err = mw_reach_judge(reach, &leaks_opts, &leaks);
		reach = NULL;
	}
	mw_reach_free(reach);
	mw_leaks_free(leaks);
	mw_err_free(err);
}

/* What a search for lost blocks begins with, beside the memory itself. */
static void read_roots(struct mw_cli *cli, const struct mw_snapshot *snap)
{
	pid_t pid = mw_snapshot_process(snap)->pid;
	struct mw_registers_list registers = { 0 };
	struct mw_words kept = { 0 };
	mw_err_free(mw_source_list_registers(cli->src, pid, &registers));
	mw_err_free(mw_source_list_kept(cli->src, pid, &kept));
	if (mw_opt_set(&cli->opts, MW_OPT_MEMORY))
		read_heap(snap, &cli->opts, &registers);
	mw_vec_deinit(&registers);
	mw_vec_deinit(&kept);
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_capture_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, mw_view_capture(out, answer));
}

static struct mw_err *save(struct mw_source *tee, const char *dir)
{
	struct mw_err *err = mw_source_save(tee, dir);
	/* It is the way to the directory that was not found, and no process. */
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_USAGE;
	return err;
}

/* Everything is asked before the target runs on; writing can wait until then. */
static struct mw_err *record(struct mw_cli *cli, pid_t pid, const char *dir)
{
	mw_auto_snapshot snap = NULL;
	mw_auto_explanation ex = NULL;
	struct mw_stopped stopped;
	struct mw_capture_answer answer = {
		.dir = dir, .scrubbed = mw_opt_set(&cli->opts, MW_OPT_SCRUB)
	};
	unsigned want = MW_WANT_PSS | MW_WANT_SMAPS | MW_WANT_ROLLUP | MW_WANT_THREADS;
	struct mw_err *err = mw_cli_snapshot(cli, pid, want, &snap);
	if (!err)
		err = mw_explain(snap, NULL, &ex);
	if (!err && mw_opt_set(&cli->opts, MW_OPT_MEMORY))
		err = read_contents(snap, &answer.memory_bytes);
	if (!err && mw_opt_set(&cli->opts, MW_OPT_SYMBOLS))
		read_symbols(snap);
	if (!err)
		read_roots(cli, snap);
	if (!err)
		err = read_access(cli->src, pid);
	if (!err) {
		read_machine(cli->src);
		read_cgroup(cli->src, pid);
	}
	if (!err)
		err = mw_cli_release(cli, snap, &stopped);
	if (!err)
		err = save(cli->src, dir);
	if (err)
		return err;
	answer.ex = ex;
	answer.stop = mw_cli_view_stop(&stopped);
	return show(cli, &answer);
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_tee_opts tee_opts = { .memory = mw_opt_set(&cli->opts, MW_OPT_MEMORY),
					.scrub = mw_opt_set(&cli->opts, MW_OPT_SCRUB) };
	struct mw_source *inner = cli->src, *tee;
	pid_t pid;
	if (cli->n_args != 2)
		return mw_err_new(MW_ERR_USAGE, 0, "",
				  "capture takes a process and a directory");
	struct mw_err *err = mw_cli_target(cli, &pid);
	if (!err)
		err = mw_source_open_tee(inner, &tee_opts, &tee);
	if (err)
		return err;
	cli->src = tee;
	err = record(cli, pid, cli->args[1]);
	mw_source_close(tee);
	cli->src = inner;
	return err;
}

const struct mw_cmd mw_cmd_capture = {
	.name = "capture",
	.summary = "record what was seen of a process as a tree that --root reads",
	.usage = "[OPTION...] PID|NAME DIR",
	.needs = MW_NEEDS_SOURCE | MW_NEEDS_PID,
	.max_args = 2,
	.opts = opts,
	.run = run,
};
