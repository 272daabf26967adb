/* SPDX-License-Identifier: MIT */
/*
 * Does something dangerous in a child process and tells how that ended. The child's
 * handler runs on a stack of its own, because the ordinary one may be what broke; it
 * writes what the kernel told into memory that both share, and dies of the signal.
 */
#pragma once

#include "lab.h"
#include <fcntl.h>
#include <sys/syscall.h>
#include <ucontext.h>

struct crash {
	int signal; /* 0: it ended by itself */
	int code;   /* si_code; 0 when the signal came without the handler seeing it */
	int status; /* of its end; -1 when it was a signal */
	uintptr_t addr;    /* what the kernel names as the fault's address */
	uintptr_t pc;      /* the instruction */
	pid_t pid;         /* of the child */
	const char *tried; /* "read", "write", "execute"; "" when the CPU does not say */
	char said[200];    /* the first line of what it wrote to standard error */
};

/* In memory that parent and child share. */
static volatile struct crash *crash_seen;

/* What the instruction tried, as x86 reports it in the error code of a page fault. */
LAB_API const char *crash_tried(const ucontext_t *context)
{
#ifdef __x86_64__
	long error = context->uc_mcontext.gregs[REG_ERR];
	if (context->uc_mcontext.gregs[REG_TRAPNO] == 14)
		return error & 16 ? "execute" : error & 2 ? "write" : "read";
#endif
	(void)context;
	return "";
}

LAB_API uintptr_t crash_pc(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

LAB_API void crash_handler(int signal, siginfo_t *info, void *context)
{
	crash_seen->signal = signal;
	crash_seen->code = info->si_code;
	if (signal == SIGSEGV || signal == SIGBUS) {
		crash_seen->addr = (uintptr_t)info->si_addr;
		crash_seen->tried = crash_tried((const ucontext_t *)context);
	}
	crash_seen->pc = crash_pc((const ucontext_t *)context);
	/*
	 * Blocked until we return, and deadly then because of SA_RESETHAND. Not by
	 * raise(): what broke may be the memory of libc.
	 */
	syscall(SYS_tgkill, crash_seen->pid, crash_seen->pid, signal);
}

LAB_API void crash_prepare(void)
{
	static char stack[64 << 10];
	static const int signals[] = {
		SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP
	};
	stack_t alt;
	struct sigaction action;
	memset(&alt, 0, sizeof(alt));
	memset(&action, 0, sizeof(action));
	alt.ss_sp = stack;
	alt.ss_size = sizeof(stack);
	sigaltstack(&alt, NULL);
	action.sa_sigaction = crash_handler;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core file: the crash is wanted */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	crash_seen->pid = getpid();
	alarm(20); /* a broken heap may also hang */
}

/* The first line of what it wrote. */
LAB_API void crash_listen(int from, struct crash *ret)
{
	ssize_t len = read(from, ret->said, sizeof(ret->said) - 1);
	ret->said[len > 0 ? len : 0] = '\0';
	ret->said[strcspn(ret->said, "\t\n")] = '\0';
}

/* Runs fn(arg) in a child and waits for its end; what it returns is the exit status. */
LAB_API struct crash crash_run(int (*fn)(void *arg), void *arg)
{
	struct crash ret;
	int err[2], status = 0;
	void *shared = mmap(NULL, sizeof(ret), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || pipe2(err, O_CLOEXEC | O_NONBLOCK))
		_exit(1);
	crash_seen = (volatile struct crash *)shared;
	crash_seen->tried = "";
	pid_t pid = fork();
	if (pid == 0) {
		crash_prepare();
		dup2(err[1], STDERR_FILENO);
		_exit(fn(arg));
	}
	while (pid < 0 || waitpid(pid, &status, 0) < 0)
		if (pid < 0 || errno != EINTR)
			_exit(1);
	memcpy(&ret, shared, sizeof(ret));
	ret.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	ret.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	crash_listen(err[0], &ret);
	close(err[0]);
	close(err[1]);
	munmap(shared, sizeof(ret));
	return ret;
}

LAB_API const char *crash_signal(const struct crash *crash)
{
	switch (crash->signal) {
	case 0:
		return "none";
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGILL:
		return "SIGILL";
	case SIGFPE:
		return "SIGFPE";
	case SIGABRT:
		return "SIGABRT";
	case SIGTRAP:
		return "SIGTRAP";
	case SIGALRM:
		return "SIGALRM";
	case SIGKILL:
		return "SIGKILL";
	}
	return "other";
}

/* si_code as a word: its numbers mean something else with each signal. */
LAB_API const char *crash_code(const struct crash *crash)
{
	static const struct {
		int signal, code;
		const char *word;
	} words[] = {
		{ SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR" },
		{ SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR" },
		{ SIGSEGV, 4 /* SEGV_PKUERR */, "SEGV_PKUERR" },
		{ SIGBUS, BUS_ADRALN, "BUS_ADRALN" },
		{ SIGBUS, BUS_ADRERR, "BUS_ADRERR" },
		{ SIGBUS, BUS_OBJERR, "BUS_OBJERR" },
		{ SIGILL, ILL_ILLOPN, "ILL_ILLOPN" },
		{ SIGILL, ILL_ILLOPC, "ILL_ILLOPC" },
		{ SIGFPE, FPE_INTDIV, "FPE_INTDIV" },
	};
	if (!crash->signal)
		return "none";
	if (crash->code == SI_KERNEL)
		return "SI_KERNEL";
	if (crash->code <= 0)
		return crash->code == SI_TKILL ? "SI_TKILL" : "SI_USER";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].signal == crash->signal && words[i].code == crash->code)
			return words[i].word;
	return "other";
}

LAB_API void crash_say(const struct crash *crash)
{
	if (!crash->signal)
		lab_say("the child ended by itself, with status %d", crash->status);
	else if (crash->signal == SIGSEGV || crash->signal == SIGBUS)
		lab_say("the child died: %s (%s) at %#llx%s%s", crash_signal(crash),
			crash_code(crash), (unsigned long long)crash->addr,
			*crash->tried ? ", trying to " : "", crash->tried);
	else
		lab_say("the child died: %s%s%s", crash_signal(crash),
			*crash->said ? ": " : "", crash->said);
}

/*
 * Tells: a line for people; `signal` and `code` ("none" when it ended by itself),
 * `status`
 * (-1 after a signal), `fault` (the address), `said`; `tried` where the CPU tells it.
 */
LAB_API void crash_tell(const struct crash *crash)
{
	crash_say(crash);
	if (lab_to < 0)
		return;
	lab_text("signal", crash_signal(crash));
	lab_text("code", crash_code(crash));
	lab_value("status", crash->status);
	lab_addr("fault", crash->addr);
	lab_text("said", crash->said);
#ifdef __x86_64__
	lab_text("tried", crash->tried);
#endif
}

/* A step that is such a crash. */
LAB_API void crash_step(const char *name, const char *does, int (*fn)(void *), void *arg)
{
	lab_step(name, does);
	struct crash crash = crash_run(fn, arg);
	crash_tell(&crash);
}
