// SPDX-License-Identifier: MIT
/*
 * What this kernel can do and what memwhy may ask of it, found out by trying it on
 * memwhy's own pages. A version number would lie: distributions backport, and kernels
 * are built without parts.
 */
#include "kernel/live.h"
#include "kernel/uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Older headers lack the newest capability. */
enum { CAP_NR_PERFMON = 38 };

static const char idle_bitmap[] = "/sys/kernel/mm/page_idle/bitmap";

static bool may_open(struct mw_live *live, const char *name)
{
	int fd = openat(live->proc, name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool has_scan(struct mw_live *live, char *page, size_t len)
{
	struct mw_uapi_page_region range = { 0 };
	struct mw_uapi_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uint64_t)(uintptr_t)page,
		.end = (uint64_t)(uintptr_t)page + len,
		.vec = (uint64_t)(uintptr_t)&range,
		.vec_len = 1,
		.category_anyof_mask = MW_SCAN_PRESENT,
		.return_mask = MW_SCAN_PRESENT,
	};

	int fd = openat(live->proc, "self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	long n = ioctl(fd, MW_UAPI_PAGEMAP_SCAN, &arg);
	close(fd);
	return n == 1 && range.start == arg.start;
}

static bool has_query(struct mw_live *live, const char *page)
{
	struct mw_uapi_procmap_query query = {
		.size = sizeof(query),
		.query_addr = (uint64_t)(uintptr_t)page,
	};

	int fd = openat(live->proc, "self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	int rc = ioctl(fd, MW_UAPI_PROCMAP_QUERY, &query);
	close(fd);
	return rc == 0 && query.vma_start <= query.query_addr;
}

/* The pagemap word of a page of memwhy's own; 0 when it cannot be read. */
static uint64_t own_word(struct mw_live *live, const char *page, size_t len)
{
	uint64_t word = 0;

	int fd = openat(live->proc, "self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	off_t off = (off_t)((uintptr_t)page / len * sizeof(word));
	if (pread(fd, &word, sizeof(word), off) != (ssize_t)sizeof(word))
		word = 0;
	close(fd);
	return word;
}

static bool has_frames(struct mw_live *live, const char *page, size_t len)
{
	return (own_word(live, page, len) & ((1ULL << 55) - 1)) != 0;
}

/* A page that was just written is soft-dirty, where the kernel keeps track. */
static bool has_soft_dirty(struct mw_live *live, const char *page, size_t len)
{
	return own_word(live, page, len) >> 55 & 1;
}

static bool has_anon_names(char *page, size_t len)
{
	return prctl(MW_UAPI_PR_SET_VMA, MW_UAPI_PR_SET_VMA_ANON_NAME, page, len,
		     "memwhy") == 0;
}

static bool has_guard(char *page, size_t len)
{
	return madvise(page, len, MW_UAPI_MADV_GUARD_INSTALL) == 0;
}

static bool has_cap(unsigned cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &head, data) != 0)
		return false;
	return data[cap / 32].effective >> cap % 32 & 1;
}

static bool has_idle_bitmap(void)
{
	int fd = open(idle_bitmap, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* `page` is one written page of memwhy's own, used for nothing else. */
static bool probe(struct mw_live *live, enum mw_feature feature, char *page, size_t len)
{
	switch (feature) {
	case MW_FEATURE_PAGEMAP_SCAN:
		return has_scan(live, page, len);
	case MW_FEATURE_PROCMAP_QUERY:
		return has_query(live, page);
	case MW_FEATURE_FRAMES:
		return has_frames(live, page, len);
	case MW_FEATURE_KPAGECOUNT:
		return may_open(live, "kpagecount");
	case MW_FEATURE_KPAGEFLAGS:
		return may_open(live, "kpageflags");
	case MW_FEATURE_SOFT_DIRTY:
		return has_soft_dirty(live, page, len);
	case MW_FEATURE_IDLE_BITMAP:
		return has_idle_bitmap();
	case MW_FEATURE_ANON_NAMES:
		return has_anon_names(page, len);
	case MW_FEATURE_MADV_GUARD:
		return has_guard(page, len);
	case MW_FEATURE_PERFMON:
		return has_cap(CAP_NR_PERFMON);
	case MW_FEATURE_SYS_PTRACE:
		return has_cap(CAP_SYS_PTRACE);
	case MW_FEATURE_SYS_ADMIN:
		return has_cap(CAP_SYS_ADMIN);
	case MW_FEATURE_DAC_READ_SEARCH:
		return has_cap(CAP_DAC_READ_SEARCH);
	case MW_FEATURE_COUNT:
		break;
	}
	return false;
}

struct mw_err *mw_live_probe(struct mw_source *src, enum mw_feature feature, bool *ret)
{
	size_t len = src->facts.page_size;
	char *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED)
		return mw_err_nomem();
	*(volatile char *)page = 1;
	*ret = probe(mw_live_of(src), feature, page, len);
	munmap(page, len);
	return NULL;
}
