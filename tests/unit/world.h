/* SPDX-License-Identifier: MIT */
/*
 * An image (image.h) with what the classification of threads, stacks and objects asks
 * for besides memory: robust lists, the auxiliary vector, files that may not be read.
 */
#pragma once

#include "image.h"

static const uint64_t BASE = 0x7f0000000000;
static const uint64_t KIB = 1 << 10;
static const uint64_t MIB = 1 << 20;

/* An image with threads, a stack and objects that may be unreadable. */
struct world {
	struct image image;
	pid_t tids[4];
	uint64_t heads[4]; /* of robust lists */
	size_t n_tids;
	uint64_t start_stack, arg_start;
	uint64_t phdr, base; /* of the auxiliary vector */
	uint64_t guard;      /* one page under MADV_GUARD_INSTALL */
	bool unreadable;     /* the files behind mappings */
	const char *sp;      /* the syscall file of the last thread */
	const char *smaps;   /* text */
};

static struct mw_err *world_text(struct mw_source *src, pid_t pid, pid_t tid,
				 enum mw_file file, struct mw_buf *out)
{
	const struct world *world = (const struct world *)src;
	const uint64_t auxv[] = { AT_PHDR, world->phdr, AT_BASE, world->base, 0, 0 };
	bool ok = true;
	if (file == MW_FILE_COMM && tid)
		ok = mw_buf_printf(out, "worker-%d\n", tid);
	else if (file == MW_FILE_AUXV)
		ok = mw_buf_add(out, auxv, sizeof(auxv));
	else if (file == MW_FILE_SYSCALL && world->sp && tid)
		ok = mw_buf_printf(out, "%s", world->sp);
	else if (file == MW_FILE_SMAPS && world->smaps)
		ok = mw_buf_printf(out, "%s", world->smaps);
	else if (file == MW_FILE_STAT && !tid)
		ok = mw_buf_printf(out,
				   "%d (image) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 "
				   "20 0 1 0 77 4096 1 0 0 0 %llu 0 0 0 0 0 0 0 0 0 0 "
				   "0 0 0 0 0 0 0 0 0 %llu %llu 0 0 0\n",
				   IMAGE_PID, (unsigned long long)world->start_stack,
				   (unsigned long long)world->arg_start,
				   (unsigned long long)world->arg_start);
	else
		return image_text(src, pid, tid, file, out);
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *world_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	const struct world *world = (const struct world *)src;
	(void)pid;
	out->items = calloc(4, sizeof(*out->items));
	if (!out->items)
		return mw_err_nomem();
	memcpy(out->items, world->tids, sizeof(world->tids));
	out->n = world->n_tids;
	out->cap = 4;
	return NULL;
}

static struct mw_err *world_robust(struct mw_source *src, pid_t pid, pid_t tid,
				   uint64_t *ret)
{
	const struct world *world = (const struct world *)src;
	(void)pid;
	for (size_t i = 0; i < world->n_tids; i++)
		if (world->tids[i] == tid)
			*ret = world->heads[i];
	return NULL;
}

static struct mw_err *world_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret)
{
	const struct world *world = (const struct world *)src;
	struct mw_err *err = image_pagemap(src, pid, addr, n_pages, ret);
	for (size_t i = 0; i < n_pages && world->guard; i++)
		if (addr + i * IMAGE_PAGE == world->guard)
			ret[i] = UINT64_C(1) << 58;
	return err;
}

static struct mw_err *world_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got)
{
	if (((const struct world *)src)->unreadable)
		return mw_err_new(MW_ERR_DENIED, 0, obj->path, "not for you");
	return image_object(src, pid, obj, off, bytes, len, got);
}

static void world_init(struct world *world)
{
	static struct mw_source_ops ops;
	memset(world, 0, sizeof(*world));
	image_init(&world->image);
	ops = *world->image.src.ops;
	ops.read_text = world_text;
	ops.list = world_list;
	ops.robust_list = world_robust;
	ops.read_pagemap = world_pagemap;
	ops.read_object = world_object;
	world->image.src.ops = &ops;
	world->tids[0] = IMAGE_PID;
	world->n_tids = 1;
}

/* As image_classify(), with threads; every region must be tiled, every byte counted. */
static inline void world_classify(struct world *world, enum mw_engine engine)
{
	struct image *image = &world->image;
	struct mw_snapshot_opts opts = { .engine = engine, .want = MW_WANT_THREADS };
	struct mw_err *err =
		mw_snapshot_take(&image->src, IMAGE_PID, &opts, &image->snap);
	if (err)
		fail_msg("%s", err->msg);
	assert_null(mw_classify(image->snap, NULL, &image->layout));
	assert_int_equal(image->n_faults, 0);
	size_t n, n_regions, s = 0;
	const struct mw_segment *segs = mw_layout_segments(image->layout, &n);
	const struct mw_region *regions = mw_snapshot_regions(image->snap, &n_regions);
	for (size_t i = 0; i < n_regions; i++) {
		uint64_t pos = regions[i].start, rss = 0;
		for (; s < n && segs[s].region == i; s++) {
			assert_true(segs[s].start == pos && segs[s].end > pos);
			pos = segs[s].end;
			rss += segs[s].counts.rss;
		}
		assert_true(pos == regions[i].end);
		assert_true(rss == regions[i].counts.rss);
	}
	assert_int_equal(s, n);
}

#define TEST(test)                             \
	static void test(struct world *world); \
	static void run_##test(void **state)   \
	{                                      \
		(void)state;                   \
		struct world world;            \
		world_init(&world);            \
		test(&world);                  \
		image_deinit(&world.image);    \
	}                                      \
	static void test(struct world *world)

/* A mapping of a file, with offset and inode. */
static void map_file(struct world *world, uint64_t start, uint64_t len, const char *perms,
		     uint64_t offset, unsigned ino, const char *name)
{
	assert_true(mw_buf_printf(
		&world->image.maps, "%08llx-%08llx %s %08llx 08:01 %u %s\n",
		(unsigned long long)start, (unsigned long long)(start + len), perms,
		(unsigned long long)offset, ino, name));
}

static inline void touch(struct world *world, uint64_t addr)
{
	image_put(&world->image, addr, "x", 1);
}
