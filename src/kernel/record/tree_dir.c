// SPDX-License-Identifier: MIT
#include "kernel/record/tree_files.h"

#include "base/buf.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* proc/PID/task/TID is the deepest directory; sys/ has one of its own as deep. */
enum { MAX_DEPTH = 5 };

/* So much text is read of one tree, however many files it is spread over. */
#define MAX_TOTAL ((size_t)4 << 30)

/* What was created so far, to be removed when the recording cannot be finished. */
struct made {
	char *path;
	bool is_dir;
};

struct saver {
	const char *dir;
	int dirfd;
	struct {
		MW_VEC(struct made);
	} made;
};

struct loader {
	struct mw_record *rec;
	const char *dir;
	size_t total;
};

static void auto_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define auto_fd __attribute__((cleanup(auto_close))) int

/* An error that names the file with its directory. */
static struct mw_err *file_error(int errnum, const char *dir, const char *path,
				 const char *doing)
{
	mw_auto_buf whole = { 0 };
	if (!mw_buf_printf(&whole, "%s%s%s", dir, *path ? "/" : "", path))
		return mw_err_nomem();
	struct mw_err *sys = mw_err_sys(errnum, mw_buf_str(&whole));
	enum mw_errc code = sys->code;
	mw_err_free(sys);
	return mw_err_new(code, errnum, mw_buf_str(&whole), "cannot %s %s: %s", doing,
			  mw_buf_str(&whole), strerror(errnum));
}

static struct mw_err *note_made(struct saver *s, const char *path, bool is_dir)
{
	struct made item = { strdup(path), is_dir };
	if (item.path && mw_vec_add(&s->made, item))
		return NULL;
	free(item.path);
	unlinkat(s->dirfd, path, is_dir ? AT_REMOVEDIR : 0);
	return mw_err_nomem();
}

/* Creates the directories above `path` that do not exist yet. */
static struct mw_err *make_parents(struct saver *s, const char *path)
{
	char parent[PATH_MAX];
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
		if (!mkdirat(s->dirfd, parent, 0700)) {
			struct mw_err *err = note_made(s, parent, true);
			if (err)
				return err;
		} else if (errno != EEXIST) {
			return file_error(errno, s->dir, parent, "create");
		}
	}
	return NULL;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* A recording shows what the kernel shows only to the process's owner: mode 0600. */
static struct mw_err *save_file(void *ctx, const char *path, const char *bytes,
				size_t len)
{
	struct saver *s = ctx;
	struct mw_err *err = make_parents(s, path);
	if (err)
		return err;
	int fd = openat(s->dirfd, path,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return file_error(errno, s->dir, path, "create");
	err = note_made(s, path, false);
	if (!err && !write_all(fd, bytes, len))
		err = file_error(errno, s->dir, path, "write");
	/* Network file systems say only now that the disk is full. */
	if (close(fd) && !err)
		err = file_error(errno, s->dir, path, "write");
	return err;
}

static void remove_made(struct saver *s)
{
	while (s->made.n) {
		struct made *item = &s->made.items[--s->made.n];
		unlinkat(s->dirfd, item->path, item->is_dir ? AT_REMOVEDIR : 0);
		free(item->path);
	}
}

static void forget_made(struct saver *s)
{
	while (s->made.n)
		free(s->made.items[--s->made.n].path);
	mw_vec_deinit(&s->made);
}

static struct mw_err *check_empty(const char *dir)
{
	DIR *handle = opendir(dir);
	if (!handle)
		return file_error(errno, dir, "", "open");
	size_t n = 0;
	for (struct dirent *entry; (entry = readdir(handle));)
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(handle);
	if (!n)
		return NULL;
	return mw_err_new(MW_ERR_USAGE, ENOTEMPTY, dir,
			  "%s is not empty: a recording needs a new directory", dir);
}

struct mw_err *mw_tree_save(const struct mw_record *rec, const char *dir)
{
	bool created = !mkdir(dir, 0700);
	if (!created && errno != EEXIST)
		return file_error(errno, dir, "", "create");
	struct mw_err *err = created ? NULL : check_empty(dir);
	if (err)
		return err;
	struct saver s = { .dir = dir };
	auto_fd dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return file_error(errno, dir, "", "open");
	s.dirfd = dirfd;
	struct mw_tree_sink sink = { save_file, &s };
	err = mw_tree_write(rec, &sink);
	if (err) {
		remove_made(&s);
		if (created)
			rmdir(dir);
	}
	forget_made(&s);
	return err;
}

static struct mw_err *not_a_tree(const struct loader *l, const char *path,
				 const char *why)
{
	char whole[PATH_MAX];
	snprintf(whole, sizeof(whole), "%s/%s", l->dir, path);
	return mw_err_new(MW_ERR_FORMAT, 0, whole, "%s %s", whole, why);
}

/* Reads to the end: the length that fstat saw is only the bound that must hold. */
static struct mw_err *read_whole(const struct loader *l, int fd, const char *path,
				 size_t len, struct mw_buf *out)
{
	if (!mw_buf_reserve(out, len))
		return mw_err_nomem();
	while (out->len < len) {
		ssize_t n = read(fd, out->data + out->len, len - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_error(errno, l->dir, path, "read");
		if (!n)
			return not_a_tree(l, path, "became shorter while it was read");
		out->len += (size_t)n;
	}
	return NULL;
}

/* Neither a link, which may lead out of the tree, nor a pipe, which may block. */
static struct mw_err *load_file(struct loader *l, int dirfd, const char *name,
				const char *path)
{
	auto_fd fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 && errno == ELOOP)
		return not_a_tree(l, path, "is a symbolic link");
	if (fd < 0 || fstat(fd, &st))
		return file_error(errno, l->dir, path, "open");
	if (!S_ISREG(st.st_mode))
		return not_a_tree(l, path, "is not a plain file");
	size_t len = (size_t)st.st_size;
	if (len > MW_TREE_MAX_LEN || len > MAX_TOTAL - l->total)
		return not_a_tree(l, path,
				  "is too large: 1 GiB a file, 4 GiB a recording");
	l->total += len;
	mw_auto_buf text = { 0 };
	struct mw_err *err = read_whole(l, fd, path, len, &text);
	if (err)
		return err;
	err = mw_tree_read_file(l->rec, path, mw_buf_str(&text), text.len);
	if (!err || err->code != MW_ERR_FORMAT)
		return err;
	/* Below here nobody knows the directory. */
	struct mw_err *full = mw_err_new(err->code, 0, path, "%s/%s", l->dir, err->msg);
	mw_err_free(err);
	return full;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	MW_VEC(char *);
};

static void free_names(struct names *names)
{
	while (names->n)
		free(names->items[--names->n]);
	mw_vec_deinit(names);
}

/* Sorted, so that of two broken files always the same one is reported. */
static struct mw_err *list_names(int fd, const char *path, struct names *out)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *handle = copy < 0 ? NULL : fdopendir(copy);
	if (!handle) {
		struct mw_err *err = mw_err_sys(errno, path);
		if (copy >= 0)
			close(copy);
		return err;
	}
	bool ok = true;
	for (struct dirent *entry; ok && (entry = readdir(handle));) {
		if (entry->d_name[0] == '.')
			continue;
		char *name = strdup(entry->d_name);
		ok = name && mw_vec_add(out, name);
		if (!ok)
			free(name);
	}
	closedir(handle);
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), compare_names);
	return ok ? NULL : mw_err_nomem();
}

static struct mw_err *load_dir(struct loader *l, int fd, const char *path, int depth);

/* What a tree does not know is not looked into: notes may lie beside it. */
static struct mw_err *load_entry(struct loader *l, int dirfd, const char *name,
				 const char *path, int depth)
{
	if (!strcmp(path, MW_TREE_MANIFEST))
		return NULL;
	if (mw_tree_knows(path))
		return load_file(l, dirfd, name, path);
	if (depth == MAX_DEPTH)
		return NULL;
	auto_fd fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return NULL;
	if (fd < 0)
		return file_error(errno, l->dir, path, "open");
	return load_dir(l, fd, path, depth + 1);
}

static struct mw_err *load_dir(struct loader *l, int fd, const char *path, int depth)
{
	struct names names = { 0 };
	struct mw_err *err = list_names(fd, path, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		char below[PATH_MAX];
		int len = snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "",
				   names.items[i]);
		if (len > 0 && (size_t)len < sizeof(below))
			err = load_entry(l, fd, names.items[i], below, depth);
	}
	free_names(&names);
	return err;
}

struct mw_err *mw_tree_load(const char *dir, struct mw_record *rec)
{
	struct loader l = { .rec = rec, .dir = dir };
	auto_fd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return file_error(errno, dir, "", "open");
	struct mw_err *err = load_file(&l, fd, MW_TREE_MANIFEST, MW_TREE_MANIFEST);
	if (err && err->errnum == ENOENT) {
		mw_err_free(err);
		return mw_err_new(MW_ERR_FORMAT, ENOENT, dir,
				  "%s is not a recording: it has no %s; "
				  "`memwhy capture PID DIR` makes one",
				  dir, MW_TREE_MANIFEST);
	}
	if (!err)
		err = load_dir(&l, fd, "", 0);
	return err ? err : mw_tree_finish(rec);
}
