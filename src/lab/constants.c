// SPDX-License-Identifier: MIT
/* Names of steps files that say what this machine is. */
#include "base/num.h"
#include "lab/seen.h"
#include "model/frame/frame.h"

#include <string.h>
#include <unistd.h>

struct context {
	struct mw_source *src;
	struct mw_arena *arena;
	int64_t number; /* of the table's entry */
};

typedef struct mw_err *constant_fn(struct context *cx, struct mw_value *ret);

static struct mw_err *fixed(struct context *cx, struct mw_value *ret)
{
	*ret = mw_value_number(cx->number);
	return NULL;
}

static struct mw_err *page(struct context *cx, struct mw_value *ret)
{
	*ret = mw_value_number((int64_t)mw_source_facts(cx->src)->page_size);
	return NULL;
}

static struct mw_err *levels(struct context *cx, struct mw_value *ret)
{
	unsigned n = mw_paging_levels(cx->src);
	*ret = n ? mw_value_number(n)
		 : mw_value_unknown(
			   "how this machine's page tables are built is not known");
	return NULL;
}

/* Reads a file of the machine; an unknown with the reason when it cannot be. */
static struct mw_err *read_file(struct context *cx, enum mw_file file,
				struct mw_buf *text, struct mw_value *ret)
{
	mw_auto_err err = mw_source_read_text(cx->src, 0, 0, file, text);
	if (!err)
		return NULL;
	if (err->code == MW_ERR_NOMEM)
		return mw_err_nomem();
	*ret = mw_value_unknown(mw_arena_strdup(cx->arena, err->msg));
	return ret->text ? NULL : mw_err_nomem();
}

/* `number` is the file. */
static struct mw_err *setting(struct context *cx, struct mw_value *ret)
{
	enum mw_file file = (enum mw_file)cx->number;
	mw_auto_buf text = { 0 };
	uint64_t n;
	*ret = mw_value_unknown(NULL);
	struct mw_err *err = read_file(cx, file, &text, ret);
	if (err || ret->text)
		return err;
	const char *pos = mw_buf_str(&text);
	if (mw_take_dec(&pos, pos + text.len, &n) && n <= INT64_MAX) {
		*ret = mw_value_number((int64_t)n);
		return NULL;
	}
	ret->text = mw_arena_printf(cx->arena, "%s is no number", mw_file_name(file));
	return ret->text ? NULL : mw_err_nomem();
}

/* The word in brackets is the one in force; a kernel built without has no such file. */
static struct mw_err *thp(struct context *cx, struct mw_value *ret)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(cx->src, 0, 0, MW_FILE_THP_ENABLED, &text);
	const char *word = err ? NULL : strchr(mw_buf_str(&text), '[');
	if (err && err->code == MW_ERR_NOMEM)
		return mw_err_nomem();
	if (err && err->code != MW_ERR_NOTFOUND) {
		*ret = mw_value_unknown(mw_arena_strdup(cx->arena, err->msg));
		return ret->text ? NULL : mw_err_nomem();
	}
	*ret = mw_value_text(
		word ? mw_arena_strndup(cx->arena, word + 1, strcspn(word + 1, "]"))
		     : "never");
	return ret->text ? NULL : mw_err_nomem();
}

static struct mw_err *cpus(struct context *cx, struct mw_value *ret)
{
	mw_auto_buf text = { 0 };
	*ret = mw_value_unknown(NULL);
	struct mw_err *err = read_file(cx, MW_FILE_CPUINFO, &text, ret);
	if (err || ret->text)
		return err;
	int64_t n = 0;
	const char *pos = mw_buf_str(&text), *end = pos + text.len;
	for (; pos < end; pos = mw_line_end(pos, end) + 1)
		n += !strncmp(pos, "processor", 9);
	*ret = n ? mw_value_number(n) : mw_value_unknown("cpuinfo lists no processors");
	return NULL;
}

static struct mw_err *frames(struct context *cx, struct mw_value *ret)
{
	bool has = false;
	mw_err_free(mw_source_probe(cx->src, MW_FEATURE_FRAMES, &has));
	*ret = mw_value_number(has);
	return NULL;
}

static struct mw_err *root(struct context *cx, struct mw_value *ret)
{
	(void)cx;
	*ret = mw_value_number(geteuid() == 0);
	return NULL;
}

static const struct constant {
	const char *name;
	constant_fn *ask;
	int64_t number;
} constants[] = {
	{ "page", page, 0 },
	{ "KiB", fixed, INT64_C(1) << 10 },
	{ "MiB", fixed, INT64_C(1) << 20 },
	{ "GiB", fixed, INT64_C(1) << 30 },
	{ "levels", levels, 0 },
	{ "aslr", setting, MW_FILE_RANDOMIZE },
	{ "mmap_rnd_bits", setting, MW_FILE_MMAP_RND_BITS },
	{ "min_addr", setting, MW_FILE_MMAP_MIN_ADDR },
	{ "thp", thp, 0 },
	{ "thp_size", setting, MW_FILE_THP_SIZE },
	{ "cpus", cpus, 0 },
	{ "frames", frames, 0 },
	{ "root", root, 0 },
};

static const struct constant *find_constant(const char *name)
{
	for (size_t i = 0; i < sizeof(constants) / sizeof(*constants); i++)
		if (!strcmp(constants[i].name, name))
			return &constants[i];
	return NULL;
}

bool mw_lab_constant_exists(const char *name)
{
	return find_constant(name);
}

struct mw_err *mw_lab_constant(struct mw_source *src, struct mw_arena *arena,
			       const char *name, struct mw_value *ret)
{
	const struct constant *constant = find_constant(name);
	struct context cx = { .src = src, .arena = arena };
	if (!constant) {
		*ret = mw_value_unknown(
			mw_arena_printf(arena, "nothing is named %s", name));
		return ret->text ? NULL : mw_err_nomem();
	}
	cx.number = constant->number;
	return constant->ask(&cx, ret);
}
