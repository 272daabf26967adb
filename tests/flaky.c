// SPDX-License-Identifier: MIT
#include "flaky.h"

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct flaky {
	struct mw_source base;
	struct mw_source *inner;
	struct mw_flaky_opts opts;
	atomic_size_t n_calls; /* pagemaps may be read from several threads */
};

/* Who answers a call that does not fail. */
enum fate { PASS, OTHER };

/* The process that has the pid after a reuse: one page of a program, one of stack. */
#define OTHER_STAT                                                                 \
	" (other) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 987654321 8192 2 " \
	"18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
#define OTHER_TEXT_LINE                                                             \
	"00400000-00401000 r-xp 00000000 fe:00 4242                               " \
	"/usr/bin/other\n"
#define OTHER_STACK_LINE                                                            \
	"7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0                          " \
	"[stack]\n"
#define OTHER_COUNTERS                                               \
	"Size:                  4 kB\nKernelPageSize:        4 kB\n" \
	"MMUPageSize:           4 kB\nRss:                   4 kB\n" \
	"Pss:                   4 kB\nShared_Clean:          0 kB\n" \
	"Shared_Dirty:          0 kB\nPrivate_Clean:         0 kB\n" \
	"Private_Dirty:         4 kB\nReferenced:            4 kB\n" \
	"Anonymous:             4 kB\n"
#define OTHER_STATUS                                                          \
	"Name:\tother\nState:\tS (sleeping)\nVmSize:\t       8 kB\n"          \
	"VmRSS:\t       8 kB\nRssAnon:\t       8 kB\nRssFile:\t       0 kB\n" \
	"RssShmem:\t       0 kB\nVmSwap:\t       0 kB\nThreads:\t1\n"

static struct flaky *flaky_of(struct mw_source *src)
{
	return (struct flaky *)src;
}

/* Counts a call and fails it when it is its turn; pid 0: about no process. */
static struct mw_err *enter(struct mw_source *src, pid_t pid, enum fate *fate)
{
	struct flaky *flaky = flaky_of(src);
	size_t number = atomic_fetch_add(&flaky->n_calls, 1) + 1;
	size_t at = flaky->opts.fail_at;

	*fate = PASS;
	if (!at || number < at)
		return NULL;
	switch (flaky->opts.mode) {
	case MW_FLAKY_IO:
		if (number != at)
			return NULL;
		return mw_err_new(MW_ERR_IO, EIO, "flaky", "call %zu failed", number);
	case MW_FLAKY_DENIED:
		if (number != at)
			return NULL;
		return mw_err_new(MW_ERR_DENIED, EACCES, "flaky", "call %zu was denied",
				  number);
	case MW_FLAKY_VANISH:
		if (!pid)
			return NULL;
		return mw_err_new(MW_ERR_GONE, ESRCH, "flaky", "process %d is gone",
				  (int)pid);
	case MW_FLAKY_REUSE:
		*fate = pid ? OTHER : PASS;
	}
	return NULL;
}

static void flaky_close(struct mw_source *src)
{
	free(flaky_of(src));
}

static struct mw_err *not_mapped(void)
{
	return mw_err_new(MW_ERR_NOTFOUND, EIO, "flaky", "nothing is mapped there");
}

static bool other_text(pid_t pid, enum mw_file file, struct mw_buf *out)
{
	switch (file) {
	case MW_FILE_MAPS:
		return mw_buf_printf(out, OTHER_TEXT_LINE OTHER_STACK_LINE);
	case MW_FILE_SMAPS:
		return mw_buf_printf(
			out,
			OTHER_TEXT_LINE OTHER_COUNTERS OTHER_STACK_LINE OTHER_COUNTERS);
	case MW_FILE_SMAPS_ROLLUP:
		return mw_buf_printf(out, "00400000-7ffc00001000 ---p 00000000 00:00 0 "
					  "[rollup]\nRss: 8 kB\nPss: 8 kB\n");
	case MW_FILE_STATUS:
		return mw_buf_printf(out, OTHER_STATUS);
	case MW_FILE_STATM:
		return mw_buf_printf(out, "2 2 0 1 0 1 0\n");
	case MW_FILE_STAT:
		return mw_buf_printf(out, "%d" OTHER_STAT, (int)pid);
	case MW_FILE_COMM:
		return mw_buf_printf(out, "other\n");
	case MW_FILE_CMDLINE:
		return mw_buf_add(out, "other", sizeof("other"));
	default: /* empty, as a kernel thread's */
		return true;
	}
}

static struct mw_err *flaky_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				      enum mw_file file, struct mw_buf *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER && tid && tid != pid)
		return mw_err_new(MW_ERR_NOTFOUND, ENOENT, "flaky", "no thread %d", tid);
	if (fate == OTHER)
		return other_text(pid, file, out) ? NULL : mw_err_nomem();
	return mw_source_read_text(flaky_of(src)->inner, pid, tid, file, out);
}

static struct mw_err *flaky_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return mw_buf_printf(out, "/usr/bin/other") ? NULL : mw_err_nomem();
	return mw_source_read_exe(flaky_of(src)->inner, pid, out);
}

static struct mw_err *flaky_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return mw_vec_add(out, pid) ? NULL : mw_err_nomem();
	return mw_source_list(flaky_of(src)->inner, pid, out);
}

static struct mw_err *flaky_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err || fate == OTHER)
		return err;
	return mw_source_list_fds(flaky_of(src)->inner, pid, out);
}

static const struct mw_page_range other_pages[] = {
	{ 0x400000, 0x401000, MW_SCAN_PRESENT },
	{ 0x7ffc00000000, 0x7ffc00001000, MW_SCAN_PRESENT },
};
enum { N_OTHER_PAGES = sizeof(other_pages) / sizeof(*other_pages) };

static struct mw_err *flaky_scan(struct mw_source *src, pid_t pid, uint64_t start,
				 uint64_t end, struct mw_page_ranges *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate != OTHER)
		return mw_source_scan(flaky_of(src)->inner, pid, start, end, out);
	for (size_t i = 0; i < N_OTHER_PAGES; i++)
		if (other_pages[i].start >= start && other_pages[i].end <= end &&
		    !mw_vec_add(out, other_pages[i]))
			return mw_err_nomem();
	return NULL;
}

/* Present and mapped once: bits 63 and 56. */
static uint64_t other_word(uint64_t addr)
{
	for (size_t i = 0; i < N_OTHER_PAGES; i++)
		if (addr == other_pages[i].start)
			return 1ull << 63 | 1ull << 56;
	return 0;
}

static struct mw_err *flaky_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
					 size_t n_pages, uint64_t *ret)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate != OTHER)
		return mw_source_read_pagemap(flaky_of(src)->inner, pid, addr, n_pages,
					      ret);
	for (size_t i = 0; i < n_pages; i++)
		ret[i] = other_word(addr + i * src->facts.page_size);
	return NULL;
}

static struct mw_err *flaky_read_kpage(struct mw_source *src, enum mw_kpage which,
				       uint64_t pfn, size_t n, uint64_t *ret)
{
	enum fate fate;
	struct mw_err *err = enter(src, 0, &fate);
	if (err)
		return err;
	return mw_source_read_kpage(flaky_of(src)->inner, which, pfn, n, ret);
}

static struct mw_err *flaky_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
					void *bytes, size_t len, enum mw_purpose purpose,
					size_t *got)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return not_mapped();
	return mw_source_read_memory(flaky_of(src)->inner, pid, addr, bytes, len, purpose,
				     got);
}

static struct mw_err *flaky_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
					 void *bytes, size_t len, enum mw_purpose purpose,
					 size_t *got)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return not_mapped();
	return mw_source_read_private(flaky_of(src)->inner, pid, addr, bytes, len,
				      purpose, got);
}

static struct mw_err *flaky_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				       uint64_t *ret)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return not_mapped();
	return mw_source_zero_bytes(flaky_of(src)->inner, pid, addr, ret);
}

static struct mw_err *flaky_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
					uint64_t *ret)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return mw_err_new(MW_ERR_NOTFOUND, ESRCH, "flaky", "no thread %d", tid);
	return mw_source_robust_list(flaky_of(src)->inner, pid, tid, ret);
}

static struct mw_err *flaky_read_object(struct mw_source *src, pid_t pid,
					const struct mw_object *obj, uint64_t off,
					void *bytes, size_t len, size_t *got)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return not_mapped();
	return mw_source_read_object(flaky_of(src)->inner, pid, obj, off, bytes, len,
				     got);
}

static struct mw_err *flaky_probe(struct mw_source *src, enum mw_feature feature,
				  bool *ret)
{
	enum fate fate;
	struct mw_err *err = enter(src, 0, &fate);
	return err ? err : mw_source_probe(flaky_of(src)->inner, feature, ret);
}

static struct mw_err *flaky_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	return err ? err : mw_source_stop(flaky_of(src)->inner, pid, max_ms);
}

static struct mw_err *flaky_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	return mw_source_resume(flaky_of(src)->inner, held_ns, cut);
}

static struct mw_err *flaky_list_registers(struct mw_source *src, pid_t pid,
					   struct mw_registers_list *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err)
		return err;
	if (fate == OTHER)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "flaky", "was not stopped");
	return mw_source_list_registers(flaky_of(src)->inner, pid, out);
}

static struct mw_err *flaky_list_kept(struct mw_source *src, pid_t pid,
				      struct mw_words *out)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	if (err || fate == OTHER)
		return err;
	return mw_source_list_kept(flaky_of(src)->inner, pid, out);
}

static struct mw_err *flaky_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
				 pid_t *child)
{
	enum fate fate;
	struct mw_err *err = enter(src, pid, &fate);
	return err ? err : mw_source_fork(flaky_of(src)->inner, pid, max_ms, child);
}

static const struct mw_source_ops flaky_ops = {
	.name = "flaky",
	.close = flaky_close,
	.read_text = flaky_read_text,
	.read_exe = flaky_read_exe,
	.list = flaky_list,
	.list_fds = flaky_list_fds,
	.scan = flaky_scan,
	.read_pagemap = flaky_read_pagemap,
	.read_kpage = flaky_read_kpage,
	.read_memory = flaky_read_memory,
	.read_private = flaky_read_private,
	.zero_bytes = flaky_zero_bytes,
	.robust_list = flaky_robust_list,
	.read_object = flaky_read_object,
	.probe = flaky_probe,
	.stop = flaky_stop,
	.resume = flaky_resume,
	.list_registers = flaky_list_registers,
	.list_kept = flaky_list_kept,
	.fork = flaky_fork,
};

struct mw_err *mw_flaky_open(struct mw_source *inner, const struct mw_flaky_opts *opts,
			     struct mw_source **ret)
{
	struct flaky *flaky = calloc(1, sizeof(*flaky));
	if (!flaky)
		return mw_err_nomem();
	flaky->inner = inner;
	flaky->opts = *opts;
	flaky->base.ops = &flaky_ops;
	flaky->base.facts = *mw_source_facts(inner);
	*ret = &flaky->base;
	return NULL;
}

size_t mw_flaky_calls(struct mw_source *flaky)
{
	return atomic_load(&flaky_of(flaky)->n_calls);
}
