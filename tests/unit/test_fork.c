// SPDX-License-Identifier: MIT
/* The copy by an injected fork: it is one moment, and the target does not notice. */
#include "target.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define HAVE_RSEQ 1
#endif

enum { MAX_MS = 5000 };

/* Copies, or skips the test where this user may not trace. */
static pid_t copy_or_skip(struct mw_source *src, pid_t pid)
{
	pid_t child = 0;
	struct mw_err *err = mw_source_fork(src, pid, MAX_MS, &child);

	if (err && err->code == MW_ERR_DENIED) {
		mw_err_free(err);
		skip_with(src, "CAP_SYS_PTRACE");
	}
	expect_ok(err);
	assert_true(child > 0 && child != pid);
	return child;
}

static void end_copy(struct mw_source *src)
{
	uint64_t held_ns = 0;
	bool cut = true;

	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_false(cut);
	assert_true(held_ns > 0 && held_ns < MAX_MS * 1000000ull);
}

/* Text of a line of status, as a number. */
static long status_of(struct mw_source *src, pid_t pid, const char *key)
{
	mw_auto_buf buf = { 0 };
	expect_ok(mw_source_read_text(src, pid, 0, MW_FILE_STATUS, &buf));
	const char *line = strstr(mw_buf_str(&buf), key);
	assert_non_null(line);
	return strtol(line + strlen(key), NULL, 10);
}

/* How many children the thread has, dead ones too. */
static int children_of(pid_t pid, const char *tid)
{
	char path[64], text[4096];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", pid, tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t len = read(fd, text, sizeof(text));
	close(fd);
	for (ssize_t i = 0; i < len; i++)
		n += text[i] == ' ';
	return n;
}

static int count_children(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			n += children_of(pid, entry->d_name);
	closedir(dir);
	return n;
}

/*
 * Asked once a moment: whose memwhy was killed may make its copy a little later, and reap
 * it then.
 */
static bool becomes_childless(pid_t pid)
{
	for (int i = 0; i < 60000; i++) {
		if (!count_children(pid))
			return true;
		sleep_ms(1);
	}
	return false;
}

static void check_untouched(struct mw_source *src, const struct target *target)
{
	assert_true(becomes_childless(target->pid));
	for (int i = 0; i < 3000 && status_of(src, target->pid, "TracerPid:"); i++)
		sleep_ms(1);
	assert_int_equal(status_of(src, target->pid, "TracerPid:"), 0);
	assert_true(moves(target));
}

/* Counts twice, in memory of its own; the two are alike at no moment in between. */
static void *count_private(void *arg)
{
	struct shared *shared = arg;
	volatile uint64_t *page = (void *)(uintptr_t)shared->addr;

	for (;;) {
		page[0]++;
		page[1]++;
		shared->count++;
	}
	return NULL;
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void body_count(struct shared *shared)
{
	pthread_t thread;
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (page == MAP_FAILED ||
	    pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0)
		_exit(1);
	shared->addr = (uintptr_t)page;
	shared->ready = 1;
	count_private(shared);
}

static uint64_t word_at(struct mw_source *src, pid_t pid, uint64_t addr)
{
	uint64_t word = 0;
	size_t got = 0;

	expect_ok(mw_source_read_memory(src, pid, addr, &word, sizeof(word),
					MW_READ_CONTENTS, &got));
	assert_int_equal(got, sizeof(word));
	return word;
}

static void test_copy(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	struct mw_registers_list list = { 0 };

	for (int i = 0; i < 10; i++) {
		pid_t child = copy_or_skip(src, target.pid);
		uint64_t was = word_at(src, child, target.shared->addr);
		assert_true(word_at(src, child, target.shared->addr + 8) - was + 1 <= 1);
		assert_true(moves(&target));
		assert_int_equal(word_at(src, child, target.shared->addr), was);
		assert_true(word_at(src, target.pid, target.shared->addr) > was);
		assert_int_equal(state_of(src, child), 't');
		assert_int_equal(status_of(src, target.pid, "TracerPid:"), 0);
		/* The registers are those of the process, under both names. */
		list.n = 0;
		expect_ok(mw_source_list_registers(src, child, &list));
		assert_int_equal(list.n, 2);
		expect_ok(mw_source_list_registers(src, target.pid, &list));
		assert_int_equal(list.n, 4);
		pid_t second;
		assert_int_equal(code_of(mw_source_fork(src, target.pid, 10, &second)),
				 MW_ERR_USAGE);
		end_copy(src);
		assert_int_equal(kill(child, 0), -1);
		check_untouched(src, &target);
	}
	free(list.items);
}

/* Calls that wait, each for a while or for something that comes then. */
enum call {
	CALL_NANOSLEEP,
	CALL_POLL,
	CALL_PPOLL,
	CALL_SELECT,
	CALL_FUTEX,
	CALL_READ,
	CALL_WAIT,
	CALL_SIGSUSPEND,
	N_CALLS,
};

enum { WAIT_MS = 400 };

static enum call which; /* set before the target is forked */

static void on_signal(int sig)
{
	(void)sig;
}

static long wait_in_futex(void)
{
	static int word;
	struct timespec ts = { 0, WAIT_MS * 1000000 };
	return syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &ts, NULL, 0) < 0 ? errno
										  : 0;
}

static long wait_for_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		sleep_ms(WAIT_MS);
		_exit(7);
	}
	int status = 0;
	return wait(&status) == child && WEXITSTATUS(status) == 7 && wait(NULL) < 0 &&
	       errno == ECHILD;
}

/* A signal that only the mask of the call lets through ends it. */
static long wait_for_signal(void)
{
	struct itimerval timer = { .it_value = { 0, WAIT_MS * 1000 } };
	sigset_t alarm, none;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	signal(SIGALRM, on_signal);
	setitimer(ITIMER_REAL, &timer, NULL);
	sigemptyset(&none);
	long ret = sigsuspend(&none) < 0 ? errno : 0;
	sigprocmask(SIG_BLOCK, NULL, &none);
	return ret == EINTR && sigismember(&none, SIGALRM) == 1;
}

static long read_late(void)
{
	int fds[2];
	char byte = 0;

	if (pipe(fds) != 0)
		return -1;
	if (fork() == 0) {
		sleep_ms(WAIT_MS);
		_exit(write(fds[1], "x", 1) != 1);
	}
	long n = read(fds[0], &byte, 1);
	wait(NULL);
	return n == 1 && byte == 'x';
}

static long run_call(void)
{
	struct timespec ts = { 0, WAIT_MS * 1000000 };
	struct timeval tv = { 0, WAIT_MS * 1000 };
	sigset_t all;

	sigfillset(&all);
	switch (which) {
	case CALL_NANOSLEEP:
		return nanosleep(&ts, NULL);
	case CALL_POLL:
		return poll(NULL, 0, WAIT_MS);
	case CALL_PPOLL:
		return ppoll(NULL, 0, &ts, &all);
	case CALL_SELECT:
		return select(0, NULL, NULL, NULL, &tv);
	case CALL_FUTEX:
		return wait_in_futex();
	case CALL_READ:
		return read_late();
	case CALL_WAIT:
		return wait_for_child();
	default:
		return wait_for_signal();
	}
}

static const long wanted[N_CALLS] = {
	[CALL_FUTEX] = ETIMEDOUT, [CALL_READ] = 1, [CALL_WAIT] = 1, [CALL_SIGSUSPEND] = 1
};

static void body_call(struct shared *shared)
{
	signal(SIGCHLD, SIG_DFL);
	shared->ready = 1;
	uint64_t begin = clock_ms();
	long ret = run_call();
	shared->addr = clock_ms() - begin;
	shared->fd = (int)ret;
	shared->go = 1;
}

/* Copied again and again while it waits, a call ends as it would have, and when. */
static void test_calls(void **state)
{
	(void)state;
	for (which = 0; which < N_CALLS; which++) {
		auto_target target = target_start(body_call);
		mw_auto_source src = open_live();
		int n = 0;
		for (; !target.shared->go && n < 1000; n++) {
			copy_or_skip(src, target.pid);
			end_copy(src);
			sleep_ms(5);
		}
		if (target.shared->fd != wanted[which] ||
		    target.shared->addr + 2 < WAIT_MS ||
		    target.shared->addr > WAIT_MS + 3000)
			fail_msg("call %d gave %d after %d ms", (int)which,
				 target.shared->fd, (int)target.shared->addr);
		assert_true(n > 3);
		assert_true(becomes_childless(target.pid));
	}
}

/* A long calculation that keeps everything in registers, vectors too. */
static uint64_t calculate(uint64_t seed)
{
	uint64_t a = seed, b = ~seed, c = seed * 3, d = seed ^ 0x5555, e = 1, f = 2;
	double x = 1.0, y = (double)(seed % 1000), z = 0.5;

	for (int i = 0; i < 20000; i++) {
		a = a * 6364136223846793005u + b;
		b = (b << 13) ^ (a >> 7) ^ c;
		c += d * e;
		d = (d >> 3) + f;
		e ^= a;
		f += b & 0xff;
		x = x * 1.0000001 + z;
		y = y * 0.999999 + x;
		z = z * 0.5 + y * 1e-9;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ (uint64_t)(x * 1e6) ^ (uint64_t)(y * 1e6);
}

static void *calculate_for_ever(void *arg)
{
	struct shared *shared = arg;
	uint64_t want = calculate(42);

	for (;;) {
		if (calculate(42) != want)
			shared->signals++;
		shared->count++;
	}
	return NULL;
}

static void body_calculate(struct shared *shared)
{
	shared->ready = 1;
	calculate_for_ever(shared);
}

/* One thread, always in user space: nothing of its state is lost by the call. */
static void test_registers_kept(void **state)
{
	(void)state;
	auto_target target = target_start(body_calculate);
	mw_auto_source src = open_live();

	for (int i = 0; i < 100; i++) {
		copy_or_skip(src, target.pid);
		end_copy(src);
	}
	uint64_t before = target.shared->count;
	while (target.shared->count < before + 2)
		sleep_ms(1);
	assert_int_equal(target.shared->signals, 0);
	check_untouched(src, &target);
}

static void on_counted(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	struct shared *shared = info->si_value.sival_ptr;
	shared->signals++;
}

static void on_child(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	_exit(1);
}

/* Counts queued signals, and dies of a SIGCHLD. */
static void body_signals(struct shared *shared)
{
	struct sigaction counted = { .sa_sigaction = on_counted, .sa_flags = SA_SIGINFO };
	struct sigaction chld = { .sa_sigaction = on_child, .sa_flags = SA_SIGINFO };

	sigaction(SIGRTMIN, &counted, NULL);
	sigaction(SIGCHLD, &chld, NULL);
	shared->ready = 1;
	for (;;) {
		shared->count++;
		if (shared->count % 64 == 0)
			syscall(SYS_getppid);
	}
}

/* Signals that come at any moment arrive, each once and as it was sent. */
static void test_signals(void **state)
{
	(void)state;
	auto_target target = target_start(body_signals);
	mw_auto_source src = open_live();
	enum { N_SIGNALS = 300 };
	const union sigval value = { .sival_ptr = target.shared };

	for (int i = 0; i < N_SIGNALS; i++) {
		assert_int_equal(sigqueue(target.pid, SIGRTMIN, value), 0);
		if (i % 10)
			continue;
		copy_or_skip(src, target.pid);
		assert_int_equal(sigqueue(target.pid, SIGRTMIN, value), 0);
		end_copy(src);
		target.shared->fd++;
	}
	for (int i = 0; i < 3000 && target.shared->signals < N_SIGNALS + 30; i++)
		sleep_ms(1);
	assert_int_equal(target.shared->signals, N_SIGNALS + target.shared->fd);
	check_untouched(src, &target);
}

/* Stopped by job control: copied all the same, and stopped afterwards. */
static void test_stopped(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	int status;

	kill(target.pid, SIGSTOP);
	assert_int_equal(waitpid(target.pid, &status, WUNTRACED), target.pid);
	uint64_t count = target.shared->count;
	for (int i = 0; i < 5; i++) {
		copy_or_skip(src, target.pid);
		end_copy(src);
		for (int k = 0; k < 1000 && state_of(src, target.pid) != 'T'; k++)
			sleep_ms(1);
		assert_int_equal(state_of(src, target.pid), 'T');
	}
	assert_int_equal(target.shared->count, count);
	/* Its parent is told nothing. */
	assert_int_equal(waitpid(target.pid, &status, WUNTRACED | WCONTINUED | WNOHANG),
			 0);
	kill(target.pid, SIGCONT);
	check_untouched(src, &target);
}

/* Takes the role of a memwhy that is killed at any moment of making and ending copies. */
static _Noreturn void copy_for_ever(pid_t pid, struct shared *told)
{
	struct mw_source *src;
	uint64_t held_ns;
	pid_t child;
	bool cut;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (code_of(mw_source_open_live(&src)))
		_exit(1);
	for (;;) {
		told->fd = code_of(mw_source_fork(src, pid, MAX_MS, &child));
		told->ready = 1;
		if (!told->fd)
			told->go |= code_of(mw_source_resume(src, &held_ns, &cut));
	}
}

static void test_memwhy_killed(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	struct shared *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	end_copy((copy_or_skip(src, target.pid), src));
	for (int i = 0; i < 100; i++) {
		told->ready = 0;
		pid_t memwhy = fork();
		if (memwhy == 0)
			copy_for_ever(target.pid, told);
		for (int k = 0; k < 5000 && !told->ready; k++)
			sleep_ms(1);
		/* At another moment each time. */
		nanosleep(&(struct timespec){ .tv_nsec = i * 100000 }, NULL);
		kill(memwhy, SIGKILL);
		waitpid(memwhy, NULL, 0);
		assert_true(becomes_childless(target.pid));
		assert_true(moves(&target));
	}
	int go = told->go, fd = told->fd;
	munmap(told, sizeof(*told));
	assert_int_equal(fd, 0);
	assert_int_equal(go, 0);
	check_untouched(src, &target);
}

/* The helper killed with SIGKILL: the copy dies with it, and that is all we promise. */
static void test_holder_killed(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = false;

	pid_t child = copy_or_skip(src, target.pid);
	pid_t holder = (pid_t)status_of(src, child, "TracerPid:");
	assert_true(holder > 1 && holder != getpid());
	assert_int_not_equal(getsid(holder), getsid(0));
	kill(holder, SIGKILL);
	for (int i = 0; i < 3000 && state_of(src, child) != 'Z'; i++)
		sleep_ms(1);
	assert_int_equal(state_of(src, child), 'Z');
	struct mw_err *err = mw_source_resume(src, &held_ns, &cut);
	assert_non_null(err);
	assert_non_null(strstr(err->msg, "zombie"));
	assert_int_equal(code_of(err), MW_ERR_IO);
	assert_true(cut);
	assert_true(moves(&target));
}

/* Somebody kills the copy: it is reaped at once. */
static void test_copy_killed(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = false;

	kill(copy_or_skip(src, target.pid), SIGKILL);
	assert_true(becomes_childless(target.pid));
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(cut);
	check_untouched(src, &target);
}

/* The process ends: its copy must not keep its files open, nor its place. */
static void test_target_ends(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	uint64_t held_ns;
	bool cut = false;

	pid_t child = copy_or_skip(src, target.pid);
	target_kill(&target);
	for (int i = 0; i < 3000 && kill(child, 0) == 0; i++)
		sleep_ms(1);
	assert_int_equal(kill(child, 0), -1);
	expect_ok(mw_source_resume(src, &held_ns, &cut));
	assert_true(cut);
}

static void body_exec(struct shared *shared)
{
	shared->ready = 1;
	while (!shared->go)
		sleep_ms(1);
	execl("/bin/sleep", "sleep", "60", (char *)NULL);
	_exit(1);
}

static void test_target_execs(void **state)
{
	(void)state;
	auto_target target = target_start(body_exec);
	mw_auto_source src = open_live();

	copy_or_skip(src, target.pid);
	target.shared->go = 1;
	for (int i = 0; i < 3000; i++, sleep_ms(1)) {
		mw_auto_buf comm = { 0 };
		expect_ok(mw_source_read_text(src, target.pid, 0, MW_FILE_COMM, &comm));
		if (!strcmp(mw_buf_str(&comm), "sleep\n"))
			break;
	}
	end_copy(src);
	assert_true(becomes_childless(target.pid));
	/* It runs on, to its sleep. */
	for (int i = 0; i < 3000 && state_of(src, target.pid) != 'S'; i++)
		sleep_ms(1);
	assert_int_equal(state_of(src, target.pid), 'S');
}

/* Whatever the target closes is closed: a pipe's reader sees the end of it. */
static void body_close(struct shared *shared)
{
	int fds[2];

	if (pipe(fds) != 0)
		_exit(1);
	shared->fd = fds[1];
	shared->ready = 1;
	while (!shared->go)
		sleep_ms(1);
	close(fds[1]);
	char byte;
	shared->count = read(fds[0], &byte, 1) == 0;
}

static void test_files_not_kept(void **state)
{
	(void)state;
	auto_target target = target_start(body_close);
	mw_auto_source src = open_live();

	copy_or_skip(src, target.pid);
	target.shared->go = 1;
	for (int i = 0; i < 3000 && !target.shared->count; i++)
		sleep_ms(1);
	assert_int_equal(target.shared->count, 1);
	end_copy(src);
}

/* Strict enough to kill whoever calls clone() or wait4(). */
static void body_seccomp(struct shared *shared)
{
	shared->ready = 1;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, 1 /* strict */, 0, 0, 0);
	for (;;)
		shared->count++;
}

static void check_refused(const struct target *target, int code, const char *part)
{
	mw_auto_source src = open_live();
	pid_t child = 0;

	struct mw_err *err = mw_source_fork(src, target->pid, MAX_MS, &child);
	assert_non_null(err);
	if (!strstr(err->msg, part))
		fail_msg("%s; wanted: %s", err->msg, part);
	assert_int_equal(code_of(err), code);
	assert_int_equal(child, 0);
	check_untouched(src, target);
}

static void test_seccomp(void **state)
{
	(void)state;
	auto_target target = target_start(body_seccomp);
	mw_auto_source src = open_live();
	for (int i = 0; i < 1000 && status_of(src, target.pid, "Seccomp:") != 1; i++)
		sleep_ms(1);
	pid_t child;
	struct mw_err *err = mw_source_fork(src, target.pid, MAX_MS, &child);
	bool may_not = err && strstr(err->msg, "ptrace_scope");
	mw_err_free(err);
	if (may_not)
		skip_with(NULL, "CAP_SYS_PTRACE");
	check_refused(&target, MW_ERR_DENIED, "seccomp");
}

static void body_no_process(struct shared *shared)
{
	struct rlimit one = { 1, 1 };

	/* Root has no such limit. */
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
		_exit(1);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (setrlimit(RLIMIT_NPROC, &one) != 0)
		_exit(1);
	body_calculate(shared);
}

static void test_no_process(void **state)
{
	(void)state;
	auto_target target = target_start(body_no_process);
	check_refused(&target, MW_ERR_IO, "limit of processes");
}

static void test_other_tracer(void **state)
{
	(void)state;
	auto_target target = target_start(body_count);
	mw_auto_source src = open_live();
	pid_t child = 0;
	uint64_t held_ns;
	bool cut;

	if (ptrace(PTRACE_SEIZE, target.pid, NULL, NULL) != 0)
		skip_with(NULL, "CAP_SYS_PTRACE");
	struct mw_err *err = mw_source_fork(src, target.pid, MAX_MS, &child);
	assert_non_null(err);
	assert_non_null(strstr(err->msg, "already traced"));
	assert_int_equal(code_of(err), MW_ERR_DENIED);
	ptrace(PTRACE_INTERRUPT, target.pid, NULL, NULL);
	waitpid(target.pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, target.pid, NULL, NULL);
	/* One who comes while the copy is there keeps us from reaping it: we say so. */
	copy_or_skip(src, target.pid);
	/* Both threads: any would do for us. */
	struct mw_ids ids = { 0 };
	expect_ok(mw_source_list(src, target.pid, &ids));
	for (size_t i = 0; i < ids.n; i++)
		assert_int_equal(ptrace(PTRACE_SEIZE, ids.items[i], NULL, NULL), 0);
	err = mw_source_resume(src, &held_ns, &cut);
	assert_non_null(err);
	assert_non_null(strstr(err->msg, "traces"));
	mw_err_free(err);
	assert_true(moves(&target));
	for (size_t i = 0; i < ids.n; i++) {
		ptrace(PTRACE_INTERRUPT, ids.items[i], NULL, NULL);
		waitpid(ids.items[i], NULL, __WALL);
		ptrace(PTRACE_DETACH, ids.items[i], NULL, NULL);
	}
	free(ids.items);
	/* What is left is done when they are gone. */
	check_untouched(src, &target);
}

#ifdef HAVE_RSEQ
/* Nearly always inside a restartable sequence, which counts for ever. */
static void body_rseq(struct shared *shared)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	shared->go = __rseq_size != 0;
	shared->ready = 1;
	if (!shared->go)
		return;
	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
			 ".balign 32\n"
			 "3: .long 0, 0\n\t"
			 ".quad 1f, 2f - 1f, 4f\n\t"
			 ".popsection\n"
			 "5: leaq 3b(%%rip), %%rax\n\t"
			 "movq %%rax, 8(%0)\n"
			 "1: lock incq (%1)\n\t"
			 "jmp 1b\n"
			 "2: jmp 5b\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t"
			 ".long 0x53053053\n"
			 "4: lock incl (%2)\n\t"
			 "jmp 5b"
			 :
			 : "r"(area), "r"(&shared->count), "r"(&shared->signals)
			 : "rax", "memory");
}

/* A stop makes it begin again, if the kernel still knows of the sequence. */
static bool still_restarts(struct mw_source *src, const struct target *target)
{
	int before = target->shared->signals;
	uint64_t held_ns;
	bool cut;

	for (int i = 0; i < 100 && target->shared->signals == before; i++) {
		expect_ok(mw_source_stop(src, target->pid, MAX_MS));
		expect_ok(mw_source_resume(src, &held_ns, &cut));
		sleep_ms(1);
	}
	return target->shared->signals != before;
}

/*
 * Inside of it our call would make the kernel forget where to go on: we do what it would
 * have done.
 */
static void test_rseq(void **state)
{
	(void)state;
	auto_target target = target_start(body_rseq);
	mw_auto_source src = open_live();

	if (!target.shared->go)
		skip_with(src, "rseq in the C library");
	for (int i = 0; i < 20; i++) {
		int before = target.shared->signals;
		copy_or_skip(src, target.pid);
		end_copy(src);
		for (int k = 0; k < 3000 && target.shared->signals == before; k++)
			sleep_ms(1);
		assert_true(target.shared->signals > before);
		assert_true(still_restarts(src, &target));
	}
	check_untouched(src, &target);
}
#endif

/* A thread of its own is told of every fork, and must be let run for that. */
static void *answer_forks(void *arg)
{
	struct shared *shared = arg;
	struct uffd_msg msg;

	for (;;)
		if (read(shared->fd, &msg, sizeof(msg)) == sizeof(msg))
			shared->signals += msg.event == UFFD_EVENT_FORK;
	return NULL;
}

static void body_userfault(struct shared *shared)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	pthread_t thread;

	shared->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	reg.range.start = (uintptr_t)page;
	reg.range.len = PAGE;
	shared->go = shared->fd >= 0 && ioctl(shared->fd, UFFDIO_API, &api) == 0 &&
		     ioctl(shared->fd, UFFDIO_REGISTER, &reg) == 0 &&
		     pthread_create(&thread, NULL, answer_forks, shared) == 0;
	shared->ready = 1;
	for (;;) {
		shared->count++;
		sleep_ms(1);
	}
}

static void test_late(void **state)
{
	(void)state;
	auto_target target = target_start(body_userfault);
	mw_auto_source src = open_live();
	pid_t child = 0;

	if (!target.shared->go)
		skip_with(NULL, "userfaultfd with events of forks");
	struct mw_err *err = mw_source_fork(src, target.pid, 200, &child);
	assert_non_null(err);
	if (!strstr(err->msg, "took longer"))
		fail_msg("%s", err->msg);
	mw_err_free(err);
	assert_int_equal(target.shared->signals, 1);
	check_untouched(src, &target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_registers_kept),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_memwhy_killed),
		cmocka_unit_test(test_holder_killed),
		cmocka_unit_test(test_copy_killed),
		cmocka_unit_test(test_target_ends),
		cmocka_unit_test(test_target_execs),
		cmocka_unit_test(test_files_not_kept),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_no_process),
		cmocka_unit_test(test_other_tracer),
#ifdef HAVE_RSEQ
		cmocka_unit_test(test_rseq),
#endif
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
