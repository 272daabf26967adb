// SPDX-License-Identifier: MIT
/* A made-up machine of a few processes: some denied, some that vanish, hostile names. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/buf.h"
#include "kernel/source.h"
#include "model/fleet/fleet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What each process is; sizes in KiB. */
struct made_up {
	pid_t pid, ppid;
	const char *comm;
	unsigned rss, pss, uss, swap, uid, faults;
	bool denied; /* smaps_rollup */
	bool gone;   /* ends after statm was read */
	const char *cgroup;
};

static const struct made_up machine[] = {
	{ 1, 0, "init", 400, 300, 200, 0, 0, 10, .cgroup = "0::/\n" },
	{ 10, 1, "shared", 9000, 100, 50, 0, 7, 20, .cgroup = "0::/a\n" },
	{ 11, 1, "own", 800, 700, 700, 9, 7, 99, .cgroup = "4:cpu:/no\n9:memory:/a\n" },
	{ 12, 10, ") R 1 (\n\x1b", 700, 600, 1, 0, 8, 5, .cgroup = "0::/b:c\n" },
	{ 13, 12, "secret", 650, 640, 640, 0, 9, 1, .denied = true, .cgroup = "0::/b\n" },
	{ 14, 13, "shy", 500, 500, 500, 0, 9, 1, .gone = true, .cgroup = "" },
	{ 20, 2, "kthread", 0, 0, 0, 0, 0, 0, .cgroup = "0::/\n" },
	{ 30, 99, "orphan", 100, 90, 80, 0, 7, 0, .cgroup = "0::/a\n" },
};
enum { N_MADE_UP = sizeof(machine) / sizeof(*machine) };

struct source {
	struct mw_source base;
	unsigned rollups, stats, status;
	unsigned grow; /* KiB more of Rss, and so many more faults */
};

static struct mw_err *list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	(void)src, (void)pid;
	for (size_t i = 0; i < N_MADE_UP; i++)
		if (!mw_vec_add(out, machine[i].pid))
			return mw_err_nomem();
	/* One that is gone before anything was read of it. */
	return mw_vec_add(out, 77) ? NULL : mw_err_nomem();
}

static bool print_rollup(const struct made_up *p, struct mw_buf *out)
{
	return mw_buf_printf(out,
			     "55d0-7ffd ---p 00000000 00:00 0 [rollup]\n"
			     "Rss: %u kB\nPss: %u kB\nPrivate_Clean: 0 kB\n"
			     "Private_Dirty: %u kB\nSwap: %u kB\n",
			     p->rss, p->pss, p->uss, p->swap);
}

static bool print(struct source *s, const struct made_up *p, enum mw_file file,
		  struct mw_buf *out)
{
	unsigned rss = p->rss ? p->rss + s->grow : 0;
	switch (file) {
	case MW_FILE_STATM:
		return mw_buf_printf(out, "%u %u 1 1 0 1 0\n", p->rss ? 90000 : 0,
				     rss / 4);
	case MW_FILE_STAT:
		s->stats++;
		return mw_buf_printf(
			out,
			"%d (%s) S %d 1 1 0 -1 %u %u 0 0 0 1 1 1 1 20 0 1 0 %d "
			"1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
			p->pid, p->comm, p->ppid, p->rss ? 0 : 0x200000,
			p->faults + s->grow, p->pid);
	case MW_FILE_STATUS:
		s->status++;
		return mw_buf_printf(out,
				     "Uid:\t%u\t%u\t%u\t%u\nThreads:\t2\nVmPTE:\t%u kB\n"
				     "VmSwap:\t%u kB\n",
				     p->uid, p->uid, p->uid, p->uid, p->pid, p->swap);
	case MW_FILE_CMDLINE:
		return mw_buf_add(out, "prog\0--arg\0", p->rss ? 11 : 0);
	case MW_FILE_CGROUP:
		return mw_buf_printf(out, "%s", p->cgroup);
	case MW_FILE_SMAPS_ROLLUP:
		s->rollups++;
		return print_rollup(p, out);
	case MW_FILE_SMAPS:
		return mw_buf_printf(
			out, "1000-2000 r--p 00000000 00:01 5   /lib/a\nRss: 8 kB\n"
			     "Pss: 4 kB\n3000-4000 rw-p 00000000 00:00 0 \n"
			     "Rss: 4 kB\nPss: 4 kB\n5000-6000 r--p 00000000 00:01 5 "
			     "  /lib/a\nRss: 4 kB\nPss: 2 kB\n");
	default:
		return false;
	}
}

static struct mw_err *read_text(struct mw_source *src, pid_t pid, pid_t tid,
				enum mw_file file, struct mw_buf *out)
{
	(void)tid;
	bool walks = file == MW_FILE_SMAPS_ROLLUP || file == MW_FILE_SMAPS;
	for (size_t i = 0; i < N_MADE_UP; i++) {
		const struct made_up *p = &machine[i];
		if (p->pid != pid)
			continue;
		if (p->gone && file != MW_FILE_STATM)
			return mw_err_new(MW_ERR_GONE, ESRCH, NULL, "process ended");
		if (p->denied && walks)
			return mw_err_new(MW_ERR_DENIED, EACCES, NULL, "not yours");
		return print((struct source *)src, p, file, out) ? NULL : mw_err_nomem();
	}
	return mw_err_new(MW_ERR_NOTFOUND, ENOENT, NULL, "no process %d", (int)pid);
}

static const struct mw_source_ops ops = { .name = "made up",
					  .read_text = read_text,
					  .list = list };

static struct source make(void)
{
	return (struct source){ .base = { .ops = &ops,
					  .facts = { .page_size = 4096,
						     .clock_ticks = 100,
						     .release = "" } } };
}

static struct mw_fleet *take(struct source *s, struct mw_fleet_opts opts)
{
	struct mw_fleet *fleet = NULL;
	if (!opts.budget_ns)
		opts.budget_ns = UINT64_MAX;
	assert_null(mw_fleet_take(&s->base, &opts, NULL, &fleet));
	return fleet;
}

static void check_pids(const struct mw_fleet *fleet, const pid_t *pids, size_t n)
{
	assert_int_equal(fleet->rows.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(fleet->rows.items[i].pid, pids[i]);
}

static void by_pss(void **state)
{
	(void)state;
	static const pid_t want[] = { 11, 12, 1, 10, 30, 13 }; /* unknown ones last */
	struct source s = make();
	mw_auto_fleet fleet = take(&s, (struct mw_fleet_opts){ .n_rows = 0 });
	check_pids(fleet, want, 6);
	assert_int_equal(fleet->rows.items[0].pss, 700 << 10);
	assert_int_equal(fleet->rows.items[0].swap, 9 << 10);
	assert_int_equal(fleet->rows.items[5].pss, MW_FLEET_UNKNOWN);
	assert_int_equal(fleet->rows.items[5].rss, 650 / 4 * 4096);
	assert_string_equal(fleet->rows.items[1].name, ") R 1 (\n\x1b");
	assert_string_equal(fleet->rows.items[1].command, "prog --arg");
	assert_int_equal(fleet->n_denied, 1);
	assert_string_equal(fleet->denied_why, "not yours");
	assert_int_equal(fleet->n_vanished, 2); /* 14 and 77 */
	assert_int_equal(fleet->total.pss, (300 + 100 + 700 + 600 + 90) << 10);
	assert_int_equal(fleet->unread_rss, 650 / 4 * 4096);
}

/* No more than needed is walked: 100 KiB of "orphan" cannot be first. */
static void proven(void **state)
{
	(void)state;
	static const pid_t want[] = { 11 };
	struct source s = make();
	mw_auto_fleet fleet = take(&s, (struct mw_fleet_opts){ .n_rows = 1 });
	check_pids(fleet, want, 1);
	assert_int_equal(s.rollups, 2); /* "shared", then "own": the next has 700 KiB */
	assert_true(fleet->proven);
	assert_int_equal(s.status, 2); /* and of the kernel thread, which lacks statm */
	/* One that may be larger was not read: nothing is proven. */
	mw_auto_fleet more = take(&s, (struct mw_fleet_opts){ .n_rows = 3 });
	assert_false(more->proven);
}

static void without_budget(void **state)
{
	(void)state;
	static const pid_t want[] = { 10, 11, 12, 13, 1, 30 };
	struct source s = make();
	struct mw_fleet_opts opts = { .budget_ns = 0 };
	struct mw_fleet *fleet = NULL;
	assert_null(mw_fleet_take(&s.base, &opts, NULL, &fleet));
	check_pids(fleet, want, 6);
	assert_int_equal(s.rollups, 0);
	assert_int_equal(fleet->n_late, 6);
	assert_int_equal(fleet->total.pss, MW_FLEET_UNKNOWN);
	assert_false(fleet->proven);
	mw_fleet_free(fleet);
}

static const struct mw_fleet_row *named(const struct mw_fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->rows.n; i++)
		if (!strcmp(fleet->rows.items[i].name, name))
			return &fleet->rows.items[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void groups(void **state)
{
	(void)state;
	struct source s = make();
	mw_auto_fleet users = take(&s, (struct mw_fleet_opts){ .by = MW_BY_USER });
	assert_int_equal(users->rows.n, 4);
	assert_int_equal(named(users, "7")->n, 3);
	assert_int_equal(named(users, "7")->pss, (100 + 700 + 90) << 10);
	assert_int_equal(named(users, "7")->tables, (10 + 11 + 30) << 10);
	assert_int_equal(named(users, "9")->pss, MW_FLEET_UNKNOWN);
	assert_int_equal(named(users, "9")->n_unread, 1);
	mw_auto_fleet groups = take(&s, (struct mw_fleet_opts){ .by = MW_BY_CGROUP });
	assert_int_equal(named(groups, "/a")->n, 3);
	assert_int_equal(named(groups, "/b:c")->n, 1);
	mw_auto_fleet files = take(&s, (struct mw_fleet_opts){ .by = MW_BY_FILE });
	assert_int_equal(named(files, "/lib/a")->n, 5);
	assert_int_equal(named(files, "/lib/a")->pss, (5 * 6) << 10);
	assert_int_equal(named(files, "[anonymous]")->rss, (5 * 4) << 10);
}

static void filters(void **state)
{
	(void)state;
	struct source s = make();
	static const pid_t seven[] = { 11, 10, 30 }, eleven[] = { 11 };
	mw_auto_fleet user = take(&s, (struct mw_fleet_opts){ .filter = "7" });
	check_pids(user, seven, 3);
	mw_auto_fleet pid = take(&s, (struct mw_fleet_opts){ .filter = "OWN" });
	check_pids(pid, eleven, 1);
	mw_auto_fleet none = take(&s, (struct mw_fleet_opts){ .filter = "nothing" });
	check_pids(none, NULL, 0);
	const struct mw_fleet_opts threads = { .filter = "kthread", .kernel = true };
	mw_auto_fleet kernel = take(&s, threads);
	assert_int_equal(kernel->rows.n, 1);
	assert_true(kernel->rows.items[0].kernel);
}

static void tree(void **state)
{
	(void)state;
	static const pid_t want[] = { 1, 10, 12, 13, 11, 30 };
	static const unsigned depth[] = { 0, 1, 2, 3, 1, 0 };
	struct source s = make();
	mw_auto_fleet fleet =
		take(&s, (struct mw_fleet_opts){ .tree = true, .key = MW_RANK_PID });
	check_pids(fleet, want, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(fleet->rows.items[i].depth, depth[i]);
}

static void rates(void **state)
{
	(void)state;
	struct source s = make();
	struct mw_fleet_opts opts = { .watch = true, .budget_ns = UINT64_MAX };
	struct mw_fleet *first = NULL, *second = NULL;
	assert_null(mw_fleet_take(&s.base, &opts, NULL, &first));
	assert_false(first->rows.items[0].has_growth);
	first->taken_ns -= 60000000000; /* a minute ago */
	s.grow = 40;
	assert_null(mw_fleet_take(&s.base, &opts, first, &second));
	assert_true(second->rows.items[0].has_growth);
	assert_in_range(second->rows.items[0].growth, 39 << 10, 40 << 10);
	assert_int_equal(second->rows.items[0].fault_rate, 0); /* 40 in 60 s */
	/* The pid names another process by now. */
	for (size_t i = 0; i < first->all.n; i++)
		first->all.items[i].start_ticks++;
	mw_fleet_free(second);
	assert_null(mw_fleet_take(&s.base, &opts, first, &second));
	assert_false(second->rows.items[0].has_growth);
	assert_int_equal(second->rows.items[0].fault_rate, MW_FLEET_UNKNOWN);
	mw_fleet_free(first);
	mw_fleet_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_pss),         cmocka_unit_test(proven),
		cmocka_unit_test(without_budget), cmocka_unit_test(groups),
		cmocka_unit_test(filters),        cmocka_unit_test(tree),
		cmocka_unit_test(rates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
