// SPDX-License-Identifier: MIT
/*
 * ELF objects: this program and its libc against what the loader says of them, and
 * crafted ones of every class and byte order, whole, cut and failing.
 */
#include "symbols/elf.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct file {
	int fd;
	unsigned n_reads;
};

static struct mw_err *read_file(void *arg, uint64_t off, void *bytes, size_t len,
				size_t *got)
{
	struct file *file = arg;
	ssize_t n = pread(file->fd, bytes, len, (off_t)off);
	file->n_reads++;
	if (n < 0)
		return mw_err_sys(errno, "object");
	*got = (size_t)n;
	return NULL;
}

/* One object the loader has mapped. */
struct loaded {
	const char *wanted; /* a part of its name; "" is the program */
	char path[4096];
	uintptr_t bias;
	const ElfW(Phdr) * headers;
	size_t n;
};

static int match_loaded(struct dl_phdr_info *info, size_t len, void *arg)
{
	struct loaded *loaded = arg;
	(void)len;
	if (*loaded->wanted ? !strstr(info->dlpi_name, loaded->wanted)
			    : *info->dlpi_name != '\0')
		return 0;
	snprintf(loaded->path, sizeof(loaded->path), "%s",
		 *loaded->wanted ? info->dlpi_name : "/proc/self/exe");
	loaded->bias = info->dlpi_addr;
	loaded->headers = info->dlpi_phdr;
	loaded->n = info->dlpi_phnum;
	return 1;
}

static struct mw_elf *open_loaded(const char *wanted, struct file *file,
				  struct loaded *loaded)
{
	struct mw_elf *elf = NULL;
	*loaded = (struct loaded){ .wanted = wanted };
	assert_int_equal(dl_iterate_phdr(match_loaded, loaded), 1);
	*file = (struct file){ .fd = open(loaded->path, O_RDONLY | O_CLOEXEC) };
	assert_true(file->fd >= 0);
	assert_null(mw_elf_open(read_file, file, &elf));
	return elf;
}

static void close_loaded(struct mw_elf *elf, struct file *file)
{
	mw_elf_free(elf);
	close(file->fd);
}

static void test_segments_are_the_loaders(void **state)
{
	(void)state;
	static const char *const names[] = { "", "libc.so" };
	for (int i = 0; i < 2; i++) {
		struct file file;
		struct loaded loaded;
		struct mw_elf *elf = open_loaded(names[i], &file, &loaded);
		size_t n;
		const struct mw_elf_segment *segments = mw_elf_segments(elf, &n);
		assert_int_equal(file.n_reads, 1);
		assert_int_equal(n, loaded.n);
		for (size_t at = 0; at < n; at++) {
			assert_int_equal(segments[at].type, loaded.headers[at].p_type);
			assert_int_equal(segments[at].flags, loaded.headers[at].p_flags);
			assert_int_equal(segments[at].vaddr, loaded.headers[at].p_vaddr);
			assert_int_equal(segments[at].offset,
					 loaded.headers[at].p_offset);
			assert_int_equal(segments[at].file_len,
					 loaded.headers[at].p_filesz);
			assert_int_equal(segments[at].mem_len,
					 loaded.headers[at].p_memsz);
			assert_int_equal(segments[at].align, loaded.headers[at].p_align);
		}
		assert_int_equal(mw_elf_is64(elf), sizeof(void *) == 8);
		assert_true(mw_elf_type(elf) == ET_DYN || i == 0);
		close_loaded(elf, &file);
	}
}

static uint64_t value_of(struct mw_elf *elf, const char *name)
{
	uint64_t value = 0;
	mw_auto_err err = mw_elf_symbol_value(elf, name, &value);
	assert_null(err);
	return value;
}

static void assert_symbol_at(struct mw_elf *elf, uint64_t vaddr, const char *name,
			     uint64_t offset)
{
	const char *found = NULL;
	uint64_t found_offset = 0;
	mw_auto_err err = mw_elf_symbol_at(elf, vaddr, &found, &found_offset);
	assert_null(err);
	assert_string_equal(found, name);
	assert_int_equal(found_offset, offset);
}

/* Known to the compiler, the linker, the loader and, one hopes, to mw_elf alike. */
int test_elf_object[4] = { 1, 2, 3, 4 };

static void test_own_symbols(void **state)
{
	(void)state;
	struct file file;
	struct loaded loaded;
	struct mw_elf *elf = open_loaded("", &file, &loaded);
	uintptr_t object = (uintptr_t)test_elf_object - loaded.bias;
	uintptr_t local = (uintptr_t)test_own_symbols - loaded.bias;
	assert_int_equal(value_of(elf, "test_elf_object"), object);
	assert_int_equal(value_of(elf, "test_own_symbols"), local);
	assert_symbol_at(elf, object + 15, "test_elf_object", 15);
	assert_symbol_at(elf, local, "test_own_symbols", 0);
	assert_symbol_at(elf, local + 1, "test_own_symbols", 1);

	const struct mw_elf_section *text = NULL, *none = NULL;
	assert_null(mw_elf_find_section(elf, ".text", &text));
	assert_true(text && text->addr <= local && local < text->addr + text->len);
	assert_null(mw_elf_find_section(elf, ".no such", &none));
	assert_null(none);
	close_loaded(elf, &file);
}

static void test_libc_symbols(void **state)
{
	(void)state;
	struct file file;
	struct loaded loaded;
	struct mw_elf *elf = open_loaded("libc.so", &file, &loaded);
	uint64_t value = 77;
	const char *name;
	/* malloc has more names; the plain one is shown. */
	uint64_t malloc_at = value_of(elf, "malloc");
	assert_int_equal(value_of(elf, "__libc_malloc"), malloc_at);
	assert_symbol_at(elf, malloc_at + 4, "malloc", 4);
	assert_int_equal(value_of(elf, "environ"), value_of(elf, "__environ"));
	struct mw_err *err = mw_elf_symbol_value(elf, "no such symbol", &value);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	mw_err_free(err);
	err = mw_elf_symbol_at(elf, 1, &name, &value);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	mw_err_free(err);
	assert_int_equal(value, 77);
	close_loaded(elf, &file);
}

/* The note as the loader mapped it, against the one read from the file. */
static void test_build_id(void **state)
{
	(void)state;
	struct file file;
	struct loaded loaded;
	struct mw_elf *elf = open_loaded("libc.so", &file, &loaded);
	char hex[129], expected[129] = "";
	for (size_t i = 0; i < loaded.n; i++) {
		const unsigned char *note =
			(unsigned char *)loaded.bias + loaded.headers[i].p_vaddr;
		if (loaded.headers[i].p_type != PT_NOTE || note[8] != NT_GNU_BUILD_ID)
			continue;
		for (unsigned at = 0; at < note[4]; at++)
			snprintf(expected + 2 * at, 3, "%02x", note[16 + at]);
	}
	assert_int_equal(strlen(expected), 40);
	assert_null(mw_elf_build_id(elf, hex));
	assert_string_equal(hex, expected);
	assert_int_equal(file.n_reads, 1);
	close_loaded(elf, &file);
}

/* A crafted object. */
struct image {
	unsigned char bytes[0x600];
	size_t len;
	bool is64, big;
	int n_reads, failing; /* the read that fails, counted from 1; 0: none */
	size_t shift;         /* the bytes are found a second time, this much later */
};

static struct mw_err *read_image(void *arg, uint64_t off, void *bytes, size_t len,
				 size_t *got)
{
	struct image *image = arg;
	if (++image->n_reads == image->failing)
		return mw_err_new(MW_ERR_GONE, 0, NULL, "on purpose");
	if (image->shift && off >= image->shift)
		off -= image->shift;
	else if (image->shift)
		len = len < image->shift ? len : image->shift;
	size_t left = off < image->len ? image->len - (size_t)off : 0;
	*got = len < left ? len : left;
	memcpy(bytes, image->bytes + image->len - left, *got);
	return NULL;
}

static void put(struct image *image, size_t at, size_t width, uint64_t value)
{
	for (size_t i = 0; i < width; i++)
		image->bytes[at + (image->big ? width - 1 - i : i)] =
			(unsigned char)(value >> (8 * i));
}

#define PUT(image, at, type, member, value)                          \
	put(image,                                                   \
	    (at) + ((image)->is64 ? offsetof(Elf64_##type, member)   \
				  : offsetof(Elf32_##type, member)), \
	    (image)->is64 ? sizeof(((Elf64_##type *)0)->member)      \
			  : sizeof(((Elf32_##type *)0)->member),     \
	    value)

enum { PHDRS = 0x80, NOTE = 0x140, SYMS = 0x180, STRINGS = 0x280, SHDRS = 0x300 };
enum { N_SYMS = 8, N_SECTIONS = 4, STRINGS_LEN = 64 };

static const char strings[STRINGS_LEN] = "\0.symtab\0.strtab\0outer\0inner\0__alias\0"
					 "alias\0far\0tls\0";

static uint64_t string_at(const char *name)
{
	for (size_t i = 1; i < sizeof(strings); i++)
		if (strings[i - 1] == '\0' && strcmp(strings + i, name) == 0)
			return i;
	fail();
	return 0;
}

static void put_symbol(struct image *image, size_t index, const char *name, unsigned info,
		       uint64_t value, uint64_t len, unsigned section)
{
	size_t at = SYMS + index * (image->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym));
	PUT(image, at, Sym, st_name, string_at(name));
	PUT(image, at, Sym, st_info, info);
	PUT(image, at, Sym, st_value, value);
	PUT(image, at, Sym, st_size, len);
	PUT(image, at, Sym, st_shndx, section);
}

static void put_symbols(struct image *image)
{
	put_symbol(image, 1, "outer", STT_FUNC, 0x1000, 0x100, 1);
	put_symbol(image, 2, "inner", STT_FUNC, 0x1040, 0x10, 1);
	put_symbol(image, 3, "__alias", STB_GLOBAL << 4 | STT_OBJECT, 0x2000, 8, 1);
	put_symbol(image, 4, "alias", STB_GLOBAL << 4 | STT_OBJECT, 0x2000, 8, 1);
	put_symbol(image, 5, "far", STB_GLOBAL << 4 | STT_FUNC, 0x9000, 0x10, SHN_UNDEF);
	put_symbol(image, 6, "tls", STB_GLOBAL << 4 | STT_TLS, 0x3000, 0x10, 1);
	put_symbol(image, 7, "far", STT_GNU_IFUNC, 0x4000, 0x10, 1);
}

static void put_sections(struct image *image)
{
	size_t len = image->is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	size_t symbol_len = image->is64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	PUT(image, SHDRS + len, Shdr, sh_name, string_at(".symtab"));
	PUT(image, SHDRS + len, Shdr, sh_type, SHT_SYMTAB);
	PUT(image, SHDRS + len, Shdr, sh_offset, SYMS);
	PUT(image, SHDRS + len, Shdr, sh_size, N_SYMS * symbol_len);
	PUT(image, SHDRS + len, Shdr, sh_entsize, symbol_len);
	PUT(image, SHDRS + len, Shdr, sh_link, 2);
	PUT(image, SHDRS + 2 * len, Shdr, sh_name, string_at(".strtab"));
	PUT(image, SHDRS + 2 * len, Shdr, sh_type, SHT_STRTAB);
	PUT(image, SHDRS + 2 * len, Shdr, sh_offset, STRINGS);
	PUT(image, SHDRS + 2 * len, Shdr, sh_size, STRINGS_LEN);
	PUT(image, SHDRS + 3 * len, Shdr, sh_name, UINT32_MAX);
}

static void put_segments(struct image *image)
{
	size_t len = image->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	uint64_t top = image->is64 ? UINT64_C(0xffffffff80001000) : 0xc0001000;
	PUT(image, PHDRS, Phdr, p_type, PT_LOAD);
	PUT(image, PHDRS, Phdr, p_flags, PF_R | PF_X);
	PUT(image, PHDRS, Phdr, p_offset, 0x1000);
	PUT(image, PHDRS, Phdr, p_vaddr, top);
	PUT(image, PHDRS, Phdr, p_filesz, 0x234);
	PUT(image, PHDRS, Phdr, p_memsz, 0x2340);
	PUT(image, PHDRS, Phdr, p_align, 0x1000);
	PUT(image, PHDRS + len, Phdr, p_type, PT_NOTE);
	PUT(image, PHDRS + len, Phdr, p_offset, NOTE);
	PUT(image, PHDRS + len, Phdr, p_filesz, 12 + 4 + 4 + 12 + 4 + 6);
	/* A note of another owner, whose name and descriptor are padded; then the id. */
	put(image, NOTE, 4, 2);
	put(image, NOTE + 4, 4, 3);
	put(image, NOTE + 8, 4, NT_GNU_BUILD_ID);
	memcpy(image->bytes + NOTE + 12, "X\0\0\0abc", 8);
	put(image, NOTE + 20, 4, 4);
	put(image, NOTE + 24, 4, 6);
	put(image, NOTE + 28, 4, NT_GNU_BUILD_ID);
	memcpy(image->bytes + NOTE + 32, "GNU\0\x01\xab\xff\0\x10\x02", 10);
}

static struct image *make_image(bool is64, bool big)
{
	struct image *image = calloc(1, sizeof(*image));
	assert_non_null(image);
	*image = (struct image){ .len = sizeof(image->bytes), .is64 = is64, .big = big };
	memcpy(image->bytes, ELFMAG, SELFMAG);
	image->bytes[EI_CLASS] = is64 ? ELFCLASS64 : ELFCLASS32;
	image->bytes[EI_DATA] = big ? ELFDATA2MSB : ELFDATA2LSB;
	PUT(image, 0, Ehdr, e_type, ET_EXEC);
	PUT(image, 0, Ehdr, e_machine, big ? EM_PPC64 : EM_X86_64);
	PUT(image, 0, Ehdr, e_phoff, PHDRS);
	PUT(image, 0, Ehdr, e_phentsize, is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr));
	PUT(image, 0, Ehdr, e_phnum, 2);
	PUT(image, 0, Ehdr, e_shoff, SHDRS);
	PUT(image, 0, Ehdr, e_shentsize, is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
	PUT(image, 0, Ehdr, e_shnum, N_SECTIONS);
	PUT(image, 0, Ehdr, e_shstrndx, 2);
	put_segments(image);
	put_symbols(image);
	memcpy(image->bytes + STRINGS, strings, STRINGS_LEN);
	put_sections(image);
	return image;
}

static struct mw_elf *open_image(struct image *image)
{
	struct mw_elf *elf = NULL;
	mw_auto_err err = mw_elf_open(read_image, image, &elf);
	assert_null(err);
	return elf;
}

static void assert_no_symbol_at(struct mw_elf *elf, uint64_t vaddr)
{
	const char *name = NULL;
	uint64_t offset;
	mw_auto_err err = mw_elf_symbol_at(elf, vaddr, &name, &offset);
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	assert_null(name);
}

static void check_places(struct mw_elf *elf)
{
	assert_symbol_at(elf, 0x103f, "outer", 0x3f);
	assert_symbol_at(elf, 0x1040, "inner", 0);
	assert_symbol_at(elf, 0x1050, "outer", 0x50);
	assert_symbol_at(elf, 0x2007, "alias", 7);
	assert_symbol_at(elf, 0x4001, "far", 1);
	assert_no_symbol_at(elf, 0x1100);
	assert_no_symbol_at(elf, 0x3000);
	assert_no_symbol_at(elf, 0x9000);
	assert_no_symbol_at(elf, 0xfff);
}

static void check_image(struct mw_elf *elf, bool is64, bool big)
{
	const struct mw_elf_section *sections;
	size_t n;
	char hex[129];
	const struct mw_elf_segment *segments = mw_elf_segments(elf, &n);
	assert_int_equal(n, 2);
	assert_true(segments[0].vaddr ==
		    (is64 ? UINT64_C(0xffffffff80001000) : 0xc0001000));
	assert_int_equal(segments[0].flags, PF_R | PF_X);
	assert_int_equal(segments[0].file_len, 0x234);
	assert_int_equal(segments[0].mem_len, 0x2340);
	assert_int_equal(mw_elf_type(elf), ET_EXEC);
	assert_int_equal(mw_elf_machine(elf), big ? EM_PPC64 : EM_X86_64);
	assert_null(mw_elf_sections(elf, &sections, &n));
	assert_int_equal(n, N_SECTIONS);
	assert_string_equal(sections[1].name, ".symtab");
	assert_string_equal(sections[3].name, "");
	assert_null(mw_elf_build_id(elf, hex));
	assert_string_equal(hex, "01abff001002");
	assert_int_equal(value_of(elf, "inner"), 0x1040);
	assert_int_equal(value_of(elf, "far"), 0x4000);
	assert_int_equal(value_of(elf, "tls"), 0x3000);
	check_places(elf);
	check_places(elf); /* by now the table is sorted */
}

static void test_every_class_and_order(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct image *image = make_image(kind & 1, kind & 2);
		struct mw_elf *elf = open_image(image);
		assert_int_equal(mw_elf_is64(elf), kind & 1);
		check_image(elf, kind & 1, kind & 2);
		mw_elf_free(elf);
		free(image);
	}
}

/* Counts beyond 16 bits stand in section 0. */
static void test_extended_counts(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct image *image = make_image(kind & 1, kind & 2);
		PUT(image, 0, Ehdr, e_phnum, PN_XNUM);
		PUT(image, 0, Ehdr, e_shnum, 0);
		PUT(image, 0, Ehdr, e_shstrndx, SHN_XINDEX);
		PUT(image, SHDRS, Shdr, sh_info, 2);
		PUT(image, SHDRS, Shdr, sh_size, N_SECTIONS);
		PUT(image, SHDRS, Shdr, sh_link, 2);
		struct mw_elf *elf = open_image(image);
		check_image(elf, kind & 1, kind & 2);
		mw_elf_free(elf);
		free(image);
	}
}

/* Asks for everything; the first error, or NULL when all was right. */
static struct mw_err *ask_all(struct image *image)
{
	struct mw_elf *elf = NULL;
	const char *name;
	char hex[129];
	uint64_t value;
	struct mw_err *err = mw_elf_open(read_image, image, &elf);
	if (!err)
		err = mw_elf_build_id(elf, hex);
	if (!err)
		err = mw_elf_symbol_value(elf, "inner", &value);
	if (!err)
		err = mw_elf_symbol_at(elf, 0x1041, &name, &value);
	if (!err)
		assert_string_equal(name, "inner");
	mw_elf_free(elf);
	return err;
}

static void test_cut_anywhere(void **state)
{
	(void)state;
	size_t needed = SHDRS + N_SECTIONS * sizeof(Elf64_Shdr);
	for (size_t len = 0; len < sizeof(((struct image *)0)->bytes); len++) {
		struct image *image = make_image(true, false);
		image->len = len;
		mw_auto_err err = ask_all(image);
		assert_int_equal(err ? err->code : 0, len < needed ? MW_ERR_FORMAT : 0);
		free(image);
	}
}

/*
 * The image is longer than what opening reads, and its tables lie behind that, so that
 * each costs a read of its own; every one of them fails once.
 */
static void test_every_read_may_fail(void **state)
{
	(void)state;
	int failing = 1;
	for (bool done = false; !done; failing++) {
		struct image *image = make_image(true, true);
		image->shift = 0x1000;
		image->failing = failing;
		PUT(image, 0, Ehdr, e_shoff, SHDRS + image->shift);
		for (size_t i = 1; i < 3; i++)
			PUT(image, SHDRS + i * sizeof(Elf64_Shdr), Shdr, sh_offset,
			    (i == 1 ? SYMS : STRINGS) + image->shift);
		mw_auto_err err = ask_all(image);
		done = !err;
		assert_int_equal(err ? err->code : 0, done ? 0 : MW_ERR_GONE);
		assert_int_equal(image->n_reads, done ? failing - 1 : failing);
		free(image);
	}
	assert_int_equal(failing, 7);
}

static void test_broken_headers(void **state)
{
	(void)state;
	enum { N_CASES = 10 };
	for (int i = 0; i < N_CASES; i++) {
		struct image *image = make_image(true, false);
		size_t symtab = SHDRS + sizeof(Elf64_Shdr);
		switch (i) {
		case 0:
			image->bytes[0] = 'E';
			break;
		case 1:
			image->bytes[EI_CLASS] = 3;
			break;
		case 2:
			image->bytes[EI_DATA] = 0;
			break;
		case 3:
			PUT(image, 0, Ehdr, e_phentsize, 1);
			break;
		case 4:
			PUT(image, 0, Ehdr, e_phoff, UINT64_MAX - 8);
			break;
		case 5:
			PUT(image, 0, Ehdr, e_shentsize, 0);
			break;
		case 6:
			PUT(image, 0, Ehdr, e_shoff, INT64_MAX);
			break;
		case 7:
			PUT(image, symtab, Shdr, sh_link, 0x7fffffff);
			break;
		case 8:
			PUT(image, symtab, Shdr, sh_size, UINT64_MAX);
			break;
		case 9:
			PUT(image, symtab, Shdr, sh_entsize, 0);
			break;
		}
		mw_auto_err err = ask_all(image);
		assert_non_null(err);
		assert_int_equal(err->code, MW_ERR_FORMAT);
		free(image);
	}
}

/* Broken section headers must not hide the segments. */
static void test_segments_without_sections(void **state)
{
	(void)state;
	struct image *image = make_image(true, false);
	PUT(image, 0, Ehdr, e_shoff, INT64_MAX);
	struct mw_elf *elf = open_image(image);
	size_t n;
	mw_elf_segments(elf, &n);
	assert_int_equal(n, 2);
	mw_elf_free(elf);

	PUT(image, 0, Ehdr, e_shoff, 0);
	elf = open_image(image);
	const struct mw_elf_section *sections;
	assert_null(mw_elf_sections(elf, &sections, &n));
	assert_int_equal(n, 0);
	assert_no_symbol_at(elf, 0x1000);
	mw_elf_free(elf);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_the_loaders),
		cmocka_unit_test(test_own_symbols),
		cmocka_unit_test(test_libc_symbols),
		cmocka_unit_test(test_build_id),
		cmocka_unit_test(test_every_class_and_order),
		cmocka_unit_test(test_extended_counts),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_every_read_may_fail),
		cmocka_unit_test(test_broken_headers),
		cmocka_unit_test(test_segments_without_sections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
