// SPDX-License-Identifier: MIT
/*
 * Scrubbed recordings: no name that the program gave is anywhere in one, names that
 * belong together still do, and what every system has stays readable.
 */
#include "kernel/record/scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "recorded.h"

/* Whether any file under the directory holds the text. */
static bool mentioned(const char *dir, const char *text)
{
	char command[160];
	snprintf(command, sizeof(command), "grep -arqF -e '%s' %s", text, dir);
	return system(command) == 0;
}

static void scrub_takes_names_out(void **state)
{
	(void)state;
	static const char *const secrets[] = { "my prog",  "my (prog)", "my\\x20",
					       "home/u",   "password",  "er) S",
					       "my cache", "secret",    "host",
					       "10.0.0.1", "/opt/app",  "/vol",
					       "jobs",     "team-x",    "one 7" };
	static const char *const kept[] = { "/usr/lib/libc.so.6", "glibc: malloc",
					    ".so.1.2 (deleted)",  "/memfd:scrubbed-",
					    "size=64k",           "[heap]",
					    "only\\x20root",      "cpu,memory:/scrubbed-",
					    "0::/scrubbed-",      "1:name=systemd:/" };
	struct mw_source *fake, *tee, *tree;
	char dir[64];
	mw_auto_buf text = { 0 };
	mw_auto_buf maps = { 0 };
	mw_auto_buf exe = { 0 };
	record(&(struct mw_tee_opts){ .scrub = true }, &fake, &tee, &text);
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		if (mentioned(dir, secrets[i]))
			fail_msg("%s is still there", secrets[i]);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (!mentioned(dir, kept[i]))
			fail_msg("%s is not there", kept[i]);

	ok(mw_source_open_tree(dir, &tree));
	ok(mw_source_read_text(tree, MW_FAKE_PID, 0, MW_FILE_MAPS, &maps));
	ok(mw_source_read_exe(tree, MW_FAKE_PID, &exe));
	char *path = strstr(mw_buf_str(&maps), "/scrubbed/");
	assert_non_null(path);
	*strchr(path, '\n') = '\0';
	/* The mapping, the link and the file that can be read have one name. */
	mw_auto_buf deleted = { 0 };
	assert_true(mw_buf_printf(&deleted, "%s (deleted)", path));
	same_text(&exe, &deleted);
	struct mw_object obj = MW_FAKE_OBJECT;
	obj.path = path;
	size_t got;
	char bytes[8];
	ok(mw_source_read_object(tree, MW_FAKE_PID, &obj, 0, bytes, 8, &got));
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

static void scrubbed_paths(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{ "/home/a/x.so", "/scrubbed/1.so" },
		{ "/home/a/x.so (deleted)", "/scrubbed/1.so (deleted)" },
		{ "/home/a/x.so.6.1", "/scrubbed/2.so.6.1" },
		{ "/opt/app.jar", "/scrubbed/3.jar" },
		{ "/opt/.hidden", "/scrubbed/4" },
		{ "/opt/x.Secret", "/scrubbed/5" },
		{ "/opt/x.confidential", "/scrubbed/6" },
		{ "/home/a\\012b", "/scrubbed/7" },
		{ "/home/a\nb", "/scrubbed/7" },
		{ "/usr/bin/x", "/usr/bin/x" },
		{ "/usrlocal/x", "/scrubbed/8" },
		{ "/lib/x.so", "/lib/x.so" },
		{ "/dev/shm/pool", "/dev/shm/scrubbed-1" },
		{ "/memfd:pool (deleted)", "/memfd:scrubbed-1 (deleted)" },
		{ "/dev/zero (deleted)", "/dev/zero (deleted)" },
		{ "/SYSV00000000 (deleted)", "/SYSV00000000 (deleted)" },
		{ "[anon:pool]", "[anon:scrubbed-1]" },
		{ "[anon_shmem:pool]", "[anon_shmem:scrubbed-1]" },
		{ "[anon: Go: heap]", "[anon: Go: heap]" },
		{ "[stack]", "[stack]" },
		{ "anon_inode:[io_uring]", "anon_inode:[io_uring]" },
		{ "socket:[123]", "socket:[123]" },
		{ "/[aio] (deleted)", "/[aio] (deleted)" },
		{ "/scrubbed/1.so", "/scrubbed/1.so" },
		{ "/proc/42/root/home/a", "/scrubbed/9" },
		{ "/proc/42/maps", "/proc/42/maps" },
		{ "", "" },
	};
	struct mw_scrub *scrub = mw_scrub_new();
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		mw_auto_buf out = { 0 };
		assert_true(mw_scrub_path(scrub, pairs[i][0], strlen(pairs[i][0]), true,
					  &out));
		assert_string_equal(mw_buf_str(&out), pairs[i][1]);
	}
	mw_scrub_free(scrub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scrub_takes_names_out),
		cmocka_unit_test(scrubbed_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
