// SPDX-License-Identifier: MIT
/* A process held still, and what only a held one tells. */
#include "kernel/live.h"

static struct mw_err *check_free(const struct mw_live *live)
{
	if (mw_hold_active(live->hold))
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "a stop is already held");
	return NULL;
}

/* The registers of the one before are given up only for those of the next. */
static void keep(struct mw_live *live, struct mw_hold *hold)
{
	mw_hold_free(live->hold);
	live->hold = hold;
}

/* Stops it, or with `child` forks it. */
static struct mw_err *begin(struct mw_live *live, pid_t pid, unsigned max_ms,
			    pid_t *child)
{
	struct mw_live_proc *proc;
	struct mw_hold *hold;

	struct mw_err *err = check_free(live);
	if (!err)
		err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	err = child ? mw_hold_fork(pid, proc->dir, max_ms, &hold, child)
		    : mw_hold_stop(pid, proc->dir, max_ms, &hold);
	if (!err)
		keep(live, hold);
	mw_live_drop(live, proc);
	return err;
}

struct mw_err *mw_live_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	return begin(mw_live_of(src), pid, max_ms, NULL);
}

struct mw_err *mw_live_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
			    pid_t *child)
{
	return begin(mw_live_of(src), pid, max_ms, child);
}

struct mw_err *mw_live_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	struct mw_live *live = mw_live_of(src);

	if (!mw_hold_active(live->hold))
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "no stop is held");
	return mw_hold_end(live->hold, held_ns, cut);
}

struct mw_err *mw_live_list_registers(struct mw_source *src, pid_t pid,
				      struct mw_registers_list *out)
{
	const struct mw_live *live = mw_live_of(src);

	if (!mw_hold_is_of(live->hold, pid))
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "registers",
				  "registers can be read only while process %d is held "
				  "still (--stop)",
				  (int)pid);
	return mw_hold_registers(live->hold, out);
}
