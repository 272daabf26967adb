// SPDX-License-Identifier: MIT
/*
 * Go. The program itself says which version built it: .go.buildinfo holds the text since
 * 1.18, two pointers to it before. Its heap is not walked: where runtime.mheap_ keeps
 * what is in use differs with nearly every version.
 */
#include "heap/alloc/alloc.h"

#include <string.h>

enum {
	INFO_LEN = 96,
	FLAGS_AT = 15,
	INLINE = 2, /* flag: the text follows */
	TEXT_AT = 32,
	POINTER_AT = 16,
	MAX_VERSION = 48,
};

static bool is_version(const char *text)
{
	return !strncmp(text, "go1", 3) || !strncmp(text, "devel", 5);
}

/* A length of seven bits (longer versions do not exist), then the text. */
static void read_inline(const unsigned char *info, char version[MAX_VERSION])
{
	size_t len = info[TEXT_AT];
	if (len < MAX_VERSION && len < INFO_LEN - TEXT_AT - 1)
		memcpy(version, info + TEXT_AT + 1, len);
}

/* A pointer to a Go string: address and length. */
static void read_pointer(struct mw_heap_walk *walk, const unsigned char *info,
			 char version[MAX_VERSION])
{
	uint64_t at, string[2];
	memcpy(&at, info + POINTER_AT, sizeof(at));
	if (!mw_memory_read(&walk->memory, at, string, sizeof(string)) ||
	    string[1] >= MAX_VERSION ||
	    !mw_memory_read(&walk->memory, string[0], version, string[1]))
		version[0] = '\0';
}

/* True for a Go program; its version where it can be read. */
static bool read_info(struct mw_heap_walk *walk, struct mw_alloc_elf *elf,
		      char version[MAX_VERSION])
{
	static const char magic[] = "\xff Go buildinf:";
	const struct mw_elf_section *section = NULL;
	unsigned char info[INFO_LEN];
	size_t got = 0;
	mw_auto_err err = mw_elf_find_section(elf->elf, ".go.buildinfo", &section);
	if (err || !section)
		return false;
	mw_auto_err failed =
		mw_object_read(&elf->file, section->offset, info, sizeof(info), &got);
	if (failed || got < sizeof(info) || memcmp(info, magic, sizeof(magic) - 1) != 0)
		return true;
	if (info[FLAGS_AT] & INLINE)
		read_inline(info, version);
	else
		read_pointer(walk, info, version);
	for (size_t i = 0; version[i]; i++)
		if (version[i] < ' ' || version[i] > '~')
			version[i] = '?';
	return true;
}

static struct mw_err *walk_go(struct mw_heap_walk *walk)
{
	char version[MAX_VERSION] = "";
	mw_auto_alloc_elf elf = { 0 };
	const struct mw_region *text = mw_alloc_program(walk->snap);
	if (!text || !mw_alloc_elf_open(walk->snap, text, &elf) ||
	    !read_info(walk, &elf, version))
		return NULL;
	const char *kept =
		mw_arena_strdup(walk->arena, is_version(version) ? version : "");
	return kept ? mw_alloc_recognised(walk, &mw_walker_go, kept, text->name,
					  "a Go program; its spans are not walked")
		    : mw_err_nomem();
}

const struct mw_walker mw_walker_go = { "go", walk_go };
