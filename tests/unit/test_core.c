// SPDX-License-Identifier: MIT
/*
 * Core files: one made by hand is read back as the process it is of; cut at every length
 * and with every field set to something hostile it gives less, or an error, and nothing
 * else.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/buf.h"
#include "base/vec.h"
#include "core_image.h"
#include <memwhy/hold.h>
#include <memwhy/perms.h>
#include <memwhy/snapshot.h>

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "buildid1"

/* A place for the files of one test. */
struct scratch {
	char dir[48], core[64], exe[64];
};

static int setup(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));
	/* Thousands of files are written: in memory where that can be. */
	bool shm = access("/dev/shm", W_OK) == 0;
	snprintf(s->dir, sizeof(s->dir), "%s/memwhy-core-XXXXXX",
		 shm ? "/dev/shm" : "/tmp");
	if (!mkdtemp(s->dir)) {
		free(s);
		return -1;
	}
	snprintf(s->core, sizeof(s->core), "%s/core", s->dir);
	snprintf(s->exe, sizeof(s->exe), "%s/program", s->dir);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scratch *s = *state;
	unlink(s->core);
	unlink(s->exe);
	rmdir(s->dir);
	free(s);
	return 0;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static struct mw_source *open_bytes(const struct scratch *s, const void *bytes,
				    size_t len)
{
	struct mw_source *src = NULL;
	write_file(s->core, bytes, len);
	struct mw_err *err = mw_source_open_core(s->core, NULL, &src);
	if (err)
		fail_msg("%s", err->msg);
	return src;
}

static struct mw_source *open_made(const struct scratch *s, struct core_image *image)
{
	core_make(image, s->exe, ID);
	return open_bytes(s, image->bytes, image->len);
}

static struct mw_snapshot *take(struct mw_source *src, pid_t pid)
{
	struct mw_snapshot_opts opts = { .want = MW_WANT_THREADS | MW_WANT_FRAMES };
	struct mw_snapshot *snap = NULL;
	struct mw_err *err = mw_snapshot_take(src, pid, &opts, &snap);
	if (err)
		fail_msg("%s", err->msg);
	return snap;
}

/* `dumped` pages are there for those who read memory; nobody counts them as resident. */
static void check_region(const struct mw_snapshot *snap, size_t i, uint64_t start,
			 unsigned perms, const char *name, uint64_t dumped)
{
	size_t n;
	const struct mw_page_run *runs = mw_snapshot_runs(snap, &n);
	const struct mw_region *region = &mw_snapshot_regions(snap, &n)[i];
	uint64_t there = 0;
	for (size_t k = 0; k < region->n_runs; k++)
		there += runs[region->first_run + k].n_pages;
	assert_int_equal(there, dumped);
	assert_int_equal(region->counts.have, 0);
	assert_int_equal(region->start, start);
	assert_int_equal(region->perms, perms);
	assert_string_equal(region->name, name);
}

static void test_process(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	mw_auto_source src = open_made(s, &image);
	mw_auto_snapshot snap = take(src, CORE_PID);
	const struct mw_process *p = mw_snapshot_process(snap);
	size_t n;

	assert_true(mw_source_facts(src)->core);
	assert_false(mw_source_facts(src)->live);
	assert_int_equal(mw_source_facts(src)->page_size, CORE_PAGE);
	assert_string_equal(p->comm, "hand made");
	assert_string_equal(p->cmdline, "/bin/hand made");
	assert_string_equal(p->exe, s->exe);
	assert_int_equal(p->uid, 33);
	assert_int_equal(p->n_threads, 2);
	assert_int_equal(p->start_brk, CORE_HEAP);
	assert_int_equal(p->vm_rss, UINT64_MAX);
	assert_int_equal(mw_snapshot_totals(snap)->engine, MW_ENGINE_PAGES);

	const unsigned r = MW_PERM_READ, rw = r | MW_PERM_WRITE, rx = r | MW_PERM_EXEC;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	assert_int_equal(n, 9);
	check_region(snap, 0, CORE_EXE, r, s->exe, 1);
	check_region(snap, 1, CORE_TEXT, rx, s->exe, 0);
	check_region(snap, 2, CORE_BSS, rw, "", 1);
	check_region(snap, 3, CORE_HEAP, rw, "[heap]", 2);
	check_region(snap, 4, CORE_GUARD, 0, "", 0);
	check_region(snap, 5, CORE_THREAD, rw, "", 2);
	check_region(snap, 6, CORE_VVAR, r, "[vvar]", 0);
	check_region(snap, 7, CORE_VDSO, rx, "[vdso]", 1);
	check_region(snap, 8, CORE_STACK, rw, "[stack]", 1);
	assert_int_equal(regions[1].offset, CORE_PAGE);
	assert_true(regions[0].ino && regions[0].ino == regions[1].ino);
}

static void test_threads(void **state)
{
	struct core_image image;
	mw_auto_source src = open_made(*state, &image);
	mw_auto_snapshot snap = take(src, CORE_PID);
	struct mw_registers_list regs = { 0 };
	size_t n;

	const struct mw_thread *threads = mw_snapshot_threads(snap, &n);
	assert_int_equal(n, 2);
	assert_int_equal(threads[0].tid, CORE_PID);
	assert_string_equal(threads[0].comm, "hand made");
	assert_int_equal(threads[1].tid, CORE_TID);
	assert_int_equal(threads[1].tcb, CORE_TP);
	assert_true(threads[1].has_stack);
	assert_int_equal(threads[1].stack, CORE_GUARD);
	assert_int_equal(threads[1].guard_len, CORE_PAGE);

	assert_null(mw_source_list_registers(src, CORE_PID, &regs));
	assert_int_equal(regs.n, 2);
	assert_int_equal(regs.items[0].tid, CORE_PID);
	assert_int_equal(regs.items[0].sp, CORE_STACK + 0xf00);
	assert_int_equal(regs.items[1].tp, CORE_TP);
	assert_int_equal(regs.items[1].pc, CORE_TEXT + 0x10);
	bool vector = false;
	for (size_t i = 0; i < regs.items[1].n; i++)
		vector |= regs.items[1].words[i] == CORE_HEAP + 0x40;
	assert_true(vector);
	mw_vec_deinit(&regs);
}

static enum mw_errc read_code(struct mw_source *src, uint64_t addr, size_t len,
			      size_t *got)
{
	char bytes[64];
	mw_auto_err err = mw_source_read_memory(src, CORE_PID, addr, bytes, len,
						MW_READ_STRUCT, got);
	return err ? err->code : 0;
}

static void test_memory(void **state)
{
	struct core_image image;
	mw_auto_source src = open_made(*state, &image);
	char bytes[4];
	size_t got;
	uint64_t words[4], zeros;
	struct mw_page_ranges ranges = { 0 };

	assert_null(mw_source_read_memory(src, CORE_PID, CORE_HEAP, bytes, 4,
					  MW_READ_STRUCT, &got));
	assert_int_equal(got, 4);
	assert_memory_equal(bytes, "heap", 4);
	/* Short where what was dumped ends, and nothing where nothing was. */
	assert_int_equal(read_code(src, CORE_HEAP + 2 * CORE_PAGE - 8, 32, &got), 0);
	assert_int_equal(got, 8);
	assert_int_equal(read_code(src, CORE_TEXT, 4, &got), MW_ERR_NOTFOUND);
	assert_int_equal(read_code(src, UINT64_MAX - 2, 8, &got), MW_ERR_NOTFOUND);
	assert_null(mw_source_read_pagemap(src, CORE_PID, CORE_EXE, 4, words));
	assert_int_equal(words[0] >> 63, 1);
	assert_int_equal(words[1], 0);
	assert_int_equal(words[2] >> 56 & 1, 1);
	assert_int_equal(words[3], 0);
	assert_null(mw_source_scan(src, CORE_PID, 0, UINT64_MAX << 12, &ranges));
	assert_int_equal(ranges.n, 6);
	assert_int_equal(ranges.items[2].start, CORE_HEAP);
	assert_int_equal(ranges.items[2].end, CORE_HEAP + 2 * CORE_PAGE);
	mw_vec_deinit(&ranges);
	assert_null(mw_source_zero_bytes(src, CORE_PID, CORE_HEAP, &zeros));
	assert_int_equal(zeros, CORE_PAGE - 4);
	mw_auto_err err = mw_source_zero_bytes(src, CORE_PID, CORE_TEXT, &zeros);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	mw_auto_err other = mw_source_read_pagemap(src, CORE_PID + 1, 0, 1, words);
	assert_int_equal(other->code, MW_ERR_NOTFOUND);
}

/* Nothing moves: a stop is granted, and lasts no time. */
static void test_stop(void **state)
{
	struct core_image image;
	mw_auto_source src = open_made(*state, &image);
	uint64_t held = 1;
	bool cut = true;
	assert_null(mw_source_stop(src, CORE_PID, 1));
	assert_null(mw_source_resume(src, &held, &cut));
	assert_int_equal(held, 0);
	assert_false(cut);
}

/* A page that only a hole of the file stands for was not dumped. */
static void test_holes(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	uint64_t word;
	core_make(&image, s->exe, ID);
	/* The heap's second page: the fifth one of the file. */
	size_t at = CORE_DATA + 3 * CORE_PAGE;
	assert_int_equal(image.bytes[at], 1);
	int fd = open(s->core, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, image.bytes, at, 0), (ssize_t)at);
	size_t after = at + CORE_PAGE;
	assert_int_equal(pwrite(fd, image.bytes + after, image.len - after, (off_t)after),
			 (ssize_t)(image.len - after));
	bool holes = lseek(fd, 0, SEEK_HOLE) == (off_t)at;
	close(fd);
	if (!holes)
		skip();
	mw_auto_source src = NULL;
	assert_null(mw_source_open_core(s->core, NULL, &src));
	assert_null(mw_source_read_pagemap(src, CORE_PID, CORE_HEAP, 1, &word));
	assert_int_equal(word >> 63, 1);
	assert_null(
		mw_source_read_pagemap(src, CORE_PID, CORE_HEAP + CORE_PAGE, 1, &word));
	assert_int_equal(word, 0);
}

static struct mw_err *read_head(struct mw_source *src, char *bytes, size_t len)
{
	struct mw_object object = { .start = CORE_EXE, .end = CORE_TEXT };
	size_t got = 0;
	struct mw_err *err =
		mw_source_read_object(src, CORE_PID, &object, 0, bytes, len, &got);
	if (!err)
		assert_int_equal(got, len);
	return err;
}

/* A file is read when it is the one that was mapped, and not otherwise. */
static void check_object(const struct scratch *s, const char *there, const char *here,
			 const char *refusal)
{
	struct core_image image;
	unsigned char page[CORE_PAGE] = { 0 };
	char bytes[4];
	core_make(&image, s->exe, there);
	core_elf(page, here);
	write_file(s->exe, page, sizeof(page));
	mw_auto_source src = open_bytes(s, image.bytes, image.len);
	mw_auto_err err = read_head(src, bytes, sizeof(bytes));
	if (!refusal) {
		assert_null(err);
		assert_memory_equal(bytes, ELFMAG, SELFMAG);
		return;
	}
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	assert_non_null(strstr(err->msg, refusal));
}

static void test_objects(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	char bytes[4];
	check_object(s, ID, ID, NULL);
	check_object(s, ID, "another!", "another build");
	check_object(s, ID, NULL, "another build");
	check_object(s, NULL, NULL, NULL);
	check_object(s, NULL, ID, "another file");
	unlink(s->exe);
	mw_auto_source src = open_made(s, &image);
	mw_auto_err err = read_head(src, bytes, sizeof(bytes));
	assert_non_null(strstr(err->msg, "is not here"));
	/* A pipe of that name is not opened: that would hang. */
	assert_int_equal(mkfifo(s->exe, 0600), 0);
	mw_auto_source again = open_made(s, &image);
	mw_auto_err fifo = read_head(again, bytes, sizeof(bytes));
	assert_non_null(strstr(fifo->msg, "is not here"));
}

/* --exe: the program somewhere else. */
static void test_exe(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	unsigned char page[CORE_PAGE] = { 0 };
	char bytes[4];
	core_make(&image, "/nowhere/program", ID);
	write_file(s->core, image.bytes, image.len);
	core_elf(page, "another!");
	write_file(s->exe, page, sizeof(page));
	struct mw_source *src = NULL;
	mw_auto_err err = mw_source_open_core(s->core, s->exe, &src);
	assert_int_equal(err->code, MW_ERR_FORMAT);
	mw_auto_err gone = mw_source_open_core(s->core, "/nowhere/program", &src);
	assert_int_equal(gone->code, MW_ERR_NOTFOUND);
	assert_null(src);
	core_elf(page, ID);
	write_file(s->exe, page, sizeof(page));
	assert_null(mw_source_open_core(s->core, s->exe, &src));
	assert_null(read_head(src, bytes, sizeof(bytes)));
	mw_source_close(src);
}

/* gdb says that everything may be read. */
static void test_gdb(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	memset(&image, 0, sizeof(image));
	image.len = CORE_DATA;
	core_load(&image, CORE_GUARD, PF_R, 1, 1);
	core_load(&image, CORE_THREAD, PF_R, 1, 1)[7] = 1;
	core_note(&image, "GDB", 0xff000000, "x", 1);
	core_status(&image, CORE_PID, CORE_STACK, 0);
	core_finish(&image);
	mw_auto_source src = open_bytes(s, image.bytes, image.len);
	mw_auto_snapshot snap = take(src, CORE_PID);
	size_t n;
	mw_snapshot_regions(snap, &n);
	assert_int_equal(n, 2);
	check_region(snap, 0, CORE_GUARD, 0, "", 0);
	check_region(snap, 1, CORE_THREAD, MW_PERM_READ, "", 1);
}

/* gcore leaves unchanged files out: NT_FILE and the file's own headers tell of them. */
static void test_names_alone(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	memset(&image, 0, sizeof(image));
	image.len = CORE_DATA;
	core_elf(core_load(&image, CORE_EXE, PF_R, 1, 1), ID);
	core_notes(&image, "/bin/with\nnewline");
	core_finish(&image);
	mw_auto_source src = open_bytes(s, image.bytes, image.len);
	mw_auto_snapshot snap = take(src, CORE_PID);
	size_t n;
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	assert_int_equal(n, 2);
	check_region(snap, 0, CORE_EXE, MW_PERM_READ, "/bin/with\nnewline", 1);
	check_region(snap, 1, CORE_TEXT, MW_PERM_READ | MW_PERM_EXEC,
		     "/bin/with\nnewline", 0);
	assert_int_equal(regions[1].offset, CORE_PAGE);
}

/* 65,535 program headers and more: the first section header has the number. */
static void test_many_headers(void **state)
{
	const struct scratch *s = *state;
	enum { N = 70000 };
	size_t len = 64 + sizeof(Elf64_Shdr) + N * sizeof(Elf64_Phdr);
	unsigned char *bytes = calloc(1, len);
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = ET_CORE,
			    .e_machine = EM_X86_64,
			    .e_phoff = 64 + sizeof(Elf64_Shdr),
			    .e_shoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = PN_XNUM };
	Elf64_Shdr first = { .sh_info = N };
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + 64, &first, sizeof(first));
	for (size_t i = 0; i < N; i++) {
		Elf64_Phdr load = { .p_type = PT_LOAD,
				    .p_flags = PF_R,
				    .p_vaddr = (2 * i + 1) * CORE_PAGE,
				    .p_memsz = CORE_PAGE };
		memcpy(bytes + head.e_phoff + i * sizeof(load), &load, sizeof(load));
	}
	mw_auto_source src = open_bytes(s, bytes, len);
	struct mw_ids ids = { 0 };
	assert_null(mw_source_list(src, 0, &ids));
	assert_int_equal(ids.n, 1);
	mw_auto_snapshot snap = take(src, ids.items[0]);
	size_t n;
	mw_snapshot_regions(snap, &n);
	assert_int_equal(n, N);
	mw_vec_deinit(&ids);
	free(bytes);
}

/*
 * What costs its author nothing costs us nothing: a tebibyte of notes that is one hole,
 * and a thousand mappings that all claim the same bytes of the file.
 */
static void test_bounded(void **state)
{
	const struct scratch *s = *state;
	enum { N = 1000 };
	const size_t len = 64 + (N + 1) * sizeof(Elf64_Phdr);
	unsigned char *bytes = calloc(1, len);
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = ET_CORE,
			    .e_machine = EM_X86_64,
			    .e_phoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = N + 1 };
	Elf64_Phdr note = { .p_type = PT_NOTE,
			    .p_offset = 1 << 20,
			    .p_filesz = UINT64_C(1) << 40 };
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + 64, &note, sizeof(note));
	for (size_t i = 0; i < N; i++) {
		Elf64_Phdr load = { .p_type = PT_LOAD,
				    .p_flags = PF_R | PF_W,
				    .p_vaddr = (i + 1) << 41,
				    .p_filesz = UINT64_C(1) << 40,
				    .p_memsz = UINT64_C(1) << 40 };
		memcpy(bytes + 64 + (i + 1) * sizeof(load), &load, sizeof(load));
	}
	write_file(s->core, bytes, len);
	free(bytes);
	if (truncate(s->core, (off_t)(note.p_offset + note.p_filesz)) != 0)
		skip();
	mw_auto_source src = NULL;
	assert_null(mw_source_open_core(s->core, NULL, &src));
	struct mw_page_ranges ranges = { 0 };
	assert_null(mw_source_scan(src, 1, 0, UINT64_C(1) << 52, &ranges));
	uint64_t all = 0;
	for (size_t i = 0; i < ranges.n; i++)
		all += ranges.items[i].end - ranges.items[i].start;
	assert_in_range(all, 1, 1 << 20);
	mw_vec_deinit(&ranges);
	mw_auto_snapshot snap = take(src, 1);
	size_t n;
	mw_snapshot_regions(snap, &n);
	assert_int_equal(n, N);
}

static enum mw_errc open_code(const char *path, const char *says)
{
	struct mw_source *src = NULL;
	mw_auto_err err = mw_source_open_core(path, NULL, &src);
	assert_non_null(err);
	assert_null(src);
	if (!strstr(err->msg, says))
		fail_msg("%s does not say %s", err->msg, says);
	return err->code;
}

static void check_start(const struct scratch *s, const void *bytes, const char *says)
{
	char start[64] = { 0 };
	memcpy(start, bytes, 6);
	write_file(s->core, start, sizeof(start));
	assert_int_equal(open_code(s->core, says), MW_ERR_FORMAT);
}

static void test_no_core(void **state)
{
	const struct scratch *s = *state;
	char self[PATH_MAX] = { 0 };
	struct core_image image;
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	assert_int_equal(open_code(self, "program"), MW_ERR_FORMAT);
	assert_int_equal(open_code("/nowhere/core", "/nowhere/core"), MW_ERR_NOTFOUND);
	assert_int_equal(open_code("/dev/null", "no regular file"), MW_ERR_FORMAT);
	assert_int_equal(open_code("/tmp", "no regular file"), MW_ERR_FORMAT);
	assert_int_equal(mkfifo(s->core, 0600), 0);
	assert_int_equal(open_code(s->core, "no regular file"), MW_ERR_FORMAT);
	unlink(s->core);
	check_start(s, "\x28\xb5\x2f\xfd\0\0", "zstd -d");
	check_start(s, "\x1f\x8b\x08\0\0\0", "gzip -d");
	check_start(s,
		    "\xfd"
		    "7zXZ\0",
		    "xz -d");
	check_start(s, "\x04\x22\x4d\x18\0\0", "lz4 -d");
	check_start(s, "hello\n", "not ELF");
	core_make(&image, s->exe, ID);
	image.bytes[EI_CLASS] = ELFCLASS32;
	write_file(s->core, image.bytes, image.len);
	assert_int_equal(open_code(s->core, "64-bit x86"), MW_ERR_UNSUPPORTED);
	core_make(&image, s->exe, ID);
	image.bytes[18] = EM_AARCH64 & 0xff;
	write_file(s->core, image.bytes, image.len);
	assert_int_equal(open_code(s->core, "64-bit x86"), MW_ERR_UNSUPPORTED);
}

/* Everything that is asked of a core; answers may be errors, and must be sane. */
static void ask_all(struct mw_source *src)
{
	struct mw_ids ids = { 0 };
	struct mw_registers_list regs = { 0 };
	uint64_t last = 0;
	size_t n;
	assert_null(mw_source_list(src, 0, &ids));
	assert_int_equal(ids.n, 1);
	pid_t pid = ids.items[0];
	assert_true(pid > 0);
	mw_vec_deinit(&ids);
	mw_auto_snapshot snap = take(src, pid);
	const struct mw_region *regions = mw_snapshot_regions(snap, &n);
	for (size_t i = 0; i < n; i++) {
		char bytes[64];
		size_t got;
		assert_true(regions[i].start >= last);
		last = regions[i].end;
		struct mw_object object = { .start = regions[i].start };
		mw_err_free(mw_source_read_object(src, pid, &object, 0, bytes, 64, &got));
		mw_err_free(mw_source_read_memory(src, pid, regions[i].end - 8, bytes, 64,
						  MW_READ_STRUCT, &got));
	}
	mw_err_free(mw_source_list_registers(src, pid, &regs));
	for (size_t i = 0; i < regs.n; i++)
		assert_true(regs.items[i].n <= MW_REGISTER_WORDS);
	mw_vec_deinit(&regs);
}

static void try_file(const struct scratch *s)
{
	struct mw_source *src = NULL;
	mw_auto_err err = mw_source_open_core(s->core, NULL, &src);
	if (err) {
		assert_true(err->code == MW_ERR_FORMAT ||
			    err->code == MW_ERR_UNSUPPORTED);
		return;
	}
	ask_all(src);
	mw_source_close(src);
}

/* Of a core cut at any length every byte that it gives is right. */
static void test_cut(void **state)
{
	const struct scratch *s = *state;
	struct core_image image;
	core_make(&image, s->exe, ID);
	write_file(s->core, image.bytes, image.len);
	for (size_t len = image.len; len-- > 0;) {
		char bytes[4];
		size_t got;
		/* Pages are all alike: their borders are enough. */
		if (len > CORE_DATA && len % 1024 > 1 && len % 1024 < 1022)
			continue;
		assert_int_equal(truncate(s->core, (off_t)len), 0);
		try_file(s);
		mw_auto_source src = NULL;
		mw_err_free(mw_source_open_core(s->core, NULL, &src));
		if (!src)
			continue;
		if (len >= CORE_DATA)
			assert_int_equal(mw_source_facts(src)->core_lost,
					 image.len - len);
		mw_auto_err err = mw_source_read_memory(src, CORE_PID, CORE_HEAP, bytes,
							4, MW_READ_STRUCT, &got);
		if (!err)
			assert_memory_equal(bytes, "heap", got);
	}
}

/* Every word of headers, notes and the program's header, each with hostile values. */
static void test_hostile(void **state)
{
	static const uint64_t values[] = { 0,
					   1,
					   UINT64_MAX,
					   INT64_MAX,
					   (uint64_t)INT64_MAX + 1,
					   UINT64_MAX - 4095,
					   UINT32_MAX,
					   CORE_HEAP,
					   0x1000 };
	const struct scratch *s = *state;
	struct core_image image;
	unsigned char *hostile = malloc(sizeof(image.bytes));
	core_make(&image, s->exe, ID);
	for (size_t at = 0; at < CORE_DATA + 0x220; at += 4) {
		/* Between notes and pages there is nothing. */
		if (at > 0x1400 && at < CORE_DATA)
			continue;
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			memcpy(hostile, image.bytes, image.len);
			memcpy(hostile + at, &values[i], at % 8 ? 4 : 8);
			write_file(s->core, hostile, image.len);
			try_file(s);
		}
	}
	free(hostile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gdb, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_core, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
