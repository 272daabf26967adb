// SPDX-License-Identifier: MIT
/*
 * What the kernel's text files would have said of the process, as far as the core knows
 * it: so whoever reads a process reads a core. What it does not know is left out of a
 * file where the format allows that, and is NOTFOUND where it does not.
 */
#include "base/buf.h"
#include "kernel/core/core.h"

#include <elf.h>
#include <inttypes.h>
#include <memwhy/perms.h>
#include <string.h>

/*
 * The identity of a mapped file is not in a core. These are made up, the same each time:
 * a device number that no file system has, and the place of its path among all paths.
 */
enum { FILE_MAJOR = 0xfff, FILE_MINOR = 0 };

/* A million mappings with long names; a file may claim to name each with its whole. */
#define MAX_MAPS (UINT64_C(1) << 29)

/* The kernel escapes newlines, and nothing else. */
static bool add_name(struct mw_buf *out, const char *name)
{
	for (;;) {
		size_t n = strcspn(name, "\n");
		if (!mw_buf_add(out, name, n))
			return false;
		if (!name[n])
			return true;
		if (!mw_buf_add(out, "\\012", 4))
			return false;
		name += n + 1;
	}
}

static bool add_region(struct mw_buf *out, const struct mw_core_region *region)
{
	bool file = region->object != MW_CORE_NONE;
	unsigned perms = region->perms;

	return mw_buf_printf(out,
			     "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64
			     " %02x:%02x %u%s",
			     region->start, region->end, perms & MW_PERM_READ ? 'r' : '-',
			     perms & MW_PERM_WRITE ? 'w' : '-',
			     perms & MW_PERM_EXEC ? 'x' : '-',
			     perms & MW_PERM_SHARED ? 's' : 'p', region->offset,
			     file ? FILE_MAJOR : 0, file ? FILE_MINOR : 0,
			     file ? region->object + 1 : 0,
			     region->name[0] ? "                      " : " ") &&
	       add_name(out, region->name) && mw_buf_add(out, "\n", 1);
}

static struct mw_err *add_maps(const struct mw_core *core, struct mw_buf *out)
{
	for (size_t i = 0; i < core->regions.n; i++) {
		if (!add_region(out, &core->regions.items[i]))
			return mw_err_nomem();
		if (out->len > MAX_MAPS)
			return mw_err_new(MW_ERR_FORMAT, 0, core->path,
					  "%s has names of mappings that are too long",
					  core->path);
	}
	return NULL;
}

/* [vsyscall] is outside of the process, for the kernel too. */
static uint64_t total_size(const struct mw_core *core)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < core->regions.n; i++) {
		const struct mw_core_region *region = &core->regions.items[i];
		if (region->start >> 63)
			continue;
		if (__builtin_add_overflow(sum, region->end - region->start, &sum))
			return UINT64_MAX;
	}
	return sum;
}

static const char *comm_of(const struct mw_core *core)
{
	return core->has_psinfo ? core->comm : "?";
}

/* Times, sizes and addresses that no core has are 0, as where the kernel hides them. */
static bool add_stat(const struct mw_core *core, pid_t tid, struct mw_buf *out)
{
	/* Fields 24 to 46, of which none is known. */
	static const char unknown[] = "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0";
	uint64_t size = total_size(core);

	return mw_buf_printf(out,
			     "%d (%s) %c %d 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 %zu 0 0 "
			     "%" PRIu64 " %s %" PRIu64 " 0 0 0 0\n",
			     (int)tid, comm_of(core), core->state, (int)core->ppid,
			     core->threads.n, size ? size : 1, unknown, core->start_brk);
}

/* No line of resident memory: a core does not know it. */
static bool add_status(const struct mw_core *core, pid_t tid, struct mw_buf *out)
{
	uint64_t euid = core->uid;

	(void)mw_core_auxv(core, AT_EUID, &euid);
	bool ok = mw_buf_printf(out, "Name:\t");
	for (const char *c = comm_of(core); ok && *c; c++)
		ok = *c == '\n' ? mw_buf_add(out, "\\n", 2) : mw_buf_add(out, c, 1);
	return ok &&
	       mw_buf_printf(out,
			     "\nState:\t%c\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\n"
			     "Uid:\t%u\t%u\t%u\t%u\nVmSize:\t%" PRIu64 " kB\n"
			     "Threads:\t%zu\n",
			     core->state, (int)core->pid, (int)tid, (int)core->ppid,
			     core->uid, (unsigned)euid, (unsigned)euid, (unsigned)euid,
			     total_size(core) / 1024, core->threads.n);
}

static struct mw_err *lacks(const struct mw_core *core, const char *what)
{
	return mw_err_new(MW_ERR_UNSUPPORTED, 0, what, "%s: a core file has no %s",
			  core->path, what);
}

static struct mw_err *cut(const struct mw_core *core, const char *note)
{
	return mw_err_new(MW_ERR_UNSUPPORTED, 0, note,
			  "%s has no %s: it was cut short, or whoever wrote it left it "
			  "out",
			  core->path, note);
}

static struct mw_err *done(bool ok)
{
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *add_auxv(const struct mw_core *core, struct mw_buf *out)
{
	if (!core->auxv.len)
		return cut(core, "NT_AUXV");
	return done(mw_buf_add(out, core->auxv.data, core->auxv.len));
}

/* Threads may have names of their own, which no core keeps. */
static struct mw_err *add_comm(const struct mw_core *core, pid_t tid, struct mw_buf *out)
{
	if (tid && tid != core->pid)
		return lacks(core, "names of threads");
	if (!core->has_psinfo)
		return cut(core, "NT_PRPSINFO");
	return done(mw_buf_printf(out, "%s\n", core->comm));
}

/* "-1 sp pc": not in a system call, and at rest. */
static struct mw_err *add_syscall(const struct mw_core *core, pid_t tid,
				  struct mw_buf *out)
{
	uint64_t sp, pc;

	if (!mw_core_thread_at(core, tid ? tid : core->pid, &sp, &pc))
		return cut(core, "NT_PRSTATUS");
	return done(mw_buf_printf(out, "-1 0x%" PRIx64 " 0x%" PRIx64 "\n", sp, pc));
}

static struct mw_err *add_cmdline(const struct mw_core *core, struct mw_buf *out)
{
	if (!core->has_psinfo)
		return cut(core, "NT_PRPSINFO");
	return done(mw_buf_printf(out, "%s", core->args));
}

static struct mw_err *absent(const char *what)
{
	return mw_err_new(MW_ERR_NOTFOUND, 0, what, "%s is not in a core file", what);
}

/* Of the machine, nothing: that it booted at all is taken for granted. */
static struct mw_err *machine_text(enum mw_file file)
{
	return file == MW_FILE_BOOT_ID ? NULL : absent(mw_file_name(file));
}

struct mw_err *mw_core_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				 enum mw_file file, struct mw_buf *out)
{
	const struct mw_core *core = mw_core_of(src);

	if (!pid)
		return machine_text(file);
	struct mw_err *err = mw_core_check_pid(core, pid);
	if (!err && tid && !mw_core_has_thread(core, tid))
		err = mw_err_new(MW_ERR_NOTFOUND, 0, core->path, "%s has no thread %d",
				 core->path, (int)tid);
	if (err)
		return err;
	switch (file) {
	case MW_FILE_MAPS:
		return add_maps(core, out);
	case MW_FILE_STAT:
		return done(add_stat(core, tid ? tid : pid, out));
	case MW_FILE_STATUS:
		return done(add_status(core, tid ? tid : pid, out));
	case MW_FILE_COMM:
		return add_comm(core, tid, out);
	case MW_FILE_CMDLINE:
		return add_cmdline(core, out);
	case MW_FILE_AUXV:
		return add_auxv(core, out);
	case MW_FILE_SYSCALL:
		return add_syscall(core, tid, out);
	case MW_FILE_MOUNTINFO:
		return absent("mountinfo");
	default:
		return lacks(core, mw_file_name(file));
	}
}
