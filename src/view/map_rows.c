// SPDX-License-Identifier: MIT
/* Segments become rows: folded by object, summed by class, filtered, sorted. */
#include "view/map.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

static const char *const sort_names[] = {
	[MW_SORT_ADDRESS] = "address", [MW_SORT_SIZE] = "size",
	[MW_SORT_RSS] = "rss",         [MW_SORT_PRIVATE] = "private",
	[MW_SORT_SHARED] = "shared",   [MW_SORT_SWAP] = "swap",
	[MW_SORT_PSS] = "pss",         [MW_SORT_CLASS] = "class",
	[MW_SORT_NAME] = "name",
};

bool mw_map_sort_from_name(const char *name, enum mw_map_sort *ret)
{
	for (unsigned i = 0; i < sizeof(sort_names) / sizeof(sort_names[0]); i++) {
		if (strcmp(sort_names[i], name))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

bool mw_map_class_fits(const char *key, const char *wanted)
{
	size_t len = strlen(wanted);
	if (len >= 2 && !strcmp(wanted + len - 2, ".*"))
		len -= 2;
	return !strncmp(key, wanted, len) && (key[len] == '\0' || key[len] == '.');
}

bool mw_map_class_exists(const char *wanted)
{
	for (unsigned class = 0; class < MW_CLASS_COUNT; class ++)
		if (mw_map_class_fits(mw_class_key(class), wanted))
			return true;
	return false;
}

void mw_map_perms(const struct mw_map_row *row, char ret[MW_MAP_PERMS_LEN])
{
	static const char letters[] = "rwx";
	for (unsigned i = 0; i < 3; i++)
		ret[i] = row->mixed & (1u << i)   ? '*'
			 : row->perms & (1u << i) ? letters[i]
						  : '-';
	ret[3] = row->mixed & MW_PERM_SHARED   ? '*'
		 : row->perms & MW_PERM_SHARED ? 's'
					       : 'p';
	ret[4] = '\0';
}

static struct mw_map_row row_of(const struct mw_segment *seg, unsigned perms)
{
	return (struct mw_map_row){
		.start = seg->start,
		.end = seg->end,
		.class = mw_class_key(seg->class),
		.confidence = mw_confidence_name(seg->confidence),
		.evidence = seg->evidence,
		.name = seg->name,
		.perms = perms,
		.n = 1,
		.size = seg->end - seg->start,
		.counts = &seg->counts,
	};
}

static size_t family_len(const char *class)
{
	return strcspn(class, ".");
}

static bool same_family(const char *a, const char *b)
{
	size_t len = family_len(a);
	return len == family_len(b) && !memcmp(a, b, len);
}

/* Neighbours fold when they are parts of one named object, or nameless and alike. */
static bool folds(const struct mw_map_row *row, const struct mw_map_row *next)
{
	if (row->end != next->start || strcmp(row->name, next->name))
		return false;
	return row->name[0] ? same_family(row->class, next->class)
			    : !strcmp(row->class, next->class);
}

/* "lib.text" and "lib.data" become "lib.*"; one string a family serves all rows. */
static bool merge_class(struct mw_arena *arena, struct mw_map_row *row, const char *class)
{
	size_t len = family_len(row->class);
	if (!strcmp(row->class, class) || !strcmp(row->class + len, ".*"))
		return true;
	row->class = mw_arena_printf(arena, "%.*s.*", (int)len, row->class);
	return row->class != NULL;
}

/* Adds to a row's counters, which from the second segment on are a sum of its own. */
static bool add_counts(struct mw_arena *arena, struct mw_map_row *row,
		       const struct mw_counts *counts)
{
	if (!row->sum) {
		row->sum = mw_arena_alloc(arena, sizeof(*row->sum));
		if (!row->sum)
			return false;
		*row->sum = *row->counts;
		row->counts = row->sum;
	}
	mw_counts_add(row->sum, counts);
	return true;
}

static bool merge(struct mw_arena *arena, struct mw_map_row *row,
		  const struct mw_map_row *next)
{
	row->end = next->end;
	row->size += next->size;
	row->mixed |= next->mixed | (row->perms ^ next->perms);
	row->perms |= next->perms;
	row->n += next->n;
	return add_counts(arena, row, next->counts) &&
	       merge_class(arena, row, next->class);
}

static struct mw_err *add_rows(const struct mw_snapshot *snap,
			       const struct mw_layout *layout,
			       const struct mw_map_opts *opts, struct mw_arena *arena,
			       struct mw_map_rows *ret)
{
	size_t n, n_regions;
	const struct mw_segment *segs = mw_layout_segments(layout, &n);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n_regions);
	for (size_t i = 0; i < n; i++) {
		struct mw_map_row row = row_of(&segs[i], regions[segs[i].region].perms);
		struct mw_map_row *last = ret->n ? &ret->items[ret->n - 1] : NULL;
		if (opts->class && !mw_map_class_fits(row.class, opts->class))
			continue;
		bool ok = !opts->all && last && folds(last, &row)
				  ? merge(arena, last, &row)
				  : mw_vec_add(ret, row);
		if (!ok)
			return mw_err_nomem();
	}
	return NULL;
}

static bool add_to_class(struct mw_arena *arena, struct mw_map_row *sum,
			 const struct mw_segment *seg, unsigned perms)
{
	struct mw_map_row row = row_of(seg, perms);
	if (!sum->n) {
		*sum = row;
		sum->name = "";
		sum->evidence = "";
		return true;
	}
	sum->size += row.size;
	sum->mixed |= sum->perms ^ perms;
	sum->perms |= perms;
	sum->n++;
	if (seg->end > sum->end)
		sum->end = seg->end;
	return add_counts(arena, sum, row.counts);
}

static struct mw_err *add_classes(const struct mw_snapshot *snap,
				  const struct mw_layout *layout,
				  const struct mw_map_opts *opts, struct mw_arena *arena,
				  struct mw_map_rows *ret)
{
	struct mw_map_row sums[MW_CLASS_COUNT] = { 0 };
	size_t n, n_regions;
	const struct mw_segment *segs = mw_layout_segments(layout, &n);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n_regions);
	for (size_t i = 0; i < n; i++)
		if (!add_to_class(arena, &sums[segs[i].class], &segs[i],
				  regions[segs[i].region].perms))
			return mw_err_nomem();
	for (unsigned i = 0; i < MW_CLASS_COUNT; i++) {
		if (!sums[i].n ||
		    (opts->class && !mw_map_class_fits(sums[i].class, opts->class)))
			continue;
		if (!mw_vec_add(ret, sums[i]))
			return mw_err_nomem();
	}
	return NULL;
}

/* The value a row is sorted by, largest first. */
static uint64_t weight(const struct mw_map_row *row, enum mw_map_sort sort)
{
	switch (sort) {
	case MW_SORT_SIZE:
		return row->size;
	case MW_SORT_RSS:
		return row->counts->rss;
	case MW_SORT_PRIVATE:
		return row->counts->uss;
	case MW_SORT_SHARED:
		return row->counts->rss - row->counts->uss;
	case MW_SORT_SWAP:
		return row->counts->swap;
	case MW_SORT_PSS:
		return row->counts->pss_q12;
	default:
		return 0;
	}
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct mw_map_row *x = a, *y = b;
	enum mw_map_sort sort = *(const enum mw_map_sort *)arg;
	uint64_t wx = weight(x, sort), wy = weight(y, sort);
	int order = sort == MW_SORT_CLASS  ? strcmp(x->class, y->class)
		    : sort == MW_SORT_NAME ? strcmp(x->name, y->name)
					   : 0;
	if (order)
		return order;
	if (wx != wy)
		return wx < wy ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

struct mw_err *mw_map_rows_make(const struct mw_snapshot *snap,
				const struct mw_layout *layout,
				const struct mw_map_opts *opts, struct mw_arena *arena,
				struct mw_map_rows *ret)
{
	enum mw_map_sort sort = opts->sort;
	struct mw_err *err = opts->summary ? add_classes(snap, layout, opts, arena, ret)
					   : add_rows(snap, layout, opts, arena, ret);
	if (err)
		return err;
	if (opts->summary && sort == MW_SORT_ADDRESS)
		sort = MW_SORT_RSS;
	if (sort != MW_SORT_ADDRESS && ret->n)
		qsort_r(ret->items, ret->n, sizeof(*ret->items), compare, &sort);
	return NULL;
}

static const struct mw_map_row *same_class(const struct mw_map_rows *rows,
					   const char *class)
{
	for (size_t i = 0; i < rows->n; i++)
		if (!strcmp(rows->items[i].class, class))
			return &rows->items[i];
	return NULL;
}

/* The first row, of rows in address order, that ends after `addr`. */
static size_t first_after(const struct mw_map_rows *rows, uint64_t addr)
{
	size_t lo = 0, hi = rows->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (rows->items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct mw_map_row *mw_map_row_earlier(const struct mw_map_rows *before,
					    bool summary, const struct mw_map_row *row)
{
	if (summary)
		return same_class(before, row->class);
	for (size_t i = first_after(before, row->start);
	     i < before->n && before->items[i].start < row->end; i++)
		if (!strcmp(before->items[i].class, row->class) &&
		    !strcmp(before->items[i].name, row->name))
			return &before->items[i];
	return NULL;
}

struct fit {
	const struct mw_map_rows *before;
	bool summary;
};

static uint64_t change_of(const struct mw_map_row *row, const struct fit *fit)
{
	const struct mw_map_row *old = mw_map_row_earlier(fit->before, fit->summary, row);
	uint64_t was = old ? old->counts->rss : 0, is = row->counts->rss;
	return was < is ? is - was : was - is;
}

static int by_change(const void *a, const void *b, void *arg)
{
	const struct mw_map_row *x = a, *y = b;
	uint64_t cx = change_of(x, arg), cy = change_of(y, arg);
	if (cx != cy)
		return cx < cy ? 1 : -1;
	if (x->counts->rss != y->counts->rss)
		return x->counts->rss < y->counts->rss ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* With nothing to compare with yet, every row counts as changed by all it has. */
size_t mw_map_rows_fit(struct mw_map_rows *rows, const struct mw_map_rows *before,
		       bool summary, size_t max)
{
	struct fit fit = { before, summary };
	if (rows->n)
		qsort_r(rows->items, rows->n, sizeof(*rows->items), by_change, &fit);
	size_t left_out = rows->n > max ? rows->n - max : 0;
	rows->n -= left_out;
	return left_out;
}
