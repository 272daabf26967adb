/* SPDX-License-Identifier: MIT */
/*
 * Files to look at: an object, or an archive of objects (ar), thin ones too. Both give
 * members; a file that is no archive is its own only member.
 *
 * Hostile input: sizes and offsets are checked against the file's length. Format: ar(5)
 * of System V and GNU, "!<arch>\n" and "!<thin>\n".
 */
#pragma once

#include <memwhy/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_input {
	const char *path; /* borrowed */
	int fd;
	uint64_t len;
	bool archive, thin;
	uint64_t next; /* header of the next member */
	bool done;
	char *names; /* of members whose name is long; each ends with "/\n" */
	size_t names_len;
};

/* One member, readable until the next one is taken. */
struct mw_member {
	const char *name; /* NULL: the file itself; owned by the member */
	char *text;       /* holds the name */
	int fd;           /* of the file it is in */
	bool own_fd;      /* a thin archive's member is a file of its own */
	uint64_t start, len;
};

/* NOTFOUND, DENIED, IO; FORMAT when it is a directory or its archive header is broken. */
struct mw_err *mw_input_open(const char *path, struct mw_input *ret) MW_MUST_USE;
void mw_input_close(struct mw_input *input);

/*
 * Takes the next member (its old value is released); *more is false behind the last. An
 * archive's own tables are passed over. FORMAT, and of thin archives NOTFOUND.
 */
struct mw_err *mw_input_next(struct mw_input *input, struct mw_member *member,
			     bool *more) MW_MUST_USE;
void mw_member_release(struct mw_member *member);

/* A mw_elf_read_fn; `arg` is the member. */
struct mw_err *mw_member_read(void *arg, uint64_t off, void *bytes, size_t len,
			      size_t *got) MW_MUST_USE;
