// SPDX-License-Identifier: MIT
/* memwhy's side: starting the keeper, talking to it and to the program. */
#include "kernel/program/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LINE_LEN = 4096,
	/* From the end of its pipe to its death is a moment; not for one that lives on.
	 */
	DYING_MS = 1000,
};

struct mw_program {
	pid_t keeper, pid;
	int sock, from, to;
	bool eof, ended;
	int status;
	size_t at, len; /* of `buf`: what was read and not yet given out */
	char buf[LINE_LEN + 1];
};

/* Two connected pairs each: what it writes, what it reads, and the keeper's. */
struct ends {
	int out[2], in[2], sock[2];
};

static void close_all(struct ends *e)
{
	int fds[] = { e->out[0], e->out[1], e->in[0], e->in[1], e->sock[0], e->sock[1] };

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* What it reads from is a socket: writing there raises no SIGPIPE when it is gone. */
static int open_ends(struct ends *e)
{
	*e = (struct ends){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (pipe2(e->out, O_CLOEXEC) == 0 &&
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, e->in) == 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, e->sock) == 0)
		return 0;
	int errnum = errno;
	close_all(e);
	return errnum;
}

/* With all signals blocked, so that no handler of ours runs in it. */
static pid_t fork_keeper(struct mw_keeper *k)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t child = fork();
	if (child == 0)
		mw_keeper_run(k);
	int errnum = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = errnum;
	return child;
}

/* The next report; false when the keeper is gone, or there is none within the time. */
static bool hear(struct mw_program *program, int ms, struct mw_keeper_report *report)
{
	struct pollfd fd = { .fd = program->sock, .events = POLLIN };
	int rc;

	do
		rc = poll(&fd, 1, ms);
	while (rc < 0 && errno == EINTR);
	if (rc <= 0)
		return false;
	ssize_t len = recv(program->sock, report, sizeof(*report), 0);
	if (len < 0 && errno == ECONNRESET) /* our last words were not read */
		len = recv(program->sock, report, sizeof(*report), 0);
	if (len != (ssize_t)sizeof(*report))
		return false;
	if (report->word == MW_KEEPER_ENDED) {
		program->ended = true;
		program->status = report->status;
	}
	return true;
}

static struct mw_err *not_started(const char *path, int errnum)
{
	if (errnum == ENOEXEC)
		return mw_err_new(MW_ERR_IO, errnum, path,
				  "%s: is not a program of this machine", path);
	return mw_err_sys(errnum, path);
}

static struct mw_err *start(struct mw_program *program, struct mw_keeper *k,
			    struct ends *e)
{
	struct mw_keeper_report report = { .errnum = EIO };

	int errnum = open_ends(e);
	if (errnum)
		return mw_err_sys(errnum, "pipe");
	k->out = e->out[1];
	k->in = e->in[1];
	k->sock = e->sock[1];
	program->keeper = fork_keeper(k);
	if (program->keeper < 0) {
		errnum = errno;
		close_all(e);
		return mw_err_sys(errnum, "fork");
	}
	close(e->out[1]);
	close(e->in[1]);
	close(e->sock[1]);
	program->from = e->out[0];
	program->to = e->in[0];
	program->sock = e->sock[0];
	if (!hear(program, -1, &report) || report.errnum)
		return not_started(k->path, report.errnum ? report.errnum : EIO);
	program->pid = report.pid;
	return NULL;
}

struct mw_err *mw_program_start(const char *path, char *const *args,
				struct mw_program **ret)
{
	struct mw_keeper k = { .path = path, .args = args, .status = -1 };
	struct ends e;

	struct mw_program *program = calloc(1, sizeof(*program));
	if (!program)
		return mw_err_nomem();
	program->status = -1;
	program->keeper = -1;
	struct mw_err *err = start(program, &k, &e);
	if (!err)
		*ret = program;
	else if (program->keeper > 0)
		mw_program_end(program, NULL);
	else
		free(program);
	return err;
}

pid_t mw_program_pid(const struct mw_program *program)
{
	return program->pid;
}

/*
 * Waits for what it writes. False when the keeper has ended first: should somebody have
 * killed it, who inherited the pipe may keep it open for ever.
 */
static bool wait_for_it(const struct mw_program *program)
{
	struct pollfd fds[] = { { .fd = program->from, .events = POLLIN },
				{ .fd = program->sock, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return fds[0].revents || !fds[1].revents;
}

/* Fills the buffer. *more is false at the end of what it writes. */
static struct mw_err *read_more(struct mw_program *program, bool *more)
{
	ssize_t got;

	if (program->at)
		memmove(program->buf, program->buf + program->at,
			program->len - program->at);
	program->len -= program->at;
	program->at = 0;
	if (program->len == LINE_LEN)
		return mw_err_new(MW_ERR_FORMAT, 0, NULL,
				  "the program wrote a line of over %d bytes", LINE_LEN);
	if (!wait_for_it(program)) {
		*more = false;
		return NULL;
	}
	do
		got = read(program->from, program->buf + program->len,
			   LINE_LEN - program->len);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return mw_err_sys(errno, "read");
	program->len += (size_t)got;
	*more = got > 0;
	return NULL;
}

struct mw_err *mw_program_line(struct mw_program *program, const char **line)
{
	char *begin, *end;

	for (;;) {
		begin = program->buf + program->at;
		end = memchr(begin, '\n', program->len - program->at);
		if (end)
			break;
		bool more = false;
		struct mw_err *err = program->eof ? NULL : read_more(program, &more);
		if (err)
			return err;
		if (!more) {
			program->eof = true;
			*line = NULL;
			return NULL;
		}
	}
	*end = '\0';
	program->at = (size_t)(end + 1 - program->buf);
	if (strlen(begin) != (size_t)(end - begin))
		return mw_err_new(MW_ERR_FORMAT, 0, NULL,
				  "the program wrote a byte 0 in a line");
	*line = begin;
	return NULL;
}

static struct mw_err *gone(void)
{
	return mw_err_new(MW_ERR_GONE, 0, NULL, "the program has ended");
}

struct mw_err *mw_program_go(struct mw_program *program)
{
	ssize_t sent;

	do
		sent = send(program->to, "\n", 1, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent == 1 ? NULL : gone();
}

/* A lab's slip must not cost somebody's files. */
static bool may_clear(const char *path)
{
	return strncmp(strrchr(path, '/'), "/memwhy-lab-", strlen("/memwhy-lab-")) == 0;
}

struct mw_err *mw_program_undo(struct mw_program *program, enum mw_undo how,
			       const char *path, const char *text)
{
	struct mw_undo_order order = { .how = how };
	struct mw_keeper_report report;

	if (path[0] != '/')
		return mw_err_new(MW_ERR_USAGE, 0, path,
				  "%s: what is to be undone needs an absolute path",
				  path);
	if (how == MW_UNDO_CLEAR && !may_clear(path))
		return mw_err_new(MW_ERR_USAGE, 0, path,
				  "%s: only a folder memwhy-lab-... is cleared", path);
	if (strlen(path) >= MW_UNDO_LEN || strlen(text) >= MW_UNDO_LEN)
		return mw_err_new(MW_ERR_USAGE, ENAMETOOLONG, NULL,
				  "what is to be undone is too long");
	memcpy(order.path, path, strlen(path) + 1);
	memcpy(order.text, text, strlen(text) + 1);
	if (send(program->sock, &order, sizeof(order), MSG_NOSIGNAL) < 0 ||
	    !hear(program, -1, &report) || report.word != MW_KEEPER_NOTED)
		return gone();
	return report.errnum ? mw_err_sys(report.errnum, path) : NULL;
}

void mw_program_end(struct mw_program *program, int *status)
{
	struct mw_keeper_report report;

	if (!program)
		return;
	if (program->eof && !program->ended)
		hear(program, DYING_MS, &report);
	shutdown(program->sock, SHUT_WR);
	while (!program->ended && hear(program, -1, &report))
		;
	while (waitpid(program->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	close(program->sock);
	close(program->from);
	close(program->to);
	if (status)
		*status = program->status;
	free(program);
}
