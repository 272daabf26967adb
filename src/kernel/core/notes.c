// SPDX-License-Identifier: MIT
/*
 * The notes of a core file: who it was, its threads, its auxiliary vector, and which
 * files were mapped where. Layouts: linux/elfcore.h, asm/user_64.h, fs/binfmt_elf.c.
 */
#include "kernel/core/core.h"

#include <elf.h>
#include <limits.h>
#include <string.h>

enum {
	MAX_AUXV = 64 << 10,
	MAX_FILES = 64 << 20, /* the kernel stops at 16 MiB unless told otherwise */
	MAX_THREADS = 1 << 17,
	MAX_NOTES = 1 << 20,
	NT_GDB_TDESC_ = (int)0xff000000, /* "GDB": a description of registers */
};

/* struct elf_prpsinfo of x86-64. */
struct psinfo {
	char state, sname, zomb, nice;
	uint32_t pad;
	uint64_t flag;
	uint32_t uid, gid;
	int32_t pid, ppid, pgrp, sid;
	char fname[16], psargs[80];
};
_Static_assert(sizeof(struct psinfo) == 136, "layout of NT_PRPSINFO");

/* struct elf_prstatus of x86-64. */
enum {
	STATUS_PID = 32,
	STATUS_REGS = 112,
	STATUS_LEN = 336,
	N_REGS = 27,
	REG_PC = 16,
	REG_SP = 19,
	REG_FS_BASE = 21,
	LEAST_VECTOR = 512, /* struct user_i387_struct: the legacy part of XSAVE too */
};

struct note {
	char name[8]; /* its beginning */
	uint32_t type;
	uint64_t off, len; /* of the contents, as far as they are in the file */
};

static void copy_text(char *dst, size_t size, const char *src, size_t len)
{
	size_t n = strnlen(src, len < size - 1 ? len : size - 1);
	memcpy(dst, src, n);
	dst[n] = '\0';
}

static void take_psinfo(struct mw_core *core, const struct note *note)
{
	struct psinfo info;

	if (core->has_psinfo || !mw_core_read_file(core, note->off, &info, sizeof(info)))
		return;
	core->has_psinfo = true;
	core->uid = info.uid;
	core->ppid = info.ppid > 0 ? info.ppid : 0;
	if (info.pid > 0)
		core->pid = info.pid;
	/* What a zombie would be without: memory. */
	core->state = info.sname && strchr("RSDTtI", info.sname) ? info.sname : 'S';
	copy_text(core->comm, sizeof(core->comm), info.fname, sizeof(info.fname));
	copy_text(core->args, sizeof(core->args), info.psargs, sizeof(info.psargs));
	/* The kernel joins arguments with blanks and leaves one at the end. */
	size_t len = strlen(core->args);
	while (len && core->args[len - 1] == ' ')
		core->args[--len] = '\0';
}

static struct mw_err *take_status(struct mw_core *core, const struct note *note)
{
	int32_t tid;

	if (note->len < STATUS_LEN || core->threads.n >= MAX_THREADS ||
	    !mw_core_read_file(core, note->off + STATUS_PID, &tid, sizeof(tid)) ||
	    tid <= 0)
		return NULL;
	struct mw_core_thread thread = { .tid = tid, .status = note->off };
	return mw_vec_add(&core->threads, thread) ? NULL : mw_err_nomem();
}

/* It belongs to the thread whose status came before. */
static void take_vector(struct mw_core *core, const struct note *note)
{
	if (!core->threads.n || note->len < LEAST_VECTOR)
		return;
	struct mw_core_thread *thread = &core->threads.items[core->threads.n - 1];
	if (note->len <= thread->vector_len)
		return;
	thread->vector = note->off;
	thread->vector_len = note->len;
}

static struct mw_err *take_bytes(const struct mw_core *core, const struct note *note,
				 size_t max, struct mw_buf *ret)
{
	size_t len = note->len < max ? (size_t)note->len : max;

	if (ret->len || !len)
		return NULL;
	if (!mw_buf_reserve(ret, len + 1))
		return mw_err_nomem();
	if (!mw_core_read_file(core, note->off, ret->data, len))
		return NULL;
	ret->data[len] = '\0';
	ret->len = len;
	return NULL;
}

static struct mw_err *take_note(struct mw_core *core, const struct note *note)
{
	bool kernel = !strcmp(note->name, "CORE"), linux_ = !strcmp(note->name, "LINUX");

	if (!strcmp(note->name, "GDB") && note->type == (uint32_t)NT_GDB_TDESC_)
		core->gdb = true;
	if (kernel && note->type == NT_PRPSINFO)
		take_psinfo(core, note);
	else if (kernel && note->type == NT_PRSTATUS)
		return take_status(core, note);
	else if ((kernel && note->type == NT_FPREGSET) ||
		 (linux_ && note->type == NT_X86_XSTATE))
		take_vector(core, note);
	else if (kernel && note->type == NT_AUXV)
		return take_bytes(core, note, MAX_AUXV, &core->auxv);
	else if (kernel && note->type == NT_FILE)
		return take_bytes(core, note, MAX_FILES, &core->files);
	return NULL;
}

/* Names and contents are filled up to 4 bytes (in the 64-bit format too). */
static uint64_t padded(uint64_t len)
{
	return (len + 3) & ~UINT64_C(3);
}

static struct mw_err *read_segment(struct mw_core *core, uint64_t pos, uint64_t len)
{
	struct mw_err *err = NULL;
	uint64_t end = pos + len; /* lies in the file */

	for (size_t n = 0; !err && n < MAX_NOTES && end - pos >= sizeof(Elf64_Nhdr);
	     n++) {
		Elf64_Nhdr head;
		struct note note = { 0 };
		if (!mw_core_read_file(core, pos, &head, sizeof(head)))
			break;
		pos += sizeof(head);
		size_t name = head.n_namesz < sizeof(note.name) - 1
				      ? head.n_namesz
				      : sizeof(note.name) - 1;
		/* Every note has a name: a hole of the file has none. */
		if (!head.n_namesz || padded(head.n_namesz) > end - pos ||
		    !mw_core_read_file(core, pos, note.name, name))
			break;
		pos += padded(head.n_namesz);
		note.type = head.n_type;
		note.off = pos;
		note.len = head.n_descsz < end - pos ? head.n_descsz : end - pos;
		err = take_note(core, &note);
		if (padded(head.n_descsz) > end - pos)
			break;
		pos += padded(head.n_descsz);
	}
	return err;
}

static int by_tid(const void *a, const void *b)
{
	const struct mw_core_thread *x = a, *y = b;
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	return x->status < y->status ? -1 : x->status > y->status;
}

/* The thread that crashed comes first in the file: here they rise, each once. */
static void settle_threads(struct mw_core *core)
{
	size_t n = 0;

	if (!core->threads.n)
		return;
	if (!core->has_psinfo)
		core->pid = core->threads.items[0].tid;
	qsort(core->threads.items, core->threads.n, sizeof(*core->threads.items), by_tid);
	for (size_t i = 0; i < core->threads.n; i++)
		if (!n || core->threads.items[i].tid != core->threads.items[n - 1].tid)
			core->threads.items[n++] = core->threads.items[i];
	core->threads.n = n;
}

static uint64_t word_at(const char *bytes)
{
	uint64_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/*
 * NT_FILE: a count, a unit, three words an entry, then as many names. A cut note has
 * entries whose names are missing: those are nothing then.
 */
static struct mw_err *take_names(struct mw_core *core)
{
	const char *data = core->files.data;
	size_t len = core->files.len;

	if (len < 16)
		return NULL;
	uint64_t n = word_at(data), unit = word_at(data + 8);
	if (n > (len - 16) / 24)
		return NULL;
	const char *path = data + 16 + n * 24, *end = data + len;
	for (uint64_t i = 0; i < n && path < end; i++) {
		const char *entry = data + 16 + i * 24;
		const char *nul = memchr(path, '\0', (size_t)(end - path));
		struct mw_core_name name = { word_at(entry), word_at(entry + 8), 0, path,
					     MW_CORE_NONE };
		if (!nul)
			break;
		/* The kernel's own names in brackets are given by nobody else. */
		bool ok =
			name.start < name.end && *path && *path != '[' &&
			!__builtin_mul_overflow(word_at(entry + 16), unit, &name.offset);
		if (ok && !mw_vec_add(&core->names, name))
			return mw_err_nomem();
		path = nul + 1;
	}
	return NULL;
}

struct mw_err *mw_core_read_notes(struct mw_core *core, const struct mw_core_notes *notes)
{
	struct mw_err *err = NULL;

	core->state = 'S';
	for (size_t i = 0; !err && i < notes->n; i++)
		err = read_segment(core, notes->items[i].off, notes->items[i].len);
	if (err)
		return err;
	settle_threads(core);
	return take_names(core);
}

bool mw_core_auxv(const struct mw_core *core, uint64_t type, uint64_t *ret)
{
	for (size_t i = 0; i + 16 <= core->auxv.len; i += 16) {
		uint64_t key = word_at(core->auxv.data + i);
		if (key == AT_NULL)
			break;
		if (key != type)
			continue;
		*ret = word_at(core->auxv.data + i + 8);
		return true;
	}
	return false;
}

const struct mw_core_thread *mw_core_thread(const struct mw_core *core, pid_t tid)
{
	size_t lo = 0, hi = core->threads.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (core->threads.items[mid].tid < tid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < core->threads.n && core->threads.items[lo].tid == tid
		       ? &core->threads.items[lo]
		       : NULL;
}

bool mw_core_thread_at(const struct mw_core *core, pid_t tid, uint64_t *sp, uint64_t *pc)
{
	uint64_t words[N_REGS];
	const struct mw_core_thread *thread = mw_core_thread(core, tid);

	if (!thread ||
	    !mw_core_read_file(core, thread->status + STATUS_REGS, words, sizeof(words)))
		return false;
	*sp = words[REG_SP];
	*pc = words[REG_PC];
	return true;
}

static struct mw_err *add_registers(const struct mw_core *core,
				    const struct mw_core_thread *thread,
				    struct mw_registers_list *out)
{
	struct mw_registers regs = { .tid = thread->tid };
	uint64_t len = thread->vector_len & ~UINT64_C(7);
	uint64_t room = (MW_REGISTER_WORDS - N_REGS) * sizeof(uint64_t);

	if (!mw_core_read_file(core, thread->status + STATUS_REGS, regs.words,
			       N_REGS * sizeof(uint64_t)))
		return NULL;
	regs.n = N_REGS;
	regs.pc = regs.words[REG_PC];
	regs.sp = regs.words[REG_SP];
	regs.tp = regs.words[REG_FS_BASE];
	len = len < room ? len : room;
	if (len && mw_core_read_file(core, thread->vector, regs.words + N_REGS, len))
		regs.n += len / sizeof(uint64_t);
	return mw_vec_add(out, regs) ? NULL : mw_err_nomem();
}

struct mw_err *mw_core_list_registers(struct mw_source *src, pid_t pid,
				      struct mw_registers_list *out)
{
	const struct mw_core *core = mw_core_of(src);
	size_t before = out->n;
	struct mw_err *err = mw_core_check_pid(core, pid);

	for (size_t i = 0; !err && i < core->threads.n; i++)
		err = add_registers(core, &core->threads.items[i], out);
	if (!err && out->n == before)
		err = mw_err_new(MW_ERR_UNSUPPORTED, 0, core->path,
				 "%s has no registers (NT_PRSTATUS): it was cut short",
				 core->path);
	if (err)
		out->n = before;
	return err;
}
