// SPDX-License-Identifier: MIT
/* A lab's program without us, and the files of its folder. */
#include "cli/lab/lab.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sources are written by hand. */
enum { MAX_SOURCE = 1 << 20, MAX_ARGS = 70 };

struct mw_err *mw_lab_become(const struct mw_lab *lab, const struct mw_lab_opts *program)
{
	char *argv[MAX_ARGS + 2] = { mw_lab_program(lab, program->variant) };
	if (!argv[0])
		return mw_err_nomem();
	for (size_t i = 0; program->args && program->args[i] && i < MAX_ARGS; i++)
		argv[i + 1] = program->args[i];
	/* It is to be as if it had been started by hand. */
	unsetenv("MEMWHY_LAB");
	signal(SIGPIPE, SIG_DFL);
	fflush(NULL);
	execv(argv[0], argv);
	struct mw_err *err = mw_err_new(MW_ERR_USAGE, errno, argv[0], "%s: %s", argv[0],
					strerror(errno));
	free(argv[0]);
	return err;
}

/* Somebody else's file must not steer a terminal. */
static void make_safe(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f)
			text[i] = '?';
		else if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
			text[i] = text[i + 1] = '?';
	}
}

struct mw_err *mw_lab_print(const struct mw_lab *lab, const char *name)
{
	mw_auto_buf path = { 0 }, text = { 0 };
	if (!*name)
		name = "lab.c";
	if (strchr(name, '/') || name[0] == '.')
		return mw_err_new(MW_ERR_USAGE, 0, name,
				  "--source: %s is no file of the lab's folder", name);
	if (!mw_buf_printf(&path, "%s/%s", lab->dir, name))
		return mw_err_nomem();
	struct mw_err *err = mw_cli_read_file(mw_buf_str(&path), MAX_SOURCE, &text);
	if (err)
		return err;
	if (isatty(STDOUT_FILENO))
		make_safe(text.data, text.len);
	errno = 0;
	if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout))
		return mw_err_sys(errno ? errno : EIO, "output");
	return NULL;
}
