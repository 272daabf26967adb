// SPDX-License-Identifier: MIT
// malloc and its family, counted: the program's own calls and those that libc makes for
// itself (FILE, dtv, link maps) come through here, because libc calls malloc as any
// program does. The tcache structures do not: malloc makes them of itself.
//
// In a dynamic program these definitions stand in front of libc's; in a static one the
// linker's --wrap does the same.

#include "pattern.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long n_blocks, n_bytes, n_mapped, n_mapped_bytes;

#ifdef STATIC_PATTERN
#define OURS(name) __wrap_##name
#define REAL(name) __real_##name
#else
#define OURS(name) name
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t bytes);
void *REAL(calloc)(size_t n, size_t bytes);
void *REAL(realloc)(void *block, size_t bytes);
void REAL(free)(void *block);
void *REAL(memalign)(size_t align, size_t bytes);

void *OURS(malloc)(size_t bytes);
void *OURS(calloc)(size_t n, size_t bytes);
void *OURS(realloc)(void *block, size_t bytes);
void OURS(free)(void *block);
void *OURS(memalign)(size_t align, size_t bytes);
void *OURS(aligned_alloc)(size_t align, size_t bytes);
int OURS(posix_memalign)(void **ret, size_t align, size_t bytes);

// Bit 1 of the size word before a block: it has a mapping of its own.
static int is_mapped(void *block)
{
	return ((size_t *)block)[-1] >> 1 & 1;
}

static void *count(void *block, int sign)
{
	long bytes;

	if (!block)
		return NULL;
	bytes = (long)malloc_usable_size(block) * sign;
	atomic_fetch_add(&n_blocks, sign);
	atomic_fetch_add(&n_bytes, bytes);
	if (is_mapped(block)) {
		atomic_fetch_add(&n_mapped, sign);
		atomic_fetch_add(&n_mapped_bytes, bytes);
	}
	return block;
}

void *OURS(malloc)(size_t bytes)
{
	return count(REAL(malloc)(bytes), 1);
}

void *OURS(calloc)(size_t n, size_t bytes)
{
	return count(REAL(calloc)(n, bytes), 1);
}

void *OURS(realloc)(void *block, size_t bytes)
{
	count(block, -1);
	return count(REAL(realloc)(block, bytes), 1);
}

void OURS(free)(void *block)
{
	count(block, -1);
	REAL(free)(block);
}

void *OURS(memalign)(size_t align, size_t bytes)
{
	return count(REAL(memalign)(align, bytes), 1);
}

void *OURS(aligned_alloc)(size_t align, size_t bytes)
{
	return OURS(memalign)(align, bytes);
}

int OURS(posix_memalign)(void **ret, size_t align, size_t bytes)
{
	void *block = OURS(memalign)(align, bytes);

	if (!block)
		return ENOMEM;
	*ret = block;
	return 0;
}

struct tally tally_now(void)
{
	return (struct tally){ n_blocks, n_bytes, n_mapped, n_mapped_bytes };
}

void other_count(struct other_libc *libc, void *block, int sign)
{
	long bytes = (long)libc->usable(block) * sign;

	libc->tally.blocks += sign;
	libc->tally.bytes += bytes;
	if (is_mapped(block)) {
		libc->tally.mapped_blocks += sign;
		libc->tally.mapped_bytes += bytes;
	}
}
