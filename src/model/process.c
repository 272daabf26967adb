// SPDX-License-Identifier: MIT
/* Who the process is: stat, status, cmdline, exe. */
#include "model/impl.h"
#include "procfs/maps.h"
#include "procfs/status.h"

#include <string.h>

enum { PF_KTHREAD = 0x00200000 };

static struct mw_err *read_stat(struct mw_source *src, pid_t pid, struct mw_stat *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_STAT, &text);
	if (err)
		return err;
	if (!mw_stat_parse(mw_buf_str(&text), text.len, ret))
		return mw_err_new(MW_ERR_FORMAT, 0, "stat",
				  "stat of process %d is not readable", pid);
	return NULL;
}

static struct mw_err *read_status(struct mw_source *src, pid_t pid, struct mw_status *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_STATUS, &text);
	if (!err)
		mw_status_parse(mw_buf_str(&text), text.len, ret);
	return err;
}

static void take_stat(struct mw_process *process, const struct mw_stat *stat)
{
	process->state = stat->state;
	process->kthread = stat->flags & PF_KTHREAD;
	process->start_ticks = stat->start_ticks;
	process->start_brk = stat->start_brk;
	process->start_stack = stat->start_stack;
	process->arg_start = stat->arg_start;
	process->arg_end = stat->arg_end;
	process->env_start = stat->env_start;
	process->env_end = stat->env_end;
}

static void take_status(struct mw_process *process, const struct mw_status *status)
{
	process->uid = (unsigned)status->uid;
	process->n_threads =
		status->n_threads == MW_UNKNOWN ? 0 : (unsigned)status->n_threads;
	process->ns_nested = status->n_ns > 1;
	process->ns_pid = status->n_ns ? (pid_t)status->ns_pid : process->pid;
	process->vm_size = status->vm_size;
	process->vm_peak = status->vm_peak;
	process->vm_hwm = status->vm_hwm;
	process->vm_rss = status->vm_rss;
	process->rss_anon = status->rss_anon;
	process->rss_file = status->rss_file;
	process->rss_shmem = status->rss_shmem;
	process->vm_lck = status->vm_lck;
	process->vm_pin = status->vm_pin;
	process->vm_pte = status->vm_pte;
	process->vm_swap = status->vm_swap;
	process->hugetlb = status->hugetlb;
}

/* Arguments are separated by NUL bytes; people read them with blanks. */
static struct mw_err *read_cmdline(struct mw_snapshot *snap)
{
	mw_auto_buf text = { 0 };
	struct mw_process *process = &snap->process;
	struct mw_err *err =
		mw_source_read_text(snap->src, process->pid, 0, MW_FILE_CMDLINE, &text);
	if (err)
		return mw_gap_from_err(snap, err, "command line", "");
	size_t len = text.len;
	while (len && text.data[len - 1] == '\0')
		len--;
	for (size_t i = 0; i < len; i++)
		if (text.data[i] == '\0')
			text.data[i] = ' ';
	process->cmdline = mw_arena_strndup(&snap->arena, mw_buf_str(&text), len);
	return process->cmdline ? NULL : mw_err_nomem();
}

/* A kernel thread has no exe; for anybody else a refusal is a gap. */
static struct mw_err *read_exe(struct mw_snapshot *snap)
{
	mw_auto_buf text = { 0 };
	struct mw_process *process = &snap->process;
	struct mw_err *err = mw_source_read_exe(snap->src, process->pid, &text);
	if (err && err->code == MW_ERR_NOTFOUND) {
		mw_err_free(err);
		return NULL;
	}
	if (err)
		return mw_gap_from_err(snap, err, "path of the executable", "");
	process->exe_deleted = mw_maps_is_deleted(mw_buf_str(&text), text.len);
	process->exe = mw_arena_strndup(&snap->arena, mw_buf_str(&text), text.len);
	return process->exe ? NULL : mw_err_nomem();
}

/* Ticks since boot, on the wall clock. */
static void take_start_time(struct mw_snapshot *snap)
{
	const struct mw_facts *facts = mw_source_facts(snap->src);
	uint64_t ns_a_tick = facts->clock_ticks ? 1000000000 / facts->clock_ticks : 0;
	uint64_t since, start;
	if (!facts->booted_ns || !ns_a_tick ||
	    __builtin_mul_overflow(snap->process.start_ticks, ns_a_tick, &since) ||
	    __builtin_add_overflow(facts->booted_ns, since, &start))
		return;
	snap->process.start_time = start / 1000000000;
}

static struct mw_err *read_boot_id(struct mw_snapshot *snap)
{
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(snap->src, 0, 0, MW_FILE_BOOT_ID, &text);
	if (err)
		return mw_gap_from_err(snap, err, "boot id", "");
	size_t len = strcspn(mw_buf_str(&text), "\n");
	snap->process.boot_id = mw_arena_strndup(&snap->arena, mw_buf_str(&text), len);
	return snap->process.boot_id ? NULL : mw_err_nomem();
}

struct mw_err *mw_process_read(struct mw_snapshot *snap, pid_t pid)
{
	struct mw_process *process = &snap->process;
	struct mw_stat stat;
	struct mw_status status;
	*process = (struct mw_process){
		.pid = pid, .boot_id = "", .comm = "", .exe = "", .cmdline = ""
	};
	struct mw_err *err = read_stat(snap->src, pid, &stat);
	if (!err)
		err = read_status(snap->src, pid, &status);
	if (err)
		return err;
	take_stat(process, &stat);
	take_status(process, &status);
	process->comm = mw_arena_strdup(&snap->arena, stat.comm);
	if (!process->comm)
		return mw_err_nomem();
	take_start_time(snap);
	if ((err = read_cmdline(snap)) || (err = read_exe(snap)))
		return err;
	return read_boot_id(snap);
}

/*
 * A process that ends gives its memory up first and keeps its pid: files then read as
 * empty, one after the other. One that starts another program keeps even its start time,
 * but not where its stack begins (randomized; 0 to those who may not know).
 */
static struct mw_err *check_memory(const struct mw_process *process,
				   const struct mw_stat *stat)
{
	if (process->vm_size == MW_UNKNOWN)
		return NULL;
	if (!stat->vsize)
		return mw_err_new(MW_ERR_GONE, 0, "stat",
				  "process %d ended while it was read", process->pid);
	if (stat->start_stack != process->start_stack)
		return mw_err_new(MW_ERR_GONE, 0, "stat",
				  "process %d started another program while it was read",
				  process->pid);
	return NULL;
}

/* The same process still has the same start time, and the same memory. */
static struct mw_err *check_start(struct mw_source *src, const struct mw_process *process)
{
	struct mw_stat stat;
	struct mw_err *err = read_stat(src, process->pid, &stat);
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_GONE;
	if (!err && stat.start_ticks != process->start_ticks)
		err = mw_err_new(MW_ERR_GONE, 0, "stat",
				 "process %d ended, and its pid now names another one",
				 process->pid);
	return err ? err : check_memory(process, &stat);
}

struct mw_err *mw_process_recheck(struct mw_snapshot *snap, uint64_t *vm_rss)
{
	struct mw_status status = { 0 };
	struct mw_err *err = check_start(snap->src, &snap->process);
	if (!err)
		err = read_status(snap->src, snap->process.pid, &status);
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_GONE;
	if (!err)
		*vm_rss = status.vm_rss;
	return err;
}

struct mw_err *mw_snapshot_recheck(const struct mw_snapshot *snap)
{
	return check_start(snap->src, &snap->process);
}
