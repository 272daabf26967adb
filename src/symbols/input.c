// SPDX-License-Identifier: MIT
#include "symbols/input.h"

#include "base/num.h"
#include "base/read.h"

#include <ar.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THIN_MAGIC "!<thin>\n"
enum { MAX_NAMES = 64 << 20, MAX_NAME = 4096 };

static struct mw_err *broken(const struct mw_input *input)
{
	return mw_err_new(MW_ERR_FORMAT, 0, input->path, "%s: malformed archive",
			  input->path);
}

/* Reads what is there of [off, off + len). */
static struct mw_err *read_at(int fd, uint64_t off, void *bytes, size_t len, size_t *got)
{
	int errnum = mw_read_at(fd, off, bytes, len, got);
	return errnum ? mw_err_sys(errnum, "file") : NULL;
}

/* Opens a regular file; whatever else could block, or has no length. */
static struct mw_err *open_file(const char *path, int *fd, uint64_t *len)
{
	struct stat st;
	int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (opened < 0)
		return mw_err_new(errno == EACCES   ? MW_ERR_DENIED
				  : errno == ENOENT ? MW_ERR_NOTFOUND
						    : MW_ERR_IO,
				  errno, path, "%s: %s", path, strerror(errno));
	if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(opened);
		return mw_err_new(MW_ERR_FORMAT, 0, path, "%s is not an ordinary file",
				  path);
	}
	*fd = opened;
	*len = (uint64_t)st.st_size;
	return NULL;
}

struct mw_err *mw_input_open(const char *path, struct mw_input *ret)
{
	struct mw_input input = { .path = path };
	char magic[SARMAG];
	size_t got = 0;
	struct mw_err *err = open_file(path, &input.fd, &input.len);
	if (err)
		return err;
	err = read_at(input.fd, 0, magic, sizeof(magic), &got);
	if (err) {
		close(input.fd);
		return err;
	}
	if (got == sizeof(magic)) {
		input.thin = !memcmp(magic, THIN_MAGIC, SARMAG);
		input.archive = input.thin || !memcmp(magic, ARMAG, SARMAG);
	}
	input.next = SARMAG;
	*ret = input;
	return NULL;
}

void mw_input_close(struct mw_input *input)
{
	free(input->names);
	input->names = NULL;
	if (input->fd >= 0)
		close(input->fd);
	input->fd = -1;
}

void mw_member_release(struct mw_member *member)
{
	free(member->text);
	if (member->own_fd)
		close(member->fd);
	*member = (struct mw_member){ .fd = -1 };
}

/* A number of an archive header: digits, then blanks. */
static bool take_number(const char *field, size_t width, uint64_t *ret)
{
	char text[32];
	size_t n = 0;
	while (n < width && field[n] != ' ')
		n++;
	if (n >= sizeof(text))
		return false;
	memcpy(text, field, n);
	text[n] = '\0';
	return mw_parse_u64(text, ret);
}

/* "/123": the name stands in the table of long names, and ends with a slash. */
static char *long_name(const struct mw_input *input, const struct ar_hdr *header)
{
	uint64_t at;
	if (!take_number(header->ar_name + 1, sizeof(header->ar_name) - 1, &at) ||
	    at >= input->names_len)
		return NULL;
	const char *name = input->names + at;
	const char *end = memchr(name, '\n', input->names_len - at);
	size_t len = end ? (size_t)(end - name) : 0;
	if (len && name[len - 1] == '/')
		len--;
	return len && len < MAX_NAME ? strndup(name, len) : NULL;
}

/* "name/" in System V archives, "name" and blanks in old ones. */
static char *short_name(const struct ar_hdr *header)
{
	size_t len = sizeof(header->ar_name);
	const char *slash = memchr(header->ar_name, '/', len);
	if (slash)
		len = (size_t)(slash - header->ar_name);
	while (len && header->ar_name[len - 1] == ' ')
		len--;
	return strndup(header->ar_name, len);
}

static struct mw_err *read_names(struct mw_input *input, uint64_t start, uint64_t len)
{
	size_t got = 0;
	if (input->names || len > MAX_NAMES)
		return broken(input);
	input->names = malloc((size_t)len + 1);
	if (!input->names)
		return mw_err_nomem();
	struct mw_err *err = read_at(input->fd, start, input->names, (size_t)len, &got);
	input->names_len = got;
	return err;
}

/* A thin archive names files, from the directory that it lies in. */
static struct mw_err *open_thin(const struct mw_input *input, struct mw_member *member)
{
	const char *slash = strrchr(input->path, '/');
	char *path;
	int len = slash && member->text[0] != '/'
			  ? asprintf(&path, "%.*s/%s", (int)(slash - input->path),
				     input->path, member->text)
			  : asprintf(&path, "%s", member->text);
	if (len < 0)
		return mw_err_nomem();
	struct mw_err *err = open_file(path, &member->fd, &member->len);
	free(path);
	member->own_fd = !err;
	member->start = 0;
	return err;
}

enum what { IS_MEMBER, IS_NAMES, IS_TABLE };

static enum what what_is(const struct ar_hdr *header)
{
	if (header->ar_name[0] != '/')
		return IS_MEMBER;
	if (header->ar_name[1] == '/')
		return IS_NAMES;
	bool digit = header->ar_name[1] >= '0' && header->ar_name[1] <= '9';
	return digit ? IS_MEMBER : IS_TABLE;
}

/* Reads the header at input->next. Members begin at even offsets. */
static struct mw_err *read_header(struct mw_input *input, struct ar_hdr *header,
				  uint64_t *start, uint64_t *len)
{
	size_t got = 0;
	uint64_t end;
	struct mw_err *err =
		read_at(input->fd, input->next, header, sizeof(*header), &got);
	if (err)
		return err;
	*start = input->next + sizeof(*header);
	if (got != sizeof(*header) || memcmp(header->ar_fmag, ARFMAG, 2) != 0 ||
	    !take_number(header->ar_size, sizeof(header->ar_size), len) ||
	    __builtin_add_overflow(*start, *len, &end))
		return broken(input);
	bool inside = !input->thin || what_is(header) != IS_MEMBER;
	if (inside && end > input->len)
		return broken(input);
	input->next = inside ? end + (end & 1) : *start;
	return NULL;
}

static struct mw_err *next_of_archive(struct mw_input *input, struct mw_member *member,
				      bool *more)
{
	struct ar_hdr header = { 0 };
	uint64_t start = 0, len = 0;
	while (input->next < input->len) {
		struct mw_err *err = read_header(input, &header, &start, &len);
		if (!err && what_is(&header) == IS_NAMES)
			err = read_names(input, start, len);
		if (err)
			return err;
		if (what_is(&header) != IS_MEMBER)
			continue;
		member->text = header.ar_name[0] == '/' ? long_name(input, &header)
							: short_name(&header);
		if (!member->text)
			return broken(input);
		member->name = member->text;
		member->fd = input->fd;
		member->start = start;
		member->len = len;
		*more = true;
		return input->thin ? open_thin(input, member) : NULL;
	}
	*more = false;
	return NULL;
}

struct mw_err *mw_input_next(struct mw_input *input, struct mw_member *member, bool *more)
{
	mw_member_release(member);
	if (input->archive)
		return next_of_archive(input, member, more);
	*more = !input->done;
	input->done = true;
	member->fd = input->fd;
	member->len = input->len;
	return NULL;
}

struct mw_err *mw_member_read(void *arg, uint64_t off, void *bytes, size_t len,
			      size_t *got)
{
	const struct mw_member *member = arg;
	*got = 0;
	if (off >= member->len)
		return NULL;
	if (len > member->len - off)
		len = (size_t)(member->len - off);
	return read_at(member->fd, member->start + off, bytes, len, got);
}
