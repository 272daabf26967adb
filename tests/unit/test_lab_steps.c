// SPDX-License-Identifier: MIT
/*
 * The steps files of all labs: each parses, is of its folder's name, and uses only names
 * that its program tells or that say what the machine is. Whether the program takes the
 * steps in their order, and whether the facts hold, is seen when it runs.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/buf.h"
#include "lab/observe.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check {
	struct mw_lab *lab;
	struct mw_arena arena;
	struct mw_buf sources; /* the program's, and what it includes of ours */
	const char *folder;
	bool quiet;
	unsigned n_wrong;
};

MW_PRINTF(2, 3) static void complain(struct check *check, const char *fmt, ...)
{
	va_list args;
	char text[512];
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!check->quiet)
		print_error("labs/%s/steps: %s\n", check->folder, text);
	check->n_wrong++;
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);
	return len > end_len && !strcmp(name + len - end_len, end);
}

static void add_file(struct mw_buf *buf, const char *path)
{
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	do {
		assert_true(mw_buf_reserve(buf, 1 << 16));
		got = read(fd, buf->data + buf->len, 1 << 16);
		assert_true(got >= 0);
		buf->len += (size_t)got;
	} while (got > 0);
	close(fd);
}

/* All files of a folder whose names end so. */
static void add_files(struct mw_buf *buf, const char *dir, const char *end)
{
	DIR *folder = opendir(dir);
	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[1024];
		if (!ends_with(entry->d_name, end))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		add_file(buf, path);
	}
	closedir(folder);
}

/* A conversion of printf stands for any text; false when nothing else is in it. */
static bool to_pattern(const char *text, size_t len, char *pattern, size_t size)
{
	const char *end = text + len;
	size_t n = 0;
	bool has_letters = false;
	while (text < end && n + 1 < size) {
		bool converts = *text == '%';
		if (converts)
			text += 1 + strspn(text + 1, "0123456789.-lz");
		pattern[n++] = converts ? '*' : *text;
		has_letters |= !converts;
		text++;
	}
	pattern[n] = '\0';
	return has_letters;
}

/* Whether a text of the sources, or what printf makes of it, is the name. */
static bool is_written(struct check *check, const char *name)
{
	const char *pos = mw_buf_str(&check->sources);
	while ((pos = strchr(pos, '"')) != NULL) {
		char pattern[64];
		size_t len = strspn(++pos, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
					   "TUVWXYZ0123456789_-%.");
		bool whole = pos[len] == '"' && len > 0;
		if (whole && to_pattern(pos, len, pattern, sizeof(pattern)) &&
		    fnmatch(pattern, name, 0) == 0)
			return true;
	}
	return false;
}

/* Names of several things that are counted end in their number. */
static bool is_told(struct check *check, const char *name)
{
	char base[64];
	size_t len = strlen(name);
	while (len > 0 && strchr("0123456789", name[len - 1]))
		len--;
	snprintf(base, sizeof(base), "%.*s", (int)len, name);
	return is_written(check, name) || (len && is_written(check, base));
}

static struct mw_err *check_use(void *ctx, const struct mw_expr_use *use)
{
	struct check *check = ctx;
	if (use->is_call && use->process[0] && !is_told(check, use->process))
		complain(check, "the program announces no process %s", use->process);
	if (!use->is_call && !mw_lab_constant_exists(use->name) &&
	    !is_told(check, use->name))
		complain(check, "the program does not tell %s", use->name);
	return NULL;
}

static void check_expr(struct check *check, const struct mw_expr *expr)
{
	if (expr)
		assert_null(mw_expr_each_use(expr, check_use, check));
}

static void check_text(struct check *check, const char *text)
{
	assert_null(mw_expr_each_use_in(&check->arena, text, check_use, check));
}

static void check_claims(struct check *check, const struct mw_lab_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		check_expr(check, claims->items[i].expr);
		check_text(check, claims->items[i].text);
	}
}

static void check_step(struct check *check, const struct mw_lab_step *step)
{
	if (!is_told(check, step->name))
		complain(check, "the program has no step %s", step->name);
	if (!step->facts.n && !step->answer && !step->note[0] && !step->because[0])
		complain(check, "step %s says nothing", step->name);
	check_text(check, step->note);
	check_text(check, step->ask);
	check_text(check, step->because);
	check_expr(check, step->answer);
	check_expr(check, step->expect);
	check_expr(check, step->within);
	check_claims(check, &step->facts);
	check_claims(check, &step->needs);
}

/* "memwhy lab NAME …" must be there to be tried. */
static void check_try(struct check *check, const char *text)
{
	char name[64], path[1024];
	if (sscanf(text, "memwhy lab %63[a-z0-9-]", name) != 1)
		return;
	snprintf(path, sizeof(path), "%s/%s/steps", MW_LABS, name);
	if (access(path, R_OK) != 0)
		complain(check, "there is no lab %s to try", name);
}

static void check_lab(struct check *check)
{
	const struct mw_lab *lab = check->lab;
	if (strcmp(lab->name, check->folder) != 0)
		complain(check, "it calls itself %s", lab->name);
	for (size_t i = 0; i < lab->n_watch; i++)
		check_expr(check, lab->watch[i].at);
	for (size_t i = 0; i < lab->n_try; i++)
		check_try(check, lab->try[i]);
	check_claims(check, &lab->needs);
	for (size_t i = 0; i < lab->n_steps; i++)
		check_step(check, &lab->steps[i]);
}

static unsigned check_folder(const char *name)
{
	struct check check = { .folder = name };
	char dir[512];
	snprintf(dir, sizeof(dir), "%s/%s", MW_LABS, name);
	mw_auto_err err = mw_lab_open(dir, &check.lab);
	if (err) {
		complain(&check, "%s", err->msg);
		return check.n_wrong;
	}
	add_files(&check.sources, MW_LABS, ".h");
	add_files(&check.sources, dir, ".c");
	add_files(&check.sources, dir, ".cc");
	check_lab(&check);
	mw_lab_free(check.lab);
	mw_arena_deinit(&check.arena);
	mw_buf_deinit(&check.sources);
	return check.n_wrong;
}

static bool is_lab(const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s/steps", MW_LABS, name);
	return name[0] != '.' && access(path, F_OK) == 0;
}

static void test_all(void **state)
{
	(void)state;
	unsigned n_labs = 0, n_wrong = 0;
	DIR *labs = opendir(MW_LABS);
	assert_non_null(labs);
	for (const struct dirent *entry; (entry = readdir(labs)) != NULL;) {
		if (!is_lab(entry->d_name))
			continue;
		n_labs++;
		n_wrong += check_folder(entry->d_name);
	}
	closedir(labs);
	assert_true(n_labs > 0);
	assert_int_equal(n_wrong, 0);
}

/* One wrong thing a line; the rest is as it should be. */
static void test_is_found(void **state)
{
	static const char text[] =
		"Lab: other\nTitle: t\nTopic: t\nLevel: 1\nQuestion: q\n"
		"Watch: a = at(untold)\n"
		"Watch: b = nobody.at(a, page)\n"
		"Try: memwhy lab no-such-lab\n"
		"Try: memwhy lab demand\n\n"
		"Step: one\nFact: grew(rss(told, page)) == code_bits | {told7}\n\n"
		"Step: two\nFact: copy3.present(a) | {copy3.rss(a)}\n\n"
		"Step: one\n";
	static const char sources[] = "step(\"one\", \"x\"); (\"a\") (\"told\") "
				      "\"%s_bits\" \"copy%d\" \"%s%d\"";
	struct check check = { .folder = "this", .quiet = true };
	(void)state;
	assert_null(mw_lab_parse("steps", text, sizeof(text) - 1, &check.lab));
	assert_true(mw_buf_add(&check.sources, sources, sizeof(sources) - 1));
	check_lab(&check);
	/* The name, untold, nobody, no-such-lab, step two, and the last step. */
	assert_int_equal(check.n_wrong, 6);
	mw_lab_free(check.lab);
	mw_arena_deinit(&check.arena);
	mw_buf_deinit(&check.sources);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
