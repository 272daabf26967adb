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

static struct mw_err *syntax(const char *path, unsigned line)
{
	return mw_err_new(MW_ERR_FORMAT, 0, path,
			  "%s: syntax error in the configuration, line %u", path, line);
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
		return syntax(path, 1);
	text[len] = '\0';
	*ret = text;
	return NULL;
}

/* The line without its comment and the blanks around it. */
static char *strip(char *line)
{
	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	size_t len = strlen(line);
	while (len && strchr(" \t\r", line[len - 1]))
		line[--len] = '\0';
	return line;
}

static enum section section_of(const char *line)
{
	if (!strcmp(line, "[Fields Display]"))
		return FIELDS;
	return !strcmp(line, "[Mapping]") ? MAPPING : FOREIGN;
}

struct mw_err *mw_pmap_rc_read(const char *path, struct mw_arena *arena,
			       struct mw_pmap_opts *opts)
{
	char *text = NULL, *rest;
	enum section section = NO_SECTION;
	unsigned number = 0;
	struct mw_err *err = read_all(path, arena, &text);
	if (err)
		return err;
	opts->fields.listed = true;
	opts->fields.names = mw_arena_calloc(arena, MAX_FIELDS, sizeof(char *));
	if (!opts->fields.names)
		return mw_err_nomem();
	for (rest = text; rest;) {
		char *line = strip(strsep(&rest, "\n"));
		number++;
		if (!line[0])
			continue;
		if (line[0] == '[')
			section = section_of(line);
		else if (section == NO_SECTION || strpbrk(line, " \t"))
			return syntax(path, number);
		else if (section == FIELDS && opts->fields.n_names < MAX_FIELDS)
			opts->fields.names[opts->fields.n_names++] = line;
		else if (section == MAPPING && !strcmp(line, "ShowPath"))
			opts->paths = true;
	}
	return NULL;
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
