// SPDX-License-Identifier: MIT
// Kinds that the program can get at through its memory: by pointers to the beginning, to
// the inside, to the end, and by what is no pointer until it has been decoded.

#include "leaky.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

// Volatile: the compiler drops what is only written.
static void *volatile global[N_OBJECTS];
static void *volatile initialised[N_OBJECTS] = { (void *)1 };
static void **volatile in_heap;
static char *volatile inside[N_OBJECTS], *volatile end[N_OBJECTS];
static volatile uintptr_t low_tag[N_OBJECTS], high_tag[N_OBJECTS], nan_box[N_OBJECTS],
	xored[N_OBJECTS], flipped[N_OBJECTS], offset[N_OBJECTS];
static volatile uint32_t compressed[N_OBJECTS];
// 16 bytes each, so that none of the pointers is aligned by chance.
static volatile struct __attribute__((packed)) {
	char before;
	void *block;
	char after[7];
} unaligned[N_OBJECTS];
static volatile struct __attribute__((packed)) {
	uint32_t before;
	void *block;
	uint32_t after;
} half_aligned[N_OBJECTS];

static void in_global(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		global[i] = object();
}

static void in_data(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		initialised[i] = object();
}

// A list whose head is in a block, whose address is in another block.
static void via_heap(void)
{
	void **hop = malloc(1100);

	must(hop != NULL, "malloc");
	in_heap = malloc(1100);
	must(in_heap != NULL, "malloc");
	memset(hop, 0, 1100);
	memset(in_heap, 0, 1100);
	in_heap[7] = hop;
	hop[9] = object_list();
}

static void by_inside(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		inside[i] = (char *)object() + 8 + i % 100;
}

// One past the last byte, as the end of a C++ vector or an iterator.
static void by_end(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		end[i] = (char *)object() + object_size();
}

static void by_low_tag(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		low_tag[i] = (uintptr_t)object() | (unsigned)(i % 7 + 1);
}

static void by_high_tag(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		high_tag[i] = (uintptr_t)object() | (uintptr_t)(i % 255 + 1) << 56;
}

// What JavaScript engines do: a pointer in a double that is not a number.
static void by_nan_box(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		nan_box[i] = (uintptr_t)object() | (uintptr_t)0xfffb << 48;
}

static void by_xor(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		xored[i] = (uintptr_t)object() ^ (uintptr_t)0x5bd1e995a7c3f10d;
}

static void by_flip(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		flipped[i] = ~(uintptr_t)object();
}

// At a fixed distance from a base, as in files that are mapped anywhere.
static void by_offset(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		offset[i] = (uintptr_t)object() - ((uintptr_t)1 << 40);
}

// As compressed oops: 16-byte units, 32 bits.
static void by_compressed(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		compressed[i] = (uint32_t)((uintptr_t)object() >> 4);
}

static void by_unaligned(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		unaligned[i].block = object();
}

// On 4 mod 8, as after a 32-bit field of a packed structure.
static void by_half_aligned(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		half_aligned[i].block = object();
}

static void in_mapping(void *where)
{
	void *volatile *table = where;

	for (int i = 0; i < N_OBJECTS; i++)
		table[i] = object();
}

// Of these nothing but the kernel knows the address of the table.
static void in_private(void)
{
	in_mapping(map_pages(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE));
}

static void in_shared(void)
{
	in_mapping(map_pages(4096, PROT_READ | PROT_WRITE, MAP_SHARED));
}

static void in_file(void)
{
	char path[] = "/tmp/leaky-XXXXXX";
	int fd = mkstemp(path);
	void *p;

	must(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 4096) == 0, "mkstemp");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED, "mmap");
	close(fd);
	in_mapping(p);
}

// Written, then sealed against writing; the program still reads it.
static void in_readonly(void)
{
	void *p = map_pages(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	in_mapping(p);
	must(mprotect(p, 4096, PROT_READ) == 0, "mprotect");
}

static void in_readonly_file(void)
{
	void *p;
	int fd = memfd_create("sealed", 0);

	must(fd >= 0 && ftruncate(fd, 4096) == 0, "memfd");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	must(p != MAP_FAILED, "mmap");
	close(fd);
	in_mapping(p);
	must(mprotect(p, 4096, PROT_READ) == 0, "mprotect");
}

// A stack that no thread is on: a coroutine that waits. Below it lies a guard page, as
// below the stacks of threads that are gone.
static ucontext_t outside, coroutine;

static void wait_inside(void)
{
	void *volatile frame[N_OBJECTS];

	for (int i = 0; i < N_OBJECTS; i++)
		frame[i] = object();
	swapcontext(&coroutine, &outside);
	__asm__ volatile("" : : "r"(frame) : "memory");
}

static void in_coroutine(void)
{
	size_t len = 256 * 1024, guard = 4096;
	char *stack = map_pages(len, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	must(mprotect(stack, guard, PROT_NONE) == 0, "mprotect");
	must(getcontext(&coroutine) == 0, "getcontext");
	coroutine.uc_stack.ss_sp = stack + guard;
	coroutine.uc_stack.ss_size = len - guard;
	coroutine.uc_link = NULL;
	makecontext(&coroutine, wait_inside, 0);
	must(swapcontext(&outside, &coroutine) == 0, "swapcontext");
}

static void on_exit_nothing(int status, void *arg)
{
	(void)status;
	(void)arg;
}

static void in_exit_list(void)
{
	for (int i = 0; i < N_OBJECTS; i++)
		must(on_exit(on_exit_nothing, object()) == 0, "on_exit");
}

// The environment holds the very string that putenv() was given.
static void in_environment(void)
{
	for (int i = 0; i < N_OBJECTS; i++) {
		char *text = object();

		memcpy(text, "LEAKY_000=x", 12);
		text[6] = (char)('0' + i / 100);
		text[7] = (char)('0' + i / 10 % 10);
		text[8] = (char)('0' + i % 10);
		must(putenv(text) == 0, "putenv");
	}
}

const struct kind kinds_memory[] = {
	{ "global", REACHABLE, in_global },
	{ "data", REACHABLE, in_data },
	{ "via-heap", REACHABLE, via_heap },
	{ "inside", REACHABLE, by_inside },
	{ "end", REACHABLE, by_end },
	{ "low-tag", REACHABLE, by_low_tag },
	{ "private-mapping", REACHABLE, in_private },
	{ "shared-mapping", REACHABLE, in_shared },
	{ "file-mapping", REACHABLE, in_file },
	{ "readonly-mapping", REACHABLE, in_readonly },
	{ "readonly-file", REACHABLE, in_readonly_file },
	{ "coroutine", REACHABLE, in_coroutine },
	{ "exit-list", REACHABLE, in_exit_list },
	{ "environment", REACHABLE, in_environment },
	{ "high-tag", HIDDEN, by_high_tag },
	{ "nan-box", HIDDEN, by_nan_box },
	{ "xor", HIDDEN, by_xor },
	{ "flip", HIDDEN, by_flip },
	{ "offset", HIDDEN, by_offset },
	{ "compressed", HIDDEN, by_compressed },
	{ "unaligned", HIDDEN, by_unaligned },
	{ "half-aligned", HIDDEN, by_half_aligned },
	{ NULL, REACHABLE, NULL },
};
