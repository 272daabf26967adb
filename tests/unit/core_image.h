/* SPDX-License-Identifier: MIT */
/*
 * A core file made by hand: program headers, notes and pages, in the kernel's order. The
 * process in it is a small program with a heap, a thread, a stack and a mapped file.
 */
#pragma once

#include "base/buf.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CORE_PAGE = 4096,
	CORE_LOADS = 16,
	CORE_PID = 4711,
	CORE_TID = 4713,
	CORE_DATA = 0x4000, /* where pages begin in the file */
};

#define CORE_EXE UINT64_C(0x555555554000) /* header page, then text, then data */
#define CORE_TEXT UINT64_C(0x555555555000)
#define CORE_BSS UINT64_C(0x555555556000)
#define CORE_HEAP UINT64_C(0x555555600000)
#define CORE_GUARD UINT64_C(0x7ffff7000000)
#define CORE_THREAD UINT64_C(0x7ffff7001000) /* its stack and its descriptor */
#define CORE_TP (CORE_THREAD + 0x1000)
#define CORE_VVAR UINT64_C(0x7ffff7f00000)
#define CORE_VDSO UINT64_C(0x7ffff7f01000)
#define CORE_STACK UINT64_C(0x7ffffffde000)

struct core_image {
	unsigned char bytes[CORE_DATA + 16 * CORE_PAGE];
	size_t len;
	Elf64_Phdr phdrs[CORE_LOADS];
	size_t n_phdrs;
	struct mw_buf notes;
};

static inline void core_note(struct core_image *core, const char *name, uint32_t type,
			     const void *desc, size_t len)
{
	static const char zeros[4];
	Elf64_Nhdr head = { (uint32_t)strlen(name) + 1, (uint32_t)len, type };
	bool ok = mw_buf_add(&core->notes, &head, sizeof(head)) &&
		  mw_buf_add(&core->notes, name, head.n_namesz) &&
		  mw_buf_add(&core->notes, zeros, -head.n_namesz & 3) &&
		  mw_buf_add(&core->notes, desc, len) &&
		  mw_buf_add(&core->notes, zeros, -len & 3);
	if (!ok)
		abort();
}

/* A mapping of `pages` pages, the first `dumped` of which are in the file. */
static inline unsigned char *core_load(struct core_image *core, uint64_t start,
				       uint32_t flags, size_t pages, size_t dumped)
{
	unsigned char *at = core->bytes + core->len;
	core->phdrs[core->n_phdrs++] = (Elf64_Phdr){ .p_type = PT_LOAD,
						     .p_flags = flags,
						     .p_offset = core->len,
						     .p_vaddr = start,
						     .p_filesz = dumped * CORE_PAGE,
						     .p_memsz = pages * CORE_PAGE,
						     .p_align = CORE_PAGE };
	core->len += dumped * CORE_PAGE;
	return at;
}

/* The first page of an ELF file with two segments and, with `id`, a build id. */
static inline void core_elf(unsigned char *page, const char *id)
{
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = ET_DYN,
			    .e_machine = EM_X86_64,
			    .e_phoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = id ? 3 : 2 };
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	Elf64_Phdr phdrs[3] = {
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R,
		  .p_filesz = CORE_PAGE,
		  .p_memsz = CORE_PAGE },
		{ .p_type = PT_LOAD,
		  .p_flags = PF_R | PF_X,
		  .p_offset = CORE_PAGE,
		  .p_vaddr = CORE_PAGE,
		  .p_filesz = CORE_PAGE,
		  .p_memsz = 2 * CORE_PAGE },
		{ .p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 24, .p_align = 4 },
	};
	Elf64_Nhdr note = { 4, 8, NT_GNU_BUILD_ID };
	memcpy(page, &head, sizeof(head));
	memcpy(page + 64, phdrs, sizeof(phdrs));
	if (!id)
		return;
	memcpy(page + 0x200, &note, sizeof(note));
	memcpy(page + 0x20c, "GNU", 4);
	memcpy(page + 0x210, id, 8);
}

static inline void core_status(struct core_image *core, int32_t tid, uint64_t sp,
			       uint64_t tp)
{
	unsigned char status[336] = { 0 }, vector[512] = { 0 };
	uint64_t pc = CORE_TEXT + 0x10, xmm = CORE_HEAP + 0x40;
	memcpy(status + 32, &tid, sizeof(tid));
	memcpy(status + 112 + 16 * 8, &pc, sizeof(pc));
	memcpy(status + 112 + 19 * 8, &sp, sizeof(sp));
	memcpy(status + 112 + 21 * 8, &tp, sizeof(tp));
	memcpy(vector + 160, &xmm, sizeof(xmm));
	core_note(core, "CORE", NT_PRSTATUS, status, sizeof(status));
	core_note(core, "CORE", NT_FPREGSET, vector, sizeof(vector));
}

static inline void core_names(struct core_image *core, const char *exe)
{
	char desc[512] = { 0 };
	uint64_t words[8] = {
		2, CORE_PAGE, CORE_EXE, CORE_TEXT, 0, CORE_TEXT, CORE_BSS, 1
	};
	memcpy(desc, words, sizeof(words));
	int len = snprintf(desc + sizeof(words), sizeof(desc) - sizeof(words), "%s%c%s",
			   exe, 0, exe);
	core_note(core, "CORE", NT_FILE, desc, sizeof(words) + (size_t)len + 1);
}

static inline void core_notes(struct core_image *core, const char *exe)
{
	unsigned char info[136] = { 0, 'S' };
	int32_t ids[2] = { CORE_PID, 12 };
	uint64_t auxv[] = { AT_PAGESZ, CORE_PAGE,
			    AT_PHDR,   CORE_EXE + 64,
			    AT_BASE,   CORE_VDSO + 0x100000,
			    AT_RANDOM, CORE_STACK + 0x100,
			    AT_EUID,   33,
			    AT_NULL,   0 };
	auxv[10] = AT_SYSINFO_EHDR; /* in place of AT_NULL, which follows */
	auxv[11] = CORE_VDSO;
	uint64_t end[2] = { AT_NULL, 0 };
	char both[sizeof(auxv) + sizeof(end)];
	memcpy(both, auxv, sizeof(auxv));
	memcpy(both + sizeof(auxv), end, sizeof(end));
	memcpy(info + 24, ids, sizeof(ids));
	memcpy(info + 40, "hand made", 9);
	memcpy(info + 56, "/bin/hand made ", 15);
	/* The thread that crashed comes first. */
	core_status(core, CORE_TID, CORE_THREAD + 0x800, CORE_TP);
	core_note(core, "CORE", NT_PRPSINFO, info, sizeof(info));
	core_note(core, "CORE", NT_AUXV, both, sizeof(both));
	core_names(core, exe);
	core_status(core, CORE_PID, CORE_STACK + 0xf00, 0);
}

static inline void put_word(unsigned char *page, size_t at, uint64_t word)
{
	memcpy(page + at, &word, sizeof(word));
}

/* glibc's descriptor: itself twice, the thread's id, its stack block and guard. */
static inline void core_descriptor(unsigned char *stack)
{
	unsigned char *tcb = stack + (CORE_TP - CORE_THREAD);
	put_word(tcb, 0, CORE_TP);
	put_word(tcb, 0x10, CORE_TP);
	put_word(tcb, 0x2d0, CORE_TID);
	put_word(tcb, 0x690, CORE_GUARD);
	put_word(tcb, 0x698, 3 * CORE_PAGE);
	put_word(tcb, 0x6a0, CORE_PAGE);
}

/* Headers in front of what was put; call once, last. */
static inline void core_finish(struct core_image *core)
{
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = ET_CORE,
			    .e_machine = EM_X86_64,
			    .e_phoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = (uint16_t)(core->n_phdrs + 1) };
	Elf64_Phdr note = { .p_type = PT_NOTE,
			    .p_offset = 0x800,
			    .p_filesz = core->notes.len };
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(core->bytes, &head, sizeof(head));
	memcpy(core->bytes + 64, &note, sizeof(note));
	memcpy(core->bytes + 64 + sizeof(note), core->phdrs,
	       core->n_phdrs * sizeof(*core->phdrs));
	memcpy(core->bytes + 0x800, core->notes.data, core->notes.len);
	mw_buf_deinit(&core->notes);
}

/* The whole process. `exe` is where its program was; it begins as core_elf(id). */
static inline void core_make(struct core_image *core, const char *exe, const char *id)
{
	unsigned char *page;
	memset(core, 0, sizeof(*core));
	core->len = CORE_DATA;
	core_elf(core_load(core, CORE_EXE, PF_R, 1, 1), id);
	core_load(core, CORE_TEXT, PF_R | PF_X, 1, 0);
	page = core_load(core, CORE_BSS, PF_R | PF_W, 1, 1);
	put_word(page, 0, CORE_HEAP + 0x10);
	page = core_load(core, CORE_HEAP, PF_R | PF_W, 2, 2);
	memcpy(page, "heap", 4);
	page[CORE_PAGE] = 1;
	core_load(core, CORE_GUARD, 0, 1, 0);
	core_descriptor(core_load(core, CORE_THREAD, PF_R | PF_W, 2, 2));
	core_load(core, CORE_VVAR, PF_R, 1, 0);
	core_load(core, CORE_VDSO, PF_R | PF_X, 1, 1)[0] = 0x7f;
	core_load(core, CORE_STACK, PF_R | PF_W, 1, 1)[8] = 9;
	core_notes(core, exe);
	core_finish(core);
}
