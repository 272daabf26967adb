// SPDX-License-Identifier: MIT
/* Every probe and constant: known, unknown and why, and after the process went on. */
#include "lab_world.h"

#include <inttypes.h>
#include <unistd.h>

static struct mw_err *name_of(const struct mw_scope *scope, const char *name,
			      struct mw_value *ret)
{
	struct lab_world *w = scope->ctx;
	return mw_lab_constant(&w->src, scope->arena, name, ret);
}

static struct mw_err *call_of(const struct mw_scope *scope, const char *process,
			      const char *func, const struct mw_value *args, size_t n,
			      struct mw_value *ret)
{
	const struct lab_world *w = scope->ctx;
	return mw_probe(w->seen, scope->arena, process, func, args, n, ret);
}

static void ok(struct mw_err *err)
{
	if (err)
		fail_msg("%s", err->msg);
}

static void look(struct lab_world *w)
{
	static struct mw_lab_process items[] = {
		{ "", PROGRAM },    { "child", CHILD },   { "pair", CHILD },
		{ "pair", NOBODY }, { "pair", OTHER },    { "gone", NOBODY },
		{ "gone", ZOMBIE }, { "denied", DENIED },
	};
	const struct mw_lab_processes all = { items, 8, 8 };
	mw_observation_free(w->seen);
	w->seen = NULL;
	ok(mw_observe(&w->src, &all, &w->seen));
}

static struct mw_value worth(struct lab_world *w, const char *text)
{
	const struct mw_scope scope = { w, &w->arena, name_of, call_of, NULL };
	const struct mw_expr *expr;
	struct mw_value ret;
	ok(mw_expr_parse(&w->arena, text, &expr));
	ok(mw_expr_eval(expr, &scope, &ret));
	return ret;
}

static void is(struct lab_world *w, const char *text, int64_t number)
{
	struct mw_value v = worth(w, text);
	if (v.kind != MW_VALUE_NUMBER || v.number != number)
		fail_msg("%s is %" PRId64 " %s, not %" PRId64, text, v.number,
			 v.text ? v.text : "", number);
}

static void says(struct lab_world *w, const char *text, const char *what)
{
	struct mw_value v = worth(w, text);
	if (v.kind != MW_VALUE_TEXT || strcmp(v.text, what) != 0)
		fail_msg("%s is %" PRId64 " %s, not \"%s\"", text, v.number,
			 v.text ? v.text : "", what);
}

/* Unknown, and `why` is part of the reason. */
static void unknown(struct lab_world *w, const char *text, const char *why)
{
	struct mw_value v = worth(w, text);
	if (v.kind != MW_VALUE_UNKNOWN || !strstr(v.text, why))
		fail_msg("%s is %" PRId64 " %s, not unknown for %s", text, v.number,
			 v.text ? v.text : "", why);
}

static void constants(void **state)
{
	struct lab_world *w = *state;
	is(w, "page", PAGE);
	is(w, "KiB", 1024);
	is(w, "MiB", 1 << 20);
	is(w, "GiB", 1 << 30);
	is(w, "levels", 4);
	is(w, "aslr", 2);
	is(w, "min_addr", 65536);
	is(w, "thp_size", 2 << 20);
	is(w, "cpus", 2);
	is(w, "frames", 1);
	is(w, "root", geteuid() == 0);
	says(w, "thp", "madvise");
	unknown(w, "mmap_rnd_bits", "only root");
	unknown(w, "nothing", "nothing is named nothing");
	w->no_thp = true;
	says(w, "thp", "never");
	unknown(w, "thp_size", "not made");
	w->hidden = true;
	is(w, "frames", 0);
	assert_true(mw_lab_constant_exists("mmap_rnd_bits"));
	assert_false(mw_lab_constant_exists("mmap_rnd"));
}

static void names_of_probes(void **state)
{
	static const char *const of_none[] = {
		"rss",        "anon",        "file",      "shmem",     "private",
		"pss",        "swap",        "zero",      "counter",   "size",
		"regions",    "classes",     "minflt",    "majflt",    "threads",
		"pagetables", "count",       "heap_live", "heap_free", "heap_kept",
		"heap_size",  "heap_blocks", "text_size", "data_size", "bss_size",
	};
	static const char *const of_one[] = {
		"mapped",   "start",   "end",  "size",    "perms",   "class",
		"title",    "name",    "rss",  "anon",    "file",    "shmem",
		"huge",     "private", "pss",  "swap",    "present", "frame",
		"mapcount", "word",    "zero", "machine", "vmstat",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(of_none) / sizeof(*of_none); i++)
		assert_true(mw_probe_exists(of_none[i], 0));
	for (size_t i = 0; i < sizeof(of_one) / sizeof(*of_one); i++)
		assert_true(mw_probe_exists(of_one[i], 1));
	assert_true(mw_probe_exists("rss", 2) && mw_probe_exists("index", 2));
	assert_false(mw_probe_exists("rss", 3) || mw_probe_exists("mapped", 0) ||
		     mw_probe_exists("count", 1) || mw_probe_exists("rs", 0));
}

static void mappings(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "mapped(0x10000fff)", 1);
	is(w, "mapped(0x1000a000)", 0);
	is(w, "start(0x10003123)", 0x10000000);
	is(w, "end(0x10003123)", 0x10008000);
	is(w, "size(0x10003123)", 8 * PAGE);
	says(w, "perms(0x400000)", "r-xp");
	says(w, "perms(0x20000000)", "rw-s");
	says(w, "name(0x500000)", "[heap]");
	says(w, "name(0x20003fff)", "/memfd:x (deleted)");
	says(w, "class(0x500000)", "heap.brk");
	says(w, "title(0x500000)", "heap (brk)");
	says(w, "class(0x20000000)", "shm.memfd");
	/* Nothing there: known, and none. */
	is(w, "start(0x1000a000)", 0);
	is(w, "end(0x1000a000)", 0);
	is(w, "size(0x1000a000)", 0);
	says(w, "perms(0x1000a000)", "");
	says(w, "name(0x1000a000)", "");
	says(w, "class(0x1000a000)", "");
	says(w, "title(0x1000a000)", "");
}

static void pages_of_a_mapping(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "rss(0x10000000)", 3 * PAGE);
	is(w, "anon(0x10000000)", 3 * PAGE);
	is(w, "private(0x10000000)", 2 * PAGE);
	is(w, "pss(0x10000000)", 2 * PAGE + PAGE / 2);
	is(w, "swap(0x10000000)", PAGE);
	is(w, "zero(0x10000000)", PAGE);
	is(w, "huge(0x10000000)", 0);
	is(w, "file(0x400000)", 3 * PAGE);
	is(w, "shmem(0x400000)", 0);
	is(w, "shmem(0x20000000)", 2 * PAGE);
	is(w, "file(0x20000000)", 0);
	is(w, "pss(0x20000000)", PAGE + (PAGE + 1) / 3);
	is(w, "huge(0x40000000)", 2 << 20);
	is(w, "rss(0x50000000)", 0);
	is(w, "rss(0x1000a000)", 0);
}

static void pages_of_a_range(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "rss(0x10000000, 4096)", PAGE);
	is(w, "rss(0x10000fff, 1)", PAGE);
	is(w, "rss(0x10000fff, 2)", 2 * PAGE); /* rounded to pages */
	is(w, "rss(0x10000000, 0)", 0);
	is(w, "pss(0x10001000, 4096)", PAGE / 2);
	is(w, "zero(0x10001000, 4096)", 0);
	is(w, "zero(0x10002000, 4096)", PAGE);
	is(w, "swap(0x10003000, 8192)", PAGE);
	/* Across two mappings, and over what is not mapped. */
	is(w, "rss(0x10005000, 0x100000)", 2 * PAGE);
	is(w, "rss(0x10, 0x1000000)", 5 * PAGE);
	is(w, "huge(0x40000000, 0x100000)", 1 << 20);
	is(w, "rss(0x1000a000, 4096)", 0);
	unknown(w, "rss(0x10000000, 0 - 1)", "negative");
	unknown(w, "zero(0x10000000, 0 - 1)", "negative");
}

static void one_page(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "present(0x10000000)", 1);
	is(w, "present(0x10002000)", 1); /* the zero page */
	is(w, "present(0x10003000)", 0);
	is(w, "present(0x10004000)", 0); /* swapped */
	is(w, "present(0x1000a000)", 0);
	is(w, "frame(0x10000abc)", 0x10000);
	is(w, "frame(0x10002000)", 9);
	is(w, "frame(0x10004000)", 0);
	is(w, "frame(0x1000a000)", 0);
	is(w, "mapcount(0x10000000)", 1);
	is(w, "mapcount(0x10001000)", 2);
	is(w, "mapcount(0x400000)", 3);
	is(w, "mapcount(0x10003000)", 0);
	is(w, "word(0x10000010)", 0x1716151413121110);
	is(w, "word(0x10001ffc)", INT64_C(0x03020100fffefdfc));
	unknown(w, "word(0x10002ffc)", "not present"); /* into the next page */
	unknown(w, "word(0x10004000)", "not present");
	unknown(w, "word(0x1000a000)", "not present");
}

static void indexes(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "index(0, 0x7fffffffe123)", 255);
	is(w, "index(1, 0x7fffffffe123)", 511);
	is(w, "index(2, 0x7fffffffe123)", 511);
	is(w, "index(3, 0x7fffffffe123)", 510);
	unknown(w, "index(4, 0x1000)", "levels 0 to 3");
	unknown(w, "index(0 - 1, 0x1000)", "levels 0 to 3");
}

static void whole_process(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "rss()", (3 + 2 + 3 + 1 + 2 + 512 + 2) * PAGE);
	is(w, "anon()", (2 + 3 + 1 + 512 + 2) * PAGE);
	is(w, "file()", 3 * PAGE);
	is(w, "shmem()", 2 * PAGE);
	is(w, "private()", (1 + 2 + 2 + 1 + 1 + 512 + 2) * PAGE);
	is(w, "swap()", PAGE);
	is(w, "zero()", 3 * PAGE);
	is(w, "huge()", 512 * PAGE);
	is(w, "pss()", (1 + 2 + 2 + 1 + 1 + 512 + 2) * PAGE + PAGE / 2 + PAGE);
	is(w, "counter()", 600 * PAGE);
	is(w, "size()", (4 + 33 + 8 + 2 + 4 + 2 + 1024 + 1 + 4) * PAGE);
	is(w, "regions()", N_LAB_MAPPINGS);
	is(w, "minflt()", 1100);
	is(w, "majflt()", 0);
	is(w, "threads()", 1);
	is(w, "pagetables()", 40 << 10);
	is(w, "count()", 1);
	is(w, "text_size()", 130);
	is(w, "data_size()", 40);
	is(w, "bss_size()", 24);
	is(w, "machine(\"MemAvailable\")", 5000 << 10);
	is(w, "machine(\"HugePages_Total\")", 3);
	is(w, "vmstat(\"pgfault\")", 123456);
	unknown(w, "machine(\"Mem\")", "meminfo has no Mem");
	unknown(w, "machine(5)", "takes a text");
	unknown(w, "rss(\"a\")", "takes a number");
	unknown(w, "rss(mmap_rnd_bits)", "only root");
	unknown(w, "rss(1, 2, 3)", "no probe rss() with 3 arguments");
}

/* Distinct ones of: file, heap, three kinds of nothing in particular, memfd, vsyscall. */
static void classes(void **state)
{
	struct lab_world *w = *state;
	look(w);
	struct mw_value n = worth(w, "classes()");
	assert_int_equal(n.kind, MW_VALUE_NUMBER);
	assert_true(n.number >= 5 && n.number < N_LAB_MAPPINGS);
}

static void groups(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "child.minflt()", 1101);
	is(w, "child.threads()", 2);
	/* Of three processes under the name one is not there. */
	is(w, "pair.count()", 2);
	is(w, "pair.minflt()", 1101 + 1102);
	is(w, "pair.majflt()", 1 + 2);
	is(w, "pair.rss(0x10000000, 4096)", 2 * PAGE);
	is(w, "pair.regions()", 2 * N_LAB_MAPPINGS);
	is(w, "pair.size() - 2 * size()", 0);
	/* What is no sum is of the first. */
	is(w, "pair.size(0x10000000)", 8 * PAGE);
	is(w, "pair.frame(0x10000000)", 0x10000);
	says(w, "pair.perms(0x400000)", "r-xp");
}

static void not_there(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "gone.count()", 0);
	is(w, "nobody.count()", 0);
	unknown(w, "gone.rss()", "gone (105) has ended");
	unknown(w, "gone.minflt()", "has ended");
	unknown(w, "nobody.rss()", "no such process");
	unknown(w, "nobody.mapped(1)", "no such process");
}

static void may_not_be_read(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "denied.count()", 1);
	is(w, "denied.minflt()", 1104);
	is(w, "denied.counter()", 604 * PAGE);
	unknown(w, "denied.rss()", "not for you");
	unknown(w, "denied.mapped(0x10000000)", "not for you");
	unknown(w, "denied.regions()", "not for you");
	unknown(w, "denied.classes()", "not for you");
	unknown(w, "denied.heap_live()", "not for you");
	unknown(w, "denied.text_size()", "not for you");
	w->unreadable = true;
	unknown(w, "bss_size()", "file: not for you");
}

static void frames_hidden(void **state)
{
	struct lab_world *w = *state;
	w->hidden = true;
	look(w);
	is(w, "rss(0x10000000)", 3 * PAGE);
	is(w, "private(0x10000000)", 2 * PAGE);
	is(w, "zero(0x10000000)", PAGE);
	is(w, "pss()", 777 << 10);            /* smaps_rollup */
	is(w, "pss(0x10005000, 4096)", PAGE); /* of this process alone */
	unknown(w, "pss(0x10000000)", "frames");
	unknown(w, "frame(0x10000000)", "hidden");
	unknown(w, "mapcount(0x10001000)", "hidden");
	is(w, "mapcount(0x10000000)", 1);
	is(w, "frame(0x10003000)", 0);
}

/* Linux 6.1 as root, and not. */
static void without_scan(void **state)
{
	struct lab_world *w = *state;
	w->no_scan = true;
	look(w);
	is(w, "zero(0x60000000)", PAGE);
	is(w, "present(0x60001000)", 1);
	is(w, "rss(0x60001000, 8192)", 0);
	/* One present page too many, and two that may be the zero page. */
	unknown(w, "zero(0x10000000)", "PAGEMAP_SCAN");
	unknown(w, "present(0x10000000)", "told apart");
	unknown(w, "rss(0x10000000, 4096)", "told apart");
	is(w, "rss(0x10000000)", 3 * PAGE);
	is(w, "zero(0x30000000)", PAGE); /* no Rss: the page map is asked */
	is(w, "present(0x30000000)", 1);
	is(w, "present(0x30001000)", 0);
	is(w, "rss(0x30000000)", 0);
	is(w, "huge(0x40000000)", 2 << 20);
	is(w, "huge(0x60000000, 4096)", 0);
	unknown(w, "huge(0x40000000, 0x100000)", "told apart");
	mw_observation_close(w->seen);
	unknown(w, "zero(0x30000000)", "PAGEMAP_SCAN");
	unknown(w, "present(0x30000000)", "told apart");
	w->hidden = true;
	look(w);
	is(w, "zero(0x60000000)", PAGE);
	is(w, "zero(0x30000000)", PAGE);
}

static void without_pagemap(void **state)
{
	struct lab_world *w = *state;
	w->no_pagemap = true;
	look(w);
	is(w, "rss(0x10000000)", 3 * PAGE); /* smaps */
	unknown(w, "rss(0x10000000, 4096)", "told apart");
	unknown(w, "present(0x10000000)", "told apart");
	unknown(w, "zero(0x10000000)", "PAGEMAP_SCAN");
	unknown(w, "frame(0x10000000)", "pagemap: not for you");
	unknown(w, "word(0x10000000)", "not present");
}

static void afterwards(void **state)
{
	struct lab_world *w = *state;
	look(w);
	is(w, "frame(0x10000000)", 0x10000);
	is(w, "word(0x10000010)", 0x1716151413121110);
	is(w, "bss_size()", 24);
	mw_observation_close(w->seen);
	unsigned n_reads = w->n_reads;
	/* What was read is known, and all that the snapshot holds. */
	is(w, "frame(0x10000000)", 0x10000);
	is(w, "word(0x10000010)", 0x1716151413121110);
	is(w, "bss_size()", 24);
	is(w, "rss(0x10000000)", 3 * PAGE);
	is(w, "present(0x10002000)", 1);
	is(w, "zero(0x10000000)", PAGE);
	is(w, "mapcount(0x10000000)", 1);
	is(w, "machine(\"MemAvailable\")", 5000 << 10);
	says(w, "class(0x500000)", "heap.brk");
	says(w, "child.class(0x500000)", "heap.brk");
	is(w, "index(3, 0x7fffffffe123)", 510);
	/* What was not, is not. */
	unknown(w, "frame(0x10001000)", "before the process went on");
	unknown(w, "mapcount(0x10001000)", "before the process went on");
	unknown(w, "child.frame(0x10000000)", "before the process went on");
	unknown(w, "word(0x10000000)", "before the process went on");
	unknown(w, "heap_live()", "before the process went on");
	unknown(w, "child.bss_size()", "before the process went on");
	assert_int_equal(w->n_reads, n_reads);
}

/* The brk heap is there, and nobody's: no allocator's structures are in it. */
static void heap_of_nobody(void **state)
{
	struct lab_world *w = *state;
	look(w);
	unknown(w, "heap_live()", "not recognised");
	unknown(w, "heap_blocks()", "not recognised");
	unknown(w, "heap_free()", "not recognised");
	unknown(w, "heap_kept()", "not recognised");
	unknown(w, "heap_size()", "not recognised");
}

/* A recorded process with its heap: what `memwhy heap` says of it, golden/expected. */
static void heap_of_a_recording(void **state)
{
	struct lab_world *w = *state;
	struct mw_lab_process item = { "", 0 };
	const struct mw_lab_processes all = { &item, 1, 1 };
	struct mw_source *tree;
	struct mw_ids ids = { 0 };
	ok(mw_source_open_tree(MW_TREES "/keeper", &tree));
	ok(mw_source_list(tree, 0, &ids));
	item.pid = ids.items[ids.n - 1];
	ok(mw_observe(tree, &all, &w->seen));
	is(w, "heap_live()", 541848);
	is(w, "heap_blocks()", 96);
	is(w, "heap_free()", 517040);
	is(w, "heap_kept()", 271248);
	is(w, "heap_size()", 1069056);
	mw_observation_close(w->seen);
	is(w, "heap_live()", 541848);
	mw_observation_free(w->seen);
	w->seen = NULL;
	mw_vec_deinit(&ids);
	mw_source_close(tree);
}

static struct mw_lab_seen watched(struct lab_world *w, const char *process, uint64_t addr,
				  uint64_t len, pid_t pid)
{
	struct mw_lab_seen ret;
	pid_t found;
	ok(mw_lab_look(w->seen, &w->arena, process, addr, len, &found, &ret));
	assert_int_equal(found, pid);
	return ret;
}

static void watching(void **state)
{
	struct lab_world *w = *state;
	look(w);
	struct mw_lab_seen a = watched(w, "", 0x10000000, 0, PROGRAM);
	assert_true(a.mapped && a.start == 0x10000000 && a.end == 0x10008000);
	assert_string_equal(a.perms, "rw-p");
	assert_string_equal(a.class, "unknown");
	assert_string_equal(a.title, "unknown");
	assert_string_equal(a.pages, "#sz.w#..");
	assert_true(a.rss == 3 * PAGE && a.len == 8 * PAGE);
	/* A part, and over its end. */
	a = watched(w, "child", 0x10001800, 1, CHILD);
	assert_string_equal(a.pages, "s");
	a = watched(w, "pair", 0x10005000, 6 * PAGE, CHILD);
	assert_string_equal(a.pages, "#..#..");
	assert_true(a.rss == 2 * PAGE && a.len == 6 * PAGE);
	a = watched(w, "", 0x400000, 0, PROGRAM);
	assert_string_equal(a.pages, "s#.s");
	a = watched(w, "", 0x40000000, 0, PROGRAM);
	assert_int_equal(strlen(a.pages), 64);
	assert_true(a.len == 1024 * PAGE);
	/* Nothing there, nobody there. */
	a = watched(w, "", 0x1000a000, 2 * PAGE, PROGRAM);
	assert_true(!a.mapped && a.rss == 0);
	assert_string_equal(a.pages, "..");
	assert_string_equal(a.perms, "");
	a = watched(w, "gone", 0x10000000, 0, 0);
	assert_true(!a.mapped && a.rss == UINT64_MAX);
	a = watched(w, "denied", 0x10000000, 0, DENIED);
	assert_true(!a.mapped && a.rss == UINT64_MAX);
	mw_observation_close(w->seen);
	a = watched(w, "", 0x500000, 3 * PAGE, PROGRAM);
	assert_string_equal(a.class, "heap.brk");
	assert_string_equal(a.pages, "##.");
}

static void watching_without_rights(void **state)
{
	struct lab_world *w = *state;
	w->no_pagemap = true;
	look(w);
	struct mw_lab_seen a = watched(w, "", 0x10000000, 2 * PAGE, PROGRAM);
	assert_true(a.mapped && a.rss == UINT64_MAX);
	assert_string_equal(a.pages, "??");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_world_up, lab_world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(constants),        TEST(names_of_probes),
		TEST(mappings),         TEST(pages_of_a_mapping),
		TEST(pages_of_a_range), TEST(one_page),
		TEST(indexes),          TEST(whole_process),
		TEST(classes),          TEST(groups),
		TEST(not_there),        TEST(may_not_be_read),
		TEST(frames_hidden),    TEST(without_scan),
		TEST(without_pagemap),  TEST(afterwards),
		TEST(heap_of_nobody),   TEST(heap_of_a_recording),
		TEST(watching),         TEST(watching_without_rights),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
