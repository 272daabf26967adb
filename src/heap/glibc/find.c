// SPDX-License-Identifier: MIT
/*
 * Every libc of a process. Reading relocations costs little for one object and much
 * for the 300 of a browser, so objects are asked in this order: those with the name of
 * a libc; the program itself when it is static; and only when these gave nothing, those
 * that export mallopt(). The file decides, not the name; and a mapping of the file
 * counts only when its data is in place, because a program may also just read a libc.
 */
#include "heap/glibc/find.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

enum {
	MAX_LIBCS = 64,      /* dlmopen() allows 16 namespaces */
	MAX_OTHERS = 64,     /* objects with another name that are looked into */
	MAX_SCANNED = 1024,  /* regions scanned for a main_arena */
	HEAP_MAX = 64 << 20, /* HEAP_MAX_SIZE */
};

struct find {
	struct mw_heap_walk *walk;
	struct mw_glibc_vec *ret;
	const struct mw_region *regions;
	size_t n_regions, n_others;
	/* The object looked into last. */
	uint64_t dev, ino;
	bool found;
	struct mw_glibc_file file;
	uint64_t first; /* page of the link-time address that offset 0 is mapped at */
	bool fixed;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* libc.so.6, libc-2.31.so; not libcrypto.so, libc++.so. */
static bool is_named_libc(const struct mw_region *region)
{
	const char *name = base_name(region->name);
	return !strncmp(name, "libc.so", 7) ||
	       (!strncmp(name, "libc-2.", 7) && strstr(name, ".so"));
}

static bool is_object_start(const struct mw_region *region)
{
	return region->ino && region->offset == 0 && region->name[0] == '/';
}

/* Out of memory and a process that ended are errors; all else leaves an object out. */
static struct mw_err *tolerate(struct mw_err *err)
{
	if (!err || err->code == MW_ERR_NOMEM || err->code == MW_ERR_GONE)
		return err;
	mw_err_free(err);
	return NULL;
}

static uint64_t first_page(const struct find *find, const struct mw_elf *elf)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	for (size_t i = 0; i < n; i++)
		if (segs[i].type == PT_LOAD)
			return (segs[i].vaddr - segs[i].offset) &
			       ~(find->walk->page_size - 1);
	return 0;
}

static bool has_segment(const struct mw_elf *elf, uint32_t type)
{
	size_t n;
	const struct mw_elf_segment *segs = mw_elf_segments(elf, &n);
	for (size_t i = 0; i < n; i++)
		if (segs[i].type == type)
			return true;
	return false;
}

/* Whether it is worth reading relocations. */
typedef bool wanted_fn(struct mw_elf *elf);

static bool want_always(struct mw_elf *elf)
{
	(void)elf;
	return true;
}

/* A program without an interpreter brings its own malloc(), or none. */
static bool want_static(struct mw_elf *elf)
{
	return !has_segment(elf, PT_INTERP);
}

static bool want_exports(struct mw_elf *elf)
{
	uint64_t value;
	if (!has_segment(elf, PT_DYNAMIC) || !has_segment(elf, PT_TLS))
		return false;
	mw_auto_err err = mw_elf_symbol_value(elf, "mallopt", &value);
	return !err;
}

static struct mw_err *inspect(struct find *find, const struct mw_region *region,
			      wanted_fn *wanted)
{
	struct mw_object_reader reader;
	struct mw_elf *elf = NULL;
	find->found = false;
	find->dev = region->dev;
	find->ino = region->ino;
	mw_object_reader_init(&reader, find->walk->snap, region);
	struct mw_err *err = mw_elf_open(mw_object_read, &reader, &elf);
	if (err)
		return tolerate(err);
	find->first = first_page(find, elf);
	find->fixed = mw_elf_type(elf) == ET_EXEC;
	if (mw_elf_is64(elf) && mw_elf_machine(elf) == EM_X86_64 && wanted(elf))
		err = mw_glibc_inspect(mw_object_read, &reader, elf, &find->file,
				       &find->found);
	else if (wanted == want_always)
		err = mw_heap_gap(find->walk, region->name,
				  "glibc's malloc is walked on x86-64 only", "");
	mw_elf_free(elf);
	return tolerate(err);
}

static bool is_writable(const struct mw_heap_walk *walk, uint64_t addr)
{
	const struct mw_region *region = mw_snapshot_find(walk->snap, addr);
	return region && (region->perms & MW_PERM_WRITE);
}

/* Whether a mapping of the object has its data in place, and relocated. */
static bool is_loaded(const struct find *find, uint64_t bias, uint64_t *main_arena)
{
	uint64_t next;
	*main_arena = bias + find->file.main_arena;
	return is_writable(find->walk, *main_arena) &&
	       mw_memory_word(&find->walk->memory, *main_arena + find->file.facts.next,
			      &next) &&
	       next != 0 && (find->fixed || next != find->file.main_arena || !bias);
}

static bool is_known(const struct find *find, uint64_t main_arena)
{
	for (size_t i = 0; i < find->ret->n; i++)
		if (find->ret->items[i].main_arena == main_arena)
			return true;
	return false;
}

static struct mw_err *add_instance(struct find *find, const struct mw_region *region)
{
	uint64_t bias = region->start - find->first;
	struct mw_glibc libc = { .facts = find->file.facts };
	if (find->ret->n >= MAX_LIBCS || (find->fixed && bias) ||
	    !is_loaded(find, bias, &libc.main_arena) || is_known(find, libc.main_arena))
		return NULL;
	libc.mp = find->file.mp ? bias + find->file.mp : 0;
	libc.version = mw_arena_strdup(find->walk->arena, find->file.version);
	libc.object = region->name;
	if (!libc.version)
		return mw_err_nomem();
	if (!mw_glibc_complete(find->walk, &libc))
		return mw_heap_gap(find->walk, region->name,
				   "the layout of its malloc is not known", "");
	return mw_vec_add(find->ret, libc) ? NULL : mw_err_nomem();
}

/* An object mapped several times (dlmopen) is read once when its mappings follow. */
static struct mw_err *look_into(struct find *find, const struct mw_region *region,
				wanted_fn *wanted)
{
	struct mw_err *err = NULL;
	if (region->dev != find->dev || region->ino != find->ino)
		err = inspect(find, region, wanted);
	if (!err && find->found)
		err = add_instance(find, region);
	return err;
}

static struct mw_err *find_named(struct find *find)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < find->n_regions && !err; i++)
		if (is_object_start(&find->regions[i]) &&
		    is_named_libc(&find->regions[i]))
			err = look_into(find, &find->regions[i], want_always);
	return err;
}

static bool is_program(const struct find *find, const struct mw_region *region)
{
	const char *exe = mw_snapshot_process(find->walk->snap)->exe;
	size_t len = exe ? strlen(exe) : 0;
	return len && !strncmp(region->name, exe, len) &&
	       (!region->name[len] || !strcmp(region->name + len, " (deleted)"));
}

static struct mw_err *find_program(struct find *find)
{
	for (size_t i = 0; i < find->n_regions; i++)
		if (is_object_start(&find->regions[i]) &&
		    is_program(find, &find->regions[i]))
			return look_into(find, &find->regions[i], want_static);
	return NULL;
}

static struct mw_err *find_others(struct find *find)
{
	struct mw_err *err = NULL;
	for (size_t i = 0; i < find->n_regions && !err && find->n_others < MAX_OTHERS;
	     i++) {
		const struct mw_region *region = &find->regions[i];
		if (!is_object_start(region) || is_named_libc(region) ||
		    (region->dev == find->dev && region->ino == find->ino))
			continue;
		find->n_others++;
		err = look_into(find, region, want_exports);
	}
	return err;
}

/* The last resort: what main_arena looks like in memory. */
static struct mw_err *scan_all(struct find *find)
{
	struct mw_err *err = NULL;
	size_t left = MAX_SCANNED;
	for (size_t i = 0; i < find->n_regions && !err && left && !find->ret->n; i++) {
		const struct mw_region *region = &find->regions[i];
		if (!region->ino || !(region->perms & MW_PERM_WRITE) ||
		    (region->perms & MW_PERM_SHARED) || region->name[0] != '/')
			continue;
		left--;
		err = mw_glibc_scan(find->walk, region, find->ret);
	}
	return err;
}

static uint64_t par_word(const unsigned char *par, uint16_t at, size_t len)
{
	uint64_t word = 0;
	if (at != UINT16_MAX)
		memcpy(&word, par + at, len);
	return word;
}

static void take_params(struct mw_heap_walk *walk, struct mw_glibc *libc)
{
	unsigned char bytes[MW_GLIBC_PAR_LEN];
	const struct mw_par_layout *par = &libc->layout->par;
	struct mw_malloc_params *ret = &libc->params;
	if (!libc->mp || !mw_memory_read(&walk->memory, libc->mp, bytes, par->size))
		return;
	*ret = (struct mw_malloc_params){
		.known = true,
		.trim_threshold = par_word(bytes, par->trim, 8),
		.top_pad = par_word(bytes, par->top_pad, 8),
		.mmap_threshold = par_word(bytes, par->mmap_threshold, 8),
		.dynamic = !par_word(bytes, par->no_dyn, 4),
		.arena_max = par_word(bytes, par->arena_max, 8),
		.hp_pagesize = par_word(bytes, par->hp_pagesize, 8),
		.thp_pagesize = par_word(bytes, par->thp_pagesize, 8),
		.tcache_bins = par_word(bytes, par->tcache_bins, 8),
		.tcache_max_bytes = par_word(bytes, par->tcache_max_bytes, 8),
		.tcache_count = par_word(bytes, par->tcache_count, 8),
		.n_mmaps = par_word(bytes, par->n_mmaps, 4),
		.mmapped_mem = par_word(bytes, par->mmapped_mem, 8),
	};
	libc->sbrk_base = par_word(bytes, par->sbrk_base, 8);
}

/* Heaps of threads grow with the huge pages they are made of: heap_max_size(), 2.35. */
static uint64_t heap_max(const struct mw_malloc_params *params)
{
	uint64_t page = params->hp_pagesize;
	bool sane = page && !(page & (page - 1)) && page <= UINT64_C(1) << 40;
	return sane ? 4 * page : HEAP_MAX;
}

bool mw_glibc_complete(struct mw_heap_walk *walk, struct mw_glibc *libc)
{
	libc->layout = mw_glibc_layout_select(&libc->facts);
	if (!libc->layout)
		return false;
	take_params(walk, libc);
	libc->heap_max = heap_max(&libc->params);
	return true;
}

struct mw_err *mw_glibc_find(struct mw_heap_walk *walk, struct mw_glibc_vec *ret)
{
	struct find find = { .walk = walk, .ret = ret };
	find.regions = mw_snapshot_regions(walk->snap, &find.n_regions);
	struct mw_err *err = find_named(&find);
	if (!err)
		err = find_program(&find);
	if (!err && !ret->n)
		err = find_others(&find);
	if (!err && !ret->n)
		err = scan_all(&find);
	return err;
}
