// SPDX-License-Identifier: MIT
/* The heap as JSON: nested, because arenas belong to an allocator and pins to an arena.
 */
#include "base/buf.h"
#include "view/heap/heap.h"

#include <inttypes.h>

void mw_view_blocks(struct mw_out *out, const char *key, struct mw_blocks blocks)
{
	mw_out_object(out, key);
	mw_out_field(out, "blocks", MW_TYPE_COUNT, mw_cell_u(blocks.n));
	mw_out_field(out, "bytes", MW_TYPE_BYTES, mw_cell_u(blocks.bytes));
	mw_out_object_end(out);
}

static void bytes_field(struct mw_out *out, const char *key, uint64_t bytes)
{
	mw_out_field(out, key, MW_TYPE_BYTES, mw_cell_u(bytes));
}

/* UINT64_MAX: what was resident is not known. */
static void resident_field(struct mw_out *out, const char *key, uint64_t bytes)
{
	mw_out_field(out, key, MW_TYPE_BYTES, mw_cell_if(bytes != UINT64_MAX, bytes));
}

static void kept_object(struct mw_out *out, const struct mw_kept *kept)
{
	mw_out_object(out, "free");
	bytes_field(out, "bytes", kept->bytes);
	resident_field(out, "resident", kept->resident);
	resident_field(out, "trimmable", kept->trimmable);
	resident_field(out, "pinned", kept->pinned);
	resident_field(out, "untrimmable", kept->untrimmable);
	mw_out_object_end(out);
}

bool mw_view_hex(struct mw_buf *text, const unsigned char *bytes, size_t n)
{
	bool ok = true;
	for (size_t i = 0; ok && i < n; i++)
		ok = mw_buf_printf(text, "%02x", bytes[i]);
	return ok;
}

static struct mw_err *pins_list(struct mw_out *out, const struct mw_heap_arena *arena,
				bool contents)
{
	mw_out_list(out, "pins");
	for (size_t i = 0; i < arena->n_pins; i++) {
		const struct mw_heap_pin *pin = &arena->pins[i];
		mw_auto_buf hex = { 0 };
		mw_out_object(out, NULL);
		bytes_field(out, "size", pin->size);
		mw_out_field(out, "blocks", MW_TYPE_COUNT, mw_cell_u(pin->blocks));
		bytes_field(out, "bytes", pin->bytes);
		mw_out_field(out, "sample", MW_TYPE_ADDR, mw_cell_u(pin->sample));
		if (contents && !mw_view_hex(&hex, pin->head, sizeof(pin->head)))
			return mw_err_nomem();
		mw_out_field(out, "contents", MW_TYPE_TEXT,
			     contents ? mw_cell_s(mw_buf_str(&hex)) : mw_cell_null());
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
	return NULL;
}

static struct mw_err *arena_object(struct mw_out *out, const struct mw_heap_arena *a,
				   bool contents)
{
	mw_out_object(out, NULL);
	mw_out_field(out, "address", MW_TYPE_ADDR, mw_cell_u(a->address));
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(a->name));
	mw_out_field(out, "main", MW_TYPE_BOOL, mw_cell_u(a->main));
	mw_out_field(out, "locked", MW_TYPE_BOOL, mw_cell_u(a->locked));
	mw_out_field(out, "threads", MW_TYPE_COUNT, mw_cell_u(a->threads));
	mw_out_field(out, "heaps", MW_TYPE_COUNT, mw_cell_u(a->heaps));
	bytes_field(out, "system", a->system);
	mw_view_blocks(out, "live", a->live);
	mw_view_blocks(out, "tcache", a->tcache);
	mw_view_blocks(out, "fast", a->fast);
	mw_view_blocks(out, "bins", a->bins);
	bytes_field(out, "top", a->top);
	bytes_field(out, "overhead", a->overhead);
	bytes_field(out, "unknown", a->unknown);
	kept_object(out, &a->free);
	mw_view_blocks(out, "pinning", a->pinning);
	struct mw_err *err = pins_list(out, a, contents);
	mw_out_object_end(out);
	return err;
}

static void sizes_list(struct mw_out *out, const struct mw_allocator *a)
{
	mw_out_list(out, "sizes");
	for (size_t i = 0; i < a->n_sizes; i++) {
		mw_out_object(out, NULL);
		bytes_field(out, "size", a->sizes[i].size);
		mw_view_blocks(out, "live", a->sizes[i].live);
		mw_view_blocks(out, "kept", a->sizes[i].kept);
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
}

static void threads_list(struct mw_out *out, const struct mw_allocator *a)
{
	mw_out_list(out, "threads");
	for (size_t i = 0; i < a->n_threads; i++) {
		const struct mw_heap_thread *t = &a->threads[i];
		mw_out_object(out, NULL);
		mw_out_field(out, "tid", MW_TYPE_COUNT,
			     mw_cell_if(t->tid > 0, (uint64_t)t->tid));
		mw_out_field(out, "arena", MW_TYPE_ADDR,
			     mw_cell_if(t->arena != 0, t->arena));
		mw_out_field(out, "tcache", MW_TYPE_ADDR,
			     mw_cell_if(t->tcache != 0, t->tcache));
		mw_view_blocks(out, "cached", t->cached);
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
}

static void checks_list(struct mw_out *out, const struct mw_allocator *a)
{
	mw_out_list(out, "checks");
	for (size_t i = 0; i < a->n_checks; i++) {
		const struct mw_check *c = &a->checks[i];
		mw_out_object(out, NULL);
		mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(c->name));
		mw_out_field(out, "ok", MW_TYPE_BOOL, mw_cell_u(c->ok));
		mw_out_field(out, "expected", MW_TYPE_COUNT, mw_cell_u(c->expected));
		mw_out_field(out, "found", MW_TYPE_COUNT, mw_cell_u(c->found));
		mw_out_object_end(out);
	}
	mw_out_list_end(out);
}

static void params_object(struct mw_out *out, const struct mw_malloc_params *p)
{
	if (!p->known) {
		mw_out_field(out, "params", MW_TYPE_TEXT, mw_cell_null());
		return;
	}
	mw_out_object(out, "params");
	bytes_field(out, "trim_threshold", p->trim_threshold);
	bytes_field(out, "top_pad", p->top_pad);
	bytes_field(out, "mmap_threshold", p->mmap_threshold);
	mw_out_field(out, "dynamic", MW_TYPE_BOOL, mw_cell_u(p->dynamic));
	mw_out_field(out, "arena_max", MW_TYPE_COUNT, mw_cell_u(p->arena_max));
	bytes_field(out, "hp_pagesize", p->hp_pagesize);
	bytes_field(out, "thp_pagesize", p->thp_pagesize);
	mw_out_field(out, "tcache_count", MW_TYPE_COUNT, mw_cell_u(p->tcache_count));
	bytes_field(out, "tcache_max", p->tcache_max_bytes);
	mw_out_object_end(out);
}

static struct mw_err *allocator_object(struct mw_out *out, const struct mw_allocator *a,
				       bool contents)
{
	struct mw_err *err = NULL;
	mw_out_object(out, NULL);
	mw_out_field(out, "name", MW_TYPE_TEXT, mw_cell_s(a->name));
	mw_out_field(out, "version", MW_TYPE_TEXT, mw_cell_s(a->version));
	mw_out_field(out, "object", MW_TYPE_TEXT, mw_cell_s(a->object));
	mw_out_field(out, "depth", MW_TYPE_TEXT, mw_cell_s(mw_depth_name(a->depth)));
	mw_out_field(out, "note", MW_TYPE_TEXT, mw_cell_s(a->note));
	mw_out_field(out, "nested", MW_TYPE_BOOL, mw_cell_u(a->nested));
	bytes_field(out, "system", a->system);
	mw_out_list(out, "arenas");
	for (size_t i = 0; !err && i < a->n_arenas; i++)
		err = arena_object(out, &a->arenas[i], contents);
	mw_out_list_end(out);
	mw_view_blocks(out, "live", a->live);
	kept_object(out, &a->free);
	mw_view_blocks(out, "tcache", a->tcache);
	mw_view_blocks(out, "mmapped", a->mmapped);
	bytes_field(out, "overhead", a->overhead);
	bytes_field(out, "unknown", a->unknown);
	checks_list(out, a);
	sizes_list(out, a);
	threads_list(out, a);
	params_object(out, &a->params);
	mw_out_object_end(out);
	return err;
}

struct mw_err *mw_view_allocators(struct mw_out *out, const struct mw_heap_answer *answer)
{
	struct mw_err *err = NULL;
	mw_out_list(out, "allocators");
	for (size_t i = 0; !err && i < answer->heap->n_allocators; i++)
		err = allocator_object(out, &answer->heap->allocators[i],
				       answer->contents);
	mw_out_list_end(out);
	return err;
}
