// SPDX-License-Identifier: MIT
/*
 * What a walked heap means, on a made-up process and made-up walks: the account must
 * conserve whatever a walk says, each rule speaks at its figure and is silent below, and
 * the view says nothing that was not walked.
 */
#include "image.h"

#include "out/out.h"
#include "view/heap/heap.h"

#include <jansson.h>

#define MIB UINT64_C(1048576)

enum { HEAP_PAGES = 1024, MAPPED_PAGES = 256 };
static const uint64_t HEAP = 0x500000000000, MAPPED = 0x7f0000000000;

/* A process with 4 MiB of [heap] and 1 MiB mapped, all resident and its own. */
struct world {
	struct image image;
	struct mw_heap_area areas[4];
	struct mw_allocator allocator;
	struct mw_heap_arena arenas[8];
	struct mw_heap_size sizes[2];
	struct mw_heap_pin pin;
	struct mw_check check;
	struct mw_heap heap;
	struct mw_explanation *ex;
};

static void put_pages(struct image *image, uint64_t start, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_put(image, start + i * IMAGE_PAGE, "x", 1);
}

static void world_init(struct world *w)
{
	struct mw_snapshot_opts opts = { .engine = MW_ENGINE_PAGES };
	*w = (struct world){ 0 };
	image_init(&w->image);
	image_map(&w->image, HEAP, HEAP_PAGES * IMAGE_PAGE, "rw-p", "[heap]");
	image_map(&w->image, MAPPED, MAPPED_PAGES * IMAGE_PAGE, "rw-p", "");
	put_pages(&w->image, HEAP, HEAP_PAGES);
	put_pages(&w->image, MAPPED, MAPPED_PAGES);
	assert_null(mw_snapshot_take(&w->image.src, IMAGE_PID, &opts, &w->image.snap));
	w->arenas[0] = (struct mw_heap_arena){
		.address = 0x1000, .name = "main", .main = true, .threads = 1
	};
	w->check = (struct mw_check){ "chunks sum to system_mem", true, 7, 7 };
	w->allocator = (struct mw_allocator){ .name = "glibc",
					      .version = "2.36",
					      .object = "/lib/libc.so.6",
					      .depth = MW_HEAP_WALKED,
					      .note = "",
					      .arenas = w->arenas,
					      .n_arenas = 1,
					      .sizes = w->sizes,
					      .checks = &w->check,
					      .n_checks = 1 };
	w->heap = (struct mw_heap){ .snap = w->image.snap,
				    .allocators = &w->allocator,
				    .n_allocators = 1,
				    .areas = w->areas,
				    .settled = true };
}

static void world_deinit(struct world *w)
{
	mw_explanation_free(w->ex);
	image_deinit(&w->image);
}

/* The whole of [heap] as one area. */
static void whole_heap(struct world *w, uint64_t live, uint64_t trimmable,
		       uint64_t pinned, uint64_t overhead)
{
	struct mw_heap_area *area = &w->areas[w->heap.n_areas++];
	*area = (struct mw_heap_area){
		.start = HEAP,
		.end = HEAP + HEAP_PAGES * IMAGE_PAGE,
		.kind = MW_AREA_MAIN,
		.split = true,
		.resident = { live, trimmable, pinned, 0, overhead, 0 },
		.exclusive = { live, trimmable, pinned, 0, overhead, 0 },
	};
	w->allocator.free.trimmable = trimmable;
	w->allocator.free.pinned = pinned;
	w->arenas[0].free.trimmable = trimmable;
	w->arenas[0].free.pinned = pinned;
	w->arenas[0].free.resident = trimmable + pinned;
	w->allocator.live.bytes = live;
}

static const struct mw_bucket *bucket(const struct world *w, const char *cause)
{
	static const struct mw_bucket none;
	for (size_t i = 0; i < w->ex->account.n_buckets; i++)
		if (!strcmp(w->ex->account.buckets[i].cause, cause))
			return &w->ex->account.buckets[i];
	return &none;
}

static void explain(struct world *w)
{
	assert_null(mw_explain(w->image.snap, &w->heap, &w->ex));
	uint64_t sum = w->ex->account.rest;
	for (size_t i = 0; i < w->ex->account.n_buckets; i++) {
		const struct mw_bucket *b = &w->ex->account.buckets[i];
		sum += b->bytes;
		assert_int_equal(b->private_bytes + b->shared_bytes, b->bytes);
	}
	assert_int_equal(sum, w->ex->account.rss);
	assert_int_equal(w->ex->account.rss, (HEAP_PAGES + MAPPED_PAGES) * IMAGE_PAGE);
}

static const struct mw_finding *finding(const struct world *w, const char *id)
{
	for (size_t i = 0; i < w->ex->n_findings; i++)
		if (!strcmp(w->ex->findings[i].id, id))
			return &w->ex->findings[i];
	return NULL;
}

#define RUN(test)                            \
	static void test(struct world *w);   \
	static void run_##test(void **state) \
	{                                    \
		struct world w;              \
		(void)state;                 \
		world_init(&w);              \
		test(&w);                    \
		world_deinit(&w);            \
	}                                    \
	static void test(struct world *w)

RUN(uses_become_buckets)
{
	whole_heap(w, MIB, MIB, MIB, MIB);
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, MIB);
	assert_int_equal(bucket(w, "heap-trimmable")->bytes, MIB);
	assert_int_equal(bucket(w, "heap-kept")->bytes, MIB);
	assert_int_equal(bucket(w, "heap-overhead")->bytes, MIB);
	assert_int_equal(bucket(w, "heap")->bytes, 0);
	assert_int_equal(bucket(w, "heap-live")->private_bytes, MIB);
}

/* Its pages changed after they were counted: nothing is moved. */
RUN(an_area_that_does_not_add_up_stays_whole)
{
	whole_heap(w, MIB, MIB, MIB, MIB - 4096);
	explain(w);
	assert_int_equal(bucket(w, "heap")->bytes, 4 * MIB);
	assert_int_equal(bucket(w, "heap-live")->bytes, 0);
}

RUN(sums_that_overflow_stay_whole)
{
	whole_heap(w, UINT64_MAX, 4 * MIB + 1, 0, 0);
	explain(w);
	assert_int_equal(bucket(w, "heap")->bytes, 4 * MIB);
}

/* Two walkers may both claim a hostile heap. */
RUN(overlapping_areas_count_once)
{
	whole_heap(w, 4 * MIB, 0, 0, 0);
	whole_heap(w, 4 * MIB, 0, 0, 0);
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, 4 * MIB);
}

RUN(an_area_beyond_the_heap_stays_whole)
{
	whole_heap(w, 4 * MIB, 0, 0, 0);
	w->areas[0].end += IMAGE_PAGE;
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, 0);
}

RUN(parts_of_a_region_are_counted)
{
	uint64_t half = HEAP_PAGES / 2 * IMAGE_PAGE;
	whole_heap(w, half, 0, 0, 0);
	w->areas[0].end = HEAP + half;
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, half);
	assert_int_equal(bucket(w, "heap")->bytes, half);
}

/* More private than resident: what a walk says of such an area is not believed. */
RUN(impossible_private_bytes_stay_whole)
{
	whole_heap(w, MIB, 3 * MIB, 0, 0);
	w->areas[0].exclusive[MW_USE_LIVE] = 3 * MIB;
	w->areas[0].exclusive[MW_USE_TRIMMABLE] = MIB;
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, 0);
	assert_int_equal(bucket(w, "heap")->bytes, 4 * MIB);
}

RUN(a_mapped_block_is_certain)
{
	w->areas[w->heap.n_areas++] = (struct mw_heap_area){
		.start = MAPPED,
		.end = MAPPED + MIB,
		.kind = MW_AREA_MMAPPED,
		.split = true,
		.resident = { MIB - 16, 0, 0, 0, 16, 0 },
		.exclusive = { MIB - 16, 0, 0, 0, 16, 0 },
	};
	explain(w);
	assert_int_equal(bucket(w, "heap-live")->bytes, MIB - 16);
	assert_int_equal(w->ex->account.rest, 0);
}

RUN(unknown_stays_in_the_heap)
{
	whole_heap(w, MIB, 0, 0, 0);
	w->areas[0].resident[MW_USE_UNKNOWN] = 3 * MIB;
	w->areas[0].exclusive[MW_USE_UNKNOWN] = 3 * MIB;
	explain(w);
	assert_int_equal(bucket(w, "heap")->bytes, 3 * MIB);
	assert_string_equal(bucket(w, "heap")->title, "heap, not told apart");
}

RUN(retention_is_the_headline)
{
	whole_heap(w, MIB / 2, MIB, 2 * MIB, MIB / 2);
	explain(w);
	assert_non_null(strstr(w->ex->headline, "3.00 MiB of it is freed heap that glibc "
						"keeps: retention, not a leak"));
}

RUN(no_retention_where_it_is_live)
{
	whole_heap(w, 3 * MIB, MIB, 0, 0);
	explain(w);
	assert_null(strstr(w->ex->headline, "retention"));
}

RUN(trimmable_speaks)
{
	whole_heap(w, 2 * MIB, 2 * MIB, 0, 0);
	explain(w);
	assert_int_equal(finding(w, "heap-trimmable")->bytes, 2 * MIB);
	assert_non_null(strstr(finding(w, "heap-trimmable")->claim, "2.00 MiB"));
	assert_null(finding(w, "heap-pinned"));
}

RUN(little_is_silent)
{
	whole_heap(w, 4 * MIB - 8192, 4096, 4096, 0);
	explain(w);
	assert_null(finding(w, "heap-trimmable"));
	assert_null(finding(w, "heap-pinned"));
	assert_null(finding(w, "heap-arenas"));
	assert_null(finding(w, "heap-leak-suspected"));
}

RUN(pinned_names_the_worst)
{
	whole_heap(w, 2 * MIB, 0, 2 * MIB, 0);
	w->pin = (struct mw_heap_pin){ .size = 40, .blocks = 1234, .bytes = 2 * MIB };
	w->arenas[0].pins = &w->pin;
	w->arenas[0].n_pins = 1;
	w->arenas[0].pinning = (struct mw_blocks){ 1300, 52000 };
	explain(w);
	const char *claim = finding(w, "heap-pinned")->claim;
	assert_non_null(
		strstr(claim, "1,300 live blocks of 50.8 KiB in all pin 2.00 MiB"));
	assert_non_null(strstr(claim, "under 1,234 blocks of 40 bytes"));
}

/* The cause, and not its symptoms once more. */
RUN(arenas_speak_for_their_pins)
{
	whole_heap(w, 2 * MIB, 0, 2 * MIB, 0);
	w->arenas[0].free = (struct mw_kept){ 0 };
	for (size_t i = 1; i < 5; i++)
		w->arenas[i] = (struct mw_heap_arena){
			.address = 0x1000 * (i + 1),
			.name = "thread",
			.free = { .bytes = MIB / 2,
				  .resident = MIB / 2,
				  .pinned = MIB / 2 },
			.pinning = { 10, 480 },
		};
	w->allocator.n_arenas = 5;
	explain(w);
	assert_non_null(
		strstr(finding(w, "heap-arenas")->claim,
		       "4 malloc arenas for 1 thread (4 of them used by no thread "
		       "now) keep 2.00 MiB"));
	assert_non_null(strstr(finding(w, "heap-arenas")->claim, "40 live blocks"));
	assert_null(finding(w, "heap-pinned"));
	assert_null(finding(w, "arenas"));
}

RUN(a_raised_threshold_is_the_cause)
{
	whole_heap(w, 2 * MIB, 2 * MIB, 0, 0);
	w->arenas[0].top = 2 * MIB;
	w->allocator.params = (struct mw_malloc_params){ .known = true,
							 .dynamic = true,
							 .mmap_threshold = 8 * MIB,
							 .trim_threshold = 16 * MIB };
	explain(w);
	assert_non_null(strstr(finding(w, "heap-mmap-threshold")->claim, "16.0 MiB"));
	assert_null(finding(w, "heap-trimmable"));
}

RUN(tops_and_caches)
{
	whole_heap(w, MIB, 0, 0, 0);
	w->areas[0].resident[MW_USE_UNTRIMMABLE] = 3 * MIB;
	w->areas[0].exclusive[MW_USE_UNTRIMMABLE] = 3 * MIB;
	w->arenas[1] = (struct mw_heap_arena){ .address = 0x2000,
					       .name = "thread",
					       .top = 2 * MIB,
					       .free = { .untrimmable = 2 * MIB } };
	w->allocator.n_arenas = 2;
	w->allocator.tcache = (struct mw_blocks){ 1000, MIB };
	explain(w);
	assert_int_equal(finding(w, "heap-thread-tops")->bytes, 2 * MIB);
	assert_int_equal(finding(w, "heap-tcache")->bytes, MIB);
	assert_int_equal(bucket(w, "heap-kept")->bytes, 3 * MIB);
}

RUN(python_keeps)
{
	whole_heap(w, MIB, 0, 3 * MIB, 0);
	w->allocator.name = "pymalloc";
	w->allocator.free.resident = 3 * MIB;
	explain(w);
	assert_int_equal(finding(w, "heap-python-kept")->bytes, 3 * MIB);
	assert_null(finding(w, "heap-pinned"));
}

RUN(python_keeps_what_is_not_known)
{
	whole_heap(w, MIB, 0, 3 * MIB, 0);
	w->allocator.name = "pymalloc";
	w->allocator.free.resident = UINT64_MAX;
	explain(w);
	assert_null(finding(w, "heap-python-kept"));
}

RUN(many_alike_are_suspected)
{
	whole_heap(w, 4 * MIB, 0, 0, 0);
	w->sizes[0] = (struct mw_heap_size){ 48, { 400000, 17 * MIB }, { 0, 0 } };
	w->sizes[1] = (struct mw_heap_size){ 64, { 10, 640 }, { 0, 0 } };
	w->allocator.n_sizes = 2;
	w->allocator.live.bytes = 17 * MIB + 640;
	explain(w);
	assert_non_null(strstr(finding(w, "heap-leak-suspected")->claim,
			       "400,000 live blocks of 48 bytes"));
	assert_int_equal(finding(w, "heap-leak-suspected")->confidence, MW_GUESS);
}

/* What failed is a limit with the figures, and nothing is certain any more. */
RUN(failed_checks_are_told)
{
	whole_heap(w, 2 * MIB, 2 * MIB, 0, 0);
	w->check = (struct mw_check){ "chunks sum to system_mem", false, 100, 90 };
	w->allocator.unknown = 10;
	w->heap.settled = false;
	explain(w);
	bool told = false;
	for (size_t i = 0; i < w->ex->n_gaps; i++)
		told |= strstr(w->ex->gaps[i].why, "expected 100, found 90") != NULL;
	assert_true(told);
	assert_int_equal(finding(w, "heap-trimmable")->confidence, MW_LIKELY);
}

/* --- the view --- */

static char *view(struct world *w, enum mw_format format, enum mw_heap_table table,
		  bool contents)
{
	struct mw_heap_answer answer = { .snap = w->image.snap,
					 .heap = &w->heap,
					 .table = table,
					 .contents = contents };
	struct mw_out_opts opts = { .format = format };
	struct mw_out *out;
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	assert_non_null(file);
	assert_null(mw_out_create(&opts, file, &out));
	assert_null(mw_view_heap(out, &answer));
	assert_null(mw_out_finish(out));
	fclose(file);
	return text;
}

static json_int_t number(const json_t *of, const char *object, const char *key)
{
	const json_t *value = json_object_get(of, object);
	value = key[0] ? json_object_get(value, key) : value;
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

RUN(json_is_nested)
{
	whole_heap(w, MIB, MIB, 2 * MIB, 0);
	w->pin = (struct mw_heap_pin){
		.size = 40, .blocks = 3, .bytes = 7, .head = "A\1"
	};
	w->arenas[0].pins = &w->pin;
	w->arenas[0].n_pins = 1;
	w->allocator.live.n = 5;
	char *text = view(w, MW_FORMAT_JSON, MW_HEAP_SUMMARY, true);
	json_t *all = json_loads(text, 0, NULL);
	assert_non_null(all);
	const json_t *a = json_array_get(json_object_get(all, "allocators"), 0);
	const json_t *arena = json_array_get(json_object_get(a, "arenas"), 0);
	assert_int_equal(number(a, "live", "blocks"), 5);
	assert_int_equal(number(a, "live", "bytes"), MIB);
	assert_int_equal(number(a, "free", "trimmable"), MIB);
	assert_int_equal(number(a, "overhead", ""), 0);
	assert_int_equal(number(arena, "free", "pinned"), 2 * MIB);
	const json_t *pin = json_array_get(json_object_get(arena, "pins"), 0);
	assert_memory_equal(json_string_value(json_object_get(pin, "contents")), "4101",
			    4);
	const json_t *check = json_array_get(json_object_get(a, "checks"), 0);
	assert_true(json_is_true(json_object_get(check, "ok")));
	json_decref(all);
	free(text);
}

RUN(contents_only_where_wanted)
{
	w->pin = (struct mw_heap_pin){ .size = 40, .blocks = 3, .head = "secret\033[m" };
	w->arenas[0].pins = &w->pin;
	w->arenas[0].n_pins = 1;
	for (unsigned format = MW_FORMAT_TEXT; format <= MW_FORMAT_CSV; format++) {
		char *text = view(w, format, MW_HEAP_PINS, false);
		assert_null(strstr(text, "secret"));
		assert_null(strstr(text, "736563"));
		free(text);
		text = view(w, format, MW_HEAP_PINS, true);
		assert_true(strstr(text, "secret") || strstr(text, "736563"));
		assert_null(strchr(text, '\033'));
		free(text);
	}
}

RUN(failing_checks_always_show)
{
	w->check = (struct mw_check){ "chunks sum to system_mem", false, 100, 90 };
	w->allocator.unknown = 10;
	w->heap.settled = false;
	for (unsigned table = MW_HEAP_SUMMARY; table <= MW_HEAP_CHECKS; table++) {
		char *text = view(w, MW_FORMAT_TEXT, table, true);
		assert_non_null(strstr(text, "chunks sum to system_mem"));
		assert_non_null(strstr(text, "1 of 1 checks failed"));
		assert_non_null(strstr(text, "10 B of it are unknown"));
		free(text);
	}
}

RUN(an_allocator_only_recognised_has_no_figures)
{
	w->allocator = (struct mw_allocator){ .name = "tcmalloc",
					      .version = "",
					      .object = "",
					      .note = "recognised by its library" };
	char *text = view(w, MW_FORMAT_TEXT, MW_HEAP_SUMMARY, true);
	assert_non_null(strstr(text, "has no heap that could be walked"));
	assert_non_null(strstr(text, "recognised by its library"));
	assert_null(strstr(text, "0 B"));
	free(text);
	w->heap.n_allocators = 0;
	text = view(w, MW_FORMAT_TEXT, MW_HEAP_SUMMARY, true);
	assert_non_null(strstr(text, "no allocator was found"));
	free(text);
}

RUN(rows_are_arenas)
{
	char *text = view(w, MW_FORMAT_NDJSON, MW_HEAP_SUMMARY, true);
	json_t *row = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(row, "address")), "0x1000");
	json_decref(row);
	free(text);
	text = view(w, MW_FORMAT_CSV, MW_HEAP_CHECKS, true);
	assert_non_null(strstr(text, "allocator,name,ok,expected,found"));
	free(text);
}

#define TEST(test) cmocka_unit_test(run_##test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(uses_become_buckets),
		TEST(an_area_that_does_not_add_up_stays_whole),
		TEST(sums_that_overflow_stay_whole),
		TEST(overlapping_areas_count_once),
		TEST(an_area_beyond_the_heap_stays_whole),
		TEST(parts_of_a_region_are_counted),
		TEST(impossible_private_bytes_stay_whole),
		TEST(a_mapped_block_is_certain),
		TEST(unknown_stays_in_the_heap),
		TEST(retention_is_the_headline),
		TEST(no_retention_where_it_is_live),
		TEST(trimmable_speaks),
		TEST(little_is_silent),
		TEST(pinned_names_the_worst),
		TEST(arenas_speak_for_their_pins),
		TEST(a_raised_threshold_is_the_cause),
		TEST(tops_and_caches),
		TEST(python_keeps),
		TEST(python_keeps_what_is_not_known),
		TEST(many_alike_are_suspected),
		TEST(failed_checks_are_told),
		TEST(json_is_nested),
		TEST(contents_only_where_wanted),
		TEST(failing_checks_always_show),
		TEST(an_allocator_only_recognised_has_no_figures),
		TEST(rows_are_arenas),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
