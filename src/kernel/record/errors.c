// SPDX-License-Identifier: MIT
#include "kernel/record/errors.h"

#include "kernel/record/sorted.h"

static const char *const op_names[MW_REC_N_OPS] = {
	[MW_REC_TEXT] = "text",
	[MW_REC_EXE_LINK] = "exe",
	[MW_REC_LIST] = "list",
	[MW_REC_FDS] = "fds",
	[MW_REC_SCAN] = "scan",
	[MW_REC_PAGEMAP] = "pagemap",
	[MW_REC_KPAGE] = "kpage",
	[MW_REC_MEMORY] = "memory",
	[MW_REC_ZERO_BYTES] = "zero_bytes",
	[MW_REC_ROBUST] = "robust",
	[MW_REC_OBJECT] = "object",
	[MW_REC_PROBE] = "probe",
	[MW_REC_REGISTERS] = "registers",
	[MW_REC_KEPT] = "kept",
};

const char *mw_rec_op_name(enum mw_rec_op op)
{
	return op_names[op];
}

/* Whether the answer is the same at every address: it is about access, not memory. */
static bool holds_anywhere(enum mw_rec_op op, enum mw_errc code)
{
	if (op != MW_REC_SCAN && op != MW_REC_PAGEMAP && op != MW_REC_KPAGE &&
	    op != MW_REC_MEMORY && op != MW_REC_ZERO_BYTES)
		return false;
	return code == MW_ERR_DENIED || code == MW_ERR_GONE || code == MW_ERR_UNSUPPORTED;
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_query(const struct mw_rec_query *a, const struct mw_rec_query *b)
{
	int order = compare_u64(a->pid, b->pid);
	order = order ? order : compare_u64(a->op, b->op);
	order = order ? order : compare_u64(a->tid, b->tid);
	order = order ? order : compare_u64(a->sub, b->sub);
	return order ? order : compare_u64(a->addr, b->addr);
}

static int compare_error(const struct mw_rec_error *a, const struct mw_rec_error *b)
{
	int order = compare_query(&a->query, &b->query);
	return order ? order : (int)b->any_addr - (int)a->any_addr;
}

static size_t find_error(const struct mw_rec_errors *errors,
			 const struct mw_rec_error *error)
{
	return mw_lower_bound(errors, compare_error(&errors->items[i], error) < 0);
}

static bool has_error_at(const struct mw_rec_errors *errors, size_t i,
			 const struct mw_rec_error *error)
{
	return i < errors->n && !compare_error(&errors->items[i], error);
}

bool mw_rec_add_error(struct mw_rec_errors *errors, struct mw_arena *arena,
		      const struct mw_rec_error *error)
{
	struct mw_rec_error item = *error;
	if (!item.any_addr && holds_anywhere(item.query.op, item.code))
		item.any_addr = true;
	if (item.any_addr)
		item.query.addr = 0;
	size_t i = find_error(errors, &item);
	if (has_error_at(errors, i, &item))
		return true;
	item.what = mw_arena_strdup(arena, item.what);
	item.msg = mw_arena_strdup(arena, item.msg);
	return item.what && item.msg && mw_vec_insert(errors, i, item);
}

const struct mw_rec_error *mw_rec_find_error(const struct mw_rec_errors *errors,
					     const struct mw_rec_query *query)
{
	struct mw_rec_error key = { .query = *query };
	size_t i = find_error(errors, &key);
	if (has_error_at(errors, i, &key))
		return &errors->items[i];
	key.any_addr = true;
	key.query.addr = 0;
	i = find_error(errors, &key);
	return has_error_at(errors, i, &key) ? &errors->items[i] : NULL;
}
