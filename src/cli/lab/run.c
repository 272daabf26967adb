// SPDX-License-Identifier: MIT
/* One lab, from its start to its end; and all of them. */
#include "cli/lab/lab.h"

struct run {
	struct mw_cli *cli;
	const struct mw_lab_wish *wish;
	struct mw_lab_view view;
	struct mw_lab_session *session;
	bool lacks; /* the lab as a whole: nothing is asked */
	bool quit;
	struct {
		MW_VEC(struct mw_lab_record);
	} records;
	struct mw_lab_tally tally;
	struct mw_arena arena;
};

static bool is_asked(const struct run *run, const struct mw_lab_turn *turn)
{
	return !run->lacks && !*turn->lacks && *turn->ask && turn->step->answer;
}

static struct mw_err *keep(struct run *run, const char *said, const char **ret)
{
	char *copy = mw_arena_strdup(&run->arena, said);
	if (!copy)
		return mw_err_nomem();
	*ret = copy;
	return NULL;
}

/* Until it is a prediction, or none. */
static struct mw_err *ask(struct run *run, const struct mw_lab_turn *turn,
			  const char **ret)
{
	mw_auto_buf line = { 0 };
	bool asked = is_asked(run, turn), right;
	for (;;) {
		mw_out_show(run->view.out);
		run->quit = !mw_lab_prompt(run->cli, asked ? "predict" : "Enter", &line);
		const char *said = mw_buf_str(&line);
		if (run->quit || !asked || !*said)
			return NULL;
		mw_auto_err err = mw_lab_judge(turn, said, &right);
		if (!err || err->code != MW_ERR_FORMAT)
			return keep(run, said, ret);
		mw_out_point(run->view.out, MW_CHANGED, "again", err->msg);
	}
}

static struct mw_err *predict(struct run *run, const struct mw_lab_turn *turn,
			      const char **ret)
{
	const struct mw_lab_wish *wish = run->wish;
	*ret = "";
	if (wish->mode == MW_LAB_ASK)
		return ask(run, turn, ret);
	if (wish->mode == MW_LAB_AUTO)
		return NULL;
	const char *said = mw_answers_of(wish->answers, run->view.lab->name,
					 turn->step->name, wish->all);
	return said ? keep(run, said, ret) : NULL;
}

/* A prediction that is no answer at all is wrong: who wrote it cannot be asked again. */
static struct mw_err *judge(const struct run *run, const struct mw_lab_turn *turn,
			    const char *said, enum mw_lab_mark *ret)
{
	bool right = false;
	if (!is_asked(run, turn))
		*ret = MW_LAB_NOT_ASKED;
	else if (turn->answer.kind == MW_VALUE_UNKNOWN)
		*ret = MW_LAB_UNJUDGED;
	else if (!*said)
		*ret = MW_LAB_MISSING;
	else {
		struct mw_err *err = mw_lab_judge(turn, said, &right);
		if (err && err->code != MW_ERR_FORMAT)
			return err;
		*ret = !err && right ? MW_LAB_RIGHT : MW_LAB_WRONG;
		mw_err_free(err);
	}
	return NULL;
}

static struct mw_err *add_record(struct run *run, const struct mw_lab_turn *turn,
				 const char *said)
{
	struct mw_lab_record record = { .turn = turn, .said = said };
	struct mw_err *err = judge(run, turn, said, &record.mark);
	if (err)
		return err;
	if (!mw_vec_add(&run->records, record))
		return mw_err_nomem();
	mw_lab_count(&run->tally, &record);
	if (!run->view.out)
		return NULL;
	err = mw_view_lab_done(&run->view, &record);
	mw_out_show(run->view.out);
	return err;
}

static struct mw_err *take_step(struct run *run, const struct mw_lab_turn *turn)
{
	const char *said = "";
	bool shown = !run->wish->only || run->wish->only == turn->number;
	struct mw_err *err = NULL;
	if (shown && run->view.out) {
		err = mw_view_lab_ahead(&run->view, turn);
		mw_out_show(run->view.out);
	}
	if (!err && shown)
		err = predict(run, turn, &said);
	if (err || run->quit)
		return err;
	err = mw_lab_go(run->session, &turn);
	return err || !shown ? err : add_record(run, turn, said);
}

static struct mw_err *take_steps(struct run *run)
{
	const struct mw_lab_turn *turn;
	size_t done = 0;
	struct mw_err *err = NULL;
	while (!err && !run->quit && (turn = mw_lab_next(run->session))) {
		if (run->view.out && mw_out_failed(run->view.out))
			return NULL;
		if (run->wish->only && done == run->wish->only)
			return NULL;
		err = take_step(run, turn);
		done++;
	}
	return err;
}

/* Where somebody sits before it. */
static struct mw_err *greet(const struct run *run)
{
	mw_auto_buf text = { 0 };
	if (run->wish->mode != MW_LAB_ASK)
		return NULL;
	if (!mw_buf_printf(
		    &text,
		    "The program waits before each step. Predict, then see; Enter "
		    "alone predicts nothing, Ctrl-C ends it. In a second terminal: "
		    "memwhy map %d",
		    (int)mw_lab_pid(run->session)))
		return mw_err_nomem();
	mw_out_note(run->view.out, 2, mw_buf_str(&text));
	return NULL;
}

/* A folder may have come from anywhere, without having been built. */
static struct mw_err *start(struct run *run)
{
	const char *name = run->view.lab->name;
	mw_auto_err err = mw_lab_start(run->view.lab, run->cli->src, &run->wish->program,
				       &run->session);
	struct mw_err *ret = err;
	if (err && err->code == MW_ERR_NOTFOUND)
		return mw_err_new(MW_ERR_USAGE, 0, name, "lab %s is not built: %s", name,
				  err->msg);
	err = NULL;
	return ret;
}

static struct mw_err *begin(struct run *run)
{
	struct mw_err *err = start(run);
	if (err)
		return err;
	const char *lacks = mw_lab_lacks(run->session);
	run->lacks = *lacks != '\0';
	if (!run->view.out)
		return NULL;
	err = mw_view_lab_begin(&run->view, mw_lab_pid(run->session), lacks);
	return err ? err : greet(run);
}

struct mw_err *mw_lab_run(struct mw_cli *cli, const struct mw_lab *lab,
			  const struct mw_lab_wish *wish, struct mw_out *out,
			  struct mw_lab_tally *tally)
{
	struct run run = { .cli = cli,
			   .wish = wish,
			   .view = { .out = out,
				     .lab = lab,
				     .variant = wish->program.variant,
				     .graded = wish->mode == MW_LAB_GRADE } };
	struct mw_err *err = begin(&run);
	if (!err)
		err = take_steps(&run);
	if (!err && out)
		err = mw_view_lab_end(&run.view, run.records.items, run.records.n,
				      &run.tally);
	if (!err)
		*tally = run.tally;
	mw_lab_end(run.session);
	mw_vec_deinit(&run.records);
	mw_arena_deinit(&run.arena);
	return err;
}

bool mw_lab_is_finding(const struct mw_lab_tally *tally, enum mw_lab_mode mode)
{
	return tally->broken ||
	       (mode == MW_LAB_GRADE && (tally->wrong || tally->missing));
}
