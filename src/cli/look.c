// SPDX-License-Identifier: MIT
/*
 * Looking at a process whose heap is to be read: held still, copied, or as it runs.
 *
 * A stop can catch a thread in the middle of malloc(): its arena is locked then, or,
 * where a single-threaded program takes no lock, sums that must be equal are not. A
 * moment later all is well, so it is looked at again.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "cli/cmd.h"
#include "model/access.h"
#include <memwhy/heap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	MAX_TRIES = 5,
	PAUSE_NS = 1000000,
	LIVE_MS = 300, /* how long a running target is looked at again before a stop */
	MAX_GAPS = 16,
};

struct mw_look {
	struct mw_cli *cli;
	const struct mw_looker *looker;
	struct mw_arena arena;
	pid_t pid;
	struct mw_snapshot *whose; /* of the target, where `snap` is of its copy */
	struct mw_snapshot *snap;
	struct mw_registers_list registers;
	void *taken;
	struct mw_stopped stopped;
	bool still;      /* what is kept was read at rest */
	bool held;       /* a stop or a copy is to be ended */
	bool unrecorded; /* the recording lacks the heap */
	bool refused;    /* it could not be stopped or copied */
	uint64_t max_ns;
	struct mw_gap gaps[MAX_GAPS];
	size_t n_gaps;
};

/* One reading, until it is known whether it beats the last one. */
struct reading {
	struct mw_snapshot *snap;
	struct mw_registers_list registers;
	void *taken;
	bool still;
};

static struct mw_err *note(struct mw_look *look, const char *what, const char *why,
			   const char *remedy)
{
	struct mw_gap gap = { mw_arena_strdup(&look->arena, what),
			      mw_arena_strdup(&look->arena, why),
			      mw_arena_strdup(&look->arena, remedy) };
	if (look->n_gaps == MAX_GAPS)
		return NULL;
	if (!gap.what || !gap.why || !gap.remedy)
		return mw_err_nomem();
	look->gaps[look->n_gaps++] = gap;
	return NULL;
}

static void drop(struct mw_look *look, struct reading *reading)
{
	if (reading->taken)
		look->looker->free(reading->taken);
	mw_snapshot_free(reading->snap);
	free(reading->registers.items);
	*reading = (struct reading){ 0 };
}

/* What a heap's checks amount to: how much is wrong, and whether it stays the same. */
struct verdict {
	bool settled, locked;
	size_t n_failed;
	uint64_t unknown, print;
};

static struct verdict judge(const struct mw_heap *heap)
{
	if (!heap)
		return (struct verdict){ .settled = true };
	struct verdict ret = { .settled = heap->settled, .locked = heap->locked };
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		ret.unknown += a->unknown;
		for (size_t j = 0; j < a->n_checks; j++) {
			if (a->checks[j].ok)
				continue;
			ret.n_failed++;
			ret.print = ret.print * 31 + a->checks[j].expected;
			ret.print = ret.print * 31 + a->checks[j].found;
		}
	}
	return ret;
}

/* True when looking again would show the same: what fails is no matter of timing. */
static bool is_lasting(const struct verdict *a, const struct verdict *b)
{
	return !a->locked && !b->locked && a->n_failed == b->n_failed &&
	       a->unknown == b->unknown && a->print == b->print;
}

static bool is_better(const struct verdict *a, const struct verdict *b)
{
	if (a->settled != b->settled)
		return a->settled;
	if (a->n_failed != b->n_failed)
		return a->n_failed < b->n_failed;
	return a->unknown <= b->unknown;
}

/* Registers are there only where the process was stopped, forked or dumped. */
static struct mw_err *read_registers(struct mw_look *look, struct reading *reading)
{
	struct mw_err *err =
		mw_source_list_registers(look->cli->src, look->pid, &reading->registers);
	if (!err || err->code == MW_ERR_NOMEM || err->code == MW_ERR_GONE)
		return err;
	/* A recording of a process that was not stopped has none. */
	bool due =
		mw_source_facts(look->cli->src)->live || err->code != MW_ERR_UNSUPPORTED;
	struct mw_err *gap = due ? note(look, "registers", err->msg, "") : NULL;
	mw_err_free(err);
	reading->registers.n = 0;
	return gap;
}

/* True when nothing failed for another reason than that it was not recorded. */
static bool only_unrecorded(const struct mw_refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (refusals[i].code != MW_ERR_UNSUPPORTED)
			return false;
	return n;
}

/*
 * A recording may lack what the heap is read from, and every reading that fails would be
 * told: they are one limit. Where others had failed before, all are told.
 */
static struct mw_err *take(struct mw_look *look, struct reading *reading,
			   const struct mw_heap_opts *opts)
{
	struct mw_source *src = look->cli->src;
	size_t before, after;
	(void)mw_source_refusals(src, &before);
	struct mw_err *err = look->looker->take(look->looker->ctx, reading->snap, opts,
						&reading->taken);
	const struct mw_refusal *refusals = mw_source_refusals(src, &after);
	const struct mw_facts *facts = mw_source_facts(src);
	if (err || facts->live || facts->core || before ||
	    !only_unrecorded(refusals, after))
		return err;
	look->unrecorded = true;
	mw_source_forget_refusals(src);
	return NULL;
}

/* Looks once at `pid`, the target or its copy. */
static struct mw_err *read_once(struct mw_look *look, pid_t pid, bool still,
				struct reading *ret)
{
	struct reading reading = { .still = still };
	struct mw_snapshot_opts opts;
	struct mw_err *err = mw_cli_snapshot_opts(
		look->cli, MW_WANT_THREADS | look->looker->want, still, &opts);
	if (!err && still)
		err = read_registers(look, &reading);
	if (!err)
		err = mw_snapshot_take(look->cli->src, pid, &opts, &reading.snap);
	struct mw_heap_opts heap_opts = { .still = still };
	if (reading.registers.n)
		heap_opts.registers = &reading.registers;
	if (!err)
		err = take(look, &reading, &heap_opts);
	if (!err)
		err = mw_snapshot_recheck(reading.snap);
	if (err)
		drop(look, &reading);
	else
		*ret = reading;
	return err;
}

static struct mw_err *end_hold(struct mw_look *look)
{
	uint64_t held_ns = 0;
	bool cut = false;
	if (!look->held)
		return NULL;
	look->held = false;
	struct mw_err *err = mw_source_resume(look->cli->src, &held_ns, &cut);
	struct mw_stopped *s = &look->stopped;
	s->held_ns += held_ns;
	s->longest_ns = held_ns > s->longest_ns ? held_ns : s->longest_ns;
	s->cut |= cut;
	s->n++;
	return err;
}

/* One stop, bounded by what is left of the time. */
static struct mw_err *read_stopped(struct mw_look *look, struct reading *ret)
{
	uint64_t left_ms = (look->max_ns - look->stopped.held_ns) / 1000000;
	struct mw_err *err = mw_source_stop(look->cli->src, look->pid,
					    left_ms ? (unsigned)left_ms : 1);
	look->refused = err != NULL;
	if (err)
		return err;
	look->held = look->stopped.asked = true;
	struct reading reading = { 0 };
	err = read_once(look, look->pid, true, &reading);
	struct mw_err *end_err = end_hold(look);
	if (err) {
		mw_err_free(end_err);
		return err;
	}
	if (end_err)
		drop(look, &reading);
	else
		*ret = reading;
	return end_err;
}

/* Keeps the better one; false when there is no use in looking again. */
static bool keep(struct mw_look *look, struct reading *reading)
{
	struct verdict new = judge(look->looker->heap(reading->taken));
	struct reading old = { look->snap, look->registers, look->taken, look->still };
	bool again = !new.settled;
	if (old.taken) {
		struct verdict was = judge(look->looker->heap(old.taken));
		again = again && !is_lasting(&was, &new);
		if (!is_better(&new, &was)) {
			drop(look, reading);
			return again;
		}
		drop(look, &old);
	}
	look->snap = reading->snap;
	look->registers = reading->registers;
	look->taken = reading->taken;
	look->still = reading->still;
	*reading = (struct reading){ 0 };
	return again;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
}

/* *again: the last look did not settle, and another might. */
static struct mw_err *look_live(struct mw_look *look, bool still, uint64_t for_ns,
				bool *again)
{
	uint64_t begin = mw_now_ns();
	struct mw_err *err = NULL;
	*again = true;
	for (unsigned i = 0; i < MAX_TRIES && *again && !err; i++) {
		struct reading reading = { 0 };
		if (i && mw_now_ns() - begin > for_ns)
			break;
		if (i)
			pause_briefly();
		err = read_once(look, look->pid, still, &reading);
		if (!err)
			*again = keep(look, &reading) && !still;
	}
	return err;
}

static struct mw_err *look_stopped(struct mw_look *look)
{
	struct mw_err *err = NULL;
	bool again = true;
	for (unsigned i = 0; i < MAX_TRIES && again && !err; i++) {
		struct reading reading = { 0 };
		/* The next stop will last about as long as the longest one so far. */
		if (look->stopped.held_ns + look->stopped.longest_ns >= look->max_ns)
			break;
		if (i)
			pause_briefly();
		err = read_stopped(look, &reading);
		if (!err)
			again = keep(look, &reading) && !look->stopped.cut;
	}
	return err;
}

/* The copy has one thread; who the others are, the target's own snapshot tells. */
static struct mw_err *look_at_copy(struct mw_look *look)
{
	struct mw_snapshot_opts opts = { .want = MW_WANT_THREADS, .gentle = true };
	struct reading reading = { 0 };
	pid_t child = 0;
	struct mw_err *err =
		mw_snapshot_take(look->cli->src, look->pid, &opts, &look->whose);
	if (err)
		return err;
	err = mw_source_fork(look->cli->src, look->pid,
			     (unsigned)(look->max_ns / 1000000), &child);
	look->refused = err != NULL;
	if (err)
		return err;
	look->held = look->stopped.asked = look->stopped.forked = true;
	err = read_once(look, child, true, &reading);
	if (!err)
		(void)keep(look, &reading);
	return err;
}

/* It may not be stopped: why, and what helps. */
static struct mw_err *note_unstopped(struct mw_look *look, const struct mw_err *err)
{
	const char *remedy = "";
	if (err->code == MW_ERR_DENIED)
		remedy = mw_advice_access(look->cli->src, &look->arena, look->pid);
	return remedy ? note(look, "the target at rest", err->msg, remedy)
		      : mw_err_nomem();
}

/*
 * A zombie is gone for ptrace; for who looks at it, it has no memory. USAGE: memwhy
 * looks at itself.
 */
static bool is_refusal(const struct mw_err *err)
{
	return err->code == MW_ERR_DENIED || err->code == MW_ERR_UNSUPPORTED ||
	       err->code == MW_ERR_IO || err->code == MW_ERR_GONE ||
	       err->code == MW_ERR_USAGE;
}

/* A stop that is refused leaves the running target to look at. */
static struct mw_err *look_held(struct mw_look *look)
{
	bool copy = mw_opt_set(&look->cli->opts, MW_OPT_SNAPSHOT), again;
	struct mw_err *err = copy ? look_at_copy(look) : look_stopped(look);
	if (!err || !look->refused || !is_refusal(err))
		return err;
	struct mw_err *gap = err->code == MW_ERR_GONE ? NULL : note_unstopped(look, err);
	mw_err_free(err);
	if (gap || look->taken)
		return gap;
	return look_live(look, false, look->max_ns, &again);
}

static struct mw_err *look_as_asked(struct mw_look *look)
{
	const struct mw_opt_values *opts = &look->cli->opts;
	bool again, insist = mw_opt_set(opts, MW_OPT_STOP) ||
			     mw_opt_set(opts, MW_OPT_SNAPSHOT);
	if (!mw_source_facts(look->cli->src)->live)
		return look_live(look, true, 0, &again);
	if (mw_opt_set(opts, MW_OPT_NO_STOP))
		return look_live(look, false, look->max_ns, &again);
	if (look->looker->hold == MW_HOLD_ALWAYS || insist)
		return look_held(look);
	struct mw_err *err = look_live(look, false, (uint64_t)LIVE_MS * 1000000, &again);
	return err || !again ? err : look_held(look);
}

static struct mw_err *check_options(struct mw_look *look)
{
	static const enum mw_opt_id ways[] = { MW_OPT_STOP, MW_OPT_NO_STOP,
					       MW_OPT_SNAPSHOT, MW_OPT_END };
	enum mw_opt_id way;
	unsigned max_ms;
	struct mw_err *err = mw_opt_one_of(&look->cli->opts, ways, &way);
	if (!err)
		err = mw_cli_max_stop(look->cli, &max_ms);
	if (!err && look->looker->max_stop_ms &&
	    !mw_opt_set(&look->cli->opts, MW_OPT_MAX_STOP))
		max_ms = look->looker->max_stop_ms;
	if (!err)
		look->max_ns = (uint64_t)max_ms * 1000000;
	return err;
}

struct mw_err *mw_cli_look(struct mw_cli *cli, pid_t pid, const struct mw_looker *looker,
			   struct mw_look **ret)
{
	struct mw_look *look = calloc(1, sizeof(*look));
	if (!look)
		return mw_err_nomem();
	look->cli = cli;
	look->pid = pid;
	look->looker = looker;
	struct mw_err *err = check_options(look);
	if (!err)
		err = look_as_asked(look);
	if (err)
		mw_look_free(look);
	else
		*ret = look;
	return err;
}

const struct mw_snapshot *mw_look_snapshot(const struct mw_look *look)
{
	return look->snap;
}

const struct mw_snapshot *mw_look_whose(const struct mw_look *look)
{
	return look->whose ? look->whose : look->snap;
}

const struct mw_stopped *mw_look_stopped(const struct mw_look *look)
{
	return &look->stopped;
}

void *mw_look_taken(struct mw_look *look)
{
	void *ret = look->taken;
	look->taken = NULL;
	return ret;
}

const struct mw_gap *mw_look_gaps(const struct mw_look *look, size_t *n)
{
	*n = look->n_gaps;
	return look->gaps;
}

bool mw_look_unrecorded(const struct mw_look *look)
{
	return look->unrecorded;
}

struct mw_err *mw_look_note_unrecorded(struct mw_look *look)
{
	return note(look, "the heap", "its memory is not in this recording",
		    "memwhy capture --stop --memory");
}

struct mw_err *mw_look_note_refusals(struct mw_look *look)
{
	size_t n;
	const struct mw_refusal *refusals = mw_source_refusals(look->cli->src, &n);
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < n; i++)
		err = note(look, refusals[i].what, refusals[i].why, "");
	return err;
}

struct mw_err *mw_look_note(struct mw_look *look, const char *what, const char *why,
			    const char *verb)
{
	const char *remedy =
		mw_advice_command(look->cli->src, &look->arena, verb, look->pid, "");
	return remedy ? note(look, what, why, remedy) : mw_err_nomem();
}

struct mw_err *mw_look_end(struct mw_look *look, struct mw_stopped *ret)
{
	struct mw_err *err = mw_snapshot_recheck(look->snap);
	struct mw_err *end_err = end_hold(look);
	*ret = look->stopped;
	if (!err)
		return end_err;
	mw_err_free(end_err);
	return err;
}

void mw_look_free(struct mw_look *look)
{
	if (!look)
		return;
	mw_err_free(end_hold(look));
	if (look->taken)
		look->looker->free(look->taken);
	mw_snapshot_free(look->snap);
	mw_snapshot_free(look->whose);
	free(look->registers.items);
	mw_arena_deinit(&look->arena);
	free(look);
}
