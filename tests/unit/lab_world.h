/* SPDX-License-Identifier: MIT */
/*
 * A program, its child and others as a lab would watch them, made by hand: mappings whose
 * pages are written down one letter each. A read of memory that is not present would
 * change a real process; here it fails the test.
 */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"
#include "lab/observe.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096 };
enum { PROGRAM = 100, CHILD, OTHER, ZOMBIE, DENIED, NOBODY };

/*
 * '#' anonymous, of this process alone; 's' anonymous, mapped twice; 'z' zero page; 'w'
 * swapped; 'F' of a file, mapped three times; 'f' of a file, here alone; 'H' huge; '.'
 */
struct lab_mapping {
	uint64_t start, n_pages;
	const char *perms, *name;
	unsigned ino;
	const char *pages; /* the last letter is repeated */
};

static const struct lab_mapping lab_mappings[] = {
	{ 0x400000, 4, "r-xp", "/bin/lab", 7, "Ff.F" },
	{ 0x500000, 33, "rw-p", "[heap]", 0, "##." },
	{ 0x10000000, 8, "rw-p", "", 0, "#sz.w#.." },
	{ 0x10008000, 2, "r--p", "", 0, "#." },
	{ 0x20000000, 4, "rw-s", "/memfd:x (deleted)", 5, "Ff.." },
	{ 0x30000000, 2, "rw-p", "", 0, "z." },
	{ 0x40000000, 1024, "rw-p", "", 0, "H" },
	{ 0x50000000, 1, "---p", "", 0, "." },
	{ 0x60000000, 4, "rw-p", "", 0, "#z.#" },
	{ UINT64_C(0xffffffffff600000), 1, "--xp", "[vsyscall]", 0, "." },
};
enum { N_LAB_MAPPINGS = sizeof(lab_mappings) / sizeof(*lab_mappings) };

struct lab_world {
	struct mw_source src;
	bool no_scan, hidden, no_pagemap, unreadable, no_thp;
	unsigned n_reads;
	struct mw_arena arena;
	struct mw_observation *seen;
};

static char lab_letter(uint64_t addr)
{
	for (size_t i = 0; i < N_LAB_MAPPINGS; i++) {
		const struct lab_mapping *m = &lab_mappings[i];
		uint64_t page = (addr - m->start) / PAGE;
		if (addr < m->start || page >= m->n_pages)
			continue;
		if (m->pages[0] == 'H')
			return page < 512 ? 'H' : '.';
		return page < strlen(m->pages) ? m->pages[page]
					       : m->pages[strlen(m->pages) - 1];
	}
	return '.';
}

static uint64_t lab_count(const struct lab_mapping *m, const char *letters)
{
	uint64_t n = 0;
	for (uint64_t i = 0; i < m->n_pages; i++)
		n += strchr(letters, lab_letter(m->start + i * PAGE)) != NULL;
	return n;
}

static bool lab_maps(struct mw_buf *out, bool smaps)
{
	bool ok = true;
	for (size_t i = 0; i < N_LAB_MAPPINGS; i++) {
		const struct lab_mapping *m = &lab_mappings[i];
		ok = ok &&
		     mw_buf_printf(out, "%08llx-%08llx %s 00000000 fe:00 %u %s\n",
				   (unsigned long long)m->start,
				   (unsigned long long)(m->start + m->n_pages * PAGE),
				   m->perms, m->ino, m->name);
		if (smaps)
			ok = ok &&
			     mw_buf_printf(out,
					   "Rss: %zu kB\nPss: 0 kB\nShared_Clean: 0 kB\n"
					   "Private_Clean: 0 kB\nPrivate_Dirty: %zu kB\n"
					   "Anonymous: %zu kB\nAnonHugePages: %zu kB\n"
					   "Private_Hugetlb: 0 kB\nSwap: %zu kB\n"
					   "VmFlags: rd\n",
					   (size_t)lab_count(m, "#sFfH") * 4,
					   (size_t)lab_count(m, "#fH") * 4,
					   (size_t)lab_count(m, "#sH") * 4,
					   (size_t)lab_count(m, "H") * 4,
					   (size_t)lab_count(m, "w") * 4);
	}
	return ok;
}

static bool lab_status(struct mw_buf *out, pid_t pid)
{
	if (pid == ZOMBIE)
		return mw_buf_printf(out, "Name:\tlab\nState:\tZ\nThreads:\t1\n");
	return mw_buf_printf(out,
			     "Name:\tlab\nUid:\t0\t0\t0\t0\nThreads:\t%d\n"
			     "VmSize:\t%d kB\nVmRSS:\t%d kB\nVmPTE:\t%d kB\n",
			     pid - PROGRAM + 1, 4328, 2000, 40);
}

static bool lab_stat(struct mw_buf *out, pid_t pid)
{
	return mw_buf_printf(out,
			     "%d (lab) %c %d 1 1 0 -1 4194304 %d 0 %d 0 0 0 0 0 20 0 1 0 "
			     "77 4096 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
			     "0\n",
			     pid, pid == ZOMBIE ? 'Z' : 'S', pid == CHILD ? PROGRAM : 1,
			     1000 + pid, pid - PROGRAM, 500 + pid);
}

static struct mw_err *lab_machine_text(const struct lab_world *w, enum mw_file file,
				       struct mw_buf *out)
{
	static const char *const texts[MW_FILE_COUNT] = {
		[MW_FILE_MEMINFO] = "MemTotal:  8000 kB\nMemAvailable: 5000 kB\n"
				    "HugePages_Total: 3\n",
		[MW_FILE_VMSTAT] = "pgfault 123456\npgmajfault 12\n",
		[MW_FILE_RANDOMIZE] = "2\n",
		[MW_FILE_MMAP_MIN_ADDR] = "65536\n",
		[MW_FILE_THP_SIZE] = "2097152\n",
		[MW_FILE_THP_ENABLED] = "always [madvise] never\n",
		[MW_FILE_CPUINFO] = "processor\t: 0\nflags\t\t: fpu lm sse\n\n"
				    "processor\t: 1\nflags\t\t: fpu lm sse\n",
	};
	bool thp = file == MW_FILE_THP_ENABLED || file == MW_FILE_THP_SIZE;
	if (file == MW_FILE_MMAP_RND_BITS)
		return mw_err_new(MW_ERR_DENIED, 0, "bits", "only root may read it");
	if (!texts[file] || (thp && w->no_thp))
		return mw_err_new(MW_ERR_NOTFOUND, 0, mw_file_name(file), "not made");
	return mw_buf_printf(out, "%s", texts[file]) ? NULL : mw_err_nomem();
}

static struct mw_err *lab_text(struct mw_source *src, pid_t pid, pid_t tid,
			       enum mw_file file, struct mw_buf *out)
{
	const struct lab_world *w = (const struct lab_world *)src;
	bool ok;
	(void)tid;
	if (!pid)
		return lab_machine_text(w, file, out);
	if (pid >= NOBODY)
		return mw_err_new(MW_ERR_NOTFOUND, 0, "", "no process %d", (int)pid);
	if (file == MW_FILE_STAT)
		ok = lab_stat(out, pid);
	else if (file == MW_FILE_STATUS)
		ok = lab_status(out, pid);
	else if (file == MW_FILE_MAPS && pid == DENIED)
		return mw_err_new(MW_ERR_DENIED, 0, "maps", "maps: not for you");
	else if (file == MW_FILE_MAPS || file == MW_FILE_SMAPS)
		ok = lab_maps(out, file == MW_FILE_SMAPS);
	else if (file == MW_FILE_SMAPS_ROLLUP)
		ok = mw_buf_printf(out, "00400000-50001000 ---p 00000000 00:00 0 "
					"[rollup]\nRss: 1 kB\nPss: 777 kB\n");
	else
		return mw_err_new(MW_ERR_NOTFOUND, 0, mw_file_name(file), "not made");
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *lab_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	(void)src, (void)pid;
	return mw_buf_printf(out, "/bin/lab") ? NULL : mw_err_nomem();
}

static struct mw_err *lab_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	(void)src;
	return mw_vec_add(out, pid) ? NULL : mw_err_nomem();
}

/* Frames are numbered as pages are, but for the zero page. */
static uint64_t lab_word(const struct lab_world *w, uint64_t addr)
{
	const uint64_t present = UINT64_C(1) << 63, file = UINT64_C(1) << 61;
	const uint64_t alone = UINT64_C(1) << 56;
	char letter = lab_letter(addr);
	uint64_t pfn = w->hidden ? 0 : letter == 'z' ? 9 : addr / PAGE;
	switch (letter) {
	case '#':
	case 'H':
		return present | alone | pfn;
	case 's':
	case 'z':
		return present | pfn;
	case 'F':
		return present | file | pfn;
	case 'f':
		return present | file | alone | pfn;
	case 'w':
		return UINT64_C(1) << 62;
	}
	return 0;
}

static struct mw_err *lab_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				  size_t n, uint64_t *ret)
{
	const struct lab_world *w = (const struct lab_world *)src;
	(void)pid;
	if (w->no_pagemap)
		return mw_err_new(MW_ERR_DENIED, 0, "pagemap", "pagemap: not for you");
	for (size_t i = 0; i < n; i++)
		ret[i] = lab_word(w, addr + i * PAGE);
	return NULL;
}

static struct mw_err *lab_scan(struct mw_source *src, pid_t pid, uint64_t start,
			       uint64_t end, struct mw_page_ranges *out)
{
	const struct lab_world *w = (const struct lab_world *)src;
	(void)pid;
	if (w->no_scan)
		return mw_err_new(MW_ERR_UNSUPPORTED, 0, "", "no PAGEMAP_SCAN");
	for (uint64_t at = start; at < end; at += PAGE) {
		char letter = lab_letter(at);
		struct mw_page_range range = { at, at + PAGE, MW_SCAN_PRESENT };
		if (letter == 'w')
			range.categories = MW_SCAN_SWAPPED;
		if (letter == 'z')
			range.categories |= MW_SCAN_PFNZERO;
		if (letter == 'H')
			range.categories |= MW_SCAN_HUGE;
		if (letter != '.' && !mw_vec_add(out, range))
			return mw_err_nomem();
	}
	return NULL;
}

static struct mw_err *lab_kpage(struct mw_source *src, enum mw_kpage which, uint64_t pfn,
				size_t n, uint64_t *ret)
{
	(void)src;
	for (size_t i = 0; i < n; i++) {
		char letter = lab_letter((pfn + i) * PAGE);
		ret[i] = which != MW_KPAGE_COUNT ? 0
			 : letter == 's'         ? 2
			 : letter == 'F'         ? 3
						 : 1;
	}
	return NULL;
}

static struct mw_err *lab_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				 void *bytes, size_t len, enum mw_purpose purpose,
				 size_t *got)
{
	struct lab_world *w = (struct lab_world *)src;
	(void)pid, (void)purpose;
	w->n_reads++;
	for (size_t i = 0; i < len; i++) {
		if (!strchr("#szFfH", lab_letter(addr + i)))
			fail_msg("read %llx, which is not present",
				 (unsigned long long)addr + i);
		((unsigned char *)bytes)[i] = (unsigned char)(addr + i);
	}
	*got = len;
	return NULL;
}

/* An ELF file of four sections: 100 bytes of code, 30 of constants, 40 of data, 24 none.
 */
struct lab_elf {
	Elf64_Ehdr head;
	Elf64_Shdr sections[6];
	char names[48];
};

static struct lab_elf lab_elf(void)
{
	struct lab_elf elf = {
		.head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT },
			  .e_type = ET_EXEC,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_shoff = offsetof(struct lab_elf, sections),
			  .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_shentsize = sizeof(Elf64_Shdr),
			  .e_shnum = 6,
			  .e_shstrndx = 5 },
		.names = "\0.text\0.ro\0.data\0.bss\0.names",
	};
	const struct {
		unsigned name, type, flags, len;
	} of[] = {
		{ 1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 100 },
		{ 7, SHT_PROGBITS, SHF_ALLOC, 30 },
		{ 11, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 40 },
		{ 17, SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 24 },
		{ 22, SHT_STRTAB, 0, sizeof(elf.names) },
	};
	for (size_t i = 0; i < 5; i++)
		elf.sections[i + 1] = (Elf64_Shdr){
			.sh_name = of[i].name,
			.sh_type = of[i].type,
			.sh_flags = of[i].flags,
			.sh_addr = i < 4 ? 0x400000 + i * 0x1000 : 0,
			.sh_offset = offsetof(struct lab_elf, names),
			.sh_size = of[i].len,
		};
	return elf;
}

static struct mw_err *lab_object(struct mw_source *src, pid_t pid,
				 const struct mw_object *obj, uint64_t off, void *bytes,
				 size_t len, size_t *got)
{
	const struct lab_world *w = (const struct lab_world *)src;
	struct lab_elf elf = lab_elf();
	(void)pid;
	if (w->unreadable)
		return mw_err_new(MW_ERR_DENIED, 0, obj->path, "file: not for you");
	*got = off >= sizeof(elf)        ? 0
	       : len < sizeof(elf) - off ? len
					 : sizeof(elf) - (size_t)off;
	memcpy(bytes, (const char *)&elf + (*got ? off : 0), *got);
	return NULL;
}

static struct mw_err *lab_probe(struct mw_source *src, enum mw_feature feature, bool *ret)
{
	const struct lab_world *w = (const struct lab_world *)src;
	*ret = feature == MW_FEATURE_FRAMES         ? !w->hidden
	       : feature == MW_FEATURE_PAGEMAP_SCAN ? !w->no_scan
						    : false;
	return NULL;
}

static const struct mw_source_ops lab_ops = {
	.name = "lab",
	.read_text = lab_text,
	.read_exe = lab_exe,
	.list = lab_list,
	.read_pagemap = lab_pagemap,
	.scan = lab_scan,
	.read_kpage = lab_kpage,
	.read_memory = lab_memory,
	.read_object = lab_object,
	.probe = lab_probe,
};

static inline int lab_world_up(void **state)
{
	struct lab_world *w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->src.ops = &lab_ops;
	w->src.facts = (struct mw_facts){
		.page_size = PAGE, .clock_ticks = 100, .live = true, .release = ""
	};
	*state = w;
	return 0;
}

static inline int lab_world_down(void **state)
{
	struct lab_world *w = *state;
	mw_observation_free(w->seen);
	mw_arena_deinit(&w->arena);
	free(w);
	return 0;
}
