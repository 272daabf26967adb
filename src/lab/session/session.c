// SPDX-License-Identifier: MIT
/* A run of a lab: the program on the one side, its description on the other. */
#include "kernel/program/program.h"
#include "lab/session/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct mw_lab_session {
	const struct mw_lab *lab;
	struct mw_arena arena;
	struct mw_program *program;
	struct mw_told told;
	struct mw_stage stage;
	size_t n_done;            /* steps */
	struct mw_lab_turn *next; /* NULL at the end */
};

/* The step that is under way, or comes first; for messages. */
static const char *where(const struct mw_lab_session *s)
{
	return s->next ? s->next->step->name : s->lab->steps[0].name;
}

static struct mw_err *ended(struct mw_lab_session *s)
{
	const char *when = s->next ? "in" : "before", *step = where(s);
	int status;

	mw_program_end(s->program, &status);
	s->program = NULL;
	if (status != -1 && WIFSIGNALED(status))
		return mw_err_new(MW_ERR_GONE, 0, s->lab->name,
				  "the program was killed %s step \"%s\", by signal %d "
				  "(%s)",
				  when, step, WTERMSIG(status),
				  strsignal(WTERMSIG(status)));
	if (status != -1 && WIFEXITED(status))
		return mw_err_new(MW_ERR_GONE, 0, s->lab->name,
				  "the program ended %s step \"%s\", with status %d",
				  when, step, WEXITSTATUS(status));
	return mw_err_new(MW_ERR_GONE, 0, s->lab->name,
			  "the program stopped talking %s step \"%s\"", when, step);
}

/* The program waits until its promise to put something back is known. */
static struct mw_err *promise(struct mw_lab_session *s)
{
	enum mw_undo how = strcmp(s->told.how, "remove") == 0  ? MW_UNDO_REMOVE
			   : strcmp(s->told.how, "clear") == 0 ? MW_UNDO_CLEAR
							       : MW_UNDO_RESTORE;

	struct mw_err *err = mw_program_undo(s->program, how, s->told.path, s->told.text);
	return err ? err : mw_program_go(s->program);
}

/* Hears it until it waits at a step, or at the end. */
static struct mw_err *listen(struct mw_lab_session *s, enum mw_told_kind *ret)
{
	enum mw_told_kind kind = MW_TOLD_THING;
	struct mw_err *err = NULL;
	const char *line;

	while (!err && (kind == MW_TOLD_THING || kind == MW_TOLD_UNDO)) {
		err = mw_program_line(s->program, &line);
		if (!err && !line)
			return ended(s);
		if (!err)
			err = mw_told_line(&s->told, line, &kind);
		if (!err && kind == MW_TOLD_UNDO)
			err = promise(s);
	}
	if (!err)
		*ret = kind;
	else if (err->code == MW_ERR_GONE) { /* killed while we spoke to it */
		mw_err_free(err);
		return ended(s);
	}
	return err;
}

/* Step by step the program and its description must say the same. */
static struct mw_err *match(const struct mw_lab_session *s, enum mw_told_kind kind)
{
	const struct mw_lab *lab = s->lab;
	const char *want = s->n_done < lab->n_steps ? lab->steps[s->n_done].name : NULL;

	if (kind == MW_TOLD_END)
		return want ? mw_err_new(
				      MW_ERR_FORMAT, 0, lab->name,
				      "the program is at its end, where its steps file "
				      "has step \"%s\"",
				      want)
			    : NULL;
	if (!want || strcmp(want, s->told.step) != 0)
		return mw_err_new(MW_ERR_FORMAT, 0, lab->name,
				  "the program is at step \"%.60s\", where its steps "
				  "file has %s%s%s",
				  s->told.step, want ? "step \"" : "its end",
				  want ? want : "", want ? "\"" : "");
	return NULL;
}

static struct mw_err *observe(struct mw_lab_session *s)
{
	struct mw_observation *seen;

	struct mw_err *err = mw_observe(s->stage.src, &s->told.processes, &seen);
	if (err)
		return err;
	mw_observation_free(s->stage.seen);
	s->stage.seen = seen;
	return NULL;
}

/* The question of the step that the program waits at. */
static struct mw_err *set_next(struct mw_lab_session *s, enum mw_told_kind kind)
{
	s->next = NULL;
	if (kind == MW_TOLD_END)
		return NULL;
	struct mw_lab_turn *turn = mw_arena_alloc(&s->arena, sizeof(*turn));
	if (!turn)
		return mw_err_nomem();
	turn->step = &s->lab->steps[s->n_done];
	turn->number = s->n_done + 1;
	struct mw_err *err = mw_stage_ask(&s->stage, turn);
	if (!err)
		s->next = turn;
	return err;
}

bool mw_lab_has_variant(const struct mw_lab *lab, const char *name)
{
	for (size_t i = 0; i < lab->n_variants; i++)
		if (!strcmp(lab->variants[i], name))
			return true;
	return false;
}

char *mw_lab_program(const struct mw_lab *lab, const char *variant)
{
	char *path;

	int len = asprintf(&path, "%s/%s%s%s", lab->dir, lab->name, variant ? "-" : "",
			   variant ? variant : "");
	return len < 0 ? NULL : path;
}

static struct mw_err *run(struct mw_lab_session *s, const struct mw_lab_opts *opts)
{
	const char *variant = opts ? opts->variant : NULL;
	char *const none[] = { NULL }, *const *args =
					       opts && opts->args ? opts->args : none;
	size_t n = 0;

	if (variant && !mw_lab_has_variant(s->lab, variant))
		return mw_err_new(MW_ERR_NOTFOUND, 0, variant,
				  "lab %s has no variant \"%s\"", s->lab->name, variant);
	while (args[n])
		n++;
	char **argv = mw_arena_calloc(&s->arena, n + 2, sizeof(*argv));
	char *path = argv ? mw_lab_program(s->lab, variant) : NULL;
	if (!path)
		return mw_err_nomem();
	argv[0] = path;
	memcpy(argv + 1, args, n * sizeof(*argv));
	struct mw_err *err = mw_program_start(path, argv, &s->program);
	free(path);
	return err;
}

/* From the start to the first announcement. */
static struct mw_err *begin(struct mw_lab_session *s, const struct mw_lab_opts *opts)
{
	enum mw_told_kind kind = MW_TOLD_END;

	struct mw_err *err = run(s, opts);
	if (err)
		return err;
	if (!mw_vec_add(&s->told.processes,
			(struct mw_lab_process){ "", mw_program_pid(s->program) }))
		return mw_err_nomem();
	err = listen(s, &kind);
	if (!err)
		err = match(s, kind);
	if (!err)
		err = observe(s);
	if (!err)
		err = mw_stage_lacks(&s->stage, &s->lab->needs, &s->stage.lacks);
	if (!err)
		err = set_next(s, kind);
	return err;
}

struct mw_err *mw_lab_start(const struct mw_lab *lab, struct mw_source *src,
			    const struct mw_lab_opts *opts, struct mw_lab_session **ret)
{
	struct mw_lab_session *s = calloc(1, sizeof(*s));
	if (!s)
		return mw_err_nomem();
	s->lab = lab;
	s->told.arena = &s->arena;
	s->stage = (struct mw_stage){
		.lab = lab,
		.src = src,
		.arena = &s->arena,
		.told = &s->told,
		.lacks = "",
	};
	struct mw_err *err = begin(s, opts);
	if (err)
		mw_lab_end(s);
	else
		*ret = s;
	return err;
}

const struct mw_lab_turn *mw_lab_next(const struct mw_lab_session *session)
{
	return session->next;
}

pid_t mw_lab_pid(const struct mw_lab_session *session)
{
	return session->program ? mw_program_pid(session->program) : 0;
}

const char *mw_lab_lacks(const struct mw_lab_session *session)
{
	return session->stage.lacks;
}

/*
 * Looks once more right before it goes on, though nothing of it has changed since its
 * announcement: the machine has, while somebody thought about the question.
 */
static struct mw_err *prepare(struct mw_lab_session *s)
{
	struct mw_err *err = observe(s);

	if (err)
		return err;
	s->stage.before = s->stage.seen;
	s->stage.seen = NULL;
	err = mw_stage_prepare(&s->stage, s->next->step);
	mw_observation_close(s->stage.before);
	return err;
}

static struct mw_err *take_step(struct mw_lab_session *s)
{
	struct mw_lab_turn *turn = s->next;
	enum mw_told_kind kind = MW_TOLD_END;

	struct mw_err *err = prepare(s);
	if (err)
		return err;
	if (s->n_done) /* what was said before the first is told with it */
		mw_told_forget(&s->told);
	err = mw_program_go(s->program);
	if (err) {
		mw_err_free(err);
		return ended(s);
	}
	err = listen(s, &kind);
	s->n_done++;
	if (!err)
		err = match(s, kind);
	if (!err)
		err = observe(s);
	if (!err)
		err = mw_stage_answer(&s->stage, turn);
	mw_observation_free(s->stage.before);
	s->stage.before = NULL;
	return err ? err : set_next(s, kind);
}

struct mw_err *mw_lab_go(struct mw_lab_session *session, const struct mw_lab_turn **ret)
{
	struct mw_lab_turn *turn = session->next;

	if (!turn || !session->program)
		return mw_err_new(MW_ERR_GONE, 0, session->lab->name,
				  "the lab is at its end");
	struct mw_err *err = take_step(session);
	if (!err)
		*ret = turn;
	return err;
}

void mw_lab_end(struct mw_lab_session *session)
{
	if (!session)
		return;
	mw_program_end(session->program, NULL);
	mw_stage_deinit(&session->stage);
	mw_told_deinit(&session->told);
	mw_arena_deinit(&session->arena);
	free(session);
}
