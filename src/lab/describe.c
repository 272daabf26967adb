// SPDX-License-Identifier: MIT
/* From the paragraphs of a steps file to a lab. docs/labs/writing-a-lab.md */
#include "base/buf.h"
#include "base/num.h"
#include "base/read.h"
#include "kernel/regular.h"
#include "lab/expr_tree.h"
#include "lab/fields.h"
#include "lab/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Of what a hostile file may ask; `MAX_ITEMS` of one kind, in one paragraph. */
enum { MAX_FILE = 256 << 10, MAX_ITEMS = 100 };

/* What is freed with a lab. */
struct owner {
	struct mw_lab lab;
	struct mw_arena arena;
};

struct parser {
	struct mw_arena *arena;
	const char *file;
	const struct mw_field *field; /* that is being read */
	struct mw_lab *lab;
	struct mw_lab_step *step; /* NULL: the paragraph is the lab's */
	unsigned seen;            /* the fields of this paragraph: bits of specs[] */
};

enum kind {
	KIND_NAME,   /* may be a part of a path */
	KIND_TEXT,   /* as it stands */
	KIND_FILLED, /* with {EXPR} in it */
	KIND_LEVEL,
	KIND_EXPR,
	KIND_CLAIM,
	KIND_WATCH,
	KIND_TRY,
	KIND_CHOICES,
};

enum { OF_LAB = 1, OF_STEP = 2, REQUIRED = 4, MANY = 8 };

static const struct spec {
	const char *name;
	enum kind kind;
	unsigned flags;
	size_t offset;    /* in struct mw_lab or struct mw_lab_step */
	const char *with; /* the field that it makes no sense without */
} specs[] = {
	{ "Lab", KIND_NAME, OF_LAB | REQUIRED, offsetof(struct mw_lab, name) },
	{ "Title", KIND_TEXT, OF_LAB | REQUIRED, offsetof(struct mw_lab, title) },
	{ "Topic", KIND_TEXT, OF_LAB | REQUIRED, offsetof(struct mw_lab, topic) },
	{ "Level", KIND_LEVEL, OF_LAB | REQUIRED, offsetof(struct mw_lab, level) },
	{ "Question", KIND_TEXT, OF_LAB | REQUIRED, offsetof(struct mw_lab, question) },
	{ "Arguments", KIND_TEXT, OF_LAB, offsetof(struct mw_lab, arguments) },
	{ "Copies", KIND_TEXT, OF_LAB, offsetof(struct mw_lab, copies) },
	{ "Watch", KIND_WATCH, OF_LAB | MANY, 0 },
	{ "Needs", KIND_CLAIM, OF_LAB | MANY, offsetof(struct mw_lab, needs) },
	{ "Try", KIND_TRY, OF_LAB | MANY, 0 },
	{ "Step", KIND_TEXT, OF_STEP | REQUIRED, offsetof(struct mw_lab_step, name) },
	{ "Note", KIND_FILLED, OF_STEP, offsetof(struct mw_lab_step, note) },
	{ "Ask", KIND_FILLED, OF_STEP, offsetof(struct mw_lab_step, ask), "Answer" },
	{ "Choices", KIND_CHOICES, OF_STEP, 0, "Answer" },
	{ "Answer", KIND_EXPR, OF_STEP, offsetof(struct mw_lab_step, answer), "Ask" },
	{ "Expect", KIND_EXPR, OF_STEP, offsetof(struct mw_lab_step, expect), "Answer" },
	{ "Unit", KIND_TEXT, OF_STEP, offsetof(struct mw_lab_step, unit), "Answer" },
	{ "Within", KIND_EXPR, OF_STEP, offsetof(struct mw_lab_step, within), "Answer" },
	{ "Fact", KIND_CLAIM, OF_STEP | MANY, offsetof(struct mw_lab_step, facts) },
	{ "Because", KIND_FILLED, OF_STEP, offsetof(struct mw_lab_step, because) },
	{ "Needs", KIND_CLAIM, OF_STEP | MANY, offsetof(struct mw_lab_step, needs) },
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

static struct mw_err *wrong(const struct parser *p, const char *what)
{
	return mw_err_new(MW_ERR_FORMAT, 0, p->file, "%s:%u: %s: %s", p->file,
			  p->field->line, p->field->name, what);
}

/* An error of a part, told with its place. */
static struct mw_err *blame(const struct parser *p, struct mw_err *err)
{
	if (!err || err->code != MW_ERR_FORMAT)
		return err;
	struct mw_err *ret = wrong(p, err->msg);
	mw_err_free(err);
	return ret;
}

/*
 * Makes room for one more behind `n` items that lie in the arena: twice as many whenever
 * n is a power of two. Those left behind are as many at most.
 */
static struct mw_err *grow(const struct parser *p, size_t n, size_t size, void *items)
{
	void *old;
	memcpy(&old, items, sizeof(old));
	if (n >= MAX_ITEMS)
		return wrong(p, "too many of them");
	if (n & (n - 1))
		return NULL;
	void *grown = mw_arena_calloc(p->arena, n ? 2 * n : 1, size);
	if (!grown)
		return mw_err_nomem();
	if (n)
		memcpy(grown, old, n * size);
	memcpy(items, &grown, sizeof(grown));
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A copy without blanks around it; FORMAT when it is empty. */
static struct mw_err *copy(const struct parser *p, const char *start, const char *end,
			   const char **ret)
{
	while (start < end && is_blank(*start))
		start++;
	while (start < end && is_blank(end[-1]))
		end--;
	if (start == end)
		return wrong(p, "a part of it is missing");
	const char *text = mw_arena_strndup(p->arena, start, (size_t)(end - start));
	if (!text)
		return mw_err_nomem();
	*ret = text;
	return NULL;
}

/* Names are parts of paths: of the folder, the program, its variants. */
static bool is_name(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-+_");
	return len && len < 64 && !text[len] && text[0] != '-';
}

static struct mw_err *set_name(const struct parser *p, const char **ret)
{
	if (!is_name(p->field->value))
		return wrong(p, "not a name: letters, digits, -");
	*ret = p->field->value;
	return NULL;
}

static struct mw_err *set_level(const struct parser *p, unsigned *ret)
{
	const char *value = p->field->value;
	if (value[0] < '1' || value[0] > '3' || value[1])
		return wrong(p, "1, 2 or 3");
	*ret = (unsigned)(value[0] - '0');
	return NULL;
}

/* Which names the program will tell is not known yet. */
static struct mw_err *check_use(void *ctx, const struct mw_expr_use *use)
{
	(void)ctx;
	if (!use->is_call || mw_probe_exists(use->name, use->n_args))
		return NULL;
	return mw_err_new(MW_ERR_FORMAT, 0, "",
			  "there is no probe %s() of %zu argument%s", use->name,
			  use->n_args, use->n_args == 1 ? "" : "s");
}

static struct mw_err *check_text(const struct parser *p, const char *text)
{
	return blame(p, mw_expr_each_use_in(p->arena, text, check_use, NULL));
}

static struct mw_err *set_filled(const struct parser *p, const char **ret)
{
	struct mw_err *err = check_text(p, p->field->value);
	if (!err)
		*ret = p->field->value;
	return err;
}

static struct mw_err *set_expr(const struct parser *p, const char *source,
			       const struct mw_expr **ret)
{
	const struct mw_expr *expr;
	struct mw_err *err = mw_expr_parse(p->arena, source, &expr);
	if (!err)
		err = mw_expr_each_use(expr, check_use, NULL);
	if (!err)
		*ret = expr;
	return blame(p, err);
}

/* The first of a sign that is not inside of a quoted text. */
static const char *find_sign(const char *pos, char sign)
{
	bool in_text = false;
	for (; *pos && (in_text || *pos != sign); pos++)
		in_text ^= *pos == '"';
	return *pos ? pos : NULL;
}

/* "EXPR | what it says" */
static struct mw_err *add_claim(const struct parser *p, struct mw_lab_claims *claims)
{
	const char *value = p->field->value, *bar = find_sign(value, '|');
	struct mw_lab_claim claim;
	if (!bar)
		return wrong(p, "\"|\" is missing, and what it says in words");
	struct mw_err *err = grow(p, claims->n, sizeof(claim), &claims->items);
	if (!err)
		err = copy(p, value, bar, &claim.source);
	if (!err)
		err = set_expr(p, claim.source, &claim.expr);
	if (!err)
		err = copy(p, bar + 1, value + strlen(value), &claim.text);
	if (!err)
		err = check_text(p, claim.text);
	if (!err)
		claims->items[claims->n++] = claim;
	return err;
}

/* "LABEL = at(ADDR, LEN)", which is the only place for at() */
static bool is_at(const struct mw_expr *expr)
{
	return expr->op == MW_EXPR_CALL && !strcmp(expr->text, "at") && expr->n >= 1 &&
	       expr->n <= 2;
}

static struct mw_err *parse_at(const struct parser *p, const char *source,
			       const struct mw_expr **ret)
{
	const struct mw_expr *at;
	struct mw_err *err = mw_expr_parse(p->arena, source, &at);
	if (!err && !is_at(at))
		return wrong(p, "not of the form LABEL = at(ADDR, LEN)");
	for (size_t i = 0; !err && i < at->n; i++)
		err = mw_expr_each_use(at->args[i], check_use, NULL);
	if (!err)
		*ret = at;
	return blame(p, err);
}

static struct mw_err *add_watch(const struct parser *p, struct mw_lab *lab)
{
	const char *value = p->field->value, *sign = strchr(value, '=');
	struct mw_lab_watch watch;
	if (!sign)
		return wrong(p, "not of the form LABEL = at(ADDR, LEN)");
	struct mw_err *err = grow(p, lab->n_watch, sizeof(watch), &lab->watch);
	if (!err)
		err = copy(p, value, sign, &watch.label);
	if (!err)
		err = parse_at(p, sign + 1, &watch.at);
	if (!err)
		lab->watch[lab->n_watch++] = watch;
	return err;
}

static struct mw_err *add_try(const struct parser *p, struct mw_lab *lab)
{
	struct mw_err *err = grow(p, lab->n_try, sizeof(lab->try[0]), &lab->try);
	if (!err)
		lab->try[lab->n_try++] = p->field->value;
	return err;
}

static struct mw_err *add_choices(const struct parser *p, struct mw_lab_step *step)
{
	struct mw_err *err = NULL;
	for (const char *pos = p->field->value, *end; !err && pos; pos = end) {
		const char *choice;
		size_t len = strcspn(pos, ",");
		end = pos[len] ? pos + len + 1 : NULL;
		err = grow(p, step->n_choices, sizeof(choice), &step->choices);
		if (!err)
			err = copy(p, pos, pos + len, &choice);
		if (!err)
			step->choices[step->n_choices++] = choice;
	}
	return err ? err : step->n_choices > 1 ? NULL : wrong(p, "no choice at all");
}

static struct mw_err *set(const struct parser *p, const struct spec *spec)
{
	char *base = p->step ? (char *)p->step : (char *)p->lab;
	void *at = base + spec->offset;
	switch (spec->kind) {
	case KIND_NAME:
		return set_name(p, at);
	case KIND_TEXT:
		*(const char **)at = p->field->value;
		return NULL;
	case KIND_FILLED:
		return set_filled(p, at);
	case KIND_LEVEL:
		return set_level(p, at);
	case KIND_EXPR:
		return set_expr(p, p->field->value, at);
	case KIND_CLAIM:
		return add_claim(p, at);
	case KIND_WATCH:
		return add_watch(p, p->lab);
	case KIND_TRY:
		return add_try(p, p->lab);
	default:
		return add_choices(p, p->step);
	}
}

static unsigned place_of(const struct parser *p)
{
	return p->step ? OF_STEP : OF_LAB;
}

static size_t find_spec(const struct parser *p, const char *name)
{
	size_t i = 0;
	while (i < N_SPECS &&
	       (!(specs[i].flags & place_of(p)) || strcmp(specs[i].name, name) != 0))
		i++;
	return i;
}

static struct mw_err *take_field(struct parser *p)
{
	size_t i = find_spec(p, p->field->name);
	if (i == N_SPECS)
		return wrong(p, p->step ? "no field of a step" : "no field of a lab");
	if (p->seen & 1u << i && !(specs[i].flags & MANY))
		return wrong(p, "given twice");
	p->seen |= 1u << i;
	return set(p, &specs[i]);
}

static struct mw_err *missing(const struct parser *p, const char *name)
{
	return mw_err_new(MW_ERR_FORMAT, 0, p->file,
			  "%s:%u: the paragraph that ends here has no field %s", p->file,
			  p->field->line, name);
}

/* Whether all is there that its fields need; p->field is the last one. */
static struct mw_err *end_paragraph(const struct parser *p)
{
	for (size_t i = 0; i < N_SPECS; i++) {
		if (!(specs[i].flags & place_of(p)))
			continue;
		bool seen = p->seen & 1u << i;
		if (!seen && specs[i].flags & REQUIRED)
			return missing(p, specs[i].name);
		if (seen && specs[i].with &&
		    !(p->seen & 1u << find_spec(p, specs[i].with)))
			return missing(p, specs[i].with);
	}
	return NULL;
}

static struct mw_err *begin_step(struct parser *p)
{
	struct mw_lab *lab = p->lab;
	struct mw_err *err = grow(p, lab->n_steps, sizeof(*p->step), &lab->steps);
	if (err)
		return err;
	p->step = &lab->steps[lab->n_steps++];
	*p->step = (struct mw_lab_step){
		.name = "", .note = "", .ask = "", .unit = "", .because = ""
	};
	p->seen = 0;
	return NULL;
}

static struct mw_err *take_fields(struct parser *p, const struct mw_fields *fields)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; !err && i < fields->n; i++) {
		bool begins = i > 0 && fields->items[i].first;
		if (begins)
			err = end_paragraph(p);
		p->field = &fields->items[i];
		if (!err && begins)
			err = begin_step(p);
		if (!err)
			err = take_field(p);
	}
	if (!err && fields->n == 0)
		err = mw_err_new(MW_ERR_FORMAT, 0, p->file, "%s: empty", p->file);
	if (!err)
		err = end_paragraph(p);
	return !err && p->lab->n_steps == 0 ? wrong(p, "no step follows") : err;
}

static struct mw_err *parse(struct owner *owner, const char *name, const char *text,
			    size_t len)
{
	struct mw_fields fields = { 0 };
	struct parser p = { .arena = &owner->arena, .file = name, .lab = &owner->lab };
	struct mw_err *err = mw_fields_parse(p.arena, name, text, len, &fields);
	p.lab->dir = p.lab->arguments = p.lab->copies = "";
	if (!err)
		err = take_fields(&p, &fields);
	mw_vec_deinit(&fields);
	return err;
}

/* *path, in the arena, is for messages. */
static struct mw_err *read_file(struct mw_arena *arena, const char *dir, const char *name,
				const char **path, struct mw_buf *ret)
{
	*path = mw_arena_printf(arena, "%s/%s", dir, name);
	if (!*path)
		return mw_err_nomem();
	int fd = mw_regular_open(AT_FDCWD, *path, 0);
	if (fd < 0)
		return mw_err_sys(errno, *path);
	struct mw_err *err = mw_read_all(fd, *path, MAX_FILE, ret);
	close(fd);
	return err;
}

/* The first word of each line of "build". */
static struct mw_err *take_variants(struct owner *owner, const char *path,
				    const struct mw_buf *text)
{
	struct mw_lab *lab = &owner->lab;
	const char *end = text->data + text->len;
	struct mw_field field = { .name = "a further program" };
	struct parser p = { .arena = &owner->arena, .file = path, .field = &field };
	struct mw_err *err = NULL;
	for (const char *pos = text->data, *stop; !err && pos < end; pos = stop + 1) {
		stop = mw_line_end(pos, end);
		field.line++;
		mw_skip_blanks(&pos, stop);
		const char *word = pos;
		while (word < stop && !is_blank(*word))
			word++;
		if (word == pos)
			continue;
		err = grow(&p, lab->n_variants, sizeof(field.value), &lab->variants);
		if (!err)
			err = copy(&p, pos, word, &field.value);
		if (!err)
			err = set_name(&p, &lab->variants[lab->n_variants++]);
	}
	return err;
}

static struct mw_err *read_variants(struct owner *owner)
{
	mw_auto_buf text = { 0 };
	const char *path;
	struct mw_err *err =
		read_file(&owner->arena, owner->lab.dir, "build", &path, &text);
	if (err && err->code == MW_ERR_NOTFOUND) {
		mw_err_free(err);
		return NULL;
	}
	return err ? err : take_variants(owner, path, &text);
}

static struct mw_err *open_in(struct owner *owner, const char *dir)
{
	mw_auto_buf text = { 0 };
	const char *path;
	struct mw_err *err = read_file(&owner->arena, dir, "steps", &path, &text);
	if (!err)
		err = parse(owner, path, text.data, text.len);
	if (err)
		return err;
	owner->lab.dir = mw_arena_strdup(&owner->arena, dir);
	return owner->lab.dir ? read_variants(owner) : mw_err_nomem();
}

void mw_lab_free(struct mw_lab *lab)
{
	struct owner *owner = (struct owner *)lab;
	if (!owner)
		return;
	mw_arena_deinit(&owner->arena);
	free(owner);
}

/* Gives away a lab, or frees what there is of it. */
static struct mw_err *hand_over(struct owner *owner, struct mw_err *err,
				struct mw_lab **ret)
{
	if (err)
		mw_lab_free(&owner->lab);
	else
		*ret = &owner->lab;
	return err;
}

struct mw_err *mw_lab_parse(const char *name, const char *text, size_t len,
			    struct mw_lab **ret)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	if (!owner)
		return mw_err_nomem();
	return hand_over(owner, parse(owner, name, text, len), ret);
}

struct mw_err *mw_lab_open(const char *dir, struct mw_lab **ret)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	if (!owner)
		return mw_err_nomem();
	return hand_over(owner, open_in(owner, dir), ret);
}
