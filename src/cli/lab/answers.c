// SPDX-License-Identifier: MIT
/* Files of predictions: lines of a step's name and what is predicted, # comments. */
#include "cli/lab/lab.h"

#include <string.h>

/* Far more than anybody predicts. */
enum { MAX_LEN = 1 << 20 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static char *skip_blanks(char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

static struct mw_err *bad_line(const struct mw_answers *answers, size_t line,
			       const char *what)
{
	return mw_err_new(MW_ERR_USAGE, 0, answers->path, "%s:%zu: %s", answers->path,
			  line, what);
}

/* One line, taken apart in place. */
static struct mw_err *take_line(struct mw_answers *answers, char *text, size_t line)
{
	char *end = text + strlen(text);
	while (end > text && is_blank(end[-1]))
		*--end = '\0';
	text = skip_blanks(text);
	if (!*text || *text == '#')
		return NULL;
	struct mw_answer answer = { .step = text, .line = line };
	char *rest = text;
	while (*rest && !is_blank(*rest))
		rest++;
	if (!*rest)
		return bad_line(answers, line,
				"a step, but no prediction: lines are STEP ANSWER");
	*rest = '\0';
	answer.said = skip_blanks(rest + 1);
	for (size_t i = 0; i < answers->n; i++)
		if (!strcmp(answers->items[i].step, answer.step))
			return bad_line(answers, line, "this step was predicted above");
	return mw_vec_add(answers, answer) ? NULL : mw_err_nomem();
}

struct mw_err *mw_answers_read(const char *path, struct mw_answers *ret)
{
	mw_auto_buf file = { 0 };
	struct mw_err *err = mw_cli_read_file(path, MAX_LEN, &file);
	ret->path = path;
	if (err)
		return mw_cli_blame(err, path);
	if (strlen(mw_buf_str(&file)) != file.len)
		return mw_err_new(MW_ERR_USAGE, 0, path, "%s is no text", path);
	char *text = mw_arena_strndup(&ret->arena, mw_buf_str(&file), file.len);
	if (!text)
		return mw_err_nomem();
	for (size_t line = 1; !err && text; line++) {
		char *end = strchr(text, '\n');
		if (end)
			*end = '\0';
		err = take_line(ret, text, line);
		text = end ? end + 1 : NULL;
	}
	return err;
}

void mw_answers_deinit(struct mw_answers *answers)
{
	mw_vec_deinit(answers);
	mw_arena_deinit(&answers->arena);
}

static bool is_of(const char *written, const char *lab, const char *step)
{
	size_t len = strlen(lab);
	return !strncmp(written, lab, len) && written[len] == '.' &&
	       !strcmp(written + len + 1, step);
}

const char *mw_answers_of(struct mw_answers *answers, const char *lab, const char *step,
			  bool whole)
{
	for (size_t i = 0; i < answers->n; i++) {
		struct mw_answer *answer = &answers->items[i];
		if (!is_of(answer->step, lab, step) &&
		    (whole || strcmp(answer->step, step) != 0))
			continue;
		answer->used = true;
		return answer->said;
	}
	return NULL;
}

struct mw_err *mw_answers_check(const struct mw_answers *answers)
{
	for (size_t i = 0; i < answers->n; i++)
		if (!answers->items[i].used)
			return mw_err_new(MW_ERR_USAGE, 0, answers->path,
					  "%s:%zu: %s is no step that is asked",
					  answers->path, answers->items[i].line,
					  answers->items[i].step);
	return NULL;
}
