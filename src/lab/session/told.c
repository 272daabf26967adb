// SPDX-License-Identifier: MIT
#include "lab/session/told.h"

#include "base/num.h"

#include <string.h>

enum {
	MAX_FIELDS = 4,
	MAX_NAME = 64,
	MAX_VALUES = 4096,
	MAX_PROCESSES = 1024,
	MAX_LINES = 10000, /* in one step */
};

static struct mw_err *wrong(const char *line, const char *what)
{
	return mw_err_new(MW_ERR_FORMAT, 0, NULL, "the program wrote \"%.60s\": %s", line,
			  what);
}

/* Cuts a line at its tabs; the last field takes the rest. */
static size_t cut(char *line, const char *fields[MAX_FIELDS])
{
	size_t n = 0;

	while (line && n < MAX_FIELDS) {
		fields[n++] = line;
		char *tab = n < MAX_FIELDS ? strchr(line, '\t') : NULL;
		if (tab)
			*tab++ = '\0';
		line = tab;
	}
	return n;
}

static bool is_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789_");

	return len && len < MAX_NAME && !text[len] && !(*text >= '0' && *text <= '9');
}

static bool to_number(const char *text, int64_t *ret)
{
	bool less = *text == '-';
	uint64_t n;

	if (!mw_parse_u64(text + less, &n) || n > (uint64_t)INT64_MAX + less)
		return false;
	*ret = less ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

const struct mw_value *mw_told_find(const struct mw_told *told, const char *name)
{
	for (size_t i = 0; i < told->values.n; i++)
		if (!strcmp(told->values.items[i].name, name))
			return &told->values.items[i].value;
	return NULL;
}

static struct mw_err *keep_value(struct mw_told *told, const char *line, const char *name,
				 struct mw_value value)
{
	struct mw_value *old = (struct mw_value *)mw_told_find(told, name);

	if (!is_name(name))
		return wrong(line, "no name of a value");
	if (value.kind == MW_VALUE_TEXT &&
	    !(value.text = mw_arena_strdup(told->arena, value.text)))
		return mw_err_nomem();
	if (old) {
		*old = value;
		return NULL;
	}
	if (told->values.n == MAX_VALUES)
		return wrong(line, "too many values");
	name = mw_arena_strdup(told->arena, name);
	return name && mw_vec_add(&told->values, (struct mw_told_value){ name, value })
		       ? NULL
		       : mw_err_nomem();
}

static struct mw_err *take_value(struct mw_told *told, const char *line,
				 const char *const *fields)
{
	int64_t number;

	if (!to_number(fields[2], &number))
		return wrong(line, "no whole number");
	return keep_value(told, line, fields[1], mw_value_number(number));
}

static struct mw_err *take_text(struct mw_told *told, const char *line,
				const char *const *fields)
{
	return keep_value(told, line, fields[1], mw_value_text(fields[2]));
}

static struct mw_err *take_process(struct mw_told *told, const char *line,
				   const char *const *fields)
{
	int64_t pid;

	if (!is_name(fields[1]) || !to_number(fields[2], &pid) || pid < 1 ||
	    pid > INT32_MAX)
		return wrong(line, "no process");
	if (told->processes.n == MAX_PROCESSES)
		return wrong(line, "too many processes");
	const char *name = mw_arena_strdup(told->arena, fields[1]);
	return name && mw_vec_add(&told->processes,
				  (struct mw_lab_process){ name, (pid_t)pid })
		       ? NULL
		       : mw_err_nomem();
}

static struct mw_err *take_say(struct mw_told *told, const char *line,
			       const char *const *fields)
{
	(void)line;
	const char *text = mw_arena_strdup(told->arena, fields[1]);
	return text && mw_vec_add(&told->says, text) ? NULL : mw_err_nomem();
}

static struct mw_err *take_row(struct mw_told *told, const char *line,
			       const char *const *fields)
{
	struct mw_lab_bar bar = { 0 };

	if (!to_number(fields[2], &bar.number))
		return wrong(line, "no whole number");
	bar.label = mw_arena_strdup(told->arena, fields[1]);
	bar.unit = mw_arena_strdup(told->arena, fields[3]);
	return bar.label && bar.unit && mw_vec_add(&told->bars, bar) ? NULL
								     : mw_err_nomem();
}

static struct mw_err *take_undo(struct mw_told *told, const char *line,
				const char *const *fields)
{
	if (strcmp(fields[1], "remove") != 0 && strcmp(fields[1], "restore") != 0 &&
	    strcmp(fields[1], "clear") != 0)
		return wrong(line, "neither \"remove\", \"restore\" nor \"clear\"");
	told->how = mw_arena_strdup(told->arena, fields[1]);
	told->path = mw_arena_strdup(told->arena, fields[2]);
	told->text = mw_arena_strdup(told->arena, fields[3]);
	return told->how && told->path && told->text ? NULL : mw_err_nomem();
}

static struct mw_err *take_step(struct mw_told *told, const char *line,
				const char *const *fields)
{
	(void)line;
	told->step = mw_arena_strdup(told->arena, fields[1]);
	told->does = mw_arena_strdup(told->arena, fields[2]);
	return told->step && told->does ? NULL : mw_err_nomem();
}

static struct mw_err *take_end(struct mw_told *told, const char *line,
			       const char *const *fields)
{
	(void)told;
	(void)line;
	(void)fields;
	return NULL;
}

static const struct verb {
	const char *name;
	size_t n; /* of fields */
	enum mw_told_kind kind;
	struct mw_err *(*take)(struct mw_told *told, const char *line,
			       const char *const *fields);
} verbs[] = {
	{ "value", 3, MW_TOLD_THING, take_value },
	{ "text", 3, MW_TOLD_THING, take_text },
	{ "process", 3, MW_TOLD_THING, take_process },
	{ "say", 2, MW_TOLD_THING, take_say },
	{ "row", 4, MW_TOLD_THING, take_row },
	{ "undo", 4, MW_TOLD_UNDO, take_undo },
	{ "step", 3, MW_TOLD_STEP, take_step },
	{ "end", 1, MW_TOLD_END, take_end },
};

/* The last field of these is free text, and may have tabs in it. */
static size_t join(char *line, const struct verb *verb, const char *const *fields,
		   size_t n)
{
	for (size_t i = verb->n; i < n; i++)
		line[fields[i] - line - 1] = '\t';
	return n < verb->n ? n : verb->n;
}

static struct mw_err *take(struct mw_told *told, const char *line, char *copy,
			   enum mw_told_kind *ret)
{
	const char *fields[MAX_FIELDS];
	size_t n = cut(copy, fields);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		const struct verb *verb = &verbs[i];
		if (strcmp(verb->name, fields[0]) != 0)
			continue;
		if (join(copy, verb, fields, n) != verb->n)
			return wrong(line, "a part of it is missing");
		struct mw_err *err = verb->take(told, line, fields);
		if (!err)
			*ret = verb->kind;
		return err;
	}
	return wrong(line, "not what labs/lab.h writes (stdio between steps?)");
}

struct mw_err *mw_told_line(struct mw_told *told, const char *line,
			    enum mw_told_kind *ret)
{
	if (told->n_lines++ == MAX_LINES)
		return wrong(line, "too many lines in one step");
	char *copy = strdup(line);
	if (!copy)
		return mw_err_nomem();
	struct mw_err *err = take(told, line, copy, ret);
	free(copy);
	return err;
}

void mw_told_forget(struct mw_told *told)
{
	told->says.n = told->bars.n = told->n_lines = 0;
}

void mw_told_deinit(struct mw_told *told)
{
	mw_vec_deinit(&told->values);
	mw_vec_deinit(&told->processes);
	mw_vec_deinit(&told->says);
	mw_vec_deinit(&told->bars);
}
