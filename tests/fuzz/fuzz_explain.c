// SPDX-License-Identifier: MIT
/*
 * The whole way from a source to an explanation, over a target that answers whatever
 * it likes: hostile mappings, page states, memory, objects, threads. What is said of it
 * must still be consistent: segments tile regions, accounts conserve; and what is
 * written is JSON that a parser takes, or text without a control character.
 *
 * An input: flags, the VmRSS in MiB, the text of maps (or smaps) up to a line "%%", and
 * bytes that are memory at every address, file at every offset and words of pagemap.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"
#include "procfs/pagebits.h"
#include "view/map.h"

#include <jansson.h>
#include <memwhy/explain.h>
#include <stdio.h>
#include <string.h>

enum { TARGET_PID = 4242, PAGE_LEN = 4096, MAX_INPUT = 64 * 1024 };

enum {
	FLAG_SMAPS = 1 << 0,   /* the text is smaps, and the engine reads it */
	FLAG_SCAN = 1 << 1,    /* the kernel has PAGEMAP_SCAN */
	FLAG_MEMORY = 1 << 2,  /* memory may be read */
	FLAG_FRAMES = 1 << 3,  /* frames and their counts too */
	FLAG_THREADS = 1 << 4, /* more than one */
	FLAG_PRESENT = 1 << 5, /* every page is present */
	FLAG_EXE = 1 << 6,     /* /proc/PID/exe is known */
	FLAG_LIVE = 1 << 7,
};

struct hostile {
	struct mw_source base;
	unsigned flags;
	unsigned rss_mib;
	const char *maps;
	size_t maps_len;
	const uint8_t *blob;
	size_t blob_len;
};

static struct hostile *hostile_of(struct mw_source *src)
{
	return (struct hostile *)src;
}

static struct mw_err *refuse(const char *what)
{
	return mw_err_new(MW_ERR_DENIED, 0, what, "%s: refused", what);
}

/* The blob over and over again, from any place in it. */
static void repeat_blob(const struct hostile *src, uint64_t at, void *bytes, size_t len)
{
	uint8_t *to = bytes;
	memset(to, 0, len);
	for (size_t i = 0; src->blob_len && i < len;) {
		size_t from = (size_t)((at + i) % src->blob_len);
		size_t n =
			src->blob_len - from < len - i ? src->blob_len - from : len - i;
		memcpy(to + i, src->blob + from, n);
		i += n;
	}
}

static uint64_t blob_word(const struct hostile *src, uint64_t at)
{
	uint64_t word;
	repeat_blob(src, at, &word, sizeof(word));
	return word;
}

static void hostile_close(struct mw_source *src)
{
	(void)src;
}

static struct mw_err *text_of(const struct hostile *src, pid_t tid, enum mw_file file,
			      struct mw_buf *out)
{
	bool ok;
	switch (file) {
	case MW_FILE_MAPS:
	case MW_FILE_SMAPS:
		ok = mw_buf_add(out, src->maps, src->maps_len);
		break;
	case MW_FILE_STATUS:
		ok = mw_buf_printf(out,
				   "Name:\tx\nUid:\t0\t0\t0\t0\nNSpid:\t%d\nVmSize:\t"
				   "%u kB\nVmRSS:\t%u kB\nRssAnon:\t0 kB\nVmPTE:\t4 kB\n"
				   "Threads:\t3\n",
				   TARGET_PID, src->rss_mib << 12, src->rss_mib << 10);
		break;
	case MW_FILE_STAT:
		ok = mw_buf_printf(out, "%d (x) S", tid ? tid : TARGET_PID);
		for (unsigned field = 4; ok && field <= 52; field++)
			ok = mw_buf_printf(
				out, " %llu",
				(unsigned long long)(field == 9 ? 0
								: blob_word(src, field)));
		break;
	case MW_FILE_AUXV:
		ok = mw_buf_add(out, src->blob, src->blob_len);
		break;
	case MW_FILE_COMM:
		ok = mw_buf_printf(out, "worker\n");
		break;
	default:
		return refuse(mw_file_name(file));
	}
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *hostile_text(struct mw_source *src, pid_t pid, pid_t tid,
				   enum mw_file file, struct mw_buf *out)
{
	(void)pid;
	return text_of(hostile_of(src), tid, file, out);
}

static struct mw_err *hostile_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	(void)pid;
	if (!(hostile_of(src)->flags & FLAG_EXE))
		return refuse("exe");
	return mw_buf_add(out, "/exe", 4) ? NULL : mw_err_nomem();
}

static struct mw_err *hostile_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	pid_t n = pid && hostile_of(src)->flags & FLAG_THREADS ? 3 : 1;
	for (pid_t i = 0; i < n; i++)
		if (!mw_vec_add(out, TARGET_PID + i))
			return mw_err_nomem();
	return NULL;
}

/* The first and the last pages of what is asked. */
static struct mw_err *hostile_scan(struct mw_source *src, pid_t pid, uint64_t start,
				   uint64_t end, struct mw_page_ranges *out)
{
	const struct hostile *hostile = hostile_of(src);
	uint64_t n_pages = (end - start) / PAGE_LEN, n = n_pages < 64 ? n_pages / 2 : 32;
	(void)pid;
	if (!(hostile->flags & FLAG_SCAN))
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "scan", "no PAGEMAP_SCAN");
	if (n == 0)
		return NULL;
	struct mw_page_range low = { start, start + n * PAGE_LEN,
				     blob_word(hostile, start / PAGE_LEN) & 0x1ff };
	struct mw_page_range high = { end - n * PAGE_LEN, end,
				      blob_word(hostile, end / PAGE_LEN) & 0x1ff };
	return mw_vec_add(out, low) && mw_vec_add(out, high) ? NULL : mw_err_nomem();
}

static struct mw_err *hostile_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				      size_t n_pages, uint64_t *ret)
{
	const struct hostile *hostile = hostile_of(src);
	(void)pid;
	for (size_t i = 0; i < n_pages; i++) {
		uint64_t word = blob_word(hostile, (addr / PAGE_LEN + i) * 8);
		if (hostile->flags & FLAG_PRESENT)
			word |= MW_PM_PRESENT;
		if (!(hostile->flags & FLAG_FRAMES))
			word &= ~MW_PM_PFN_MASK;
		ret[i] = word;
	}
	return NULL;
}

static struct mw_err *hostile_kpage(struct mw_source *src, enum mw_kpage which,
				    uint64_t pfn, size_t n, uint64_t *ret)
{
	if (!(hostile_of(src)->flags & FLAG_FRAMES))
		return refuse("kpagecount");
	for (size_t i = 0; i < n; i++)
		ret[i] = blob_word(hostile_of(src), (pfn + i) * 8 + which);
	return NULL;
}

static struct mw_err *hostile_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				     void *bytes, size_t len, enum mw_purpose purpose,
				     size_t *got)
{
	(void)pid;
	(void)purpose;
	if (!(hostile_of(src)->flags & FLAG_MEMORY))
		return refuse("mem");
	repeat_blob(hostile_of(src), addr, bytes, len);
	*got = len;
	return NULL;
}

static struct mw_err *hostile_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
					 uint64_t *ret)
{
	(void)pid;
	*ret = blob_word(hostile_of(src), addr) % (PAGE_LEN + 1);
	return NULL;
}

static struct mw_err *hostile_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
					  uint64_t *ret)
{
	(void)pid;
	*ret = blob_word(hostile_of(src), (uint64_t)tid * 8);
	return NULL;
}

static struct mw_err *hostile_object(struct mw_source *src, pid_t pid,
				     const struct mw_object *obj, uint64_t off,
				     void *bytes, size_t len, size_t *got)
{
	const struct hostile *hostile = hostile_of(src);
	size_t left = off < hostile->blob_len ? hostile->blob_len - (size_t)off : 0;
	(void)pid;
	(void)obj;
	*got = len < left ? len : left;
	memcpy(bytes, hostile->blob + hostile->blob_len - left, *got);
	return NULL;
}

static struct mw_err *hostile_probe(struct mw_source *src, enum mw_feature feature,
				    bool *ret)
{
	unsigned flags = hostile_of(src)->flags;
	*ret = feature == MW_FEATURE_PAGEMAP_SCAN ? flags & FLAG_SCAN
						  : flags & FLAG_FRAMES;
	return NULL;
}

static const struct mw_source_ops hostile_ops = {
	.name = "hostile",
	.close = hostile_close,
	.read_text = hostile_text,
	.read_exe = hostile_exe,
	.list = hostile_list,
	.scan = hostile_scan,
	.read_pagemap = hostile_pagemap,
	.read_kpage = hostile_kpage,
	.read_memory = hostile_memory,
	.zero_bytes = hostile_zero_bytes,
	.robust_list = hostile_robust_list,
	.read_object = hostile_object,
	.probe = hostile_probe,
};

/* Segments tile every region, in order. */
static void check_segments(const struct mw_snapshot *snap, const struct mw_layout *layout)
{
	size_t n_regions, n, at = 0;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n_regions);
	const struct mw_segment *segments = mw_layout_segments(layout, &n);
	for (size_t i = 0; i < n_regions; i++) {
		uint64_t reached = regions[i].start;
		while (at < n && segments[at].region == i) {
			FUZZ_CHECK(segments[at].start == reached);
			FUZZ_CHECK(segments[at].end > reached);
			FUZZ_CHECK(segments[at].class < MW_CLASS_COUNT);
			FUZZ_CHECK(segments[at].name && segments[at].evidence);
			reached = segments[at++].end;
		}
		FUZZ_CHECK(reached == regions[i].end);
	}
	FUZZ_CHECK(at == n);
}

/* Buckets and rest are Rss, and Rss is the sum over the regions. */
static void check_account(const struct mw_snapshot *snap,
			  const struct mw_account *account)
{
	const struct mw_counts *sum = &mw_snapshot_totals(snap)->sum;
	uint64_t total = account->rest;
	for (size_t i = 0; i < account->n_buckets; i++) {
		const struct mw_bucket *bucket = &account->buckets[i];
		total += bucket->bytes;
		FUZZ_CHECK(i == 0 || bucket->bytes <= account->buckets[i - 1].bytes);
		if (bucket->private_bytes != UINT64_MAX)
			FUZZ_CHECK(bucket->private_bytes + bucket->shared_bytes ==
				   bucket->bytes);
	}
	FUZZ_CHECK(total == account->rss);
	if (sum->have & MW_HAVE_RSS)
		FUZZ_CHECK(account->rss == sum->rss);
	/* What smaps says may be absurd; what is counted page by page may not. */
	if (mw_snapshot_totals(snap)->engine == MW_ENGINE_PAGES)
		FUZZ_CHECK(sum->uss <= sum->rss && sum->huge <= sum->rss);
}

/* What the answer to `memwhy PID` or to `memwhy map -a PID` is, as bytes. */
static char *answer(const struct mw_explanation *ex, bool map, enum mw_format format,
		    size_t *len)
{
	struct mw_out_opts opts = { .format = format, .width = format ? 0 : 100 };
	struct mw_map_opts map_opts = { .all = true };
	struct mw_map_rows rows = { 0 };
	struct mw_arena arena = { 0 };
	struct mw_view_stop stop = { 0 };
	char *text = NULL;
	FILE *file = open_memstream(&text, len);
	struct mw_out *out = NULL;
	mw_auto_err err = mw_out_create(&opts, file, &out);
	FUZZ_CHECK(!err);
	mw_auto_err err2 = NULL;
	if (map) {
		err2 = mw_map_rows_make(ex->snap, ex->layout, &map_opts, &arena, &rows);
		struct mw_map_answer shown = { .snap = ex->snap,
					       .layout = ex->layout,
					       .rows = &rows,
					       .opts = &map_opts };
		if (!err2)
			err2 = mw_view_map(out, &shown);
	} else {
		const struct mw_gap_list none = { 0 };
		err2 = mw_view_why(out, ex, &none, &stop, true);
	}
	mw_auto_err err3 = mw_out_finish(out);
	FUZZ_CHECK(!err2 && !err3);
	free(rows.items);
	mw_arena_deinit(&arena);
	fclose(file);
	return text;
}

/* Without a locale, nothing but printable ASCII and newlines. */
static void check_text(const struct mw_explanation *ex, bool map)
{
	size_t len;
	char *text = answer(ex, map, MW_FORMAT_TEXT, &len);
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	free(text);
}

/* The buckets and the rest of the answer, as a reader of it adds them up. */
static void check_sum(const json_t *root)
{
	const json_t *rss = json_object_get(root, "rss"), *row;
	json_int_t sum = json_integer_value(json_object_get(root, "rest"));
	size_t i;
	if (!json_is_integer(rss))
		return;
	json_array_foreach(json_object_get(root, "account"), i, row)
	{
		sum += json_integer_value(json_object_get(row, "bytes"));
	}
	FUZZ_CHECK(sum == json_integer_value(rss));
}

/* A number beyond 2^63, which only an absurd target has, is read as a real one. */
static void check_json(const struct mw_explanation *ex, bool map)
{
	size_t len;
	char *text = answer(ex, map, MW_FORMAT_JSON, &len);
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (root && !map)
		check_sum(root);
	if (!root)
		root = json_loadb(text, len,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	FUZZ_CHECK(root && json_string_value(json_object_get(root, "schema")));
	json_decref(root);
	free(text);
}

static void explain(struct hostile *src)
{
	struct mw_snapshot_opts opts = {
		.want = MW_WANT_PSS | MW_WANT_THREADS,
		.engine = src->flags & FLAG_SMAPS ? MW_ENGINE_SMAPS : MW_ENGINE_AUTO,
		.jobs = 1,
	};
	struct mw_snapshot *snap = NULL;
	struct mw_heap *heap = NULL;
	struct mw_explanation *ex = NULL;
	mw_auto_err err = mw_snapshot_take(&src->base, TARGET_PID, &opts, &snap);
	if (err)
		return;
	/* Whatever a walk makes of such memory, the account conserves. */
	const struct mw_heap_opts heap_opts = { .still = true };
	mw_auto_err unwalked = mw_heap_take(snap, &heap_opts, &heap);
	(void)unwalked;
	mw_auto_err again = mw_explain(snap, heap, &ex);
	FUZZ_CHECK(!again || again->code == MW_ERR_NOMEM);
	if (!again) {
		check_segments(snap, ex->layout);
		check_account(snap, &ex->account);
		FUZZ_CHECK(*ex->headline);
		for (int map = 0; map < 2; map++) {
			check_text(ex, map);
			check_json(ex, map);
		}
	}
	mw_explanation_free(ex);
	mw_heap_free(heap);
	mw_snapshot_free(snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len < 2 || len > MAX_INPUT)
		return 0;
	const uint8_t *text = bytes + 2, *end = bytes + len;
	const uint8_t *cut = memmem(text, len - 2, "%%\n", 3);
	struct hostile src = {
		.base = { .ops = &hostile_ops,
			  .facts = { .page_size = PAGE_LEN,
				     .clock_ticks = 100,
				     .booted_ns = UINT64_C(1700000000000000000),
				     .live = bytes[0] & FLAG_LIVE,
				     .release = "6.18.0" } },
		.flags = bytes[0],
		.rss_mib = bytes[1],
		.maps = (const char *)text,
		.maps_len = (size_t)((cut ? cut : end) - text),
		.blob = cut ? cut + 3 : end,
		.blob_len = cut ? (size_t)(end - cut - 3) : 0,
	};
	explain(&src);
	return 0;
}
