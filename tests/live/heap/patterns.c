// SPDX-License-Identifier: MIT
// The patterns. Each leaves the heap in a state that a walk can get wrong.

#include "old-symbols.h"
#include "pattern.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Blocks of all small sizes, every third freed.
static void simple(void)
{
	uint64_t random = 1;

	for (size_t i = 0; i < 20000; i++)
		keep(i, 1 + next_random(&random) % 2000);
	for (size_t i = 0; i < 20000; i += 3)
		drop(i);
}

// Nearly all is freed again, in an order that leaves large and small bins full.
static void frag(void)
{
	uint64_t random = 2;

	for (size_t i = 0; i < 40000; i++)
		keep(i, 24 + next_random(&random) % 1200);
	for (size_t i = 0; i < 40000; i++)
		if (i % 50)
			drop((i * 7919) % 40000 % 50 ? (i * 7919) % 40000 : i);
	// What was just freed is sorted into its bins only when something is asked for.
	for (size_t i = 40000; i < 40200; i++)
		keep(i, 5000 + next_random(&random) % 9000);
}

// One small block holds each page; all around it is free.
static void pin(void)
{
	for (size_t i = 0; i < 8000; i++) {
		keep(2 * i, 64);
		keep(2 * i + 1, 4000);
	}
	for (size_t i = 0; i < 8000; i++)
		drop(2 * i + 1);
}

// Blocks with a mapping of their own, that grow, shrink, move, and go.
static void mapped(void)
{
	uint64_t random = 3;

	for (size_t i = 0; i < 60; i++)
		keep(i, 140 * KIB + next_random(&random) % (900 * KIB));
	for (size_t i = 0; i < 60; i += 2) {
		size_t bytes = 150 * KIB + next_random(&random) % (3 * MIB);

		slots[i] = realloc(slots[i], bytes);
		must(slots[i] != NULL, "realloc");
	}
	for (size_t i = 0; i < 60; i += 5)
		drop(i);
	keep(60, 24 * MIB);
	slots[60] = realloc(slots[60], 200 * KIB);
	must(slots[60] != NULL, "realloc");
}

// Freed mapped blocks raise mmap_threshold, and with it trim_threshold.
static void dynamic(void)
{
	for (size_t bytes = 256 * KIB; bytes <= 16 * MIB; bytes *= 2) {
		keep(0, bytes);
		drop(0);
	}
	// From here on these come from the arena.
	for (size_t i = 0; i < 12; i++)
		keep(i, 2 * MIB);
	for (size_t i = 4; i < 12; i++)
		drop(i);
}

static void aligned(void)
{
	uint64_t random = 4;
	void *block;

	for (size_t i = 0; i < 3000; i++) {
		size_t align = (size_t)16 << i % 9,
		       bytes = 1 + next_random(&random) % 3000;

		if (i % 2)
			must(posix_memalign(&block, align, bytes) == 0, "posix_memalign");
		else
			block = aligned_alloc(align, bytes);
		keep_block(i, block, bytes);
	}
	// Mapped as well: their chunks do not begin where their mappings do.
	for (size_t i = 3000; i < 3040; i++) {
		size_t align = (size_t)64 << i % 16, bytes = 200 * KIB + i * 37;

		must(posix_memalign(&block, align, bytes) == 0, "posix_memalign");
		keep_block(i, block, bytes);
	}
	for (size_t i = 0; i < 3040; i += 4)
		drop(i);
}

static void fill_small(struct job *job)
{
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		keep(i, 1 + next_random(&job->random) % 1500);
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		if (next_random(&job->random) % 2)
			drop(i);
}

static void threads8(void)
{
	run_threads(8, 5000, 4000, fill_small);
}

static void threads40(void)
{
	run_threads(40, 1200, 800, fill_small);
}

// More than HEAP_MAX_SIZE (64 MiB) in each arena, so that it has several heaps.
static void fill_heaps(struct job *job)
{
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		keep_sparse(i, 60 * KIB + next_random(&job->random) % (40 * KIB));
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		if (next_random(&job->random) % 4 == 0)
			drop(i);
}

static void heaps8(void)
{
	run_threads(8, 2000, 1000, fill_heaps);
}

// Arenas whose later heaps were given back, and that gave back part of their top.
static void empty_heaps(struct job *job)
{
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		keep_sparse(i, 100 * KIB);
	for (size_t i = job->slot + job->arg; i-- > job->slot + 20;)
		drop(i);
}

static void shrunk(void)
{
	run_threads(4, 2000, 900, empty_heaps);
}

// Their arenas wait, with what they left behind, for the next threads.
static void gone(void)
{
	run_and_join(12, 3000, 1500, fill_small);
	run_threads(2, 40000, 1000, fill_small);
}

// Every thread frees what another one allocated.
static void fill_only(struct job *job)
{
	for (size_t i = job->slot; i < job->slot + job->arg; i++)
		keep(i, 8 + next_random(&job->random) % 1200);
}

static void crossed(void)
{
	run_threads(6, 3000, 3000, fill_only);
	for (size_t i = 3000; i < 7 * 3000; i++)
		if (i % 3)
			drop(i);
}

static void keep_many(size_t slot, size_t n, size_t bytes)
{
	for (size_t i = slot; i < slot + n; i++)
		keep(i, bytes);
}

// Somebody else moves the break too: the main arena has holes. Of each it learns when it
// next moves the break itself, so it does that last.
static void foreign_sbrk(void)
{
	enum { ROUNDS = 12, EACH = 300, TAKEN = 5008 };
	size_t slot = ROUNDS * EACH;

	for (size_t round = 0; round < ROUNDS; round++) {
		keep_many(round * EACH, EACH, 900);
		memset(sbrk(TAKEN), 7, TAKEN);
		foreign += TAKEN;
	}
	for (char *end = sbrk(0); sbrk(0) == end; slot++)
		keep(slot, 50 * KIB);
	for (size_t i = 0; i < ROUNDS * EACH; i += 2)
		drop(i);
}

// The break cannot move: the main arena lives in mappings of at least 1 MiB.
static void blocked(void)
{
	uintptr_t end = ((uintptr_t)sbrk(0) + PAGE - 1) & -(uintptr_t)PAGE;
	uint64_t random = 5;
	void *wall = mmap((void *)end, PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	must(wall == (void *)end, "mmap");
	for (size_t i = 0; i < 8000; i++)
		keep(i, 1 + next_random(&random) % 2500);
	for (size_t i = 0; i < 8000; i += 2)
		drop(i);
}

static void calloced(void)
{
	uint64_t random = 6;

	for (size_t i = 0; i < 12000; i++) {
		slots[i] = calloc(1 + next_random(&random) % 40, 24);
		must(slots[i] != NULL, "calloc");
		if (i % 3 == 2)
			drop(i - 1);
	}
	// Never written: live, and not resident.
	slots[12000] = calloc(1, 30 * MIB);
	slots[12001] = calloc(1, 100 * KIB);
}

// A known number of blocks in every thread's cache; nothing else is freed.
static void fill_cache(struct job *job)
{
	unsigned n = job->at % 6 + 1;

	for (size_t i = 0; i < 40; i++)
		for (size_t k = 0; k < n; k++)
			keep(job->slot + i * 7 + k, 24 + 16 * i);
	for (size_t i = 0; i < 40; i++)
		for (size_t k = 0; k < n; k++)
			drop(job->slot + i * 7 + k);
	keep(job->slot + 300, 1000);
	say("cached tid=%ld blocks=%u\n", syscall(SYS_gettid), 40 * n);
}

static void tcache(void)
{
	for (size_t i = 0; i < 500; i++)
		keep(i, 24 + i % 1000);
	for (size_t i = 0; i < 500; i++)
		drop(i);
	run_threads(7, 400, 0, fill_cache);
}

// 100,000 entries in fastbins, where the libc has any.
static void fastbins(void)
{
	for (size_t i = 0; i < 120000; i++)
		keep(i, 8 + i % 7 * 16);
	for (size_t i = 0; i < 120000; i++)
		if (i % 6)
			drop(i);
}

static void mixed(void)
{
	uint64_t random = 7;

	for (size_t i = 0; i < 20000; i++)
		keep(i, 1 + next_random(&random) % 200);
	for (size_t i = 20000; i < 20040; i++)
		keep_sparse(i, 100 * KIB + next_random(&random) % (4 * MIB));
	for (size_t i = 0; i < 20040; i += 2)
		drop(i);
}

// Free and live blocks that were never written.
static void untouched(void)
{
	must(mallopt(M_MMAP_THRESHOLD, 32 * MIB) == 1, "mallopt");
	for (size_t i = 0; i < 40; i++)
		slots[i] = malloc(3 * MIB);
	for (size_t i = 0; i < 40; i += 3)
		keep_sparse(100 + i, 50 * KIB);
	for (size_t i = 1; i < 40; i += 2)
		drop(i);
}

// As a server's worker: a child that has its parent's heap, page for page.
static void forked(void)
{
	pid_t pid;

	simple();
	pid = fork();
	must(pid >= 0, "fork");
	if (pid) {
		// The child talks; this one only keeps its pages shared, until the end.
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		waitpid(pid, NULL, 0);
		_exit(0);
	}
	alarm(180);
	// A fork does not copy what page tables say about files.
	touch_code();
	for (size_t i = 1; i < 4000; i += 3)
		drop(i);
	say("child pid=%d\n", (int)getpid());
}

#ifndef STATIC_PATTERN
static void *symbol(void *library, const char *name)
{
	void *found = dlsym(library, name);

	must(found != NULL, name);
	return found;
}

static void open_other(void)
{
	static char buffer[64 * KIB];
	void *library = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	FILE *(*open_fd)(int, const char *);
	int (*set_buffer)(FILE *, char *, int, size_t);

	must(library != NULL, "dlmopen");
	touch_code();
	*(void **)&open_fd = symbol(library, "fdopen");
	*(void **)&set_buffer = symbol(library, "setvbuf");
	*(void **)&other.malloc = symbol(library, "malloc");
	*(void **)&other.free = symbol(library, "free");
	*(void **)&other.usable = symbol(library, "malloc_usable_size");
	*(void **)&other.trim = symbol(library, "malloc_trim");
	*(void **)&other.info = symbol(library, "malloc_info");
	*(void **)&other.flush = symbol(library, "fflush");
	memset(buffer, 1, sizeof(buffer));
	other.file = open_fd(memfd_create("other", MFD_CLOEXEC), "w+");
	must(other.file && set_buffer(other.file, buffer, _IOFBF, sizeof(buffer)) == 0,
	     "memfd");
	other_count(&other, other.file, 1);
	// Its code is not among the objects of this namespace.
	other.trim(0);
}

// Two libcs in one process, each with a malloc of its own.
static void two(void)
{
	uint64_t random = 8;
	void *kept[3000];

	open_other();
	for (size_t i = 0; i < 3000; i++) {
		kept[i] =
			other.malloc(1 + next_random(&random) % (i % 99 ? 900 : 300000));
		must(kept[i] != NULL, "malloc");
		*(char *)kept[i] = 1;
		other_count(&other, kept[i], 1);
	}
	for (size_t i = 0; i < 3000; i += 2) {
		other_count(&other, kept[i], -1);
		other.free(kept[i]);
	}
	simple();
}
#endif

const struct pattern patterns[] = {
	{ "simple", simple },
	{ "frag", frag },
	{ "pin", pin },
	{ "mapped", mapped },
	{ "dynamic", dynamic },
	{ "aligned", aligned },
	{ "threads8", threads8 },
	{ "heaps8", heaps8 },
	{ "threads40", threads40 },
	{ "shrunk", shrunk },
	{ "gone", gone },
	{ "crossed", crossed },
	{ "sbrk", foreign_sbrk },
	{ "blocked", blocked },
	{ "calloc", calloced },
	{ "tcache", tcache },
	{ "fastbins", fastbins },
	{ "mixed", mixed },
	{ "untouched", untouched },
	{ "forked", forked },
#ifndef STATIC_PATTERN
	{ "two", two },
#endif
	{ NULL, NULL },
};
