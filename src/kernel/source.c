// SPDX-License-Identifier: MIT
#include "kernel/source.h"

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/files.h"

#include <stdlib.h>

static const char *const feature_names[MW_FEATURE_COUNT] = {
	[MW_FEATURE_PAGEMAP_SCAN] = "pagemap-scan",
	[MW_FEATURE_PROCMAP_QUERY] = "procmap-query",
	[MW_FEATURE_FRAMES] = "frames",
	[MW_FEATURE_KPAGECOUNT] = "kpagecount",
	[MW_FEATURE_KPAGEFLAGS] = "kpageflags",
	[MW_FEATURE_SOFT_DIRTY] = "soft-dirty",
	[MW_FEATURE_IDLE_BITMAP] = "idle-bitmap",
	[MW_FEATURE_ANON_NAMES] = "anon-names",
	[MW_FEATURE_MADV_GUARD] = "madv-guard",
	[MW_FEATURE_PERFMON] = "cap-perfmon",
	[MW_FEATURE_SYS_PTRACE] = "cap-sys-ptrace",
	[MW_FEATURE_SYS_ADMIN] = "cap-sys-admin",
	[MW_FEATURE_DAC_READ_SEARCH] = "cap-dac-read-search",
};

const char *mw_feature_name(enum mw_feature feature)
{
	return (unsigned)feature < MW_FEATURE_COUNT ? feature_names[feature]
						    : "unknown feature";
}

void mw_fds_deinit(struct mw_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++)
		free(fds->items[i].target);
	mw_vec_deinit(fds);
}

static struct mw_err *unsupported(const struct mw_source *src, const char *what)
{
	return mw_err_new(MW_ERR_UNSUPPORTED, 0, what, "the %s source has no %s",
			  src->ops->name, what);
}

static struct mw_err *bad_range(uint64_t start, uint64_t end)
{
	return mw_err_new(MW_ERR_USAGE, 0, NULL,
			  "0x%llx-0x%llx is not a range of whole pages",
			  (unsigned long long)start, (unsigned long long)end);
}

static struct mw_err *bad_pid(pid_t pid)
{
	return mw_err_new(MW_ERR_USAGE, 0, NULL, "%d is not a process id", (int)pid);
}

void mw_source_close(struct mw_source *src)
{
	if (src)
		src->ops->close(src);
}

const struct mw_facts *mw_source_facts(struct mw_source *src)
{
	return &src->facts;
}

struct mw_err *mw_source_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				   enum mw_file file, struct mw_buf *out)
{
	struct mw_err *err = mw_file_check(file, pid, tid);

	if (err)
		return err;
	if (!src->ops->read_text)
		return unsupported(src, mw_file_name(file));
	err = src->ops->read_text(src, pid, tid, file, out);
	/* The other files are what an answer is made of: their readers tell of failures.
	 */
	if (!tid && file <= MW_FILE_LAST_PROC && file != MW_FILE_AUXV &&
	    file != MW_FILE_MOUNTINFO)
		return err;
	return mw_source_note(src, mw_optional_of_file(file, tid), err);
}

struct mw_err *mw_source_stream_text(struct mw_source *src, pid_t pid, enum mw_file file,
				     mw_text_sink *take, void *ctx)
{
	mw_auto_buf text = { 0 };
	size_t used;
	struct mw_err *err = mw_file_check(file, pid, 0);

	if (err)
		return err;
	if (src->ops->stream_text)
		return src->ops->stream_text(src, pid, file, take, ctx);
	err = mw_source_read_text(src, pid, 0, file, &text);
	return err ? err : take(ctx, mw_buf_str(&text), text.len, true, &used);
}

struct mw_err *mw_source_read_exe(struct mw_source *src, pid_t pid, struct mw_buf *out)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->read_exe)
		return unsupported(src, "exe");
	return src->ops->read_exe(src, pid, out);
}

struct mw_err *mw_source_list(struct mw_source *src, pid_t pid, struct mw_ids *out)
{
	if (pid < 0)
		return bad_pid(pid);
	if (!src->ops->list)
		return unsupported(src, pid ? "list of threads" : "list of processes");
	return src->ops->list(src, pid, out);
}

struct mw_err *mw_source_list_fds(struct mw_source *src, pid_t pid, struct mw_fds *out)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->list_fds)
		return unsupported(src, "list of open files");
	return src->ops->list_fds(src, pid, out);
}

struct mw_err *mw_source_scan(struct mw_source *src, pid_t pid, uint64_t start,
			      uint64_t end, struct mw_page_ranges *out)
{
	uint64_t mask = src->facts.page_size - 1;

	if (pid <= 0)
		return bad_pid(pid);
	if (start > end || ((start | end) & mask))
		return bad_range(start, end);
	if (!src->ops->scan)
		return unsupported(src, "page scan");
	return start == end ? NULL : src->ops->scan(src, pid, start, end, out);
}

struct mw_err *mw_source_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				      size_t n_pages, uint64_t *ret)
{
	uint64_t len, end;

	if (pid <= 0)
		return bad_pid(pid);
	if (__builtin_mul_overflow(n_pages, src->facts.page_size, &len) ||
	    __builtin_add_overflow(addr, len, &end) ||
	    (addr & (src->facts.page_size - 1)))
		return mw_err_new(MW_ERR_USAGE, 0, NULL,
				  "no %zu pages can start at 0x%llx", n_pages,
				  (unsigned long long)addr);
	if (!src->ops->read_pagemap)
		return unsupported(src, "pagemap");
	return n_pages ? src->ops->read_pagemap(src, pid, addr, n_pages, ret) : NULL;
}

const char *mw_kpage_name(enum mw_kpage which)
{
	static const char *const names[MW_KPAGE_KINDS] = { "kpagecount", "kpageflags",
							   "kpagecgroup" };

	return (unsigned)which < MW_KPAGE_KINDS ? names[which] : "unknown file";
}

struct mw_err *mw_source_read_kpage(struct mw_source *src, enum mw_kpage which,
				    uint64_t pfn, size_t n, uint64_t *ret)
{
	const char *name = mw_kpage_name(which);

	/* The words are 8 bytes of a file: their offsets must fit one. */
	if (n > INT64_MAX / 8 || pfn > INT64_MAX / 8 - n)
		return mw_err_new(MW_ERR_USAGE, 0, name, "no frames 0x%llx+%zu",
				  (unsigned long long)pfn, n);
	if (!src->ops->read_kpage)
		return unsupported(src, name);
	return n ? src->ops->read_kpage(src, which, pfn, n, ret) : NULL;
}

struct mw_err *mw_source_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				     void *bytes, size_t len, enum mw_purpose purpose,
				     size_t *got)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->read_memory)
		return unsupported(src, "memory");
	return mw_source_note(
		src, MW_OPTIONAL_MEMORY,
		src->ops->read_memory(src, pid, addr, bytes, len, purpose, got));
}

struct mw_err *mw_source_read_private(struct mw_source *src, pid_t pid, uint64_t addr,
				      void *bytes, size_t len, enum mw_purpose purpose,
				      size_t *got)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->read_private)
		return mw_source_read_memory(src, pid, addr, bytes, len, purpose, got);
	return mw_source_note(
		src, MW_OPTIONAL_MEMORY,
		src->ops->read_private(src, pid, addr, bytes, len, purpose, got));
}

struct mw_err *mw_source_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				    uint64_t *ret)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (addr & (src->facts.page_size - 1))
		return bad_range(addr, addr);
	if (!src->ops->zero_bytes)
		return unsupported(src, "count of zero bytes");
	return src->ops->zero_bytes(src, pid, addr, ret);
}

struct mw_err *mw_source_robust_list(struct mw_source *src, pid_t pid, pid_t tid,
				     uint64_t *ret)
{
	/* tid 0 would be memwhy's own list. */
	if (pid <= 0 || tid <= 0)
		return bad_pid(pid <= 0 ? pid : tid);
	if (!src->ops->robust_list)
		return unsupported(src, "robust list");
	return mw_source_note(src, MW_OPTIONAL_ROBUST,
			      src->ops->robust_list(src, pid, tid, ret));
}

struct mw_err *mw_source_read_object(struct mw_source *src, pid_t pid,
				     const struct mw_object *obj, uint64_t off,
				     void *bytes, size_t len, size_t *got)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->read_object)
		return unsupported(src, "mapped file");
	return mw_source_note(src, MW_OPTIONAL_OBJECT,
			      src->ops->read_object(src, pid, obj, off, bytes, len, got));
}

struct mw_err *mw_source_probe(struct mw_source *src, enum mw_feature feature, bool *ret)
{
	if ((unsigned)feature >= MW_FEATURE_COUNT)
		return mw_err_new(MW_ERR_USAGE, 0, NULL, "no such feature: %d",
				  (int)feature);
	if (!src->ops->probe)
		return unsupported(src, mw_feature_name(feature));
	return src->ops->probe(src, feature, ret);
}

struct mw_err *mw_source_stop(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->stop)
		return unsupported(src, "stop");
	return src->ops->stop(src, pid, max_ms);
}

struct mw_err *mw_source_resume(struct mw_source *src, uint64_t *held_ns, bool *cut)
{
	if (!src->ops->resume)
		return unsupported(src, "stop");
	return src->ops->resume(src, held_ns, cut);
}

struct mw_err *mw_source_list_registers(struct mw_source *src, pid_t pid,
					struct mw_registers_list *out)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->list_registers)
		return unsupported(src, "registers");
	return src->ops->list_registers(src, pid, out);
}

struct mw_err *mw_source_list_kept(struct mw_source *src, pid_t pid, struct mw_words *out)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->list_kept)
		return unsupported(src, "words the kernel keeps");
	return src->ops->list_kept(src, pid, out);
}

struct mw_err *mw_source_fork(struct mw_source *src, pid_t pid, unsigned max_ms,
			      pid_t *child)
{
	if (pid <= 0)
		return bad_pid(pid);
	if (!src->ops->fork)
		return unsupported(src, "injected fork");
	return src->ops->fork(src, pid, max_ms, child);
}

struct mw_err *mw_source_save(struct mw_source *tee, const char *dir)
{
	if (!tee->ops->save)
		return unsupported(tee, "recording to save");
	return tee->ops->save(tee, dir);
}
