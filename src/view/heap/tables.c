// SPDX-License-Identifier: MIT
/* The tables of `memwhy heap`, for people, CSV and NDJSON; JSON has its own form. */
#include "base/buf.h"
#include "view/heap/heap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

bool mw_view_ascii(struct mw_buf *text, const unsigned char *bytes, size_t n)
{
	bool ok = true;
	for (size_t i = 0; ok && i < n; i++)
		ok = mw_buf_printf(text, "%c",
				   bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.');
	return ok;
}

bool mw_view_number(struct mw_buf *text, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	bool ok = true;
	for (int i = 0; ok && i < len; i++)
		ok = mw_buf_printf(text, "%c%s", digits[i],
				   (len - i) % 3 == 1 && i + 1 < len ? "," : "");
	return ok;
}

/* UINT64_MAX: what was resident is not known. */
static struct mw_cell resident_cell(bool known, uint64_t bytes)
{
	return mw_cell_if(known && bytes != UINT64_MAX, bytes);
}

static void begin(struct mw_out *out, const char *key, const struct mw_col *cols,
		  size_t n_cols, size_t n_rows)
{
	struct mw_table table = { .key = key,
				  .title = "",
				  .cols = cols,
				  .n_cols = n_cols,
				  .n_rows = n_rows,
				  .is_main = true,
				  .no_json = true };
	mw_out_table(out, &table);
}

/* What only was recognised has no figures; what was only counted has a few. */
static void allocator_row(struct mw_out *out, const struct mw_allocator *a)
{
	mw_auto_buf name = { 0 };
	bool known = a->depth != MW_HEAP_RECOGNISED, walked = a->depth == MW_HEAP_WALKED;
	bool glibc = !strcmp(a->name, "glibc"); /* only it has malloc_trim() */
	if (!mw_buf_printf(&name, "%s%s%s%s", a->name, a->version[0] ? " " : "",
			   a->version, a->nested ? " (nested)" : ""))
		return;
	struct mw_cell cells[] = {
		mw_cell_s(mw_buf_str(&name)),
		mw_cell_if(known && a->n_arenas, a->n_arenas),
		mw_cell_if(known, a->live.bytes),
		mw_cell_if(known && (a->live.n || !a->live.bytes), a->live.n),
		mw_cell_if(known, a->free.bytes),
		resident_cell(walked, a->free.resident),
		resident_cell(walked && glibc, a->free.trimmable),
		resident_cell(walked, a->free.pinned),
		mw_cell_if(known, a->overhead),
		mw_cell_if(known, a->unknown),
		mw_cell_s(mw_depth_name(a->depth)),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

static void allocators_table(struct mw_out *out, const struct mw_heap *heap)
{
	static const struct mw_col cols[] = {
		{ "allocator", "allocator", MW_TYPE_TEXT, MW_COL_TRUNC, 0 },
		{ "arenas", "arenas", MW_TYPE_COUNT, 0, 0 },
		{ "live", "live", MW_TYPE_BYTES, 0, 0 },
		{ "blocks", "blocks", MW_TYPE_COUNT, 0, 0 },
		{ "free", "kept", MW_TYPE_BYTES, 0, 0 },
		{ "resident", "resident", MW_TYPE_BYTES, 0, 0 },
		{ "trimmable", "trimmable", MW_TYPE_BYTES, 0, 0 },
		{ "pinned", "pinned", MW_TYPE_BYTES, 0, 0 },
		{ "overhead", "headers", MW_TYPE_BYTES, 0, 0 },
		{ "unknown", "unknown", MW_TYPE_BYTES, 0, 0 },
		{ "depth", "", MW_TYPE_TEXT, 0, 0 },
	};
	begin(out, "allocators", cols, N(cols), heap->n_allocators);
	for (size_t i = 0; i < heap->n_allocators; i++)
		allocator_row(out, &heap->allocators[i]);
	mw_out_table_end(out);
}

static void arena_row(struct mw_out *out, const struct mw_allocator *of,
		      const struct mw_heap_arena *a)
{
	struct mw_cell cells[] = {
		mw_cell_s(of->name),
		mw_cell_u(a->address),
		mw_cell_s(a->name),
		mw_cell_u(a->threads),
		mw_cell_u(a->heaps),
		mw_cell_u(a->system),
		mw_cell_u(a->live.bytes),
		mw_cell_u(a->live.n),
		mw_cell_u(a->free.bytes),
		resident_cell(true, a->free.resident),
		resident_cell(true, a->free.trimmable),
		resident_cell(true, a->free.pinned),
		resident_cell(true, a->free.untrimmable),
		mw_cell_if(a->free.pinned != UINT64_MAX, a->pinning.n),
		mw_cell_u(a->tcache.bytes),
		mw_cell_u(a->fast.bytes),
		mw_cell_u(a->bins.bytes),
		mw_cell_u(a->top),
		mw_cell_u(a->overhead),
		mw_cell_u(a->unknown),
		mw_cell_u(a->locked),
	};
	mw_out_row(out, cells, MW_PLAIN);
}

static size_t count_arenas(const struct mw_heap *heap)
{
	size_t ret = 0;
	for (size_t i = 0; i < heap->n_allocators; i++)
		ret += heap->allocators[i].n_arenas;
	return ret;
}

static void arenas_table(struct mw_out *out, const struct mw_heap *heap)
{
	static const struct mw_col cols[] = {
		{ "allocator", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "address", "arena", MW_TYPE_ADDR, 0, 12 },
		{ "name", "", MW_TYPE_TEXT, 0, 6 },
		{ "threads", "threads", MW_TYPE_COUNT, 0, 7 },
		{ "heaps", "", MW_TYPE_COUNT, MW_COL_NO_TEXT, 0 },
		{ "system", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "live_bytes", "live", MW_TYPE_BYTES, 0, 9 },
		{ "live_blocks", "blocks", MW_TYPE_COUNT, 0, 8 },
		{ "free_bytes", "kept", MW_TYPE_BYTES, 0, 9 },
		{ "resident", "resident", MW_TYPE_BYTES, 0, 9 },
		{ "trimmable", "trimmable", MW_TYPE_BYTES, 0, 9 },
		{ "pinned", "pinned", MW_TYPE_BYTES, 0, 9 },
		{ "untrimmable", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "pinning_blocks", "pinned by", MW_TYPE_COUNT, 0, 9 },
		{ "tcache", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "fast", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "bins", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "top", "top", MW_TYPE_BYTES, 0, 9 },
		{ "overhead", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "unknown", "", MW_TYPE_BYTES, MW_COL_NO_TEXT, 0 },
		{ "locked", "", MW_TYPE_BOOL, MW_COL_NO_TEXT, 0 },
	};
	begin(out, "arenas", cols, N(cols), count_arenas(heap));
	for (size_t i = 0; i < heap->n_allocators; i++)
		for (size_t k = 0; k < heap->allocators[i].n_arenas; k++)
			arena_row(out, &heap->allocators[i],
				  &heap->allocators[i].arenas[k]);
	mw_out_table_end(out);
}

static void sizes_table(struct mw_out *out, const struct mw_heap *heap)
{
	static const struct mw_col cols[] = {
		{ "allocator", "allocator", MW_TYPE_TEXT, 0, 8 },
		{ "size", "blocks up to", MW_TYPE_BYTES, 0, 9 },
		{ "live_blocks", "live", MW_TYPE_COUNT, 0, 9 },
		{ "live_bytes", "bytes", MW_TYPE_BYTES, 0, 9 },
		{ "share", "share", MW_TYPE_SHARE, 0, 5 },
		{ "kept_blocks", "kept", MW_TYPE_COUNT, 0, 9 },
		{ "kept_bytes", "bytes", MW_TYPE_BYTES, 0, 9 },
		{ "bar", "", MW_TYPE_BAR, MW_COL_NO_DATA, 0 },
	};
	size_t n = 0;
	for (size_t i = 0; i < heap->n_allocators; i++)
		n += heap->allocators[i].n_sizes;
	begin(out, "sizes", cols, N(cols), n);
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		for (size_t k = 0; k < a->n_sizes; k++) {
			const struct mw_heap_size *s = &a->sizes[k];
			uint64_t part = mw_view_share(s->live.bytes, a->live.bytes);
			struct mw_cell cells[] = {
				mw_cell_s(a->name),       mw_cell_u(s->size),
				mw_cell_u(s->live.n),     mw_cell_u(s->live.bytes),
				mw_cell_u(part),          mw_cell_u(s->kept.n),
				mw_cell_u(s->kept.bytes), mw_cell_u(part),
			};
			mw_out_row(out, cells, MW_PLAIN);
		}
	}
	mw_out_table_end(out);
}

static const char *thread_name(const struct mw_snapshot *snap, pid_t tid)
{
	size_t n;
	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	for (size_t i = 0; i < n; i++)
		if (threads[i].tid == tid)
			return threads[i].comm;
	return "";
}

static void threads_table(struct mw_out *out, const struct mw_heap_answer *answer)
{
	static const struct mw_col cols[] = {
		{ "allocator", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "tid", "thread", MW_TYPE_COUNT, 0, 7 },
		{ "name", "name", MW_TYPE_TEXT, MW_COL_TRUNC, 15 },
		{ "arena", "arena", MW_TYPE_ADDR, 0, 12 },
		{ "tcache", "tcache", MW_TYPE_ADDR, 0, 12 },
		{ "cached_blocks", "cached", MW_TYPE_COUNT, 0, 8 },
		{ "cached_bytes", "bytes", MW_TYPE_BYTES, 0, 9 },
	};
	const struct mw_heap *heap = answer->heap;
	size_t n = 0;
	for (size_t i = 0; i < heap->n_allocators; i++)
		n += heap->allocators[i].n_threads;
	begin(out, "threads", cols, N(cols), n);
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		for (size_t k = 0; k < a->n_threads; k++) {
			const struct mw_heap_thread *t = &a->threads[k];
			struct mw_cell cells[] = {
				mw_cell_s(a->name),
				mw_cell_if(t->tid > 0, (uint64_t)t->tid),
				mw_cell_s(thread_name(answer->snap, t->tid)),
				mw_cell_if(t->arena != 0, t->arena),
				mw_cell_if(t->tcache != 0, t->tcache),
				mw_cell_u(t->cached.n),
				mw_cell_u(t->cached.bytes),
			};
			mw_out_row(out, cells, MW_PLAIN);
		}
	}
	mw_out_table_end(out);
}

static struct mw_err *pin_row(struct mw_out *out, const struct mw_allocator *of,
			      const struct mw_heap_arena *arena,
			      const struct mw_heap_pin *pin, bool contents)
{
	mw_auto_buf hex = { 0 }, ascii = { 0 };
	if (!mw_view_hex(&hex, pin->head, sizeof(pin->head)) ||
	    !mw_view_ascii(&ascii, pin->head, sizeof(pin->head)))
		return mw_err_nomem();
	struct mw_cell cells[] = {
		mw_cell_s(of->name),
		mw_cell_u(arena->address),
		mw_cell_s(arena->name),
		mw_cell_u(pin->size),
		mw_cell_u(pin->blocks),
		mw_cell_u(pin->bytes),
		mw_cell_u(pin->sample),
		contents ? mw_cell_s(mw_buf_str(&ascii)) : mw_cell_null(),
		contents ? mw_cell_s(mw_buf_str(&hex)) : mw_cell_null(),
	};
	mw_out_row(out, cells, MW_PLAIN);
	return NULL;
}

static struct mw_err *pins_table(struct mw_out *out, const struct mw_heap_answer *answer)
{
	unsigned hide = answer->contents ? 0 : MW_COL_NO_TEXT;
	const struct mw_col cols[] = {
		{ "allocator", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
		{ "arena", "arena", MW_TYPE_ADDR, 0, 12 },
		{ "arena_name", "", MW_TYPE_TEXT, 0, 6 },
		{ "size", "blocks of", MW_TYPE_BYTES, 0, 9 },
		{ "blocks", "number", MW_TYPE_COUNT, 0, 8 },
		{ "bytes", "pin", MW_TYPE_BYTES, 0, 9 },
		{ "sample", "such as", MW_TYPE_ADDR, 0, 12 },
		{ "text", "which begins", MW_TYPE_TEXT,
		  hide | MW_COL_NO_DATA | MW_COL_TRUNC, 32 },
		{ "contents", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	};
	const struct mw_heap *heap = answer->heap;
	struct mw_err *err = NULL;
	begin(out, "pins", cols, N(cols), count_arenas(heap) * 16);
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		for (size_t k = 0; k < a->n_arenas; k++)
			for (size_t p = 0; !err && p < a->arenas[k].n_pins; p++)
				err = pin_row(out, a, &a->arenas[k],
					      &a->arenas[k].pins[p], answer->contents);
	}
	mw_out_table_end(out);
	return err;
}

static const struct mw_col check_cols[] = {
	{ "allocator", "", MW_TYPE_TEXT, MW_COL_NO_TEXT, 0 },
	{ "name", "what must be equal", MW_TYPE_TEXT, MW_COL_TRUNC, 50 },
	{ "ok", "holds", MW_TYPE_BOOL, 0, 5 },
	{ "expected", "expected", MW_TYPE_COUNT, 0, 12 },
	{ "found", "found", MW_TYPE_COUNT, 0, 12 },
};

static void check_rows(struct mw_out *out, const struct mw_heap *heap, bool failed_only)
{
	for (size_t i = 0; i < heap->n_allocators; i++) {
		const struct mw_allocator *a = &heap->allocators[i];
		for (size_t k = 0; k < a->n_checks; k++) {
			const struct mw_check *c = &a->checks[k];
			struct mw_cell cells[] = { mw_cell_s(a->name), mw_cell_s(c->name),
						   mw_cell_u(c->ok),
						   mw_cell_u(c->expected),
						   mw_cell_u(c->found) };
			if (!failed_only || !c->ok)
				mw_out_row(out, cells, c->ok ? MW_PLAIN : MW_CHANGED);
		}
	}
}

static size_t count_checks(const struct mw_heap *heap, bool failed_only)
{
	size_t ret = 0;
	for (size_t i = 0; i < heap->n_allocators; i++)
		for (size_t k = 0; k < heap->allocators[i].n_checks; k++)
			ret += !failed_only || !heap->allocators[i].checks[k].ok;
	return ret;
}

static void checks_table(struct mw_out *out, const struct mw_heap *heap)
{
	begin(out, "checks", check_cols, N(check_cols), count_checks(heap, false));
	check_rows(out, heap, false);
	mw_out_table_end(out);
}

void mw_view_failed_checks(struct mw_out *out, const struct mw_heap *heap)
{
	struct mw_table table = { .key = "failed_checks",
				  .title = "checks that failed",
				  .cols = check_cols,
				  .n_cols = N(check_cols),
				  .n_rows = count_checks(heap, true),
				  .no_json = true };
	if (!table.n_rows)
		return;
	mw_out_table(out, &table);
	check_rows(out, heap, true);
	mw_out_table_end(out);
}

struct mw_err *mw_view_heap_table(struct mw_out *out, const struct mw_heap_answer *answer)
{
	switch (answer->table) {
	case MW_HEAP_SUMMARY:
		if (mw_out_is_text(out))
			allocators_table(out, answer->heap);
		else
			arenas_table(out, answer->heap);
		return NULL;
	case MW_HEAP_ARENAS:
		arenas_table(out, answer->heap);
		return NULL;
	case MW_HEAP_SIZES:
		sizes_table(out, answer->heap);
		return NULL;
	case MW_HEAP_THREADS:
		threads_table(out, answer);
		return NULL;
	case MW_HEAP_PINS:
		return pins_table(out, answer);
	case MW_HEAP_CHECKS:
		checks_table(out, answer->heap);
		return NULL;
	}
	return NULL;
}
