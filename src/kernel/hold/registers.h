/* SPDX-License-Identifier: MIT */
/*
 * Registers of stopped threads, in memory that the holder shares with memwhy. What is
 * taken: general registers and those of the x87, SSE, AVX, AVX-512 and APX states, in
 * any of which a pointer may be while a thread is stopped (memcpy keeps them in vectors).
 *
 * PTRACE_GETREGSET, ptrace(2); Intel SDM vol. 1 chapter 13 (XSAVE area).
 */
#pragma once

#include <memwhy/hold.h>

struct mw_regs_area;

/*
 * Room for the threads of a process that has n_threads now: more may be started until
 * they all stand. NULL: no memory.
 */
struct mw_regs_area *mw_regs_area_new(size_t n_threads);
void mw_regs_area_free(struct mw_regs_area *area);

/* Adds those of one thread, which must be stopped by the caller. Allocates nothing. */
void mw_regs_take(struct mw_regs_area *area, pid_t tid);

/* Forgets what was taken: another attempt begins. */
void mw_regs_clear(struct mw_regs_area *area);

/* Appends all that was taken. IO when there was no room for all of them. */
struct mw_err *mw_regs_list(const struct mw_regs_area *area,
			    struct mw_registers_list *out) MW_MUST_USE;
