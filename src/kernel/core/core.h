/* SPDX-License-Identifier: MIT */
/*
 * A core file as a source: what was dumped of one process when it died, or when a
 * debugger asked. Internal to this folder.
 *
 * Program headers say which memory is in the file, notes say who it was: NT_PRPSINFO,
 * NT_PRSTATUS and its companions for each thread, NT_AUXV, NT_FILE. Everything is
 * hostile: offsets and counts are checked against the file, whose length is taken once,
 * and a file that was cut short has less in it and is no error.
 *
 * Documents: the gABI, chapters 4 and 5; linux/fs/binfmt_elf.c (elf_core_dump,
 * fill_files_note); man page core(5). docs/kernel-notes.md says what a core lacks.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "kernel/source.h"

/* A PT_LOAD: memory, and what of it is in the file. */
struct mw_core_load {
	uint64_t start, end;
	uint64_t off; /* in the file */
	uint64_t len; /* bytes that are there */
	unsigned perms;
};

/* An entry of NT_FILE. */
struct mw_core_name {
	uint64_t start, end, offset;
	const char *path;
	size_t object; /* into objects */
};

enum { MW_CORE_NONE = 0xffffffff };

/* A mapping as maps would show it. */
struct mw_core_region {
	uint64_t start, end, offset;
	unsigned perms;
	uint32_t load, object; /* indices, or MW_CORE_NONE */
	const char *name;
};

enum { MW_CORE_ID = 64, MW_CORE_SEGMENTS = 16 };

/* The first page of a mapped ELF file, in the core or in the file itself. */
struct mw_core_head {
	size_t n_id; /* of the build id; 0: none */
	unsigned char id[MW_CORE_ID];
	size_t n_segments; /* PT_LOAD */
	struct {
		uint64_t vaddr, end;
		unsigned perms;
	} segments[MW_CORE_SEGMENTS];
	uint64_t first; /* the address that the file's start is linked to */
	uint64_t end;   /* where the last segment ends, bss and all */
};

/* How bytes of an ELF file are read; false unless all of them can be. */
typedef bool mw_core_read_fn(void *arg, uint64_t off, void *bytes, size_t len);

enum mw_core_state { MW_CORE_UNTRIED, MW_CORE_TRUSTED, MW_CORE_REFUSED };

/* A mapped file. */
struct mw_core_object {
	const char *path;
	uint64_t base; /* where its start is mapped; 0: nowhere */
	enum mw_core_state state;
	const char *refusal;
	int fd; /* -1: not open */
	uint64_t used_seq;
};

/* A thread's notes: where their contents lie in the file. */
struct mw_core_thread {
	pid_t tid;
	uint64_t status; /* NT_PRSTATUS */
	uint64_t vector; /* NT_FPREGSET or, better, NT_X86_XSTATE; 0: none */
	uint64_t vector_len;
};

struct mw_core {
	struct mw_source base;
	int fd;
	uint64_t size;  /* of the file when it was opened */
	char *path;     /* as given */
	char *exe_path; /* of --exe, or NULL */
	struct mw_arena arena;
	struct {
		MW_VEC(struct mw_core_load);
	} loads;
	struct {
		MW_VEC(struct mw_core_name);
	} names;
	struct {
		MW_VEC(struct mw_core_region);
	} regions;
	struct {
		MW_VEC(struct mw_core_object);
	} objects;
	struct {
		MW_VEC(struct mw_core_thread);
	} threads;
	struct mw_buf auxv, files; /* the notes' contents; `files` ends with a NUL */
	size_t n_open;             /* objects */
	uint64_t seq;
	uint32_t exe;       /* index of the program's object, or MW_CORE_NONE */
	uint64_t start_brk; /* a guess; 0: none */
	uint32_t headed;    /* the object that `head` is of */
	bool has_head;
	struct mw_core_head head;
	uint64_t looked_at; /* bytes, to tell whether mappings are empty */
	bool gdb;           /* written by gdb: its p_flags always claim R */
	/* NT_PRPSINFO */
	bool has_psinfo;
	pid_t pid, ppid;
	unsigned uid;
	char state;
	char comm[17], args[81];
};

static inline struct mw_core *mw_core_of(struct mw_source *src)
{
	return (struct mw_core *)src;
}

/* Reads headers: fills loads, and the places of the notes. FORMAT when it is no core. */
struct mw_core_notes {
	size_t n;
	struct {
		uint64_t off, len;
	} items[MW_CORE_SEGMENTS];
};
struct mw_err *mw_core_read_headers(struct mw_core *core,
				    struct mw_core_notes *ret) MW_MUST_USE;

/* Exactly these bytes of the core file. */
bool mw_core_read_file(const struct mw_core *core, uint64_t off, void *bytes, size_t len);

/* Reads the notes: who it was, its threads, auxv and names. Only NOMEM. */
struct mw_err *mw_core_read_notes(struct mw_core *core,
				  const struct mw_core_notes *notes) MW_MUST_USE;

/* Makes regions of loads and names, and gives them the names the kernel would. NOMEM. */
struct mw_err *mw_core_make_regions(struct mw_core *core) MW_MUST_USE;

/* Makes one object for each path that names have. NOMEM. */
struct mw_err *mw_core_make_objects(struct mw_core *core) MW_MUST_USE;

/* Exactly these bytes of memory; false unless all of them were dumped. */
bool mw_core_bytes(const struct mw_core *core, uint64_t addr, void *bytes, size_t len);

/* The region that holds `addr`, or NULL. */
struct mw_core_region *mw_core_region_at(const struct mw_core *core, uint64_t addr);

/* The value of an AT_* entry of the auxiliary vector; false without one. */
bool mw_core_auxv(const struct mw_core *core, uint64_t type, uint64_t *ret);

/* The notes of a thread; NULL when the core has none. */
const struct mw_core_thread *mw_core_thread(const struct mw_core *core, pid_t tid);

/* Where a thread's stack and program pointers were; false when it is not known. */
bool mw_core_thread_at(const struct mw_core *core, pid_t tid, uint64_t *sp, uint64_t *pc);

/* Whether it is one of the threads. */
bool mw_core_has_thread(const struct mw_core *core, pid_t tid);

/* Reads the headers of an ELF file. False when it is none, or cut. */
bool mw_core_head_read(mw_core_read_fn *read, void *arg, struct mw_core_head *ret);

/* The same of an object, from what was dumped of it. */
bool mw_core_object_head(const struct mw_core *core, const struct mw_core_object *object,
			 struct mw_core_head *ret);

/* Takes `path` for the program. FORMAT when the core is of another one. */
struct mw_err *mw_core_set_exe(struct mw_core *core, const char *path) MW_MUST_USE;

/* The operations that have a file of their own; see source.h for what they do. */
struct mw_err *mw_core_read_text(struct mw_source *src, pid_t pid, pid_t tid,
				 enum mw_file file, struct mw_buf *out) MW_MUST_USE;
struct mw_err *mw_core_read_memory(struct mw_source *src, pid_t pid, uint64_t addr,
				   void *bytes, size_t len, enum mw_purpose purpose,
				   size_t *got) MW_MUST_USE;
struct mw_err *mw_core_scan(struct mw_source *src, pid_t pid, uint64_t start,
			    uint64_t end, struct mw_page_ranges *out) MW_MUST_USE;
struct mw_err *mw_core_read_pagemap(struct mw_source *src, pid_t pid, uint64_t addr,
				    size_t n_pages, uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_core_zero_bytes(struct mw_source *src, pid_t pid, uint64_t addr,
				  uint64_t *ret) MW_MUST_USE;
struct mw_err *mw_core_read_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got) MW_MUST_USE;
struct mw_err *mw_core_list_registers(struct mw_source *src, pid_t pid,
				      struct mw_registers_list *out) MW_MUST_USE;

/* NOTFOUND unless it is this core's process. */
struct mw_err *mw_core_check_pid(const struct mw_core *core, pid_t pid) MW_MUST_USE;
