/* SPDX-License-Identifier: MIT */
/*
 * Errors: what failed, why, and what a person can do about it.
 *
 * Every function that can fail returns `struct mw_err *`: NULL is success. The
 * caller owns a returned error and frees it (or hands it on). Results come last
 * in the parameter list and are untouched on failure.
 *
 * An error is not a gap: something that could not be seen, while the rest of the
 * answer stands, is a `struct mw_gap` (snapshot.h).
 */
#pragma once

#define MW_MUST_USE __attribute__((warn_unused_result))
#define MW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* The code decides what a program does; the message is for people. */
enum mw_errc {
	MW_ERR_NOMEM = 1,
	MW_ERR_USAGE,       /* the caller asked for something that makes no sense */
	MW_ERR_DENIED,      /* the kernel refuses this user */
	MW_ERR_GONE,        /* the process ended, or its pid now names another one */
	MW_ERR_NOTFOUND,    /* no such process, file, address */
	MW_ERR_AMBIGUOUS,   /* a name that matches several processes */
	MW_ERR_FORMAT,      /* input that does not follow its own format */
	MW_ERR_IO,          /* any other failed system call */
	MW_ERR_UNSUPPORTED, /* this kernel, build or recording does not have it */
};

struct mw_err {
	enum mw_errc code;
	int errnum;       /* errno, or 0 */
	const char *what; /* the file or object concerned, or "" */
	const char *msg;  /* one line, no trailing newline */
};

/*
 * Makes an error; `what` (may be NULL) is copied. Never returns NULL: when memory
 * is short it returns a static MW_ERR_NOMEM error, which mw_err_free() accepts.
 */
struct mw_err *mw_err_new(enum mw_errc code, int errnum, const char *what,
			  const char *fmt, ...) MW_PRINTF(4, 5) MW_MUST_USE;

/* The static out-of-memory error. */
struct mw_err *mw_err_nomem(void) MW_MUST_USE;

/*
 * An error for a failed system call on `what`: ENOENT and ESRCH become NOTFOUND
 * and GONE, EACCES and EPERM become DENIED, ENOMEM NOMEM, the rest IO.
 */
struct mw_err *mw_err_sys(int errnum, const char *what) MW_MUST_USE;

/* Frees an error; NULL is fine. */
void mw_err_free(struct mw_err *err);

/* The code's stable name: "denied", "gone", … */
const char *mw_errc_name(enum mw_errc code);

static inline void mw_err_auto_free(struct mw_err **err)
{
	mw_err_free(*err);
}
#define mw_auto_err __attribute__((cleanup(mw_err_auto_free))) struct mw_err *
