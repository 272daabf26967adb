/* SPDX-License-Identifier: MIT */
/*
 * A process made by hand: mappings, and the pages that are in them. What is not put
 * into it is absent, and reading that would change a real process: such reads are
 * counted, and must not happen.
 */
#pragma once

#include "base/buf.h"
#include "kernel/source.h"
#include <memwhy/explain.h>

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGE_PAGE = 4096, IMAGE_PAGES = 4096, IMAGE_PID = 4242 };

struct image_page {
	uint64_t addr;
	unsigned char bytes[IMAGE_PAGE];
};

struct image {
	struct mw_source src;
	struct mw_buf maps;
	struct image_page *pages[IMAGE_PAGES];
	size_t n_pages;
	unsigned char object[IMAGE_PAGE]; /* every mapped file is this one */
	unsigned n_faults;
	struct mw_snapshot *snap;
	struct mw_layout *layout;
};

static struct image_page *image_page(struct image *image, uint64_t addr)
{
	for (size_t i = 0; i < image->n_pages; i++)
		if (image->pages[i]->addr == (addr & ~UINT64_C(4095)))
			return image->pages[i];
	return NULL;
}

static struct mw_err *image_text(struct mw_source *src, pid_t pid, pid_t tid,
				 enum mw_file file, struct mw_buf *out)
{
	const struct image *image = (const struct image *)src;
	(void)tid;
	bool ok = true;
	if (pid == IMAGE_PID && file == MW_FILE_MAPS)
		ok = mw_buf_add(out, image->maps.data, image->maps.len);
	else if (pid == IMAGE_PID && file == MW_FILE_STAT)
		ok = mw_buf_printf(out,
				   "%d (image) S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 "
				   "20 0 1 0 77 4096 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
				   "0 0 0 0 0 0 0 0 0 0 0\n",
				   IMAGE_PID);
	else if (pid == IMAGE_PID && file == MW_FILE_STATUS)
		ok = mw_buf_printf(out,
				   "Name:\timage\nUid:\t0\t0\t0\t0\nThreads:\t1\n"
				   "VmSize:\t1 kB\nVmRSS:\t%zu kB\n",
				   image->n_pages * 4);
	else
		return mw_err_new(MW_ERR_NOTFOUND, 0, mw_file_name(file), "not made");
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *image_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	(void)src, (void)pid;
	return mw_buf_printf(out, "/bin/program") ? NULL : mw_err_nomem();
}

static struct mw_err *image_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret)
{
	struct image *image = (struct image *)src;
	(void)pid;
	for (size_t i = 0; i < n_pages; i++)
		ret[i] = image_page(image, addr + i * IMAGE_PAGE)
				 ? UINT64_C(1) << 63 | UINT64_C(1) << 56
				 : 0;
	return NULL;
}

static struct mw_err *image_scan(struct mw_source *src, pid_t pid, uint64_t start,
				 uint64_t end, struct mw_page_ranges *out)
{
	struct image *image = (struct image *)src;
	(void)pid;
	/* The pages were put in order of their addresses. */
	for (size_t i = 0; i < image->n_pages; i++) {
		uint64_t addr = image->pages[i]->addr;
		if (addr < start || addr >= end)
			continue;
		struct mw_page_range *grown =
			realloc(out->items, (out->n + 1) * sizeof(*out->items));
		if (!grown)
			return mw_err_nomem();
		out->items = grown;
		out->cap = out->n + 1;
		out->items[out->n++] = (struct mw_page_range){
			.start = addr,
			.end = addr + IMAGE_PAGE,
			.categories = MW_SCAN_PRESENT,
		};
	}
	return NULL;
}

static struct mw_err *image_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				   void *bytes, size_t len, enum mw_purpose purpose,
				   size_t *got)
{
	struct image *image = (struct image *)src;
	(void)pid, (void)purpose;
	for (size_t i = 0, n; i < len; i += n) {
		const struct image_page *page = image_page(image, addr + i);
		size_t in_page = (addr + i) & (IMAGE_PAGE - 1);
		n = len - i < IMAGE_PAGE - in_page ? len - i : IMAGE_PAGE - in_page;
		image->n_faults += !page;
		if (page)
			memcpy((char *)bytes + i, page->bytes + in_page, n);
		else
			memset((char *)bytes + i, 0, n);
	}
	*got = len;
	return NULL;
}

static struct mw_err *image_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got)
{
	const struct image *image = (const struct image *)src;
	(void)pid, (void)obj;
	*got = off >= IMAGE_PAGE        ? 0
	       : len < IMAGE_PAGE - off ? len
					: IMAGE_PAGE - (size_t)off;
	memcpy(bytes, image->object + (off < IMAGE_PAGE ? off : 0), *got);
	return NULL;
}

static struct mw_err *image_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	(void)src, (void)pid;
	pid_t *items = realloc(out->items, (out->n + 1) * sizeof(*items));
	if (!items)
		return mw_err_nomem();
	out->items = items;
	out->cap = out->n + 1;
	out->items[out->n++] = IMAGE_PID;
	return NULL;
}

static void image_init(struct image *image)
{
	static const struct mw_source_ops ops = {
		.name = "image",
		.read_text = image_text,
		.read_exe = image_exe,
		.list = image_list,
		.scan = image_scan,
		.read_pagemap = image_pagemap,
		.read_memory = image_memory,
		.read_object = image_object,
	};
	*image = (struct image){
		.src = { .ops = &ops, .facts = { .page_size = IMAGE_PAGE } },
	};
}

/* A mapping; `name` of a file begins with a slash. In order of addresses. */
static void image_map(struct image *image, uint64_t start, uint64_t len,
		      const char *perms, const char *name)
{
	bool file = name[0] == '/';
	assert_true(mw_buf_printf(
		&image->maps, "%08llx-%08llx %s 00000000 %s %d          %s\n",
		(unsigned long long)start, (unsigned long long)(start + len), perms,
		file ? "08:01" : "00:00", file ? 99 : 0, name));
}

static void image_put(struct image *image, uint64_t addr, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		struct image_page *page = image_page(image, addr + i);
		if (!page) {
			assert_true(image->n_pages < IMAGE_PAGES);
			page = calloc(1, sizeof(*page));
			assert_non_null(page);
			page->addr = (addr + i) & ~UINT64_C(4095);
			image->pages[image->n_pages++] = page;
		}
		page->bytes[(addr + i) & (IMAGE_PAGE - 1)] =
			((const unsigned char *)bytes)[i];
	}
}

static inline void image_put_words(struct image *image, uint64_t addr,
				   const uint64_t *words, size_t n)
{
	image_put(image, addr, words, n * sizeof(*words));
}
#define IMAGE_WORDS(image, addr, ...)                             \
	image_put_words(image, addr, (uint64_t[]){ __VA_ARGS__ }, \
			sizeof((uint64_t[]){ __VA_ARGS__ }) / 8)

/*
 * An ELF object of one page: a symbol, and two sections without contents; the second is
 * the page behind the object's first.
 */
static inline void image_elf_with(struct image *image, const char *symbol, uint64_t value,
				  const char *section, const char *second)
{
	unsigned char *elf = image->object;
	static const char names[] = "\0.dynsym\0.dynstr\0.shstrtab\0";
	Elf64_Ehdr head = { .e_ident = ELFMAG,
			    .e_type = ET_DYN,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_ehsize = sizeof(head),
			    .e_phoff = 64,
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1,
			    .e_shoff = 0x500,
			    .e_shentsize = sizeof(Elf64_Shdr),
			    .e_shnum = 6,
			    .e_shstrndx = 3 };
	head.e_ident[EI_CLASS] = ELFCLASS64;
	head.e_ident[EI_DATA] = ELFDATA2LSB;
	head.e_ident[EI_VERSION] = EV_CURRENT;
	Elf64_Phdr load = { .p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_filesz = IMAGE_PAGE,
			    .p_memsz = IMAGE_PAGE,
			    .p_align = IMAGE_PAGE };
	Elf64_Sym syms[2] = { [1] = { .st_name = 1,
				      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT),
				      .st_shndx = 4,
				      .st_value = value,
				      .st_size = 8 } };
	Elf64_Shdr secs[6] = {
		[1] = { .sh_name = 1,
			.sh_type = SHT_DYNSYM,
			.sh_flags = SHF_ALLOC,
			.sh_offset = 0x300,
			.sh_size = sizeof(syms),
			.sh_link = 2,
			.sh_info = 1,
			.sh_entsize = sizeof(Elf64_Sym) },
		[2] = { .sh_name = 9,
			.sh_type = SHT_STRTAB,
			.sh_offset = 0x200,
			.sh_size = 64 },
		[3] = { .sh_name = 17,
			.sh_type = SHT_STRTAB,
			.sh_offset = 0x400,
			.sh_size = 128 },
		[4] = { .sh_name = 27, .sh_type = SHT_NOBITS },
		[5] = { .sh_name = 64,
			.sh_type = SHT_NOBITS,
			.sh_addr = IMAGE_PAGE,
			.sh_size = IMAGE_PAGE },
	};
	memcpy(elf, &head, sizeof(head));
	memcpy(elf + 64, &load, sizeof(load));
	snprintf((char *)elf + 0x201, 60, "%s", symbol);
	memcpy(elf + 0x300, syms, sizeof(syms));
	memcpy(elf + 0x400, names, sizeof(names));
	snprintf((char *)elf + 0x400 + 27, 30, "%s", section);
	snprintf((char *)elf + 0x400 + 64, 30, "%s", second);
	memcpy(elf + 0x500, secs, sizeof(secs));
}

static inline void image_elf(struct image *image, const char *symbol, uint64_t value,
			     const char *section)
{
	image_elf_with(image, symbol, value, section, ".none");
}

/* Takes the snapshot and classifies it; no absent page may have been read. */
static inline void image_classify(struct image *image)
{
	struct mw_snapshot_opts opts = { .engine = MW_ENGINE_PAGES };
	struct mw_err *err =
		mw_snapshot_take(&image->src, IMAGE_PID, &opts, &image->snap);
	if (err)
		fail_msg("%s", err->msg);
	assert_null(mw_classify(image->snap, NULL, &image->layout));
	assert_int_equal(image->n_faults, 0);
}

/* The segment that holds an address. */
static inline const struct mw_segment *image_at(const struct image *image, uint64_t addr)
{
	size_t n;
	const struct mw_segment *segs = mw_layout_segments(image->layout, &n);
	for (size_t i = 0; i < n; i++)
		if (segs[i].start <= addr && addr < segs[i].end)
			return &segs[i];
	fail_msg("no segment at 0x%llx", (unsigned long long)addr);
	return NULL;
}

static void image_deinit(struct image *image)
{
	mw_layout_free(image->layout);
	mw_snapshot_free(image->snap);
	for (size_t i = 0; i < image->n_pages; i++)
		free(image->pages[i]);
	mw_buf_deinit(&image->maps);
}

#define assert_segment(image, addr, class_, confidence_)                              \
	do {                                                                          \
		const struct mw_segment *seg_ = image_at(image, addr);                \
		assert_string_equal(mw_class_key(seg_->class), mw_class_key(class_)); \
		assert_int_equal(seg_->confidence, confidence_);                      \
	} while (0)
