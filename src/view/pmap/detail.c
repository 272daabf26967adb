// SPDX-License-Identifier: MIT
/*
 * -X and its kin: a column for each key that this kernel prints in smaps. Widths follow
 * from what is in the columns, so all rows are gathered before the first is written; the
 * file is read once, and so rows, widths and sums are of the same moment.
 */
#include "base/num.h"
#include "base/vec.h"
#include "procfs/smaps.h"
#include "view/pmap/pmap.h"
#include <memwhy/perms.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KEYS = 64, KEY_LEN = 32 };

/* One mapping; its values lie in the table, n_keys of them. */
struct row {
	struct mw_maps_line map; /* name and flags: in the arena */
	const char *flags;
	size_t flags_len;
};

struct table {
	struct mw_pmap_job *job;
	struct mw_arena arena;
	char keys[MAX_KEYS][KEY_LEN];
	size_t key_len[MAX_KEYS];
	size_t n_keys;
	uint64_t sums[MAX_KEYS];
	MW_VEC(struct row);
	uint64_t *values; /* n_keys of each row */
	size_t n_values, cap_values;
	bool has_flags;
};

/* Left out by -X: in other columns, or the same in every row. */
static bool is_minor(const char *key)
{
	static const char *const minor[] = {
		"AnonHugePages", "KernelPageSize", "MMUPageSize",   "Shared_Clean",
		"Shared_Dirty",  "Private_Clean",  "Private_Dirty", "VmFlags",
	};
	for (size_t i = 0; i < sizeof(minor) / sizeof(*minor); i++)
		if (!strcmp(key, minor[i]))
			return true;
	return false;
}

static bool is_listed(const struct mw_pmap_fields *fields, const char *key)
{
	for (size_t i = 0; i < fields->n_names; i++)
		if (!strcmp(fields->names[i], key))
			return true;
	return false;
}

static bool is_shown(const struct table *table, const char *key)
{
	const struct mw_pmap_fields *fields = &table->job->opts->fields;
	if (fields->listed)
		return is_listed(fields, key);
	return fields->all || !is_minor(key);
}

static bool is_column(const struct table *table, size_t column, const char *key,
		      size_t len)
{
	return column < table->n_keys && table->key_len[column] == len &&
	       !memcmp(table->keys[column], key, len);
}

/* The column of a key; the first mapping sets their order. MAX_KEYS: no room. */
static size_t column_of(struct table *table, const char *key, size_t len, size_t due)
{
	if (is_column(table, due, key, len))
		return due;
	for (size_t i = 0; i < table->n_keys; i++)
		if (is_column(table, i, key, len))
			return i;
	if (table->n || table->n_keys == MAX_KEYS || len >= KEY_LEN)
		return MAX_KEYS; /* rows before have no place for it */
	memcpy(table->keys[table->n_keys], key, len);
	table->keys[table->n_keys][len] = '\0';
	table->key_len[table->n_keys] = len;
	return table->n_keys++;
}

static struct mw_err *take_flags(struct table *table, struct row *row, const char *pos,
				 const char *eol)
{
	mw_skip_blanks(&pos, eol);
	while (eol > pos && eol[-1] == ' ')
		eol--;
	row->flags_len = (size_t)(eol - pos);
	row->flags = mw_arena_strndup(&table->arena, pos, row->flags_len);
	table->has_flags = true;
	return row->flags ? NULL : mw_err_nomem();
}

static struct mw_err *take_key(struct table *table, struct row *row, uint64_t *values,
			       const char *pos, const char *eol, size_t *due)
{
	const char *colon = memchr(pos, ':', (size_t)(eol - pos));
	uint64_t n;
	if (!colon)
		return NULL;
	size_t len = (size_t)(colon - pos);
	if (len == strlen("VmFlags") && !memcmp(pos, "VmFlags", len))
		return take_flags(table, row, colon + 1, eol);
	const char *number = colon + 1;
	mw_skip_blanks(&number, eol);
	size_t column = column_of(table, pos, len, *due);
	if (column == MAX_KEYS || !mw_take_dec(&number, eol, &n))
		return NULL;
	*due = column + 1;
	values[column] = n;
	table->sums[column] += n;
	return NULL;
}

/* Room for the values of one row. NULL: no memory. */
static uint64_t *add_values(struct table *table)
{
	size_t need = table->n_values + table->n_keys;
	if (need > table->cap_values) {
		size_t cap = need * 2 + MAX_KEYS;
		uint64_t *grown = reallocarray(table->values, cap, sizeof(*grown));
		if (!grown)
			return NULL;
		table->values = grown;
		table->cap_values = cap;
	}
	table->n_values = need;
	return table->values + need - table->n_keys;
}

static struct mw_err *keep(struct table *table, const struct row *row,
			   const uint64_t values[MAX_KEYS])
{
	struct row kept = *row;
	kept.map.name = mw_arena_strndup(&table->arena, row->map.name, row->map.name_len);
	uint64_t *place = add_values(table);
	if (!kept.map.name || !place || !mw_vec_add(table, kept))
		return mw_err_nomem();
	memcpy(place, values, table->n_keys * sizeof(*place));
	return NULL;
}

static bool is_key(const char *pos)
{
	return *pos >= 'A' && *pos <= 'Z';
}

/* One entry at *pos, all of it in [*pos, end). */
static struct mw_err *take_entry(struct table *table, const char **pos, const char *end)
{
	struct row row = { .flags = "" };
	uint64_t values[MAX_KEYS] = { 0 };
	size_t due = 0;
	const char *at = *pos, *eol = mw_line_end(at, end);
	if (!mw_maps_parse_line(at, eol, &row.map))
		return mw_err_new(MW_ERR_FORMAT, 0, "smaps",
				  "smaps has a line that cannot be read");
	struct mw_err *err = NULL;
	for (at = eol + 1; !err && at < end && is_key(at); at = eol + 1) {
		eol = mw_line_end(at, end);
		err = take_key(table, &row, values, at, eol, &due);
	}
	*pos = at < end ? at : end;
	return err ? err : keep(table, &row, values);
}

static struct mw_err *take_piece(void *ctx, const char *text, size_t len, bool last,
				 size_t *used)
{
	const char *pos = text, *end = text + len;
	struct mw_err *err = NULL;
	if (!last && len)
		end = mw_smaps_last(text, end);
	while (!err && pos < end)
		err = take_entry(ctx, &pos, end);
	*used = (size_t)(pos - text);
	return err;
}

/* --- Drawing --- */

enum { ADDRESS, PERM, OFFSET, DEVICE, INODE, N_FIXED };
static const char *const fixed[N_FIXED] = { "Address", "Perm", "Offset", "Device",
					    "Inode" };

/* At least `width` hex digits. */
static char *put_hex(char *at, uint64_t n, size_t width)
{
	char digits[MW_DIGITS_LEN];
	size_t len = (size_t)(mw_put_hex(digits, n) - digits);
	for (; width > len; width--)
		*at++ = '0';
	memcpy(at, digits, len);
	return at + len;
}

static char *put_fixed(char *at, const struct mw_maps_line *map, unsigned column)
{
	static const char letters[] = "rwx";
	static const unsigned bits[] = { MW_PERM_READ, MW_PERM_WRITE, MW_PERM_EXEC };
	switch (column) {
	case ADDRESS:
		return put_hex(at, map->start, 8); /* as the kernel writes it */
	case PERM:
		for (unsigned i = 0; i < 3; i++)
			*at++ = map->perms & bits[i] ? letters[i] : '-';
		*at++ = map->perms & MW_PERM_SHARED ? 's' : 'p';
		return at;
	case OFFSET:
		return put_hex(at, map->offset, 8);
	case DEVICE:
		at = put_hex(at, map->dev >> 20, 2);
		*at++ = ':';
		return put_hex(at, map->dev & 0xfffff, 2);
	default:
		return mw_put_dec(at, map->ino);
	}
}

struct widths {
	size_t fixed[N_FIXED], keys[MAX_KEYS], flags;
};

static void widen(size_t *width, size_t len)
{
	if (*width < len)
		*width = len;
}

static uint64_t largest(const struct table *table, size_t key)
{
	uint64_t max = 0;
	for (size_t i = key; i < table->n_values; i += table->n_keys)
		if (table->values[i] > max)
			max = table->values[i];
	return max;
}

static struct widths measure(const struct table *table)
{
	struct widths w = { 0 };
	char text[32];
	bool quiet = table->job->opts->quiet;
	for (unsigned c = 0; c < N_FIXED; c++)
		w.fixed[c] = quiet ? 0 : strlen(fixed[c]);
	for (size_t k = 0; k < table->n_keys; k++)
		w.keys[k] = quiet ? 0 : strlen(table->keys[k]);
	w.flags = quiet ? 0 : strlen("VmFlags");
	for (size_t i = 0; i < table->n; i++) {
		for (unsigned c = 0; c < N_FIXED; c++)
			widen(&w.fixed[c],
			      (size_t)(put_fixed(text, &table->items[i].map, c) - text));
		widen(&w.flags, table->items[i].flags_len);
	}
	/* The sum is the widest of its column; without one, its largest number. */
	for (size_t k = 0; k < table->n_keys; k++) {
		uint64_t n = quiet ? largest(table, k) : table->sums[k];
		widen(&w.keys[k], (size_t)(mw_put_dec(text, n) - text));
	}
	return w;
}

static bool shows_fixed(const struct table *table, unsigned column)
{
	return column == ADDRESS || is_shown(table, fixed[column]);
}

static bool shows_flags(const struct table *table)
{
	return table->has_flags && is_shown(table, "VmFlags");
}

static bool shows_mapping(const struct table *table)
{
	return is_shown(table, "Mapping");
}

static bool add_head(const struct table *table, const struct widths *w)
{
	struct mw_buf *text = &table->job->text;
	bool ok = true;
	for (unsigned c = 0; ok && c < N_FIXED; c++)
		if (shows_fixed(table, c))
			ok = mw_buf_printf(text, "%*s ", (int)w->fixed[c], fixed[c]);
	for (size_t k = 0; ok && k < table->n_keys; k++)
		if (is_shown(table, table->keys[k]))
			ok = mw_buf_printf(text, "%*s ", (int)w->keys[k], table->keys[k]);
	if (ok && shows_flags(table))
		ok = mw_buf_printf(text, "%*s ", (int)w->flags, "VmFlags");
	return ok && mw_buf_printf(text, "%s\n", shows_mapping(table) ? "Mapping" : "");
}

/* As in the file, but without its path. */
static bool add_mapping(const struct table *table, const struct mw_maps_line *map)
{
	const struct mw_pmap_job *job = table->job;
	const char *name = map->name;
	size_t len = map->name_len;
	const char *slash = len && !job->opts->paths ? memrchr(name, '/', len) : NULL;
	bool memfd = len > 7 && !memcmp(name, "/memfd:", 7);
	if (slash && memfd)
		slash = name;
	size_t skip = slash ? (size_t)(slash - name) + 1 : 0;
	return mw_pmap_add_safe(&table->job->text, name + skip, len - skip, true);
}

/* Text set right, behind a blank; printf would be half of the time of a large table. */
static bool add_cell(struct mw_buf *text, size_t width, const char *cell, size_t len,
		     bool first)
{
	size_t pad = width > len ? width - len : 0;
	if (!mw_buf_reserve(text, pad + len + 1))
		return false;
	char *at = text->data + text->len;
	if (!first)
		*at++ = ' ';
	memset(at, ' ', pad);
	memcpy(at + pad, cell, len);
	text->len = (size_t)(at + pad + len - text->data);
	return true;
}

static struct mw_err *add_row(const struct table *table, const struct widths *w, size_t i,
			      const bool *shown)
{
	const struct row *row = &table->items[i];
	const uint64_t *values = table->values + i * table->n_keys;
	struct mw_buf *text = &table->job->text;
	char cell[64];
	bool ok = true;
	for (unsigned c = 0; ok && c < N_FIXED; c++) {
		char *end = shown[MAX_KEYS + c] ? put_fixed(cell, &row->map, c) : NULL;
		if (end)
			ok = add_cell(text, w->fixed[c], cell, (size_t)(end - cell), !c);
	}
	for (size_t k = 0; ok && k < table->n_keys; k++)
		if (shown[k])
			ok = add_cell(text, w->keys[k], cell,
				      (size_t)(mw_put_dec(cell, values[k]) - cell),
				      false);
	if (ok && shows_flags(table))
		ok = add_cell(text, w->flags, row->flags, row->flags_len, false);
	if (ok && shows_mapping(table))
		ok = mw_buf_add(text, " ", 1) && add_mapping(table, &row->map);
	if (!ok || !mw_buf_add(text, "\n", 1))
		return mw_err_nomem();
	mw_pmap_flush(table->job, true);
	return NULL;
}

/* A line below the numbers, and their sums. */
static bool add_sums(const struct table *table, const struct widths *w)
{
	static const char line[] = "================================";
	struct mw_buf *text = &table->job->text;
	size_t indent = 0;
	bool ok = true;
	for (unsigned c = 0; c < N_FIXED; c++)
		indent += shows_fixed(table, c) ? w->fixed[c] + 1 : 0;
	ok = mw_buf_printf(text, "%*s", (int)indent, "");
	for (size_t k = 0; ok && k < table->n_keys; k++)
		if (is_shown(table, table->keys[k]))
			ok = mw_buf_printf(text, "%.*s ", (int)w->keys[k], line);
	ok = ok && mw_buf_printf(text, "\n%*s", (int)indent, "");
	for (size_t k = 0; ok && k < table->n_keys; k++)
		if (is_shown(table, table->keys[k]))
			ok = mw_buf_printf(text, "%*" PRIu64 " ", (int)w->keys[k],
					   table->sums[k]);
	return ok && mw_buf_printf(text, "KB \n");
}

static struct mw_err *draw(const struct table *table)
{
	struct widths w = measure(table);
	bool quiet = table->job->opts->quiet, any = false, shown[MAX_KEYS + N_FIXED];
	struct mw_err *err = NULL;
	table->job->n_rows = table->n;
	if (!table->n)
		return NULL;
	for (size_t k = 0; k < table->n_keys; k++)
		any |= shown[k] = is_shown(table, table->keys[k]);
	for (unsigned c = 0; c < N_FIXED; c++)
		shown[MAX_KEYS + c] = shows_fixed(table, c);
	if (!quiet && !add_head(table, &w))
		return mw_err_nomem();
	for (size_t i = 0; i < table->n && !err; i++)
		err = add_row(table, &w, i, shown);
	if (!err && !quiet && any && !add_sums(table, &w))
		err = mw_err_nomem();
	return err;
}

struct mw_err *mw_pmap_detail(struct mw_pmap_job *job)
{
	struct table table = { .job = job };
	struct mw_err *err = mw_source_stream_text(job->src, job->pid, MW_FILE_SMAPS,
						   take_piece, &table);
	if (!err)
		err = draw(&table);
	mw_vec_deinit(&table);
	free(table.values);
	mw_arena_deinit(&table.arena);
	return err;
}
