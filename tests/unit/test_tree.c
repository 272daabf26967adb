// SPDX-License-Identifier: MIT
/*
 * Recorded trees: what was recorded answers as the source did, saving and loading are
 * exact inverses, and a tree that is cut, changed or made to harm is refused.
 */
#include "base/buf.h"
#include "base/vec.h"
#include "kernel/record/tree_files.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "recorded.h"

/* The files of a tree, in memory. */
struct file {
	char *path;
	struct mw_buf bytes;
};

struct files {
	MW_VEC(struct file);
};

static struct mw_err *keep_file(void *ctx, const char *path, const char *bytes,
				size_t len)
{
	struct files *files = ctx;
	struct file file = { .path = strdup(path) };
	assert_true(mw_buf_add(&file.bytes, bytes, len));
	assert_true(mw_vec_add(files, file));
	return NULL;
}

static void write_files(const struct mw_record *rec, struct files *out)
{
	struct mw_tree_sink sink = { keep_file, out };
	ok(mw_tree_write(rec, &sink));
}

static void free_files(struct files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->items[i].path);
		mw_buf_deinit(&files->items[i].bytes);
	}
	mw_vec_deinit(files);
}

/* Loads the files, the k-th of them cut or changed into other bytes. */
static struct mw_err *load_files(const struct files *files, size_t k, const char *bytes,
				 size_t len, struct mw_record *rec)
{
	/* The manifest is written last and read first. */
	for (size_t n = files->n, i = n; i < 2 * n; i++) {
		size_t at = (i + n - 1) % n;
		const struct file *file = &files->items[at];
		struct mw_err *err =
			at == k ? mw_tree_read_file(rec, file->path, bytes, len)
				: mw_tree_read_file(rec, file->path,
						    mw_buf_str(&file->bytes),
						    file->bytes.len);
		if (err)
			return err;
	}
	return mw_tree_finish(rec);
}

/* The fake as recorded files; `listed`: with the lengths in the manifest. */
static void fake_files(struct files *out, bool listed)
{
	struct mw_source *fake, *tee;
	char dir[64], sub[80];
	mw_auto_buf text = { 0 };
	struct mw_record rec = { 0 };
	record(&(struct mw_tee_opts){ .memory = true }, &fake, &tee, &text);
	snprintf(sub, sizeof(sub), "%s/tree", new_dir(dir, sizeof(dir)));
	ok(mw_source_save(tee, sub));
	ok(mw_tree_load(sub, &rec));
	remove_dir(dir);
	write_files(&rec, out);
	mw_record_deinit(&rec);
	mw_source_close(tee);
	mw_source_close(fake);
	if (listed)
		return;
	struct mw_buf *manifest = &out->items[out->n - 1].bytes;
	char *files = strstr(manifest->data, "file ");
	assert_non_null(files);
	manifest->len = (size_t)(files - manifest->data);
	assert_true(mw_buf_add(manifest, "end\n", 4));
}

static void replays_every_answer(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree, *again;
	char dir[64], sub[80];
	mw_auto_buf direct = { 0 };
	mw_auto_buf recorded = { 0 };
	mw_auto_buf replayed = { 0 };
	mw_auto_buf copied = { 0 };

	ok(mw_fake_open(&fake));
	transcribe(fake, &direct);
	mw_source_close(fake);
	record(&whole, &fake, &tee, &recorded);
	same_text(&recorded, &direct);
	snprintf(sub, sizeof(sub), "%s/tree", new_dir(dir, sizeof(dir)));
	ok(mw_source_save(tee, sub));
	mw_source_close(tee);
	mw_source_close(fake);

	ok(mw_source_open_tree(sub, &tree));
	assert_false(mw_source_facts(tree)->live);
	/* A recording of a recording is the same recording. */
	ok(mw_source_open_tee(tree, &whole, &again));
	transcribe(again, &copied);
	same_text(&copied, &recorded);
	mw_source_close(tree);
	mw_source_close(again);
	ok(mw_source_open_tree(sub, &tree));
	transcribe(tree, &replayed);
	same_text(&replayed, &recorded);
	mw_source_close(tree);
	remove_dir(dir);
}

/* Without contents: where the threads stood, and no word they held. */
static void registers_are_contents(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree;
	struct mw_registers_list regs = { 0 };
	char dir[64];

	ok(mw_fake_open(&fake));
	ok(mw_source_open_tee(fake, &plain, &tee));
	ok(mw_source_list_registers(tee, MW_FAKE_PID, &regs));
	assert_int_equal(regs.items[0].n, 3);
	regs.n = 0;
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	ok(mw_source_open_tree(dir, &tree));
	ok(mw_source_list_registers(tree, MW_FAKE_PID, &regs));
	assert_int_equal(regs.n, 2);
	assert_int_equal(regs.items[0].tid, MW_FAKE_PID);
	assert_int_equal(regs.items[0].sp, 0x7ffc00000ff0);
	assert_int_equal(regs.items[1].tp, 0x7f0000000700);
	assert_int_equal(regs.items[0].n, 0);
	mw_vec_deinit(&regs);
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

/* A copy of what does not move is itself. */
static void recordings_are_not_forked(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree;
	mw_auto_buf text = { 0 };
	char dir[64];
	pid_t child = 0;
	uint64_t held_ns;
	bool cut;

	record(&whole, &fake, &tee, &text);
	fails(mw_source_fork(tee, MW_FAKE_PID, 1000, &child), MW_ERR_UNSUPPORTED, "fork");
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	ok(mw_source_open_tree(dir, &tree));
	ok(mw_source_fork(tree, MW_FAKE_PID, 1000, &child));
	assert_int_equal(child, MW_FAKE_PID);
	ok(mw_source_resume(tree, &held_ns, &cut));
	assert_true(held_ns == 0 && !cut);
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

/* The first file this program has mapped. */
static void own_object(struct mw_object *obj, char *path, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start, end, ino;
	unsigned major, minor;
	char name[256];
	assert_non_null(maps);
	assert_int_equal(fscanf(maps, "%lx-%lx %*s %*x %x:%x %lu %255s", &start, &end,
				&major, &minor, &ino, name),
			 6);
	fclose(maps);
	snprintf(path, len, "%s", name);
	*obj = (struct mw_object){ start, end, (uint64_t)major << 20 | minor, ino, path };
}

/* The first line is the clock, which runs on in a live source. */
static void drop_first_line(struct mw_buf *text)
{
	size_t skip = strcspn(mw_buf_str(text), "\n");
	memmove(text->data, text->data + skip, text->len + 1 - skip);
	text->len -= skip;
}

/* A process that stands still, so that asking twice gives the same answer. */
static pid_t start_stopped(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		raise(SIGSTOP);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

/* Counts of frames are root's: for others the denial is what replays. */
static void replays_a_live_process(void **state)
{
	(void)state;
	enum { N_PAGES = 64 };
	struct mw_source *live, *tee, *tree;
	struct mw_object object;
	char dir[64], path[256];
	mw_auto_buf recorded = { 0 };
	mw_auto_buf replayed = { 0 };
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE), len = N_PAGES * page_size;
	char *pages = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	assert_true(pages != MAP_FAILED);
	for (size_t i = 0; i < N_PAGES; i += 1 + i % 3)
		pages[i * page_size] = (char)i;
	own_object(&object, path, sizeof(path));
	pid_t pid = start_stopped();
	struct mw_transcript_opts opts = {
		.scan_start = (uintptr_t)pages,
		.scan_end = (uintptr_t)pages + len,
		.pages_addr = (uintptr_t)pages,
		.n_pages = N_PAGES,
		.pfn = 1000,
		.n_frames = 64,
		.memory_addr = (uintptr_t)pages,
		.memory_len = 8192,
		.tids = { pid, pid, pid },
		.objects = &object,
		.n_objects = 1,
	};
	ok(mw_source_open_live(&live));
	ok(mw_source_open_tee(live, &plain, &tee));
	mw_transcript(tee, pid, &opts, &recorded);
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	ok(mw_source_open_tree(dir, &tree));
	mw_transcript(tree, pid, &opts, &replayed);
	drop_first_line(&recorded);
	drop_first_line(&replayed);
	same_text(&recorded, &replayed);
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(live);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(pages, len);
	remove_dir(dir);
}

static void saving_inverts_loading(void **state)
{
	(void)state;
	struct files first = { 0 }, second = { 0 };
	struct mw_record rec = { 0 };
	fake_files(&first, true);
	ok(load_files(&first, SIZE_MAX, NULL, 0, &rec));
	write_files(&rec, &second);
	assert_int_equal(first.n, second.n);
	for (size_t i = 0; i < first.n; i++) {
		assert_string_equal(first.items[i].path, second.items[i].path);
		assert_string_equal(mw_buf_str(&first.items[i].bytes),
				    mw_buf_str(&second.items[i].bytes));
	}
	mw_record_deinit(&rec);
	free_files(&first);
	free_files(&second);
}

/* Any number of questions to a record must end, whatever it claims. */
static void ask_record(struct mw_record *rec)
{
	struct mw_source *src;
	mw_auto_buf text = { 0 };
	ok(mw_source_open_record(rec, &src));
	transcribe(src, &text);
	mw_source_close(src);
}

static void cut_files_are_refused(void **state)
{
	(void)state;
	struct files files = { 0 };
	fake_files(&files, true);
	for (size_t k = 0; k < files.n; k++)
		for (size_t len = 0; len < files.items[k].bytes.len; len++) {
			struct mw_record rec = { 0 };
			fails(load_files(&files, k, mw_buf_str(&files.items[k].bytes),
					 len, &rec),
			      MW_ERR_FORMAT, files.items[k].path);
			mw_record_deinit(&rec);
		}
	free_files(&files);
}

/* Without the lengths only whole lines can be told from parts. */
static void cut_lines_are_refused(void **state)
{
	(void)state;
	struct files files = { 0 };
	fake_files(&files, false);
	size_t n_read = 0;
	for (size_t k = 0; k < files.n; k++) {
		const struct mw_buf *bytes = &files.items[k].bytes;
		for (size_t len = 0; len < bytes->len; len++) {
			struct mw_record rec = { 0 };
			struct mw_err *err =
				load_files(&files, k, bytes->data, len, &rec);
			if (err) {
				fails(err, MW_ERR_FORMAT, files.items[k].path);
				mw_record_deinit(&rec);
				continue;
			}
			n_read++;
			if (len % 8 == 0)
				ask_record(&rec);
			mw_record_deinit(&rec);
		}
	}
	assert_true(n_read > 100);
	free_files(&files);
}

static void changed_bytes_do_no_harm(void **state)
{
	(void)state;
	static const char bad[] = { '\0', '\n', ' ', '0', '9', 'f', '-', '\xff' };
	struct files files = { 0 };
	fake_files(&files, false);
	for (size_t k = 0; k < files.n; k++) {
		struct mw_buf *bytes = &files.items[k].bytes;
		for (size_t at = 0; at < bytes->len; at++) {
			struct mw_record rec = { 0 };
			char saved = bytes->data[at];
			bytes->data[at] = bad[at % sizeof(bad)];
			struct mw_err *err =
				load_files(&files, k, bytes->data, bytes->len, &rec);
			if (!err && at % 16 == 0)
				ask_record(&rec);
			bytes->data[at] = saved;
			mw_err_free(err);
			mw_record_deinit(&rec);
		}
	}
	free_files(&files);
}

static const char manifest[] = "memwhy tree 1\npage_size 4096\nclock_ticks 100\nend\n";

/* Reads one file of a tree; the record is freed. */
static struct mw_err *read_one(const char *path, const char *text)
{
	struct mw_record rec = { 0 };
	struct mw_err *err =
		mw_tree_read_file(&rec, MW_TREE_MANIFEST, manifest, sizeof(manifest) - 1);
	if (!err)
		err = mw_tree_read_file(&rec, path, text, strlen(text));
	if (!err)
		err = mw_tree_finish(&rec);
	if (!err)
		ask_record(&rec);
	mw_record_deinit(&rec);
	return err;
}

static void hostile_lines(void **state)
{
	(void)state;
	static const struct {
		const char *path, *text;
	} bad[] = {
		{ "proc/42/pagemap", "1000 1152921504606846976 100 1\n" },
		{ "proc/42/pagemap", "1000 99999999999999999999 100 1\n" },
		{ "proc/42/pagemap", "1001 1 100 1\n" },
		{ "proc/42/pagemap", "1000 2 100 7fffffffffffff\n" },
		{ "proc/42/pagemap", "1000 0 100 1\n" },
		{ "proc/42/pagemap", "2000 1 100 1\n1000 1 100 1\n" },
		{ "proc/42/pages", "2000 1000 8\n" },
		{ "proc/42/pages", "1000 3000 8\n2000 4000 8\n" },
		{ "proc/42/pages", "1000 2000 ffffffffffffffff\n" },
		{ "proc/42/zero_bytes", "1000 1 4097\n" },
		{ "proc/42/memory", "ffffffffffffffff 2 0000\n" },
		{ "proc/42/memory", "1000 18446744073709551615 0\n" },
		{ "proc/42/memory", "1000 4 0102\n" },
		{ "proc/42/memory", "1000 1 0g\n" },
		{ "proc/42/objects", "0 1 00\n" },
		{ "proc/42/objects", "object 1 2 - a\nobject 1 2 - a\n" },
		{ "proc/42/fds", "7 1 5 8192 a\\x0\n" },
		{ "proc/42/fds", "7 1 5 8192 a\\x00\n" },
		{ "proc/42/threads", "9\n7\n" },
		{ "proc/42/threads", "99999999999\n" },
		{ "proc/42/robust", "43 1\n43 2\n" },
		{ "proc/42/registers", "43 1 2\n" },
		{ "proc/42/registers", "43 1 2 3 \n" },
		{ "proc/42/registers", "43 1 2 3 g\n" },
		{ "proc/42/registers", "43 1 2 3\n43 1 2 3\n" },
		{ "proc/42/registers", "43 1 2 3 10000000000000000\n" },
		{ "proc/42/kept", "2\n1\n" },
		{ "proc/42/kept", "1 2\n" },
		{ "kpagecount", "0 18446744073709551615 1\n1 1 1\n" },
		{ "features", "pagemap-scan maybe\n" },
		{ "errors", "text 42 0 nothing 0 denied 13 - -\n" },
		{ "errors", "scan 42 0 0 0 angry 13 - -\n" },
		{ "errors", "fly 42 0 0 0 denied 13 - -\n" },
		{ "memwhy-tree", "memwhy tree 2\nend\n" },
		{ "memwhy-tree", "memwhy tree 1\npage_size 4095\nend\n" },
		{ "memwhy-tree", "memwhy tree 1\npage_size 0\nend\n" },
		{ "proc/042/comm", "second name\n" },
		{ "proc/42/../../etc/passwd", "x" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		fails(read_one(bad[i].path, bad[i].text), MW_ERR_FORMAT, bad[i].path);
	/* Large claims that are possible take no room. */
	ok(read_one("proc/42/pagemap", "0 1125899906842624 0 0\n"));
	ok(read_one("proc/42/pages", "0 ffffffffffff0000 8\n"));
	ok(read_one("proc/42/memory", "0 18446744073709551615 0\n"));
	ok(read_one("proc/42/zero_bytes", "0 1125899906842624 7\n"));
	ok(read_one("kpagecount", "0 18446744073709551615 1\n"));
}

static void says_what_is_missing(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree;
	char dir[64];
	char bytes[16];
	uint64_t word;
	size_t got = 7;
	mw_auto_buf text = { 0 };
	struct mw_page_ranges ranges = { 0 };

	ok(mw_fake_open(&fake));
	ok(mw_source_open_tee(fake, &plain, &tee));
	ok(mw_source_read_text(tee, MW_FAKE_PID, 0, MW_FILE_COMM, &text));
	ok(mw_source_scan(tee, MW_FAKE_PID, 0x1000, 0x5000, &ranges));
	mw_vec_deinit(&ranges);
	ok(mw_source_read_memory(tee, MW_FAKE_PID, MW_FAKE_MEMORY, bytes, 8,
				 MW_READ_STRUCT, &got));
	ok(mw_source_read_memory(tee, MW_FAKE_PID, MW_FAKE_MEMORY + 64, bytes, 8,
				 MW_READ_CONTENTS, &got));
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	ok(mw_source_open_tree(dir, &tree));

	fails(mw_source_read_text(tree, MW_FAKE_PID, 0, MW_FILE_MAPS, &text),
	      MW_ERR_UNSUPPORTED, "not in this recording");
	fails(mw_source_read_text(tree, 7, 0, MW_FILE_MAPS, &text), MW_ERR_NOTFOUND,
	      "process 7 is not in this recording");
	fails(mw_source_scan(tree, MW_FAKE_PID, 0x4000, 0x6000, &ranges),
	      MW_ERR_UNSUPPORTED, "not in this recording");
	fails(mw_source_read_pagemap(tree, MW_FAKE_PID, 0x1000, 1, &word),
	      MW_ERR_UNSUPPORTED, "not in this recording");
	fails(mw_source_read_memory(tree, MW_FAKE_PID, MW_FAKE_MEMORY + 64, bytes, 8,
				    MW_READ_CONTENTS, &got),
	      MW_ERR_UNSUPPORTED, "capture --memory");
	ok(mw_source_scan(tree, MW_FAKE_PID, 0x3000, 0x5000, &ranges));
	assert_int_equal(ranges.n, 1);
	mw_vec_deinit(&ranges);
	/* Where the recording ends, an answer is short. */
	ok(mw_source_read_memory(tree, MW_FAKE_PID, MW_FAKE_MEMORY + 6, bytes, 8,
				 MW_READ_STRUCT, &got));
	assert_int_equal(got, 2);
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

static void counters_replay_in_order(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree;
	char dir[64];
	static const char *const expected[] = { "100 kB", "100 kB", "104 kB", "104 kB" };
	ok(mw_fake_open(&fake));
	ok(mw_source_open_tee(fake, &plain, &tee));
	for (size_t i = 0; i < 100; i++) {
		mw_auto_buf text = { 0 };
		ok(mw_source_read_text(tee, MW_FAKE_PID, 0, MW_FILE_STATUS, &text));
	}
	ok(mw_source_save(tee, new_dir(dir, sizeof(dir))));
	ok(mw_source_open_tree(dir, &tree));
	for (size_t i = 0; i < 4; i++) {
		mw_auto_buf text = { 0 };
		ok(mw_source_read_text(tree, MW_FAKE_PID, 0, MW_FILE_STATUS, &text));
		assert_non_null(strstr(mw_buf_str(&text), expected[i]));
	}
	mw_source_close(tree);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

static void save_leaves_nothing_half_done(void **state)
{
	(void)state;
	struct mw_source *fake, *tee;
	char dir[64], sub[80], path[100];
	mw_auto_buf text = { 0 };
	record(&plain, &fake, &tee, &text);
	snprintf(sub, sizeof(sub), "%s/tree", new_dir(dir, sizeof(dir)));
	fails(mw_source_save(tee, "/proc/memwhy-test"), MW_ERR_NOTFOUND,
	      "/proc/memwhy-test");

	struct rlimit old, small = { .rlim_cur = 256 };
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct mw_err *err = mw_source_save(tee, sub);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(err);
	assert_int_equal(err->errnum, EFBIG);
	fails(err, MW_ERR_IO, "cannot write");
	assert_int_equal(access(sub, F_OK), -1);

	ok(mw_source_save(tee, sub));
	fails(mw_source_save(tee, sub), MW_ERR_USAGE, "is not empty");
	snprintf(path, sizeof(path), "%s/proc/42/maps", sub);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	mw_source_close(tee);
	mw_source_close(fake);
	remove_dir(dir);
}

static void links_are_not_followed(void **state)
{
	(void)state;
	struct mw_source *fake, *tee, *tree;
	char dir[64], sub[80], path[100];
	mw_auto_buf text = { 0 };
	record(&plain, &fake, &tee, &text);
	snprintf(sub, sizeof(sub), "%s/tree", new_dir(dir, sizeof(dir)));
	ok(mw_source_save(tee, sub));
	mw_source_close(tee);
	mw_source_close(fake);

	fails(mw_source_open_tree(dir, &tree), MW_ERR_FORMAT, "is not a recording");
	snprintf(path, sizeof(path), "%s/notes", sub);
	assert_int_equal(symlink("/etc", path), 0);
	ok(mw_source_open_tree(sub, &tree));
	mw_source_close(tree);
	snprintf(path, sizeof(path), "%s/proc/42/maps", sub);
	assert_int_equal(unlink(path), 0);
	fails(mw_source_open_tree(sub, &tree), MW_ERR_FORMAT, "missing");
	assert_int_equal(symlink("/proc/self/maps", path), 0);
	fails(mw_source_open_tree(sub, &tree), MW_ERR_FORMAT, "is a symbolic link");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	fails(mw_source_open_tree(sub, &tree), MW_ERR_FORMAT, "is not a plain file");
	remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replays_every_answer),
		cmocka_unit_test(replays_a_live_process),
		cmocka_unit_test(registers_are_contents),
		cmocka_unit_test(recordings_are_not_forked),
		cmocka_unit_test(saving_inverts_loading),
		cmocka_unit_test(cut_files_are_refused),
		cmocka_unit_test(cut_lines_are_refused),
		cmocka_unit_test(changed_bytes_do_no_harm),
		cmocka_unit_test(hostile_lines),
		cmocka_unit_test(says_what_is_missing),
		cmocka_unit_test(counters_replay_in_order),
		cmocka_unit_test(save_leaves_nothing_half_done),
		cmocka_unit_test(links_are_not_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
