// SPDX-License-Identifier: MIT
/* Page states: PAGEMAP_SCAN, pagemap, kpagecount and kpageflags. */
#include "kernel/live.h"
#include "kernel/uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
	/* The kernel keeps the target's mmap lock while it looks at this many pages. */
	SCAN_PAGES = 65536,
	SCAN_RANGES = 4096,
	PAGEMAP_WORDS = 65536,
	KPAGE_WORDS = 65536,
};

/*
 * Address space per call: empty page tables are walked too, and are not counted as
 * pages, so a bound on pages alone bounds nothing. Reserved space costs about 0.3 us
 * a step.
 */
static const uint64_t scan_step = 32ULL << 30;

/*
 * Not asked for: FILE makes the kernel look at every page's folio and the scan four
 * times dearer, and pagemap tells it anyway; WRITTEN and WPALLOWED mean something only
 * to the owner of a userfaultfd.
 */
static const uint64_t scan_return = MW_SCAN_PRESENT | MW_SCAN_SWAPPED | MW_SCAN_PFNZERO |
				    MW_SCAN_HUGE | MW_SCAN_SOFT_DIRTY;

struct scan {
	struct mw_live *live;
	int fd;
	struct mw_uapi_page_region *ranges;
	size_t n_ranges; /* room for as many */
	struct mw_page_ranges *out;
	size_t first; /* in `out`: ranges before it are another scan's */
};

/* One ioctl; a kernel that does not know the guard category (before 6.15) is asked
 * without. Returns the number of ranges, or -1 with errno.
 */
static long scan_call(struct scan *scan, uint64_t start, uint64_t end, uint64_t *walk_end)
{
	bool guard = !__atomic_load_n(&scan->live->no_guard, __ATOMIC_RELAXED);
	struct mw_uapi_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uint64_t)(uintptr_t)scan->ranges,
		.vec_len = scan->n_ranges,
		.max_pages = SCAN_PAGES,
		.category_anyof_mask =
			MW_SCAN_PRESENT | MW_SCAN_SWAPPED | (guard ? MW_SCAN_GUARD : 0),
		.return_mask = scan_return | (guard ? MW_SCAN_GUARD : 0),
	};
	long n;

	do
		n = ioctl(scan->fd, MW_UAPI_PAGEMAP_SCAN, &arg);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EINVAL && guard) {
		__atomic_store_n(&scan->live->no_guard, true, __ATOMIC_RELAXED);
		return scan_call(scan, start, end, walk_end);
	}
	*walk_end = arg.walk_end;
	return n;
}

/* Appends a range, or lengthens the last one. */
static bool add_range(struct scan *scan, struct mw_page_range range)
{
	struct mw_page_ranges *out = scan->out;

	if (out->n > scan->first) {
		struct mw_page_range *last = &out->items[out->n - 1];
		if (last->end == range.start && last->categories == range.categories) {
			last->end = range.end;
			return true;
		}
	}
	return mw_vec_add(out, range);
}

/*
 * Takes one call's ranges, and moves *at to where the next call begins.
 *
 * walk_end alone must not be trusted: Linux 6.7 to 6.18 leave it at the end of an
 * earlier internal batch once a call emits more than 512 ranges, and whoever resumes
 * there counts pages twice. A call that filled neither bound has seen all up to `end`.
 */
static bool take_ranges(struct scan *scan, size_t n, uint64_t walk_end, uint64_t *at,
			uint64_t end)
{
	uint64_t reached = *at, n_bytes = 0;

	for (size_t i = 0; i < n; i++) {
		const struct mw_uapi_page_region *r = &scan->ranges[i];
		if (r->start < reached || r->end <= r->start)
			continue;
		if (!add_range(scan,
			       (struct mw_page_range){ r->start, r->end, r->categories }))
			return false;
		reached = r->end;
		n_bytes += r->end - r->start;
	}
	bool full = n >= scan->n_ranges ||
		    n_bytes / scan->live->base.facts.page_size >= SCAN_PAGES;
	if (!full || reached == *at)
		*at = end;
	else
		*at = walk_end > reached && walk_end <= end ? walk_end : reached;
	return true;
}

/* 0 or errno; what was found until then stays. */
static int scan_range(struct scan *scan, uint64_t start, uint64_t end)
{
	while (start < end) {
		uint64_t stop = end - start > scan_step ? start + scan_step : end;
		while (start < stop) {
			uint64_t walk_end = 0;
			long n = scan_call(scan, start, stop, &walk_end);
			if (n < 0)
				return errno;
			if (!take_ranges(scan, (size_t)n, walk_end, &start, stop))
				return ENOMEM;
		}
	}
	return 0;
}

/*
 * A page map outlives its address space and then reads as if nothing were mapped. Its
 * first word tells: it can be read for as long as there is an address space.
 */
static bool mm_alive(int pagemap)
{
	uint64_t word;

	return pread(pagemap, &word, sizeof(word), 0) == (ssize_t)sizeof(word);
}

static struct mw_err *scan_fail(struct mw_live *live, struct mw_live_proc *proc,
				int errnum)
{
	if (errnum == ENOTTY || errnum == EINVAL)
		return mw_err_new(MW_ERR_UNSUPPORTED, errnum, "PAGEMAP_SCAN",
				  "this kernel cannot scan page maps (PAGEMAP_SCAN, "
				  "Linux 6.7)");
	if (errnum == ENOMEM)
		return mw_err_nomem();
	return mw_live_fail(live, proc, "pagemap", errnum);
}

static struct mw_err *scan_proc(struct mw_live *live, struct mw_live_proc *proc,
				uint64_t start, uint64_t end, struct mw_page_ranges *out)
{
	struct scan scan = { .live = live, .out = out, .first = out->n };

	struct mw_err *err = mw_live_pagemap(live, proc, &scan.fd);
	if (err)
		return err;
	uint64_t n_pages = (end - start) / live->base.facts.page_size;
	scan.n_ranges = n_pages < SCAN_RANGES ? n_pages : SCAN_RANGES;
	scan.ranges = malloc(scan.n_ranges * sizeof(*scan.ranges));
	if (!scan.ranges)
		return mw_err_nomem();
	int errnum = scan_range(&scan, start, end);
	if (errnum)
		err = scan_fail(live, proc, errnum);
	else if (out->n == scan.first && !mm_alive(scan.fd))
		err = mw_live_mm_gone(live, proc, "pagemap");
	free(scan.ranges);
	if (err)
		out->n = scan.first;
	return err;
}

struct mw_err *mw_live_scan(struct mw_source *src, pid_t pid, uint64_t start,
			    uint64_t end, struct mw_page_ranges *out)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	err = scan_proc(live, proc, start, end, out);
	mw_live_drop(live, proc);
	return err;
}

/*
 * Reads words of a file that has one a page. Returns how many were there before its
 * end, or -1 with errno.
 */
static ssize_t read_words(int fd, uint64_t first, size_t n, size_t chunk, uint64_t *ret)
{
	size_t done = 0;

	while (done < n) {
		size_t want = n - done < chunk ? n - done : chunk;
		ssize_t got = pread(fd, ret + done, want * sizeof(*ret),
				    (off_t)((first + done) * sizeof(*ret)));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got < (ssize_t)sizeof(*ret))
			break;
		done += (size_t)got / sizeof(*ret);
	}
	return (ssize_t)done;
}

struct mw_err *mw_live_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	int fd;

	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	err = mw_live_pagemap(live, proc, &fd);
	if (!err) {
		ssize_t got = read_words(fd, addr / live->base.facts.page_size, n_pages,
					 PAGEMAP_WORDS, ret);
		if (got < 0)
			err = mw_live_fail(live, proc, "pagemap", errno);
		else if ((size_t)got < n_pages && !mm_alive(fd))
			err = mw_live_mm_gone(live, proc, "pagemap");
		else /* past the end of user space, where only [vsyscall] lies */
			memset(ret + got, 0, (n_pages - (size_t)got) * sizeof(*ret));
	}
	mw_live_drop(live, proc);
	return err;
}

static struct mw_err *kpage_fd(struct mw_live *live, enum mw_kpage which, int *ret)
{
	const char *name = mw_kpage_name(which);
	int errnum = 0;

	pthread_mutex_lock(&live->lock);
	int *fd = &live->kpage[which];
	if (*fd < 0)
		*fd = openat(live->proc, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		errnum = errno;
	else
		*ret = *fd;
	pthread_mutex_unlock(&live->lock);
	if (errnum == EACCES || errnum == EPERM)
		return mw_err_new(MW_ERR_DENIED, errnum, name,
				  "/proc/%s: %s: needs CAP_DAC_READ_SEARCH: try as root",
				  name, strerror(errnum));
	if (errnum == ENOENT)
		return mw_err_new(
			MW_ERR_UNSUPPORTED, errnum, name,
			"this kernel has no /proc/%s (CONFIG_PROC_PAGE_MONITOR)", name);
	return errnum ? mw_err_sys(errnum, name) : NULL;
}

struct mw_err *mw_live_read_kpage(struct mw_source *src, enum mw_kpage which,
				  uint64_t pfn, size_t n, uint64_t *ret)
{
	struct mw_live *live = mw_live_of(src);
	int fd = -1;

	struct mw_err *err = kpage_fd(live, which, &fd);
	if (err)
		return err;
	ssize_t got = read_words(fd, pfn, n, KPAGE_WORDS, ret);
	if (got < 0)
		return mw_err_sys(errno, mw_kpage_name(which));
	/* Frames past the last one of RAM belong to devices: no count, no flags. */
	memset(ret + got, 0, (n - (size_t)got) * sizeof(*ret));
	return NULL;
}
