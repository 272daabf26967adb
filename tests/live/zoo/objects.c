// SPDX-License-Identifier: MIT
// Parts of ELF objects: of this executable, of a library, of the dynamic loader.

#include "lib.h"
#include "zoo.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>

enum { N_POINTERS = ZOO_OBJECT_LEN / sizeof(void *) };

static const char rodata[ZOO_OBJECT_LEN] = { 1 };
static const void *const relro[N_POINTERS] = { [0 ... N_POINTERS - 1] = rodata };
static char data[ZOO_OBJECT_LEN] = { 1 };
static char bss[ZOO_MIB];

// Large parts by whole pages: the page where data ends and bss begins is one page.
static void print_pages(const char *class, const char *what, const struct zoo_part *part)
{
	uintptr_t start = (uintptr_t)part->start, end = start + part->len;

	if (part->len >= 2 * ZOO_PAGE) {
		start = (start + ZOO_PAGE - 1) & ~((uintptr_t)ZOO_PAGE - 1);
		end &= ~((uintptr_t)ZOO_PAGE - 1);
	}
	zoo_range(class, what, (const void *)start, end - start);
}

static void print_parts(const char *object, const struct zoo_part parts[ZOO_N_PARTS])
{
	char class[64], what[64];

	for (int i = 0; i < ZOO_N_PARTS; i++) {
		snprintf(class, sizeof(class), "%s.%s", object, parts[i].part);
		snprintf(what, sizeof(what), "%s-%s", object, parts[i].part);
		print_pages(class, what, &parts[i]);
	}
}

// The loader's own symbols tell where its parts are (glibc 2.36).
static void loader(void)
{
	static const struct {
		const char *class, *symbol;
	} of[] = {
		{ "loader.text", "__tls_get_addr" },
		{ "loader.rodata", "__rseq_flags" },
		{ "loader.relro", "_rtld_global_ro" },
		{ "loader.data", "_rtld_global" },
		// Lies in the page where the loader's data ends.
		{ "loader.data|loader.bss", "_r_debug" },
	};

	zoo_at("loader.rodata", "loader-headers", (const void *)getauxval(AT_BASE));
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		const void *addr = dlsym(RTLD_DEFAULT, of[i].symbol);

		if (addr)
			zoo_at(of[i].class, of[i].symbol, addr);
		else
			zoo_skip_why(of[i].symbol, "no-such-symbol");
	}
}

void zoo_objects(void)
{
	struct zoo_part parts[ZOO_N_PARTS] = {
		{ "text", (const void *)zoo_objects, 16 },
		{ "rodata", rodata, sizeof(rodata) },
		{ "relro", relro, sizeof(relro) },
		{ "data", data, sizeof(data) },
		{ "bss", bss, sizeof(bss) },
	};

	zoo_touch(data, sizeof(data));
	zoo_touch(bss, sizeof(bss));
	print_parts("exe", parts);
	zoo_lib_parts(parts);
	print_parts("lib", parts);
	loader();
}
