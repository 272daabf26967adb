// SPDX-License-Identifier: MIT
/* memwhy lab: experiments with a prediction, the kernel's answer and a verdict. */
#include "base/num.h"
#include "cli/lab/lab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const enum mw_opt_id opts[] = {
	MW_OPT_LAB_AUTO,   MW_OPT_LAB_ANSWERS, MW_OPT_LAB_STEP,   MW_OPT_LAB_TWO,
	MW_OPT_LAB_SOURCE, MW_OPT_LAB_VARIANT, MW_OPT_LAB_COPIES, MW_OPT_LAB_ALL,
	MW_OPT_LAB_NAMES,  MW_OPT_END,
};

/* One copy would have nothing beside it. */
enum { MIN_COPIES = 2, MAX_COPIES = 100 };

static struct mw_err *list(struct mw_cli *cli, const struct mw_labs *labs)
{
	struct mw_out *out;
	struct mw_lab_entry *entries = calloc(labs->n + 1, sizeof(*entries));
	if (!entries)
		return mw_err_nomem();
	for (size_t i = 0; i < labs->n; i++)
		entries[i] = (struct mw_lab_entry){ .lab = labs->items[i], .failed = "" };
	struct mw_err *err = mw_cli_out(cli, &out);
	if (!err)
		err = mw_cli_finish(out,
				    mw_view_labs(out, entries, labs->n, MW_LABS_LISTED));
	free(entries);
	return err;
}

/* For completions. */
static void print_names(const struct mw_labs *labs)
{
	for (size_t i = 0; i < labs->n; i++)
		printf("%s\n", labs->items[i]->name);
}

/* Every line must be of a step that asks; compared here, before anything runs. */
static struct mw_err *check_answers(struct mw_lab *const *labs, size_t n,
				    const struct mw_lab_wish *wish)
{
	if (wish->mode != MW_LAB_GRADE)
		return NULL;
	for (size_t i = 0; i < n; i++)
		for (size_t s = 0; s < labs[i]->n_steps; s++)
			if (labs[i]->steps[s].answer)
				mw_answers_of(wish->answers, labs[i]->name,
					      labs[i]->steps[s].name, wish->all);
	return mw_answers_check(wish->answers);
}

/*
 * Build systems run tests with this, and glibc then writes into every block: pages would
 * be touched that no lab has touched. Other settings of malloc labs can tell themselves.
 */
static void calm_malloc(void)
{
	unsetenv("MALLOC_PERTURB_");
}

static struct mw_err *run_many(struct mw_cli *cli, const struct mw_lab_wish *wish)
{
	struct mw_labs labs = { 0 };
	struct mw_err *err = mw_labs_find(&labs);
	if (!err && wish->all)
		err = check_answers(labs.items, labs.n, wish);
	if (!err && mw_opt_set(&cli->opts, MW_OPT_LAB_NAMES))
		print_names(&labs);
	else if (!err && mw_opt_set(&cli->opts, MW_OPT_LAB_ALL)) {
		calm_malloc();
		err = mw_lab_run_all(cli, &labs, wish);
	} else if (!err)
		err = list(cli, &labs);
	if (labs.broken && cli->status <= MW_EXIT_FINDING)
		cli->status = MW_EXIT_FAILED;
	mw_labs_deinit(&labs);
	return err;
}

/* --step N or NAME. */
static struct mw_err *take_step(const struct mw_cli *cli, const struct mw_lab *lab,
				struct mw_lab_wish *wish)
{
	const char *step = cli->opts.value[MW_OPT_LAB_STEP];
	uint64_t n;
	if (!step)
		return NULL;
	for (size_t i = 0; i < lab->n_steps; i++)
		if (!strcmp(lab->steps[i].name, step))
			wish->only = i + 1;
	if (!wish->only && mw_parse_u64(step, &n) && n && n <= lab->n_steps)
		wish->only = n;
	if (!wish->only)
		return mw_err_new(MW_ERR_USAGE, 0, step,
				  "--step: %s has %zu steps, and none is %s", lab->name,
				  lab->n_steps, step);
	return NULL;
}

static struct mw_err *check_variant(const struct mw_lab *lab, const char *variant)
{
	mw_auto_buf text = { 0 };
	bool ok = true;
	if (!variant || mw_lab_has_variant(lab, variant))
		return NULL;
	for (size_t i = 0; ok && i < lab->n_variants; i++)
		ok = mw_buf_printf(&text, "%s%s", i ? ", " : "", lab->variants[i]);
	if (!ok)
		return mw_err_nomem();
	return mw_err_new(MW_ERR_USAGE, 0, variant, "--variant: %s has %s%s", lab->name,
			  lab->n_variants ? "these: " : "none", mw_buf_str(&text));
}

/* A program that does not look at what it is given would do without a word. */
static struct mw_err *check_takes(const struct mw_cli *cli, const struct mw_lab *lab)
{
	if (cli->n_args > 1 && !lab->arguments[0])
		return mw_err_new(MW_ERR_USAGE, 0, cli->args[1],
				  "%s: the lab %s takes no arguments", cli->args[1],
				  lab->name);
	if (mw_opt_set(&cli->opts, MW_OPT_LAB_COPIES) && !lab->copies[0])
		return mw_err_new(MW_ERR_USAGE, 0, "--copies",
				  "--copies: the lab %s makes none", lab->name);
	return NULL;
}

static struct mw_err *show_run(struct mw_cli *cli, const struct mw_lab *lab,
			       const struct mw_lab_wish *wish)
{
	struct mw_lab_tally tally = { 0 };
	struct mw_out *out;
	struct mw_err *err = mw_cli_out(cli, &out);
	if (err)
		return err;
	err = mw_cli_finish(out, mw_lab_run(cli, lab, wish, out, &tally));
	if (mw_lab_is_finding(&tally, wish->mode))
		cli->status = MW_EXIT_FINDING;
	return err;
}

static struct mw_err *run_one(struct mw_cli *cli, struct mw_lab_wish *wish)
{
	struct mw_lab *lab = NULL;
	const char *source = cli->opts.value[MW_OPT_LAB_SOURCE];
	struct mw_err *err = mw_labs_open(cli->args[0], &lab);
	if (!err)
		err = take_step(cli, lab, wish);
	if (!err)
		err = check_variant(lab, wish->program.variant);
	if (!err)
		err = check_takes(cli, lab);
	if (!err)
		err = check_answers(&lab, 1, wish);
	if (!err && source)
		err = mw_lab_print(lab, source);
	else if (!err && mw_opt_set(&cli->opts, MW_OPT_LAB_TWO))
		err = mw_lab_become(lab, &wish->program);
	else if (!err) {
		calm_malloc();
		err = show_run(cli, lab, wish);
	}
	mw_lab_free(lab);
	return err;
}

/* Labs ask only where somebody sits. */
static enum mw_lab_mode mode_of(const struct mw_cli *cli)
{
	if (mw_opt_set(&cli->opts, MW_OPT_LAB_ANSWERS))
		return MW_LAB_GRADE;
	bool person = cli->out_opts.format == MW_FORMAT_TEXT && isatty(STDIN_FILENO) &&
		      isatty(STDOUT_FILENO);
	return person && !mw_opt_set(&cli->opts, MW_OPT_LAB_AUTO) &&
			       !mw_opt_set(&cli->opts, MW_OPT_LAB_ALL)
		       ? MW_LAB_ASK
		       : MW_LAB_AUTO;
}

/* Which options go with which. */
static struct mw_err *check(const struct mw_cli *cli)
{
	static const enum mw_opt_id ways[] = { MW_OPT_LAB_AUTO,  MW_OPT_LAB_ANSWERS,
					       MW_OPT_LAB_TWO,   MW_OPT_LAB_SOURCE,
					       MW_OPT_LAB_NAMES, MW_OPT_END };
	static const enum mw_opt_id of_one[] = { MW_OPT_LAB_STEP, MW_OPT_LAB_TWO,
						 MW_OPT_LAB_SOURCE, MW_OPT_LAB_VARIANT,
						 MW_OPT_LAB_COPIES };
	bool all = mw_opt_set(&cli->opts, MW_OPT_LAB_ALL);
	enum mw_opt_id way;
	struct mw_err *err = mw_opt_one_of(&cli->opts, ways, &way);
	if (err)
		return err;
	if (mw_opt_set(&cli->opts, MW_OPT_ROOT))
		return mw_err_new(MW_ERR_USAGE, 0, "--root",
				  "labs run on this machine: no --root");
	if (all && cli->n_args)
		return mw_err_new(MW_ERR_USAGE, 0, cli->args[0],
				  "--all and a lab exclude each other");
	for (size_t i = 0; !cli->n_args && i < sizeof(of_one) / sizeof(*of_one); i++)
		if (mw_opt_set(&cli->opts, of_one[i]))
			return mw_err_new(MW_ERR_USAGE, 0, "", "--%s: of which lab?",
					  mw_opt_get(of_one[i])->name);
	if (way && way != MW_OPT_LAB_NAMES && !all && !cli->n_args)
		return mw_err_new(MW_ERR_USAGE, 0, "", "--%s: which lab? or --all",
				  mw_opt_get(way)->name);
	return NULL;
}

/* Programs find how many copies they are to make in their environment. */
static struct mw_err *set_copies(const struct mw_cli *cli)
{
	uint64_t copies;
	struct mw_err *err = mw_opt_number(&cli->opts, MW_OPT_LAB_COPIES, MIN_COPIES,
					   MAX_COPIES, 0, &copies);
	if (err || !copies)
		return err;
	return setenv("MEMWHY_LAB_COPIES", cli->opts.value[MW_OPT_LAB_COPIES], 1)
		       ? mw_err_nomem()
		       : NULL;
}

static struct mw_err *run(struct mw_cli *cli)
{
	struct mw_answers answers = { 0 };
	struct mw_lab_wish wish = {
		.mode = mode_of(cli),
		.answers = &answers,
		.all = mw_opt_set(&cli->opts, MW_OPT_LAB_ALL),
		.program = { .variant = cli->opts.value[MW_OPT_LAB_VARIANT],
			     .args = cli->n_args > 1 ? cli->args + 1 : NULL },
	};
	struct mw_err *err = check(cli);
	if (!err)
		err = set_copies(cli);
	if (!err && wish.mode == MW_LAB_GRADE)
		err = mw_answers_read(cli->opts.value[MW_OPT_LAB_ANSWERS], &answers);
	if (!err && !cli->src)
		err = mw_source_open_live(&cli->src);
	if (!err)
		err = cli->n_args ? run_one(cli, &wish) : run_many(cli, &wish);
	mw_answers_deinit(&answers);
	return err;
}

const struct mw_cmd mw_cmd_lab = {
	.name = "lab",
	.summary = "virtual memory by experiments that check themselves",
	.usage = "[OPTION...] [NAME|DIR [ARG...]]",
	.max_args = 64,
	.opts = opts,
	.run = run,
};
