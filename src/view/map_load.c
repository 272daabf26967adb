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

static const char *get_text(const json_t *row, const char *key, struct mw_arena *arena)
{
	const char *text = json_string_value(json_object_get(row, key));
	return text ? mw_arena_strdup(arena, text) : "";
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

static struct mw_err *load_row(const json_t *value, size_t i, struct mw_arena *arena,
			       struct mw_map_rows *ret)
{
	struct mw_map_row row = { .n = 1, .confidence = "", .evidence = "" };
	if (!get_addr(value, "start", &row.start) || !get_addr(value, "end", &row.end) ||
	    row.start >= row.end || !get_counts(value, &row.counts) ||
	    (ret->n && row.start < ret->items[ret->n - 1].end))
		return bad_row(i);
	row.size = row.end - row.start;
	row.class = get_text(value, "class", arena);
	row.name = get_text(value, "name", arena);
	if (!row.class || !row.name || !mw_vec_add(ret, row))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_map_rows_load(const char *json, size_t len, struct mw_arena *arena,
				struct mw_map_rows *ret)
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
	for (size_t i = 0; !err && i < json_array_size(regions); i++)
		err = load_row(json_array_get(regions, i), i, arena, ret);
	json_decref(root);
	return err;
}
