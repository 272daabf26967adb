// SPDX-License-Identifier: MIT
/* The stop: it holds, it ends whatever happens, and it leaves no trace. */
#include "target.h"

#include "base/buf.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

static void *count_for_ever(void *arg)
{
	struct shared *shared = arg;
	for (;;) {
		shared->count++;
		if (shared->count % 4096 == 0)
			sched_yield();
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static struct shared *handler_shared;

static void on_usr1(int sig)
{
	(void)sig;
	handler_shared->signals++;
}

static void body_count(struct shared *shared)
{
	handler_shared = shared;
	signal(SIGUSR1, on_usr1);
	shared->ready = 1;
	count_for_ever(shared);
}

static void *end_at_once(void *arg)
{
	return arg;
}

static void *spawn_for_ever(void *arg)
{
	for (;;) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
			pthread_join(thread, NULL);
		((struct shared *)arg)->count++;
	}
	return NULL;
}

/* Threads that count, sleep, and come and go all the time. */
static void body_threads(struct shared *shared)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, count_for_ever, shared) != 0)
			_exit(1);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, spawn_for_ever, shared) != 0)
			_exit(1);
	shared->ready = 1;
}

/* The first thread has ended; it stays as a zombie for as long as the others live. */
static void body_leaderless(struct shared *shared)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, count_for_ever, shared) != 0)
		_exit(1);
	shared->ready = 1;
	pthread_exit(NULL);
}

static bool stands(const struct target *target)
{
	uint64_t before = target->shared->count;
	sleep_ms(50);
	return target->shared->count == before;
}

/* Stops, or skips the test where this user may not (yama, seccomp). */
static void stop_or_skip(struct mw_source *src, pid_t pid, unsigned max_ms)
{
	struct mw_err *err = mw_source_stop(src, pid, max_ms);
	if (err && err->code == MW_ERR_DENIED) {
		mw_err_free(err);
		skip_with(src, "CAP_SYS_PTRACE");
	}
	expect_ok(err);
}

static void test_holds(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns = 0;
	bool cut = true;

	assert_int_equal(code_of(mw_source_resume(src, &held_ns, &cut)), MW_ERR_USAGE);
	stop_or_skip(src, target.pid, 10000);
	assert_true(stands(&target));
	assert_int_equal(code_of(mw_source_stop(src, target.pid, 100)), MW_ERR_USAGE);
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_false(cut);
	assert_true(held_ns >= 50000000 && held_ns < 10000000000);
	assert_true(moves(&target));
	/* Again, and ended by closing the source. */
	expect_ok(mw_source_stop(src, target.pid, 10000));
	assert_true(stands(&target));
	mw_source_close(src);
	src = NULL;
	assert_true(moves(&target));
}

static void test_threads(void **state)
{
	(void)state;
	auto_target target = target_start(body_threads);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut;

	for (int i = 0; i < 5; i++) {
		stop_or_skip(src, target.pid, 10000);
		assert_true(stands(&target));
		expect_ok(mw_source_resume(src, &held_ns, &cut));
		assert_false(cut);
		assert_true(moves(&target));
	}
}

static void test_time_out(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns = 0;
	bool cut = false;

	stop_or_skip(src, target.pid, 100);
	assert_true(moves(&target));
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(cut);
	assert_true(held_ns >= 99000000);
}

static void test_refused(void **state)
{
	(void)state;
	mw_auto_source src = open_live();

	assert_int_equal(code_of(mw_source_stop(src, getpid(), 100)), MW_ERR_USAGE);
	assert_int_equal(code_of(mw_source_stop(src, getppid(), 0)), MW_ERR_USAGE);
}

/* Takes the role of a memwhy that is killed while it holds a stop. */
static _Noreturn void stop_and_hang(pid_t target, struct shared *told)
{
	struct mw_source *src;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	told->signals = code_of(mw_source_open_live(&src));
	if (!told->signals)
		told->signals = code_of(mw_source_stop(src, target, 60000));
	told->ready = 1;
	for (;;)
		pause();
}

static void test_memwhy_killed(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	struct shared *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	pid_t memwhy = fork();
	if (memwhy == 0)
		stop_and_hang(target.pid, told);
	for (int i = 0; i < 5000 && !told->ready; i++)
		sleep_ms(1);
	int code = told->signals;
	bool stood = !code && stands(&target);
	kill(memwhy, SIGKILL);
	waitpid(memwhy, NULL, 0);
	munmap(told, sizeof(*told));
	if (code == MW_ERR_DENIED)
		skip_with(NULL, "CAP_SYS_PTRACE");
	assert_int_equal(code, 0);
	assert_true(stood);
	assert_true(moves(&target));
}

/* The tracer of a process, as the kernel names it. */
static pid_t tracer_of(struct mw_source *src, pid_t pid)
{
	mw_auto_buf buf = { 0 };
	expect_ok(mw_source_read_text(src, pid, 0, MW_FILE_STATUS, &buf));
	const char *line = strstr(mw_buf_str(&buf), "TracerPid:");
	assert_non_null(line);
	return (pid_t)strtol(line + 10, NULL, 10);
}

static void test_holder_killed(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = false;

	stop_or_skip(src, target.pid, 60000);
	pid_t holder = tracer_of(src, target.pid);
	assert_true(holder > 1 && holder != getpid());
	/* The signals of a terminal do not reach it; this one does. */
	kill(holder, SIGINT);
	kill(holder, SIGTERM);
	assert_true(stands(&target));
	assert_int_not_equal(getsid(holder), getsid(0));
	kill(holder, SIGKILL);
	assert_true(moves(&target));
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(cut);
	/* Nothing is left to be waited for but the target. */
	assert_int_equal(waitpid(holder, NULL, WNOHANG), -1);
	assert_int_equal(tracer_of(src, target.pid), 0);
}

static bool becomes(struct mw_source *src, pid_t pid, char state)
{
	for (int i = 0; i < 3000; i++, sleep_ms(1))
		if (state_of(src, pid) == state)
			return true;
	return false;
}

/* Stopped by job control before: so it is afterwards. */
static void test_was_stopped(void **state)
{
	(void)state;
	auto_target target = target_start(body_threads);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut;

	kill(target.pid, SIGSTOP);
	assert_true(becomes(src, target.pid, 'T'));
	stop_or_skip(src, target.pid, 10000);
	assert_int_equal(state_of(src, target.pid), 't');
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(becomes(src, target.pid, 'T'));
	assert_true(stands(&target));
	kill(target.pid, SIGCONT);
	assert_true(moves(&target));
}

static void test_leaderless(void **state)
{
	(void)state;
	auto_target target = target_start(body_leaderless);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = true;

	assert_true(becomes(src, target.pid, 'Z'));
	stop_or_skip(src, target.pid, 10000);
	assert_true(stands(&target));
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_false(cut);
	assert_true(moves(&target));
}

static void test_other_tracer(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	char want[32];

	if (ptrace(PTRACE_SEIZE, target.pid, NULL, NULL) != 0)
		skip_with(src, "CAP_SYS_PTRACE");
	struct mw_err *err = mw_source_stop(src, target.pid, 1000);
	assert_non_null(err);
	snprintf(want, sizeof(want), "traced, by process %d", (int)getpid());
	assert_non_null(strstr(err->msg, want));
	assert_int_equal(code_of(err), MW_ERR_DENIED);
	assert_true(moves(&target));
}

/* A signal that comes meanwhile is delivered once, afterwards. */
static void test_signals(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut;

	stop_or_skip(src, target.pid, 10000);
	kill(target.pid, SIGUSR1);
	assert_true(stands(&target));
	assert_int_equal(target.shared->signals, 0);
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(moves(&target));
	assert_int_equal(target.shared->signals, 1);
	/* A stop does not protect from death. */
	expect_ok(mw_source_stop(src, target.pid, 10000));
	kill(target.pid, SIGKILL);
	assert_int_equal(waitpid(target.pid, NULL, 0), target.pid);
	target.pid = 0;
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_false(cut);
}

/* A caller's own handlers and ignored SIGCHLD must not disturb the holder. */
static void test_callers_signals(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = true;

	signal(SIGINT, on_signal);
	signal(SIGCHLD, SIG_IGN);
	struct mw_err *err = mw_source_stop(src, target.pid, 10000);
	bool denied = err && err->code == MW_ERR_DENIED, stood = stands(&target);
	if (!err)
		err = mw_source_resume(src, &held_ns, &cut);
	signal(SIGINT, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	if (denied) {
		mw_err_free(err);
		skip_with(src, "CAP_SYS_PTRACE");
	}
	expect_ok(err);
	assert_true(stood);
	assert_false(cut);
	assert_true(moves(&target));
}

/* A thread that cannot stop: the parent of a vfork waits in the kernel. */
static void body_vfork(struct shared *shared)
{
	if (vfork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		shared->tid = (pid_t)syscall(SYS_getpid);
		shared->ready = 1;
		for (;;)
			syscall(SYS_pause);
	}
}

static void test_cannot_stop(void **state)
{
	(void)state;
	auto_target target = target_start(body_vfork);
	mw_auto_source src = open_live();
	uint64_t since = clock_ms();

	struct mw_err *err = mw_source_stop(src, target.pid, 300);
	assert_non_null(err);
	bool denied = err->code == MW_ERR_DENIED;
	int errnum = err->errnum;
	assert_int_equal(code_of(err), denied ? MW_ERR_DENIED : MW_ERR_IO);
	assert_int_equal(errnum, denied ? errnum : ETIMEDOUT);
	assert_true(clock_ms() - since < 5000);
	assert_int_equal(tracer_of(src, target.pid), 0);
	kill(target.shared->tid, SIGKILL);
}

/* Values that are nowhere but in registers: built there, of halves. */
enum { IN_GENERAL, IN_SSE, IN_AVX, N_PLACES };
static const uint64_t in_registers[N_PLACES] = {
	[IN_GENERAL] = 0x1357246813572468,
	[IN_SSE] = 0x2468135724681357,
	[IN_AVX] = 0x1122334455667788,
};

static bool has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

/* Keeps them there and waits in a system call, which leaves them alone. */
static void *keep_in_registers(void *arg)
{
	struct shared *shared = arg;

	shared->tid = (pid_t)syscall(SYS_gettid);
	shared->count = has_avx();
	if (has_avx())
		__asm__ volatile("mov $0x55667788, %%eax\n\t"
				 "mov $0x11223344, %%edx\n\t"
				 "shl $32, %%rdx\n\t"
				 "or %%rdx, %%rax\n\t"
				 "vmovq %%rax, %%xmm9\n\t"
				 "vinsertf128 $1, %%xmm9, %%ymm9, %%ymm9\n\t"
				 "vmovaps %%ymm9, %%ymm10\n\t"
				 :
				 :
				 : "rax", "rdx", "xmm9", "xmm10");
	__asm__ volatile("mov $0x24681357, %%eax\n\t"
			 "mov %%rax, %%rdx\n\t"
			 "shl $32, %%rdx\n\t"
			 "or %%rdx, %%rax\n\t"
			 "movq %%rax, %%xmm7\n\t"
			 "mov $0x13572468, %%eax\n\t"
			 "mov %%rax, %%rdx\n\t"
			 "shl $32, %%rdx\n\t"
			 "or %%rdx, %%rax\n\t"
			 "mov %%rax, %%r13\n\t"
			 "movl $1, (%0)\n\t"
			 "1: mov $34, %%eax\n\t" /* pause */
			 "syscall\n\t"
			 "jmp 1b"
			 :
			 : "r"(&shared->ready)
			 : "rax", "rcx", "rdx", "r11", "r13", "xmm7", "memory");
	return NULL;
}

static void body_registers(struct shared *shared)
{
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (pthread_create(&thread, NULL, keep_in_registers, shared) != 0)
		_exit(1);
}

static bool holds(const struct mw_registers *regs, uint64_t value)
{
	for (size_t i = 0; i < regs->n; i++)
		if (regs->words[i] == value)
			return true;
	return false;
}

static void check_registers(const struct mw_registers_list *list, struct shared *shared)
{
	assert_int_equal(list->n, 2);
	for (size_t i = 0; i < list->n; i++) {
		const struct mw_registers *regs = &list->items[i];
		bool keeper = regs->tid == shared->tid;
		assert_true(regs->pc && regs->sp && regs->tp && regs->sp != regs->tp);
		assert_true(holds(regs, regs->sp) && holds(regs, regs->tp));
		assert_int_equal(holds(regs, in_registers[IN_GENERAL]), keeper);
		assert_int_equal(holds(regs, in_registers[IN_SSE]), keeper);
		assert_int_equal(holds(regs, in_registers[IN_AVX]),
				 keeper && shared->count);
	}
}

static void test_registers(void **state)
{
	(void)state;
	auto_target target = target_start(body_registers);
	mw_auto_source src = open_live();
	struct mw_registers_list list = { 0 };
	uint64_t held_ns;
	bool cut;

	assert_int_equal(code_of(mw_source_list_registers(src, target.pid, &list)),
			 MW_ERR_UNSUPPORTED);
	stop_or_skip(src, target.pid, 10000);
	expect_ok(mw_source_list_registers(src, target.pid, &list));
	check_registers(&list, target.shared);
	list.n = 0;
	/* Nobody else's, and still known when the process runs on. */
	assert_int_equal(code_of(mw_source_list_registers(src, getpid(), &list)),
			 MW_ERR_UNSUPPORTED);
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	expect_ok(mw_source_list_registers(src, target.pid, &list));
	check_registers(&list, target.shared);
	free(list.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_time_out),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_memwhy_killed),
		cmocka_unit_test(test_holder_killed),
		cmocka_unit_test(test_was_stopped),
		cmocka_unit_test(test_leaderless),
		cmocka_unit_test(test_other_tracer),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_callers_signals),
		cmocka_unit_test(test_cannot_stop),
		cmocka_unit_test(test_registers),
	};

	return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
