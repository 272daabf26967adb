// SPDX-License-Identifier: MIT
/* Recommended commands name the recording, in words a shell reads back as they were. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "fake.h"
#include "kernel/source.h"
#include "model/access.h"

struct box {
	struct mw_source_ops ops;
	struct mw_source *src;
	struct mw_arena arena;
};

static enum mw_feature missing;

static struct mw_err *all_but_missing(struct mw_source *src, enum mw_feature feature,
				      bool *ret)
{
	(void)src;
	if (missing == MW_FEATURE_COUNT)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "probe", "not recorded");
	*ret = feature != missing;
	return NULL;
}

static void open_box(struct box *box)
{
	*box = (struct box){ 0 };
	assert_null(mw_fake_open(&box->src));
	box->ops = *box->src->ops;
	box->ops.probe = all_but_missing;
	box->src->ops = &box->ops;
}

static void close_box(struct box *box)
{
	mw_source_close(box->src);
	mw_arena_deinit(&box->arena);
}

static const char *command(struct box *box, const char *root)
{
	box->src->facts.root = root;
	return mw_advice_command(box->src, &box->arena, "map", 42, "--sort rss");
}

static void test_command(void **state)
{
	struct box box;
	(void)state;
	open_box(&box);
	assert_string_equal(command(&box, NULL), "memwhy map 42 --sort rss");
	assert_string_equal(mw_advice_command(box.src, &box.arena, "", 42, ""),
			    "memwhy 42");
	assert_string_equal(command(&box, "a/b-1.x"),
			    "memwhy map --root a/b-1.x 42 --sort rss");
	assert_string_equal(command(&box, "it's $(here)"),
			    "memwhy map --root 'it'\\''s $(here)' 42 --sort rss");
	assert_string_equal(command(&box, ""), "memwhy map --root '' 42 --sort rss");
	close_box(&box);
}

/* Nobody who has everything is told to try as root; who may not know, is. */
static void test_access(void **state)
{
	struct box box;
	(void)state;
	open_box(&box);
	missing = MW_FEATURE_ANON_NAMES;
	assert_string_equal(mw_advice_access(box.src, &box.arena, 42), "");
	missing = MW_FEATURE_SYS_PTRACE;
	assert_string_equal(mw_advice_access(box.src, &box.arena, 42), "sudo memwhy 42");
	missing = MW_FEATURE_COUNT;
	assert_string_equal(mw_advice_access(box.src, &box.arena, 42), "sudo memwhy 42");
	close_box(&box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_access),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
