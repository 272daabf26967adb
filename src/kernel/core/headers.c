// SPDX-License-Identifier: MIT
/* The ELF header and the program headers of a core file. */
#include "base/read.h"
#include "kernel/core/core.h"

#include <elf.h>
#include <errno.h>
#include <memwhy/perms.h>
#include <string.h>
#include <unistd.h>

/* vm.max_map_count may be raised to 2^31, but nobody has as many mappings as this. */
enum { MAX_HEADERS = 1 << 21, HEADERS_AT_ONCE = 256 };

bool mw_core_read_file(const struct mw_core *core, uint64_t off, void *bytes, size_t len)
{
	size_t got;

	if (off > core->size || len > core->size - off || core->size > INT64_MAX)
		return false;
	return mw_read_at(core->fd, off, bytes, len, &got) == 0 && got == len;
}

/* What people hand over instead of a core file. */
static const char *kind_of(const unsigned char *bytes)
{
	static const struct {
		unsigned char magic[4];
		const char *kind;
	} known[] = {
		{ { 0x28, 0xb5, 0x2f, 0xfd }, "compressed: unpack it with zstd -d" },
		{ { 0x04, 0x22, 0x4d, 0x18 }, "compressed: unpack it with lz4 -d" },
		{ { 0xfd, '7', 'z', 'X' }, "compressed: unpack it with xz -d" },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!memcmp(bytes, known[i].magic, sizeof(known[i].magic)))
			return known[i].kind;
	if (bytes[0] == 0x1f && bytes[1] == 0x8b)
		return "compressed: unpack it with gzip -d";
	if (memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return "no core file: it is not ELF";
	return NULL;
}

static struct mw_err *check_header(const struct mw_core *core, const Elf64_Ehdr *head)
{
	const char *why = kind_of(head->e_ident);
	bool native = head->e_ident[EI_CLASS] == ELFCLASS64 &&
		      head->e_ident[EI_DATA] == ELFDATA2LSB;

	if (why)
		return mw_err_new(MW_ERR_FORMAT, 0, core->path, "%s is %s", core->path,
				  why);
	if (native && head->e_type != ET_CORE)
		return mw_err_new(MW_ERR_FORMAT, 0, core->path,
				  "%s is no core file: it is a program or a library",
				  core->path);
	if (!native || head->e_machine != EM_X86_64)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, core->path,
				  "%s is of another kind of machine: only cores of "
				  "64-bit x86 are read",
				  core->path);
	if (head->e_phentsize != sizeof(Elf64_Phdr))
		return mw_err_new(MW_ERR_FORMAT, 0, core->path,
				  "%s has program headers of %u bytes: it is broken",
				  core->path, head->e_phentsize);
	return NULL;
}

/* Where there are 65,535 or more, the first section header has their number. */
static uint64_t count_headers(const struct mw_core *core, const Elf64_Ehdr *head)
{
	Elf64_Shdr first;

	if (head->e_phnum != PN_XNUM)
		return head->e_phnum;
	return mw_core_read_file(core, head->e_shoff, &first, sizeof(first))
		       ? first.sh_info
		       : head->e_phnum;
}

static unsigned perms_of(uint32_t flags)
{
	return (flags & PF_R ? MW_PERM_READ : 0) | (flags & PF_W ? MW_PERM_WRITE : 0) |
	       (flags & PF_X ? MW_PERM_EXEC : 0);
}

/* What of [off, off + len) lies in the file. */
static uint64_t in_file(const struct mw_core *core, uint64_t off, uint64_t len)
{
	if (off >= core->size)
		return 0;
	return len < core->size - off ? len : core->size - off;
}

static struct mw_err *take_header(struct mw_core *core, const Elf64_Phdr *head,
				  struct mw_core_notes *notes)
{
	uint64_t end;

	if (head->p_type == PT_NOTE && notes->n < MW_CORE_SEGMENTS) {
		notes->items[notes->n].off = head->p_offset;
		notes->items[notes->n++].len =
			in_file(core, head->p_offset, head->p_filesz);
	}
	if (head->p_type != PT_LOAD || !head->p_memsz ||
	    __builtin_add_overflow(head->p_vaddr, head->p_memsz, &end))
		return NULL;
	uint64_t dumped = head->p_filesz < head->p_memsz ? head->p_filesz : head->p_memsz;
	struct mw_core_load load = {
		.start = head->p_vaddr,
		.end = end,
		.off = head->p_offset,
		.len = in_file(core, head->p_offset, dumped),
		.perms = perms_of(head->p_flags),
	};
	uint64_t *lost = &core->base.facts.core_lost;
	if (__builtin_add_overflow(*lost, dumped - load.len, lost))
		*lost = UINT64_MAX;
	return mw_vec_add(&core->loads, load) ? NULL : mw_err_nomem();
}

struct mw_err *mw_core_read_headers(struct mw_core *core, struct mw_core_notes *ret)
{
	Elf64_Ehdr head;
	Elf64_Phdr heads[HEADERS_AT_ONCE];

	*ret = (struct mw_core_notes){ 0 };
	memset(&head, 0, sizeof(head));
	size_t there = core->size < sizeof(head) ? (size_t)core->size : sizeof(head);
	if (!mw_core_read_file(core, 0, &head, there))
		return mw_err_new(MW_ERR_IO, EIO, core->path, "%s cannot be read",
				  core->path);
	if (there < sizeof(head))
		return mw_err_new(MW_ERR_FORMAT, 0, core->path,
				  "%s is no core file: it has %zu bytes", core->path,
				  there);
	struct mw_err *err = check_header(core, &head);
	uint64_t n = err ? 0 : count_headers(core, &head);
	/* A file that was cut short has fewer. */
	uint64_t room = in_file(core, head.e_phoff, UINT64_MAX) / sizeof(*heads);
	n = n < room ? n : room;
	n = n < MAX_HEADERS ? n : MAX_HEADERS;
	for (uint64_t i = 0; !err && i < n; i += HEADERS_AT_ONCE) {
		size_t m = n - i < HEADERS_AT_ONCE ? (size_t)(n - i) : HEADERS_AT_ONCE;
		if (!mw_core_read_file(core, head.e_phoff + i * sizeof(*heads), heads,
				       m * sizeof(*heads)))
			break;
		for (size_t k = 0; !err && k < m; k++)
			err = take_header(core, &heads[k], ret);
	}
	return err;
}
