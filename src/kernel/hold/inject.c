// SPDX-License-Identifier: MIT
#include "kernel/hold/inject.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifdef __x86_64__

enum {
	SYSCALL_STOP = SIGTRAP | 0x80, /* with PTRACE_O_TRACESYSGOOD */
	USER_CS = 0x33,                /* of 64-bit code */
	TRAP_FLAG = 0x100,
	SYSCALL_LEN = 2,
	ENTER_MS = 1000,  /* to get to the instruction, which is next */
	MAX_STOPS = 64,   /* of other kinds, meanwhile */
	N_LOOKED_AT = 64, /* threads: all of a process are alike, as a rule */
};

/* linux/ptrace.h: 5.13, and 6.4. */
#define GET_RSEQ ((enum __ptrace_request)0x420f)
#define GET_DISPATCH ((enum __ptrace_request)0x4211)

struct rseq_config {
	uint64_t addr;
	uint32_t size, signature, flags, pad;
};

struct dispatch_config {
	uint64_t mode, selector, offset, len;
};

bool mw_inject_is_known(void)
{
	return true;
}

static bool get_regs(pid_t tid, struct user_regs_struct *regs)
{
	struct iovec io = { regs, sizeof(*regs) };

	/* A 32-bit thread has fewer. */
	return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) == 0 &&
	       io.iov_len == sizeof(*regs);
}

static bool set_regs(pid_t tid, struct user_regs_struct *regs)
{
	struct iovec io = { regs, sizeof(*regs) };

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &io) == 0;
}

static bool peek(pid_t tid, uint64_t addr, uint64_t *ret)
{
	errno = 0;
	*ret = (uint64_t)ptrace(PTRACE_PEEKDATA, tid, (void *)(uintptr_t)addr, NULL);
	return !errno;
}

/* Byte by byte of aligned words, so that no page is read but that of the bytes. */
static bool is_syscall(pid_t tid, uint64_t addr)
{
	static const unsigned char want[SYSCALL_LEN] = { 0x0f, 0x05 };

	for (uint64_t i = 0; i < SYSCALL_LEN; i++) {
		uint64_t word, at = addr + i;
		if (!peek(tid, at & ~7ull, &word) ||
		    (unsigned char)(word >> 8 * (at & 7)) != want[i])
			return false;
	}
	return true;
}

/*
 * Inside a restartable sequence a thread that was scheduled away goes on at the abort
 * handler. Our call would make the kernel forget that, so we put it there ourselves, by
 * the kernel's own rules. rseq(2): the descriptor's address lies at 8 of the thread's
 * area; in it version and flags, then start, length and handler at 8, 16, 24, and
 * the signature right before the handler. False when it cannot be told, or is not sound.
 */
static bool leave_rseq(pid_t tid, uint64_t *ip)
{
	struct rseq_config config = { 0 };
	uint64_t at, kind, start, len, handler, before;

	if (ptrace(GET_RSEQ, tid, (void *)sizeof(config), &config) < 0)
		return false;
	if (!config.addr)
		return true;
	if (!peek(tid, config.addr + 8, &at))
		return false;
	if (!at)
		return true;
	if (!peek(tid, at, &kind) || !peek(tid, at + 8, &start) ||
	    !peek(tid, at + 16, &len) || !peek(tid, at + 24, &handler))
		return false;
	if (*ip - start >= len)
		return true;
	if (kind || handler - start < len || !peek(tid, handler - 8, &before) ||
	    before >> 32 != config.signature)
		return false;
	*ip = handler;
	return true;
}

/* A process may have system calls sent back to it as signals (Wine does). */
static bool is_dispatched(pid_t tid)
{
	struct dispatch_config config = { 0 };

	return ptrace(GET_DISPATCH, tid, (void *)sizeof(config), &config) == 0 &&
	       config.mode;
}

/*
 * Whether this thread may run the call. The instruction is the one it is just coming
 * from, or when it runs in user space, one that was found before. A thread that entered
 * the kernel in another way (int 0x80) could not be put back exactly.
 */
static bool find_site(struct mw_holder *h, pid_t tid, bool in_call, struct mw_site *ret)
{
	struct user_regs_struct regs = { 0 };

	if (!get_regs(tid, &regs) || regs.cs != USER_CS || (regs.eflags & TRAP_FLAG) ||
	    ((long)regs.orig_rax >= 0) != in_call)
		return false;
	ret->addr = in_call ? regs.rip - SYSCALL_LEN : h->site;
	ret->back = regs.rip;
	return ret->addr && is_syscall(tid, ret->addr) && !is_dispatched(tid) &&
	       (in_call || leave_rseq(tid, &ret->back));
}

pid_t mw_inject_choose(struct mw_holder *h, struct mw_site *site,
		       enum mw_holder_what *what)
{
	const struct mw_tids *t = h->tids;
	size_t n = t->n < N_LOOKED_AT ? t->n : N_LOOKED_AT;

	*what = MW_WHAT_UNSAFE;
	for (size_t i = 0; i < 2 * n; i++) {
		pid_t tid = t->list[i % n];
		uint64_t mode = 0;
		if (t->state[tid] != MW_TID_STANDS || t->sig[tid] ||
		    !find_site(h, tid, i < n, site))
			continue;
		/* A kernel without seccomp has no such line. */
		if (!mw_thread_status(h->task, tid, "\nSeccomp:", &mode) || !mode)
			return tid;
		*what = MW_WHAT_SECCOMP;
	}
	return 0;
}

/* The copy is born attached to us and stopped; if we die, it shall. */
static void adopt(struct mw_holder *h, pid_t tid, struct mw_call *call)
{
	unsigned long id;
	int status;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &id) != 0 || id >= MW_TID_MAX)
		return;
	if (mw_thread_wait(h, (pid_t)id, 0, -1, &status) != 0)
		return;
	ptrace(PTRACE_SETOPTIONS, (pid_t)id, NULL, PTRACE_O_EXITKILL);
	h->tids->state[id] = MW_TID_STANDS;
	call->child = (pid_t)id;
}

/* Lets all others go; the copy, if it comes to be, is none of one moment. */
static void give_up(struct mw_holder *h, pid_t tid, struct mw_call *call)
{
	call->was_late = true;
	h->tids->state[tid] = MW_TID_RUNS;
	mw_threads_release(h);
	h->tids->state[tid] = MW_TID_STANDS;
	h->tids->list[0] = tid;
	h->tids->n = 1;
}

/* From here to the end of the call. *stands: whether it is stopped afterwards. */
static int step_through(struct mw_holder *h, pid_t tid, struct mw_call *call,
			bool *stands)
{
	uint64_t begin = mw_now_ns();
	bool inside = false;
	int status;

	for (unsigned i = 0; i < MAX_STOPS; i++) {
		if (ptrace(PTRACE_SYSCALL, tid, NULL, NULL) != 0)
			return errno;
		*stands = false;
		int errnum = mw_thread_wait(h, tid, inside ? h->since_ns : begin,
					    inside ? (int)h->max_ms : ENTER_MS, &status);
		if (errnum == ETIMEDOUT && inside) {
			/* It may wait for another thread (userfaultfd). */
			give_up(h, tid, call);
			errnum = mw_thread_wait(h, tid, 0, -1, &status);
		}
		if (errnum)
			return errnum;
		*stands = true;
		if (WSTOPSIG(status) == SYSCALL_STOP && inside)
			return 0;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			inside = true;
		else if (status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8))
			adopt(h, tid, call);
		else if (WSTOPSIG(status) == SIGSTOP && !(status >> 16))
			h->resend = SIGSTOP; /* that one cannot be blocked */
		else if (status >> 16 != PTRACE_EVENT_STOP)
			return EINTR;
	}
	return EINTR;
}

/*
 * To a stop on the way out of the kernel, where interrupted calls are restarted by the
 * registers we put back. There is no leaving before: the thread has registers that
 * are not its own.
 */
static int come_back(struct mw_holder *h, pid_t tid, bool stands)
{
	struct user_regs_struct regs = { 0 };
	int status;

	for (;;) {
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		if (stands && ptrace(PTRACE_CONT, tid, NULL, NULL) != 0)
			return errno;
		int errnum = mw_thread_wait(h, tid, 0, -1, &status);
		if (errnum)
			return errnum;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return 0;
		stands = true;
		if (WSTOPSIG(status) == SIGSTOP)
			h->resend = SIGSTOP;
		/* It comes to the call after all: not now. */
		if (WSTOPSIG(status) != SYSCALL_STOP || !get_regs(tid, &regs))
			continue;
		regs.orig_rax = (unsigned long long)-1;
		set_regs(tid, &regs);
	}
}

static void prepare(struct user_regs_struct *regs, uint64_t site,
		    const struct mw_call *call)
{
	regs->rip = site;
	/* No call was interrupted, so none will be restarted. */
	regs->orig_rax = (unsigned long long)-1;
	regs->rax = (unsigned long long)call->nr;
	regs->rdi = call->args[0];
	regs->rsi = call->args[1];
	regs->rdx = call->args[2];
	regs->r10 = call->args[3];
	regs->r8 = call->args[4];
}

int mw_inject_run(struct mw_holder *h, pid_t tid, const struct mw_site *site,
		  struct mw_call *call)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
	uint64_t mask, all = ~0ull;
	struct user_regs_struct saved = { 0 }, regs;
	bool stands = true;

	if (!get_regs(tid, &saved) ||
	    ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(mask), &mask) != 0 ||
	    ptrace(PTRACE_SETOPTIONS, tid, NULL, options) != 0)
		return errno;
	regs = saved;
	prepare(&regs, site->addr, call);
	saved.rip = site->back;
	/* A signal that comes now shall find the thread as it was. */
	if (ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(all), &all) != 0)
		return errno;
	int errnum = ESRCH;
	if (set_regs(tid, &regs))
		errnum = step_through(h, tid, call, &stands);
	if (!errnum && get_regs(tid, &regs))
		call->ret = (long)regs.rax;
	if (errnum != ESRCH && come_back(h, tid, stands) != 0)
		errnum = ESRCH;
	if (!set_regs(tid, &saved))
		errnum = ESRCH;
	ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof(mask), &mask);
	ptrace(PTRACE_SETOPTIONS, tid, NULL, NULL);
	return errnum;
}

#else

bool mw_inject_is_known(void)
{
	return false;
}

pid_t mw_inject_choose(struct mw_holder *h, struct mw_site *site,
		       enum mw_holder_what *what)
{
	(void)h, (void)site;
	*what = MW_WHAT_UNSAFE;
	return 0;
}

int mw_inject_run(struct mw_holder *h, pid_t tid, const struct mw_site *site,
		  struct mw_call *call)
{
	(void)h, (void)tid, (void)site, (void)call;
	return ENOSYS;
}

#endif
