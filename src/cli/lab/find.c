// SPDX-License-Identifier: MIT
/* Where labs are. */
#include "cli/lab/lab.h"

#include "cli/terminal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Where they are installed; the build says so. */
#ifdef MW_LABS_DIR
static const char installed[] = MW_LABS_DIR;
#else
static const char installed[] = "";
#endif

/* Folders that hold labs, in the order in which they are searched. */
struct places {
	MW_VEC(const char *);
	struct mw_arena arena;
};

static void places_deinit(struct places *places)
{
	mw_vec_deinit(places);
	mw_arena_deinit(&places->arena);
}

static bool add_place(struct places *places, const char *path, size_t len)
{
	const char *copy = mw_arena_strndup(&places->arena, path, len);
	return copy && mw_vec_add(places, copy);
}

/* "A:B:C"; an empty part means nothing. */
static bool add_list(struct places *places, const char *list)
{
	for (const char *at = list; at;
	     at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
		size_t len = strcspn(at, ":");
		if (len && !add_place(places, at, len))
			return false;
	}
	return true;
}

/* `labs` beside this program; false when memory is short. */
static bool add_beside(struct places *places)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	char program[PATH_MAX];
	mw_auto_buf path = { 0 };
	if (!name || !realpath(name, program))
		return true;
	*strrchr(program, '/') = '\0';
	if (!mw_buf_printf(&path, "%s/labs", program))
		return false;
	return access(mw_buf_str(&path), X_OK) != 0 ||
	       add_place(places, path.data, path.len);
}

static struct mw_err *find_places(struct places *ret)
{
	const char *list = getenv("MEMWHY_LABS");
	if (list && !add_list(ret, list))
		return mw_err_nomem();
	size_t n = ret->n;
	if (!add_beside(ret))
		return mw_err_nomem();
	if (ret->n == n && installed[0] && !add_place(ret, installed, strlen(installed)))
		return mw_err_nomem();
	return NULL;
}

static bool has_steps(const char *dir)
{
	mw_auto_buf path = { 0 };
	return mw_buf_printf(&path, "%s/steps", dir) &&
	       access(mw_buf_str(&path), F_OK) == 0;
}

static bool is_known(const struct mw_labs *labs, const char *name)
{
	for (size_t i = 0; i < labs->n; i++)
		if (!strcmp(labs->items[i]->name, name))
			return true;
	return false;
}

/* One that cannot be read is told, and the others are still there. */
static struct mw_err *add_lab(struct mw_labs *labs, const char *dir)
{
	struct mw_lab *lab = NULL;
	struct mw_err *err = mw_lab_open(dir, &lab);
	if (err && err->code == MW_ERR_NOMEM)
		return err;
	if (err) {
		mw_terminal_tell(err->msg);
		mw_err_free(err);
		labs->broken = true;
		return NULL;
	}
	if (!is_known(labs, lab->name) && mw_vec_add(labs, lab))
		return NULL;
	bool known = is_known(labs, lab->name);
	mw_lab_free(lab);
	return known ? NULL : mw_err_nomem();
}

static struct mw_err *scan(struct mw_labs *labs, const char *place)
{
	DIR *dir = opendir(place);
	struct mw_err *err = NULL;
	const struct dirent *entry;
	if (!dir)
		return errno == ENOENT ? NULL : mw_err_sys(errno, place);
	while (!err && (entry = readdir(dir))) {
		mw_auto_buf path = { 0 };
		if (!mw_buf_printf(&path, "%s/%s", place, entry->d_name))
			err = mw_err_nomem();
		else if (entry->d_name[0] != '.' && has_steps(mw_buf_str(&path)))
			err = add_lab(labs, mw_buf_str(&path));
	}
	closedir(dir);
	return err;
}

/* The lowest level of a topic: topics come in the order of their first labs. */
static unsigned first_level(const struct mw_labs *labs, const char *topic)
{
	unsigned ret = UINT_MAX;
	for (size_t i = 0; i < labs->n; i++)
		if (!strcmp(labs->items[i]->topic, topic) && labs->items[i]->level < ret)
			ret = labs->items[i]->level;
	return ret;
}

static int compare(const void *a, const void *b, void *all)
{
	const struct mw_lab *x = *(struct mw_lab *const *)a;
	const struct mw_lab *y = *(struct mw_lab *const *)b;
	unsigned first_x = first_level(all, x->topic),
		 first_y = first_level(all, y->topic);
	if (first_x != first_y)
		return first_x < first_y ? -1 : 1;
	int topics = strcmp(x->topic, y->topic);
	if (topics)
		return topics;
	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Sorted in a copy: the order is asked of all of them while it is made. */
static struct mw_err *sort(struct mw_labs *labs)
{
	size_t len = labs->n * sizeof(*labs->items);
	struct mw_lab **sorted = malloc(len ? len : 1);
	if (!sorted)
		return mw_err_nomem();
	if (len)
		memcpy(sorted, labs->items, len);
	qsort_r(sorted, labs->n, sizeof(*sorted), compare, labs);
	free(labs->items);
	labs->items = sorted;
	return NULL;
}

struct mw_err *mw_labs_find(struct mw_labs *ret)
{
	struct places places = { 0 };
	struct mw_err *err = find_places(&places);
	for (size_t i = 0; !err && i < places.n; i++)
		err = scan(ret, places.items[i]);
	places_deinit(&places);
	return err ? err : sort(ret);
}

void mw_labs_deinit(struct mw_labs *labs)
{
	for (size_t i = 0; i < labs->n; i++)
		mw_lab_free(labs->items[i]);
	mw_vec_deinit(labs);
}

/* What was named is wrong, and no process is gone. */
static struct mw_err *as_usage(struct mw_err *err)
{
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_USAGE;
	return err;
}

/* What shells complete has a slash at its end. */
static struct mw_err *open_folder(const char *name, struct mw_lab **ret)
{
	mw_auto_buf path = { 0 };
	size_t len = strlen(name);
	while (len > 1 && name[len - 1] == '/')
		len--;
	if (!mw_buf_add(&path, name, len))
		return mw_err_nomem();
	return as_usage(mw_lab_open(mw_buf_str(&path), ret));
}

struct mw_err *mw_labs_open(const char *name, struct mw_lab **ret)
{
	struct places places = { 0 };
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return open_folder(name, ret);
	struct mw_err *err = find_places(&places);
	bool found = false;
	for (size_t i = 0; !err && !found && *name && i < places.n; i++) {
		mw_auto_buf path = { 0 };
		if (!mw_buf_printf(&path, "%s/%s", places.items[i], name))
			err = mw_err_nomem();
		found = !err && has_steps(mw_buf_str(&path));
		if (found)
			err = mw_lab_open(mw_buf_str(&path), ret);
	}
	places_deinit(&places);
	if (!err && !found)
		err = mw_err_new(MW_ERR_USAGE, 0, name,
				 "no lab is called %s; memwhy lab lists them", name);
	return err;
}
