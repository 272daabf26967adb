// SPDX-License-Identifier: MIT
#include "fake.h"

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fake {
	struct mw_source base;
	unsigned n_status, n_stat;
};

static struct fake *fake_of(struct mw_source *src)
{
	return (struct fake *)src;
}

static const char maps[] =
	"00400000-00401000 r-xp 00000000 fe:00 77                 /home/u/my "
	"prog\\012(1)\n"
	"00401000-00402000 rw-p 00001000 fe:00 77                 /home/u/my "
	"prog\\012(1)\n"
	"00500000-00600000 rw-p 00000000 00:00 0                  [heap]\n"
	"7f0000000000-7f0000002000 r--p 00000000 fe:00 78         /usr/lib/libc.so.6\n"
	"7f0000002000-7f0000003000 r--p 00000000 fe:00 79         "
	"/opt/app/libx.so.1.2 (deleted)\n"
	"7f0000003000-7f0000004000 rw-s 00000000 00:01 5          /memfd:secret "
	"(deleted)\n"
	"7f0000004000-7f0000005000 rw-p 00000000 00:00 0          [anon:my cache]\n"
	"7f0000005000-7f0000006000 rw-p 00000000 00:00 0          [anon: glibc: malloc]\n"
	"7ffc00000000-7ffc00001000 rw-p 00000000 00:00 0          [stack]\n";

static const char smaps[] =
	"00400000-00401000 r-xp 00000000 fe:00 77                 /home/u/my "
	"prog\\012(1)\n"
	"Size:                  4 kB\nRss:                   4 kB\n"
	"VmFlags: rd ex mr mw me\n";

static const char mountinfo[] =
	"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro\n"
	"30 22 0:25 / /dev/shm rw - tmpfs tmpfs rw,size=64k,mode=1777\n"
	"31 22 0:40 /vol /home/u\\040x rw - nfs host:/vol rw,addr=10.0.0.1\n";

static const char cmdline[] = "/home/u/my prog\n(1)\0--password\0x";

static bool process_text(struct fake *fake, enum mw_file file, struct mw_buf *out)
{
	switch (file) {
	case MW_FILE_MAPS:
		return mw_buf_printf(out, "%s", maps);
	case MW_FILE_SMAPS:
		return mw_buf_printf(out, "%s", smaps);
	case MW_FILE_STATUS:
		return mw_buf_printf(out, "Name:\tmy (prog)\nVmRSS:\t%8u kB\n",
				     ++fake->n_status < 3 ? 100 : 104);
	case MW_FILE_STAT:
		return mw_buf_printf(out, "42 (my (prog)) S 1 42 42 0 -1 0 %u\n",
				     ++fake->n_stat);
	case MW_FILE_COMM:
		return mw_buf_printf(out, "my (prog)\n");
	case MW_FILE_CMDLINE:
		return mw_buf_add(out, cmdline, sizeof(cmdline));
	case MW_FILE_AUXV:
		return mw_buf_add(out, "\x06\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0", 16);
	case MW_FILE_MOUNTINFO:
		return mw_buf_printf(out, "%s", mountinfo);
	case MW_FILE_CGROUP:
		return mw_buf_printf(out, "4:cpu,memory:/jobs/team-x\n0::/jobs/one 7\n"
					  "1:name=systemd:/\n");
	case MW_FILE_CGROUP_PATH:
		return mw_buf_printf(out, "/jobs");
	default: /* statm, smaps_rollup, syscall: empty, as of a zombie */
		return true;
	}
}

static bool thread_text(enum mw_file file, struct mw_buf *out)
{
	if (file == MW_FILE_STATUS)
		return mw_buf_printf(out, "Name:\twork\\\\er\nPid:\t43\n");
	if (file == MW_FILE_STAT)
		return mw_buf_printf(out, "43 (work\\\\er) S 1 42 42 0 -1 0 1\n");
	return mw_buf_printf(out, file == MW_FILE_COMM ? "work\\er\n" : "running\n");
}

static bool machine_text(enum mw_file file, struct mw_buf *out)
{
	if (file == MW_FILE_THP_ENABLED)
		return mw_buf_printf(out, "always [madvise] never\n");
	return mw_buf_printf(out, "%s of the machine\n", mw_file_name(file));
}

static struct mw_err *gone(pid_t pid)
{
	return mw_err_new(MW_ERR_NOTFOUND, ENOENT, "/proc", "no process %d", (int)pid);
}

static struct mw_err *fake_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				     enum mw_file file, struct mw_buf *out)
{
	bool ok;
	if (file == MW_FILE_YAMA_SCOPE)
		return mw_err_new(MW_ERR_NOTFOUND, ENOENT, "/proc/sys/kernel/yama",
				  "this kernel has no yama");
	if (pid && pid != MW_FAKE_PID)
		return gone(pid);
	if (tid == MW_FAKE_DENIED_TID)
		return mw_err_new(MW_ERR_DENIED, EACCES, "/proc/42/task/44",
				  "denied; \"sudo\" \\ helps");
	if (!pid)
		ok = machine_text(file, out);
	else if (tid == MW_FAKE_TID)
		ok = thread_text(file, out);
	else
		ok = process_text(fake_of(src), file, out);
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *fake_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	return mw_buf_printf(out, "/home/u/my prog\n(1) (deleted)") ? NULL
								    : mw_err_nomem();
}

static struct mw_err *fake_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	(void)src;
	static const pid_t pids[] = { 1, MW_FAKE_PID };
	static const pid_t tids[] = { MW_FAKE_PID, MW_FAKE_TID, MW_FAKE_DENIED_TID };
	if (pid && pid != MW_FAKE_PID)
		return gone(pid);
	for (size_t i = 0; i < (pid ? 3u : 2u); i++)
		if (!mw_vec_add(out, pid ? tids[i] : pids[i]))
			return mw_err_nomem();
	return NULL;
}

static struct mw_err *fake_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	struct mw_fd fd = { 7, 1, 5, 8192, strdup("/memfd:secret (deleted)") };
	if (fd.target && mw_vec_add(out, fd))
		return NULL;
	free(fd.target);
	return mw_err_nomem();
}

/* Of sixteen pages, two are there and one is swapped, as far as the heap goes. */
static struct mw_err *fake_scan(struct mw_source *src, pid_t pid, uint64_t start,
				uint64_t end, struct mw_page_ranges *out)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	for (uint64_t at = start; at < end && at < 0x600000; at += MW_FAKE_PAGE) {
		uint64_t k = at / MW_FAKE_PAGE % 16;
		struct mw_page_range range = { at, at + MW_FAKE_PAGE, MW_SCAN_PRESENT };
		if (k == 3)
			range.categories = MW_SCAN_SWAPPED;
		else if (k == 1 && at + MW_FAKE_PAGE < end)
			range.end = at + 2 * MW_FAKE_PAGE;
		else if (k != 1 && (k != 2 || at != start))
			continue;
		if (!mw_vec_add(out, range))
			return mw_err_nomem();
	}
	return NULL;
}

uint64_t mw_fake_word(uint64_t vpn)
{
	const uint64_t present = 1ull << 63, swapped = 1ull << 62;
	uint64_t k = vpn % 64;
	if (k < 8) /* one frame after the other */
		return present | (1000 + k);
	if (k < 16) /* one frame again and again: the zero page */
		return present | 1ull << 61 | 5;
	if (k < 24) /* no order */
		return present | 1ull << 56 | (k * 7919 % 64 + 1);
	if (k < 32) /* frames not shown */
		return present | 1ull << 56;
	if (k < 40) /* swapped, slot after slot */
		return swapped | (k * 32 + 3);
	if (k < 44) /* a marker */
		return 1ull << 57;
	return 0;
}

static struct mw_err *fake_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
					size_t n_pages, uint64_t *ret)
{
	if (pid != MW_FAKE_PID)
		return gone(pid);
	for (size_t i = 0; i < n_pages; i++)
		ret[i] = mw_fake_word(addr / src->facts.page_size + i);
	return NULL;
}

static struct mw_err *fake_read_kpage(struct mw_source *src, enum mw_kpage which,
				      uint64_t pfn, size_t n, uint64_t *ret)
{
	(void)src;
	if (which == MW_KPAGE_FLAGS)
		return mw_err_new(MW_ERR_DENIED, EPERM, "/proc/kpageflags",
				  "/proc/kpageflags: only root may read it");
	for (size_t i = 0; i < n; i++)
		ret[i] = (pfn + i) / 3 % 4;
	return NULL;
}

static unsigned char byte_at(uint64_t addr)
{
	return addr & 0x800 ? 0 : (unsigned char)(addr * 131 >> 3);
}

static struct mw_err *fake_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				       void *bytes, size_t len, enum mw_purpose purpose,
				       size_t *got)
{
	(void)src, (void)purpose;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	if (addr < MW_FAKE_MEMORY || addr >= MW_FAKE_MEMORY_END)
		return mw_err_new(MW_ERR_NOTFOUND, EIO, "/proc/42/mem",
				  "nothing is mapped there");
	size_t n = 0;
	for (; n < len && addr + n < MW_FAKE_MEMORY_END; n++)
		((unsigned char *)bytes)[n] = byte_at(addr + n);
	*got = n;
	return NULL;
}

static struct mw_err *fake_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				      uint64_t *ret)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	*ret = addr / MW_FAKE_PAGE % MW_FAKE_PAGE;
	return NULL;
}

static struct mw_err *fake_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				       uint64_t *ret)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	if (tid == MW_FAKE_DENIED_TID)
		return mw_err_new(MW_ERR_DENIED, EPERM, NULL, "denied");
	*ret = 0x7f0000000000 + (uint64_t)tid;
	return NULL;
}

static struct mw_err *fake_read_object(struct mw_source *src, pid_t pid,
				       const struct mw_object *obj, uint64_t off,
				       void *bytes, size_t len, size_t *got)
{
	(void)src;
	if (pid != MW_FAKE_PID || obj->ino != MW_FAKE_OBJECT.ino)
		return mw_err_new(MW_ERR_DENIED, EACCES, obj->path, "%s: denied",
				  obj->path);
	size_t n = 0;
	for (; n < len && off + n < MW_FAKE_OBJECT_LEN; n++)
		((unsigned char *)bytes)[n] = (unsigned char)(off + n);
	*got = n;
	return NULL;
}

static struct mw_err *fake_probe(struct mw_source *src, enum mw_feature feature,
				 bool *ret)
{
	(void)src;
	if (feature == MW_FEATURE_IDLE_BITMAP)
		return mw_err_new(MW_ERR_DENIED, EACCES, "idle", "denied");
	*ret = feature % 2;
	return NULL;
}

static void fake_close(struct mw_source *src)
{
	free(fake_of(src));
}

static struct mw_err *fake_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	(void)src, (void)pid, (void)max_ms;
	return NULL;
}

static struct mw_err *fake_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	(void)src;
	*held_ns = 1000;
	*cut = true;
	return NULL;
}

/* Two threads, the second without words. */
static struct mw_err *fake_list_registers(struct mw_source *src, pid_t pid,
					  struct mw_registers_list *out)
{
	struct mw_registers item = { .tid = MW_FAKE_PID, .pc = 0x401000, .n = 3 };
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	item.sp = 0x7ffc00000ff0;
	item.words[0] = UINT64_MAX;
	item.words[2] = item.sp;
	if (!mw_vec_add(out, item))
		return mw_err_nomem();
	item = (struct mw_registers){ .tid = MW_FAKE_TID, .tp = 0x7f0000000700 };
	return mw_vec_add(out, item) ? NULL : mw_err_nomem();
}

static struct mw_err *fake_list_kept(struct mw_source *src, pid_t pid,
				     struct mw_words *out)
{
	(void)src;
	if (pid != MW_FAKE_PID)
		return gone(pid);
	for (uint64_t word = 1; word; word <<= 16)
		if (!mw_vec_add(out, word))
			return mw_err_nomem();
	return NULL;
}

static const struct mw_source_ops fake_ops = {
	.name = "fake",
	.close = fake_close,
	.read_text = fake_read_text,
	.read_exe = fake_read_exe,
	.list = fake_list,
	.list_fds = fake_list_fds,
	.scan = fake_scan,
	.read_pagemap = fake_read_pagemap,
	.read_kpage = fake_read_kpage,
	.read_memory = fake_read_memory,
	.zero_bytes = fake_zero_bytes,
	.robust_list = fake_robust_list,
	.read_object = fake_read_object,
	.probe = fake_probe,
	.stop = fake_stop,
	.resume = fake_resume,
	.list_registers = fake_list_registers,
	.list_kept = fake_list_kept,
};

struct mw_err *mw_fake_open(struct mw_source **ret)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	if (!fake)
		return mw_err_nomem();
	fake->base.ops = &fake_ops;
	fake->base.facts = (struct mw_facts){
		.page_size = MW_FAKE_PAGE,
		.clock_ticks = 100,
		.booted_ns = 1700000000123456789,
		/* Not live, so that its clock stands. */
		.parallel = true,
		.release = "6.1.0-fake +",
	};
	*ret = &fake->base;
	return NULL;
}
