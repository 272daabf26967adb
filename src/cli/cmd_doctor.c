// SPDX-License-Identifier: MIT
/* memwhy doctor: what this user may read here, found by trying. */
#include "base/vec.h"
#include "cli/cmd.h"
#include "view/doctor.h"

#include <string.h>
#include <unistd.h>

static const enum mw_opt_id opts[] = { MW_OPT_END };

enum { MAX_TARGETS = 2 };

static struct mw_err *add_target(struct mw_cli *cli, pid_t pid, struct mw_arena *arena,
				 struct mw_doctor_target *targets, size_t *n)
{
	struct mw_doctor_target *target = &targets[*n];
	*target = (struct mw_doctor_target){ .pid = pid };
	target->who = pid == getpid() ? mw_arena_strdup(arena, "itself")
				      : mw_arena_printf(arena, "process %d", pid);
	if (!target->who)
		return mw_err_nomem();
	(*n)++;
	return mw_access_check(cli->src, pid, arena, &target->access);
}

/* The process that was named; else memwhy itself, and process 1 as somebody else's. */
static struct mw_err *check_targets(struct mw_cli *cli, struct mw_arena *arena,
				    struct mw_doctor_target *targets, size_t *n)
{
	pid_t pid;
	struct mw_err *err;
	if (cli->n_args || mw_opt_set(&cli->opts, MW_OPT_ROOT)) {
		err = mw_cli_target(cli, &pid);
		return err ? err : add_target(cli, pid, arena, targets, n);
	}
	err = add_target(cli, getpid(), arena, targets, n);
	return err ? err : add_target(cli, 1, arena, targets, n);
}

/* A recording that holds no answer leaves the feature unknown. */
static struct mw_err *probe_all(struct mw_source *src, struct mw_doctor_answer *ret)
{
	for (unsigned i = 0; i < MW_FEATURE_COUNT; i++) {
		struct mw_err *err = mw_source_probe(src, i, &ret->present[i]);
		ret->known[i] = !err;
		if (err && err->code == MW_ERR_NOMEM)
			return err;
		mw_err_free(err);
	}
	return NULL;
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_doctor_answer *answer)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	return err ? err : mw_cli_finish(out, mw_view_doctor(out, answer));
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_arena arena = { 0 };
	struct mw_doctor_target targets[MAX_TARGETS] = { 0 };
	struct mw_doctor_answer answer = {
		.targets = targets,
		.release = mw_source_facts(cli->src)->release,
		.page_size = mw_source_facts(cli->src)->page_size,
	};
	struct mw_err *err = check_targets(cli, &arena, targets, &answer.n_targets);
	if (!err)
		err = probe_all(cli->src, &answer);
	if (!err)
		err = show(cli, &answer);
	for (size_t i = 0; i < MAX_TARGETS; i++)
		mw_vec_deinit(&targets[i].access);
	mw_arena_deinit(&arena);
	return err;
}

const struct mw_cmd mw_cmd_doctor = {
	.name = "doctor",
	.summary = "what may be read here, and what opens the rest",
	.usage = "[OPTION...] [PID|NAME]",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 1,
	.opts = opts,
	.run = run,
};
