// SPDX-License-Identifier: MIT
/*
 * The files that were mapped, as they are now: a path in a core may lead to a newer
 * build, to another machine's file or to nothing. A file is read only when it is known to
 * be the one that was mapped: by its build id, or, without one, by the whole of its first
 * page.
 */
#include "base/read.h"
#include "kernel/core/core.h"
#include "kernel/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPEN = 32, SHOWN_ID = 8, COMPARED = 4096 };

/* Names are sorted by path for a moment, to find equal ones. */
static int by_path(const void *a, const void *b, void *arg)
{
	const struct mw_core_name *names = arg;
	return strcmp(names[*(const size_t *)a].path, names[*(const size_t *)b].path);
}

struct mw_err *mw_core_make_objects(struct mw_core *core)
{
	size_t n = core->names.n;
	const char *last = NULL;
	struct mw_err *err = NULL;

	if (!n)
		return NULL;
	size_t *order = calloc(n, sizeof(*order));
	if (!order)
		return mw_err_nomem();
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), by_path, core->names.items);
	for (size_t i = 0; !err && i < n; i++) {
		struct mw_core_name *name = &core->names.items[order[i]];
		struct mw_core_object object = { .path = name->path, .fd = -1 };
		if ((!last || strcmp(last, name->path) != 0) &&
		    !mw_vec_add(&core->objects, object))
			err = mw_err_nomem();
		last = name->path;
		name->object = core->objects.n - 1;
	}
	free(order);
	return err;
}

static bool read_fd(void *arg, uint64_t off, void *bytes, size_t len)
{
	const int *fd = arg;
	size_t got;

	return mw_read_at(*fd, off, bytes, len, &got) == 0 && got == len;
}

/* The first bytes of a build id in hex, as they are shown. */
static const char *show_id(const struct mw_core_head *head, char text[2 * SHOWN_ID + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = head->n_id < SHOWN_ID ? head->n_id : SHOWN_ID;

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[head->id[i] >> 4];
		text[2 * i + 1] = digits[head->id[i] & 15];
	}
	text[2 * n] = '\0';
	return n ? text : "none";
}

static bool same_id(const struct mw_core_head *a, const struct mw_core_head *b)
{
	return a->n_id == b->n_id && !memcmp(a->id, b->id, a->n_id);
}

/* Whether the file begins as what was dumped of its first page. */
static bool same_start(const struct mw_core *core, const struct mw_core_object *object,
		       int fd)
{
	char there[COMPARED], here[COMPARED];

	return object->base && mw_core_bytes(core, object->base, there, COMPARED) &&
	       read_fd(&fd, 0, here, COMPARED) && !memcmp(there, here, COMPARED);
}

/*
 * Why the file may not be read for the object; NULL when it may. `given` by the user: it
 * is believed where the core has nothing to compare it with.
 */
static const char *refuse(struct mw_core *core, const struct mw_core_object *object,
			  const char *path, int fd, bool given)
{
	struct mw_core_head there, here;
	char id_there[2 * SHOWN_ID + 1], id_here[2 * SHOWN_ID + 1];
	char byte;

	if (!object->base || !mw_core_bytes(core, object->base, &byte, 1))
		return given ? NULL
			     : mw_arena_printf(&core->arena,
					       "%s: the core has nothing to tell this "
					       "file by",
					       path);
	if (!mw_core_object_head(core, object, &there) || !there.n_id)
		return same_start(core, object, fd)
			       ? NULL
			       : mw_arena_printf(&core->arena,
						 "%s is another file than the one that "
						 "was mapped",
						 path);
	if (!mw_core_head_read(read_fd, &fd, &here))
		return mw_arena_printf(&core->arena, "%s is no ELF file any more", path);
	if (same_id(&there, &here))
		return NULL;
	return mw_arena_printf(&core->arena,
			       "%s is another build than the one that was mapped "
			       "(build id %s, the core has %s)",
			       path, show_id(&here, id_here), show_id(&there, id_there));
}

static void close_oldest(struct mw_core *core)
{
	struct mw_core_object *oldest = NULL;

	for (size_t i = 0; i < core->objects.n; i++) {
		struct mw_core_object *object = &core->objects.items[i];
		if (object->fd >= 0 && (!oldest || object->used_seq < oldest->used_seq))
			oldest = object;
	}
	if (oldest) {
		close(oldest->fd);
		oldest->fd = -1;
		core->n_open--;
	}
}

static struct mw_err *refused(const struct mw_core_object *object)
{
	return mw_err_new(MW_ERR_NOTFOUND, 0, object->path, "%s", object->refusal);
}

static struct mw_err *give_up(struct mw_core_object *object, const char *why)
{
	if (!why)
		return mw_err_nomem();
	object->state = MW_CORE_REFUSED;
	object->refusal = why;
	return refused(object);
}

/* Opens `path` for the object, and makes sure that it is it. */
static struct mw_err *open_path(struct mw_core *core, struct mw_core_object *object,
				const char *path, bool given)
{
	int fd = mw_regular_open(AT_FDCWD, path, 0);

	if (fd < 0)
		return give_up(object,
			       mw_arena_printf(&core->arena,
					       "%s, which was mapped, is not here",
					       path));
	const char *why = refuse(core, object, path, fd, given);
	if (why) {
		close(fd);
		return give_up(object, why);
	}
	if (core->n_open >= MAX_OPEN)
		close_oldest(core);
	object->state = MW_CORE_TRUSTED;
	object->fd = fd;
	core->n_open++;
	return NULL;
}

/* A file whose name is gone may have come back under it. */
static struct mw_err *open_object(struct mw_core *core, struct mw_core_object *object)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(object->path), mark_len = sizeof(mark) - 1;
	const char *path = object->path;

	if (core->exe_path && core->exe != MW_CORE_NONE &&
	    object == &core->objects.items[core->exe])
		return open_path(core, object, core->exe_path, true);
	if (path[0] != '/')
		return give_up(object,
			       mw_arena_printf(&core->arena, "%s is no file", path));
	if (len > mark_len && !strcmp(path + len - mark_len, mark)) {
		path = mw_arena_strndup(&core->arena, path, len - mark_len);
		if (!path)
			return mw_err_nomem();
	}
	return open_path(core, object, path, false);
}

struct mw_err *mw_core_set_exe(struct mw_core *core, const char *path)
{
	core->exe_path = mw_arena_strdup(&core->arena, path);
	if (!core->exe_path)
		return mw_err_nomem();
	int fd = mw_regular_open(AT_FDCWD, path, 0);
	if (fd < 0)
		return mw_err_sys(errno, path);
	close(fd);
	if (core->exe == MW_CORE_NONE)
		return NULL;
	struct mw_err *err = open_object(core, &core->objects.items[core->exe]);
	if (err && err->code == MW_ERR_NOTFOUND)
		err->code = MW_ERR_FORMAT;
	return err;
}

struct mw_err *mw_core_read_object(struct mw_source *src, pid_t pid,
				   const struct mw_object *obj, uint64_t off, void *bytes,
				   size_t len, size_t *got)
{
	struct mw_core *core = mw_core_of(src);
	size_t done;

	struct mw_err *err = mw_core_check_pid(core, pid);
	if (err)
		return err;
	const struct mw_core_region *region = mw_core_region_at(core, obj->start);
	if (!region || region->object == MW_CORE_NONE)
		return mw_err_new(MW_ERR_NOTFOUND, 0, core->path,
				  "%s names no file at 0x%llx", core->path,
				  (unsigned long long)obj->start);
	struct mw_core_object *object = &core->objects.items[region->object];
	if (object->state == MW_CORE_REFUSED)
		return refused(object);
	if (object->fd < 0 && (err = open_object(core, object)))
		return err;
	object->used_seq = ++core->seq;
	int errnum = mw_read_at(object->fd, off, bytes, len, &done);
	if (errnum && !done)
		return mw_err_sys(errnum, object->path);
	*got = done;
	return NULL;
}
