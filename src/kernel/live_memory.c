// SPDX-License-Identifier: MIT
/* The target's memory, and where its threads keep theirs. */
#include "kernel/live.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* From where on process_vm_readv() is the faster of the two; measured, Linux 6.18. */
enum { DIRECT_MIN = 32 << 10 };

static struct mw_err *not_mapped(pid_t pid, uint64_t addr)
{
	return mw_err_new(MW_ERR_NOTFOUND, EIO, "mem",
			  "process %d has nothing readable at 0x%llx", (int)pid,
			  (unsigned long long)addr);
}

/* Reads what is there. A read of 0 bytes means that the address space is gone. */
static struct mw_err *read_mem(struct mw_live *live, struct mw_live_proc *proc,
			       uint64_t addr, char *bytes, size_t len, size_t *got)
{
	size_t done = 0;
	int fd;

	/* Offsets are signed; only [vsyscall] lies above. */
	if (addr > INT64_MAX - len)
		return not_mapped(proc->pid, addr);
	struct mw_err *err = mw_live_mem(live, proc, &fd);
	if (err)
		return err;
	while (done < len) {
		ssize_t n = pread(fd, bytes + done, len - done, (off_t)(addr + done));
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n == 0)
			return mw_live_mm_gone(live, proc, "mem");
		else if (done || errno == EIO || errno == EFAULT)
			break;
		else
			return mw_live_fail(live, proc, "mem", errno);
	}
	if (len && !done)
		return not_mapped(proc->pid, addr);
	*got = done;
	return NULL;
}

struct mw_err *mw_live_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				   void *bytes, size_t len, enum mw_purpose purpose,
				   size_t *got)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;

	(void)purpose; /* only a recording tells them apart */
	if (len > SSIZE_MAX)
		return mw_err_new(MW_ERR_USAGE, 0, "mem", "%zu bytes are too many", len);
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	err = read_mem(live, proc, addr, bytes, len, got);
	mw_live_drop(live, proc);
	return err;
}

/*
 * Copies without a detour over a page of the kernel's own, which /proc/PID/mem makes:
 * half the processor time, but a call itself costs more, so short reads are left to the
 * other. How many bytes; 0 also when it is refused.
 */
static size_t read_direct(pid_t pid, uint64_t addr, void *bytes, size_t len)
{
	if (len < DIRECT_MIN)
		return 0;
	struct iovec to = { bytes, len };
	struct iovec from = { (void *)(uintptr_t)addr, len };
	ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);

	return n > 0 ? (size_t)n : 0;
}

struct mw_err *mw_live_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
				    void *bytes, size_t len, enum mw_purpose purpose,
				    size_t *got)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	size_t rest = 0;

	(void)purpose;
	if (len > SSIZE_MAX)
		return mw_err_new(MW_ERR_USAGE, 0, "mem", "%zu bytes are too many", len);
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	size_t done = read_direct(pid, addr, bytes, len);
	/* It goes by pid, and that may be another process's by now. */
	if (done && !mw_live_there(live, proc))
		err = mw_live_mm_gone(live, proc, "mem");
	else if (!done)
		err = read_mem(live, proc, addr, bytes, len, got);
	else if (done < len)
		/* What fails behind the first bytes is only the end of them. */
		mw_err_free(read_mem(live, proc, addr + done, (char *)bytes + done,
				     len - done, &rest));
	if (!err && done)
		*got = done + rest;
	mw_live_drop(live, proc);
	return err;
}

/* Reading a page that is not there would fault it in: the target must not grow. */
static struct mw_err *check_present(struct mw_source *src, pid_t pid, uint64_t addr)
{
	uint64_t word = 0;

	struct mw_err *err = mw_live_read_pagemap(src, pid, addr, 1, &word);
	if (err)
		return err;
	if (!(word >> 63))
		return mw_err_new(MW_ERR_NOTFOUND, 0, "mem",
				  "the page at 0x%llx of process %d is not present",
				  (unsigned long long)addr, (int)pid);
	return NULL;
}

static uint64_t count_zeros(const unsigned char *bytes, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += bytes[i] == 0;
	return n;
}

struct mw_err *mw_live_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				  uint64_t *ret)
{
	size_t len = src->facts.page_size, got = 0;

	struct mw_err *err = check_present(src, pid, addr);
	if (err)
		return err;
	unsigned char *page = calloc(1, len);
	if (!page)
		return mw_err_nomem();
	err = mw_live_read_memory(src, pid, addr, page, len, MW_READ_CONTENTS, &got);
	if (!err && got < len)
		err = not_mapped(pid, addr + got);
	if (!err)
		*ret = count_zeros(page, len);
	free(page);
	return err;
}

struct mw_err *mw_live_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				   uint64_t *ret)
{
	struct mw_live *live = mw_live_of(src);
	struct mw_live_proc *proc;
	char name[MW_LIVE_NAME];
	void *head = NULL;
	size_t len;

	if (syscall(SYS_get_robust_list, tid, &head, &len) == 0) {
		*ret = (uint64_t)(uintptr_t)head;
		return NULL;
	}
	int errnum = errno;
	struct mw_err *err = mw_live_take(live, pid, &proc);
	if (err)
		return err;
	snprintf(name, sizeof(name), "task/%d", (int)tid);
	if (errnum == ESRCH)
		errnum = ENOENT;
	err = mw_live_fail(live, proc, name, errnum);
	mw_live_drop(live, proc);
	return err;
}
