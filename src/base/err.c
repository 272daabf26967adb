// SPDX-License-Identifier: MIT
#include <memwhy/err.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mw_err err_nomem = {
	.code = MW_ERR_NOMEM,
	.errnum = ENOMEM,
	.what = "",
	.msg = "out of memory",
};

struct mw_err *mw_err_nomem(void)
{
	return (struct mw_err *)&err_nomem;
}

/* One allocation holds the error, `what` and the message. */
MW_PRINTF(4, 0)
static struct mw_err *err_vnew(enum mw_errc code, int errnum, const char *what,
			       const char *fmt, va_list args)
{
	char *msg = NULL;
	int msg_len = vasprintf(&msg, fmt, args);
	if (msg_len < 0)
		return mw_err_nomem();
	if (!what)
		what = "";
	size_t what_len = strlen(what);
	struct mw_err *err = malloc(sizeof(*err) + what_len + 1 + (size_t)msg_len + 1);
	if (!err) {
		free(msg);
		return mw_err_nomem();
	}
	char *text = (char *)(err + 1);
	memcpy(text, what, what_len + 1);
	memcpy(text + what_len + 1, msg, (size_t)msg_len + 1);
	free(msg);
	*err = (struct mw_err){ code, errnum, text, text + what_len + 1 };
	return err;
}

struct mw_err *mw_err_new(enum mw_errc code, int errnum, const char *what,
			  const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	struct mw_err *err = err_vnew(code, errnum, what, fmt, args);
	va_end(args);
	return err;
}

static enum mw_errc code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOMEM:
		return MW_ERR_NOMEM;
	case EACCES:
	case EPERM:
		return MW_ERR_DENIED;
	case ESRCH:
		return MW_ERR_GONE;
	case ENOENT:
	case ENOTDIR:
		return MW_ERR_NOTFOUND;
	case ENOTTY:
	case ENOSYS:
	case EOPNOTSUPP:
		return MW_ERR_UNSUPPORTED;
	default:
		return MW_ERR_IO;
	}
}

struct mw_err *mw_err_sys(int errnum, const char *what)
{
	return mw_err_new(code_of_errno(errnum), errnum, what, "%s: %s", what,
			  strerror(errnum));
}

void mw_err_free(struct mw_err *err)
{
	if (err != &err_nomem)
		free(err);
}

const char *mw_errc_name(enum mw_errc code)
{
	static const char *const names[] = {
		[MW_ERR_NOMEM] = "out of memory",     [MW_ERR_USAGE] = "usage",
		[MW_ERR_DENIED] = "denied",           [MW_ERR_GONE] = "gone",
		[MW_ERR_NOTFOUND] = "not found",      [MW_ERR_AMBIGUOUS] = "ambiguous",
		[MW_ERR_FORMAT] = "format",           [MW_ERR_IO] = "i/o",
		[MW_ERR_UNSUPPORTED] = "unsupported",
	};
	return names[code];
}
