// SPDX-License-Identifier: MIT
/* An earlier answer of `leaks` in JSON. The file may be anybody's: nothing is trusted. */
#include "view/heap/leaks.h"

#include <jansson.h>
#include <string.h>

static bool get_count(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

static bool get_blocks(const json_t *object, struct mw_blocks *ret)
{
	return get_count(object, "blocks", &ret->n) &&
	       get_count(object, "bytes", &ret->bytes);
}

static const char *get_text(const json_t *object, const char *key, struct mw_arena *arena)
{
	const char *text = json_string_value(json_object_get(object, key));
	return mw_arena_strdup(arena, text ? text : "");
}

static struct mw_err *broken(const char *what)
{
	return mw_err_new(MW_ERR_FORMAT, 0, "", "%s of the earlier answer is broken",
			  what);
}

static struct mw_err *load_rows(const json_t *root, const char *key,
				struct mw_arena *arena, struct mw_leaks_rows *ret)
{
	const json_t *list = json_object_get(root, key);
	if (!json_is_array(list))
		return broken(key);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *value = json_array_get(list, i);
		struct mw_leaks_row row;
		if (json_is_true(json_object_get(value, "suppressed")))
			continue;
		if (!get_count(value, "size", &row.size) ||
		    !get_blocks(value, &row.blocks))
			return broken(key);
		row.symbol = get_text(value, "symbol", arena);
		if (!row.symbol || !mw_vec_add(ret, row))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *load_process(const json_t *root, struct mw_arena *arena,
				   struct mw_leaks_earlier *ret)
{
	const json_t *process = json_object_get(root, "process");
	uint64_t pid = 0;
	if (!get_count(process, "pid", &pid) || pid > INT32_MAX)
		return broken("the process");
	ret->pid = (int64_t)pid;
	(void)get_count(process, "start_ticks", &ret->start_ticks);
	ret->name = get_text(process, "name", arena);
	ret->boot_id = get_text(process, "boot_id", arena);
	return ret->name && ret->boot_id ? NULL : mw_err_nomem();
}

static struct mw_err *load(const json_t *root, struct mw_arena *arena,
			   struct mw_leaks_earlier *ret)
{
	const char *schema = json_string_value(json_object_get(root, "schema"));
	if (!schema || strcmp(schema, "memwhy.leaks/1") != 0)
		return mw_err_new(MW_ERR_FORMAT, 0, "",
				  "no answer of memwhy leaks --json: its schema is %.40s",
				  schema ? schema : "missing");
	struct mw_err *err = load_process(root, arena, ret);
	if (!err && (!get_blocks(json_object_get(root, "live"), &ret->live) ||
		     !get_blocks(json_object_get(root, "leaked"), &ret->leaked)))
		err = broken("the sum");
	if (!err)
		err = load_rows(root, "live_groups", arena, &ret->live_groups);
	if (!err)
		err = load_rows(root, "groups", arena, &ret->leaked_groups);
	return err;
}

struct mw_err *mw_leaks_earlier_load(const char *json, size_t len, struct mw_arena *arena,
				     struct mw_leaks_earlier *ret)
{
	struct mw_leaks_earlier earlier = { 0 };
	json_error_t why;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return mw_err_new(MW_ERR_FORMAT, 0, "", "no JSON: %s", why.text);
	struct mw_err *err = load(root, arena, &earlier);
	json_decref(root);
	if (err)
		mw_leaks_earlier_deinit(&earlier);
	else
		*ret = earlier;
	return err;
}

void mw_leaks_earlier_deinit(struct mw_leaks_earlier *earlier)
{
	mw_vec_deinit(&earlier->live_groups);
	mw_vec_deinit(&earlier->leaked_groups);
}
