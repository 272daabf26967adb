// SPDX-License-Identifier: MIT
/* The live source: mapped files, open files that are memory, descriptors, probes. */
#include "target.h"

#include "base/buf.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct mapped {
	char path[32];
	int fd;
	struct mw_object obj;
	struct target target;
};

/* The target finds what to map by its inherited descriptor's fixed number. */
enum { MAPPED_FD = 200 };

static void body_mapped(struct shared *shared)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, MAPPED_FD, 0);
	close(MAPPED_FD);
	shared->addr = (uint64_t)(uintptr_t)p;
	shared->ready = 1;
}

static void mapped_start(struct mapped *m)
{
	struct stat st;

	memcpy(m->path, "/tmp/memwhy-test-XXXXXX", 24);
	m->fd = mkstemp(m->path);
	assert_true(m->fd >= 0);
	assert_int_equal(write(m->fd, "mapped file", 11), 11);
	assert_int_equal(fstat(m->fd, &st), 0);
	assert_int_equal(dup2(m->fd, MAPPED_FD), MAPPED_FD);
	m->target = target_start(body_mapped);
	close(MAPPED_FD);
	m->obj = (struct mw_object){
		.start = m->target.shared->addr,
		.end = m->target.shared->addr + PAGE,
		.dev = (uint64_t)major(st.st_dev) << 20 | minor(st.st_dev),
		.ino = st.st_ino,
		.path = m->path,
	};
}

static void mapped_end(struct mapped *m)
{
	unlink(m->path);
	close(m->fd);
	target_end(&m->target);
}
#define auto_mapped __attribute__((cleanup(mapped_end))) struct mapped

static void need_map_files(struct mw_source *src)
{
	bool admin = false;
	expect_ok(mw_source_probe(src, MW_FEATURE_SYS_ADMIN, &admin));
	if (!admin)
		skip_with(src, "CAP_SYS_ADMIN (map_files)");
}

static void test_object(void **state)
{
	(void)state;
	auto_mapped m = { 0 };
	mw_auto_source src = open_live();
	char bytes[64] = "";
	size_t got = 0;

	mapped_start(&m);
	expect_ok(mw_source_read_object(src, m.target.pid, &m.obj, 7, bytes,
					sizeof(bytes), &got));
	assert_int_equal(got, 4);
	assert_memory_equal(bytes, "file", 4);
	/* Beyond the end there is nothing, and that is no error. */
	expect_ok(mw_source_read_object(src, m.target.pid, &m.obj, 1 << 20, bytes, 8,
					&got));
	assert_int_equal(got, 0);
	expect_ok(mw_source_read_object(src, m.target.pid, &m.obj, UINT64_MAX, bytes, 8,
					&got));
	assert_int_equal(got, 0);
}

static void test_object_deleted(void **state)
{
	(void)state;
	auto_mapped m = { 0 };
	mw_auto_source src = open_live();
	char bytes[16];
	size_t got;

	need_map_files(src);
	mapped_start(&m);
	unlink(m.path);
	m.obj.path = "/tmp/memwhy-test (deleted)";
	expect_ok(mw_source_read_object(src, m.target.pid, &m.obj, 0, bytes,
					sizeof(bytes), &got));
	assert_int_equal(got, 11);
	assert_memory_equal(bytes, "mapped file", 11);
}

/* Another file that took over the name is not the mapped one. */
static void test_object_replaced(void **state)
{
	(void)state;
	auto_mapped m = { 0 };
	mw_auto_source src = open_live();
	char bytes[16];
	size_t got = 77;

	mapped_start(&m);
	unlink(m.path);
	int fd = open(m.path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	m.obj.start += PAGE; /* no such mapping: only the name is left to go by */
	m.obj.end += PAGE;
	assert_int_equal(code_of(mw_source_read_object(src, m.target.pid, &m.obj, 0,
						       bytes, 8, &got)),
			 MW_ERR_NOTFOUND);
	assert_int_equal(got, 77);
}

/* A FIFO would block whoever opens it, a device may do anything. */
static void test_object_special(void **state)
{
	(void)state;
	auto_mapped m = { 0 };
	mw_auto_source src = open_live();
	struct stat st;
	char bytes[8];
	size_t got;

	mapped_start(&m);
	unlink(m.path);
	assert_int_equal(mkfifo(m.path, 0600), 0);
	assert_int_equal(stat(m.path, &st), 0);
	m.obj.ino = st.st_ino;
	m.obj.start = m.obj.end = 0;
	assert_int_equal(code_of(mw_source_read_object(src, m.target.pid, &m.obj, 0,
						       bytes, 8, &got)),
			 MW_ERR_NOTFOUND);
	assert_int_equal(stat("/dev/zero", &st), 0);
	m.obj.ino = st.st_ino;
	m.obj.path = "/dev/zero";
	assert_int_equal(code_of(mw_source_read_object(src, m.target.pid, &m.obj, 0,
						       bytes, 8, &got)),
			 MW_ERR_NOTFOUND);
}

/* More files than are kept open: the first is opened anew, and is the same. */
static void test_object_many(void **state)
{
	(void)state;
	enum { N = 40 };
	struct mapped all[N];
	mw_auto_source src = open_live();
	char bytes[16];
	size_t got;

	for (int i = 0; i < 2 * N; i++) {
		struct mapped *m = &all[i % N];
		if (i < N)
			mapped_start(m);
		expect_ok(mw_source_read_object(src, m->target.pid, &m->obj, 0, bytes,
						sizeof(bytes), &got));
		assert_int_equal(got, 11);
	}
	for (int i = 0; i < N; i++)
		mapped_end(&all[i]);
}

static void body_fds(struct shared *shared)
{
	int pair[2];
	int file = open("/proc/self/exe", O_RDONLY);
	int memfd = memfd_create("a name\nwith a line", 0);

	if (file < 0 || memfd < 0 || pipe(pair) != 0 || open("/dev/null", O_RDWR) < 0 ||
	    ftruncate(memfd, 100 * PAGE) != 0 || pwrite(memfd, "x", 1, 0) != 1 ||
	    pwrite(memfd, "x", 1, 50 * PAGE) != 1)
		_exit(1);
	shared->fd = memfd;
	shared->ready = 1;
}

static void test_fds(void **state)
{
	(void)state;
	auto_target target = target_start(body_fds);
	mw_auto_source src = open_live();
	struct mw_fds fds = { 0 };
	const struct mw_fd *found = NULL;

	expect_ok(mw_source_list_fds(src, target.pid, &fds));
	for (size_t i = 0; i < fds.n; i++) {
		assert_null(strstr(fds.items[i].target, "pipe"));
		assert_null(strstr(fds.items[i].target, "/dev/null"));
		if (fds.items[i].fd == target.shared->fd)
			found = &fds.items[i];
	}
	assert_non_null(found);
	assert_int_equal(found->bytes, 2 * PAGE);
	assert_string_equal(found->target, "/memfd:a name\nwith a line (deleted)");
	mw_fds_deinit(&fds);
}

static void body_idle(struct shared *shared)
{
	shared->ready = 1;
}

static size_t n_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Many processes at once: bounded while open, nothing left afterwards. */
static void test_descriptors(void **state)
{
	(void)state;
	enum { N = 60 };
	struct target targets[N];
	size_t before = n_open();
	struct mw_source *src = open_live();
	uint64_t word, here = (uint64_t)(uintptr_t)&word & ~(uint64_t)(PAGE - 1);
	size_t got;

	for (int i = 0; i < N; i++)
		targets[i] = target_start(body_idle);
	for (int i = 0; i < 2 * N; i++) {
		pid_t pid = targets[i % N].pid;
		expect_ok(mw_source_read_pagemap(src, pid, here, 1, &word));
		expect_ok(mw_source_read_memory(src, pid, here, &word, 8, MW_READ_STRUCT,
						&got));
	}
	assert_true(n_open() - before <= 100);
	mw_source_close(src);
	assert_int_equal(n_open(), before);
	for (int i = 0; i < N; i++)
		target_end(&targets[i]);
}

/* The value of CapEff as the kernel prints it. */
static uint64_t cap_eff(struct mw_source *src)
{
	mw_auto_buf buf = { 0 };
	expect_ok(mw_source_read_text(src, getpid(), 0, MW_FILE_STATUS, &buf));
	const char *line = strstr(mw_buf_str(&buf), "CapEff:");
	assert_non_null(line);
	return strtoull(line + 7, NULL, 16);
}

static void test_probe(void **state)
{
	(void)state;
	mw_auto_source src = open_live();
	bool have[MW_FEATURE_COUNT];
	uint64_t caps = cap_eff(src);

	for (int i = 0; i < MW_FEATURE_COUNT; i++) {
		expect_ok(mw_source_probe(src, i, &have[i]));
		assert_true(mw_feature_name(i)[0] != '\0');
	}
	assert_int_equal(have[MW_FEATURE_SYS_PTRACE], caps >> 19 & 1);
	assert_int_equal(have[MW_FEATURE_SYS_ADMIN], caps >> 21 & 1);
	assert_int_equal(have[MW_FEATURE_DAC_READ_SEARCH], caps >> 2 & 1);
	assert_int_equal(have[MW_FEATURE_PERFMON], caps >> 38 & 1);
	assert_int_equal(have[MW_FEATURE_KPAGECOUNT],
			 access("/proc/kpagecount", R_OK) == 0);
	struct mw_page_ranges ranges = { 0 };
	int code = code_of(mw_source_scan(src, getpid(), PAGE, 2 * PAGE, &ranges));
	assert_int_equal(code, have[MW_FEATURE_PAGEMAP_SCAN] ? 0 : MW_ERR_UNSUPPORTED);
	mw_vec_deinit(&ranges);
	assert_int_equal(code_of(mw_source_probe(src, MW_FEATURE_COUNT, &have[0])),
			 MW_ERR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_object_deleted),
		cmocka_unit_test(test_object_replaced),
		cmocka_unit_test(test_object_special),
		cmocka_unit_test(test_object_many),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_probe),
	};

	return cmocka_run_group_tests_name("live files", tests, NULL, NULL);
}
