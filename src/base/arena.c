// SPDX-License-Identifier: MIT
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Blocks double, so that 10 MiB of arena are ten requests and not 640. */
enum { FIRST_BLOCK = 4 * 1024, LAST_BLOCK = 1 << 20, LARGE = 4 * 1024, ALIGN = 16 };

struct mw_arena_block {
	struct mw_arena_block *next;
	_Alignas(ALIGN) unsigned char bytes[];
};

static struct mw_arena_block *block_new(size_t len)
{
	if (__builtin_add_overflow(len, sizeof(struct mw_arena_block), &len))
		return NULL;
	return calloc(1, len);
}

/* A large request gets a block of its own behind the current one. */
static void *alloc_large(struct mw_arena *arena, size_t len)
{
	struct mw_arena_block *block = block_new(len);
	if (!block)
		return NULL;
	if (arena->blocks) {
		block->next = arena->blocks->next;
		arena->blocks->next = block;
	} else {
		arena->blocks = block;
		arena->used = arena->cap = len;
	}
	return block->bytes;
}

void *mw_arena_alloc(struct mw_arena *arena, size_t len)
{
	if (len > SIZE_MAX - ALIGN)
		return NULL;
	len = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (len > LARGE)
		return alloc_large(arena, len);
	if (arena->cap - arena->used < len) {
		size_t cap = arena->next_block ? arena->next_block : FIRST_BLOCK;
		if (cap < len)
			cap = len;
		struct mw_arena_block *block = block_new(cap);
		if (!block)
			return NULL;
		block->next = arena->blocks;
		arena->blocks = block;
		arena->used = 0;
		arena->cap = cap;
		arena->next_block = cap < LAST_BLOCK ? cap * 2 : cap;
	}
	void *ret = arena->blocks->bytes + arena->used;
	arena->used += len;
	return ret;
}

void *mw_arena_calloc(struct mw_arena *arena, size_t n, size_t size)
{
	size_t len;
	if (__builtin_mul_overflow(n, size, &len))
		return NULL;
	return mw_arena_alloc(arena, len);
}

char *mw_arena_strndup(struct mw_arena *arena, const char *bytes, size_t len)
{
	char *ret = len == SIZE_MAX ? NULL : mw_arena_alloc(arena, len + 1);
	if (ret && len)
		memcpy(ret, bytes, len);
	return ret;
}

char *mw_arena_strdup(struct mw_arena *arena, const char *str)
{
	return mw_arena_strndup(arena, str, strlen(str));
}

char *mw_arena_printf(struct mw_arena *arena, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = NULL;
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	char *ret = len < 0 ? NULL : mw_arena_strndup(arena, text, (size_t)len);
	if (len >= 0)
		free(text);
	return ret;
}

void mw_arena_deinit(struct mw_arena *arena)
{
	struct mw_arena_block *next;
	for (struct mw_arena_block *block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	*arena = (struct mw_arena){ 0 };
}
