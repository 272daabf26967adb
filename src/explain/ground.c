// SPDX-License-Identifier: MIT
/*
 * The plain reading of a region. It runs once for each of up to 65,530 mappings, so it
 * allocates nothing and every string it gives is static or the region's own.
 */
#include "explain/claims.h"

#include <stddef.h>
#include <string.h>

struct rule {
	const char *text;
	size_t len;
	enum mw_class class;
	enum mw_confidence confidence;
	const char *evidence;
};

#define RULE(text_, class_, confidence_, evidence_)                                 \
	{                                                                           \
		text_, sizeof(text_) - 1, MW_CLASS_##class_, confidence_, evidence_ \
	}

/* Names only the kernel can give (fs/proc/task_mmu.c, arch_vma_name()); prefixes. */
static const struct rule kernel_names[] = {
	RULE("[heap]", HEAP_BRK, MW_CERTAIN, "the kernel names it [heap]"),
	RULE("[stack", STACK_MAIN, MW_CERTAIN, "the kernel names it [stack]"),
	RULE("[vdso]", VDSO, MW_CERTAIN, "the kernel names it [vdso]"),
	RULE("[vvar", VVAR, MW_CERTAIN, "the kernel names it [vvar]"),
	RULE("[vsyscall]", VSYSCALL, MW_CERTAIN, "the kernel names it [vsyscall]"),
	RULE("[uprobes]", UPROBES, MW_CERTAIN, "the kernel names it [uprobes]"),
	RULE("[anon:", NAMED, MW_CERTAIN, "named by the program (PR_SET_VMA_ANON_NAME)"),
	RULE("[anon_shmem:", NAMED, MW_CERTAIN,
	     "shared memory named by the program (PR_SET_VMA_ANON_NAME)"),
};

/* Kernel objects that look like files; prefixes, the first that fits. */
static const struct rule objects[] = {
	RULE("/memfd:", SHM_MEMFD, MW_CERTAIN, "a memfd"),
	RULE("/SYSV", SHM_SYSV, MW_CERTAIN, "a System V segment"),
	RULE("/dev/shm/", SHM_POSIX, MW_CERTAIN, "a file in /dev/shm"),
	RULE("/dev/hugepages/", HUGETLB, MW_CERTAIN, "a file on hugetlbfs"),
	RULE("/anon_hugepage", HUGETLB, MW_CERTAIN, "a MAP_HUGETLB mapping"),
	RULE("/[aio]", AIO, MW_CERTAIN, "the ring of an aio context"),
	RULE("/secretmem", SECRETMEM, MW_CERTAIN, "memfd_secret memory"),
	RULE("anon_inode:[io_uring]", IO_URING, MW_CERTAIN, "a mapped io_uring"),
	RULE("anon_inode:[perf_event]", PERF, MW_CERTAIN, "a mapped perf event"),
	RULE("anon_inode:", DEVICE, MW_LIKELY, "a mapped kernel object"),
	RULE("socket:", DEVICE, MW_CERTAIN, "a mapped packet socket ring"),
	RULE("/dmabuf:", DEVICE, MW_CERTAIN, "a DMA buffer"),
	RULE("/drm mm object", DEVICE, MW_CERTAIN, "a graphics buffer"),
	RULE("/i915", DEVICE, MW_LIKELY, "a graphics buffer"),
	RULE("/dev/", DEVICE, MW_CERTAIN, "a mapped device"),
};

/* Endings after the last dot of a file's name. */
static const struct rule endings[] = {
	RULE("jar", FILE_JAR, MW_LIKELY, "its name ends in .jar"),
	RULE("jmod", FILE_JAR, MW_LIKELY, "its name ends in .jmod"),
	RULE("war", FILE_JAR, MW_LIKELY, "its name ends in .war"),
	RULE("jsa", JVM_CDS, MW_LIKELY, "its name ends in .jsa"),
	RULE("ttf", FILE_FONT, MW_LIKELY, "its name ends in .ttf"),
	RULE("ttc", FILE_FONT, MW_LIKELY, "its name ends in .ttc"),
	RULE("otf", FILE_FONT, MW_LIKELY, "its name ends in .otf"),
	RULE("pfb", FILE_FONT, MW_LIKELY, "its name ends in .pfb"),
	RULE("t1", FILE_FONT, MW_LIKELY, "its name ends in .t1"),
	RULE("pcf", FILE_FONT, MW_LIKELY, "its name ends in .pcf"),
	RULE("woff2", FILE_FONT, MW_LIKELY, "its name ends in .woff2"),
	RULE("cache-7", FILE_FONT, MW_LIKELY, "a fontconfig cache"),
	RULE("cache-8", FILE_FONT, MW_LIKELY, "a fontconfig cache"),
	RULE("cache-9", FILE_FONT, MW_LIKELY, "a fontconfig cache"),
	RULE("cache-reindex1-bits64", FILE_FONT, MW_LIKELY, "a fontconfig cache"),
	RULE("mo", FILE_LOCALE, MW_LIKELY, "its name ends in .mo"),
	RULE("db", FILE_DB, MW_LIKELY, "its name ends in .db"),
	RULE("sqlite", FILE_DB, MW_LIKELY, "its name ends in .sqlite"),
	RULE("sqlite3", FILE_DB, MW_LIKELY, "its name ends in .sqlite3"),
	RULE("db-shm", FILE_DB, MW_LIKELY, "an SQLite shared-memory index"),
	RULE("sqlite-shm", FILE_DB, MW_LIKELY, "an SQLite shared-memory index"),
	RULE("mdb", FILE_DB, MW_LIKELY, "its name ends in .mdb (LMDB)"),
	RULE("sst", FILE_DB, MW_LIKELY, "its name ends in .sst (RocksDB)"),
	RULE("ldb", FILE_DB, MW_LIKELY, "its name ends in .ldb (LevelDB)"),
	RULE("tdb", FILE_DB, MW_LIKELY, "its name ends in .tdb"),
	RULE("gdbm", FILE_DB, MW_LIKELY, "its name ends in .gdbm"),
};

/* Beginnings of a file's own name. */
static const struct rule beginnings[] = {
	RULE("locale-archive", FILE_LOCALE, MW_LIKELY, "glibc's locale archive"),
	RULE("LC_", FILE_LOCALE, MW_LIKELY, "a file of a glibc locale"),
	RULE("SYS_LC_", FILE_LOCALE, MW_LIKELY, "a file of a glibc locale"),
	RULE("gconv-modules", FILE_GCONV, MW_LIKELY, "glibc's table of character sets"),
	RULE("icudt", FILE_ICU, MW_LIKELY, "ICU's data file"),
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool set(struct mw_claim *ret, enum mw_class class, enum mw_confidence confidence,
		const char *evidence)
{
	ret->class = class;
	ret->confidence = confidence;
	ret->evidence = evidence;
	return true;
}

static bool set_rule(struct mw_claim *ret, const struct rule *rule)
{
	return set(ret, rule->class, rule->confidence, rule->evidence);
}

/* The first rule whose text `name` begins with. */
static bool match_prefix(const struct rule *rules, size_t n, const char *name,
			 struct mw_claim *ret)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(name, rules[i].text, rules[i].len))
			return set_rule(ret, &rules[i]);
	return false;
}

static bool match_ending(const char *text, size_t len, struct mw_claim *ret)
{
	for (size_t i = 0; i < COUNT(endings); i++)
		if (endings[i].len == len && !memcmp(endings[i].text, text, len))
			return set_rule(ret, &endings[i]);
	return false;
}

/* By the file's name; `len` excludes " (deleted)". */
static bool ground_file_kind(const char *path, size_t len, struct mw_claim *ret)
{
	static const char modules[] = "/lib/modules"; /* the JDK's run-time image */
	const char *slash = memrchr(path, '/', len);
	const char *base = slash ? slash + 1 : path;
	size_t base_len = (size_t)(path + len - base);
	const char *dot = memrchr(base, '.', base_len);
	if (match_prefix(beginnings, COUNT(beginnings), base, ret))
		return true;
	if (dot && match_ending(dot + 1, (size_t)(base + base_len - dot - 1), ret))
		return true;
	if (len >= sizeof(modules) - 1 &&
	    !memcmp(path + len - (sizeof(modules) - 1), modules, sizeof(modules) - 1))
		return set(ret, MW_CLASS_FILE_JAR, MW_LIKELY, "the JDK's module image");
	return false;
}

static bool has_flag(const struct mw_region *region, const char code[2])
{
	return region->smaps && mw_smaps_has_flag(region->smaps, code);
}

/* No access and nothing in it: a promise of addresses, not memory. */
static bool ground_reserved(const struct mw_region *region, struct mw_claim *ret)
{
	const struct mw_counts *counts = &region->counts;
	if (region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC))
		return false;
	if (!(counts->have & MW_HAVE_RSS))
		return set(ret, MW_CLASS_RESERVED, MW_LIKELY, "inaccessible");
	if (!counts->rss && !((counts->have & MW_HAVE_SWAP) && counts->swap))
		return set(ret, MW_CLASS_RESERVED, MW_CERTAIN, "inaccessible and empty");
	return false;
}

static void ground_file(const struct mw_region *region, struct mw_claim *ret)
{
	const struct mw_counts *counts = &region->counts;
	size_t len = strlen(region->name);
	static const char mark[] = " (deleted)";
	if (region->deleted && len > sizeof(mark) - 1)
		len -= sizeof(mark) - 1;
	/* Anonymous shared memory is a deleted file; privately mapped it is plain memory.
	 */
	if (len == 9 && !memcmp(region->name, "/dev/zero", len)) {
		if (region->perms & MW_PERM_SHARED)
			set(ret, MW_CLASS_SHM_ANON, MW_CERTAIN,
			    "shared anonymous memory (/dev/zero)");
		else if (!ground_reserved(region, ret))
			set(ret, MW_CLASS_UNKNOWN, MW_GUESS,
			    "private mapping of /dev/zero");
		return;
	}
	if (match_prefix(objects, COUNT(objects), region->name, ret))
		return;
	if (has_flag(region, "io") || has_flag(region, "pf")) {
		set(ret, MW_CLASS_DEVICE, MW_CERTAIN, "VmFlags io or pf: not page cache");
		return;
	}
	if (ground_file_kind(region->name, len, ret) || ground_reserved(region, ret))
		return;
	if ((counts->have & MW_HAVE_KINDS) && counts->shmem && !counts->file)
		set(ret, MW_CLASS_SHM_TMPFS, MW_CERTAIN, "its pages are shared memory");
	else
		set(ret, MW_CLASS_FILE_OTHER, MW_CERTAIN, "a mapped file");
}

static void ground_anon(const struct mw_region *region, struct mw_claim *ret)
{
	static const char *const seen[8] = {
		[0] = "inaccessible anonymous memory that holds pages",
		[MW_PERM_READ] = "anonymous r--p, no name",
		[MW_PERM_WRITE] = "anonymous -w-p, no name",
		[MW_PERM_READ | MW_PERM_WRITE] = "anonymous rw-p, no name",
	};
	unsigned access = region->perms & (MW_PERM_READ | MW_PERM_WRITE | MW_PERM_EXEC);
	if (ground_reserved(region, ret))
		return;
	if (has_flag(region, "ss"))
		set(ret, MW_CLASS_STACK_THREAD, MW_LIKELY, "VmFlags ss: a shadow stack");
	else if (region->perms & MW_PERM_EXEC)
		set(ret, MW_CLASS_JIT, MW_LIKELY, "executable anonymous memory");
	else
		set(ret, MW_CLASS_UNKNOWN, MW_GUESS, seen[access]);
}

static bool ground_hugetlb(const struct mw_region *region, struct mw_claim *ret)
{
	const struct mw_counts *counts = &region->counts;
	if (has_flag(region, "ht"))
		return set(ret, MW_CLASS_HUGETLB, MW_CERTAIN, "VmFlags ht");
	if ((counts->have & MW_HAVE_HUGETLB) && counts->hugetlb)
		return set(ret, MW_CLASS_HUGETLB, MW_CERTAIN, "it holds hugetlb pages");
	return false;
}

void mw_classify_ground(const struct mw_region *region, struct mw_claim *ret)
{
	*ret = (struct mw_claim){
		.start = region->start,
		.end = region->end,
		.rank = MW_RANK_GROUND,
		.name = region->name,
	};
	if (ground_hugetlb(region, ret))
		return;
	if (!region->name[0])
		ground_anon(region, ret);
	else if (region->name[0] != '[')
		ground_file(region, ret);
	else if ((region->name[1] == 'h' || region->name[1] == 'a') &&
		 ground_reserved(region, ret))
		return; /* [heap], [anon:…]: musl keeps a page below its heap */
	else if (!match_prefix(kernel_names, COUNT(kernel_names), region->name, ret))
		set(ret, MW_CLASS_UNKNOWN, MW_GUESS, "a kernel name not known here");
}
