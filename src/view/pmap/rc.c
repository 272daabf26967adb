// SPDX-License-Identifier: MIT
#include "view/pmap/rc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_RC = 1 << 20, MAX_FIELDS = 256 };

enum section { NO_SECTION, FIELDS, MAPPING, FOREIGN };

/* A line that is not understood is told, and what of it can be used is used. */
struct reading {
	struct mw_pmap_opts *opts;
	struct mw_buf *warnings;
	enum section section;
	unsigned line;
};

static struct mw_err *warn(struct reading *r, const char *what)
{
	return mw_buf_printf(r->warnings, "%s%s in the configuration, line %u",
			     r->warnings->len ? "\n" : "", what, r->line)
		       ? NULL
		       : mw_err_nomem();
}

static struct mw_err *read_all(const char *path, struct mw_arena *arena, char **ret)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return mw_err_new(MW_ERR_IO, errno, path, "%s: %s", path,
				  strerror(errno));
	char *text = mw_arena_alloc(arena, MAX_RC + 1);
	size_t len = text ? fread(text, 1, MAX_RC, file) : 0;
	bool failed = ferror(file);
	fclose(file);
	if (!text)
		return mw_err_nomem();
	if (failed || memchr(text, '\0', len))
		return mw_err_new(MW_ERR_FORMAT, 0, path, "%s: this is no text", path);
	text[len] = '\0';
	*ret = text;
	return NULL;
}

static char *skip_blanks(char *at)
{
	return at + strspn(at, " \t");
}

/* A section's name; *at: behind it. One without a "]" leaves the section as it was. */
static struct mw_err *take_section(struct reading *r, char **at)
{
	static const char fields[] = "[Fields Display]", mapping[] = "[Mapping]";
	char *end = strchr(*at, ']');
	if (!end) {
		*at += strlen(*at);
		return warn(r, "syntax error");
	}
	bool is_fields = !strncmp(*at, fields, strlen(fields));
	bool is_mapping = !strncmp(*at, mapping, strlen(mapping));
	r->section = is_fields ? FIELDS : is_mapping ? MAPPING : FOREIGN;
	*at = end + 1;
	return r->section == FOREIGN ? warn(r, "unsupported section") : NULL;
}

/* A name and nothing but a comment behind it. ShowPath turns round what -p said. */
static struct mw_err *take_name(struct reading *r, char *name)
{
	struct mw_pmap_fields *fields = &r->opts->fields;
	char *tail = name + strcspn(name, " \t");
	if (*tail)
		*tail++ = '\0';
	tail = skip_blanks(tail);
	if (r->section == FIELDS && fields->n_names < MAX_FIELDS)
		fields->names[fields->n_names++] = name;
	bool known = r->section != MAPPING || !strcmp(name, "ShowPath");
	if (r->section == MAPPING && known)
		r->opts->paths = !r->opts->paths;
	if (r->section == NO_SECTION || !known)
		return warn(r, "syntax error");
	return *tail && *tail != '#' && r->section != FOREIGN ? warn(r, "syntax error")
							      : NULL;
}

static struct mw_err *take_line(struct reading *r, char *at)
{
	struct mw_err *err = NULL;
	at = skip_blanks(at);
	if (*at == '[') {
		err = take_section(r, &at);
		at = skip_blanks(at);
		if (!err && *at && *at != '#')
			err = warn(r, "syntax error");
	}
	return err || !*at || *at == '#' ? err : take_name(r, at);
}

struct mw_err *mw_pmap_rc_read(const char *path, struct mw_arena *arena,
			       struct mw_pmap_opts *opts, struct mw_buf *warnings)
{
	struct reading r = { .opts = opts, .warnings = warnings };
	char *text = NULL, *rest;
	struct mw_err *err = read_all(path, arena, &text);
	if (err)
		return err;
	opts->fields.listed = true;
	opts->fields.names = mw_arena_calloc(arena, MAX_FIELDS, sizeof(char *));
	if (!opts->fields.names)
		return mw_err_nomem();
	for (rest = text; !err && rest;) {
		r.line++;
		err = take_line(&r, strsep(&rest, "\n"));
	}
	return err;
}

struct mw_err *mw_pmap_rc_create(const char *path)
{
	static const char *const fields[] = {
		"Perm",         "Offset",        "Device",        "Inode",
		"Size",         "Rss",           "Pss",           "Shared_Clean",
		"Shared_Dirty", "Private_Clean", "Private_Dirty", "Referenced",
		"Anonymous",    "AnonHugePages", "Swap",          "KernelPageSize",
		"MMUPageSize",  "Locked",        "VmFlags",       "Mapping",
	};
	mw_auto_buf text = { 0 };
	bool ok = mw_buf_printf(
		&text, "# Which columns pmap -c and -C show: one name a line, without "
		       "the #.\n# Names are those of /proc/PID/smaps; what is not there "
		       "is left out.\n\n[Fields Display]\n\n");
	for (size_t i = 0; ok && i < sizeof(fields) / sizeof(*fields); i++)
		ok = mw_buf_printf(&text, "#%s\n", fields[i]);
	ok = ok && mw_buf_printf(&text, "\n[Mapping]\n\n# Whole paths in the last "
					"column.\n#ShowPath\n");
	if (!ok)
		return mw_err_nomem();
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return mw_err_new(MW_ERR_IO, errno, path,
				  errno == EEXIST
					  ? "%s is there already: delete or rename it"
					  : "%s cannot be created",
				  path);
	ok = write(fd, text.data, text.len) == (ssize_t)text.len;
	int errnum = ok ? 0 : errno;
	if (close(fd) != 0 && !errnum)
		errnum = errno;
	return errnum ? mw_err_sys(errnum, path) : NULL;
}
