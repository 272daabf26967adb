// SPDX-License-Identifier: MIT
/* memwhy free: where the machine's memory is. */
#include "base/clock.h"
#include "cli/cmd.h"
#include "model/find.h"
#include "view/free.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_FREE_KIBI, MW_OPT_FREE_MEBI,    MW_OPT_FREE_GIBI,  MW_OPT_FREE_TEBI,
	MW_OPT_FREE_PEBI, MW_OPT_FREE_KILO,    MW_OPT_FREE_MEGA,  MW_OPT_FREE_GIGA,
	MW_OPT_FREE_TERA, MW_OPT_FREE_PETA,    MW_OPT_FREE_HUMAN, MW_OPT_FREE_SI,
	MW_OPT_FREE_LOHI, MW_OPT_FREE_LINE,    MW_OPT_FREE_TOTAL, MW_OPT_FREE_COMMITTED,
	MW_OPT_FREE_WIDE, MW_OPT_FREE_SECONDS, MW_OPT_FREE_COUNT, MW_OPT_FREE_CGROUP,
	MW_OPT_WATCH,     MW_OPT_END,
};

/* Units of procps' options: power, and whether of 1000. */
static const struct {
	enum mw_opt_id id;
	unsigned char power;
	bool si;
} units[] = {
	{ MW_OPT_BYTES, 0, false },     { MW_OPT_KIB, 1, false },
	{ MW_OPT_MIB, 2, false },       { MW_OPT_GIB, 3, false },
	{ MW_OPT_FREE_KIBI, 1, false }, { MW_OPT_FREE_MEBI, 2, false },
	{ MW_OPT_FREE_GIBI, 3, false }, { MW_OPT_FREE_TEBI, 4, false },
	{ MW_OPT_FREE_PEBI, 5, false }, { MW_OPT_FREE_KILO, 1, true },
	{ MW_OPT_FREE_MEGA, 2, true },  { MW_OPT_FREE_GIGA, 3, true },
	{ MW_OPT_FREE_TERA, 4, true },  { MW_OPT_FREE_PETA, 5, true },
};

static struct mw_err *take_unit(const struct mw_opt_values *values,
				struct mw_free_classic *ret)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!mw_opt_set(values, units[i].id))
			continue;
		if (ret->chosen)
			return mw_err_new(MW_ERR_USAGE, 0, NULL,
					  "several units make no sense");
		ret->power = units[i].power;
		ret->chosen = true;
		ret->si |= units[i].si;
	}
	return NULL;
}

/* *asked: an option asks for procps' own table. */
static struct mw_err *take_classic(const struct mw_opt_values *values,
				   struct mw_free_classic *ret, bool *asked)
{
	*ret = (struct mw_free_classic){
		.power = 1,
		.human = mw_opt_set(values, MW_OPT_FREE_HUMAN),
		.si = mw_opt_set(values, MW_OPT_FREE_SI),
		.low_high = mw_opt_set(values, MW_OPT_FREE_LOHI),
		.line = mw_opt_set(values, MW_OPT_FREE_LINE),
		.total = mw_opt_set(values, MW_OPT_FREE_TOTAL),
		.committed = mw_opt_set(values, MW_OPT_FREE_COMMITTED),
		.wide = mw_opt_set(values, MW_OPT_FREE_WIDE),
	};
	struct mw_err *err = take_unit(values, ret);
	*asked = ret->chosen || ret->human || ret->si || ret->low_high || ret->line ||
		 ret->total || ret->committed || ret->wide ||
		 mw_opt_set(values, MW_OPT_FREE_SECONDS) ||
		 (mw_opt_set(values, MW_OPT_FREE_COUNT) &&
		  !mw_opt_set(values, MW_OPT_WATCH));
	return err;
}

/* How often, and how long between two looks. */
struct pace {
	bool repeat;
	uint64_t times; /* 0: until interrupted */
	uint64_t pause_ns;
};

static bool parse_seconds(const char *text, uint64_t *ns)
{
	char *end;
	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return false;
	double seconds = strtod(text, &end);
	if (*end || !(seconds >= 0.000001) || seconds > 1e6)
		return false;
	*ns = (uint64_t)(seconds * 1e9);
	return true;
}

static struct mw_err *take_pace(const struct mw_opt_values *values, bool classic,
				struct pace *ret)
{
	const char *seconds = values->value[classic ? MW_OPT_FREE_SECONDS : MW_OPT_WATCH];
	*ret = (struct pace){ .pause_ns = classic ? 1000000000 : 2000000000 };
	if (seconds && seconds[0] && !parse_seconds(seconds, &ret->pause_ns))
		return mw_err_new(MW_ERR_USAGE, 0, seconds,
				  "%s is not a positive number of seconds", seconds);
	ret->repeat = seconds || mw_opt_set(values, MW_OPT_FREE_COUNT);
	return mw_opt_number(values, MW_OPT_FREE_COUNT, 1, UINT32_MAX, 0, &ret->times);
}

static void pause_ns(uint64_t ns)
{
	struct timespec pause = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	nanosleep(&pause, NULL);
}

static struct mw_err *show(struct mw_cli *cli, const struct mw_free_answer *answer,
			   const struct mw_free_classic *classic)
{
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = classic ? mw_view_free_classic(out, answer->machine, classic)
		      : mw_view_free(out, answer);
	return mw_cli_finish(out, err);
}

/* The process whose cgroup is meant: --cgroup's, our own, or the one recorded; else 0. */
static struct mw_err *whose(struct mw_cli *cli, pid_t *ret)
{
	char *operand = (char *)cli->opts.value[MW_OPT_FREE_CGROUP];
	struct mw_cli target = *cli;
	target.args = &operand;
	target.n_args = 1;
	if (operand && operand[0])
		return mw_cli_target(&target, ret);
	*ret = getpid();
	if (mw_source_facts(cli->src)->live)
		return NULL;
	mw_auto_err err = mw_find_largest(cli->src, 0, ret);
	if (err)
		*ret = 0;
	return NULL;
}

/* The cgroup, and where asked for the bridge; their absence is told, unless named. */
struct group {
	struct mw_cgroup cgroup;
	struct mw_cgroup_bridge bridge;
	struct mw_err *none;
};

static struct mw_err *look_at_group(struct mw_cli *cli, struct group *group,
				    struct mw_free_answer *answer)
{
	const char *named = cli->opts.value[MW_OPT_FREE_CGROUP];
	pid_t pid;
	struct mw_err *err = whose(cli, &pid);
	if (err)
		return err;
	group->none = pid ? mw_cgroup_read(cli->src, pid, &group->cgroup)
			  : mw_err_new(MW_ERR_NOTFOUND, 0, NULL, "not recorded");
	if (group->none && named && named[0]) {
		err = group->none;
		group->none = NULL;
		return err;
	}
	if (group->none) {
		answer->no_cgroup = group->none->msg;
		return NULL;
	}
	answer->cgroup = &group->cgroup;
	if (!named)
		return NULL;
	answer->bridge = &group->bridge;
	err = mw_cgroup_bridge(cli->src, pid, &group->cgroup, &group->bridge);
	if (!err && group->bridge.n_denied)
		cli->status = MW_EXIT_LIMITED;
	return err;
}

static struct mw_err *look(struct mw_cli *cli, const struct mw_free_classic *classic,
			   struct mw_free_answer *answer, struct mw_machine *machine)
{
	struct group group = { 0 };
	struct mw_err *err = mw_machine_read(cli->src, machine);
	answer->machine = machine;
	answer->cgroup = NULL;
	answer->bridge = NULL;
	answer->no_cgroup = "";
	answer->recorded = !mw_source_facts(cli->src)->live;
	if (!err && !classic)
		err = look_at_group(cli, &group, answer);
	if (!err)
		err = show(cli, answer, classic);
	/* It was of this look. */
	answer->cgroup = NULL;
	answer->bridge = NULL;
	answer->no_cgroup = "";
	mw_err_free(group.none);
	return err;
}

static struct mw_err *look_on(struct mw_cli *cli, const struct mw_free_classic *classic,
			      const struct pace *pace)
{
	struct mw_machine machine[2];
	struct mw_free_answer answer = { 0 };
	uint64_t last = 0;
	for (uint64_t i = 0;; i++) {
		uint64_t now = mw_now_ns();
		answer.before = i ? &machine[(i + 1) % 2] : NULL;
		answer.elapsed_ns = now - last;
		last = now;
		struct mw_err *err = look(cli, classic, &answer, &machine[i % 2]);
		if (err || !pace->repeat || (pace->times && i + 1 >= pace->times))
			return err;
		/* A blank line between two tables; one-line looks follow each other. */
		if (cli->out_opts.format == MW_FORMAT_TEXT && !(classic && classic->line))
			fputc('\n', stdout);
		fflush(stdout);
		pause_ns(pace->pause_ns);
	}
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_free_classic classic;
	struct pace pace;
	bool is_classic;
	struct mw_err *err = take_classic(&cli->opts, &classic, &is_classic);
	if (err)
		return err;
	is_classic = is_classic && cli->out_opts.format == MW_FORMAT_TEXT;
	if (is_classic && (mw_opt_set(&cli->opts, MW_OPT_FREE_CGROUP) ||
			   mw_opt_set(&cli->opts, MW_OPT_WATCH)))
		return mw_err_new(MW_ERR_USAGE, 0, NULL,
				  "--cgroup and --watch do not go with the options of "
				  "procps' table; -s repeats that");
	err = take_pace(&cli->opts, is_classic, &pace);
	return err ? err : look_on(cli, is_classic ? &classic : NULL, &pace);
}

const struct mw_cmd mw_cmd_free = {
	.name = "free",
	.summary = "where the machine's memory is, in rows that add up",
	.usage = "[OPTION...]",
	.needs = MW_NEEDS_SOURCE,
	.max_args = 0,
	.opts = opts,
	.run = run,
};
