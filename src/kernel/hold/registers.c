// SPDX-License-Identifier: MIT
#include "kernel/hold/registers.h"

#include "base/vec.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

enum {
	SPARE_THREADS = 1024, /* started while the others are being stopped */
	XSAVE_WORDS = 2048,   /* AMX tiles lie behind it; no pointer is kept there */
	XSAVE_BV = 512 / 8,   /* in words: which states are in use */
	N_PARTS = 7,
};

/* One kind of vector register inside the XSAVE area, in words. */
struct part {
	uint64_t states; /* bits of XSTATE_BV; any of them */
	size_t at, n;
};

struct record {
	uint64_t tid, pc, sp, tp, n;
	uint64_t words[];
};

struct mw_regs_area {
	size_t len;  /* mapped, this header included */
	size_t cap;  /* words of data */
	size_t used; /* of them */
	bool full;   /* some did not fit */
	struct part parts[N_PARTS];
	uint64_t data[]; /* records */
};

enum { RECORD_WORDS = sizeof(struct record) / 8 };

#ifdef __x86_64__
/* Where the processor puts a state; nothing when it has none. */
static struct part find_part(unsigned state)
{
	unsigned len, at, c, d;

	if (!__get_cpuid_count(0xd, state, &len, &at, &c, &d) || !len ||
	    (at + len) / 8 > XSAVE_WORDS)
		return (struct part){ 0 };
	return (struct part){ 1ull << state, at / 8, len / 8 };
}

/* 2 AVX, 5-7 AVX-512 (masks, upper halves, upper registers), 19 APX. */
static void find_parts(struct mw_regs_area *area)
{
	static const unsigned states[] = { 2, 5, 6, 7, 19 };

	area->parts[0] = (struct part){ 1, 32 / 8, 128 / 8 }; /* x87, MMX */
	area->parts[1] = (struct part){ 2 | 4, 160 / 8, 256 / 8 };
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		area->parts[2 + i] = find_part(states[i]);
}

static bool take_general(pid_t tid, struct record *rec)
{
	struct user_regs_struct regs;
	struct iovec io = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0)
		return false;
	rec->n = io.iov_len / 8;
	memcpy(rec->words, &regs, rec->n * 8);
	/* A 32-bit thread: pairs of registers are no pointers here. */
	if (io.iov_len != sizeof(regs))
		return true;
	rec->pc = regs.rip;
	rec->sp = regs.rsp;
	rec->tp = regs.fs_base;
	return true;
}

static void take_vectors(const struct mw_regs_area *area, pid_t tid, struct record *rec)
{
	uint64_t xsave[XSAVE_WORDS];
	struct iovec io = { xsave, sizeof(xsave) };
	uint64_t in_use = 3;

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &io) == 0 &&
	    io.iov_len / 8 > XSAVE_BV)
		in_use = xsave[XSAVE_BV];
	else if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRFPREG, &io) != 0)
		return;
	for (size_t i = 0; i < N_PARTS; i++) {
		const struct part *part = &area->parts[i];
		if (!(part->states & in_use) || part->at + part->n > io.iov_len / 8 ||
		    rec->n + part->n > MW_REGISTER_WORDS)
			continue;
		memcpy(rec->words + rec->n, xsave + part->at, part->n * 8);
		rec->n += part->n;
	}
}
#else
static void find_parts(struct mw_regs_area *area)
{
	(void)area;
}

/* Words in the order of the kernel; which of them is what nobody here asks. */
static bool take_general(pid_t tid, struct record *rec)
{
	struct iovec io = { rec->words, MW_REGISTER_WORDS * 8 };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0)
		return false;
	rec->n = io.iov_len / 8;
	return true;
}

static void take_vectors(const struct mw_regs_area *area, pid_t tid, struct record *rec)
{
	struct iovec io = { rec->words + rec->n, (MW_REGISTER_WORDS - rec->n) * 8 };

	(void)area;
	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRFPREG, &io) == 0)
		rec->n += io.iov_len / 8;
}
#endif

struct mw_regs_area *mw_regs_area_new(size_t n_threads)
{
	size_t words = RECORD_WORDS + MW_REGISTER_WORDS, len;

	if (__builtin_add_overflow(n_threads, SPARE_THREADS, &n_threads) ||
	    __builtin_mul_overflow(n_threads, words * 8, &len) ||
	    __builtin_add_overflow(len, sizeof(struct mw_regs_area), &len))
		return NULL;
	struct mw_regs_area *area =
		mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	area->len = len;
	area->cap = n_threads * words;
	find_parts(area);
	return area;
}

void mw_regs_area_free(struct mw_regs_area *area)
{
	if (area)
		munmap(area, area->len);
}

void mw_regs_clear(struct mw_regs_area *area)
{
	area->used = 0;
	area->full = false;
}

void mw_regs_take(struct mw_regs_area *area, pid_t tid)
{
	if (area->cap - area->used < RECORD_WORDS + MW_REGISTER_WORDS) {
		area->full = true;
		return;
	}
	struct record *rec = (struct record *)(area->data + area->used);
	*rec = (struct record){ .tid = (uint64_t)tid };
	if (!take_general(tid, rec))
		return; /* killed meanwhile */
	take_vectors(area, tid, rec);
	area->used += RECORD_WORDS + rec->n;
}

static bool add(const struct record *rec, struct mw_registers_list *out)
{
	/* Written in place: one is three kilobytes. */
	void *grown = mw_vec_grow(out->items, out->n, &out->cap, sizeof(*out->items));
	if (!grown)
		return false;
	out->items = grown;
	struct mw_registers *item = &out->items[out->n++];
	item->tid = (pid_t)rec->tid;
	item->pc = rec->pc;
	item->sp = rec->sp;
	item->tp = rec->tp;
	item->n = rec->n;
	memcpy(item->words, rec->words, rec->n * 8);
	memset(item->words + rec->n, 0, (MW_REGISTER_WORDS - rec->n) * 8);
	return true;
}

struct mw_err *mw_regs_list(const struct mw_regs_area *area,
			    struct mw_registers_list *out)
{
	size_t before = out->n;

	if (area->full)
		return mw_err_new(MW_ERR_IO, E2BIG, "registers",
				  "more than %d threads were started while the process "
				  "was being stopped: try again",
				  (int)SPARE_THREADS);
	for (size_t at = 0; at < area->used;) {
		const struct record *rec = (const struct record *)(area->data + at);
		if (!add(rec, out)) {
			out->n = before;
			return mw_err_nomem();
		}
		at += RECORD_WORDS + rec->n;
	}
	return NULL;
}
