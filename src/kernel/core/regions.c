// SPDX-License-Identifier: MIT
/*
 * The mappings of a core. PT_LOADs are what the kernel's cores list completely; gcore
 * leaves out files that were not changed, which NT_FILE still names. What no core says
 * (which mapping is the heap, the stack) is inferred, and docs/kernel-notes.md says how.
 */
#include "kernel/core/core.h"

#include <elf.h>
#include <memwhy/perms.h>
#include <string.h>

/* Where the kernel loads a program without a loader, and how far the heap may be off. */
#define DYN_BASE UINT64_C(0x555555554000)
#define BRK_RANGE (UINT64_C(1) << 30)
#define VSYSCALL UINT64_C(0xffffffffff600000)

enum {
	LOOKED_AT = 64 << 10,     /* of an empty mapping, at either end */
	LOOKED_AT_MOST = 1 << 28, /* of all together */
};

static int by_start(const void *a, const void *b)
{
	/* Loads, names and regions all begin with their address. */
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static bool whole_pages(const struct mw_core *core, uint64_t start, uint64_t end)
{
	return start < end && !((start | end) & (core->base.facts.page_size - 1));
}

/*
 * Rising, and none over another, in memory and in the file: no kernel writes anything
 * else. A file may claim to be far more memory than it has bytes: what is too much was
 * not dumped, so that whoever reads all of it reads no more than the file.
 */
static void settle_loads(struct mw_core *core)
{
	uint64_t last = 0, left = core->size;
	size_t n = 0;

	if (core->loads.n)
		qsort(core->loads.items, core->loads.n, sizeof(*core->loads.items),
		      by_start);
	for (size_t i = 0; i < core->loads.n; i++) {
		const struct mw_core_load *load = &core->loads.items[i];
		if (load->start < last || !whole_pages(core, load->start, load->end))
			continue;
		last = load->end;
		core->loads.items[n] = *load;
		if (load->len > left)
			core->loads.items[n].len = 0;
		left -= core->loads.items[n++].len;
	}
	core->loads.n = n;
}

static void settle_names(struct mw_core *core)
{
	uint64_t last = 0;
	size_t n = 0;

	if (core->names.n)
		qsort(core->names.items, core->names.n, sizeof(*core->names.items),
		      by_start);
	for (size_t i = 0; i < core->names.n; i++) {
		const struct mw_core_name *name = &core->names.items[i];
		if (name->start < last || !whole_pages(core, name->start, name->end))
			continue;
		last = name->end;
		core->names.items[n++] = *name;
	}
	core->names.n = n;
}

static bool begins(const char *str, const char *prefix)
{
	return !strncmp(str, prefix, strlen(prefix));
}

static bool add_region(struct mw_core *core, uint64_t start, uint64_t end, size_t load,
		       const struct mw_core_name *name)
{
	unsigned perms =
		load == MW_CORE_NONE ? MW_PERM_READ : core->loads.items[load].perms;
	struct mw_core_region region = {
		.start = start,
		.end = end,
		.perms = perms,
		.load = (uint32_t)load,
		.object = MW_CORE_NONE,
		.name = "",
	};

	if (name) {
		region.object = (uint32_t)name->object;
		region.name = name->path;
		region.offset = name->offset + (start - name->start);
	}
	return mw_vec_add(&core->regions, region);
}

/* Each load is a mapping, and what names cover beside them. Both rise. */
static struct mw_err *join(struct mw_core *core)
{
	size_t k = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < core->loads.n; i++) {
		const struct mw_core_load *load = &core->loads.items[i];
		while (k < core->names.n && core->names.items[k].end <= load->start)
			k++;
		bool named =
			k < core->names.n && core->names.items[k].start <= load->start;
		ok = add_region(core, load->start, load->end, i,
				named ? &core->names.items[k] : NULL);
	}
	size_t i = 0;
	for (k = 0; ok && k < core->names.n; k++) {
		const struct mw_core_name *name = &core->names.items[k];
		uint64_t pos = name->start;
		while (i < core->loads.n && core->loads.items[i].end <= pos)
			i++;
		for (; ok && pos < name->end; i++) {
			bool more = i < core->loads.n &&
				    core->loads.items[i].start < name->end;
			uint64_t stop = more ? core->loads.items[i].start : name->end;
			if (stop > pos)
				ok = add_region(core, pos, stop, MW_CORE_NONE, name);
			if (!more)
				break;
			pos = core->loads.items[i].end;
		}
		i -= i > 0; /* a load may reach into the next name */
	}
	if (!ok)
		return mw_err_nomem();
	if (core->regions.n)
		qsort(core->regions.items, core->regions.n, sizeof(*core->regions.items),
		      by_start);
	return NULL;
}

struct mw_core_region *mw_core_region_at(const struct mw_core *core, uint64_t addr)
{
	size_t lo = 0, hi = core->regions.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (core->regions.items[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == core->regions.n || core->regions.items[lo].start > addr)
		return NULL;
	return &core->regions.items[lo];
}

static bool is_anon(const struct mw_core_region *region, unsigned perms)
{
	return region && region->object == MW_CORE_NONE && !region->name[0] &&
	       region->perms == perms;
}

static bool is_zero(const struct mw_core *core, uint64_t start, uint64_t end)
{
	char bytes[4096];

	for (uint64_t pos = start; pos < end; pos += sizeof(bytes)) {
		size_t len =
			end - pos < sizeof(bytes) ? (size_t)(end - pos) : sizeof(bytes);
		if (!mw_core_bytes(core, pos, bytes, len))
			return false;
		if (bytes[0] || memcmp(bytes, bytes + 1, len - 1) != 0)
			return false;
	}
	return true;
}

/*
 * gdb claims that everything may be read. What may not is told by what is in it: nothing.
 * Read-only memory that nobody ever wrote has no other use. Its zeros are not memory.
 */
static void take_access(struct mw_core *core, struct mw_core_region *region)
{
	uint64_t len = region->end - region->start;
	uint64_t looked = len < LOOKED_AT ? len : LOOKED_AT;

	if (!core->gdb || !is_anon(region, MW_PERM_READ) ||
	    core->looked_at > LOOKED_AT_MOST)
		return;
	core->looked_at += 2 * looked;
	if (is_zero(core, region->start, region->start + looked) &&
	    is_zero(core, region->end - looked, region->end)) {
		region->perms = 0;
		core->loads.items[region->load].len = 0;
	}
}

/* The headers of an object, or NULL; mappings of one lie side by side. */
static const struct mw_core_head *last_head(struct mw_core *core, uint32_t object)
{
	if (core->headed != object) {
		core->headed = object;
		core->has_head = mw_core_object_head(core, &core->objects.items[object],
						     &core->head);
	}
	return core->has_head ? &core->head : NULL;
}

/* Of a file that was not dumped, only its own headers say how it was mapped. */
static void take_file_perms(struct mw_core *core, struct mw_core_region *region)
{
	const struct mw_core_object *object = &core->objects.items[region->object];
	const struct mw_core_head *head = last_head(core, region->object);

	if (!head || region->start < object->base)
		return;
	uint64_t addr = region->start - object->base + head->first;
	uint64_t mask = core->base.facts.page_size - 1;
	for (size_t i = 0; i < head->n_segments; i++)
		if (addr >= (head->segments[i].vaddr & ~mask) &&
		    addr < head->segments[i].end)
			region->perms = head->segments[i].perms;
}

/* No core says which mappings are shared: these almost always are, unless programs. */
static void take_sharing(struct mw_core *core, struct mw_core_region *region)
{
	static const char *const shared[] = { "/dev/zero", "/memfd:", "/SYSV",
					      "/dev/shm/", "anon_inode:" };
	const char *path = core->objects.items[region->object].path;

	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (begins(path, shared[i]) && !(region->perms & MW_PERM_EXEC) &&
		    !last_head(core, region->object))
			region->perms |= MW_PERM_SHARED;
}

/*
 * The heap begins behind the program's bss, up to 1 GiB further where addresses are
 * random. A program without a loader (or the loader, run as one) is mapped among the
 * libraries, and its heap lies where a program would be.
 */
static struct mw_core_region *find_heap(struct mw_core *core)
{
	const unsigned rw = MW_PERM_READ | MW_PERM_WRITE;
	struct mw_core_head head;
	uint64_t interpreter = 0, after = DYN_BASE, end;

	(void)mw_core_auxv(core, AT_BASE, &interpreter);
	for (size_t i = 0; !interpreter && i < core->regions.n; i++) {
		struct mw_core_region *region = &core->regions.items[i];
		if (region->start >= DYN_BASE + 2 * BRK_RANGE)
			break;
		if (region->start >= DYN_BASE && is_anon(region, rw))
			return region;
	}
	if (core->exe == MW_CORE_NONE)
		return NULL;
	const struct mw_core_object *exe = &core->objects.items[core->exe];
	if (!mw_core_object_head(core, exe, &head) ||
	    __builtin_add_overflow(exe->base - head.first, head.end, &after))
		return NULL;
	uint64_t mask = core->base.facts.page_size - 1;
	after = (after + mask) & ~mask;
	for (size_t i = 0; i < core->regions.n; i++) {
		struct mw_core_region *region = &core->regions.items[i];
		if (region->end <= after)
			continue;
		/* Without randomness bss and heap may be one mapping. */
		end = after > UINT64_MAX - BRK_RANGE ? UINT64_MAX : after + BRK_RANGE;
		return region->start <= end && is_anon(region, rw) ? region : NULL;
	}
	return NULL;
}

/* The kernel puts what AT_RANDOM points to on the stack before a program begins. */
static struct mw_core_region *find_stack(const struct mw_core *core)
{
	uint64_t addr, pc;
	bool known = mw_core_auxv(core, AT_RANDOM, &addr) ||
		     mw_core_auxv(core, AT_EXECFN, &addr) ||
		     mw_core_thread_at(core, core->pid, &addr, &pc);
	struct mw_core_region *region = known ? mw_core_region_at(core, addr) : NULL;

	return region && region->object == MW_CORE_NONE && !region->name[0] &&
			       (region->perms & MW_PERM_WRITE)
		       ? region
		       : NULL;
}

/* [vdso] is named by the kernel's own address; its data pages lie right below it. */
static void name_vdso(struct mw_core *core)
{
	uint64_t addr;

	if (!mw_core_auxv(core, AT_SYSINFO_EHDR, &addr))
		return;
	struct mw_core_region *region = mw_core_region_at(core, addr);
	if (!region || region->start != addr || region->object != MW_CORE_NONE)
		return;
	region->name = "[vdso]";
	while (region > core->regions.items && region[-1].end == region->start &&
	       (is_anon(&region[-1], MW_PERM_READ) || is_anon(&region[-1], 0))) {
		region--;
		region->name = "[vvar]";
		region->perms = MW_PERM_READ;
	}
}

/* AT_PHDR lies in the program, or in the loader that was run as one. */
static void find_exe(struct mw_core *core)
{
	uint64_t addr;

	core->exe = MW_CORE_NONE;
	if (!mw_core_auxv(core, AT_PHDR, &addr) && !mw_core_auxv(core, AT_ENTRY, &addr))
		return;
	const struct mw_core_region *region = mw_core_region_at(core, addr);
	if (region)
		core->exe = region->object;
}

static void name_regions(struct mw_core *core)
{
	struct mw_core_region *region;

	name_vdso(core);
	if ((region = mw_core_region_at(core, VSYSCALL)) && region->start == VSYSCALL) {
		region->name = "[vsyscall]";
		region->perms = MW_PERM_EXEC;
	}
	for (size_t i = 0; i < core->regions.n; i++) {
		region = &core->regions.items[i];
		take_access(core, region);
		if (region->object == MW_CORE_NONE)
			continue;
		if (region->load == MW_CORE_NONE)
			take_file_perms(core, region);
		take_sharing(core, region);
	}
	if ((region = find_stack(core)))
		region->name = "[stack]";
	if ((region = find_heap(core))) {
		region->name = "[heap]";
		core->start_brk = region->start;
	}
}

struct mw_err *mw_core_make_regions(struct mw_core *core)
{
	settle_loads(core);
	settle_names(core);
	struct mw_err *err = mw_core_make_objects(core);
	if (!err)
		err = join(core);
	if (err)
		return err;
	for (size_t i = 0; i < core->regions.n; i++) {
		const struct mw_core_region *region = &core->regions.items[i];
		struct mw_core_object *object =
			region->object == MW_CORE_NONE
				? NULL
				: &core->objects.items[region->object];
		if (object && !object->base && !region->offset)
			object->base = region->start;
	}
	find_exe(core);
	name_regions(core);
	return NULL;
}
