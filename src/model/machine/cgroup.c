// SPDX-License-Identifier: MIT
/*
 * One memory cgroup: what it is charged for, and how that leads to what its processes
 * have mapped. Documents: admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst.
 */
#include "base/buf.h"
#include "base/num.h"
#include "base/vec.h"
#include "model/machine/machine.h"

#include <string.h>

#define UNKNOWN UINT64_MAX

/* A number alone in a file; "max" and what is missing are UNKNOWN. */
static uint64_t read_number(struct mw_source *src, pid_t pid, enum mw_file file)
{
	mw_auto_buf text = { 0 };
	uint64_t n;
	mw_auto_err err = mw_source_read_text(src, pid, 0, file, &text);
	const char *pos = err ? NULL : mw_buf_str(&text);
	return pos && mw_take_dec(&pos, pos + text.len, &n) && n < UINT64_C(1) << 60
		       ? n
		       : UNKNOWN;
}

static void read_stat(struct mw_source *src, pid_t pid, struct mw_cgroup *cg)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(src, pid, 0, MW_FILE_CGROUP_STAT, &text);
	const char *bytes = mw_buf_str(&text);
	size_t len = err ? 0 : text.len;
	bool v2 = mw_keyed_number(bytes, len, "anon") != UNKNOWN;
	cg->v1 = !v2 && mw_keyed_number(bytes, len, "total_rss") != UNKNOWN;
	cg->anon = mw_keyed_number(bytes, len, v2 ? "anon" : "total_rss");
	cg->file = mw_keyed_number(bytes, len, v2 ? "file" : "total_cache");
	cg->shmem = mw_keyed_number(bytes, len, v2 ? "shmem" : "total_shmem");
	cg->mapped =
		mw_keyed_number(bytes, len, v2 ? "file_mapped" : "total_mapped_file");
	cg->kernel = mw_keyed_number(bytes, len, "kernel");
}

struct mw_err *mw_cgroup_by_inode(struct mw_source *src, uint64_t inode,
				  struct mw_arena *arena, const char **ret)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(src, 0, 0, MW_FILE_CGROUPS, &text);
	const char *pos = mw_buf_str(&text), *end = pos + (err ? 0 : text.len);
	*ret = "";
	for (uint64_t n; pos < end && mw_take_dec(&pos, end, &n); pos++) {
		const char *eol = mw_line_end(pos, end);
		if (n == inode && mw_take_char(&pos, eol, ' ')) {
			*ret = mw_arena_strndup(arena, pos, (size_t)(eol - pos));
			return *ret ? NULL : mw_err_nomem();
		}
		pos = eol;
	}
	return NULL;
}

/* The path in the line of the memory controller, or of v2; "" without one. */
static void take_path(const char *text, size_t len, char ret[MW_CGROUP_PATH])
{
	const char *pos = text, *end = text + len;
	ret[0] = '\0';
	while (pos < end) {
		const char *line_end = mw_line_end(pos, end);
		const char *path = memchr(pos, '/', (size_t)(line_end - pos));
		bool memory = path && memmem(pos, (size_t)(path - pos), ":memory", 7);
		bool unified = path && path - pos == 3 && !memcmp(pos, "0::", 3);
		size_t n = path ? (size_t)(line_end - path) : 0;
		if ((memory || (unified && !ret[0])) && n < MW_CGROUP_PATH) {
			memcpy(ret, path, n);
			ret[n] = '\0';
		}
		pos = line_end + 1;
	}
}

struct mw_err *mw_cgroup_read(struct mw_source *src, pid_t pid, struct mw_cgroup *ret)
{
	struct mw_cgroup cg = { 0 };
	mw_auto_buf text = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_CGROUP, &text);
	if (err)
		return err;
	take_path(mw_buf_str(&text), text.len, cg.path);
	cg.usage = read_number(src, pid, MW_FILE_CGROUP_USAGE);
	if (cg.usage == UNKNOWN)
		return mw_err_new(MW_ERR_NOTFOUND, 0, "cgroup",
				  "the memory cgroup of process %d cannot be seen",
				  (int)pid);
	cg.limit = read_number(src, pid, MW_FILE_CGROUP_LIMIT);
	cg.swap = read_number(src, pid, MW_FILE_CGROUP_SWAP);
	read_stat(src, pid, &cg);
	/* v1 counts memory and swap together. */
	if (cg.v1 && cg.swap != UNKNOWN)
		cg.swap = mw_less(cg.swap, cg.usage);
	*ret = cg;
	return NULL;
}

/* Whether a process is in the group at `path`, or in one below it. */
static bool is_member(struct mw_source *src, pid_t pid, const char *path)
{
	mw_auto_buf text = { 0 };
	char own[MW_CGROUP_PATH] = "";
	size_t len = strlen(path);
	mw_auto_err err = mw_source_read_text(src, pid, 0, MW_FILE_CGROUP, &text);
	if (err)
		return false;
	take_path(mw_buf_str(&text), text.len, own);
	if (len == 1 && path[0] == '/')
		return own[0];
	return !strncmp(own, path, len) && (!own[len] || own[len] == '/');
}

static void add_process(struct mw_source *src, pid_t pid, struct mw_cgroup_bridge *ret)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(src, pid, 0, MW_FILE_SMAPS_ROLLUP, &text);
	uint64_t pss =
		err ? UNKNOWN : mw_keyed_number(mw_buf_str(&text), text.len, "Pss");
	ret->n++;
	/* A kernel thread, or one that ended, maps nothing; a refusal is another thing.
	 */
	if (pss != UNKNOWN)
		ret->pss += pss;
	else if (err && err->code == MW_ERR_DENIED)
		ret->n_denied++;
}

struct mw_err *mw_cgroup_bridge(struct mw_source *src, pid_t pid,
				const struct mw_cgroup *cg, struct mw_cgroup_bridge *ret)
{
	mw_auto_buf text = { 0 };
	struct mw_cgroup_bridge bridge = { 0 };
	struct mw_ids pids = { 0 };
	struct mw_err *err = mw_source_read_text(src, pid, 0, MW_FILE_CGROUP_PATH, &text);
	if (!err)
		err = mw_source_list(src, 0, &pids);
	for (size_t i = 0; !err && i < pids.n; i++)
		if (is_member(src, pids.items[i], mw_buf_str(&text)))
			add_process(src, pids.items[i], &bridge);
	mw_vec_deinit(&pids);
	if (err)
		return err;
	uint64_t anon = cg->anon == UNKNOWN ? 0 : cg->anon;
	uint64_t file = cg->file == UNKNOWN ? 0 : cg->file;
	bridge.unmapped = mw_less(file, cg->mapped == UNKNOWN ? 0 : cg->mapped);
	bridge.kernel = mw_less(cg->usage, anon + file);
	bridge.elsewhere = (int64_t)bridge.pss -
			   (int64_t)mw_less(cg->usage, bridge.unmapped + bridge.kernel);
	*ret = bridge;
	return NULL;
}
