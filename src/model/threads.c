// SPDX-License-Identifier: MIT
#include "model/threads.h"

#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"
#include "procfs/pagebits.h"
#include "procfs/status.h"
#include <memwhy/hold.h>

#include <stdlib.h>
#include <string.h>

/* glibc's struct pthread: the head of fixed layout, and where the stack fields may be. */
enum {
	GLIBC_ROBUST_HEAD = 0x2e0,
	GLIBC_TID = 0x2d0,
	GLIBC_STACK_2_36 = 0x690, /* block, size, guard size: also 2.34 to 2.41 */
	GLIBC_STACK_LOW = 0x600,
	GLIBC_STACK_HIGH = 0xa00,
};

/* musl's struct __pthread, 1.2.0 and later. */
enum {
	MUSL_TID = 0x30,
	MUSL_MAP_BASE = 0x48, /* map base, map size, stack, stack size, guard size */
	MUSL_ROBUST_HEAD = 0x88,
};

enum { MAX_TAIL = 16 << 20 }; /* TCB and static TLS above the stack: at most this */

static const uint64_t MAX_BLOCK = UINT64_C(1) << 40;

struct reader {
	struct mw_source *src;
	pid_t pid;
	bool nested;           /* thread ids inside differ from those outside */
	uint64_t stack_offset; /* of glibc's stack fields, once found; else 0 */
	uint64_t page_size;
	struct mw_registers_list registers; /* of a process that stands still */
	size_t next;                        /* where the one asked for next may be */
	bool asked;                         /* for them */
};

/* An absent page must not be faulted in; where page maps are denied, memory is too. */
static bool is_present(const struct reader *reader, uint64_t addr, size_t len)
{
	uint64_t page = addr & ~(reader->page_size - 1), word;
	for (; page < addr + len; page += reader->page_size) {
		/* Not known to be there is not readable, and the answer must say so. */
		mw_auto_err err = mw_source_note(
			reader->src, MW_OPTIONAL_MEMORY,
			mw_source_read_pagemap(reader->src, reader->pid, page, 1, &word));
		if (err || !(word & MW_PM_PRESENT))
			return false;
	}
	return true;
}

static bool read_words(const struct reader *reader, uint64_t addr, uint64_t *words,
		       size_t n)
{
	size_t got = 0, len = n * sizeof(*words);
	if (addr > UINT64_MAX - len || !is_present(reader, addr, len))
		return false;
	mw_auto_err err = mw_source_read_memory(reader->src, reader->pid, addr, words,
						len, MW_READ_STRUCT, &got);
	return !err && got == len;
}

/* A block, its size and its guard's that can be true of the thread pointer `tp`. */
static bool plausible_stack(const struct reader *reader, const uint64_t field[3],
			    uint64_t tp)
{
	uint64_t mask = reader->page_size - 1, end;
	uint64_t block = field[0], len = field[1], guard_len = field[2];
	if (!block || len < 4096 || len > MAX_BLOCK ||
	    __builtin_add_overflow(block, len, &end))
		return false;
	if (tp <= block || tp >= end || end - tp > MAX_TAIL)
		return false;
	/* A stack the program brought itself has no guard and any address. */
	if (!guard_len)
		return !(block & 15) && !(len & 15);
	return !(block & mask) && !(len & mask) && !(guard_len & mask) &&
	       guard_len < len && tp > block + guard_len;
}

static void set_stack(struct mw_thread *thread, const uint64_t field[3])
{
	thread->stack = field[0];
	thread->end = field[0] + field[1];
	thread->guard_len = field[2];
	thread->has_stack = true;
}

/* Finds the stack fields: at the known place, or anywhere in the descriptor's tail. */
static void glibc_stack(struct reader *reader, struct mw_thread *thread)
{
	uint64_t words[(GLIBC_STACK_HIGH - GLIBC_STACK_LOW) / 8];
	uint64_t at = reader->stack_offset ? reader->stack_offset : GLIBC_STACK_2_36;
	if (read_words(reader, thread->tcb + at, words, 3) &&
	    plausible_stack(reader, words, thread->tcb)) {
		reader->stack_offset = at;
		set_stack(thread, words);
		return;
	}
	/* The main thread of a program has no block; do not search there. */
	if (reader->stack_offset || thread->tid == reader->pid)
		return;
	/* The descriptor ends its mapping: shorten until what is asked for is there. */
	size_t n = sizeof(words) / sizeof(*words);
	while (n >= 3 && !read_words(reader, thread->tcb + GLIBC_STACK_LOW, words, n))
		n -= 16;
	for (size_t i = 0; n >= 3 && i + 3 <= n; i++) {
		if (!plausible_stack(reader, &words[i], thread->tcb))
			continue;
		reader->stack_offset = GLIBC_STACK_LOW + i * 8;
		set_stack(thread, &words[i]);
		return;
	}
}

/* A thread pointer at whose descriptor the thread's own id is not asked for. */
enum { ANY_TID = 0 };

static bool glibc_thread(struct reader *reader, struct mw_thread *thread, uint64_t tp,
			 uint64_t ns_tid)
{
	uint64_t words[3], tid;
	if (!tp || (tp & 7))
		return false;
	if (!read_words(reader, tp, words, 3) || words[0] != tp || words[2] != tp)
		return false;
	if (!read_words(reader, tp + GLIBC_TID, &tid, 1) ||
	    (ns_tid != ANY_TID && (uint32_t)tid != ns_tid))
		return false;
	thread->tcb = tp;
	glibc_stack(reader, thread);
	return true;
}

static bool musl_thread(const struct reader *reader, struct mw_thread *thread,
			uint64_t tp, uint64_t ns_tid)
{
	uint64_t self, tid, map[5];
	if (!tp || (tp & 7))
		return false;
	if (!read_words(reader, tp, &self, 1) || self != tp)
		return false;
	if (!read_words(reader, tp + MUSL_TID, &tid, 1) || (uint32_t)tid != ns_tid ||
	    !read_words(reader, tp + MUSL_MAP_BASE, map, 5))
		return false;
	thread->tcb = tp;
	uint64_t field[3] = { map[0], map[1], map[4] };
	if (plausible_stack(reader, field, tp))
		set_stack(thread, field);
	return true;
}

/* The thread's id as the target itself knows it, which its descriptor holds. */
static bool inner_tid(const struct reader *reader, pid_t tid, uint64_t *ret)
{
	struct mw_status status;
	mw_auto_buf text = { 0 };
	*ret = (uint64_t)tid;
	if (!reader->nested)
		return true;
	mw_auto_err err =
		mw_source_read_text(reader->src, reader->pid, tid, MW_FILE_STATUS, &text);
	if (err)
		return false;
	mw_status_parse(text.data, text.len, &status);
	if (status.n_ns)
		*ret = status.ns_pid;
	return status.n_ns > 0;
}

/* The thread pointer among the registers, where they are known: 0 elsewhere. */
static uint64_t thread_pointer(struct reader *reader, pid_t tid)
{
	const struct mw_registers_list *list = &reader->registers;
	if (!reader->asked)
		mw_err_free(mw_source_list_registers(reader->src, reader->pid,
						     &reader->registers));
	reader->asked = true;
	/* Both lists rise, as a rule. */
	for (size_t i = 0; i < list->n; i++) {
		size_t at = (reader->next + i) % list->n;
		if (list->items[at].tid != tid)
			continue;
		reader->next = at + 1;
		return list->items[at].tp;
	}
	return 0;
}

/*
 * By its registers: of a core, which has no robust lists, and of a stopped thread that
 * never set one. A core's thread may have other ids than those its process knew.
 */
static void by_registers(struct reader *reader, struct mw_thread *thread)
{
	bool core = mw_source_facts(reader->src)->core;
	uint64_t ns_tid, tp = thread_pointer(reader, thread->tid);
	if (!tp || !inner_tid(reader, thread->tid, &ns_tid))
		return;
	if (!glibc_thread(reader, thread, tp, core ? ANY_TID : ns_tid))
		musl_thread(reader, thread, tp, ns_tid);
}

static bool by_robust_list(struct reader *reader, struct mw_thread *thread)
{
	uint64_t head, ns_tid, tp;
	mw_auto_err err =
		mw_source_robust_list(reader->src, reader->pid, thread->tid, &head);
	if (err || !head || !inner_tid(reader, thread->tid, &ns_tid))
		return false;
	if (!__builtin_sub_overflow(head, GLIBC_ROBUST_HEAD, &tp) &&
	    glibc_thread(reader, thread, tp, ns_tid))
		return true;
	return !__builtin_sub_overflow(head, MUSL_ROBUST_HEAD, &tp) &&
	       musl_thread(reader, thread, tp, ns_tid);
}

static void read_descriptor(struct reader *reader, struct mw_thread *thread)
{
	if (mw_source_facts(reader->src)->core || !by_robust_list(reader, thread))
		by_registers(reader, thread);
}

/* Sets *gone when the thread ended meanwhile. */
static struct mw_err *read_comm(const struct reader *reader, struct mw_thread *thread,
				struct mw_arena *arena, bool *gone)
{
	mw_auto_buf text = { 0 };
	mw_auto_err err = mw_source_read_text(reader->src, reader->pid, thread->tid,
					      MW_FILE_COMM, &text);
	*gone = err && (err->code == MW_ERR_GONE || err->code == MW_ERR_NOTFOUND);
	thread->comm = "";
	if (err)
		return NULL;
	size_t len =
		text.len && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
	if (len && !(thread->comm = mw_arena_strndup(arena, text.data, len)))
		return mw_err_nomem();
	return NULL;
}

static struct mw_err *read_all(struct reader *reader, const struct mw_ids *ids,
			       struct mw_arena *arena, struct mw_thread *threads,
			       size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < ids->n; i++) {
		bool gone;
		struct mw_thread thread = { .tid = ids->items[i] };
		struct mw_err *err = read_comm(reader, &thread, arena, &gone);
		if (err)
			return err;
		if (gone)
			continue;
		read_descriptor(reader, &thread);
		threads[(*n)++] = thread;
	}
	return NULL;
}

struct mw_err *mw_threads_read(struct mw_source *src, const struct mw_process *process,
			       struct mw_arena *arena, struct mw_thread **ret, size_t *n)
{
	size_t n_read = 0;
	struct mw_ids ids = { 0 };
	struct reader reader = { .src = src,
				 .pid = process->pid,
				 .nested = process->ns_nested,
				 .page_size = mw_source_facts(src)->page_size };
	struct mw_thread *threads = NULL;
	struct mw_err *err = mw_source_list(src, process->pid, &ids);
	if (!reader.page_size)
		reader.page_size = 4096;
	if (!err && ids.n) {
		threads = mw_arena_calloc(arena, ids.n, sizeof(*threads));
		err = threads ? read_all(&reader, &ids, arena, threads, &n_read)
			      : mw_err_nomem();
	}
	free(ids.items);
	mw_vec_deinit(&reader.registers);
	if (err)
		return err;
	*ret = threads;
	*n = n_read;
	return NULL;
}
