// SPDX-License-Identifier: MIT
/* Rows from an earlier answer in JSON. The file may be anybody's: nothing is trusted. */
#include "view/diff.h"

#include "base/num.h"
#include "base/vec.h"

#include <jansson.h>
#include <string.h>

static bool get_addr(const json_t *row, const char *key, uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(row, key));
	return text && mw_parse_addr(text, ret);
}

/* A number that may be null; false when it is neither. */
static bool get_bytes(const json_t *row, const char *key, uint64_t *ret, bool *known)
{
	const json_t *value = json_object_get(row, key);
	*known = json_is_integer(value);
	*ret = *known ? (uint64_t)json_integer_value(value) : 0;
	return *known ? json_integer_value(value) >= 0
		      : value == NULL || json_is_null(value);
}

/* A text that must be there; NULL when it is not, or there is no memory for it. */
static const char *get_text(const json_t *row, const char *key, struct mw_arena *arena,
			    bool *there)
{
	const char *text = json_string_value(json_object_get(row, key));
	*there = *there && text;
	return text ? mw_arena_strdup(arena, text) : NULL;
}

static bool get_counts(const json_t *row, struct mw_counts *ret)
{
	bool rss, uss, swap;
	if (!get_bytes(row, "rss", &ret->rss, &rss) ||
	    !get_bytes(row, "private", &ret->uss, &uss) ||
	    !get_bytes(row, "swap", &ret->swap, &swap))
		return false;
	ret->have = (rss ? MW_HAVE_RSS : 0) | (uss ? MW_HAVE_USS : 0) |
		    (swap ? MW_HAVE_SWAP : 0);
	return true;
}

static struct mw_err *bad_row(size_t i)
{
	return mw_err_new(MW_ERR_FORMAT, 0, "",
			  "region %zu of the earlier answer is broken", i);
}

static struct mw_err *load_row(const json_t *value, size_t i, const char *class,
			       struct mw_arena *arena, struct mw_map_earlier *ret)
{
	struct mw_counts *counts = mw_arena_alloc(arena, sizeof(*counts));
	struct mw_map_row row = {
		.n = 1, .confidence = "", .evidence = "", .counts = counts
	};
	struct mw_map_rows *rows = &ret->rows;
	bool there = true;
	if (!counts)
		return mw_err_nomem();
	row.class = get_text(value, "class", arena, &there);
	row.name = get_text(value, "name", arena, &there);
	if (!there || !get_addr(value, "start", &row.start) ||
	    !get_addr(value, "end", &row.end) || row.start >= row.end ||
	    !get_counts(value, counts) ||
	    (rows->n && row.start < rows->items[rows->n - 1].end))
		return bad_row(i);
	row.size = row.end - row.start;
	if (row.class && class && !mw_map_class_fits(row.class, class))
		return NULL;
	if (!row.class || !row.name || !mw_vec_add(rows, row))
		return mw_err_nomem();
	return NULL;
}

/* Answers of other hands may lack any of it: then it is not told whose they are. */
static struct mw_err *load_process(const json_t *process, struct mw_arena *arena,
				   struct mw_map_earlier *ret)
{
	const char *name = json_string_value(json_object_get(process, "name"));
	const char *boot_id = json_string_value(json_object_get(process, "boot_id"));
	json_int_t ticks = json_integer_value(json_object_get(process, "start_ticks"));
	json_int_t pid = json_integer_value(json_object_get(process, "pid"));
	ret->pid = pid > 0 ? pid : 0;
	ret->start_ticks = ticks > 0 ? (uint64_t)ticks : 0;
	ret->name = mw_arena_strdup(arena, name ? name : "");
	ret->boot_id = mw_arena_strdup(arena, boot_id ? boot_id : "");
	return ret->name && ret->boot_id ? NULL : mw_err_nomem();
}

struct mw_err *mw_map_earlier_load(const char *json, size_t len, const char *class,
				   struct mw_arena *arena, struct mw_map_earlier *ret)
{
	json_error_t why;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	const char *schema = json_string_value(json_object_get(root, "schema"));
	const json_t *regions = json_object_get(root, "regions");
	struct mw_err *err = NULL;
	if (!root)
		err = mw_err_new(MW_ERR_FORMAT, 0, "", "not JSON: line %d: %s", why.line,
				 why.text);
	else if (!schema || strcmp(schema, "memwhy.map/1") || !json_is_array(regions))
		err = mw_err_new(MW_ERR_FORMAT, 0, "",
				 "not an answer of memwhy map --json");
	else if (!json_array_size(regions))
		err = mw_err_new(MW_ERR_FORMAT, 0, "", "no regions to compare with");
	if (!err)
		err = load_process(json_object_get(root, "process"), arena, ret);
	for (size_t i = 0; !err && i < json_array_size(regions); i++)
		err = load_row(json_array_get(regions, i), i, class, arena, ret);
	json_decref(root);
	return err;
}
