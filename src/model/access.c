// SPDX-License-Identifier: MIT
#include "model/access.h"

#include "base/buf.h"
#include "base/vec.h"
#include "procfs/maps.h"
#include "procfs/pagebits.h"

#include <string.h>

/* What the readings below share: a page of the target that is surely mapped. */
struct attempt {
	struct mw_source *src;
	pid_t pid;
	uint64_t addr; /* 0: maps could not be read */
	uint64_t pfn;  /* of that page; 0: hidden or not present */
};

typedef struct mw_err *try_fn(struct attempt *a);

static struct mw_err *try_file(const struct attempt *a, enum mw_file file,
			       struct mw_buf *text)
{
	return mw_source_read_text(a->src, a->pid, 0, file, text);
}

static struct mw_err *try_status(struct attempt *a)
{
	mw_auto_buf text = { 0 };
	return try_file(a, MW_FILE_STATUS, &text);
}

/* Also finds a page to try the others on: the first of a readable file mapping. */
static struct mw_err *try_maps(struct attempt *a)
{
	mw_auto_buf text = { 0 };
	struct mw_maps_line line;
	struct mw_err *err = try_file(a, MW_FILE_MAPS, &text);
	const char *pos = mw_buf_str(&text), *end = pos + text.len;
	while (!err && pos < end && !a->addr) {
		const char *eol = memchr(pos, '\n', (size_t)(end - pos));
		eol = eol ? eol : end;
		if (mw_maps_parse_line(pos, eol, &line) && line.ino && (line.perms & 1))
			a->addr = line.start;
		pos = eol + 1;
	}
	return err;
}

static struct mw_err *try_smaps(struct attempt *a)
{
	mw_auto_buf text = { 0 };
	return try_file(a, MW_FILE_SMAPS_ROLLUP, &text);
}

static struct mw_err *try_exe(struct attempt *a)
{
	mw_auto_buf text = { 0 };
	return mw_source_read_exe(a->src, a->pid, &text);
}

static struct mw_err *try_pagemap(struct attempt *a)
{
	uint64_t word = 0;
	struct mw_err *err = mw_source_read_pagemap(a->src, a->pid, a->addr, 1, &word);
	if (!err && (word & MW_PM_PRESENT))
		a->pfn = word & MW_PM_PFN_MASK;
	return err;
}

static struct mw_err *try_memory(struct attempt *a)
{
	char word[16];
	size_t got;
	return mw_source_read_memory(a->src, a->pid, a->addr, word, sizeof(word),
				     MW_READ_STRUCT, &got);
}

static struct mw_err *try_robust_list(struct attempt *a)
{
	uint64_t head;
	return mw_source_robust_list(a->src, a->pid, a->pid, &head);
}

static struct mw_err *try_frames(struct attempt *a)
{
	bool shown = a->pfn != 0;
	struct mw_err *err =
		shown ? NULL : mw_source_probe(a->src, MW_FEATURE_FRAMES, &shown);
	if (!err && !shown)
		err = mw_err_new(MW_ERR_DENIED, 0, "pagemap",
				 "pagemap hides frame numbers without CAP_SYS_ADMIN");
	return err;
}

static struct mw_err *try_kpagecount(struct attempt *a)
{
	bool open;
	struct mw_err *err = mw_source_probe(a->src, MW_FEATURE_KPAGECOUNT, &open);
	if (!err && !open)
		err = mw_err_new(MW_ERR_DENIED, 0, "kpagecount",
				 "kpagecount may be read by root alone");
	return err;
}

static const struct reading {
	const char *what, *gives;
	try_fn *try;
	bool needs_page;
} readings[] = {
	{ "status", "totals: VmRSS by kind, page tables, swap", try_status, false },
	{ "maps", "the list of mappings", try_maps, false },
	{ "smaps", "Pss in total, LazyFree, Locked, KSM", try_smaps, false },
	{ "exe", "which program it is", try_exe, false },
	{ "pagemap", "exact Rss and private bytes of every segment", try_pagemap, true },
	{ "memory", "proof of heaps, runtimes and thread stacks", try_memory, true },
	{ "robust-list", "which thread a stack belongs to", try_robust_list, false },
	{ "frames", "who shares a page", try_frames, false },
	{ "kpagecount", "exact Pss of every segment", try_kpagecount, false },
};

/* As a shell reads it back: plain names bare, everything else in quotes. */
static bool add_word(struct mw_buf *text, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._-+,:@%";
	if (word[0] && word[strspn(word, plain)] == '\0')
		return mw_buf_printf(text, "%s", word);
	bool ok = mw_buf_printf(text, "'");
	for (; ok && *word; word++)
		ok = *word == '\'' ? mw_buf_printf(text, "'\\''")
				   : mw_buf_printf(text, "%c", *word);
	return ok && mw_buf_printf(text, "'");
}

static bool add_option(struct mw_buf *text, const char *option, const char *value)
{
	return !value || (mw_buf_printf(text, " %s ", option) && add_word(text, value));
}

const char *mw_advice_command(struct mw_source *src, struct mw_arena *arena,
			      const char *verb, pid_t pid, const char *options)
{
	const struct mw_facts *facts = mw_source_facts(src);
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(&text, "memwhy%s%s", verb[0] ? " " : "", verb) &&
		  add_option(&text, "--root", facts->root) &&
		  add_option(&text, "--core", facts->core_path) &&
		  add_option(&text, "--exe", facts->core_exe);
	/* A core is of one process. */
	if (ok && !facts->core_path)
		ok = mw_buf_printf(&text, " %d", (int)pid);
	if (ok)
		ok = mw_buf_printf(&text, "%s%s", options[0] ? " " : "", options);
	return ok ? mw_arena_strdup(arena, mw_buf_str(&text)) : NULL;
}

bool mw_advice_privileged(struct mw_source *src)
{
	static const enum mw_feature needed[] = { MW_FEATURE_SYS_PTRACE,
						  MW_FEATURE_SYS_ADMIN,
						  MW_FEATURE_DAC_READ_SEARCH };
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		bool present = false;
		/* Unknown, as in a recording that was not asked: advice does no harm. */
		mw_err_free(mw_source_probe(src, needed[i], &present));
		if (!present)
			return false;
	}
	return true;
}

const char *mw_advice_access(struct mw_source *src, struct mw_arena *arena, pid_t pid)
{
	return mw_advice_privileged(src)
		       ? ""
		       : mw_arena_printf(arena, "sudo memwhy %d", (int)pid);
}

static const char *remedy_for(const struct attempt *a, struct mw_arena *arena,
			      const struct mw_err *err)
{
	return err->code == MW_ERR_DENIED ? mw_advice_access(a->src, arena, a->pid) : "";
}

/* Running out of memory and a process that went are the only errors; the rest is news. */
static struct mw_err *attempt_one(struct attempt *a, const struct reading *reading,
				  struct mw_arena *arena, struct mw_accesses *ret)
{
	struct mw_access access = {
		.what = reading->what, .gives = reading->gives, .why = "", .remedy = ""
	};
	struct mw_err *err = NULL;
	if (reading->needs_page && !a->addr) {
		access.allowed = MW_NOT_TRIED;
		access.why = "needs maps";
	} else {
		err = reading->try(a);
	}
	if (err && (err->code == MW_ERR_NOMEM || err->code == MW_ERR_GONE))
		return err;
	if (err) {
		access.allowed = MW_REFUSED;
		access.why = mw_arena_strdup(arena, err->msg);
		access.remedy = remedy_for(a, arena, err);
		mw_err_free(err);
	}
	if (!access.why || !access.remedy || !mw_vec_add(ret, access))
		return mw_err_nomem();
	return NULL;
}

struct mw_err *mw_access_check(struct mw_source *src, pid_t pid, struct mw_arena *arena,
			       struct mw_accesses *ret)
{
	struct attempt a = { .src = src, .pid = pid };
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_STAT, &text);
	for (size_t i = 0; !err && i < sizeof(readings) / sizeof(readings[0]); i++)
		err = attempt_one(&a, &readings[i], arena, ret);
	return err;
}

const char *mw_feature_gives(enum mw_feature feature)
{
	static const char *const gives[MW_FEATURE_COUNT] = {
		[MW_FEATURE_PAGEMAP_SCAN] =
			"page states of sparse address space, zero pages, "
			"huge pages",
		[MW_FEATURE_PROCMAP_QUERY] = "one mapping looked up without reading all",
		[MW_FEATURE_FRAMES] = "frame numbers in pagemap",
		[MW_FEATURE_KPAGECOUNT] = "how many processes map a frame",
		[MW_FEATURE_KPAGEFLAGS] = "what the kernel uses a frame for",
		[MW_FEATURE_SOFT_DIRTY] = "pages written since a mark",
		[MW_FEATURE_IDLE_BITMAP] = "pages not touched since a mark",
		[MW_FEATURE_ANON_NAMES] = "programs may name anonymous memory",
		[MW_FEATURE_MADV_GUARD] = "guard pages without a mapping of their own",
		[MW_FEATURE_PERFMON] = "capability: smaps of other users' processes",
		[MW_FEATURE_SYS_PTRACE] = "capability: maps, smaps, exe of other users' "
					  "processes",
		[MW_FEATURE_SYS_ADMIN] = "capability: frame numbers",
		[MW_FEATURE_DAC_READ_SEARCH] =
			"capability: pagemap, memory, kpagecount of all",
	};
	return gives[feature];
}
