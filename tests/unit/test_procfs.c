// SPDX-License-Identifier: MIT
#include "procfs/auxv.h"
#include "procfs/maps.h"
#include "procfs/mountinfo.h"
#include "procfs/smaps.h"
#include "procfs/status.h"

#include <elf.h>
#include <memwhy/snapshot.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ANON "7f01cc000000-7f01cc021000 rw-p 00000000 00:00 0 "

/* Parses a copy of exactly its own length, so that ASan sees a read past the end. */
static bool parse_line(const char *text, struct mw_maps_line *ret, char **copy)
{
	size_t len = strlen(text);
	*copy = malloc(len ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, text, len);
	return mw_maps_parse_line(*copy, *copy + len, ret);
}

static void assert_name(const char *text, const char *name)
{
	struct mw_maps_line line;
	char *copy;
	assert_true(parse_line(text, &line, &copy));
	assert_int_equal(line.name_len, strlen(name));
	assert_memory_equal(line.name, name, line.name_len);
	free(copy);
}

static void test_maps_fields(void **state)
{
	(void)state;
	struct mw_maps_line line;
	char *copy;
	assert_true(parse_line("55ede8d91000-55ede8d96000 r-xp 00002000 103:02 247134    "
			       "                 /usr/bin/cat",
			       &line, &copy));
	assert_int_equal(line.start, 0x55ede8d91000);
	assert_int_equal(line.end, 0x55ede8d96000);
	assert_int_equal(line.perms, MW_PERM_READ | MW_PERM_EXEC);
	assert_int_equal(line.offset, 0x2000);
	assert_int_equal(line.dev, 0x103 << 20 | 2);
	assert_int_equal(line.ino, 247134);
	free(copy);
	assert_true(parse_line("ffffffffff600000-ffffffffff601000 --xs 00000000 00:00 0 "
			       "                 [vsyscall]",
			       &line, &copy));
	assert_true(line.start == UINT64_C(0xffffffffff600000));
	assert_true(line.end == UINT64_C(0xffffffffff601000));
	assert_int_equal(line.perms, MW_PERM_EXEC | MW_PERM_SHARED);
	free(copy);
}

static void test_maps_names(void **state)
{
	(void)state;
	static char text[2000], name[1500];
	assert_name(ANON, "");
	assert_name("7f01cc000000-7f01cc021000 rw-p 00000000 00:00 0", "");
	assert_name(ANON "         [heap]", "[heap]");
	assert_name(ANON " /a  b c ", "/a  b c ");
	assert_name(ANON "/memfd:x (deleted) (deleted)", "/memfd:x (deleted) (deleted)");
	assert_name(ANON "/a\\012b", "/a\\012b");
	memset(name, 'n', sizeof(name) - 1);
	memcpy(text, ANON, strlen(ANON));
	memcpy(text + strlen(ANON), name, sizeof(name));
	assert_name(text, name);
}

static void test_maps_refuses(void **state)
{
	(void)state;
	static const char *const broken[] = {
		"",
		"Rss:                   4 kB",
		"7f01cc000000",
		"7f01cc000000-",
		"7f01cc021000-7f01cc000000 rw-p 00000000 00:00 0 ",
		"11111111111111111-22222222222222222 rw-p 00000000 00:00 0 ",
		"-2000 rw-p 00000000 00:00 0 ",
		"1000-2000 rw-p 00000000 00:00 ",
		"1000-2000 rw-p 00000000 00:00 x",
		"1000-2000 rw-p 00000000 00:00 1x",
		"1000-2000 rw-p 00000000 0000 1",
		"1000-2000 rw-p 00000000 00:100000 1",
		"1000-2000 rw- 00000000 00:00 0 ",
		"1000-2000 rwzp 00000000 00:00 0 ",
		"1000-2000 rw-q 00000000 00:00 0 ",
		"1000-2000 rw-p",
		"1000-2000 r",
		"1000-2000 rw-p 00000000 00:00 18446744073709551616",
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct mw_maps_line line = { .ino = 77 };
		char *copy;
		assert_false(parse_line(broken[i], &line, &copy));
		assert_int_equal(line.ino, 77);
		free(copy);
	}
}

static void test_maps_unescape(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *plain;
	} cases[] = {
		{ "", "" },     { "/a\\012b\\012", "/a\nb\n" }, { "\\01", "\\01" },
		{ "\\", "\\" }, { "\\\\012", "\\\n" },          { "\\040", "\\040" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char plain[32];
		size_t len = mw_maps_unescape(cases[i].raw, strlen(cases[i].raw), plain);
		assert_int_equal(len, strlen(cases[i].plain));
		assert_string_equal(plain, cases[i].plain);
	}
	assert_true(mw_maps_is_deleted("/a (deleted)", 12));
	assert_false(mw_maps_is_deleted("/a (deleted) ", 13));
	assert_false(mw_maps_is_deleted("(deleted)", 9));
	assert_false(mw_maps_is_deleted("", 0));
}

/* Parses an exact copy; returns how many entries, the last in *entry. */
static size_t parse_smaps(const char *text, struct mw_smaps_entry *entry, bool *broken)
{
	size_t len = strlen(text), n = 0;
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	const char *pos = copy;
	while (mw_smaps_next(&pos, copy + len, entry))
		n++;
	*broken = pos < copy + len;
	free(copy);
	return n;
}

static void assert_key(const struct mw_smaps_entry *entry, enum mw_smaps_key key,
		       uint64_t bytes)
{
	assert_true(entry->known >> key & 1);
	assert_int_equal(entry->bytes[key], bytes);
}

#define MODERN                               \
	ANON "                   [heap]\n"   \
	     "Size:                132 kB\n" \
	     "KernelPageSize:        4 kB\n" \
	     "MMUPageSize:           4 kB\n" \
	     "Rss:            12345678 kB\n" \
	     "Pss:                  90 kB\n" \
	     "Pss_Dirty:             8 kB\n" \
	     "Shared_Clean:          1 kB\n" \
	     "Shared_Dirty:          2 kB\n" \
	     "Private_Clean:         3 kB\n" \
	     "Private_Dirty:         5 kB\n" \
	     "Referenced:          100 kB\n" \
	     "Anonymous:            92 kB\n" \
	     "KSM:                   6 kB\n" \
	     "LazyFree:              7 kB\n" \
	     "AnonHugePages:      2048 kB\n" \
	     "ShmemPmdMapped:        9 kB\n" \
	     "FilePmdMapped:        10 kB\n" \
	     "Shared_Hugetlb:       11 kB\n" \
	     "Private_Hugetlb:      12 kB\n" \
	     "Swap:                 13 kB\n" \
	     "SwapPss:              14 kB\n" \
	     "Locked:          1234567 kB\n" \
	     "THPeligible:           1\n"    \
	     "ProtectionKey:         0\n"    \
	     "VmFlags: rd wr mr mw me ac \n"

static void test_smaps_all_keys(void **state)
{
	(void)state;
	struct mw_smaps_entry entry;
	bool broken;
	assert_int_equal(parse_smaps(MODERN MODERN, &entry, &broken), 2);
	assert_false(broken);
	uint32_t rollup_only =
		1u << MW_KEY_PSS_ANON | 1u << MW_KEY_PSS_FILE | 1u << MW_KEY_PSS_SHMEM;
	assert_int_equal(entry.known, ((1u << MW_KEY_COUNT) - 1) & ~rollup_only);
	assert_key(&entry, MW_KEY_RSS, UINT64_C(12345678) << 10);
	assert_key(&entry, MW_KEY_PRIVATE_DIRTY, 5 << 10);
	assert_key(&entry, MW_KEY_PRIVATE_HUGETLB, 12 << 10);
	assert_key(&entry, MW_KEY_SWAP, 13 << 10);
	assert_key(&entry, MW_KEY_SWAP_PSS, 14 << 10);
	assert_key(&entry, MW_KEY_LOCKED, UINT64_C(1234567) << 10);
	assert_int_equal(entry.n_flags, 6);
	assert_memory_equal(entry.flags, "rdwrmrmwmeac", 12);
	assert_int_equal(entry.map.name_len, 6);
}

/* Another order, other padding, tabs, numbers wider than the columns. */
static void test_smaps_unusual_lines(void **state)
{
	(void)state;
	static const char text[] = ANON "\n"
					"Swap:                  4 kB\n"
					"Rss: 8 kB\n"
					"Pss:\t12 kB\n"
					"Size:           1342177280 kB\n"
					"Locked:               1x kB\n"
					"KSM:                  -1 kB\n"
					"Referenced:     18446744073709551615 kB\n"
					"Future_Key:           77 kB\n"
					"VmFlags: rd ?? abc x mw";
	struct mw_smaps_entry entry;
	bool broken;
	assert_int_equal(parse_smaps(text, &entry, &broken), 1);
	assert_false(broken);
	assert_key(&entry, MW_KEY_SWAP, 4096);
	assert_key(&entry, MW_KEY_RSS, 8192);
	assert_key(&entry, MW_KEY_PSS, 12288);
	assert_key(&entry, MW_KEY_SIZE, UINT64_C(1342177280) << 10);
	assert_false(entry.known >> MW_KEY_LOCKED & 1);
	assert_false(entry.known >> MW_KEY_KSM & 1);
	assert_false(entry.known >> MW_KEY_REFERENCED & 1);
	assert_false(entry.known >> MW_KEY_ANONYMOUS & 1);
	assert_int_equal(entry.n_flags, 3);
	assert_memory_equal(entry.flags, "rd\?\?mw", 6);
}

static void test_smaps_says_broken(void **state)
{
	(void)state;
	struct mw_smaps_entry entry;
	bool broken;
	assert_int_equal(parse_smaps("", &entry, &broken), 0);
	assert_false(broken);
	assert_int_equal(parse_smaps(MODERN "garbage\n" MODERN, &entry, &broken), 1);
	assert_true(broken);
	assert_int_equal(parse_smaps("Rss: 4 kB\n", &entry, &broken), 0);
	assert_true(broken);
	assert_int_equal(parse_smaps(ANON "\n" ANON "\n" ANON, &entry, &broken), 3);
	assert_false(broken);
	assert_int_equal(entry.known, 0);
}

/* Every cut of a real text: what is known is true. */
static void test_smaps_cut_anywhere(void **state)
{
	(void)state;
	static const char text[] = MODERN;
	struct mw_smaps_entry whole, cut;
	bool broken;
	parse_smaps(text, &whole, &broken);
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char *part = strndup(text, len);
		size_t n = parse_smaps(part, &cut, &broken);
		assert_true(n == 1 || len < strlen(ANON));
		for (int key = 0; n && key < MW_KEY_COUNT; key++)
			if (cut.known >> key & 1)
				assert_int_equal(cut.bytes[key], whole.bytes[key]);
		free(part);
	}
}

static void test_smaps_flags_are_bounded(void **state)
{
	(void)state;
	char text[400] = ANON "\nVmFlags:";
	struct mw_smaps_entry entry;
	bool broken;
	for (int i = 0; i < 40; i++)
		memcpy(text + strlen(text), " ab", 4);
	assert_int_equal(parse_smaps(text, &entry, &broken), 1);
	assert_int_equal(entry.n_flags, 32);
	assert_memory_equal(entry.flags + 62, "ab", 2);
}

static void test_status_fields(void **state)
{
	(void)state;
	static const char text[] = "Name:\tx\\nVmRSS:\t1 kB\n"
				   "Uid:\t1000\t33\t1000\t1000\n"
				   "NSpid:\t4242\t17\t3\n"
				   "Kthread:\t0\n"
				   "VmPeak:\t   20000 kB\n"
				   "VmSize:\t   10000 kB\n"
				   "VmLck:\t       1 kB\n"
				   "VmPin:\t       2 kB\n"
				   "VmHWM:\t    9000 kB\n"
				   "VmRSS:\t    8000 kB\n"
				   "RssAnon:\t     100 kB\n"
				   "RssFile:\t     200 kB\n"
				   "RssShmem:\t     300 kB\n"
				   "VmPTE:\t      48 kB\n"
				   "VmSwap:\t       5 kB\n"
				   "HugetlbPages:\t    2048 kB\n"
				   "Threads:\t68\n"
				   "CapEff:\t000001fffeffffff\n"
				   "Seccomp:\t2\n"
				   "Seccomp_filters:\t9\n";
	struct mw_status status;
	mw_status_parse(text, sizeof(text) - 1, &status);
	assert_int_equal(status.uid, 33);
	assert_int_equal(status.ns_pid, 3);
	assert_int_equal(status.n_ns, 3);
	assert_int_equal(status.kthread, 0);
	assert_int_equal(status.vm_peak, 20000 << 10);
	assert_int_equal(status.vm_size, 10000 << 10);
	assert_int_equal(status.vm_lck, 1 << 10);
	assert_int_equal(status.vm_pin, 2 << 10);
	assert_int_equal(status.vm_hwm, 9000 << 10);
	assert_int_equal(status.vm_rss, 8000 << 10);
	assert_int_equal(status.rss_anon, 100 << 10);
	assert_int_equal(status.rss_file, 200 << 10);
	assert_int_equal(status.rss_shmem, 300 << 10);
	assert_int_equal(status.vm_pte, 48 << 10);
	assert_int_equal(status.vm_swap, 5 << 10);
	assert_int_equal(status.hugetlb, 2048 << 10);
	assert_int_equal(status.n_threads, 68);
	assert_int_equal(status.cap_eff, 0x1fffeffffff);
	assert_int_equal(status.seccomp, 2);
}

static void test_status_missing(void **state)
{
	(void)state;
	static const char text[] = "Threads:\t1\nVmPTE:\t99999999999999999999 kB\n"
				   "VmSwap:\t18446744073709551615 kB\nUid:\t0\nVmRSS";
	struct mw_status status;
	mw_status_parse(text, sizeof(text) - 1, &status);
	assert_int_equal(status.n_threads, 1);
	assert_int_equal(status.n_ns, 0);
	assert_true(status.vm_rss == UINT64_MAX && status.vm_pte == UINT64_MAX);
	assert_true(status.vm_swap == UINT64_MAX && status.uid == UINT64_MAX);
	assert_true(status.kthread == UINT64_MAX && status.ns_pid == UINT64_MAX);
	mw_status_parse("", 0, &status);
	assert_true(status.n_threads == UINT64_MAX && status.cap_eff == UINT64_MAX);
}

/* Fields 4 to `last`, each its own number, but a negative tpgid and nice. */
static void put_stat(char *text, size_t len, const char *comm, int last)
{
	FILE *out = fmemopen(text, len, "w");
	assert_non_null(out);
	fprintf(out, "4242 (%s) S", comm);
	for (int field = 4; field <= last; field++)
		fprintf(out, " %d", field == 8 || field == 19 ? -field : field * 10);
	fputc('\n', out);
	assert_int_equal(fclose(out), 0);
}

static void assert_stat_fields(const struct mw_stat *stat)
{
	assert_int_equal(stat->pid, 4242);
	assert_int_equal(stat->state, 'S');
	assert_int_equal(stat->ppid, 40);
	assert_int_equal(stat->flags, 90);
	assert_int_equal(stat->min_flt, 100);
	assert_int_equal(stat->maj_flt, 120);
	assert_int_equal(stat->start_ticks, 220);
	assert_int_equal(stat->vsize, 230);
	assert_int_equal(stat->rss_pages, 240);
	assert_int_equal(stat->start_stack, 280);
}

static void test_stat_hostile_names(void **state)
{
	(void)state;
	static const char *const names[] = {
		"cat", "", "a b", ") R 1 (", "\n", ")", "((", ") S 1 1 1 1 1\n1 (x) R 1",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char text[600];
		struct mw_stat stat;
		put_stat(text, sizeof(text), names[i], 52);
		assert_true(mw_stat_parse(text, strlen(text), &stat));
		assert_string_equal(stat.comm, names[i]);
		assert_stat_fields(&stat);
		assert_int_equal(stat.start_data, 450);
		assert_int_equal(stat.end_data, 460);
		assert_int_equal(stat.start_brk, 470);
		assert_int_equal(stat.arg_start, 480);
		assert_int_equal(stat.arg_end, 490);
		assert_int_equal(stat.env_start, 500);
		assert_int_equal(stat.env_end, 510);
	}
}

static void test_stat_bounds(void **state)
{
	(void)state;
	char text[800], longest[100];
	struct mw_stat stat;
	memset(longest, 'c', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	put_stat(text, sizeof(text), longest, 28);
	assert_true(mw_stat_parse(text, strlen(text), &stat));
	assert_int_equal(strlen(stat.comm), sizeof(stat.comm) - 1);
	assert_stat_fields(&stat);
	assert_int_equal(stat.start_brk, 0);
	put_stat(text, sizeof(text), "x", 27);
	assert_false(mw_stat_parse(text, strlen(text), &stat));
	for (size_t len = 0; len < 20; len++) {
		char *cut = malloc(len + 1);
		memcpy(cut, "4242 (x) S 1 2 3 4 5", len);
		assert_false(mw_stat_parse(cut, len, &stat));
		free(cut);
	}
}

static void test_auxv(void **state)
{
	(void)state;
	const uint64_t vector[] = { AT_PAGESZ, 4096, AT_BASE, 0x7f0000000000,
				    AT_NULL,   0,    AT_PHDR, 5 };
	unsigned char shifted[sizeof(vector) + 1];
	uint64_t value = 1;
	memcpy(shifted + 1, vector, sizeof(vector));
	assert_true(mw_auxv_find(shifted + 1, sizeof(vector), AT_BASE, &value));
	assert_int_equal(value, 0x7f0000000000);
	value = 1;
	assert_false(mw_auxv_find(vector, sizeof(vector), AT_PHDR, &value));
	assert_false(mw_auxv_find(vector, sizeof(vector), AT_NULL, &value));
	assert_false(mw_auxv_find(vector, 31, AT_BASE, &value));
	assert_false(mw_auxv_find(NULL, 0, AT_BASE, &value));
	assert_int_equal(value, 1);
}

static void test_mountinfo(void **state)
{
	(void)state;
	static const char text[] =
		"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
		"garbage\n"
		"36 35 8:1 /a\\040b /m\\0402 rw master:1 unbindable - ext4 /dev/s rw\n"
		"37 35 8:1 / /other rw - wrong x rw\n"
		"38 35 0:40 / - rw - fuse.sshfs - rw\n"
		"39 35 0:41 / /t rw shared:9 - tmpfs";
	size_t len = sizeof(text) - 1;
	char type[16] = "kept";
	assert_false(mw_mountinfo_fstype(text, len, 99, type, sizeof(type)));
	assert_string_equal(type, "kept");
	assert_true(mw_mountinfo_fstype(text, len, 21, type, sizeof(type)));
	assert_string_equal(type, "proc");
	assert_true(mw_mountinfo_fstype(text, len, 8 << 20 | 1, type, sizeof(type)));
	assert_string_equal(type, "ext4");
	assert_true(mw_mountinfo_fstype(text, len, 40, type, sizeof(type)));
	assert_string_equal(type, "fuse.sshfs");
	assert_true(mw_mountinfo_fstype(text, len, 41, type, sizeof(type)));
	assert_string_equal(type, "tmpfs");
	assert_true(mw_mountinfo_fstype(text, len, 41, type, 6));
	assert_false(mw_mountinfo_fstype(text, len, 41, type, 5));
	assert_false(mw_mountinfo_fstype(text, len, 41, type, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps_fields),
		cmocka_unit_test(test_maps_names),
		cmocka_unit_test(test_maps_refuses),
		cmocka_unit_test(test_maps_unescape),
		cmocka_unit_test(test_smaps_all_keys),
		cmocka_unit_test(test_smaps_unusual_lines),
		cmocka_unit_test(test_smaps_says_broken),
		cmocka_unit_test(test_smaps_cut_anywhere),
		cmocka_unit_test(test_smaps_flags_are_bounded),
		cmocka_unit_test(test_status_fields),
		cmocka_unit_test(test_status_missing),
		cmocka_unit_test(test_stat_hostile_names),
		cmocka_unit_test(test_stat_bounds),
		cmocka_unit_test(test_auxv),
		cmocka_unit_test(test_mountinfo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
