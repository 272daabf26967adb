// SPDX-License-Identifier: MIT
// Memory that belongs to kernel objects: rings, secret memory, vdso, uprobes, devices.

#include "zoo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 // Linux 5.14
#endif

enum { RW = PROT_READ | PROT_WRITE, SECRET = 64 * ZOO_KIB, RING_PAGES = 1 + 8 };

static void io_uring(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 64, &params);
	size_t len;
	void *p;

	if (fd < 0) {
		zoo_skip("io-uring");
		return;
	}
	len = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	if (params.features & IORING_FEAT_SINGLE_MMAP)
		len = params.cq_off.cqes +
		      params.cq_entries * sizeof(struct io_uring_cqe);
	// The kernel chooses the address: it allows no other.
	p = mmap(NULL, len, RW, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	zoo_must(p != MAP_FAILED, "io_uring ring");
	zoo_range("io-uring", "io-uring-ring", p, len);
	len = params.sq_entries * sizeof(struct io_uring_sqe);
	p = mmap(NULL, len, RW, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	zoo_must(p != MAP_FAILED, "io_uring entries");
	zoo_range("io-uring", "io-uring-entries", p, len);
}

static void perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
	};
	int fd =
		(int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	void *p;

	if (fd < 0) {
		zoo_skip("perf");
		return;
	}
	p = zoo_map(RING_PAGES * ZOO_PAGE, RW, MAP_SHARED, fd);
	if (p == MAP_FAILED)
		zoo_skip("perf");
	else
		zoo_range("perf", "perf-ring", p, RING_PAGES * ZOO_PAGE);
}

static void aio(void)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 128, &context) != 0) {
		zoo_skip("aio");
		return;
	}
	// The context's number is the address of its ring.
	zoo_at("aio", "aio-ring", (const void *)(uintptr_t)context);
}

static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, 0);
	void *p;

	if (fd < 0 || ftruncate(fd, SECRET) != 0) {
		zoo_skip("secretmem");
		return;
	}
	p = zoo_map(SECRET, RW, MAP_SHARED, fd);
	if (p == MAP_FAILED) {
		zoo_skip("secretmem");
		return;
	}
	zoo_touch(p, SECRET);
	zoo_range("secretmem", "secretmem", p, SECRET);
}

// Somewhere to put a probe: called once, so that the kernel makes its mapping.
__attribute__((noinline, used)) static int probed(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n + 1;
}

// Where in the executable file `probed` is: the mapping's file offset and ours.
static uint64_t file_offset(uintptr_t addr)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uintptr_t start, end, offset, found = 0;
	char line[8192];

	while (maps && fgets(line, sizeof(line), maps))
		if (zoo_parse_maps(line, &start, &end, &offset) && addr >= start &&
		    addr < end)
			found = addr - start + offset;
	if (maps)
		fclose(maps);
	return found;
}

static void uprobes(void)
{
	long type = zoo_read_number("/sys/bus/event_source/devices/uprobe/type");
	struct perf_event_attr attr = { .size = sizeof(attr), .type = (unsigned)type };
	char exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (type < 0 || len < 0) {
		zoo_skip("uprobes");
		return;
	}
	exe[len] = '\0';
	attr.config1 = (uintptr_t)exe;
	attr.config2 = file_offset((uintptr_t)probed);
	if (syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC) < 0) {
		zoo_skip("uprobes");
		return;
	}
	probed(1);
	zoo_range_named("uprobes", "uprobes", "[uprobes]");
}

void zoo_kernel(void)
{
	const void *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);

	io_uring();
	perf();
	aio();
	secret();
	uprobes();
	if (vdso)
		zoo_at("vdso", "vdso", vdso);
	zoo_range_named("vvar", "vvar", "[vvar");
	zoo_range_named("vsyscall", "vsyscall", "[vsyscall]");
}
