// SPDX-License-Identifier: MIT
/* A program and its keeper: what goes over the pipes, and that nothing is left. */
#include "kernel/program/program.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define TELL "out=${MEMWHY_LAB%,*} in=${MEMWHY_LAB#*,}; "

static struct mw_program *start(const char *script)
{
	char text[1024];
	char *args[] = { (char *)"sh", (char *)"-c", text, NULL };
	struct mw_program *program = NULL;

	assert_in_range(snprintf(text, sizeof(text), "%s%s", TELL, script), 1,
			sizeof(text) - 1);
	assert_null(mw_program_start("/bin/sh", args, &program));
	return program;
}

/* The next line must be a number. */
static pid_t take_pid(struct mw_program *program)
{
	const char *line;
	assert_null(mw_program_line(program, &line));
	assert_non_null(line);
	return (pid_t)strtol(line, NULL, 10);
}

static void assert_line(struct mw_program *program, const char *want)
{
	const char *line;
	assert_null(mw_program_line(program, &line));
	if (want)
		assert_string_equal(line, want);
	else
		assert_null(line);
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) != 0 && errno == ESRCH;
}

static void wait_gone(pid_t pid)
{
	for (int i = 0; i < 10000 && !is_gone(pid); i++)
		pause_ms(1);
	assert_true(is_gone(pid));
}

static void test_lines_and_go(void **state)
{
	(void)state;
	struct mw_program *program = start("echo first >&$out; read x <&$in; "
					   "echo second >&$out; printf part >&$out");
	int status;
	assert_line(program, "first");
	assert_null(mw_program_go(program));
	assert_line(program, "second");
	assert_line(program, NULL); /* what has no end was never said */
	assert_line(program, NULL);
	mw_program_end(program, &status);
	assert_int_equal(status, 0);
}

static void assert_format(const char *script)
{
	struct mw_program *program = start(script);
	const char *line;
	mw_auto_err err = mw_program_line(program, &line);
	assert_non_null(err);
	assert_int_equal(err->code, MW_ERR_FORMAT);
	mw_program_end(program, NULL);
}

static void test_hostile_lines(void **state)
{
	(void)state;
	assert_format("yes | tr -d '\\n' >&$out");
	assert_format("printf 'a\\0b\\n' >&$out");
}

/* What it was ended by: itself, somebody else, or us. */
static void test_status(void **state)
{
	(void)state;
	struct mw_program *program = start("exit 7");
	int status;
	assert_line(program, NULL);
	mw_program_end(program, &status);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);

	program = start("read x <&$in");
	kill(mw_program_pid(program), SIGKILL);
	assert_line(program, NULL);
	mw_auto_err err = mw_program_undo(program, MW_UNDO_REMOVE, "/nonexistent", "");
	mw_program_end(program, &status);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(!err || err->code == MW_ERR_GONE);

	program = start("read x <&$in");
	mw_program_end(program, &status);
	assert_int_equal(status, -1);
}

static void test_not_started(void **state)
{
	(void)state;
	char *args[] = { (char *)"x", NULL };
	struct mw_program *program = NULL;
	struct mw_err *err = mw_program_start("/nonexistent", args, &program);
	assert_int_equal(err->code, MW_ERR_NOTFOUND);
	assert_non_null(strstr(err->msg, "/nonexistent"));
	mw_err_free(err);
	err = mw_program_start("/", args, &program);
	assert_int_equal(err->code, MW_ERR_DENIED);
	mw_err_free(err);
	assert_null(program);
	mw_program_end(NULL, NULL);
}

/* Standard ones and its two ends; no signal blocked or ignored. */
static void test_what_it_gets(void **state)
{
	(void)state;
	int fd = open("/", O_RDONLY); /* without O_CLOEXEC */
	sigset_t usr1, old;
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, &old);
	signal(SIGUSR2, SIG_IGN);
	struct mw_program *program =
		start("ls /proc/self/fd | tr '\\n' ' ' >&$out; echo >&$out; "
		      "grep -E 'SigBlk|SigIgn' /proc/self/status | tr '\\n' ' ' >&$out; "
		      "echo >&$out; cat >&$out; ulimit -c >&$out; read x <&$in");
	const char *line;
	/* The fifth is the directory that ls reads. */
	assert_line(program, "0 1 2 3 4 5 ");
	assert_null(mw_program_line(program, &line));
	for (const char *at = line; *at; at++)
		if (*at >= '1' && *at <= '9')
			fail_msg("%s", line);
	assert_line(program, "0");
	mw_program_end(program, NULL);
	signal(SIGUSR2, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fd);
}

/* A child that is orphaned, in a session of its own, deaf to what can be ignored. */
#define DAEMON "setsid sh -c 'trap \"\" HUP TERM INT; echo $$ >&'$out'; sleep 1000' & "

static void test_all_descendants_end(void **state)
{
	(void)state;
	struct mw_program *program =
		start("sh -c \"" /* its parent ends at once */
		      "setsid sleep 1000 & echo \\$! >&$out\"; " DAEMON "read x <&$in");
	pid_t pids[] = { mw_program_pid(program), take_pid(program), take_pid(program) };
	mw_program_end(program, NULL);
	for (size_t i = 0; i < 3; i++)
		assert_true(is_gone(pids[i]));

	/* And when the program ends first. */
	program = start(DAEMON "read x <&$in; exit 3");
	pids[0] = take_pid(program);
	assert_null(mw_program_go(program));
	assert_line(program, NULL);
	mw_program_end(program, NULL);
	assert_true(is_gone(pids[0]));
}

/* A signal to its own group is not for the keeper. */
static void test_own_group(void **state)
{
	(void)state;
	struct mw_program *program = start(DAEMON "read x <&$in; kill -9 0");
	pid_t child = take_pid(program);
	int status;
	assert_null(mw_program_go(program));
	assert_line(program, NULL);
	mw_program_end(program, &status);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(is_gone(child));
}

/* Without a keeper the program ends, and we do not wait for those it left behind. */
static void test_keeper_killed(void **state)
{
	(void)state;
	struct mw_program *program =
		start("sleep 1000 & echo $! >&$out; "
		      "cut -d' ' -f4 /proc/$$/stat >&$out; read x <&$in");
	pid_t child = take_pid(program), pid = mw_program_pid(program);
	assert_int_equal(kill(take_pid(program), SIGKILL), 0);
	assert_line(program, NULL);
	wait_gone(pid);
	assert_false(is_gone(child));
	kill(child, SIGKILL);
	int status;
	mw_program_end(program, &status);
	assert_int_equal(status, -1);
}

/* A folder with a file "kept", which says "before". */
struct place {
	char dir[32], file[64], kept[64];
};

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static struct place make_place(void)
{
	struct place p = { .dir = "/tmp/mw-program-XXXXXX" };
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.file, sizeof(p.file), "%s/made/file", p.dir);
	snprintf(p.kept, sizeof(p.kept), "%s/kept", p.dir);
	write_file(p.kept, "before");
	return p;
}

/* Promises first, then the things themselves: as a program does. */
static void change_place(struct mw_program *program, const struct place *p)
{
	char made[64];
	snprintf(made, sizeof(made), "%s/made", p->dir);
	assert_null(mw_program_undo(program, MW_UNDO_RESTORE, p->kept, "before"));
	assert_null(mw_program_undo(program, MW_UNDO_REMOVE, made, ""));
	assert_null(mw_program_undo(program, MW_UNDO_REMOVE, p->file, ""));
	assert_int_equal(mkdir(made, 0700), 0);
	write_file(p->file, "x");
	write_file(p->kept, "changed, and longer");
}

static bool is_as_before(const struct place *p)
{
	char made[64], text[32] = "";
	snprintf(made, sizeof(made), "%s/made", p->dir);
	FILE *file = fopen(p->kept, "r");
	assert_non_null(file);
	bool same = fgets(text, sizeof(text), file) && !strcmp(text, "before");
	fclose(file);
	return same && access(made, F_OK) != 0;
}

static void remove_place(const struct place *p)
{
	unlink(p->kept);
	assert_int_equal(rmdir(p->dir), 0);
}

/* A folder with what may be in one, and a link to what is to stay. */
static void fill_folder(const struct place *p, const char *folder)
{
	char path[128], target[64];
	assert_int_equal(mkdir(folder, 0700), 0);
	for (int i = 0; i < 200; i++) {
		snprintf(path, sizeof(path), "%s/%d", folder, i);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/%d/file", folder, i);
		write_file(path, "x");
	}
	snprintf(target, sizeof(target), "%s", p->dir);
	snprintf(path, sizeof(path), "%s/link", folder);
	assert_int_equal(symlink(target, path), 0);
}

static void test_clear(void **state)
{
	(void)state;
	struct place p = make_place();
	char made[64];
	snprintf(made, sizeof(made), "%s/memwhy-lab-x", p.dir);
	struct mw_program *program = start("read x <&$in");
	mw_auto_err err = mw_program_undo(program, MW_UNDO_CLEAR, p.dir, "");
	assert_int_equal(err->code, MW_ERR_USAGE);
	assert_null(mw_program_undo(program, MW_UNDO_CLEAR, "/memwhy-lab-none", ""));
	assert_null(mw_program_undo(program, MW_UNDO_CLEAR, made, ""));
	fill_folder(&p, made);
	mw_program_end(program, NULL);
	assert_int_not_equal(access(made, F_OK), 0);
	assert_true(is_as_before(&p));
	remove_place(&p);
}

static void test_undo(void **state)
{
	(void)state;
	struct place p = make_place();
	struct mw_program *program = start("read x <&$in");
	change_place(program, &p);
	assert_false(is_as_before(&p));
	mw_program_end(program, NULL);
	assert_true(is_as_before(&p));

	mw_auto_err err = NULL;
	program = start("read x <&$in");
	err = mw_program_undo(program, MW_UNDO_REMOVE, "kept", "");
	assert_int_equal(err->code, MW_ERR_USAGE);
	for (int i = 0; i < 64; i++)
		assert_null(mw_program_undo(program, MW_UNDO_REMOVE, "/nonexistent", ""));
	for (int i = 0; i < 2; i++) {
		mw_err_free(err);
		err = mw_program_undo(program, MW_UNDO_REMOVE, "/nonexistent", "");
		assert_int_equal(err->errnum, ENOSPC);
	}
	mw_program_end(program, NULL);
	remove_place(&p);
}

/* Plays memwhy; tells three pids and then waits to be killed. */
static _Noreturn void be_memwhy(int to, const struct place *p, int signum)
{
	struct mw_program *program = start(DAEMON "read x <&$in");
	pid_t pids[] = { mw_program_pid(program), take_pid(program), 0 };
	char path[64];
	change_place(program, p);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)getpid(),
		 (int)getpid());
	FILE *file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%d", &pids[2]) != 1)
			pids[2] = 0;
		fclose(file);
	}
	if (write(to, pids, sizeof(pids)) != sizeof(pids))
		_exit(1);
	if (signum == SIGINT)
		kill(0, signum); /* as a terminal does: the whole group */
	pause();
	_exit(0);
}

static void end_memwhy(int signum, bool kill_program)
{
	struct place p = make_place();
	pid_t pids[3];
	int ends[2], status;
	assert_int_equal(pipe(ends), 0);
	pid_t memwhy = fork();
	if (memwhy == 0) {
		setpgid(0, 0);
		be_memwhy(ends[1], &p, signum);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
	close(ends[0]);
	/* Of both, in either order. */
	if (kill_program)
		kill(pids[0], SIGKILL);
	kill(memwhy, signum);
	assert_int_equal(waitpid(memwhy, &status, 0), memwhy);
	assert_true(WIFSIGNALED(status));
	assert_true(pids[2] > 0);
	for (size_t i = 0; i < 3; i++)
		wait_gone(pids[i]);
	assert_true(is_as_before(&p));
	remove_place(&p);
}

static void test_memwhy_killed(void **state)
{
	(void)state;
	end_memwhy(SIGKILL, false);
	end_memwhy(SIGKILL, true);
	end_memwhy(SIGINT, false);
	end_memwhy(SIGTERM, false);
}

/* Nothing is put back before everybody who might change it again is dead. */
static void test_killed_before_undo(void **state)
{
	(void)state;
	struct place p = make_place();
	char script[256];
	snprintf(script, sizeof(script),
		 "(trap '' TERM; while :; do echo changed >%s; done) & read x <&$in",
		 p.kept);
	struct mw_program *program = start(script);
	assert_null(mw_program_undo(program, MW_UNDO_RESTORE, p.kept, "before"));
	pause_ms(20);
	mw_program_end(program, NULL);
	for (int i = 0; i < 20; i++) {
		assert_true(is_as_before(&p));
		pause_ms(1);
	}
	remove_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_go),
		cmocka_unit_test(test_hostile_lines),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_what_it_gets),
		cmocka_unit_test(test_all_descendants_end),
		cmocka_unit_test(test_own_group),
		cmocka_unit_test(test_keeper_killed),
		cmocka_unit_test(test_undo),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_memwhy_killed),
		cmocka_unit_test(test_killed_before_undo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
