// SPDX-License-Identifier: MIT
/*
 * Programs and libraries. A file's mappings are matched to its PT_LOAD headers by file
 * offset (names lie: files are renamed, deleted, replaced), which gives the load base;
 * from there on everything is told by address, so that what the loader or the program
 * put over a part of the object is told too: RELRO, bss, remapped text.
 */
#include "base/buf.h"
#include "explain/elf_parts.h"
#include "procfs/auxv.h"
#include "symbols/object.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

/* Bounds against hostile files: no real object comes near them. */
enum { MAX_OBJECTS = 8192 };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool begins(const char *str, const char *prefix)
{
	return !strncmp(str, prefix, strlen(prefix));
}

static bool is_object_file(const struct mw_region *region)
{
	return region->name[0] == '/' && region->ino &&
	       !(region->perms & MW_PERM_SHARED && !(region->perms & MW_PERM_EXEC)) &&
	       !begins(region->name, "/dev/") && !begins(region->name, "/SYSV");
}

static int by_file(const void *a, const void *b, void *arg)
{
	const struct mw_region *regions = arg;
	const struct mw_region *x = &regions[*(const size_t *)a];
	const struct mw_region *y = &regions[*(const size_t *)b];
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->deleted != y->deleted)
		return x->deleted ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* Who is the program, and who its loader: by the kernel's own addresses (AT_PHDR). */
static void find_roles(struct mw_elf_scan *scan)
{
	const struct mw_snapshot *snap = mw_classify_snapshot(scan->cx);
	const struct mw_process *process = mw_snapshot_process(snap);
	struct mw_seen *seen = mw_classify_seen(scan->cx);
	mw_auto_buf auxv = { 0 };
	const struct mw_region *exe = NULL, *loader = NULL;
	uint64_t addr;
	mw_auto_err err = mw_source_read_text(mw_snapshot_source(snap), process->pid, 0,
					      MW_FILE_AUXV, &auxv);
	if (!err && mw_auxv_find(auxv.data, auxv.len, AT_PHDR, &addr))
		exe = mw_snapshot_find(snap, addr);
	if (!err && mw_auxv_find(auxv.data, auxv.len, AT_BASE, &addr) && addr) {
		seen->loader_base = addr;
		loader = mw_snapshot_find(snap, addr);
	}
	for (size_t i = 0; (!exe || !exe->ino) && i < scan->n_order; i++)
		if (process->exe &&
		    !strcmp(scan->regions[scan->order[i]].name, process->exe))
			exe = &scan->regions[scan->order[i]];
	if (exe) {
		seen->exe_dev = exe->dev;
		seen->exe_ino = exe->ino;
	}
	if (loader) {
		scan->loader_dev = loader->dev;
		scan->loader_ino = loader->ino;
	}
}

static enum mw_elf_role role_of(const struct mw_elf_scan *scan,
				const struct mw_region *region)
{
	const struct mw_seen *seen = mw_classify_seen(scan->cx);
	const char *base = base_name(region->name);
	if (region->ino == seen->exe_ino && region->dev == seen->exe_dev)
		return ROLE_EXE;
	if (scan->loader_ino)
		return region->ino == scan->loader_ino && region->dev == scan->loader_dev
			       ? ROLE_LOADER
			       : ROLE_LIB;
	return begins(base, "ld-linux") || begins(base, "ld-musl") ? ROLE_LOADER
								   : ROLE_LIB;
}

/* Which runtimes and allocators are here, by the names their libraries have. */
static void see_name(struct mw_seen *seen, const char *path, enum mw_elf_role role)
{
	const char *base = base_name(path);
	seen->jvm |= begins(base, "libjvm.so");
	seen->glibc |= begins(base, "libc.so.6") || begins(base, "libc-2.");
	seen->musl |= begins(base, "ld-musl") || begins(base, "libc.musl");
	seen->jemalloc |= begins(base, "libjemalloc");
	seen->tcmalloc |= begins(base, "libtcmalloc");
	seen->mimalloc |= begins(base, "libmimalloc");
	seen->python |= begins(base, "libpython");
	seen->v8 |= begins(base, "libnode.so") || begins(base, "libv8");
	/* musl's loader is its libc; maps shows the file, not the link ld-musl-*.so.1. */
	seen->musl |= role == ROLE_LOADER && !begins(base, "libc.so.6") &&
		      begins(base, "libc.so");
	if (role != ROLE_EXE)
		return;
	seen->python |= begins(base, "python");
	seen->v8 |= begins(base, "node") || begins(base, "chrom") ||
		    begins(base, "electron") || begins(base, "deno");
}

static bool has_section(struct mw_elf *elf, const char *name)
{
	const struct mw_elf_section *section = NULL;
	mw_auto_err err = mw_elf_find_section(elf, name, &section);
	return !err && section;
}

/*
 * A static program carries its C library inside: glibc's has a section for its stdio
 * tables (2.26 and later). What is neither that nor Go is taken for musl; whoever
 * relies on it verifies structures.
 */
static void see_exe(struct mw_seen *seen, struct mw_elf *elf)
{
	size_t n;
	bool dynamic = false;
	const struct mw_elf_segment *segments = mw_elf_segments(elf, &n);
	for (size_t i = 0; i < n; i++)
		dynamic |= segments[i].type == PT_INTERP;
	seen->go |= has_section(elf, ".go.buildinfo") || has_section(elf, ".gopclntab");
	if (dynamic)
		return;
	seen->glibc |= has_section(elf, "__libc_IO_vtables");
	seen->musl |= !seen->glibc && !seen->go;
}

static void take_headers(struct mw_elf_object *object, struct mw_seen *seen)
{
	size_t n;
	const struct mw_elf_segment *segments = mw_elf_segments(object->elf, &n);
	for (size_t i = 0; i < n; i++) {
		const struct mw_elf_segment *seg = &segments[i];
		uint64_t end;
		if (__builtin_add_overflow(seg->vaddr, seg->mem_len, &end))
			continue;
		if (seg->type == PT_LOAD && object->n_loads < MW_ELF_MAX_LOADS) {
			object->loads[object->n_loads++] = *seg;
			object->mixed_text |= (seg->flags & PF_X) && !seg->offset;
		} else if (seg->type == PT_GNU_RELRO) {
			object->relro = seg->vaddr;
			object->relro_end = end;
		} else if (seg->type == PT_TLS && seg->mem_len < UINT32_MAX) {
			seen->tls_len +=
				seg->mem_len + (seg->align < 4096 ? seg->align : 4096);
		}
	}
}

static bool looks_loaded(const struct mw_elf_scan *scan,
			 const struct mw_elf_object *object)
{
	if (object->role != ROLE_LIB || strstr(base_name(object->name), ".so"))
		return true;
	for (size_t i = 0; i < object->n; i++)
		if (scan->regions[scan->order[object->first + i]].perms & MW_PERM_EXEC)
			return true;
	return false;
}

/* Takes over `err`: not an ELF file keeps its plain reading, an unreadable one a gap. */
static struct mw_err *claim_unread(struct mw_elf_scan *scan, struct mw_elf_object *object,
				   struct mw_err *err)
{
	bool fatal = err->code == MW_ERR_NOMEM, foreign = err->code == MW_ERR_FORMAT;
	if (fatal)
		return err;
	struct mw_err *ret = NULL;
	/* Code in a memfd is a runtime's more often than a library's. */
	bool memfd = !strncmp(object->name, "/memfd:", 7);
	if (!foreign)
		ret = mw_classify_gap(scan->cx, object->name, err->msg, "");
	if (!foreign && !memfd && !ret)
		ret = mw_elf_claim_by_perms(scan, object);
	if (!foreign && !memfd && !ret)
		ret = mw_elf_claim_holes(scan, object);
	mw_err_free(err);
	return ret;
}

static struct mw_err *classify_object(struct mw_elf_scan *scan,
				      struct mw_elf_object *object)
{
	const struct mw_snapshot *snap = mw_classify_snapshot(scan->cx);
	struct mw_seen *seen = mw_classify_seen(scan->cx);
	struct mw_object_reader reader;
	object->role = role_of(scan, object->region);
	if (!looks_loaded(scan, object) || scan->n_objects++ >= MAX_OBJECTS)
		return NULL;
	see_name(seen, object->name, object->role);
	mw_object_reader_init(&reader, snap, object->region);
	struct mw_err *err = mw_elf_open(mw_object_read, &reader, &object->elf);
	if (err)
		return claim_unread(scan, object, err);
	take_headers(object, seen);
	if (object->role == ROLE_EXE)
		see_exe(seen, object->elf);
	err = mw_elf_claim_holes(scan, object);
	if (!err)
		err = mw_elf_claim_object(scan, object);
	mw_elf_free(object->elf);
	return err;
}

static struct mw_err *classify_objects(struct mw_elf_scan *scan)
{
	struct mw_elf_object object;
	for (size_t i = 0; i < scan->n_order; i += object.n) {
		memset(&object, 0, sizeof(object));
		object.first = i;
		object.region = &scan->regions[scan->order[i]];
		object.name = object.region->name;
		for (object.n = 1; i + object.n < scan->n_order; object.n++)
			if (!mw_elf_same_file(object.region,
					      &scan->regions[scan->order[i + object.n]]))
				break;
		struct mw_err *err = classify_object(scan, &object);
		if (err)
			return err;
	}
	return NULL;
}

struct mw_err *mw_classify_elf(struct mw_classify *cx)
{
	const struct mw_snapshot *snap = mw_classify_snapshot(cx);
	uint64_t page_size = mw_source_facts(mw_snapshot_source(snap))->page_size;
	struct mw_elf_scan scan = { .cx = cx,
				    .mask = (page_size ? page_size : 4096) - 1 };
	scan.regions = mw_snapshot_regions(snap, &scan.n_regions);
	scan.steps = 4 * scan.n_regions + (1 << 16);
	scan.order = calloc(scan.n_regions ? scan.n_regions : 1, sizeof(*scan.order));
	if (!scan.order)
		return mw_err_nomem();
	for (size_t i = 0; i < scan.n_regions; i++)
		if (is_object_file(&scan.regions[i]))
			scan.order[scan.n_order++] = i;
	qsort_r(scan.order, scan.n_order, sizeof(*scan.order), by_file,
		(void *)scan.regions);
	find_roles(&scan);
	struct mw_err *err = classify_objects(&scan);
	free(scan.order);
	return err;
}
