// SPDX-License-Identifier: MIT
#include "kernel/record/tree_place.h"

#include "base/num.h"
#include "kernel/files.h"
#include "kernel/record/record.h"
#include "kernel/record/tree_files.h"
#include "kernel/record/words.h"

#include <string.h>

/* The name itself, or the name and .N of a later answer. */
static bool take_seq(const char *pos, const char *name, unsigned *seq)
{
	size_t len = strlen(name);
	uint64_t number;
	if (strncmp(pos, name, len))
		return false;
	*seq = 0;
	if (!pos[len])
		return true;
	if (pos[len] != '.' || !mw_parse_u64(pos + len + 1, &number) || number < 2 ||
	    number > UINT16_MAX)
		return false;
	*seq = (unsigned)number - 1;
	return true;
}

static bool find_raw(const char *name, struct mw_tree_place *ret,
		     bool (*fits)(enum mw_file_scope))
{
	for (unsigned i = 0; i < MW_FILE_COUNT; i++) {
		const struct mw_file_place *at = mw_file_place(i);
		if (fits(at->scope) && take_seq(name, at->path, &ret->seq)) {
			ret->kind = MW_KIND_RAW;
			ret->file = i;
			return true;
		}
	}
	return false;
}

static bool fits_sys(enum mw_file_scope scope)
{
	return scope == MW_SCOPE_SYS;
}

static bool fits_machine(enum mw_file_scope scope)
{
	return scope == MW_SCOPE_PROC;
}

static bool fits_thread(enum mw_file_scope scope)
{
	return scope == MW_SCOPE_THREAD;
}

static bool fits_process(enum mw_file_scope scope)
{
	return scope < MW_SCOPE_PROC;
}

/* Skips `prefix`; false when the path does not begin with it. */
static bool skip(const char **pos, const char *prefix)
{
	size_t len = strlen(prefix);
	if (strncmp(*pos, prefix, len))
		return false;
	*pos += len;
	return true;
}

/* A component that is an id, and the slash behind it. */
static bool take_dir(const char **pos, pid_t *ret)
{
	const char *end = *pos + strlen(*pos);
	/* "007" would be a second name for 7. */
	if (**pos == '0')
		return false;
	return mw_take_id(pos, end, ret) && mw_take_char(pos, end, '/');
}

static bool find_in_process(const char *name, struct mw_tree_place *ret)
{
	static const struct {
		const char *name;
		enum mw_tree_kind kind;
	} names[] = {
		{ "threads", MW_KIND_IDS },         { "fds", MW_KIND_FDS },
		{ "pages", MW_KIND_PAGES },         { "pagemap", MW_KIND_PAGEMAP },
		{ "memory", MW_KIND_MEMORY },       { "zero_bytes", MW_KIND_ZEROS },
		{ "robust", MW_KIND_ROBUST },       { "objects", MW_KIND_OBJECTS },
		{ "registers", MW_KIND_REGISTERS }, { "kept", MW_KIND_KEPT },
		{ "exe.link", MW_KIND_RAW },
	};
	if (skip(&name, "task/"))
		return take_dir(&name, &ret->tid) && find_raw(name, ret, fits_thread);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i].name))
			continue;
		ret->kind = names[i].kind;
		ret->file = MW_REC_EXE;
		return true;
	}
	return find_raw(name, ret, fits_process);
}

bool mw_tree_find_place(const char *path, struct mw_tree_place *ret)
{
	static const struct {
		const char *path;
		enum mw_tree_kind kind;
	} paths[] = {
		{ MW_TREE_MANIFEST, MW_KIND_MANIFEST },
		{ "features", MW_KIND_FEATURES },
		{ "errors", MW_KIND_ERRORS },
		{ "kpagecount", MW_KIND_KPAGECOUNT },
		{ "kpageflags", MW_KIND_KPAGEFLAGS },
		{ "kpagecgroup", MW_KIND_KPAGECGROUP },
		{ "proc/pids", MW_KIND_IDS },
	};
	*ret = (struct mw_tree_place){ 0 };
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		if (strcmp(path, paths[i].path))
			continue;
		ret->kind = paths[i].kind;
		return true;
	}
	if (skip(&path, "sys/"))
		return find_raw(path, ret, fits_sys);
	if (!skip(&path, "proc/"))
		return false;
	if (take_dir(&path, &ret->pid))
		return find_in_process(path, ret);
	return find_raw(path, ret, fits_machine);
}
